"""How well each record answers: what meaning, words, neighbours, speaker, time, age, importance and trust say, added up.

Functions on the columns; filtering and resolving contradictions is `recall.py`, whom a question names `voices.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from contextkit.catalog import postings
from contextkit.memory.records import Kind, Status
from contextkit.memory.rows import KINDS, STATUSES
from contextkit.memory.times import DAY
from contextkit.retrieval.dates import Date
from contextkit.retrieval.pasted import TERMS, telling
from contextkit.retrieval.scoring import covered, idf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.memory.columns import Columns
    from contextkit.protocols import Rows

_ARCHIVED = STATUSES.index(Status.ARCHIVED)
_EPISODIC = KINDS.index(Kind.EPISODIC)
_DEPTH = 2000  # records that get the dearer signals, at most
_LEAST = 500  # and at least, where there are so many
_REACH = 3  # turns on each side whose meaning counts as around
_BESIDE = 2  # turns on each side that a question's words may stand in as well
_MANY = 20_000  # records from which on not every one is scored


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal adds to a record's score. Chosen on half of the questions about five long conversations.

    Attributes:
        meaning: cosine of question and record.
        coverage: share of the question's words that it, or its author's name, holds, rare ones counting for more.
        together: the same share of it and the two turns on each side taken together.
        meaning_around: mean cosine of the turns around it.
        speaker: for what the one says whose words the question asks for.
        time: for records of the time that the question names, falling off with the distance.
        date: for turns of a date that the question names.
        asks: for turns that end with a question; below 0, since answers say more.
        neighbour: share of the better direct neighbour's score.
        recency: for what is new by the half-life of its kind.
        importance: for importance 1 over importance 0.
        trust: for trust 1 over trust 0.
        archived: what is in the archive loses so much.
        repeats: what says nearly the same as a better record loses so much.
        half_life: days after which what a kind's recency adds has halved; each use lengthens it.
    """

    meaning: float = 1.0
    coverage: float = 0.3
    together: float = 0.4
    meaning_around: float = 0.4
    speaker: float = 0.3
    time: float = 0.4
    date: float = 0.2
    asks: float = -0.05
    neighbour: float = 0.2
    recency: float = 0.1
    importance: float = 0.1
    trust: float = 0.3
    archived: float = 0.3
    repeats: float = 1.0
    half_life: dict[Kind, float] = field(
        default_factory=lambda: {Kind.WORKING: 1.0, Kind.EPISODIC: 30.0, Kind.SEMANTIC: 365.0, Kind.PROCEDURAL: 730.0}
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A question made ready.

    Attributes:
        text: the question.
        vectors: float32 (1 or 2, dimension): as asked, and without the names of speakers.
        terms: its lexical terms.
        speaker: rows of the sources of the one whose words it asks for; empty where that is nobody.
        begin, until: the time that it names, or None.
        now: microseconds; ages are counted from here.
        dates: the dates that it names.
    """

    text: str
    vectors: NDArray[np.float32]
    terms: list[str]
    speaker: frozenset[int]
    begin: int | None
    until: int | None
    now: int
    dates: frozenset[Date] = frozenset()


@dataclass(frozen=True, slots=True)
class _Words:
    """Which of the records seen hold which of a question's words.

    Attributes:
        holding: bool (terms, size), by id.
        rarity: float64 (terms,), inverse document frequencies among what is seen.
    """

    holding: NDArray[np.bool_]
    rarity: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Columns, rows: Rows, asked: Asked, seen: NDArray[np.bool_], total: int) -> _Words:
        """Those of a question, of a very long one the most telling; `total` is how many records are seen."""
        terms = asked.terms
        if len(terms) > TERMS:
            often = postings.document_frequencies(rows, terms, seen, columns.having)  # type: ignore[arg-type]  # a connection's few methods
            terms = telling(asked.text, terms, often, total)
        holding = np.zeros((len(terms), len(seen)), np.bool_)
        for row, term in zip(holding, terms, strict=True):
            row[columns.having(rows, term)[0]] = True
        holding &= seen
        known = idf({term: int(np.count_nonzero(row)) for term, row in zip(terms, holding, strict=True)}, total)
        return cls(holding, np.array([known[term] for term in terms], np.float64))

    def coverage(self) -> NDArray[np.float32]:
        """The share of the words that each record holds, float32 (size,): what `covered` says, made word by word for so many."""
        out = np.zeros(self.holding.shape[1], np.float32)
        for row, share in zip(self.holding, self.rarity / max(float(self.rarity.sum()), 1e-9), strict=True):
            out += np.float32(share) * row
        return out

    def together(self, columns: Columns, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The share that each of some records and the turns beside it hold together, float32 (n,)."""
        either = self.holding.take(ids, axis=1)
        for link in (columns.data["before"], columns.data["after"]):
            at = ids
            for _ in range(_BESIDE):
                at = link[at]
                either |= self.holding.take(at, axis=1)  # no record has the id 0, which stands for none
        return covered(either.T, self.rarity)


def rank(
    columns: Columns, rows: Rows, asked: Asked, seen: NDArray[np.bool_], weights: Weights, k: int = _DEPTH
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best of the records seen: int64 ids and float32 scores, best first, ties by the newer id; at most 2,000.

    `k` is how many are wanted: of many records, so many more are looked at.
    """
    ids = np.flatnonzero(seen)
    if not len(ids):
        return np.empty(0, np.int64), np.empty(0, np.float32)
    words = _Words.of(columns, rows, asked, seen, len(ids))
    coverage = words.coverage()
    depth = _DEPTH if len(ids) <= _MANY else min(_DEPTH, max(_LEAST, 5 * k))
    meaning, ids = _meaning(columns, asked.vectors.mean(axis=0), ids, coverage, depth, seen)
    if len(ids) > depth:
        ids = np.sort(_first(ids, weights.meaning * meaning[ids] + (weights.coverage + weights.together) * coverage[ids], depth))
    scores = _own(columns, asked, ids, weights) + weights.meaning * meaning[ids] + weights.coverage * coverage[ids]
    scores += weights.together * words.together(columns, ids) + weights.meaning_around * _around(columns, ids, seen, meaning)
    scores = _with_neighbours(columns, ids, scores, weights.neighbour)
    order = np.lexsort((-ids, -scores))
    return ids[order], scores[order].astype(np.float32)


def _first(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k best of some records, in no order; of equal ones the newer."""
    if len(ids) <= k:
        return ids
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    above, equal = ids[scores > edge], ids[scores == edge]
    return np.concatenate([above, equal[len(equal) + len(above) - k :]])


def _meaning(
    columns: Columns,
    query: NDArray[np.float32],
    ids: NDArray[np.int64],
    coverage: NDArray[np.float32],
    depth: int,
    seen: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosines by id, 0 where they were not needed, and the ids that may be among the best.

    Of many records only those are scored that are near, or share words with the question, or stand beside one of these.
    """
    meaning = np.zeros(columns.size, np.float32)
    if len(ids) <= _MANY:
        if 2 * len(ids) > columns.size:  # reading all in order is faster than picking most
            return columns.vectors[: columns.size] @ query, ids
        meaning[ids] = columns.vectors[ids] @ query
        return meaning, ids
    near = columns.nearest(query, depth, seen)
    holding = np.flatnonzero(coverage)
    hit = _first(holding, coverage[holding], depth)
    chosen = np.zeros(columns.size, np.bool_)
    chosen[near] = chosen[hit] = True
    ids = np.flatnonzero(chosen)
    for link in (columns.data["before"], columns.data["after"]):
        at = ids
        for _ in range(_REACH):
            at = link[at]
            chosen[at] = True
    chosen[0] = False
    scored = np.flatnonzero(chosen)
    meaning[scored] = columns.vectors[scored] @ query
    return meaning, ids


def _own(columns: Columns, asked: Asked, ids: NDArray[np.int64], weights: Weights) -> NDArray[np.float32]:
    """What a record's own properties add."""
    d = columns.data
    begin = d["valid_from"][ids]
    days = np.maximum(asked.now - np.maximum(begin, d["last_used"][ids]), 0) / DAY
    half = np.array([weights.half_life[k] for k in KINDS])[d["kind"][ids]] * (1 + np.log2(1 + d["uses"][ids]))
    out = weights.recency * np.exp2(-days / half)
    out += weights.importance * (columns.importance[ids] - 0.5) + weights.trust * (columns.trust[ids] - 1)
    out += weights.asks * columns.asks[ids] - weights.archived * (columns.status[ids] == _ARCHIVED)
    if asked.speaker:
        out += weights.speaker * np.isin(d["source"][ids], list(asked.speaker))
    if asked.dates:
        out += weights.date * ((d["kind"][ids] == _EPISODIC) & _of_date(asked.dates, begin))
    if asked.begin is not None and asked.until is not None:
        far = np.maximum(np.maximum(asked.begin - begin, begin - asked.until), 0) / DAY
        width = 5 + min((asked.until - asked.begin) / DAY, 366) / 3
        out += weights.time * np.exp(-far / width)
    return np.asarray(out, np.float32)


def _of_date(named: frozenset[Date], moments: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which moments (int64 microseconds) are of one of the dates, in every part of it that is named."""
    days = (moments // DAY).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    count = months.astype(np.int64)
    parts = (count // 12 + 1970, count % 12 + 1, (days - months).astype(np.int64) + 1)
    out = np.zeros(len(moments), np.bool_)
    for date in named:
        agrees = [part == wanted for part, wanted in zip(parts, date, strict=True) if wanted is not None]
        out |= np.logical_and.reduce(agrees)
    return out


def _around(
    columns: Columns, ids: NDArray[np.int64], seen: NDArray[np.bool_], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean value of the turns around each record; 0 where there are none. What is not seen does not count."""
    total, count = np.zeros(len(ids), np.float32), np.zeros(len(ids), np.float32)
    for side in ("before", "after"):
        link = columns.data[side]
        at = ids
        for _ in range(_REACH):
            at = link[at]
            there = (at > 0) & seen[at]
            total += np.where(there, values[at], 0)
            count += there
    return np.asarray(total / np.maximum(count, 1), np.float32)


def _with_neighbours(columns: Columns, ids: NDArray[np.int64], scores: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    by_id = np.zeros(columns.size, np.float32)
    by_id[ids] = scores
    best = np.maximum(by_id[columns.data["before"][ids]], by_id[columns.data["after"][ids]])
    return np.asarray(scores + share * np.maximum(best, 0), np.float32)
