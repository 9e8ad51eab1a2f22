"""Embedders across the border: `KitEmbeddings` is ours for LangChain, `LangChainEmbedder` is LangChain's for us."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from langchain_core.embeddings import Embeddings

from contextkit.adapters.shared.threads import finished
from contextkit.errors import EmbedderError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.kit import Kit
    from contextkit.protocols import Embedder, TokenCounter
    from contextkit.types import Chunk, Embedded, EmbedderInfo


class KitEmbeddings(Embeddings):
    """contextkit's embedder as LangChain's `Embeddings`: unit vectors, texts of any length.

    A text over the model's window is cut at sentences; its vector is the mean of its parts'.

    Args:
        embedder: an embedder, or a kit for the one that it was opened with.

    Raises:
        InputError: it is neither.
    """

    def __init__(self, embedder: Embedder | Kit) -> None:
        from contextkit.protocols import Embedder as Protocol

        found = getattr(embedder, "embedder", embedder)
        if not isinstance(found, Protocol):
            raise InputError(f"KitEmbeddings takes an embedder or a kit, not {type(embedder).__name__}")
        self.embedder: Embedder = found

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of passages, in order."""
        from contextkit.memory import embed

        return cast("list[list[float]]", embed.texts(self.embedder, _checked(texts)).tolist())

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question."""
        return cast("list[float]", self.embedder.embed_queries(_checked([text]))[0].tolist())

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`, in a thread."""
        return await finished(self.embed_documents, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`, in a thread."""
        return await finished(self.embed_query, text)


def _checked(texts: Sequence[str]) -> list[str]:
    wrong = [texts] if isinstance(texts, str) else [text for text in texts if not isinstance(text, str)]
    if wrong:
        raise InputError(f"a list of texts is embedded, not {type(wrong[0]).__name__}")
    return list(texts)


class LangChainEmbedder:
    """LangChain's `Embeddings` as an embedder of ours: `contextkit.open(folder, embedder=LangChainEmbedder(embeddings))`.

    It gives passage vectors only; sentences are ranked by their passage and their words. Vectors are brought to unit length.

    Args:
        embeddings: any of LangChain's.
        name: what makes its vectors comparable, stored with the index; None: the class and the model that it names.
        window: most tokens of a passage. LangChain does not say what a model reads: give the model's own limit.
        counter: counts the tokens of the model; None: cl100k_base.
        dimension: length of a vector; None: asked once, with a short text.

    Raises:
        InputError: it is none of LangChain's embeddings, or window or dimension are below 1.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        *,
        name: str | None = None,
        window: int = 256,
        counter: TokenCounter | None = None,
        dimension: int | None = None,
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise InputError(f"LangChainEmbedder takes langchain_core.embeddings.Embeddings, not {type(embeddings).__name__}")
        if window < 1 or (dimension is not None and dimension < 1):
            raise InputError(f"window={window} and dimension={dimension} must be at least 1")
        self.embeddings = embeddings
        self._name = name or _named(embeddings)
        self._window, self._given_counter, self._dimension = window, counter, dimension
        self._lock = threading.Lock()
        self._info: EmbedderInfo | None = None

    @property
    def info(self) -> EmbedderInfo:
        """What makes the vectors comparable; asks the model once where the dimension was not given."""
        from contextkit.types import EmbedderInfo

        with self._lock:
            if self._info is None:
                dimension = self._dimension or len(self.embeddings.embed_query("dimension"))
                digest = hashlib.sha256(f"langchain {self._name} {dimension}".encode()).hexdigest()
                self._info = EmbedderInfo(self._name, digest, dimension, self._window, backend="langchain", sentences=False)
            return self._info

    def count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, by the counter."""
        from contextkit.tokens import counter_for

        return (self._given_counter or counter_for(None)).count_many(texts)

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """Passage vectors, float32 (n, dimension), unit length; `sentences` is None.

        Raises:
            InputError: a chunk has more tokens than the window.
            EmbedderError: the model gives no such vectors.
        """
        from contextkit.types import Embedded

        texts = [f"{chunk.header}\n{chunk.text}" if chunk.header else chunk.text for chunk in chunks]
        for chunk, tokens in zip(chunks, self.count(texts) if texts else [], strict=True):
            if tokens > self._window:
                raise InputError(
                    f"a chunk of {tokens} tokens (header included) is over the window of {self._window}: {chunk.text[:60]!r} at "
                    f"{chunk.start}-{chunk.end}; cut it into smaller chunks, or raise the window if the model reads more"
                )
        return Embedded(self._vectors(self.embeddings.embed_documents(texts) if texts else [], len(texts)))

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of questions, float32 (n, dimension), unit length. Raises EmbedderError where the model gives none."""
        return self._vectors([self.embeddings.embed_query(question) for question in questions], len(questions))

    def _vectors(self, given: Sequence[Sequence[float]], n: int) -> NDArray[np.float32]:
        dimension = self.info.dimension
        lengths = {len(vector) for vector in given}
        if len(given) != n or lengths - {dimension}:
            raise EmbedderError(
                f"{self._name} gave {len(given)} vectors of length {sorted(lengths)} for {n} texts of {dimension}"
            )
        out = np.asarray(given, np.float32).reshape(n, dimension)
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        if not np.isfinite(out).all() or (norms == 0).any():
            raise EmbedderError(f"{self._name} gave a vector that is zero or not finite")
        return np.asarray(out / norms, np.float32)


def _named(embeddings: Embeddings) -> str:
    """The class and the model, where it names one."""
    own = getattr(embeddings, "model", None) or getattr(embeddings, "model_name", None)
    return f"{type(embeddings).__name__}:{own}" if isinstance(own, str) else type(embeddings).__name__
