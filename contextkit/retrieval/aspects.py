"""Several questions asked at once: each searched by itself, then judged side by side so that each has its share of a packet.

One question goes straight through `candidates.py`; taking a text apart is `questions.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from contextkit.catalog import Catalog, Vectors, Visible
from contextkit.protocols import Embedder
from contextkit.retrieval.candidates import DEPTH, Candidates, find, over
from contextkit.retrieval.questions import LONG, parts
from contextkit.retrieval.reranking import Reranking
from contextkit.retrieval.scoring import Floats, Weights
from contextkit.retrieval.sentences import SIGNALS, Sentences, score_sentences


def search(
    catalog: Catalog,
    vectors: Vectors,
    embedder: Embedder,
    question: str,
    visible: Visible,
    depth: int = DEPTH,
    now: datetime | None = None,
) -> list[Candidates]:
    """The candidates for each question in a text, all over the same chunks in the same order; one for a plain question.

    Several questions are searched for as a whole too, which comes first: what joins them is said but once ("Which cell is in the
    T1, and why was the first choice dropped?"). So is a long text that asks something.
    """
    asked = parts(question)
    if asked == [question]:
        return [find(catalog, vectors, embedder, question, visible, depth, now)]
    found = _aligned(catalog, [find(catalog, vectors, embedder, part, visible, depth, now) for part in (question, *asked)])
    if len(question) > LONG:
        by = (found[0].searched, f"{len(asked)} of its questions by {'itself' if len(asked) == 1 else 'themselves'}")
        found[0] = replace(found[0], searched=" and ".join(filter(None, by)))
    return found


def rerank(found: Sequence[Candidates], question: str, reranking: Reranking | None, weights: Weights) -> list[Candidates]:
    """What `search` found for a text, with what a reranker says of it; as it is where there is none.

    Of several questions each has its passages judged for itself, in an equal share of the cap; the text as a whole is not judged.
    Raises RerankerError where the reranker fails.
    """
    if reranking is None:
        return list(found)
    if len(found) == 1:
        return [reranking.rerank(found[0], question, weights)]
    share = 1 / (len(found) - 1)
    judged = [reranking.rerank(one, part, weights, share) for one, part in zip(found[1:], parts(question), strict=True)]
    return [found[0], *judged]


def score(catalog: Catalog, found: Sequence[Candidates], weights: Weights) -> tuple[Candidates, Sentences]:
    """What was found as one, with scored sentences: each for the question that it answers best, and a little for the whole.

    Each question's scores are moved so that its best sentence is level with the others' best: taken from the top, all questions
    get a share of the budget. The terms are those of all questions, the times their sums.
    """
    scored = [score_sentences(catalog, one, weights) for one in found]
    if len(found) == 1:
        return found[0], scored[0]
    merged = combined(found, weights)[0]
    if not len(scored[0].score):
        return merged, scored[0]
    answers, level = _level(np.stack([one.score for one in scored]), weights.whole)
    rows = np.arange(len(answers))
    return merged, replace(
        scored[0],
        signals={name: np.stack([one.signals[name] for one in scored])[answers, rows] for name in SIGNALS},
        score=level,
    )


def combined(found: Sequence[Candidates], weights: Weights) -> tuple[Candidates, Floats]:
    """The candidates of all questions as one, each chunk with its scores for the question that it answers best; and float32
    (n,), what each scores as a whole beside the others, by the same rule as sentences.
    """
    first = found[0]
    if len(found) == 1 or not first.chunks:
        return first, first.fused(weights)
    answers, level = _level(np.stack([one.fused(weights) for one in found]), weights.whole)
    rows = np.arange(len(answers))
    spent: dict[str, float] = {}
    for one in found:
        for stage, ms in one.milliseconds.items():
            spent[stage] = spent.get(stage, 0.0) + ms
    rarity = {term: value for one in found for term, value in zip(one.terms, one.rarity.tolist(), strict=True)}
    merged = replace(
        first,
        terms=list(rarity),
        passage=np.stack([one.passage for one in found])[answers, rows],
        coverage=np.stack([one.coverage for one in found])[answers, rows],
        together=np.stack([one.together for one in found])[answers, rows],
        dated=np.stack([one.dated for one in found])[answers, rows],
        rarity=np.array(list(rarity.values()), np.float64),
        milliseconds=spent,
        rerank=_of_answers([one.rerank for one in found[1:]], answers - 1),
        reranked=sum(one.reranked for one in found),
        understood={words: reading for one in reversed(found) for words, reading in one.understood.items()},
    )
    return merged, level


def _level(scores: Floats, whole: float) -> tuple[NDArray[np.int64], Floats]:
    """(which row each column scores best in, the first left out; its score there), each row moved to the same best score.

    The first row, which is the text as a whole, adds its share `whole`.
    """
    best = scores.max(axis=1, keepdims=True)
    level = scores - best
    answers = 1 + level[1:].argmax(axis=0)
    return answers, np.asarray(level[answers, np.arange(len(answers))] + whole * level[0] + best.max(), np.float32)


def _of_answers(judged: Sequence[Floats | None], answers: NDArray[np.int64]) -> Floats | None:
    """What the reranker says of each chunk for the question that it answers best; None where nothing was reranked."""
    known = [one for one in judged if one is not None]
    return np.stack(known)[answers, np.arange(len(answers))] if len(known) == len(judged) else None


def _aligned(catalog: Catalog, found: Sequence[Candidates]) -> list[Candidates]:
    """The same findings, each over the chunks of all."""
    known = {chunk.id: chunk for one in found for chunk in one.chunks}
    chunks = sorted(known.values(), key=lambda c: (c.content_id, c.ordinal))
    documents = {content: d for one in found for content, d in one.documents.items()}
    return [over(catalog, one, chunks, _spread(catalog, one, [c.id for c in chunks]), documents) for one in found]


def _spread(catalog: Catalog, one: Candidates, ids: Sequence[int]) -> Floats:
    have = dict(zip((c.id for c in one.chunks), one.passage.tolist(), strict=True))
    missing = [i for i in ids if i not in have]
    if missing:
        have.update(zip(missing, catalog.passage_cosines(missing, one.question).tolist(), strict=True))
    return np.array([have[i] for i in ids], np.float32)
