"""From a question to candidate chunks: dense and lexical search side by side, neither gating the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contextkit.catalog import Catalog, StoredChunk, StoredDocument, Vectors, Visible
from contextkit.protocols import Embedder
from contextkit.retrieval.scoring import Floats, Weights, bm25_sentences, idf, share_of_best, with_neighbours
from contextkit.retrieval.terms import content_terms

DEPTH = 100
"""Chunks that each of the two searches brings; more won nothing at packets of 4,096 tokens."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Chunks found for a question, ordered by (content, place in the text).

    Attributes:
        question: float32 (dimension,), its vector.
        terms: the question's lexical terms.
        chunks: the n candidates.
        passage: float32 (n,), cosine of question and chunk.
        lexical: float32 (n,), BM25 as a share of the best chunk's.
        documents: the permitted documents of each content, by content id; twins share one.
        milliseconds: wall time by stage.
        rerank: float32 (n,), what a reranker says, 0 to 1, and 0 for what it did not reach; None without one.
        reranked: how many passages it judged.
    """

    question: Floats
    terms: Sequence[str]
    chunks: Sequence[StoredChunk]
    passage: Floats
    lexical: Floats
    documents: Mapping[int, Sequence[StoredDocument]]
    milliseconds: dict[str, float] = field(default_factory=dict)
    rerank: Floats | None = None
    reranked: int = 0

    def fused(self, weights: Weights) -> Floats:
        """float32 (n,): what a chunk scores as a whole."""
        found = weights.passage * self.passage + weights.passage_lexical * self.lexical
        return found if self.rerank is None else found + np.float32(weights.rerank) * self.rerank


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of all candidates, in their order; arrays of length m.

    Attributes:
        chunk: int64, row of the sentence's chunk in `Candidates.chunks`.
        start: int64, first character in the document.
        end: int64, one past the last.
        follows: bool, whether it directly follows the sentence before it in the same document.
        dense: float32, cosine of question and sentence (the passage's where the embedder has no sentence vectors).
        lexical: float32, BM25 as a share of the best sentence's.
        score: float32, the sum by `Weights`.
    """

    chunk: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    follows: NDArray[np.bool_]
    dense: Floats
    lexical: Floats
    score: Floats


class Clock:
    """Wall time by stage, in milliseconds."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Books the time since the last lap under a stage."""
        now = time.perf_counter()
        self.spent[stage] = self.spent.get(stage, 0.0) + 1000 * (now - self._last)
        self._last = now


def find(
    catalog: Catalog, vectors: Vectors, embedder: Embedder, question: str, visible: Visible, depth: int = DEPTH
) -> Candidates:
    """The candidates for a question among what is visible; at most `depth` by each search, fewer where fewer are permitted.

    An index without visible chunks gives no candidates, and the question is not embedded.
    """
    clock = Clock()
    words = content_terms(question)
    if not visible.n_chunks:
        empty = np.zeros(0, np.float32)
        return Candidates(empty, words, [], empty, empty, {}, clock.spent)
    query = embedder.embed_queries([question])
    clock.lap("embed")
    dense_ids, dense_scores = vectors.search(query, min(depth, visible.n_chunks), visible)
    clock.lap("dense")
    lexical_ids, lexical_scores = catalog.lexical(words, depth, visible.allowed)
    clock.lap("lexical")
    kept = dense_ids[0] >= 0
    passage = dict(zip(dense_ids[0][kept].tolist(), dense_scores[0][kept].tolist(), strict=True))
    lexical = dict(zip(lexical_ids.tolist(), share_of_best(lexical_scores).tolist(), strict=True))
    missing = [i for i in lexical if i not in passage]
    if missing:
        passage.update(zip(missing, catalog.passage_cosines(missing, query[0]).tolist(), strict=True))
    chunks = sorted(catalog.chunks(list(passage)), key=lambda c: (c.content_id, c.ordinal))
    documents = catalog.documents_of({c.content_id for c in chunks}, visible)
    chunks = [c for c in chunks if c.content_id in documents]
    clock.lap("load")
    return Candidates(
        question=query[0],
        terms=words,
        chunks=chunks,
        passage=np.array([passage[c.id] for c in chunks], np.float32),
        lexical=np.array([lexical.get(c.id, 0.0) for c in chunks], np.float32),
        documents=documents,
        milliseconds=clock.spent,
    )


def score_sentences(catalog: Catalog, found: Candidates, visible: Visible, weights: Weights) -> Sentences:
    """The sentences of the candidates with their scores. No candidates give empty arrays."""
    clock = Clock()
    chunks = found.chunks
    if not chunks:
        none, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return Sentences(none, none, none, flags, found.passage, found.passage, found.passage)
    counts = np.array([len(c.sentences) for c in chunks], np.int64)
    chunk = np.repeat(np.arange(len(chunks)), counts)
    spans = np.concatenate([c.sentences for c in chunks])
    dense = _sentence_cosines(*catalog.sentence_cosines([c.id for c in chunks], found.question), counts, found)
    clock.lap("sentence vectors")
    texts = [c.text[s - c.start : e - c.start] for c in chunks for s, e in c.sentences.tolist()]
    frequencies = catalog.document_frequencies(found.terms, visible.allowed)
    lexical = share_of_best(bm25_sentences(texts, idf(frequencies, max(visible.n_chunks, *frequencies.values(), 1))))
    own = found.fused(weights)[chunk] + weights.sentence * dense + weights.sentence_lexical * lexical
    follows = _follows(chunks, counts)
    score = with_neighbours(own.astype(np.float32), follows, weights.neighbour)
    clock.lap("score")
    found.milliseconds.update(clock.spent)
    return Sentences(chunk, spans[:, 0], spans[:, 1], follows, dense, lexical, score)


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
