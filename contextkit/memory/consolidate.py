"""Merging what says the same and putting away what has faded; nothing is erased, and all of it can be undone."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from contextkit.errors import InputError
from contextkit.memory import rows as records
from contextkit.memory import times
from contextkit.memory.audit import audit
from contextkit.memory.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contextkit.memory.core import Core
    from contextkit.protocols import Rows

_ARCHIVED = records.STATUSES.index(Status.ARCHIVED)


class Consolidation(BaseModel):
    """What a consolidation did.

    Attributes:
        id: for `undo`.
        merged: (id, id of the record that says the same), the first one now archived.
        faded: archived since they were not used for long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    merged: tuple[tuple[str, str], ...]
    faded: tuple[str, ...]


def consolidate(store: Core, archive_after: float | None) -> Consolidation:
    """See `MemoryStore.consolidate`."""
    if archive_after is not None and not archive_after > 0:
        raise InputError(f"archive_after={archive_after!r} must be a number of half-lives above 0")
    merged = audit(store, None).duplicates
    with store.reading() as rows:
        faded = [] if archive_after is None else _faded(store, rows, archive_after)
    run = uuid.uuid4().hex[:12]
    doubles = {records.number(later) for later, _ in merged}
    with store.writing() as rows:
        _archive(rows, run, sorted(doubles | set(faded)))
    return Consolidation(id=run, merged=merged, faded=tuple(f"m{i}" for i in faded if i not in doubles))


def _faded(store: Core, rows: Rows, half_lives: float) -> list[int]:
    """Active records without a key whose last use, or recording, is so many half-lives of their kind ago."""
    columns = store.columns(rows)
    d, n = columns.data, columns.size
    last = np.maximum(d["recorded_at"][:n], d["last_used"][:n])
    half = np.array([store.weights.half_life[k] for k in records.KINDS])[d["kind"][:n]] * (1 + np.log2(1 + d["uses"][:n]))
    old = (times.now() - last) / times.DAY > half_lives * half
    return [int(i) for i in np.flatnonzero(old & (columns.status[:n] == records.ACTIVE) & (d["key"][:n] == 0))]


def _archive(rows: Rows, run: str, ids: Iterable[int]) -> None:
    for i in ids:
        rows.execute(
            "INSERT INTO consolidated SELECT ?, id, status FROM records WHERE id = ? AND status = ?", (run, i, records.ACTIVE)
        )
        rows.execute(
            "UPDATE records SET status = ?, seq = ? WHERE id = ? AND status = ?",
            (_ARCHIVED, records.next_seq(rows), i, records.ACTIVE),
        )


def undo(store: Core, run: str) -> int:
    """See `MemoryStore.undo`."""
    with store.writing() as rows:
        found = rows.execute("SELECT record_id, status FROM consolidated WHERE run = ?", (run,)).fetchall()
        if not found:
            raise InputError(f"there is no consolidation {run!r} to undo, or it changed nothing")
        for number, status in found:
            rows.execute(
                "UPDATE records SET status = ?, seq = ? WHERE id = ? AND status = ?",
                (status, records.next_seq(rows), number, _ARCHIVED),
            )
        rows.execute("DELETE FROM consolidated WHERE run = ?", (run,))
    return len(found)
