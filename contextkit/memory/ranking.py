"""How well each record answers: what meaning, words, neighbours, speaker, time, age, importance and trust say, added up.

Pure functions on the columns; filtering and resolving contradictions is `recall.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from contextkit.catalog import postings
from contextkit.memory.records import Kind, Status
from contextkit.memory.rows import KINDS, STATUSES
from contextkit.memory.times import DAY
from contextkit.retrieval.scoring import share_of_best
from contextkit.retrieval.terms import content_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.memory.columns import Columns
    from contextkit.protocols import Rows

_ARCHIVED = STATUSES.index(Status.ARCHIVED)
_DEPTH = 2000  # records that get the dearer signals, at most
_LEAST = 500  # and at least, where there are so many
_REACH = 3  # turns on each side that count as around
_MANY = 20_000  # records from which on not every one is scored


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal adds to a record's score. Chosen on half of the questions about five long conversations.

    Attributes:
        meaning: cosine of question and record.
        words: BM25 as a share of the best record's.
        meaning_around: mean cosine of the turns around it.
        words_around: mean BM25 share of the turns around it.
        speaker: for turns of the one person whom the question names.
        time: for records of the time that the question names, falling off with the distance.
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
    words: float = 0.5
    meaning_around: float = 0.5
    words_around: float = 0.35
    speaker: float = 0.3
    time: float = 0.5
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
        vectors: float32 (1 or 2, dimension): as asked, and without the names of speakers.
        terms: its lexical terms.
        speaker: rows of the sources of the one speaker whom it names; empty where it names none or several.
        begin, until: the time that it names, or None.
        now: microseconds; ages are counted from here.
    """

    vectors: NDArray[np.float32]
    terms: list[str]
    speaker: frozenset[int]
    begin: int | None
    until: int | None
    now: int


def named(question: str, authors: dict[str, set[int]]) -> tuple[list[str], str]:
    """Which authors a question names, and the question without their names."""
    found = []
    for author in sorted(authors, key=len, reverse=True):
        pattern = re.compile(rf"(?<!\w){re.escape(author)}(?:['’]s)?(?!\w)", re.IGNORECASE)
        if author and pattern.search(question):
            found.append(author)
    bare = question
    for author in found:
        bare = re.sub(rf"(?<!\w){re.escape(author)}(?:['’]s)?(?!\w)", "", bare, flags=re.IGNORECASE)
    return found, " ".join(bare.split())


def question_terms(question: str) -> list[str]:
    """The words of a question that are looked up."""
    return content_terms(question)


def rank(
    columns: Columns, rows: Rows, asked: Asked, seen: NDArray[np.bool_], weights: Weights, k: int = _DEPTH
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best of the records seen: int64 ids and float32 scores, best first, ties by the newer id; at most 2,000.

    `k` is how many are wanted: of many records, so many more are looked at.
    """
    ids = np.flatnonzero(seen)
    if not len(ids):
        return np.empty(0, np.int64), np.empty(0, np.float32)
    words = np.zeros(columns.size, np.float32)
    assert columns.lengths is not None
    depth = _DEPTH if len(ids) <= _MANY else min(_DEPTH, max(_LEAST, 5 * k))
    hit, bm25 = postings.search(rows, asked.terms, depth, seen, columns.lengths, 1.0, columns.having)  # type: ignore[arg-type]  # a connection's few methods
    words[hit] = share_of_best(bm25)
    meaning, ids = _meaning(columns, asked.vectors.mean(axis=0), ids, hit, depth, seen)
    if len(ids) > depth:
        base = weights.meaning * meaning[ids] + weights.words * words[ids]
        ids = np.sort(ids[np.argpartition(-base, depth)[:depth]])
    scores = _own(columns, asked, ids, weights) + weights.meaning * meaning[ids] + weights.words * words[ids]
    scores += _around(columns, ids, seen, weights.meaning_around * meaning + weights.words_around * words)
    scores = _with_neighbours(columns, ids, scores, weights.neighbour)
    order = np.lexsort((-ids, -scores))
    return ids[order], scores[order].astype(np.float32)


def _meaning(
    columns: Columns,
    query: NDArray[np.float32],
    ids: NDArray[np.int64],
    hit: NDArray[np.int64],
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
    if asked.begin is not None and asked.until is not None:
        far = np.maximum(np.maximum(asked.begin - begin, begin - asked.until), 0) / DAY
        width = 5 + min((asked.until - asked.begin) / DAY, 366) / 3
        out += weights.time * np.exp(-far / width)
    return np.asarray(out, np.float32)


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
