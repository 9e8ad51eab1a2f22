"""The best few of the passages that were retrieved, for callers that say how many."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from contextkit.context.build import Retrieved

if TYPE_CHECKING:
    from contextkit.retrieval.scoring import Weights


def best_passages(retrieved: Retrieved, k: int, weights: Weights) -> Retrieved:
    """What was retrieved, of its k best passages alone with their sentences; all of it where there are no more than k.

    Ties go to the passage that stands first.
    """
    found, sentences = retrieved.found, retrieved.sentences
    if len(found.chunks) <= k:
        return retrieved
    best = np.sort(np.argsort(-found.fused(weights), kind="stable")[:k])
    kept = np.isin(sentences.chunk, best)
    place = np.zeros(len(found.chunks), np.int64)
    place[best] = np.arange(k)
    chunks = [found.chunks[n] for n in best.tolist()]
    contents = {chunk.content_id for chunk in chunks}
    follows = sentences.follows[kept]
    rows = np.flatnonzero(kept)
    if len(rows):  # what a sentence directly followed may be gone
        follows = follows & np.concatenate([[False], np.diff(rows) == 1])
    return replace(
        retrieved,
        found=replace(
            found, chunks=chunks, passage=found.passage[best], coverage=found.coverage[best],
            together=found.together[best], dated=found.dated[best],
            rerank=None if found.rerank is None else found.rerank[best],
            documents={content: d for content, d in found.documents.items() if content in contents},
        ),
        sentences=replace(
            sentences, chunk=place[sentences.chunk[kept]], start=sentences.start[kept], end=sentences.end[kept], follows=follows,
            before=sentences.before[kept], after=sentences.after[kept], score=sentences.score[kept],
            signals={name: values[kept] for name, values in sentences.signals.items()},
        ),
    )  # fmt: skip
