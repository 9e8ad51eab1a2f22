"""From a question to records: what its scope may see, what held at the time, what answers best, and who contradicts whom.

How one record is scored is `ranking.py`; which of several facts holds is `validity.py`; packing is `packing.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contextkit.memory import diversity, ranking, scopes, times, voices
from contextkit.memory import rows as records
from contextkit.memory.records import Kind, Memory, Period, Status
from contextkit.memory.rows import Turn
from contextkit.memory.validity import Standing, standing
from contextkit.retrieval.dates import dates
from contextkit.retrieval.pasted import spread
from contextkit.retrieval.terms import content_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.memory.columns import Columns
    from contextkit.protocols import Embedder, Rows


@dataclass(frozen=True, slots=True)
class Request:
    """What a recall asks.

    Attributes:
        query: the question.
        reader: whose scope asks, in each form that the person is known by.
        k: most records.
        at: the moment of the world asked about; None: `known`, or what the question says.
        known: what was recorded by then.
        kinds: only these; None: all.
        archived: whether what has faded is looked at too.
        period: the time that the question names, as `anchors` reads it; None: none.
    """

    query: str
    reader: tuple[scopes.Pairs, ...]
    k: int
    at: int | None
    known: int
    kinds: tuple[Kind, ...] | None
    archived: bool = False
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A record that was found: as it stands at the moment asked about, and its place in its conversation."""

    memory: Memory
    turn: Turn


def reachable(rows: Rows, readers: Sequence[scopes.Pairs]) -> list[int]:
    """The rows of the scopes that any of these scopes sees, by the rules of `scopes`."""
    out: set[int] = set()
    for reader in readers:
        names, owners = sorted(scopes.wider(reader)), sorted(scopes.owners(reader))
        marks, more = ", ".join("?" * len(names)), ", ".join("?" * len(owners))
        found = rows.execute(f"SELECT id FROM scopes WHERE name IN ({marks}) OR owner IN ({more})", (*names, *owners)).fetchall()
        reach = {int(row[0]) for row in found}
        rules = rows.execute(f"SELECT scope_id, allow FROM rules WHERE reader IN ({marks})", names).fetchall()
        reach |= {int(i) for i, allow in rules if allow}
        out |= reach - {int(i) for i, allow in rules if not allow}
    return sorted(out)


def asked(rows: Rows, columns: Columns, embedder: Embedder, request: Request, seen: NDArray[np.bool_]) -> ranking.Asked:
    """The question made ready: its vectors, its words, whom, which time and which dates it names."""
    sources = np.flatnonzero(np.bincount(columns.data["source"][: columns.size][seen]))
    authors: dict[str, set[int]] = {}
    for start in range(0, len(sources), 500):
        part = [int(s) for s in sources[start : start + 500]]
        for number, body in rows.execute(f"SELECT id, body FROM sources WHERE id IN ({', '.join('?' * len(part))})", part):
            authors.setdefault(json.loads(body)[1], set()).add(number)
    found = voices.named(request.query, authors)
    bare = voices.without(request.query, found)
    questions = [spread(text) for text in ([request.query, bare] if found and bare else [request.query])]
    begin, until = _named_time(request)
    return ranking.Asked(
        text=request.query,
        vectors=embedder.embed_queries(questions),
        terms=content_terms(request.query),
        speaker=frozenset(authors.get(voices.asked_of(request.query, found), ())),
        begin=begin,
        until=until,
        now=request.known,
        dates=dates(request.query),
    )


def _named_time(request: Request) -> tuple[int | None, int | None]:
    """From when until when the time is that the question names; of one without an end on a side, all there is."""
    period = request.period
    if period is None or not period.narrows:
        return None, None
    begin = 0 if period.begin is None else times.micros(period.begin)
    return begin, times.FOREVER if period.until is None else times.micros(period.until)


class Judge:
    """Which facts with a key hold for one reader at one moment; asked once a key.

    Args:
        columns: all records.
        reach: rows of the scopes that the reader sees.
        at: the moment of the world, microseconds.
        known: what was recorded by then.
    """

    def __init__(self, columns: Columns, reach: Sequence[int], at: int, known: int) -> None:
        self._columns = columns
        self._reach = frozenset(reach)
        self._at, self._known = at, known
        self._standing: dict[int, Standing] = {}

    def of(self, record: int) -> Standing | None:
        """What holds of the record's key; None for a record without one."""
        key = int(self._columns.data["key"][record])
        if not key:
            return None
        if key not in self._standing:
            scope, status = self._columns.data["scope"], self._columns.status
            ids = [i for i in self._columns.keyed[key] if int(scope[i]) in self._reach and int(status[i]) in records.HELD]
            self._standing[key] = standing(self._columns.facts(ids), self._at, self._known)
        return self._standing[key]


def run(rows: Rows, columns: Columns, embedder: Embedder, request: Request, weights: ranking.Weights) -> list[Found]:
    """The best records for a question, best first; records in conflict stand together, newest and most trusted first."""
    reach = reachable(rows, request.reader)
    if not reach:
        return []
    statuses = [*records.HELD, *([records.STATUSES.index(Status.ARCHIVED)] if request.archived else [])]
    kinds = None if request.kinds is None else [records.KINDS.index(k) for k in request.kinds]
    seen = columns.visible(reach, statuses, kinds, None, request.known)
    question = asked(rows, columns, embedder, request, seen)
    at = _moment(request, question)
    # a record without a key may be of a later time than the question names: it tells of that time
    d, n = columns.data, columns.size
    otherwise = request.known if request.at is None else at
    limit = at if at == otherwise else np.where(d["key"][:n] > 0, at, otherwise)
    valid = (d["valid_from"][:n] <= limit) & (limit < d["valid_to"][:n])
    if request.at is None and request.period is not None and request.period.narrows:
        valid = _then(columns, question, valid, strict=request.period.anchor is not None)
    seen &= valid
    ids, scores = ranking.rank(columns, rows, question, seen, weights, request.k)
    ids, scores = diversity.spread(rows, columns, ids, scores, weights.repeats)
    judge = Judge(columns, reach, at, request.known)
    chosen = _choose(ids.tolist(), scores.tolist(), judge, request.k)
    found = records.read(rows, [i for i, _, _ in chosen])
    out: list[Found] = []
    texts: set[tuple[str, str]] = set()
    for number, score, group in chosen:
        memory, turn = found[number]
        mark = (memory.text, memory.source.author) if memory.kind is not Kind.EPISODIC else (memory.id, "")
        if mark not in texts:
            texts.add(mark)
            out.append(Found(_as_of(memory, score, group, number), turn))
    return out[: request.k]


def _moment(request: Request, question: ranking.Asked) -> int:
    """The moment of the world that facts are judged at: as asked, else the end of the time that the question names."""
    if request.at is not None:
        return request.at
    if question.until is not None and question.until <= request.known:
        return question.until - 1
    return request.known


def _then(columns: Columns, asked: ranking.Asked, valid: NDArray[np.bool_], *, strict: bool) -> NDArray[np.bool_]:
    """Which records may be true of the time that a question names, bool (size,).

    Of a record without a key, that is no talk and whose validity was told, that decides: it was valid at some moment of that
    time; or is now, where the time is not that of an event (`strict`). Everything else is as it was in `valid`.
    """
    d, n = columns.data, columns.size
    begin = d["valid_from"][:n]
    told = (np.abs(d["recorded_at"][:n] - begin) > times.DAY) | (d["valid_to"][:n] < times.FOREVER)
    told &= (d["kind"][:n] != records.KINDS.index(Kind.EPISODIC)) & (d["key"][:n] == 0)
    assert asked.begin is not None
    assert asked.until is not None
    then = (begin < asked.until) & (d["valid_to"][:n] > asked.begin)
    return np.asarray(np.where(told, then if strict else then | valid, valid), np.bool_)


def _choose(ids: Sequence[int], scores: Sequence[float], judge: Judge, k: int) -> list[tuple[int, float, Standing | None]]:
    """Takes from the best on what holds; of a key that is in conflict all that stands, at the place of the best."""
    out: list[tuple[int, float, Standing | None]] = []
    taken: set[int] = set()
    for number, score in zip(ids, scores, strict=True):
        if len(out) >= k + 8:  # a few more, since some repeat others
            break
        if number in taken:
            continue
        group = judge.of(number)
        if group is None:
            out.append((number, score, None))
        elif number in group.ids:
            out += [(i, score, group) for i in group.ids if i not in taken]
            taken.update(group.ids)
    return out


def _as_of(memory: Memory, score: float, group: Standing | None, number: int) -> Memory:
    changes: dict[str, object] = {"score": round(score, 4)}
    if group is not None:
        changes["status"] = Status.ACTIVE
        changes["conflicts"] = tuple(f"m{i}" for i in group.ids if i != number)
        if number in group.ends:
            changes["valid_to"] = times.moment(group.ends[number])
    return memory.model_copy(update=changes)
