"""Merging what says the same, digesting long episodes, putting away what has faded; nothing is erased, and all can be undone.

Everything that a run does is noted in the table `consolidated`: a record that it archived with the status that it had and the
record that stands for it now (none: it faded), and a digest that it made as standing for itself.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from contextkit.errors import InputError
from contextkit.memory import embed, episodes, kin, times
from contextkit.memory import rows as records
from contextkit.memory.arguments import number
from contextkit.memory.audit import duplicates_of
from contextkit.memory.records import Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.memory.core import Core
    from contextkit.memory.episodes import Plan
    from contextkit.protocols import Rows

_ARCHIVED = records.STATUSES.index(Status.ARCHIVED)


class Digest(BaseModel):
    """A record that stands for others.

    Attributes:
        id: of the digest.
        text: what it says, in words of the originals.
        originals: ids of the records that it was made from, now archived.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    originals: tuple[str, ...]


class Consolidation(BaseModel):
    """What a consolidation did.

    Attributes:
        id: for `undo`.
        merged: (id, id of the record that stands for it), the first one now archived.
        digests: of near duplicates and of long episodes.
        faded: archived since they were not used for long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    merged: tuple[tuple[str, str], ...]
    digests: tuple[Digest, ...]
    faded: tuple[str, ...]


def consolidate(store: Core, archive_after: float | None, older_than: float | None, longer_than: int | None) -> Consolidation:
    """See `MemoryStore.consolidate`."""
    for value, name, unit in ((archive_after, "archive_after", "half-lives"), (older_than, "older_than", "days")):
        if value is not None and not number(value, name) > 0:
            raise InputError(f"{name}={value!r} must be a number of {unit} above 0")
    if longer_than is not None and (isinstance(longer_than, bool) or not isinstance(longer_than, int) or longer_than < 1):
        raise InputError(f"longer_than={longer_than!r} must be a whole number of turns above 0")
    with store.reading() as rows:
        groups = _groups(rows)
        doubles = {later for plan in groups for later in plan.archived}
        plans = [p for p in groups if p.draft is not None] + episodes.plans(rows, older_than, longer_than, leave=doubles)
        faded = [] if archive_after is None else _faded(store, rows, archive_after)
    same = [p for p in groups if p.draft is None]
    texts = [p.draft.text for p in plans if p.draft is not None]
    vectors = embed.texts(store.embedder, texts)
    run = uuid.uuid4().hex[:12]
    merged: list[tuple[str, str]] = []
    with store.writing() as rows:
        digests = [d for i, plan in enumerate(plans) if (d := _digested(rows, run, plan, vectors[i : i + 1])) is not None]
        for plan in same:
            merged += [(f"m{i}", f"m{plan.first}") for i in _archive(rows, run, plan.archived, plan.first)]
        gone = _archive(rows, run, faded, None)
    doubled = {f"m{i}" for i in doubles}
    merged += [(original, d.id) for d in digests for original in d.originals if original in doubled]
    return Consolidation(
        id=run, merged=tuple(sorted(merged, key=lambda pair: records.number(pair[0]))), digests=tuple(digests),
        faded=tuple(f"m{i}" for i in gone),
    )  # fmt: skip


def _groups(rows: Rows) -> list[Plan]:
    """What says the same: with a digest where the words differ and no place in a talk or under a key is lost, else to be merged
    into the first.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    made = episodes.digests(rows)
    for double, first in duplicates_of(rows):
        if double not in made:  # a digest stands for its own originals, and is not merged in turn
            groups[first].append(double)
    out: list[Plan] = []
    for first, later in sorted(groups.items()):
        found = records.read(rows, [first, *later])
        free = not any(turn.thread or memory.key for memory, turn in found.values())
        differ = len({records.same_words(memory.text) for memory, _ in found.values()}) > 1
        if free and differ and first not in made:
            out.append(episodes.of_duplicates([found[i][0] for i in (first, *later)]))
        else:
            out.append(episodes.Plan(None, first, tuple(later)))
    return out


def _digested(rows: Rows, run: str, plan: Plan, vector: NDArray[np.float32]) -> Digest | None:
    """Writes a digest and archives its originals; None, and nothing written, where one of them has changed meanwhile."""
    if plan.draft is None or not _all_active(rows, plan.archived):
        return None
    kin.lower_trust(rows, plan.draft)
    made = records.insert(rows, [plan.draft], vector)[0]
    rows.execute("INSERT INTO consolidated VALUES (?, ?, ?, ?)", (run, made, records.ACTIVE, made))
    _archive(rows, run, plan.archived, made)
    return Digest(id=f"m{made}", text=plan.draft.text, originals=tuple(f"m{i}" for i in plan.archived))


def _all_active(rows: Rows, ids: Sequence[int]) -> bool:
    return all(
        rows.execute("SELECT 1 FROM records WHERE id = ? AND status = ?", (i, records.ACTIVE)).fetchone() is not None for i in ids
    )


def _faded(store: Core, rows: Rows, half_lives: float) -> list[int]:
    """Active records without a key whose last use, or recording, is so many half-lives of their kind ago."""
    columns = store.columns(rows)
    d, n = columns.data, columns.size
    last = np.maximum(d["recorded_at"][:n], d["last_used"][:n])
    half = np.array([store.weights.half_life[k] for k in records.KINDS])[d["kind"][:n]] * (1 + np.log2(1 + d["uses"][:n]))
    old = (times.now() - last) / times.DAY > half_lives * half
    return [int(i) for i in np.flatnonzero(old & (columns.status[:n] == records.ACTIVE) & (d["key"][:n] == 0))]


def _archive(rows: Rows, run: str, ids: Sequence[int], into: int | None) -> list[int]:
    """Archives those that are still active, and gives them."""
    out = []
    for i in ids:
        held = rows.execute("SELECT status FROM records WHERE id = ?", (i,)).fetchone()
        if held is None or held[0] != records.ACTIVE:
            continue
        rows.execute("INSERT INTO consolidated VALUES (?, ?, ?, ?)", (run, i, held[0], into))
        rows.execute("UPDATE records SET status = ?, seq = ? WHERE id = ?", (_ARCHIVED, records.next_seq(rows), i))
        out.append(i)
    return out


def restore(rows: Rows, archived: Sequence[tuple[int, int]]) -> int:
    """Gives (id, status) records that are still archived their status back; how many there were."""
    return sum(
        rows.execute(
            "UPDATE records SET status = ?, seq = ? WHERE id = ? AND status = ?",
            (status, records.next_seq(rows), i, _ARCHIVED),
        ).rowcount
        for i, status in archived
    )


def undo(store: Core, run: str) -> int:
    """See `MemoryStore.undo`."""
    from contextkit.memory.forget import delete

    with store.writing() as rows:
        found = rows.execute(
            "SELECT record_id, status, into_id FROM consolidated WHERE run = ? ORDER BY record_id", (run,)
        ).fetchall()
        if not found:
            raise InputError(f"there is no consolidation {run!r} to undo, or it changed nothing")
        made = [int(i) for i, _, into in found if i == into]
        for i in made:  # what was derived from a digest since was derived from its originals
            rows.execute(
                "INSERT INTO lineage SELECT c.record_id, o.parent_id FROM lineage c JOIN lineage o ON o.record_id = c.parent_id "
                "WHERE c.parent_id = ? AND NOT EXISTS "
                "(SELECT 1 FROM lineage l WHERE l.record_id = c.record_id AND l.parent_id = o.parent_id)",
                (i,),
            )  # fmt: skip
        restored = restore(rows, [(int(i), int(status)) for i, status, into in found if i != into])
        rows.execute("DELETE FROM consolidated WHERE run = ?", (run,))
        delete(rows, made)
    return restored
