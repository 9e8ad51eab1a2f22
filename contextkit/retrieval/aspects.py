"""Several questions asked at once: each searched by itself, then judged side by side so that each has its share of a packet.

One question goes straight through `candidates.py`; taking a text apart is `questions.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from contextkit.catalog import Catalog, Vectors, Visible
from contextkit.protocols import Embedder
from contextkit.retrieval.candidates import DEPTH, Candidates, Sentences, find, score_sentences
from contextkit.retrieval.questions import parts
from contextkit.retrieval.scoring import Floats, Weights

_WHOLE = 0.3
"""What the text as a whole counts beside the question in it that a sentence answers best. On pairs of the tuning halves'
questions 0.3 is as good as none, and it keeps what only the whole finds."""


def search(
    catalog: Catalog, vectors: Vectors, embedder: Embedder, question: str, visible: Visible, depth: int = DEPTH
) -> list[Candidates]:
    """The candidates for each question in a text, all over the same chunks in the same order; one for a plain question.

    Several questions are searched for as a whole too, which comes first: what joins them is said but once ("Which cell is in the
    T1, and why was the first choice dropped?").
    """
    asked = parts(question)
    if len(asked) == 1:
        return [find(catalog, vectors, embedder, question, visible, depth)]
    return _aligned(catalog, [find(catalog, vectors, embedder, part, visible, depth) for part in (question, *asked)])


def score(catalog: Catalog, found: Sequence[Candidates], visible: Visible, weights: Weights) -> tuple[Candidates, Sentences]:
    """What was found as one, with scored sentences: each for the question that it answers best, and a little for the whole.

    Each question's scores are moved so that its best sentence is level with the others' best: taken from the top, all questions
    get a share of the budget. The terms are those of all questions, the times their sums.
    """
    scored = [score_sentences(catalog, one, visible, weights) for one in found]
    if len(found) == 1:
        return found[0], scored[0]
    merged = combined(found, weights)[0]
    if not len(scored[0].score):
        return merged, scored[0]
    answers, level = _level(np.stack([one.score for one in scored]))
    rows = np.arange(len(answers))
    return merged, replace(
        scored[0],
        dense=np.stack([one.dense for one in scored])[answers, rows],
        lexical=np.stack([one.lexical for one in scored])[answers, rows],
        score=level,
    )


def combined(found: Sequence[Candidates], weights: Weights) -> tuple[Candidates, Floats]:
    """The candidates of all questions as one, each chunk with its scores for the question that it answers best; and float32
    (n,), what each scores as a whole beside the others, by the same rule as sentences.
    """
    first = found[0]
    if len(found) == 1 or not first.chunks:
        return first, first.fused(weights)
    answers, level = _level(np.stack([one.fused(weights) for one in found]))
    rows = np.arange(len(answers))
    spent: dict[str, float] = {}
    for one in found:
        for stage, ms in one.milliseconds.items():
            spent[stage] = spent.get(stage, 0.0) + ms
    merged = replace(
        first,
        terms=list(dict.fromkeys(term for one in found for term in one.terms)),
        passage=np.stack([one.passage for one in found])[answers, rows],
        lexical=np.stack([one.lexical for one in found])[answers, rows],
        milliseconds=spent,
    )
    return merged, level


def _level(scores: Floats) -> tuple[NDArray[np.int64], Floats]:
    """(which row each column scores best in, the first left out; its score there), each row moved to the same best score."""
    best = scores.max(axis=1, keepdims=True)
    level = scores - best
    answers = 1 + level[1:].argmax(axis=0)
    return answers, np.asarray(level[answers, np.arange(len(answers))] + _WHOLE * level[0] + best.max(), np.float32)


def _aligned(catalog: Catalog, found: Sequence[Candidates]) -> list[Candidates]:
    """The same findings, each over the chunks of all."""
    known = {chunk.id: chunk for one in found for chunk in one.chunks}
    chunks = sorted(known.values(), key=lambda c: (c.content_id, c.ordinal))
    documents = {content: d for one in found for content, d in one.documents.items()}
    return [
        replace(
            one,
            chunks=chunks,
            passage=_spread(catalog, one, [c.id for c in chunks]),
            lexical=_filled(one, [c.id for c in chunks]),
            documents=documents,
        )
        for one in found
    ]


def _filled(one: Candidates, ids: Sequence[int]) -> Floats:
    have = dict(zip((c.id for c in one.chunks), one.lexical.tolist(), strict=True))
    return np.array([have.get(i, 0.0) for i in ids], np.float32)


def _spread(catalog: Catalog, one: Candidates, ids: Sequence[int]) -> Floats:
    have = dict(zip((c.id for c in one.chunks), one.passage.tolist(), strict=True))
    missing = [i for i in ids if i not in have]
    if missing:
        have.update(zip(missing, catalog.passage_cosines(missing, one.question).tolist(), strict=True))
    return np.array([have[i] for i in ids], np.float32)
