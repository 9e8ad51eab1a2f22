"""`contextkit index ...`: documents into the index and out of it, and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import options, output, session
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.config import Settings
    from contextkit.sync import SyncReport

SOME_FAILED = 1
_FAILURES_SHOWN = 20

Sources = Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Folders or files.", show_default=False)]
Glob = Annotated[
    list[str] | None, typer.Option("--glob", metavar="PATTERN", help="Only files that match, such as '*.md'; may be repeated.")
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="PATTERN", help="No files that match; may be repeated.")]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="Processes that parse [one a processor].")]
app = typer.Typer(name="index", help="Bring documents into an index, and see what it holds.", invoke_without_command=True)


@app.callback()
def group(ctx: typer.Context) -> None:
    """Bring documents into an index, and see what it holds."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command()
def build(
    sources: Sources,
    *,
    index: options.Index = None,
    glob: Glob = None,
    exclude: Exclude = None,
    workers: Workers = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Add new and update changed documents; nothing leaves the index."""
    config = session.settings(index=index, glob=glob, exclude=exclude, workers=workers, embedder=embedder)
    _take_in(sources, config, retire=False, allow_mass_delete=False, as_json=json)


@app.command()
def sync(
    sources: Sources,
    *,
    index: options.Index = None,
    glob: Glob = None,
    exclude: Exclude = None,
    workers: Workers = None,
    embedder: options.Embedder = None,
    allow_mass_delete: Annotated[
        bool, typer.Option("--allow-mass-delete", help="Let more than half of a source's documents go (and more than 20).")
    ] = False,
    json: options.Json = False,
) -> None:
    """Bring the index in step: as build, and what is gone from the source leaves the index."""
    config = session.settings(index=index, glob=glob, exclude=exclude, workers=workers, embedder=embedder)
    _take_in(sources, config, retire=True, allow_mass_delete=allow_mass_delete, as_json=json)


@app.command()
def info(*, index: options.Index = None, json: options.Json = False) -> None:
    """Show what the index holds and what it was made with."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        found = output.plain(kit.info())
    if json:
        output.print_json(found)
        return
    sources = found.pop("sources")
    found["bytes"] = output.size(found["bytes"])
    rows = [(name, value) for name, value in found.items() if value != ""]
    rows += [(f"source {name}", f"{count} documents") for name, count in sources.items()]
    output.console().print(output.table("", ("", ""), rows))


@app.command()
def remove(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of documents, as search shows them.", show_default=False)
    ],
    *,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Take documents out of the index by id."""
    with session.opened(session.settings(index=index)) as kit:
        done = kit.remove(ids)
    if json:
        output.print_json({"removed": list(done.removed), "generation": done.generation})
    else:
        output.print_text(f"removed {len(done.removed)}; generation {done.generation}")


def _take_in(sources: list[str], config: Settings, *, retire: bool, allow_mass_delete: bool, as_json: bool) -> None:
    """Syncs each source in turn and prints the reports. Raises typer.Exit(1) where documents failed."""
    for source in sources:
        if not Path(source).expanduser().exists():
            raise InputError(f"there is no file or folder {source!r}: nothing was done")
    reports: list[SyncReport] = []
    with session.opened(config, create=True) as kit:
        for source in sources:
            with output.progress() as bars:
                report = kit.sync(
                    source, retire=retire, glob=config.glob or None, exclude=config.exclude,
                    allow_mass_delete=allow_mass_delete, progress=bars,
                )  # fmt: skip
            reports.append(report)
        path = kit.info().path
    failed = sum(report.failed for report in reports)
    if as_json:
        output.print_json({"index": path, "failed": failed, "sources": reports})
    else:
        _print_reports(reports, path)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _print_reports(reports: list[SyncReport], path: str) -> None:
    for report in reports:
        output.print_text(output.visible(f"{report.source}: {_counted(report)}"))
    failures = [f for r in reports for f in r.failures]
    for failure in failures[:_FAILURES_SHOWN]:
        output.warn(f"failed: {failure.id or failure.uri}: {output.shortened(failure.reason, 300)}")
    if len(failures) > _FAILURES_SHOWN:
        output.warn(f"and {len(failures) - _FAILURES_SHOWN} more failed: --json names all")
    output.note(f'try: contextkit context "your question" --index {path}')


def _counted(report: SyncReport) -> str:
    """What a run did, without what it did not."""
    names = ("added", "changed", "removed", "moved", "unchanged", "failed")
    counts = ", ".join(f"{count} {name}" for name in names if (count := getattr(report, name)))
    return f"{counts or 'nothing there'}; {report.embedded} chunks embedded in {report.seconds:.1f} s"
