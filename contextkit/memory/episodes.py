"""Which records a digest is made of: near duplicates, and the turns of conversations that are over or have grown long.

Here the groups are chosen and their digests drafted; writing them is `consolidate.py`, choosing their sentences `digest.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contextkit.memory import rows as records
from contextkit.memory import scopes, times
from contextkit.memory.digest import digest
from contextkit.memory.records import Kind, Memory, Source
from contextkit.memory.rows import Draft

if TYPE_CHECKING:
    from contextkit.protocols import Rows

LEAST = 4  # turns; fewer are short enough as they are
MOST = 40  # turns of one digest
_WORTH = 0.6  # a digest of more than this share of its originals' characters saves too little


@dataclass(frozen=True, slots=True)
class Plan:
    """A group that is to become one.

    Attributes:
        draft: the digest, with its lineage; None where the first record stands for the others.
        first: the first record of the group.
        archived: the records that go to the archive.
    """

    draft: Draft | None
    first: int
    archived: tuple[int, ...]


def digests(rows: Rows) -> set[int]:
    """The records that are digests."""
    return {int(row[0]) for row in rows.execute("SELECT record_id FROM consolidated WHERE into_id = record_id").fetchall()}


def of_duplicates(group: Sequence[Memory]) -> Plan:
    """The digest of free-standing records that say nearly the same, in the words of the first: it is true of all their time."""
    first = group[0]
    ends = [m.valid_to for m in group]
    draft = Draft(
        text=first.text, kind=first.kind, scope=scopes.checked(_common(group)),
        valid_from=min(times.micros(m.valid_from) for m in group),
        valid_to=times.FOREVER if None in ends else max(times.micros(e) for e in ends if e is not None),
        importance=max(m.importance for m in group), source=first.source, trust=min(m.trust for m in group),
        lineage=tuple(records.number(m.id) for m in group),
    )  # fmt: skip
    return Plan(draft, records.number(first.id), draft.lineage)


def _common(group: Sequence[Memory]) -> dict[str, str]:
    """The one scope of all; of several sessions of an owner, the owner's."""
    first = group[0].scope
    if all(m.scope == first for m in group):
        return first
    return dict(scopes.owner(scopes.checked(first)))


def plans(rows: Rows, older_than: float | None, longer_than: int | None, *, leave: Collection[int]) -> list[Plan]:
    """The digests of conversations whose last turn is so many days old, or of all but the last so many turns of longer ones.

    Args:
        rows: of the memory.
        older_than: days; None: no conversation is old.
        longer_than: turns; None: no conversation is long.
        leave: records that something else is done with.
    """
    if older_than is None and longer_than is None:
        return []
    found = rows.execute(
        "SELECT r.id, r.thread_id, r.text, r.valid_from, r.trust, r.importance, s.name, c.body, r.conversation FROM records r "
        "JOIN scopes s ON s.id = r.scope_id JOIN sources c ON c.id = r.source_id "
        "WHERE r.status = ? AND r.thread_id IS NOT NULL ORDER BY r.thread_id, r.place",
        (records.ACTIVE,),
    ).fetchall()
    threads: dict[int, list[Any]] = {}
    for row in found:
        if row[0] not in leave:
            threads.setdefault(row[1], []).append(row)
    before = None if older_than is None else times.now() - int(older_than * times.DAY)
    out: list[Plan] = []
    for turns in threads.values():
        over = before is not None and max(t[3] for t in turns) < before
        old = turns if over else turns[: max(0, len(turns) - longer_than)] if longer_than is not None else []
        out += [plan for block in _blocks(old) if (plan := _of_block(block)) is not None]
    return out


def _blocks(turns: Sequence[Any]) -> list[list[Any]]:
    """The turns in parts of at most `MOST`, cut where a day ends once a part has half of that; too short ones are left out."""
    out: list[list[Any]] = []
    part: list[Any] = []
    for turn in turns:
        new_day = bool(part) and turn[3] // times.DAY != part[-1][3] // times.DAY
        if len(part) >= MOST or (new_day and len(part) >= MOST // 2):
            out.append(part)
            part = []
        part.append(turn)
    if part:
        out.append(part)
    return [block for block in out if len(block) >= LEAST]


def _of_block(block: Sequence[Any]) -> Plan | None:
    text = digest([(records.author(row[7]), row[2]) for row in block])
    if not text or len(text) > _WORTH * sum(len(row[2]) for row in block):
        return None
    ids = tuple(int(row[0]) for row in block)
    draft = Draft(
        text=text, kind=Kind.EPISODIC, scope=scopes.pairs_of(block[0][6]), valid_from=min(row[3] for row in block),
        trust=min(float(row[4]) for row in block), importance=max(float(row[5]) for row in block),
        source=Source(conversation=block[0][8]), lineage=ids,
    )  # fmt: skip
    return Plan(draft, ids[0], ids)
