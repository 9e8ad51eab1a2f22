"""From a question to candidate chunks: dense and lexical search side by side, neither gating the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from contextkit.catalog import Catalog, StoredChunk, StoredDocument, Vectors, Visible
from contextkit.documents.structure import speaker
from contextkit.protocols import Embedder
from contextkit.retrieval.beside import beside
from contextkit.retrieval.dates import Date, dates, is_of, of_document
from contextkit.retrieval.pasted import TERMS, account, spread, telling
from contextkit.retrieval.scoring import Floats, Weights, bm25, covered, idf, phrased, share_of_best, with_neighbours
from contextkit.retrieval.terms import content_terms, occurrences, terms
from contextkit.types import BlockKind

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
        coverage: float32 (n,), share of the question's words that chunk and header hold, the rare ones counting for more.
        together: float32 (n,), the same of all the document's candidates taken together.
        dated: float32 (n,), 1 for talk of a date that the question names, else 0: what is written says its dates, talk does not.
        rarity: float64 (terms,), inverse document frequencies of the terms among the visible chunks.
        dates: the dates that the question names.
        documents: the permitted documents of each content, by content id; twins share one.
        milliseconds: wall time by stage.
        rerank: float32 (n,), what a reranker says, 0 to 1, and 0 for what it did not reach; None without one.
        reranked: how many passages it judged.
        searched: how a question that is too long to be searched for whole was searched for; "" for every other.
    """

    question: Floats
    terms: Sequence[str]
    chunks: Sequence[StoredChunk]
    passage: Floats
    coverage: Floats
    together: Floats
    dated: Floats
    rarity: NDArray[np.float64]
    dates: frozenset[Date]
    documents: Mapping[int, Sequence[StoredDocument]]
    milliseconds: dict[str, float] = field(default_factory=dict)
    rerank: Floats | None = None
    reranked: int = 0
    searched: str = ""

    def fused(self, weights: Weights) -> Floats:
        """float32 (n,): what a chunk scores as a whole."""
        found = weights.passage * self.passage + weights.coverage * self.coverage
        found = found + weights.document * self.together + weights.date * self.dated
        if self.rerank is not None:
            found = found + weights.rerank * self.rerank
        return np.asarray(found, np.float32)


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
        phrase: float32, share of the question's pairs of neighbouring words that stand near each other in it.
        speaker: float32, 1 where it is of a turn of somebody whom the question names, else 0.
        score: float32, the sum by `Weights`.
    """

    chunk: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    follows: NDArray[np.bool_]
    dense: Floats
    lexical: Floats
    phrase: Floats
    speaker: Floats
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
        return _nothing(words, clock.spent)
    distinct = len(words)
    if distinct > TERMS:
        words = telling(question, words, catalog.document_frequencies(words, visible.allowed), visible.n_chunks)
        clock.lap("terms")
    query = embedder.embed_queries([spread(question)])
    clock.lap("embed")
    # The scan of the vectors leaves Python's lock to others for milliseconds: long enough for all that words find
    with beside(lambda: _lexical(catalog, words, depth, visible)) as words_found:
        dense_ids, dense_scores = vectors.search(query, min(depth, visible.n_chunks), visible)
        clock.lap("dense")
        chunks, documents = words_found()
        clock.lap("lexical")
    kept = dense_ids[0] >= 0
    passage = dict(zip(dense_ids[0][kept].tolist(), dense_scores[0][kept].tolist(), strict=True))
    have = {c.id for c in chunks}
    more = catalog.chunks([i for i in passage if i not in have])
    documents |= catalog.documents_of({c.content_id for c in more if c.content_id not in documents}, visible)
    missing = [c.id for c in chunks if c.id not in passage]
    if missing:
        passage.update(zip(missing, catalog.passage_cosines(missing, query[0]).tolist(), strict=True))
    chunks = sorted((c for c in (*chunks, *more) if c.content_id in documents), key=lambda c: (c.content_id, c.ordinal))
    clock.lap("load")
    frequencies = catalog.document_frequencies(words, visible.allowed)
    known = idf(frequencies, max(visible.n_chunks, *frequencies.values(), 1))
    found = replace(
        _nothing(words, clock.spent),
        question=query[0],
        rarity=np.array([known[word] for word in words], np.float64),
        dates=dates(question),
        searched=account(question, distinct, len(words)),
    )
    found = over(catalog, found, chunks, np.array([passage[c.id] for c in chunks], np.float32), documents)
    clock.lap("words")
    return found


def _nothing(terms: Sequence[str], milliseconds: dict[str, float]) -> Candidates:
    """No candidates for a question with these terms."""
    none = np.zeros(0, np.float32)
    return Candidates(none, terms, [], none, none, none, none, np.zeros(len(terms)), frozenset(), {}, milliseconds)


def over(
    catalog: Catalog,
    found: Candidates,
    chunks: Sequence[StoredChunk],
    passage: Floats,
    documents: Mapping[int, Sequence[StoredDocument]],
) -> Candidates:
    """What was found for a question, over these chunks with these cosines instead of its own."""
    holding = catalog.holding(found.terms, [c.id for c in chunks])
    _, of = np.unique([c.content_id for c in chunks], return_inverse=True)
    united = np.zeros((len(documents), len(found.terms)), np.bool_)
    np.logical_or.at(united, of, holding)
    dated = {
        content: bool(found.dates) and any(is_of(found.dates, of_document(one.metadata)) for one in known)
        for content, known in documents.items()
    }
    return replace(
        found,
        chunks=chunks,
        passage=passage,
        coverage=covered(holding, found.rarity),
        together=covered(united, found.rarity)[of],
        dated=np.array([c.kind is BlockKind.TURN and dated[c.content_id] for c in chunks], np.float32),
        documents=documents,
    )


def _lexical(
    catalog: Catalog, words: Sequence[str], depth: int, visible: Visible
) -> tuple[list[StoredChunk], dict[int, list[StoredDocument]]]:
    """The chunks that have the words, and their documents by content."""
    chunks = catalog.chunks(catalog.lexical(words, depth, visible.allowed)[0].tolist())
    return chunks, catalog.documents_of({c.content_id for c in chunks}, visible)


def score_sentences(catalog: Catalog, found: Candidates, weights: Weights) -> Sentences:
    """The sentences of the candidates with their scores. No candidates give empty arrays."""
    clock = Clock()
    chunks = found.chunks
    if not chunks:
        none, flags, floats = np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.float32)
        return Sentences(none, none, none, flags, floats, floats, floats, floats, floats)
    counts = np.array([len(c.sentences) for c in chunks], np.int64)
    chunk = np.repeat(np.arange(len(chunks)), counts)
    spans = np.concatenate([c.sentences for c in chunks])
    dense = _sentence_cosines(*catalog.sentence_cosines([c.id for c in chunks], found.question), counts, found)
    clock.lap("sentence vectors")
    texts = [c.text[s - c.start : e - c.start] for c in chunks for s, e in c.sentences.tolist()]
    words = occurrences(texts, found.terms)
    lexical = share_of_best(bm25(words, texts, found.rarity))
    phrase = phrased(words, len(texts), found.rarity)
    follows = _follows(chunks, counts)
    spoken = _spoken(found, texts, chunk, follows)
    own = found.fused(weights)[chunk] + weights.sentence * dense + weights.sentence_lexical * lexical
    own = own + weights.phrase * phrase + weights.speaker * spoken
    score = with_neighbours(own.astype(np.float32), follows, weights.neighbour)
    clock.lap("score")
    found.milliseconds.update(clock.spent)
    return Sentences(chunk, spans[:, 0], spans[:, 1], follows, dense, lexical, phrase, spoken, score)


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
