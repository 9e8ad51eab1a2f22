"""Scores of sentences: a weighted sum of what passage, sentence, words and neighbours say of each.

Pure functions on arrays; finding the candidates is `candidates.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from contextkit.retrieval.terms import Occurrences
from contextkit.retrieval.weights import Weights as Weights  # the sum's factors, which live beside their file

Floats = NDArray[np.float32]

ANSWER = 1.3
"""What a question's score counts for the turn that answers it, beside any other neighbour's: 1.1 to 1.4 are as good."""

_NEAR = 32  # characters: two or three short words may stand between
_LAGS = 4  # found words apart, at most
_K1, _B = 1.2, 0.5  # Okapi BM25; sentences vary in length for better reasons than documents do, so b is milder than 0.75


def idf(frequency: Mapping[str, int], total: int) -> dict[str, float]:
    """The inverse document frequency of each term: ln(1 + (N - df + 0.5) / (df + 0.5)), never negative (Lucene's BM25)."""
    return {term: math.log(1 + (total - df + 0.5) / (df + 0.5)) for term, df in frequency.items()}


def bm25(found: Occurrences, texts: Sequence[str], rarity: NDArray[np.float64]) -> Floats:
    """The BM25 score of each sentence, float32 (n,), for the terms found in them.

    Lengths are taken in characters, relative to the mean of the sentences given. No texts give an empty array.

    Args:
        found: where the terms stand in the sentences.
        texts: the n sentences.
        rarity: float64 (terms,), the terms' inverse document frequencies.
    """
    _, first, times = np.unique(found.text * max(1, len(rarity)) + found.term, return_index=True, return_counts=True)
    order = np.argsort(first)  # summed in the order of the text, so that rounding is the same whatever the terms' order
    text, term, n = found.text[first[order]], found.term[first[order]], times[order]
    lengths = np.array([len(t) for t in texts], np.float64)
    norm = _K1 * (1 - _B + _B * lengths / (float(lengths.sum()) / max(1, len(texts)) or 1.0))
    parts = rarity[term] * n * (_K1 + 1) / (n + norm[text])
    return np.bincount(text, parts, len(texts)).astype(np.float32)


def covered(holding: NDArray[np.bool_], rarity: NDArray[np.float64]) -> Floats:
    """The share of a question's words that each text holds, float32 (n,), 0 to 1, a rare word counting for more.

    Unlike BM25 it asks only whether a word is there: a text with all words of the question beats one that repeats some of them.

    Args:
        holding: bool (n, terms).
        rarity: float64 (terms,), their inverse document frequencies.
    """
    return np.asarray(holding @ rarity / max(float(rarity.sum()), 1e-9), np.float32)


def phrased(found: Occurrences, n: int, rarity: NDArray[np.float64]) -> Floats:
    """The share of the question's pairs of neighbouring words that stand near each other in each of n texts, float32 (n,).

    Near is either order and at most `_NEAR` characters from beginning to beginning; a rare pair counts for more (the ordered
    and unordered windows of Metzler and Croft's sequential dependence model in one). A question of one word gives zeros.
    """
    out = np.zeros(n, np.float64)
    worth = rarity[:-1] + rarity[1:]
    known: list[NDArray[np.int64]] = []
    for lag in range(1, min(_LAGS, len(found.text) - 1) + 1):
        one, two = found.term[:-lag], found.term[lag:]
        near = (np.abs(one - two) == 1) & (found.text[:-lag] == found.text[lag:]) & (found.at[lag:] - found.at[:-lag] <= _NEAR)
        known.append((found.text[:-lag] * len(rarity) + np.minimum(one, two))[near])
    if known and len(worth):
        text, pair = np.divmod(np.unique(np.concatenate(known)), len(rarity))
        out = np.bincount(text, worth[pair], n) / max(float(worth.sum()), 1e-9)
    return out.astype(np.float32)


def first_mentions(found: Occurrences, document: NDArray[np.int64], rarity: NDArray[np.float64]) -> Floats:
    """The share of a question's words that a document says first in each of its sentences, float32 (n,), 0 to 1.

    Where a text first uses a word it says what is meant by it. A rare word counts for more; a question without words gives zeros.

    Args:
        found: where the terms stand in the n sentences, in the order of the text.
        document: int64 (n,), the document of each sentence, from 0.
        rarity: float64 (terms,), the terms' inverse document frequencies.
    """
    _, first = np.unique(document[found.text] * max(1, len(rarity)) + found.term, return_index=True)
    out = np.bincount(found.text[first], rarity[found.term[first]], len(document)) / max(float(rarity.sum()), 1e-9)
    return out.astype(np.float32)


def share_of_best(scores: Floats) -> Floats:
    """Scores divided by their maximum, so that the best is 1; all zeros stay zeros."""
    best = float(scores.max(initial=0.0))
    return scores / np.float32(best) if best > 0 else scores


def links(
    follows: NDArray[np.bool_], apart: NDArray[np.bool_], paragraph: float, answers: NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats]:
    """How much of the neighbours' share each sentence has of the one before it and of the one behind it, float32 (n,) each.

    All of it where the two stand side by side, and nothing where they do not.

    Args:
        follows: bool (n,), whether sentence i directly follows sentence i - 1 in the same document; `follows[0]` is ignored.
        apart: bool (n,), whether a blank line stands between the two.
        paragraph: how much reaches across a blank line.
        answers: bool (n,), of talk: whether a question stands before sentence i, of which it has `ANSWER` times as much.
    """
    before = (follows * np.where(apart, np.float32(paragraph), np.float32(1))).astype(np.float32)
    before[:1] = 0
    after = np.append(before[1:], np.float32(0))[: len(before)]
    if answers is not None:
        before[answers] *= np.float32(ANSWER)
    return before, after


def with_neighbours(scores: Floats, before: Floats, after: Floats, share: float) -> Floats:
    """Each score plus a share of the better of its direct neighbours' scores, `before` and `after` being what `links` gives."""
    left, right = np.zeros_like(scores), np.zeros_like(scores)
    left[1:] = scores[:-1] * before[1:]
    right[:-1] = scores[1:] * after[:-1]
    return np.asarray(scores + np.float32(share) * np.maximum(np.maximum(left, right), 0), dtype=np.float32)
