"""The middle of a run: documents are chunked, what is new is embedded in batches beside the parsing, and all is staged.

What to read is decided in `contextkit.sync.plan`; what shows is decided by the commit in `contextkit.sync.runs`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.catalog import Catalog
from contextkit.catalog.staging import NewContent, NewDocument, NewVectors, check_chunks, check_document, content_key, vector_key
from contextkit.sync.pipeline import Keys, Pipeline
from contextkit.sync.report import Progress, silent
from contextkit.types import Chunk, Document, Embedded

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

# Chunks handed to the embedder at once: it sorts them by length, and the more there are, the less padding. Still a few seconds of
# work, so that a run can be stopped soon and lose nothing. The first batch is smaller, so that the embedder need not wait for it.
_BATCH = 1_024
_FIRST = 256
_DOCUMENTS = 2_000  # documents staged at once where nothing is to be embedded
_CHARACTERS = 8_000_000  # of texts staged at once: memory is bounded by these, not by how many documents they are
_SECONDS = 5.0  # what is ready is embedded and staged at least so often
_AHEAD = 2  # batches that may wait for the embedder


@dataclass
class _Batch:
    """What is staged in one transaction: its contents have all their vectors in it, or in a batch before it."""

    chunks: list[Chunk] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    contents: list[NewContent] = field(default_factory=list)
    documents: list[NewDocument] = field(default_factory=list)
    characters: int = 0


class Work:
    """Takes documents one by one and stages them; a context manager, whose regular end stages the rest.

    Args:
        catalog: open for writing, its lock held.
        source: name of the source.
        pipeline: the parts.
        keys: of the pipeline.
        progress: is told of embedded chunks.
    """

    def __init__(self, catalog: Catalog, source: str, pipeline: Pipeline, keys: Keys, progress: Progress) -> None:
        self._catalog, self._source, self._pipeline, self._keys, self._progress = catalog, source, pipeline, keys, progress
        self._batch = _Batch()
        self._since = time.monotonic()
        self._waiting: deque[tuple[_Batch, Future[Embedded] | None]] = deque()
        self._pending_contents: set[bytes] = set()
        self._pending_vectors: set[bytes] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="contextkit-embed")
        self._started = False
        self._expecting = False
        self.embedded = 0
        """Chunks embedded so far."""
        self.reused = 0
        """Chunks of new contents whose vectors were there already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._submit()
                while self._waiting:
                    self._stage_next()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)
            if error is not None and not isinstance(error, Exception):  # stopped from outside: nothing of it is broken
                self._keep_finished()

    def _keep_finished(self) -> None:
        """Stages the batches that were embedded before the run was stopped, so that the next run does not embed them again."""
        self._progress = silent
        while self._waiting:
            future = self._waiting[0][1]
            if future is not None and (future.cancelled() or future.exception() is not None):
                return
            self._stage_next()

    def expect(self) -> None:
        """Says that there will be something to embed: a model that takes time to load does so beside the parsing."""
        prepare = getattr(self._pipeline.embedder, "prepare", None)
        if not self._expecting and prepare is not None:
            self._thread.submit(prepare)  # where it fails, embedding fails too, and says why
        self._expecting = True

    def known(self, document: NewDocument) -> None:
        """Takes a version whose content is stored already. Raises InputError where it cannot be stored."""
        check_document(document)
        self._batch.documents.append(document)
        self._go_on()

    def key(self, document: Document) -> bytes:
        """The content key of a document under this pipeline. Raises InputError for a text that cannot be stored."""
        return content_key(document, self._keys.chunker, self._keys.embedder)

    def take(self, document: Document, version: NewDocument) -> None:
        """Takes a document with its text.

        Args:
            document: the text.
            version: what to stage for it; its content key is `key(document)`.

        Raises:
            InputError: the version cannot be stored, or the chunker broke its contract.
        """
        check_document(version)
        key = version.content_key
        if key not in self._pending_contents and key not in self._catalog.known_contents([key]):
            self.expect()
            chunks = self._pipeline.chunker.chunk(document)
            check_chunks(document, chunks)
            self._pending_contents.add(key)
            vectors = [vector_key(chunk, self._keys.embedder) for chunk in chunks]
            self._embed_missing(chunks, vectors)
            self._batch.contents.append(NewContent(key, document, chunks, vectors))
            self._batch.characters += len(document.text)
        self._batch.documents.append(version)
        self._go_on()

    def _embed_missing(self, chunks: Sequence[Chunk], keys: Sequence[bytes]) -> None:
        known = self._catalog.known_vectors(dict.fromkeys(keys))
        for chunk, key in zip(chunks, keys, strict=True):
            if key in known or key in self._pending_vectors:
                self.reused += 1
                continue
            self._pending_vectors.add(key)
            self._batch.chunks.append(chunk)
            self._batch.keys.append(key)
            if len(self._batch.chunks) >= (_BATCH if self._started else min(_FIRST, _BATCH)):
                # a long document is spread over batches; its content comes with the last
                self._submit()

    def _go_on(self) -> None:
        batch = self._batch
        late = time.monotonic() - self._since > _SECONDS
        full = len(batch.documents) >= _DOCUMENTS or batch.characters >= _CHARACTERS
        if full or (late and (batch.documents or batch.chunks)):
            self._submit()
        while self._waiting and (self._waiting[0][1] is None or self._waiting[0][1].done()):
            self._stage_next()

    def _submit(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if not (batch.chunks or batch.documents or batch.contents):
            return
        future = self._thread.submit(self._pipeline.embedder.embed, batch.chunks) if batch.chunks else None
        self._started = True
        self._waiting.append((batch, future))
        while len(self._waiting) > _AHEAD or sum(waiting.characters for waiting, _ in self._waiting) > 2 * _CHARACTERS:
            self._stage_next()
        self._since = time.monotonic()  # not before: the time it took to wait for the embedder is not the next batch's

    def _stage_next(self) -> None:
        """Stages the oldest batch; in order, so that a content never comes before its vectors."""
        batch, future = self._waiting.popleft()
        vectors = [] if future is None else _split(batch, future.result())
        self._catalog.stage(self._source, batch.contents, vectors, batch.documents, self._pipeline.terms)
        self._pending_vectors.difference_update(batch.keys)
        self._pending_contents.difference_update(c.key for c in batch.contents)
        self.embedded += len(batch.chunks)
        if batch.chunks:
            self._progress("embed", self.embedded, None)


def _split(batch: _Batch, made: Embedded) -> list[NewVectors]:
    out: list[NewVectors] = []
    place = 0
    for i, (chunk, key) in enumerate(zip(batch.chunks, batch.keys, strict=True)):
        n = len(chunk.sentences)
        out.append(NewVectors(key, made.passages[i], None if made.sentences is None else made.sentences[place : place + n]))
        place += n
    return out
