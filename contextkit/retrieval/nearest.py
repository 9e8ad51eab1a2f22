"""Search by a given vector alone: no question, so no words, no fusion and no reranker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from contextkit.catalog import Catalog, StoredChunk, Vectors, Visible
from contextkit.errors import InputError
from contextkit.retrieval.hits import Hit
from contextkit.retrieval.scoring import Floats
from contextkit.types import Span


def unit(vector: ArrayLike, dimension: int) -> Floats:
    """float32 (dimension,): the vector's direction. Raises InputError where it has another length than that, or no direction."""
    try:
        given = np.asarray(vector, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"a vector of {dimension} numbers is needed, not {type(vector).__name__}") from None
    norm = float(np.linalg.norm(given)) if given.shape == (dimension,) else 0.0
    if not np.isfinite(norm) or norm == 0:
        numbers = " x ".join(map(str, given.shape)) or "1"
        raise InputError(
            f"a vector of {dimension} numbers is needed, of a length above 0, not one of {numbers} numbers with the length "
            f"{float(np.linalg.norm(given))}: take it from the index's own embedder (kit.embedder)"
        )
    return np.asarray(given / np.float32(norm), np.float32)


def nearest(catalog: Catalog, vectors: Vectors, query: Floats, visible: Visible, k: int) -> list[Hit]:
    """The k visible chunks nearest to a unit vector, best first, ties by chunk. Twins of one content each give theirs."""
    if not visible.n_chunks:
        return []
    ids, scores = vectors.search(query[None], min(k, visible.n_chunks), visible)
    kept = ids[0] >= 0
    chunks = catalog.chunks(ids[0][kept].tolist())
    return _hits(catalog, chunks, scores[0][kept].tolist(), visible)[:k]


def _hits(catalog: Catalog, chunks: Sequence[StoredChunk], cosines: Sequence[float], visible: Visible) -> list[Hit]:
    documents = catalog.documents_of({chunk.content_id for chunk in chunks}, visible)
    return [
        Hit(
            cosine, chunk.text, document.id, Span(chunk.start, chunk.end), chunk.pages, document.metadata, document.title,
            document.uri, chunk.header,
        )
        for chunk, cosine in zip(chunks, cosines, strict=True)
        for document in documents.get(chunk.content_id, ())
    ]  # fmt: skip
