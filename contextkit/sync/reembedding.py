"""Another embedder for an index that exists: its documents are cut and embedded anew, then shown in one new generation.

Until that generation is committed the old one serves as before. A run that dies is resumed by the next: what was embedded is
stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from contextkit.catalog import Catalog, StoredDocument
from contextkit.catalog.staging import NewContent, NewVectors, check_chunks, content_key, vector_key
from contextkit.sync.pipeline import Keys, Pipeline
from contextkit.sync.report import Progress, SyncReport, silent
from contextkit.types import Chunk

_BATCH = 1_024  # chunks embedded and stored at once, at least


@dataclass
class _Batch:
    contents: list[NewContent] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)


def reembed(
    catalog: Catalog, pipeline: Pipeline, *, progress: Progress | None = None, wait: float = 30.0, note: str = ""
) -> SyncReport:
    """Gives all living documents vectors of the pipeline's embedder, in one new generation (none where they have them).

    The texts come from the index: no source is asked. Later syncs have to use the new embedder; the first one reads its source
    once more, and embeds nothing that was embedded here.

    Args:
        catalog: open for writing, of any embedder.
        pipeline: its chunker and embedder are the new ones.
        progress: is told of embedded chunks.
        wait: seconds to wait for another writer.
        note: why; shown with the generation.

    Raises:
        IndexLocked: another writer did not finish in time.
    """
    started = time.monotonic()
    tell = progress or silent
    keys, info = Keys.of(pipeline), pipeline.embedder.info
    with catalog.writing("reembed", wait=wait) as run:
        catalog.renew_terms(pipeline.terms, pipeline.terms_version, lambda done, total: tell("terms", done, total))
        documents = catalog.everything()
        taking: dict[int, bytes] = {}
        embedded = reused = 0
        for batch, known in _batches(catalog, documents, pipeline, keys, taking):
            reused += known
            made = pipeline.embedder.embed(batch.chunks)
            vectors = []
            place = 0
            for i, (chunk, key) in enumerate(zip(batch.chunks, batch.keys, strict=True)):
                end = place + len(chunk.sentences)
                vectors.append(NewVectors(key, made.passages[i], None if made.sentences is None else made.sentences[place:end]))
                place = end
            catalog.stage("", batch.contents, vectors, (), pipeline.terms, embedder=info)
            embedded += len(batch.chunks)
            tell("embed", embedded, None)
        tell("commit", 0, 1)
        done = catalog.reembed(run, info, pipeline.chunker.config, taking, note=note or f"re-embed with {info.name}")
        tell("commit", 1, 1)
    return SyncReport(
        source="index",
        added=0,
        changed=len(done.changed),
        unchanged=len(documents) - len(done.changed),
        removed=0,
        moved=0,
        failed=0,
        seconds=time.monotonic() - started,
        generation=done.generation,
        embedded=embedded,
        reused=reused,
        complete=True,
        changed_ids=done.changed,
    )


def _batches(
    catalog: Catalog, documents: Sequence[StoredDocument], pipeline: Pipeline, keys: Keys, taking: dict[int, bytes]
) -> Iterator[tuple[_Batch, int]]:
    """Contents to store with the chunks to embed, and how many chunks had their vectors; fills `taking` on the way."""
    batch, pending, reused = _Batch(), set[bytes](), 0
    for stored in documents:
        if stored.content_id in taking:
            continue
        document = catalog.load(stored)
        taking[stored.content_id] = key = content_key(document, keys.chunker, keys.embedder)
        if catalog.known_contents([key]) or any(c.key == key for c in batch.contents):
            continue
        chunks = pipeline.chunker.chunk(document)
        check_chunks(document, chunks)
        names = [vector_key(chunk, keys.embedder) for chunk in chunks]
        known = catalog.known_vectors(dict.fromkeys(names))
        batch.contents.append(NewContent(key, document, chunks, names))
        for chunk, name in zip(chunks, names, strict=True):
            if name in known or name in pending:
                reused += 1
                continue
            pending.add(name)
            batch.chunks.append(chunk)
            batch.keys.append(name)
        if len(batch.chunks) >= _BATCH:
            yield batch, reused
            batch, pending, reused = _Batch(), set(), 0
    if batch.contents:
        yield batch, reused
