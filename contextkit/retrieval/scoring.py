"""Scores of sentences: a weighted sum of what passage, sentence, words and neighbours say of each.

Pure functions on arrays; finding the candidates is `candidates.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contextkit.retrieval.terms import finder

Floats = NDArray[np.float32]

_K1, _B = 1.2, 0.5  # Okapi BM25; sentences vary in length for better reasons than documents do, so b is milder than 0.75


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts in a sentence's score. Plateau of a coordinate search on half of three corpora.

    Attributes:
        passage: cosine of question and passage.
        passage_lexical: BM25 of the passage as a share of the best passage's.
        sentence: cosine of question and sentence.
        sentence_lexical: BM25 of the sentence as a share of the best sentence's.
        neighbour: share of the better direct neighbour's score that is added to a sentence's own.
        rerank: what a reranker says of the passage, from 0 for the worst that it judged to 1 for the best; nothing without one.
    """

    passage: float = 1.0
    passage_lexical: float = 0.5
    sentence: float = 0.5
    sentence_lexical: float = 0.25
    neighbour: float = 0.4
    rerank: float = 0.5


def idf(frequency: Mapping[str, int], total: int) -> dict[str, float]:
    """The inverse document frequency of each term: ln(1 + (N - df + 0.5) / (df + 0.5)), never negative (Lucene's BM25)."""
    return {term: math.log(1 + (total - df + 0.5) / (df + 0.5)) for term, df in frequency.items()}


def bm25_sentences(texts: Sequence[str], weights: Mapping[str, float]) -> Floats:
    """The BM25 score of each sentence, float32 (n,), for the terms with these inverse document frequencies.

    Lengths are taken in characters, relative to the mean of the sentences given. No texts give an empty array.
    """
    out = np.zeros(len(texts), np.float32)
    mean = sum(map(len, texts)) / max(1, len(texts)) or 1.0
    find = finder(weights.keys())
    for i, text in enumerate(texts):
        found = find(text)
        if found:
            norm = _K1 * (1 - _B + _B * len(text) / mean)
            out[i] = sum(weights[t] * n * (_K1 + 1) / (n + norm) for t, n in Counter(found).items())
    return out


def share_of_best(scores: Floats) -> Floats:
    """Scores divided by their maximum, so that the best is 1; all zeros stay zeros."""
    best = float(scores.max(initial=0.0))
    return scores / np.float32(best) if best > 0 else scores


def with_neighbours(scores: Floats, follows: NDArray[np.bool_], share: float) -> Floats:
    """Each score plus a share of the better of its direct neighbours' scores.

    `follows[i]` says whether sentence i directly follows sentence i - 1 in the same document; `follows[0]` is ignored.
    """
    before = np.zeros_like(scores)
    after = np.zeros_like(scores)
    before[1:][follows[1:]] = scores[:-1][follows[1:]]
    after[:-1][follows[1:]] = scores[1:][follows[1:]]
    return np.asarray(scores + np.float32(share) * np.maximum(np.maximum(before, after), 0), dtype=np.float32)
