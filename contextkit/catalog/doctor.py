"""The doctor: looks at everything that an index promises, mends what can be made again, and says in words what is wrong.

Derived data (the vector file, posting lists, filter fields, counters, left-over drafts) is mended at sight. The truth is changed
only where asked to, after a copy of the catalogue was made.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from contextkit.catalog import checks, manifest, mending, reading
from contextkit.catalog.checks import Result
from contextkit.catalog.codec import Codec
from contextkit.catalog.database import Database
from contextkit.catalog.staging import Terms
from contextkit.errors import ContextkitError

if TYPE_CHECKING:
    from contextkit.catalog.catalog import Catalog
    from contextkit.catalog.vectors import Vectors

_SHOWN = 3
_LITTLE_SPACE = 1_000_000_000
_BIG_LOG = 256 * 2**20


class Status(StrEnum):
    """How a part of an index is."""

    OK = "ok"
    MENDED = "mended"
    NOTE = "note"
    FAIL = "fail"


class Finding(BaseModel):
    """What one check of the doctor found."""

    model_config = ConfigDict(frozen=True)

    check: str = Field(description="what was looked at")
    status: Status = Field(description="ok; mended: was wrong and is right now; note: works, but see the remedy; fail: is wrong")
    detail: str = Field(description="what is there")
    remedy: str = Field(default="", description="what to do about it; empty where nothing is to be done")


class Health(BaseModel):
    """The doctor's report."""

    model_config = ConfigDict(frozen=True)

    index: str = Field(description="the folder")
    sound: bool = Field(description="whether nothing is wrong any more")
    findings: tuple[Finding, ...] = Field(description="one a check")
    lost: tuple[str, ...] = Field(default=(), description="ids of documents that a repair had to take out, sorted")
    backup: str = Field(default="", description="the copy of the catalogue that was made before a repair; empty where none was")
    seconds: float = Field(description="time that it took")

    def of(self, status: Status) -> list[Finding]:
        """The findings of that status."""
        return [finding for finding in self.findings if finding.status is status]


class _Doctor:
    def __init__(
        self, catalog: Catalog, db: Database, codecs: tuple[Codec, Codec], terms: tuple[Terms, str], vectors: Vectors | None
    ) -> None:
        self.catalog, self.db, self.codecs, self.vectors = catalog, db, codecs, vectors
        self.terms, self.terms_version = terms
        self.findings: list[Finding] = []
        self.lost: tuple[str, ...] = ()
        self.backup = ""

    def look(self) -> list[Result]:
        """All checks of the catalogue, in one read transaction."""
        with self.db.reading() as c:
            looks: dict[str, Callable[[], Result]] = {
                "database": lambda: checks.database(c),
                "generations": lambda: checks.history(c),
                "texts": lambda: checks.texts(c),
                "vectors": lambda: checks.vectors(c, self.codecs),
                "counters": lambda: checks.counters(c),
                "filter fields": lambda: checks.fields(c),
                "full text": lambda: self.full_text(c),
            }
            return [_guarded(name, look) for name, look in looks.items()]

    def full_text(self, connection: sqlite3.Connection) -> Result:
        """The check of the lexical index; one of other terms is wrong as a whole."""
        if not mending.outdated(connection, self.terms_version):
            return checks.full_text(connection, self.terms)
        made = manifest.load(connection, "the index").terms
        problem = f"its words were read by other rules (version {made or 'unknown'}, now {self.terms_version})"
        return Result("full text", derived=True, problems=[problem])

    def mend(self, results: list[Result]) -> None:
        """Makes derived rows again."""
        wrong = {r.check for r in results if r.derived and r.problems}
        if wrong:
            with self.db.transaction() as c:
                if "counters" in wrong:
                    mending.counters(c)
                if "filter fields" in wrong:
                    mending.fields(c)
                if "full text" in wrong:
                    mending.full_text(c, self.terms, self.terms_version)
            self.noted()

    def repair(self, results: list[Result], run: int) -> None:
        """Takes out what cannot be trusted, after a copy was made."""
        self.db.checkpoint()
        self.backup = str(mending.backup(self.db.path))
        with self.db.transaction() as c:
            c.execute("REINDEX")
            bad = set().union(*(r.contents for r in results))
            self.lost = mending.without(c, run, bad)
            mending.counters(c)
            mending.fields(c)
            mending.full_text(c, self.terms, self.terms_version)
        self.noted()
        for path in self.catalog.folder.glob("vectors*"):
            path.unlink()
        if self.vectors is not None:
            self.vectors.drop()

    def noted(self) -> None:
        """Takes in another version of the terms, and puts it into the manifest."""
        before = self.catalog.identity
        self.catalog.refresh()
        if self.catalog.identity != before:
            manifest.write(self.catalog.folder, self.catalog.identity)

    def report(self, results: list[Result], before: list[Result]) -> None:
        """Puts the checks' results into words; `before` are those from before anything was mended."""
        for result, first in zip(results, before, strict=True):
            if result.problems:
                self.add(result.check, Status.FAIL, _told(result.problems), _remedy(result))
            elif first.problems:
                self.add(result.check, Status.MENDED, f"{_told(first.problems)}: made good")
            else:
                self.add(result.check, Status.OK, result.detail)

    def add(self, check: str, status: Status, detail: str, remedy: str = "") -> None:
        """Notes a finding."""
        self.findings.append(Finding(check=check, status=status, detail=detail, remedy=remedy))

    def vector_index(self, *, mend: bool) -> None:
        """The derived vector index, in memory and as a file."""
        if self.vectors is None:
            return
        n = len(self.vectors)
        problems = [*self.vectors.notes, *self.vectors.problems()]
        self.vectors.notes.clear()
        if not problems:
            filed = "its file is in step" if self.vectors.filed else "no file yet: it is made from the catalogue at opening"
            self.add("vector index", Status.OK, f"{n:,} chunks; {filed}")
        elif mend:
            self.vectors.rebuild()
            self.add("vector index", Status.MENDED, f"{_told(problems)}: made again from the catalogue")
            for note in self.vectors.notes:
                self.add("vector index", Status.NOTE, note, "make room or check the disk, then run the doctor again")
        else:
            self.add("vector index", Status.NOTE, _told(problems), "run the doctor where the index can be written")

    def files(self, *, mend: bool) -> None:
        """The manifest, and what dead writers left."""
        folder = self.catalog.folder
        left = mending.drafts(folder)
        if mend:
            for path in left:
                path.unlink(missing_ok=True)
        problem = ""
        try:
            if manifest.read(folder) != self.catalog.identity:
                problem = "the manifest is not that of the catalogue"
        except ContextkitError as error:
            problem = str(error)
        if problem and mend:
            manifest.write(folder, self.catalog.identity)
        found = [problem] * bool(problem) + [f"{len(left)} half-written files of writers that died"] * bool(left)
        if not found:
            self.add("files", Status.OK, "the manifest is the catalogue's; nothing is left over")
        else:
            status = Status.MENDED if mend else Status.NOTE
            self.add("files", status, _told(found), "" if mend else "run the doctor where the index can be written")

    def space(self) -> None:
        """Free space, and what gc could give back."""
        size = self.catalog.size()
        free = shutil.disk_usage(self.catalog.folder).free
        short = free < max(_LITTLE_SPACE, size)
        remedy = "make room: gc needs as much as the index for a moment" if short else ""
        self.add("free space", Status.NOTE if short else Status.OK, f"{free:,} bytes free, the index has {size:,}", remedy)
        log = self.db.path.with_name(self.db.path.name + "-wal")
        logged = log.stat().st_size if log.exists() else 0
        with self.db.reading() as c:
            current = reading.current(c)
            shown = c.execute(
                "SELECT ifnull(sum(n_chunks), 0) FROM contents WHERE id IN (SELECT content_id FROM documents WHERE died IS NULL)"
            ).fetchone()[0]
            total = c.execute("SELECT count(*) FROM chunks").fetchone()[0]
            pages, page = (c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
        dead = total - shown
        large = dead > max(1_000, shown // 2) or logged > _BIG_LOG
        detail = (
            f"{dead:,} of {total:,} chunks are not shown by generation {current}, {pages * page:,} bytes are free pages, "
            f"the log has {logged:,} bytes"
        )
        self.add("growth", Status.NOTE if large else Status.OK, detail, "contextkit index gc gives it back" if large else "")


def examine(
    catalog: Catalog,
    db: Database,
    codecs: tuple[Codec, Codec],
    terms: tuple[Terms, str],
    vectors: Vectors | None,
    *,
    repair: bool,
    wait: float,
) -> Health:
    """The report on an index. See `Catalog.examine`."""
    started = time.monotonic()
    doctor = _Doctor(catalog, db, codecs, terms, vectors)
    results = before = doctor.look()
    if any(r.problems for r in before) and not catalog.read_only:
        with catalog.writing("doctor", wait=wait) as run:
            before = doctor.look()  # another writer may have been at work until now
            if repair and any(r.problems and not r.derived for r in before):
                doctor.repair(before, run)
            else:
                doctor.mend(before)
            results = doctor.look()
    doctor.report(results, before)
    trusted = not any(r.problems for r in results if r.check in {"database", "vectors", "counters"})
    if trusted:
        doctor.vector_index(mend=not catalog.read_only)
    else:
        doctor.add("vector index", Status.NOTE, "not looked at: what it is made from is wrong")
    doctor.files(mend=not catalog.read_only)
    doctor.space()
    sound = not any(f.status is Status.FAIL for f in doctor.findings)
    return Health(
        index=str(catalog.folder),
        sound=sound,
        findings=tuple(doctor.findings),
        lost=doctor.lost,
        backup=doctor.backup,
        seconds=time.monotonic() - started,
    )


def unreadable(folder: Path, error: ContextkitError) -> Health:
    """The report on an index that cannot even be opened."""
    finding = Finding(check="opening", status=Status.FAIL, detail=str(error))
    return Health(index=str(folder), sound=False, findings=(finding,), seconds=0.0)


def _guarded(name: str, look: Callable[[], Result]) -> Result:
    """A check's result; damage that keeps it from reading at all is its problem."""
    try:
        return look()
    except sqlite3.Error as error:
        return Result(name, problems=[f"the catalogue cannot be read through ({error})"])


def _told(problems: list[str]) -> str:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more


def _remedy(result: Result) -> str:
    if result.derived:
        return "run the doctor where the index can be written"
    if result.check == "database":
        return "restore a copy of the folder; or --repair, which makes a copy first and then drops what cannot be read"
    if result.check == "generations":
        return "restore a copy of the folder"
    return (
        "restore a copy of the folder; or --repair, which makes a copy first and takes the documents out: sync brings them back"
    )
