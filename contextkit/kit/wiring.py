"""An open index folder with its parts wired: files, embedder, chunker, vector index, stores. The verbs are beside it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from contextkit.catalog import Catalog, Vectors
from contextkit.context.store import CallStore
from contextkit.errors import KitClosed
from contextkit.kit.info import words_note
from contextkit.observe.receipts import ReceiptStore
from contextkit.protocols import Embedder, MemoryBackend, Reranker
from contextkit.retrieval.reranking import MILLISECONDS, Reranking
from contextkit.retrieval.terms import TERMS_VERSION, terms
from contextkit.retrieval.weights import Weights, own
from contextkit.sync import Pipeline
from contextkit.types import Blob

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from contextkit.context.build import Reader
    from contextkit.memory import MemoryStore
    from contextkit.protocols import Chunker
    from contextkit.sync.pipeline import Parsed

Where = Mapping[str, object]


class Limits(BaseModel):
    """What parsing one document may take.

    Attributes:
        workers: processes that parse; None: as many as there are processors.
        seconds: wall time a document.
        memory: bytes a document.
        size: bytes of a file; a larger one is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=60.0, gt=0)
    memory: int = Field(default=2 * 2**30, ge=2**26)
    size: int = Field(default=100 * 2**20, ge=1)


class Wiring:
    """The parts of an open index and how they find each other; no verbs."""

    def __init__(
        self,
        catalog: Catalog,
        embedder: Embedder,
        *,
        chunker: Chunker | None = None,
        weights: Weights | None = None,
        limits: Limits | None = None,
        wait: float = 30.0,
        memory: str | Path | MemoryBackend | None = None,
        reranker: Reranker | None = None,
        rerank_ms: float = MILLISECONDS,
    ) -> None:
        self.catalog = catalog
        self.embedder = embedder
        self._weights = weights
        self._own_weights: tuple[str, Weights] | None = None
        self.limits = limits or Limits()
        self._reranking = None if reranker is None else Reranking(reranker, rerank_ms)
        self._wait = wait
        self._chunker = chunker
        self._vectors: Vectors | None = None
        self._memory_at = memory
        self._memory: MemoryStore | None = None
        self._receipts = ReceiptStore(catalog.folder, read_only=catalog.read_only)
        self._calls = CallStore(catalog.folder, read_only=catalog.read_only)
        self._lock = threading.RLock()
        self._closed = False
        self._told = ""  # of the index's words: once is enough

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self.catalog.folder)!r}{' closed' if self._closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def weights(self) -> Weights:
        """What each signal counts: as given, else the index's own (see `tune`) for its embedder, else as shipped.

        Raises:
            InputError: the index's own weights cannot be used; the message names the file.
            IndexMismatch: they were fitted with another embedder.
        """
        if self._weights is not None:
            return self._weights
        digest = self.catalog.identity.embedder.digest
        if self._own_weights is None or self._own_weights[0] != digest:
            found = own(self.catalog.folder, digest)
            self._own_weights = (digest, Weights() if found is None else found.weights())
        return self._own_weights[1]

    @weights.setter
    def weights(self, weights: Weights | None) -> None:
        self._weights, self._own_weights = weights, None

    def close(self) -> None:
        """Closes all files; a second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._receipts.close()
                if self._memory is not None:
                    self._memory.close()
                self._calls.close()
                self.catalog.close()

    def _open_for_work(self, *, check: bool = True) -> None:
        if self._closed:
            raise KitClosed(f"the kit of {self.catalog.folder} is closed: open it again with contextkit.open")
        if check:  # every time: another process may have given the index another embedder
            self.catalog.require(self.embedder.info)

    def _reader(self) -> Reader:
        from contextkit.context.build import Reader

        self._open_for_work()
        with self._lock:
            vectors = self._made_vectors()
            words = words_note(self.catalog)
            for note in (*vectors.notes, *{words} - {self._told, ""}):
                warnings.warn(note, stacklevel=3)
            self._told = words
            vectors.notes.clear()
            return Reader(self.catalog, vectors, self.embedder, self.weights, self._reranking)

    def _made_vectors(self) -> Vectors:
        with self._lock:
            if self._vectors is None or self._vectors.embedder != self.catalog.embedder_id:
                from contextkit import plugins

                index = plugins.load("contextkit.indexes", "faiss")
                self._vectors = Vectors(self.catalog, index, index.load)
            return self._vectors

    def _fold(self) -> None:
        """Writes the vector index where much is new, so that the next opening finds it ready."""
        self._reader().vectors.save()

    def _pipeline(self) -> Pipeline:
        from contextkit.documents import PARSER_VERSION

        if self._chunker is None:
            from contextkit.documents.chunking import StructureChunker

            window = self.embedder.info.window
            self._chunker = StructureChunker(self.embedder.count, target=min(180, window - 2), window=window)
        return Pipeline(self._parse, PARSER_VERSION, self._chunker, self.embedder, terms, TERMS_VERSION)

    def _parse(self, blobs: Iterable[Blob]) -> Iterator[Parsed]:
        """Parses in worker processes that start with the first document and end with the iteration."""
        from contextkit.documents import ParsePool

        limits = self.limits
        with ParsePool(limits.workers, limits.seconds, limits.memory, max_bytes=limits.size) as pool:
            yield from pool.run(blobs)
