"""What the verbs of `contextkit memory` share: their options, the open memory, and how records are shown."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contextkit.cli import output, session
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.memory import Memory, MemoryStore

SOME_FAILED = 1
TEXT = 90

Scope = Annotated[
    list[str],
    typer.Option("--scope", "-s", metavar="LEVEL=NAME", help="Whose: tenant, team, user, agent or session; may be repeated."),
]
AnyScope = Annotated[
    list[str] | None,
    typer.Option("--scope", "-s", metavar="LEVEL=NAME", help="Only of this scope; may be repeated [all]."),
]
Key = Annotated[str | None, typer.Option("--key", metavar="SUBJECT/ATTRIBUTE", help="What a newer fact replaces it by.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A memory's id, such as m12.")]
From = Annotated[str | None, typer.Option("--valid-from", metavar="TIME", help="Since when it is true [now].")]
To = Annotated[str | None, typer.Option("--valid-to", metavar="TIME", help="Until when, exclusive [no end].")]

_ADDRESS: ContextVar[str | None] = ContextVar("address of a shared memory", default=None)  # of the command under way


def use(address: str | None) -> None:
    """Sets where the memory of this command is; None: as the settings say."""
    _ADDRESS.set(address)


@contextmanager
def opened(index: Path | None, embedder: str | None = None) -> Iterator[MemoryStore]:
    """The memory that the settings name; it and its index are made where there are none."""
    config = session.settings(index=index, embedder=embedder, memory=_ADDRESS.get())
    with session.opened(config, create=True) as kit:
        yield kit.memory


def scope_of(given: Iterable[str] | None, name: str = "--scope") -> dict[str, str]:
    """{"user": "ann"} of "user=ann". Raises InputError where a part has no "="."""
    out: dict[str, str] = {}
    for part in given or ():
        level, mark, value = part.partition("=")
        if not mark:
            raise InputError(f"{name} {part!r} must be LEVEL=NAME, such as user=ann")
        out[level.strip()] = value.strip()
    return out


def read(file: Path) -> str:
    """The text of a file, or of stdin for "-". Raises InputError where it cannot be read."""
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None


def value_of(text: str) -> Any:  # noqa: ANN401 - JSON
    """The value of a JSON text. Raises InputError where it is none."""
    try:
        return jsonlib.loads(text)
    except ValueError as error:
        raise InputError(f"this is not JSON ({error}): {text[:60]!r}") from None


def show(found: list[Memory], as_json: bool, *, one: bool = False) -> None:  # noqa: FBT001 - the flag as it was given
    """Prints records as a table, or as JSON; `one`: the first alone, as an object."""
    if as_json:
        output.print_json(found[0] if one else found)
        return
    if not found:
        output.warn("nothing is known")
        return
    rows = [
        (m.id, m.valid_from.date(), "" if m.valid_to is None else m.valid_to.date(), m.status, output.shortened(_told(m), TEXT))
        for m in found
    ]
    output.console().print(output.table("", ("id", "from", "to", "status", "text"), rows))


def facts(title: str, found: Iterable[tuple[str, object]]) -> None:
    """Prints names with their values; several values stand side by side."""
    rows = [(name, ", ".join(map(str, v)) if isinstance(v, (tuple, list)) else str(v)) for name, v in found]
    output.console().print(output.table(title, ("", ""), rows))


def _told(memory: Memory) -> str:
    doubt = f" (in conflict with {', '.join(memory.conflicts)})" if memory.conflicts else ""
    who = f"{memory.source.author}: " if memory.source.author else ""
    return f"{who}{memory.text}{doubt}"
