"""From a question to candidate chunks: dense and lexical search side by side, neither gating the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from contextkit.catalog import Catalog, StoredChunk, StoredDocument, Vectors, Visible
from contextkit.protocols import Embedder
from contextkit.retrieval.abbreviations import Abbreviation, abbreviations
from contextkit.retrieval.beside import beside
from contextkit.retrieval.negation import Denial, denial, without_denials
from contextkit.retrieval.pasted import TERMS, account, spread, telling
from contextkit.retrieval.scoring import Floats, Weights, covered, idf
from contextkit.retrieval.terms import content_terms
from contextkit.retrieval.times import Times, fit, named
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
        dated: float32 (n,), 0 to 1: 1 for talk of a date that the question names (what is written says its dates, talk does not)
            and for any document of the days that relative words mean; of what is asked for as the latest, the newer the more.
        rarity: float64 (terms,), inverse document frequencies of the terms among the visible chunks.
        abbreviations: those that the candidates explain and the question uses, in short or in full.
        times: the times that the question names.
        documents: the permitted documents of each content, by content id; twins share one.
        milliseconds: wall time by stage.
        rerank: float32 (n,), what a reranker says, 0 to 1, and 0 for what it did not reach; None without one.
        reranked: how many passages it judged.
        denial: what the question denies, or None.
        understood: how its relative words of time and its denials were read, by these words.
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
    times: Times
    documents: Mapping[int, Sequence[StoredDocument]]
    milliseconds: dict[str, float] = field(default_factory=dict)
    abbreviations: Sequence[Abbreviation] = ()
    rerank: Floats | None = None
    reranked: int = 0
    denial: Denial | None = None
    understood: dict[str, str] = field(default_factory=dict)
    searched: str = ""

    def fused(self, weights: Weights) -> Floats:
        """float32 (n,): what a chunk scores as a whole."""
        found = weights.passage * self.passage + weights.coverage * self.coverage
        found = found + weights.document * self.together + weights.date * self.dated
        if self.rerank is not None:
            found = found + weights.rerank * self.rerank
        return np.asarray(found, np.float32)


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
    catalog: Catalog,
    vectors: Vectors,
    embedder: Embedder,
    question: str,
    visible: Visible,
    depth: int = DEPTH,
    now: datetime | None = None,
) -> Candidates:
    """The candidates for a question among what is visible; at most `depth` by each search, fewer where fewer are permitted.

    Words such as "last week" are read as of `now`, in UTC; without it they name no time. An index without visible chunks gives no
    candidates, and the question is not embedded.
    """
    clock = Clock()
    words, said_no = content_terms(question), denial(question)
    if said_no is not None:
        words = without_denials(words)
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
    times = named(question, now)
    found = replace(
        _nothing(words, clock.spent),
        question=query[0],
        rarity=np.array([known[word] for word in words], np.float64),
        times=times,
        denial=said_no,
        understood={**times.understood(), **({} if said_no is None else said_no.understood())},
        searched=account(question, distinct, len(words)),
    )
    found = over(catalog, found, chunks, np.array([passage[c.id] for c in chunks], np.float32), documents)
    clock.lap("words")
    return found


def _nothing(terms: Sequence[str], milliseconds: dict[str, float]) -> Candidates:
    """No candidates for a question with these terms."""
    none = np.zeros(0, np.float32)
    return Candidates(none, terms, [], none, none, none, none, np.zeros(len(terms)), Times(), {}, milliseconds)


def over(
    catalog: Catalog,
    found: Candidates,
    chunks: Sequence[StoredChunk],
    passage: Floats,
    documents: Mapping[int, Sequence[StoredDocument]],
) -> Candidates:
    """What was found for a question, over these chunks with these cosines instead of its own."""
    known = abbreviations([c.text for c in chunks], found.terms)
    holding = _holding(catalog, found.terms, known, [c.id for c in chunks])
    _, of = np.unique([c.content_id for c in chunks], return_inverse=True)
    united = np.zeros((len(documents), len(found.terms)), np.bool_)
    np.logical_or.at(united, of, holding)
    coverage, together = covered(holding, found.rarity), covered(united, found.rarity)[of]
    dated = fit(found.times, documents, dict(zip((c.content_id for c in chunks), together.tolist(), strict=True)))
    exact, relative = np.array([dated[c.content_id] for c in chunks], np.float32).reshape(-1, 2).T
    turns = np.array([c.kind is BlockKind.TURN for c in chunks], np.bool_)
    return replace(
        found,
        chunks=chunks,
        passage=passage,
        coverage=coverage,
        together=together,
        dated=np.maximum(exact * turns, relative),
        documents=documents,
        abbreviations=known,
    )


def _holding(catalog: Catalog, words: Sequence[str], known: Sequence[Abbreviation], chunks: Sequence[int]) -> NDArray[np.bool_]:
    """Which chunks hold which words of the question, bool (chunks, words), an abbreviation counting as what it stands for."""
    holding = catalog.holding(words, chunks)
    place = {word: n for n, word in enumerate(words)}
    for pair in known:
        if pair.asked:
            holding[:, place[pair.short]] |= catalog.holding(pair.long, chunks).all(axis=1)
        else:
            holding[:, [place[word] for word in pair.long]] |= catalog.holding([pair.short], chunks)
    return holding


def _lexical(
    catalog: Catalog, words: Sequence[str], depth: int, visible: Visible
) -> tuple[list[StoredChunk], dict[int, list[StoredDocument]]]:
    """The chunks that have the words, and their documents by content."""
    chunks = catalog.chunks(catalog.lexical(words, depth, visible.allowed)[0].tolist())
    return chunks, catalog.documents_of({c.content_id for c in chunks}, visible)
