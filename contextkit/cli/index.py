"""`contextkit index ...`: documents into the index and out of it, and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import options, output, session
from contextkit.errors import InputError
from contextkit.sources import is_path

if TYPE_CHECKING:
    from contextkit.config import Settings
    from contextkit.sync import SyncReport

SOME_FAILED = 1
_FAILURES_SHOWN = 20

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...", help="Folders, files, or addresses (s3://BUCKET/DOCS, git:REPO@REV).", show_default=False
    ),
]
Glob = Annotated[
    list[str] | None, typer.Option("--glob", metavar="PATTERN", help="Only files that match, such as '*.md'; may be repeated.")
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", metavar="PATTERN", help="No files that match; may be repeated.")]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="Processes that parse [one a processor].")]
Generation = Annotated[int, typer.Argument(metavar="N", help="A generation, as `generations` lists them.", show_default=False)]
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


@app.command()
def generations(*, index: options.Index = None, json: options.Json = False) -> None:
    """List the kept generations, newest first; the first one is what questions see."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        found = kit.generations()[::-1]
    if json:
        output.print_json(found)
        return
    heads = ("generation", "made", "added", "changed", "removed", "pinned", "note")
    rows = [(g.id, g.created, g.added, g.changed, g.removed, g.pinned or "", g.note) for g in found]
    output.console().print(output.table("", heads, rows, right=("generation", "added", "changed", "removed")))


@app.command()
def diff(
    a: Annotated[int, typer.Argument(metavar="A", help="A generation.", show_default=False)],
    b: Annotated[int | None, typer.Argument(metavar="B", help="Another one [the current].", show_default=False)] = None,
    *,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Show which documents changed from generation A to B."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        found = kit.diff(a, kit.catalog.generation() if b is None else b)
    if json:
        output.print_json(found)
        return
    for mark, ids in (("+", found.added), ("~", found.changed), ("-", found.removed)):
        for id_ in ids:
            output.print_text(f"{mark} {id_}")
    output.print_text(f"{len(found.added)} added, {len(found.changed)} changed, {len(found.removed)} removed")


@app.command()
def rollback(generation: Generation, *, index: options.Index = None, json: options.Json = False) -> None:
    """Show again what an earlier generation showed; a new generation is made, so that this too can be undone."""
    with session.opened(session.settings(index=index)) as kit:
        before = kit.catalog.generation()
        done = kit.rollback(generation)
    if json:
        output.print_json(done)
    elif done.generation == before:
        output.print_text(f"generation {before} shows the same already")
    else:
        changes = f"{len(done.added)} added, {len(done.changed)} changed, {len(done.removed)} removed"
        output.print_text(f"generation {done.generation} shows what {generation} showed: {changes}")
        output.note(f"back again: contextkit index rollback {before}")


@app.command()
def pin(
    generation: Generation,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Its name; none lets it go.", show_default=False)] = "",
    *,
    index: options.Index = None,
) -> None:
    """Keep a generation from gc under a name, or let it go again."""
    with session.opened(session.settings(index=index)) as kit:
        kit.pin(generation, name or None)
    output.print_text(f"generation {generation} is {f'kept as {name}' if name else 'no longer kept'}")


@app.command()
def reembed(
    *,
    embedder: Annotated[str, typer.Option("--embedder", metavar="MODEL", help="The new model's folder or name.")],
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Give all documents vectors of another embedder, in a new generation; the old one serves until that is made."""
    config = session.settings(index=index).model_copy(update={"embedder": None})
    with session.opened(config) as kit, output.progress() as bars:
        report = kit.reembed(embedder, progress=bars)
        name = kit.embedder.info.name
    if json:
        output.print_json(report)
        return
    output.print_text(
        f"generation {report.generation}: {report.changed} documents, {report.embedded} chunks embedded with {name}"
    )
    output.note(f"ask and sync with --embedder {embedder} from now on, or put it into the settings")


@app.command()
def gc(
    *,
    keep: Annotated[int, typer.Option("--keep", metavar="N", help="Generations to keep, beside the pinned ones.")] = 5,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Drop old generations and give their space back."""
    with session.opened(session.settings(index=index)) as kit:
        done = kit.gc(keep)
    if json:
        output.print_json(done)
        return
    gone = f"{done.generations} generations, {done.versions} versions of documents and {done.chunks} chunks dropped"
    sizes = f"{output.size(done.bytes_before)} before, {output.size(done.bytes_after)} after"
    output.print_text(f"{gone}; {output.size(max(0, done.bytes_before - done.bytes_after))} came back ({sizes})")


@app.command()
def doctor(
    *,
    index: options.Index = None,
    check: Annotated[bool, typer.Option("--check", help="Only look: nothing is written.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Copy the catalogue, then take out what is damaged; sync brings it back.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Check every promise of the index, and make what is derived again where it is wrong."""
    if check and repair:
        raise InputError("--check only looks and --repair writes: give one of them")
    from contextkit.catalog.doctor import Status, unreadable
    from contextkit.errors import IndexDamaged

    config = session.settings(index=index)
    try:
        with session.opened(config, read_only=check) as kit:
            health = kit.doctor(repair=repair)
    except IndexDamaged as error:
        health = unreadable(config.index, error)
    if json:
        output.print_json(health)
    else:
        styles = {Status.OK: "green", Status.MENDED: "cyan", Status.NOTE: "yellow", Status.FAIL: "bold red"}
        rows = [
            (output.styled(f.status, styles[f.status]), f.check, f"{f.detail}; {f.remedy}" if f.remedy else f.detail)
            for f in health.findings
        ]
        output.console().print(output.table("", ("", "check", "finding"), rows))
        for id_ in health.lost:
            output.print_text(f"taken out: {id_}")
        if health.backup:
            output.print_text(f"the catalogue as it was: {health.backup}")
        output.print_text("sound" if health.sound else "not sound: see what failed")
    if not health.sound:
        raise typer.Exit(SOME_FAILED)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the files.", show_default=False)],
    *,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Write what the index holds, rights included, as Parquet files for other tools and machines."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        done = kit.export(folder)
    if json:
        output.print_json(done)
        return
    counts = f"{done.documents} documents, {done.chunks} chunks, {done.vectors} vectors"
    output.print_text(output.visible(f"{done.folder}: {counts} of generation {done.generation}; {output.size(done.bytes)}"))


@app.command(name="import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What export wrote.", show_default=False)],
    *,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Make a new index of exported files, without embedding anything."""
    from contextkit.exchange import import_index

    with import_index(folder, session.settings(index=index).index) as catalog:
        result = {"index": str(catalog.folder), "documents": sum(catalog.sources().values()), "sources": catalog.sources()}
    if json:
        output.print_json(result)
    else:
        output.print_text(output.visible(f"{result['index']}: {result['documents']} documents"))


def _take_in(sources: list[str], config: Settings, *, retire: bool, allow_mass_delete: bool, as_json: bool) -> None:
    """Syncs each source in turn and prints the reports. Raises typer.Exit(1) where documents failed."""
    for source in sources:
        if is_path(source) and not Path(source.removeprefix("file://")).expanduser().exists():
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
