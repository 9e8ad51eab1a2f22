"""The start of a run: lists the source and decides what is unchanged, what must be read and what may be retired."""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from contextkit.catalog import Catalog
from contextkit.errors import InputError, SourceError
from contextkit.protocols import Connector
from contextkit.sync.pipeline import Keys, own_access
from contextkit.sync.report import Failure, Progress
from contextkit.types import DocumentRef, ListingPage

_BRAKE = 20  # retiring more documents than this, and more than half, needs a yes
_PART = 1_000  # documents of a listing held at once


class Refs:
    """Documents of a listing, in order. Beyond a thousand they are kept in a file without a name, and read back part by part.

    Args:
        folder: where that file is; None: where the system keeps such files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._parts: list[tuple[int, int] | list[DocumentRef]] = []  # where a part lies in the file, or the part itself
        self._last: list[DocumentRef] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, ref: DocumentRef) -> None:
        """Adds a document."""
        self._last.append(ref)
        self._count += 1
        if len(self._last) >= _PART:
            self._parts.append(self._stored(self._last) or self._last)
            self._last = []

    def _stored(self, part: list[DocumentRef]) -> tuple[int, int] | None:
        """Where the part lies in the file now; None where it must stay in memory."""
        try:
            data = pickle.dumps(part, pickle.HIGHEST_PROTOCOL)
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed with this
                weakref.finalize(self, self._file.close)
            at = self._file.seek(0, os.SEEK_END)
            return (at, len(data)) if self._file.write(data) == len(data) else None
        except (pickle.PicklingError, TypeError, AttributeError, OSError):
            return None  # a plug-in's own kind of mapping, or a disk without room: what comes later will say so, if it matters

    def parts(self) -> Iterator[list[DocumentRef]]:
        """The documents, about a thousand at a time; to be gone through by one at a time."""
        for part in self._parts:
            if isinstance(part, list):
                yield part
            elif self._file is not None:
                self._file.seek(part[0])
                yield pickle.loads(self._file.read(part[1]))  # noqa: S301 - written by ourselves
        if self._last:
            yield self._last

    def __iter__(self) -> Iterator[DocumentRef]:
        for part in self.parts():
            yield from part


@dataclass
class Plan:
    """What a run is to do.

    Attributes:
        source: the source's name.
        listed: documents that the source named.
        read: those whose content must be read.
        rewrite: those of which only metadata, address or rights changed.
        retire: ids of living documents that the source no longer has.
        complete: whether the whole source was listed.
        cursor: where a later listing may go on.
        failures: entries that could not be listed.
    """

    source: str
    listed: int = 0
    read: Refs = field(default_factory=Refs)
    rewrite: Refs = field(default_factory=Refs)
    retire: list[str] = field(default_factory=list)
    complete: bool = False
    cursor: str | None = None
    failures: list[Failure] = field(default_factory=list)


def plan(catalog: Catalog, connector: Connector, keys: Keys, *, retire: bool, progress: Progress) -> Plan:
    """What a run over that source is to do. Forgets what an earlier run staged and the source no longer has like that.

    Raises:
        SourceError: the source cannot be listed.
    """
    out = Plan(connector.source, read=Refs(catalog.folder), rewrite=Refs(catalog.folder))
    living = catalog.living(out.source)
    staged = catalog.staged(out.source)
    others = any(count for name, count in catalog.sources().items() if name != out.source)
    owners = catalog.owners() if others else {}
    named: set[str] = set()
    good: set[str] = set()
    removed: list[str] = []
    for page in _pages(connector):
        for ref in page.refs:
            if ref.id in named:
                out.failures.append(Failure(id="", uri=ref.id, reason="the source lists this id twice; the first was taken"))
                continue
            named.add(ref.id)
            if owners.get(ref.id, out.source) != out.source:
                reason = f"the id belongs to the source {owners[ref.id]!r} already"
                out.failures.append(Failure(id=ref.id, uri=ref.uri, reason=reason))
                continue
            if _decide(out, ref, keys.observed(ref), living.get(ref.id), staged.get(ref.id)):
                good.add(ref.id)
        out.failures.extend(Failure(id="", uri=uri, reason=reason) for uri, reason in page.problems)
        removed.extend(page.removed)
        out.complete = page.complete
        out.cursor = page.cursor or out.cursor
        progress("list", len(named), None)
    out.listed = len(named)
    out.complete = out.complete and not any(f.id == "" for f in out.failures)
    if retire:
        gone = set(removed) - named | (living.keys() - named if out.complete else set())
        out.retire = sorted(gone & living.keys())
    stale = [i for i in staged if i not in good]
    if stale:
        catalog.unstage(out.source, stale)
    return out


def _pages(connector: Connector) -> Iterator[ListingPage]:
    try:
        yield from connector.list()
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"the source {connector.source!r} cannot be listed ({error}): nothing was changed") from error


def _decide(out: Plan, ref: DocumentRef, seen: tuple[bytes, bytes], living: bytes | None, staged: bytes | None) -> bool:
    """Sorts a document into the plan; True where what is staged for it is still right."""
    content, rest = seen
    if ref.version:
        same = {content + rest, own_access(content) + rest}
        if staged in same:
            return True
        if living in same:
            return False
        if living is not None and living[: len(content)] == content:
            out.rewrite.append(ref)
            return False
    out.read.append(ref)
    return False


def brake(found: Plan, living: int) -> None:
    """Stops a run that would retire more than half of a source, and more than 20 documents.

    Raises:
        InputError: with the numbers and what to do.
    """
    if len(found.retire) > _BRAKE and len(found.retire) * 2 > living:
        raise InputError(
            f"{len(found.retire)} of the {living} documents of {found.source!r} are gone from it; retiring more than half "
            "of a source (and more than 20) needs a yes: check the source, then allow the mass delete (--allow-mass-delete)"
        )
