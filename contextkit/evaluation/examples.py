"""What an embedder learns from: judged questions with passages of the index, as the index embeds them, put into batches.

Passages come as the token ids that the index's own embedder makes of them (header, line break and text, addresses of links left
out, never more than the model reads), each token knowing its sentence. Learning from them is `finetune.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from contextkit.context.build import Reader, retrieve
from contextkit.embedding.folder import find_model
from contextkit.embedding.pieces import Pieces
from contextkit.evaluation.metric import holder
from contextkit.evaluation.questions import Asked
from contextkit.evaluation.signals import request
from contextkit.types import Chunk, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.catalog import StoredChunk
    from contextkit.embedding import LocalEmbedder

NEGATIVES = 3
"""Passages a question that were found for it and hold nothing of its answer."""
POSITIVES = 2
"""Passages a question that hold the most of its answer."""
_CLEAR = 0.5  # of what the best passage or sentence holds of the answer, another needs this much to count as an answer too


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage as the model reads it.

    Attributes:
        text: header and text; what tells it from others.
        ids: int32 (t,), its tokens with the special ones.
        owners: int32 (t,), of each token the number of its sentence, or -1.
        sentences: how many there are.
    """

    text: str
    ids: NDArray[np.int32] = field(repr=False, compare=False)
    owners: NDArray[np.int32] = field(repr=False, compare=False)
    sentences: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Example:
    """What a question is drawn to, and away from.

    Attributes:
        question: as it is asked.
        ids: int32 (t,), its tokens as the model reads them, prefix and special ones included.
        positive: a passage that answers it.
        answers: numbers of the sentences in it that do; () where no single one does.
        negatives: `NEGATIVES` passages that do not.
    """

    question: str
    ids: NDArray[np.int32] = field(repr=False, compare=False)
    positive: Passage
    answers: tuple[int, ...]
    negatives: tuple[Passage, ...]


class Reading:
    """Questions and stored chunks as an embedder's model reads them; a chunk that comes again is the same passage.

    Args:
        embedder: whose model it is.
    """

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._info = embedder.info
        self._pieces = Pieces(find_model(embedder.path), self._info.passage_prefix)
        self._known: dict[tuple[str, str], Passage] = {}

    def question(self, text: str) -> NDArray[np.int32]:
        """The tokens of a question; of one that is longer than the window its beginning."""
        room = self._info.window - self._pieces.special
        return self._pieces.windows([self._info.query_prefix + text], room)[0][0]

    def passages(self, chunks: Sequence[StoredChunk]) -> list[Passage]:
        """Chunks as they were embedded."""
        fresh = {(c.header, c.text): c for c in chunks if (c.header, c.text) not in self._known}
        ids, owners = self._pieces.chunks([_chunk(c) for c in fresh.values()])
        for (key, chunk), tokens, of in zip(fresh.items(), ids, owners, strict=True):
            self._known[key] = Passage("\n".join(key), tokens, of, len(chunk.sentences))
        return [self._known[c.header, c.text] for c in chunks]


def examples(
    reader: Reader, embedder: LocalEmbedder, asked: Sequence[Asked], tell: Callable[[int], None] | None = None
) -> list[Example]:
    """Examples from what an index finds for judged questions, in their order.

    Of the candidates of a question the two that hold most of its gold answer it, the best ranked that hold none do not. A
    question of which no candidate holds any gold, or every one does, gives no example.

    Args:
        reader: of the index.
        embedder: whose model is to learn: the index's own.
        asked: the questions, with their gold.
        tell: is told after each question how many are done.
    """
    reading, out = Reading(embedder), list[Example]()
    for done, one in enumerate(asked, 1):
        out.extend(_of(reader, reading, one))
        if tell is not None:
            tell(done)
    return out


def _of(reader: Reader, reading: Reading, one: Asked) -> list[Example]:
    """The examples of one question."""
    found, held = retrieve(reader, request(one, 1)).found, holder(one.gold)
    share = np.array([held(chunk.text) for chunk in found.chunks])
    if not share.any() or share.all():
        return []
    ranked = np.argsort(-found.fused(reader.weights), kind="stable")
    wrong = [found.chunks[n] for n in ranked if share[n] == 0][:NEGATIVES]
    right = [n for n in np.argsort(-share, kind="stable")[:POSITIVES] if share[n] >= _CLEAR * share.max()]
    negatives = reading.passages([wrong[n % len(wrong)] for n in range(NEGATIVES)])
    ids, chunks = reading.question(one.judged.question), [found.chunks[n] for n in right]
    return [
        Example(one.judged.question, ids, passage, _answers(chunk, held), tuple(negatives))
        for chunk, passage in zip(chunks, reading.passages(chunks), strict=True)
    ]


def _answers(chunk: StoredChunk, held: Callable[[str], float]) -> tuple[int, ...]:
    """The sentences of a passage that hold the most of the gold."""
    text, first = chunk.text, chunk.start
    share = np.array([held(text[start - first : end - first]) for start, end in chunk.sentences.tolist()])
    return tuple(np.flatnonzero(share >= _CLEAR * share.max()).tolist()) if share.any() else ()


def _chunk(stored: StoredChunk) -> Chunk:
    """A stored chunk as it came from the chunker."""
    spans = tuple(Span(start, end) for start, end in stored.sentences.tolist())
    return Chunk(stored.start, stored.end, stored.text, stored.header, spans, stored.pages, stored.kind)


def batches(learn: Sequence[Example], size: int, seed: int) -> list[list[Example]]:
    """The examples in a new order, in batches in which what answers one question is not there as another's answer or negative.

    What is elsewhere in a batch counts as wrong, so it must not be right. The last batches may be small.
    """
    order = list(learn)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    full: list[list[Example]] = []
    filling: list[list[Example]] = []
    for example in order:
        place = next((batch for batch in filling if not any(_clash(example, other) for other in batch)), None)
        if place is None:
            place = []
            filling.append(place)
        place.append(example)
        if len(place) == size:
            full.append(place)
            filling = [batch for batch in filling if batch is not place]
    return [*full, *filling]


def _clash(a: Example, b: Example) -> bool:
    return a.positive == b.positive or a.positive in b.negatives or b.positive in a.negatives or a.question == b.question
