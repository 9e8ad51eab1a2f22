"""Search results for people and programs: ranked chunks with their documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from contextkit.retrieval.candidates import Candidates
from contextkit.retrieval.scoring import Floats
from contextkit.types import JSON, Span


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found: `document.text[span.start:span.end] == text`.

    Attributes:
        score: cosine of question and passage, and by `Weights` the question's words in passage and document, its date, and what
            a reranker says where there is one; larger is better, within one search.
        text: the chunk's text.
        document_id: its document.
        span: where in the document.
        pages: first and last page number, or None.
        metadata: the document's.
        title: the document's, or "".
        uri: where a person finds it.
        header: title and section path.
    """

    score: float
    text: str
    document_id: str
    span: Span
    pages: tuple[int, int] | None
    metadata: Mapping[str, JSON]
    title: str
    uri: str
    header: str


def hits(found: Candidates, scores: Floats, k: int) -> list[Hit]:
    """The k best hits, best first, ties by document id and place. Documents with the same content each give theirs."""
    out: list[Hit] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        chunk = found.chunks[row]
        out.extend(
            Hit(
                score=round(float(scores[row]), 6),
                text=chunk.text,
                document_id=document.id,
                span=Span(chunk.start, chunk.end),
                pages=chunk.pages,
                metadata=document.metadata,
                title=document.title,
                uri=document.uri,
                header=chunk.header,
            )
            for document in found.documents[chunk.content_id]
        )
        if len(out) >= k:
            break
    return out[:k]
