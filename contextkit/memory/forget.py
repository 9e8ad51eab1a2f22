"""Erasing for good: the records, what was derived from them, their words in the full text, their vectors, and every trace in the
store's files; with a proof.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from contextkit.catalog import postings
from contextkit.errors import InputError
from contextkit.memory import consolidate, kin, persons, scopes, times
from contextkit.memory import rows as records

if TYPE_CHECKING:
    from contextkit.memory.core import Core
    from contextkit.protocols import Rows

_SEARCHED = 1000  # texts that are looked for in the files afterwards; a file is read once


class Erasure(BaseModel):
    """The proof of an erasure. Says nothing of what was erased but its ids.

    Attributes:
        id: names the receipt.
        time: when.
        what: what was asked to be forgotten: "record", "key", "scope", "person" or "retention".
        ids: of the erased records, asked for and derived.
        derived: how many of them were derived from those asked for.
        states: values of `state` that went with them.
        files: the files or tables that make up the memory since, each searched for the erased texts.
        searched: how many erased texts were searched for.
        found: how many of them still stand in a file, because another record that was not to be forgotten has the same words.
        beyond: where copies may be that the store cannot reach, such as a server's backups; () where it reaches all of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    time: datetime
    what: str
    ids: tuple[str, ...]
    derived: int
    states: int
    files: tuple[str, ...]
    searched: int
    found: int
    beyond: tuple[str, ...] = ()


def forget(
    store: Core,
    *,
    id: str | None,  # noqa: A002 - the word that users know
    key: tuple[str, str] | None,
    scope: scopes.Pairs | None,
    person: str | None,
) -> Erasure:
    """See `MemoryStore.forget`."""
    if (id is not None) + (key is not None or scope is not None) + (person is not None) != 1:
        raise InputError("forget needs one of id=, key=, scope= (or a key with its scope), person=")
    what = "record" if id is not None else "key" if key is not None else "person" if person is not None else "scope"
    proof = uuid.uuid4().hex[:12]
    with store.writing() as rows:
        chosen = _chosen(rows, id, key, scope, person)
        states = _states(rows, scope if key is None else None, person)
        names = persons.handles(rows, person) if person is not None else []
        ids, texts = _erase(rows, chosen, what, proof)
        rows.executemany("DELETE FROM persons WHERE person = ? OR handle = ?", [(name, name) for name in names])
        _sweep(rows)
    return _proof(store, proof, what, ids, len(ids) - len(chosen), states, texts)


def expire(store: Core) -> Erasure | None:
    """See `MemoryStore.expire`."""
    proof = uuid.uuid4().hex[:12]
    with store.writing() as rows:
        now = times.now()
        chosen: set[int] = set()
        for name, days in rows.execute("SELECT scope, days FROM limits").fetchall():
            before = now - int(days * times.DAY)
            for scope in _within(rows, [dict(scopes.pairs_of(name))]):
                found = rows.execute("SELECT id FROM records WHERE scope_id = ? AND recorded_at <= ?", (scope, before)).fetchall()
                chosen |= {int(row[0]) for row in found}
        if not chosen:
            return None
        ids, texts = _erase(rows, sorted(chosen), "retention", proof)
        _sweep(rows)
    return _proof(store, proof, "retention", ids, len(ids) - len(chosen), 0, texts)


def _erase(rows: Rows, chosen: Sequence[int], what: str, proof: str) -> tuple[list[int], list[str]]:
    """Deletes records with all that was derived from them and all that they stand for; gives their ids and texts.

    A stone stays for each: its id, kind and time, what was asked, and the proof's id.
    """
    ids = _with_derived(rows, _with_merged(rows, chosen))
    texts = _texts(rows, ids)
    now = times.now()
    kinds = [rows.execute("SELECT kind FROM records WHERE id = ?", (i,)).fetchone()[0] for i in ids]
    rows.executemany(
        "INSERT INTO tombstones VALUES (?, ?, ?, ?, ?)", [(i, kind, now, what, proof) for i, kind in zip(ids, kinds, strict=True)]
    )
    delete(rows, ids)
    return ids, texts


def _proof(store: Core, proof: str, what: str, ids: Sequence[int], derived: int, states: int, texts: Sequence[str]) -> Erasure:
    """Purges the files and searches them."""
    store.recent.clear()
    files = tuple(store.backend.purge())
    searched, found = _search(store, texts)
    moment = times.moment(times.now())
    assert moment is not None
    return Erasure(
        id=proof, time=moment, what=what, ids=tuple(f"m{i}" for i in ids), derived=derived,
        states=states, files=files, searched=searched, found=found,
        beyond=tuple(getattr(store.backend, "beyond", ())),
    )  # fmt: skip


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _chosen(
    rows: Rows, id_: str | None, key: tuple[str, str] | None, scope: scopes.Pairs | None, person: str | None
) -> list[int]:
    if id_ is not None:
        number = records.number(id_)
        if rows.execute("SELECT 1 FROM records WHERE id = ?", (number,)).fetchone() is None:
            raise InputError(f"{kin.missing(rows, number)}; nothing was forgotten")
        return [number]
    names = [dict(scope)] if scope is not None else [{"user": name} for name in persons.handles(rows, person or "")]
    within = None if person is None and scope is None else _within(rows, names)
    if key is not None:
        found = rows.execute(
            "SELECT r.id, r.scope_id FROM records r JOIN keys k ON k.id = r.key_id WHERE k.subject = ? AND k.attribute = ?", key
        ).fetchall()
        return sorted(int(i) for i, s in found if within is None or s in within)
    return sorted(
        int(row[0])
        for s in sorted(within or ())
        for row in rows.execute("SELECT id FROM records WHERE scope_id = ?", (s,)).fetchall()
    )


def _within(rows: Rows, names: Iterable[dict[str, str]]) -> set[int]:
    """The rows of all scopes that name all that one of these names."""
    found = rows.execute("SELECT id, name FROM scopes").fetchall()
    return {int(i) for i, name in found for wanted in names if wanted.items() <= dict(scopes.pairs_of(name)).items()}


def _with_merged(rows: Rows, chosen: Sequence[int]) -> list[int]:
    """The records, and those that were merged into them: they say the same, and would come back otherwise."""
    out, edge = set(chosen), list(chosen)
    while edge:
        more = {
            int(r[0]) for i in edge for r in rows.execute("SELECT record_id FROM consolidated WHERE into_id = ?", (i,)).fetchall()
        }
        edge = sorted(more - out)
        out |= more
    return sorted(out)


def _with_derived(rows: Rows, chosen: Sequence[int]) -> list[int]:
    out, edge = set(chosen), list(chosen)
    while edge:
        more = {
            int(r[0]) for i in edge for r in rows.execute("SELECT record_id FROM lineage WHERE parent_id = ?", (i,)).fetchall()
        }
        edge = sorted(more - out)
        out |= more
    return sorted(out)


def _texts(rows: Rows, ids: Sequence[int]) -> list[str]:
    return [str(rows.execute("SELECT text FROM records WHERE id = ?", (i,)).fetchone()[0]) for i in ids[:_SEARCHED]]


def _states(rows: Rows, scope: scopes.Pairs | None, person: str | None) -> int:
    """Deletes the values that belong to the scope or person; gives their number."""
    if scope is None and person is None:
        return 0
    names = [dict(scope)] if scope is not None else [{"user": n} for n in persons.handles(rows, person or "")]
    within = sorted(_within(rows, names))
    return sum(rows.execute("DELETE FROM values_ WHERE scope_id = ?", (s,)).rowcount for s in within)


def delete(rows: Rows, ids: Sequence[int]) -> None:
    """Deletes records from all tables. What had gone to the archive because one of them stands for it comes back."""
    if not ids:
        return
    one = [(i,) for i in ids]
    gone = set(ids)
    for i in ids:
        found = rows.execute("SELECT record_id, status FROM consolidated WHERE into_id = ?", (i,)).fetchall()
        consolidate.restore(rows, [(int(r), int(status)) for r, status in found if r not in gone])
        rows.execute("DELETE FROM consolidated WHERE into_id = ?", (i,))
    keys = {
        (int(r[0]), int(r[1]))
        for i in ids
        for r in rows.execute("SELECT key_id, scope_id FROM records WHERE id = ? AND key_id IS NOT NULL", (i,)).fetchall()
    }
    for table, column in (
        ("bands", "record_id"),
        ("consolidated", "record_id"),
        ("lineage", "record_id"),
        ("lineage", "parent_id"),
        ("records", "id"),
    ):
        rows.executemany(f"DELETE FROM {table} WHERE {column} = ?", one)
    _rewrite(rows, ids)
    for key, scope in sorted(keys):
        records.judge(rows, key, scope, records.clock(rows, 1))
    rows.execute("UPDATE state SET value = value + 1 WHERE key = 'erasures'")
    records.next_seq(rows)


def _rewrite(rows: Rows, ids: Sequence[int]) -> None:
    """Takes records out of the full text; only segments that hold one of them are written again."""
    size = int(rows.execute("SELECT value FROM state WHERE key = 'next_id'").fetchone()[0])
    living = np.ones(size, np.bool_)
    living[list(ids)] = False
    for segment, first, stop in rows.execute("SELECT id, first_chunk, stop_chunk FROM segments").fetchall():
        if not living[first:stop].all():
            postings.rewrite(rows, [segment], living)  # type: ignore[arg-type]  # the same few methods
    postings.touch(rows)  # type: ignore[arg-type]  # the same few methods


def _sweep(rows: Rows) -> None:
    """Deletes names that nothing refers to any more."""
    rows.execute("DELETE FROM keys WHERE id NOT IN (SELECT key_id FROM records WHERE key_id IS NOT NULL)")
    rows.execute("DELETE FROM sources WHERE id NOT IN (SELECT source_id FROM records)")
    rows.execute("DELETE FROM threads WHERE id NOT IN (SELECT thread_id FROM records WHERE thread_id IS NOT NULL)")
    used = "SELECT scope_id FROM records UNION SELECT scope_id FROM threads "
    used += "UNION SELECT scope_id FROM values_ WHERE scope_id IS NOT NULL"
    rows.execute(f"DELETE FROM rules WHERE scope_id NOT IN ({used})")
    rows.execute(f"DELETE FROM scopes WHERE id NOT IN ({used})")


def _search(store: Core, texts: Sequence[str]) -> tuple[int, int]:
    """How many texts were looked for in what makes up the store, and how many are in it still."""
    holds = getattr(store.backend, "holds", None)
    wanted = set(texts)
    return (0, 0) if holds is None else (len(wanted), int(holds(wanted)))
