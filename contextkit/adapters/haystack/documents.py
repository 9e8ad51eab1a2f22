"""Haystack documents as contextkit's, and back: every field comes back as it was given."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from haystack.dataclasses import ByteStream, Document, SparseEmbedding

from contextkit import types
from contextkit.adapters.haystack.filters import KEY, clock
from contextkit.errors import InputError

BATCH = 1 << 20
"""More documents than one write has: the places of two writes never meet."""

if TYPE_CHECKING:
    from contextkit.catalog import StoredDocument
    from contextkit.retrieval.hits import Hit


def to_kit(document: Document, place: int, access: Sequence[str] | None) -> types.Document:
    """A document as the index keeps it.

    Args:
        document: content, metadata and whatever else it has; its score is kept too.
        place: its place among those written with it, by which listings are ordered.
        access: who may see it; None: everyone.

    Raises:
        InputError: the metadata has the field that is kept for this adapter.
    """
    if KEY in document.meta:
        raise InputError(f"document {document.id!r}: the metadata field {KEY!r} is kept for the document store: rename it")
    parts: dict[str, Any] = {"place": place}
    if document.content is None:
        parts["no_content"] = True
    if document.embedding is not None:
        parts["embedding"] = _packed(document.embedding)
    if document.sparse_embedding is not None:
        parts["sparse_embedding"] = document.sparse_embedding.to_dict()
    if document.blob is not None:
        blob = document.blob
        data = base64.b64encode(blob.data).decode("ascii")
        parts["blob"] = {"data": data, "meta": blob.meta, "mime_type": blob.mime_type}
    if document.score is not None:
        parts["score"] = document.score
    dates = dates_of(document.meta)
    if dates:
        parts["dates"] = dates
    return types.Document(document.id, document.content or "", metadata={**document.meta, KEY: parts}, access=access)


def dates_of(meta: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The ISO 8601 dates of a metadata by path, as numbers that a filter can compare."""
    return {path: known for path, text in _texts(meta, "") if (known := clock(text)) is not None}


def from_kit(stored: StoredDocument, text: str) -> Document:
    """The document that was written; one of another source comes with its text and metadata."""
    meta = dict(stored.metadata)
    parts: Any = meta.pop(KEY, {})
    sparse, blob = parts.get("sparse_embedding"), parts.get("blob")
    return Document(
        id=stored.id,
        content=None if parts.get("no_content") else text,
        blob=None if blob is None else ByteStream(base64.b64decode(blob["data"]), meta=blob["meta"], mime_type=blob["mime_type"]),
        meta=meta,
        score=parts.get("score"),
        embedding=None if "embedding" not in parts else _unpacked(parts["embedding"]),
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
    )


def from_hit(hit: Hit) -> Document:
    """A found chunk: its text, the document's metadata, and where it stands (`source_id`, `split_idx_start`, `page_number`)."""
    meta = {key: value for key, value in hit.metadata.items() if key != KEY}
    named = {"title": hit.title, "uri": hit.uri, "header": hit.header, "page_number": hit.pages[0] if hit.pages else None}
    place = {"source_id": hit.document_id, "split_idx_start": hit.span.start}
    return Document(
        id=f"{hit.document_id}[{hit.span.start}:{hit.span.end}]",
        content=hit.text,
        meta={**{key: value for key, value in named.items() if value}, **meta, **place},
        score=hit.score,
    )


def order(stored: StoredDocument) -> tuple[int, str]:
    """Sorts documents as they were first written; those of other sources by their generation and id."""
    parts: Any = stored.metadata.get(KEY, {})
    return int(parts.get("place", stored.born * BATCH)), stored.id


def _packed(vector: Sequence[float]) -> str:
    """Numbers as text, exactly: four bytes each where that loses nothing, else eight."""
    wide = np.asarray(vector, dtype="<f8")
    if wide.ndim != 1:
        raise InputError(f"an embedding must be a list of numbers, not of shape {wide.shape}")
    with np.errstate(over="ignore"):
        narrow = wide.astype("<f4")
    exact = np.array_equal(narrow.astype("<f8"), wide, equal_nan=True)
    return ("4" if exact else "8") + base64.b64encode((narrow if exact else wide).tobytes()).decode("ascii")


def _unpacked(text: str) -> list[float]:
    values = np.frombuffer(base64.b64decode(text[1:]), dtype=f"<f{text[0]}")
    return [float(value) for value in values]


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
    elif hasattr(value, "isoformat"):  # a date: it is kept as text
        yield path, value.isoformat()
