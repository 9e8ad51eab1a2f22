"""What stands in line with a record: what it was derived from, what took its place, and what shares its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contextkit.errors import InputError
from contextkit.memory import rows as records
from contextkit.memory import scopes, times
from contextkit.memory.records import Memory, Source, Status
from contextkit.memory.rows import Draft

if TYPE_CHECKING:
    from contextkit.protocols import Rows


def lower_trust(rows: Rows, draft: Draft) -> None:
    """Holds trust to that of the least trusted record of the lineage. Raises InputError where one of them is missing."""
    for parent in draft.lineage:
        found = rows.execute("SELECT trust FROM records WHERE id = ?", (parent,)).fetchone()
        if found is None:
            raise InputError(f"lineage names m{parent}, and there is no such memory")
        draft.trust = min(draft.trust, float(found[0]))


def again(old: Memory) -> Draft:
    """A draft that repeats a record. Raises InputError where nothing of it is left."""
    if old.status is Status.FORGOTTEN:
        raise InputError(f"{old.id} was forgotten on {times.shown(old.recorded_at)}, and nothing of it is kept")
    return Draft(
        text=old.text, kind=old.kind, scope=scopes.checked(old.scope), valid_from=times.micros(old.valid_from),
        valid_to=times.FOREVER if old.valid_to is None else times.micros(old.valid_to), key=old.key, trust=old.trust,
        importance=old.importance, source=old.source, lineage=(records.number(old.id),),
    )  # fmt: skip


def missing(rows: Rows, number: int) -> str:
    """Why there is no such record: it was forgotten, or never was."""
    stone = forgotten(rows, number)
    if stone is None:
        return f"no memory 'm{number}': history and recall show the ids there are"
    return f"m{number} was forgotten on {times.shown(stone.recorded_at)}, and nothing of it is kept"


def forgotten(rows: Rows, number: int) -> Memory | None:
    """What is left of a forgotten record: its id, its kind, when and why it went; None where nothing of that id was forgotten."""
    found = rows.execute("SELECT kind, time, reason, proof FROM tombstones WHERE id = ?", (number,)).fetchone()
    if found is None:
        return None
    at = times.moment(found[1])
    assert at is not None
    return Memory(
        id=f"m{number}", text="", kind=records.KINDS[found[0]], scope={}, valid_from=at, valid_to=at, recorded_at=at,
        superseded_at=at, status=Status.FORGOTTEN, trust=0.0, importance=0.0,
        source=Source(platform="contextkit", conversation=f"erasure {found[3]}", message_id=str(found[2])),
    )  # fmt: skip


def of_key(rows: Rows, key: tuple[str, str]) -> list[int]:
    """The records of a key, oldest first."""
    found = rows.execute(
        "SELECT r.id FROM records r JOIN keys k ON k.id = r.key_id WHERE k.subject = ? AND k.attribute = ? ORDER BY r.id",
        key,
    )
    return [int(row[0]) for row in found]


def family(rows: Rows, number: int) -> list[int]:
    """The record, what it was derived from, and what was derived from it; [] where there is no such record."""
    if rows.execute("SELECT 1 FROM records WHERE id = ?", (number,)).fetchone() is None:
        return []
    out = {number}
    for mine, other in (("record_id", "parent_id"), ("parent_id", "record_id")):
        edge = [number]
        while edge:
            marks = ", ".join("?" * len(edge))
            found = {int(r[0]) for r in rows.execute(f"SELECT {other} FROM lineage WHERE {mine} IN ({marks})", edge)}
            edge = sorted(found - out)
            out |= found
    return sorted(out)
