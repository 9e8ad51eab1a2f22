"""The signals of every candidate sentence of judged questions, as columns, and how much of the gold each sentence holds.

They are collected once; `fit.py` then scores them with any weights without asking the index again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contextkit.context.build import Reader, Request, Retrieved, retrieve
from contextkit.evaluation.metric import holder
from contextkit.evaluation.questions import Asked
from contextkit.protocols import TokenCounter
from contextkit.retrieval.sentences import SIGNALS

LINEAR = (
    "passage", "coverage", "document", "date", "sentence", "sentence_lexical", "phrase", "first_mention", "speaker",
    "negation", "rerank",
)  # fmt: skip
"""The weights that multiply a column of `Listed`, in the columns' order; `neighbour` is the one that does not."""

Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Listed:
    """The candidate sentences of several questions, one question behind the other: m sentences of n questions.

    Attributes:
        columns: float64, shape (m, len(LINEAR)).
        before: float64 (m,), how much of the neighbours' share a sentence has of the one before it; 0 at a question's start.
        after: float64 (m,), the same of the one behind it; 0 at a question's end.
        gain: float64 (m,), share of its question's gold that a sentence holds, those of a question summing to 1.
        tokens: float64 (m,), of each sentence.
        first: int64 (n,), row of each question's first sentence.
        skipped: questions left out, because no candidate holds any of their gold.
    """

    columns: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    gain: NDArray[np.float64]
    tokens: NDArray[np.float64]
    first: NDArray[np.int64]
    skipped: int = 0

    def of(self, questions: NDArray[np.bool_]) -> Listed:
        """The sentences of some of the questions: bool (n,)."""
        sizes = np.diff(np.append(self.first, len(self.gain)))
        rows = np.repeat(questions, sizes)
        first = np.concatenate([[0], np.cumsum(sizes[questions])[:-1]]).astype(np.int64)
        return Listed(self.columns[rows], self.before[rows], self.after[rows], self.gain[rows], self.tokens[rows], first)


def collect(reader: Reader, asked: Sequence[Asked], counter: TokenCounter, tell: Tell | None = None) -> Listed:
    """The signals of the candidates for these questions; arrays of length 0 where none is left.

    Args:
        reader: of the index.
        asked: the questions, with their gold.
        counter: counts tokens.
        tell: is told after each question how many are done.

    Raises:
        FilterError: a question's filter is not understood.
    """
    parts: list[tuple[NDArray[np.float64], ...]] = []
    for done, one in enumerate(asked, 1):
        found = retrieve(reader, request(one, 1))
        gain, tokens = _worth(found, one.gold, counter)
        if gain.any():
            before, after = (side.astype(np.float64) for side in (found.sentences.before, found.sentences.after))
            parts.append((columns(found), before, after, gain / gain.sum(), tokens))
        if tell is not None:
            tell(done)
    sizes = [len(part[0]) for part in parts]
    none = (np.zeros((0, len(LINEAR))), *(np.zeros(0) for _ in range(4)))
    signals, before, after, gains, counts = (np.concatenate(column) for column in zip(none, *parts, strict=True))
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if sizes else np.zeros(0, np.int64)
    return Listed(signals, before, after, gains, counts, first, len(asked) - len(parts))


def request(one: Asked, budget: int) -> Request:
    """A judged question as a call asks it."""
    judged = one.judged
    return Request(judged.question, budget, where=judged.where, principal=judged.principal)


def columns(found: Retrieved) -> NDArray[np.float64]:
    """float64 (m, len(LINEAR)): each sentence's signals, in the order of `LINEAR`."""
    chunk, sentences, candidates = found.sentences.chunk, found.sentences, found.found
    judged = np.zeros(len(chunk)) if candidates.rerank is None else candidates.rerank[chunk]
    of_chunks = (candidates.passage, candidates.coverage, candidates.together, candidates.dated)
    of_sentences = (sentences.signals[name] for name in SIGNALS)
    signals = (*(values[chunk] for values in of_chunks), *of_sentences, judged)
    return np.column_stack(signals).astype(np.float64)


def _worth(found: Retrieved, gold: Sequence[str], counter: TokenCounter) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(the share of the gold that each sentence holds, its tokens)."""
    chunks, sentences = found.found.chunks, found.sentences
    texts = [
        chunks[n].text[start - chunks[n].start : end - chunks[n].start]
        for n, start, end in zip(sentences.chunk.tolist(), sentences.start.tolist(), sentences.end.tolist(), strict=True)
    ]
    held = holder(gold)
    gain = np.array([held(text) for text in texts], np.float64)
    return gain, np.array(counter.count_many(texts), np.float64) + 1  # what joins it to the next


def without_budget(reader: Reader) -> Reader:
    """The reader with a reranker that judges all it wants: what is fitted must not depend on the machine's speed."""
    judging = reader.reranking
    return reader if judging is None else replace(reader, reranking=replace(judging, milliseconds=float("inf")))
