"""Embedders in both directions: `KitEmbedding` for LlamaIndex, `as_embedder` for contextkit."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from contextkit.errors import EmbedderError, InputError
from contextkit.types import Chunk, Document, Embedded, EmbedderInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.protocols import Embedder

    Floats = NDArray[np.float32]


class KitEmbedding(BaseEmbedding):
    """A contextkit embedder as LlamaIndex's model. A text longer than its window gets the mean of its windows' vectors.

    Args:
        embedder: such as `kit.embedder`; None: the packaged all-MiniLM-L6-v2.
    """

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - fields of BaseEmbedding
        from contextkit.embedding import load_embedder

        loaded = load_embedder(embedder)
        super().__init__(**{"model_name": loaded.info.name, **kwargs})
        self._embedder = loaded

    @classmethod
    def class_name(cls) -> str:
        """The class's name."""
        return "KitEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        return _floats(self._embedder.embed_queries([query]))[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        window = self._embedder.info.window - 2
        parts = [self._windows(text) if count > window else [_chunk(text)]
                 for text, count in zip(texts, self._embedder.count(texts), strict=True)]  # fmt: skip
        vectors = self._embedder.embed([chunk for chunks in parts for chunk in chunks]).passages
        ends = np.cumsum([len(chunks) for chunks in parts])
        means = [part.mean(axis=0) for part in np.split(vectors, ends[:-1])] if texts else []
        return _floats([mean / (np.linalg.norm(mean) or 1.0) for mean in means])

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    def _windows(self, text: str) -> list[Chunk]:
        from contextkit.documents.chunking import StructureChunker

        window = self._embedder.info.window
        chunker = StructureChunker(self._embedder.count, target=window - 2, window=window, header=0)
        return chunker.chunk(Document("text", text)) or [_chunk(text[:1])]


def _chunk(text: str) -> Chunk:
    return Chunk(0, len(text), text)


def _floats(vectors: Any) -> list[list[float]]:  # noqa: ANN401 - rows of numbers
    return [[float(value) for value in vector] for vector in vectors]


class _EmbedderOf:
    """See `as_embedder`."""

    def __init__(self, model: BaseEmbedding, name: str, window: int) -> None:
        self._model = model
        self._name = name
        self._window = window
        self._info: EmbedderInfo | None = None

    @property
    def info(self) -> EmbedderInfo:
        """What it is; the first time the model is asked for one vector, which tells the dimension."""
        if self._info is None:
            dimension = len(self._model.get_query_embedding("?"))
            digest = hashlib.sha256(f"llamaindex\0{self._model.class_name()}\0{self._name}\0{dimension}".encode()).hexdigest()
            self._info = EmbedderInfo(self._name, digest, dimension, self._window, backend="llamaindex", sentences=False)
        return self._info

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by cl100k_base: what the model itself counts is not known."""
        from contextkit.tokens import counter_for

        return counter_for(None).count_many(list(texts))

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """A vector for each chunk, its header included."""
        texts = [f"{chunk.header}\n{chunk.text}" if chunk.header else chunk.text for chunk in chunks]
        return Embedded(self._units(self._model.get_text_embedding_batch(texts) if texts else []))

    def embed_queries(self, questions: Sequence[str]) -> Floats:
        """A vector for each question."""
        return self._units([self._model.get_query_embedding(question) for question in questions])

    def _units(self, vectors: Sequence[Sequence[float]]) -> Floats:
        made = np.asarray(vectors, dtype=np.float32).reshape(len(vectors), self.info.dimension)
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
            raise EmbedderError(f"the model {self._name!r} gave a vector without direction")
        return np.asarray(made / lengths, dtype=np.float32)


def as_embedder(model: BaseEmbedding, *, name: str = "", window: int = 512) -> Embedder:
    """A LlamaIndex embedding model as an embedder: `contextkit.open(path, embedder=as_embedder(model))`.

    Args:
        model: any of LlamaIndex's.
        name: what it is; "": the model's `model_name`. It decides which indexes fit: give one where the model names none.
        window: tokens of the longest text that the model reads.

    Raises:
        InputError: it is no embedding model, or the window is too small.
    """
    if not isinstance(model, BaseEmbedding):
        raise InputError(f"as_embedder takes a LlamaIndex BaseEmbedding, not {type(model).__name__}")
    if not 32 <= window <= 1_000_000:
        raise InputError(f"window must be from 32 to 1,000,000 tokens, not {window!r}")
    return _EmbedderOf(model, name or model.model_name, window)
