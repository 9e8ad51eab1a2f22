"""A memory as lines of JSON, and back: for backups, moves to another embedder, and eyes. Vectors are made anew when loading."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from contextkit.errors import InputError
from contextkit.memory import embed, scopes, times
from contextkit.memory import rows as records
from contextkit.memory.records import Memory, Status
from contextkit.memory.rows import Draft

if TYPE_CHECKING:
    from contextkit.memory.core import Core
    from contextkit.protocols import Rows

_BATCH = 256


def export(store: Core) -> Iterator[str]:
    """See `MemoryStore.export`."""
    last = 0
    while True:
        with store.reading() as rows:
            ids = [
                int(r[0])
                for r in rows.execute("SELECT id FROM records WHERE id > ? ORDER BY id LIMIT ?", (last, _BATCH)).fetchall()
            ]
            found = records.read(rows, ids)
            wrong = {i for i in ids if rows.execute("SELECT void FROM records WHERE id = ?", (i,)).fetchone()[0]}
        for i in ids:
            memory, turn = found[i]
            line = memory.model_dump(mode="json", exclude={"score", "conflicts"})
            line["thread"] = turn.name if turn.thread else None
            line["wrong"] = i in wrong
            yield json.dumps(line, ensure_ascii=False, sort_keys=True)
        if len(ids) < _BATCH:
            return
        last = ids[-1]


def load(store: Core, lines: Iterable[str]) -> int:
    """See `MemoryStore.load`."""
    given = [_line(text, i) for i, text in enumerate(lines, 1) if text.strip()]
    vectors = embed.texts(store.embedder, [embed.line(m.text, m.source.author) for m, _, _ in given])
    new: dict[str, int] = {}
    added = 0
    with store.writing() as rows:
        for i, (memory, thread, wrong) in enumerate(given):
            held = _held(rows, memory)
            if held is not None:
                new[memory.id] = held
                continue
            draft = _draft(memory, thread, tuple(new[p] for p in memory.lineage if p in new))
            number = records.insert(rows, [draft], vectors[i : i + 1])[0]
            new[memory.id] = number
            _as_recorded(rows, number, memory, wrong=wrong)
            added += 1
        for key, scope in rows.execute("SELECT DISTINCT key_id, scope_id FROM records WHERE key_id IS NOT NULL").fetchall():
            records.judge(rows, key, scope, records.clock(rows, 1))
    return added


def _line(text: str, number: int) -> tuple[Memory, str | None, bool]:
    try:
        body = json.loads(text)
        thread, wrong = body.pop("thread", None), bool(body.pop("wrong", False))
        memory = Memory.model_validate(body)
        scopes.checked(memory.scope)
        records.number(memory.id)
    except (ValueError, ValidationError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"line {number} is no record of an export ({first}): {text[:60]!r}; nothing was loaded") from None
    return memory, thread, wrong


def _held(rows: Rows, memory: Memory) -> int | None:
    """The row that is this record already: the same words of the same scope, recorded at the same moment."""
    found = rows.execute(
        "SELECT r.id FROM records r JOIN scopes s ON s.id = r.scope_id WHERE r.hash = ? AND s.name = ? AND r.recorded_at = ?",
        (records.same_words(memory.text), scopes.name_of(scopes.checked(memory.scope)), times.micros(memory.recorded_at)),
    ).fetchone()
    return None if found is None else int(found[0])


def _draft(memory: Memory, thread: str | None, lineage: tuple[int, ...]) -> Draft:
    return Draft(
        text=memory.text, kind=memory.kind, scope=scopes.checked(memory.scope), valid_from=times.micros(memory.valid_from),
        valid_to=times.FOREVER if memory.valid_to is None else times.micros(memory.valid_to), key=memory.key, trust=memory.trust,
        importance=memory.importance, source=memory.source, lineage=lineage, thread=thread,
        status=Status.ACTIVE if memory.status is Status.SUPERSEDED else memory.status,
    )  # fmt: skip


def _as_recorded(rows: Rows, number: int, memory: Memory, *, wrong: bool) -> None:
    """Sets what a new record has of its own to what the old one had."""
    rows.execute(
        "UPDATE records SET recorded_at = ?, uses = ?, last_used = ? WHERE id = ?",
        (times.micros(memory.recorded_at), memory.uses, times.optional(memory.last_used, "last_used"), number),
    )
    if wrong and memory.superseded_at is not None:
        records.void(rows, [number], times.micros(memory.superseded_at))
