"""Writing records and reading them back: the one place that knows the columns of `records`.

When a record is written the facts of its key are judged again; what a recall finds and how it is ranked is `recall.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from contextkit.catalog import postings
from contextkit.catalog.codec import PASSAGES, codec
from contextkit.errors import InputError
from contextkit.memory import scopes, times
from contextkit.memory.nearness import bands
from contextkit.memory.records import Kind, Memory, Source, Status
from contextkit.memory.times import FOREVER
from contextkit.memory.validity import Fact, standing
from contextkit.retrieval.terms import terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.protocols import Rows

KINDS = tuple(Kind)
STATUSES = tuple(Status)
ACTIVE, SUPERSEDED = STATUSES.index(Status.ACTIVE), STATUSES.index(Status.SUPERSEDED)
HELD = (ACTIVE, SUPERSEDED)
"""What may be believed of some time."""

_WHITE = re.compile(r"\W+")
_NO_PLACE: Iterator[int] = repeat(0)  # of a record in no thread


@dataclass(slots=True)
class Draft:
    """A record that is about to be written; see `contextkit.memory.records.Memory` for what the fields mean."""

    text: str
    kind: Kind
    scope: scopes.Pairs
    valid_from: int
    valid_to: int = FOREVER
    key: tuple[str, str] | None = None
    trust: float = 1.0
    importance: float = 0.5
    source: Source = field(default_factory=Source)
    lineage: tuple[int, ...] = ()
    status: Status = Status.ACTIVE
    thread: str | None = None


def number(record_id: str) -> int:
    """The row of an id such as "m12". Raises InputError where it is no id."""
    if isinstance(record_id, str) and re.fullmatch(r"m[1-9]\d{0,17}", record_id):
        return int(record_id[1:])
    raise InputError(f"{record_id!r} is no memory's id: ids look like m12, recall and history show them")


def same_words(text: str) -> bytes:
    """A hash that is equal for texts that differ only in case, marks and white space."""
    return hashlib.sha256(
        _WHITE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip().encode("utf-8", "replace")
    ).digest()[:16]


def author(body: str) -> str:
    """Who speaks in a stored source."""
    return str(json.loads(body)[1])


def clock(rows: Rows, steps: int) -> int:
    """The first of `steps` moments to record at: this one, or right after the last one, should the clock go backwards."""
    last = int(rows.execute("SELECT value FROM state WHERE key = 'clock'").fetchone()[0])
    begin = max(times.now(), last + 1)
    rows.execute("UPDATE state SET value = ? WHERE key = 'clock'", (begin + max(0, steps - 1),))
    return begin


def next_seq(rows: Rows, steps: int = 1) -> int:
    """The first of `steps` fresh sequence numbers."""
    last = rows.execute("UPDATE state SET value = value + ? WHERE key = 'seq' RETURNING value", (steps,)).fetchone()[0]
    return int(last) - steps + 1


def _known(rows: Rows, table: str, columns: Sequence[str], values: Sequence[object]) -> int:
    """The row with these values, made where there is none."""
    where = " AND ".join(f"{c} = ?" for c in columns)
    found = rows.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
    if found is None:
        marks = ", ".join("?" * len(columns))
        found = rows.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) RETURNING id", values).fetchone()
    return int(found[0])


def scope_id(rows: Rows, pairs: scopes.Pairs) -> int:
    """The row of a scope, made where there is none."""
    name = scopes.name_of(pairs)
    found = rows.execute("SELECT id FROM scopes WHERE name = ?", (name,)).fetchone()
    if found is not None:
        return int(found[0])
    owner = scopes.name_of(scopes.owner(pairs)) if len(pairs) > 1 and pairs[-1][0] == "session" else ""
    return int(rows.execute("INSERT INTO scopes (name, owner) VALUES (?, ?) RETURNING id", (name, owner)).fetchone()[0])


def thread_id(rows: Rows, scope: int, name: str) -> int:
    """The row of a conversation of a scope, made where there is none."""
    found = rows.execute("SELECT id FROM threads WHERE scope_id = ? AND name = ?", (scope, name)).fetchone()
    if found is None:
        found = rows.execute(
            "INSERT INTO threads (scope_id, name, turns) VALUES (?, ?, 0) RETURNING id", (scope, name)
        ).fetchone()
    return int(found[0])


def insert(rows: Rows, drafts: Sequence[Draft], vectors: NDArray[np.float32]) -> list[int]:
    """Writes records in order; gives their ids. What they supersede is marked so.

    Args:
        rows: of a writing transaction.
        drafts: what to write.
        vectors: float32 (n, dimension), unit length.
    """
    if not drafts:
        return []
    n = len(drafts)
    first = int(rows.execute("UPDATE state SET value = value + ? WHERE key = 'next_id' RETURNING value", (n,)).fetchone()[0]) - n
    moment, seq = clock(rows, n), next_seq(rows, n)
    size = codec(PASSAGES).size(vectors.shape[1])
    data = codec(PASSAGES).encode(vectors)
    names = _names(rows, drafts)
    written: list[tuple[Any, ...]] = []
    bodies: list[list[str]] = []
    headers: list[list[str]] = []
    marks: list[tuple[int, int]] = []
    for i, (draft, own) in enumerate(zip(drafts, names, strict=True)):
        found = terms(draft.text)
        bodies.append(found)
        headers.append(terms(draft.source.author))
        source = draft.source
        written.append(
            (
                first + i, seq + i, own.scope, own.thread, own.place, own.key, draft.valid_from, draft.valid_to, moment + i,
                KINDS.index(draft.kind), STATUSES.index(draft.status), draft.text, draft.trust, draft.importance, own.source,
                source.conversation, source.message_id, source.start, source.end, same_words(draft.text),
                data[i * size : (i + 1) * size],
            )
        )  # fmt: skip
        marks += [(band, first + i) for band in bands(scopes.name_of(scopes.owner(draft.scope)), found)]
    columns = (
        "id, seq, scope_id, thread_id, place, key_id, valid_from, valid_to, recorded_at, kind, status, text, trust, importance, "
        "source_id, conversation, message_id, first, last, hash, vector, void, uses"
    )
    rows.executemany(f"INSERT INTO records ({columns}) VALUES ({', '.join('?' * 21)}, 0, 0)", written)
    rows.executemany("INSERT INTO bands VALUES (?, ?) ON CONFLICT DO NOTHING", marks)
    rows.executemany(
        "INSERT INTO lineage VALUES (?, ?)", [(first + i, p) for i, d in enumerate(drafts) for p in sorted(set(d.lineage))]
    )
    postings.add(rows, first, headers, bodies)  # type: ignore[arg-type]  # the same few methods
    for key, scope in sorted({(row[5], row[2]) for row in written if row[5] is not None}):
        judge(rows, key, scope, moment + n - 1)
    return list(range(first, first + n))


class _Names(NamedTuple):
    """The rows of what a record names, and its place in its thread."""

    scope: int
    thread: int | None
    place: int
    key: int | None
    source: int


def _names(rows: Rows, drafts: Sequence[Draft]) -> list[_Names]:
    """What each draft names, made where it is new; each name is looked up once, and each thread lengthened once."""
    scope_of = cache(partial(scope_id, rows))
    key_of = cache(partial(_known, rows, "keys", ("subject", "attribute")))
    source_of = cache(partial(_known, rows, "sources", ("body",)))
    turns = Counter((d.scope, d.thread) for d in drafts if d.thread is not None)
    threads: dict[tuple[scopes.Pairs, str | None], tuple[int, Iterator[int]]] = {}
    for (scope, name), more in turns.items():
        thread = thread_id(rows, scope_of(scope), str(name))
        last = rows.execute("UPDATE threads SET turns = turns + ? WHERE id = ? RETURNING turns", (more, thread)).fetchone()[0]
        threads[scope, name] = thread, count(int(last) - more + 1)
    out = []
    for draft in drafts:
        voice = json.dumps([draft.source.platform, draft.source.author, draft.source.role], ensure_ascii=False)
        within, places = threads.get((draft.scope, draft.thread), (None, _NO_PLACE))
        key = None if draft.key is None else key_of(draft.key)
        out.append(_Names(scope_of(draft.scope), within, next(places), key, source_of((voice,))))
    return out


def judge(rows: Rows, key: int, scope: int, known: int) -> None:
    """Marks what of a key stands and what is superseded now; what it says of other times is computed when asked."""
    found = rows.execute(
        "SELECT id, valid_from, valid_to, recorded_at, CASE WHEN void = 1 THEN superseded_at END, trust, source_id, hash, status "
        f"FROM records WHERE key_id = ? AND scope_id = ? AND status IN {HELD}", (key, scope)
    ).fetchall()  # fmt: skip
    facts = [Fact(*row[:8]) for row in found]
    held = standing(facts, known, known)
    over = {f.id for f in facts if f.id not in held.ids and held.ends.get(f.id, FOREVER) <= known}
    for row in found:
        wrong = row[4] is not None
        status = SUPERSEDED if wrong or row[0] in over else ACTIVE
        if status != row[8]:
            moment = known if status == SUPERSEDED else None
            rows.execute(
                "UPDATE records SET status = ?, superseded_at = CASE WHEN void = 1 THEN superseded_at ELSE ? END, seq = ? "
                "WHERE id = ?",
                (status, moment, next_seq(rows), row[0]),
            )


def void(rows: Rows, ids: Iterable[int], moment: int) -> None:
    """Marks records as never true, known since `moment`."""
    for i in ids:
        rows.execute(
            "UPDATE records SET void = 1, superseded_at = ?, status = ?, seq = ? WHERE id = ? AND void = 0",
            (moment, SUPERSEDED, next_seq(rows), i),
        )


_SELECT = """SELECT r.id, r.text, r.kind, s.name, k.subject, k.attribute, r.valid_from, r.valid_to, r.recorded_at,
    r.superseded_at, r.status, r.trust, r.importance, c.body, r.conversation, r.message_id, r.first, r.last, r.uses, r.last_used,
    r.thread_id, r.place, t.name
    FROM records r JOIN scopes s ON s.id = r.scope_id JOIN sources c ON c.id = r.source_id LEFT JOIN keys k ON k.id = r.key_id
    LEFT JOIN threads t ON t.id = r.thread_id"""


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a record stands in a conversation: its thread (0: in none), the thread's name, and its place there."""

    thread: int
    name: str
    place: int


def read(rows: Rows, ids: Sequence[int]) -> dict[int, tuple[Memory, Turn]]:
    """Records by row, as stored; rows that there are not are left out."""
    out: dict[int, tuple[Memory, Turn]] = {}
    for start in range(0, len(ids), 500):
        part = list(ids[start : start + 500])
        marks = ", ".join("?" * len(part))
        parents: dict[int, list[str]] = {}
        for record, parent in rows.execute(f"SELECT * FROM lineage WHERE record_id IN ({marks}) ORDER BY 1, 2", part):
            parents.setdefault(record, []).append(f"m{parent}")
        for row in rows.execute(f"{_SELECT} WHERE r.id IN ({marks})", part):
            out[row[0]] = (_memory(row, tuple(parents.get(row[0], ()))), Turn(row[20] or 0, row[22] or "", row[21]))
    return out


def _memory(row: Sequence[Any], lineage: tuple[str, ...]) -> Memory:
    platform, author, role = json.loads(row[13])
    source = Source.model_construct(
        platform=platform, conversation=row[14], message_id=row[15], author=author, role=role, start=row[16], end=row[17]
    )
    return Memory.model_construct(  # what the store holds was checked when it came in
        id=f"m{row[0]}", text=row[1], kind=KINDS[row[2]], scope=dict(scopes.pairs_of(row[3])),
        key=None if row[4] is None else (row[4], row[5]), valid_from=times.moment(row[6]), valid_to=times.moment(row[7]),
        recorded_at=times.moment(row[8]), superseded_at=times.moment(row[9]), status=STATUSES[row[10]], trust=row[11],
        importance=row[12], source=source, lineage=lineage, uses=row[18], last_used=times.moment(row[19]),
        score=0.0, conflicts=(),
    )  # fmt: skip
