"""The commands put together, and what happens when one fails: one line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from contextkit.cli import ask, demo, doctor, handoff, index, mcp, memory, output, receipts, settings, tune
from contextkit.errors import ContextkitError

USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


class Root(TyperGroup):
    """The group of all verbs; an interrupt becomes a line that says what is left to do."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer does not export its own context's base
        """Runs the verb. Raises typer.Exit(130) after Ctrl-C."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            writes = ctx.invoked_subcommand in {"index", "demo"}
            kept = ": the index is whole and finished batches are kept; the same command goes on from there" if writes else ""
            _complain(f"interrupted{kept}")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="contextkit",
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
app.add_typer(index.app)
app.add_typer(memory.app)
for group in (ask, receipts, tune, handoff, settings, doctor, demo, mcp):
    group.register(app)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"contextkit {version('contextkit')}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=lambda v: _version(wanted=v))
    ] = False,
) -> None:
    """The smallest context that holds what an agent call needs, with a receipt for every token."""
    del version
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; gives the exit code. Errors that the user can mend print as one line without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # odd file names must not end a listing
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, category, *_, **__: _show_warning(message, category)
        try:
            return _run(arguments)
        except typer.TyperException as error:
            context = getattr(error, "ctx", None)
            hint = f" (see {context.command_path} --help)" if context is not None else ""
            _complain(f"{error.format_message()}{_given(error)}{hint}")
            return error.exit_code
        except ContextkitError as error:
            _complain(str(error))
            return USAGE
        except typer.Abort:
            _complain("input ended")
            return USAGE
        except BrokenPipeError:
            return _pipe_closed()
        except OSError as error:  # a full disk, a missing right: the user's to mend, not ours
            _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            return USAGE


def _run(arguments: Sequence[str] | None) -> int:
    command = typer.main.get_command(app)
    try:
        result = command.main(args=arguments, prog_name="contextkit", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer's own end of it
            raise stop.__context__ from None
        return int(stop.code or 0)
    return result if isinstance(result, int) else 0


def _given(error: typer.TyperException) -> str:
    """The value that an option did not take, where the message does not say it."""
    details = getattr(error.__cause__, "errors", None)
    value = details()[0].get("input") if callable(details) else None
    return "" if value is None or str(value) in error.format_message() else f", not {value!r}"


def _show_warning(message: Warning | str, category: type[Warning]) -> None:
    """A warning as one line; those that are for programmers are not shown at all."""
    if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | ResourceWarning):
        _complain(f"warning: {message}")


def _pipe_closed() -> int:
    """Whoever read our output has gone: nothing more is written, also not when the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
    return PIPE_CLOSED


def _complain(message: str) -> None:
    sys.stderr.write(f"contextkit: {output.visible(' '.join(message.split()))}\n")
