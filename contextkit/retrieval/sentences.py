"""The sentences of the candidates, and what each scores by its own signals and its neighbours.

Which chunks are candidates is `candidates.py`; the formulas are `scoring.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from contextkit.catalog import Catalog, StoredChunk
from contextkit.documents.structure import speaker
from contextkit.retrieval.abbreviations import found_with
from contextkit.retrieval.candidates import Candidates, Clock
from contextkit.retrieval.negation import denied
from contextkit.retrieval.scoring import (
    Floats,
    Weights,
    bm25,
    first_mentions,
    links,
    phrased,
    share_of_best,
    with_neighbours,
)
from contextkit.retrieval.terms import terms
from contextkit.types import BlockKind

SIGNALS = ("sentence", "sentence_lexical", "phrase", "first_mention", "speaker", "negation")
"""What is said of a sentence itself, by the names of their weights."""
LONG = 2_500
"""Characters; in a text that is no longer, some 500 tokens, it tells little where a word stands first."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of all candidates, in their order; arrays of length m.

    Attributes:
        chunk: int64, row of the sentence's chunk in `Candidates.chunks`.
        start: int64, first character in the document.
        end: int64, one past the last.
        follows: bool, whether it directly follows the sentence before it in the same document.
        before: float32, how much of the neighbours' share it has of the sentence before it.
        after: float32, the same of the one behind it.
        signals: float32 each, by the names in `SIGNALS`: cosine of question and sentence (the passage's where the embedder has
            no sentence vectors), BM25 as a share of the best sentence's, share of the question's pairs of neighbouring words
            that stand near each other in it, share of the question's words that its long text says first in it, 1 where it
            is of a turn of somebody whom the question names, and -1 to 1, how far it denies what the question denies.
        score: float32, the sum by `Weights`.
    """

    chunk: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    follows: NDArray[np.bool_]
    before: Floats
    after: Floats
    signals: Mapping[str, Floats]
    score: Floats


def score_sentences(catalog: Catalog, found: Candidates, weights: Weights) -> Sentences:
    """The sentences of the candidates with their scores. No candidates give empty arrays."""
    clock = Clock()
    chunks = found.chunks
    if not chunks:
        none, flags, floats = np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.float32)
        return Sentences(none, none, none, flags, floats, floats, dict.fromkeys(SIGNALS, floats), floats)
    counts = np.array([len(c.sentences) for c in chunks], np.int64)
    chunk = np.repeat(np.arange(len(chunks)), counts)
    spans = np.concatenate([c.sentences for c in chunks])
    dense = _sentence_cosines(*catalog.sentence_cosines([c.id for c in chunks], found.question), counts, found)
    clock.lap("sentence vectors")
    texts = [c.text[s - c.start : e - c.start] for c in chunks for s, e in c.sentences.tolist()]
    words = found_with(texts, found.terms, found.abbreviations)
    follows = _follows(chunks, counts)
    _, document = np.unique([c.content_id for c in chunks], return_inverse=True)
    signals = {
        "sentence": dense,
        "sentence_lexical": share_of_best(bm25(words, texts, found.rarity)),
        "phrase": phrased(words, len(texts), found.rarity),
        "first_mention": first_mentions(words, document[chunk], found.rarity) * _long_texts(found)[chunk],
        "speaker": _spoken(found, texts, chunk, follows),
        "negation": np.zeros(len(texts), np.float32),
    }
    if found.denial is not None:
        signals["negation"] = denied(found.denial, texts, words, found.terms, found.rarity)
    before, after = links(follows, _apart(chunks, counts), weights.paragraph, _answers(chunks, chunk, texts, follows))
    own = found.fused(weights)[chunk]
    for name, values in signals.items():
        own = own + getattr(weights, name) * values
    score = with_neighbours(own.astype(np.float32), before, after, weights.neighbour)
    clock.lap("score")
    found.milliseconds.update(clock.spent)
    return Sentences(chunk, spans[:, 0], spans[:, 1], follows, before, after, signals, score)


def _long_texts(found: Candidates) -> NDArray[np.bool_]:
    """Whether each chunk is of a text in which a word's first mention tells: a long one, and not talk."""
    sizes = {content: documents[0].n_characters for content, documents in found.documents.items()}
    return np.array([c.kind is not BlockKind.TURN and sizes[c.content_id] > LONG for c in found.chunks], np.bool_)


def _spoken(found: Candidates, texts: Sequence[str], chunk: NDArray[np.int64], follows: NDArray[np.bool_]) -> Floats:
    """1 for each sentence of a turn whose speaker the question names by any part of the name."""
    out = np.zeros(len(texts), np.float32)
    asked = set(found.terms)
    turns = np.array([c.kind is BlockKind.TURN for c in found.chunks], np.bool_)[chunk]
    named = False
    for row in np.flatnonzero(turns).tolist():
        name = speaker(texts[row])
        if name:
            named = not asked.isdisjoint(terms(name))
        elif not follows[row]:
            named = False
        out[row] = named
    return out


def _answers(
    chunks: Sequence[StoredChunk], chunk: NDArray[np.int64], texts: Sequence[str], follows: NDArray[np.bool_]
) -> NDArray[np.bool_] | None:
    """Whether each sentence of talk directly follows a question; None where nothing is talk."""
    turns = np.array([c.kind is BlockKind.TURN for c in chunks], np.bool_)
    if not turns.any():
        return None
    out = follows & turns[chunk]
    out[1:] &= np.array([text.endswith("?") for text in texts[:-1]], np.bool_)
    out[0] = False
    return out


def _sentence_cosines(stored: Floats, have: NDArray[np.int64], counts: NDArray[np.int64], found: Candidates) -> Floats:
    """Cosines of all sentences; a chunk without sentence vectors lends its own cosine to its sentences."""
    if np.array_equal(have, counts):
        return stored
    out = np.repeat(found.passage, counts)
    out[np.repeat(have == counts, counts)] = stored[np.repeat(have == counts, have)]
    return out


def _follows(chunks: Sequence[StoredChunk], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each sentence directly follows the one before: inside a chunk always, at its start where the chunks touch."""
    follows = np.ones(int(counts.sum()), np.bool_)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    follows[starts[0]] = False
    for at, before, after in zip(starts[1:].tolist(), chunks, chunks[1:], strict=False):
        follows[at] = before.content_id == after.content_id and before.ordinal + 1 == after.ordinal
    return follows


def _apart(chunks: Sequence[StoredChunk], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a blank line stands between each sentence and the one before."""
    apart = np.zeros(int(counts.sum()), np.bool_)
    at = 0
    for chunk, count in zip(chunks, counts.tolist(), strict=True):
        if count:
            apart[at] = chunk.lead.count("\n") > 1
        if "\n\n" in chunk.text:
            spans = (chunk.sentences - chunk.start).tolist()
            for row, (before, after) in enumerate(pairwise(spans), at + 1):
                apart[row] = chunk.text.count("\n", before[1], after[0]) > 1
        at += count
    return apart
