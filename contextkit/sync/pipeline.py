"""What turns a source's bytes into rows: the parts bundled, and the keys that name their configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from contextkit.catalog.staging import Terms, digest, embedder_key
from contextkit.errors import ParseError
from contextkit.protocols import Chunker, Embedder
from contextkit.types import JSON, Blob, Document, DocumentRef

Parsed: TypeAlias = "tuple[Blob, Document | ParseError]"

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts that a run works with.

    Attributes:
        parse: blobs to documents or errors, in order; reads its input as results are taken (`ParsePool.run`).
        parser_version: changes whenever the output of any parser may.
        chunker: cuts documents.
        embedder: gives the vectors.
        terms: gives the lexical terms of a text.
        terms_version: changes whenever those may.
    """

    parse: Callable[[Iterable[Blob]], Iterator[Parsed]]
    parser_version: str
    chunker: Chunker
    embedder: Embedder
    terms: Terms
    terms_version: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """The configuration of a pipeline as keys; made once a run.

    Attributes:
        chunker: the chunker's configuration.
        embedder: names the embedder.
        parsing: names parsers, chunker and embedder together.
    """

    chunker: str
    embedder: bytes
    parsing: bytes

    @classmethod
    def of(cls, pipeline: Pipeline) -> Keys:
        """The keys of a pipeline; reads the embedder's info, which may load it."""
        embedder = embedder_key(pipeline.embedder.info)
        return cls(pipeline.chunker.config, embedder, digest(pipeline.parser_version, pipeline.chunker.config, embedder))

    def observed(self, ref: DocumentRef) -> tuple[bytes, bytes]:
        """What the source says of a document: a key of what decides its content, and one of all the rest."""
        access = None if ref.access is None else sorted(set(ref.access))
        content = digest([ref.version, ref.name, ref.media_type], self.parsing)
        return content, digest([ref.uri, dict(ref.metadata), access])

    def parse(self, blob: Blob, data: bytes) -> bytes:
        """Names the bytes of a blob (by their digest), its name and type, which parsers see too, and the pipeline."""
        return digest(data, blob.name, blob.media_type, self.parsing)


def own_access(content: bytes) -> bytes:
    """The content key of a document that brought rights of its own: what the source's listing says is not all then."""
    return digest(content, "own access")


def hashed(blob: Blob) -> bytes:
    """The digest of a blob's bytes, a file read piece by piece. Raises OSError where it cannot be read."""
    if blob.path is None:
        return hashlib.sha256(blob.read()).digest()
    state = hashlib.sha256()
    with blob.path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.digest()


def state_of(path: Path | None) -> tuple[int, int] | None:
    """Size and time of a file, to see whether it changed while it was read; None where there is no file."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def backend_used(embedder: Embedder) -> dict[str, JSON]:
    """What computes an embedder's vectors, and what was measured where it was chosen among several (`LocalEmbedder.measured`)."""
    measured = getattr(embedder, "measured", None) or {}
    return {"name": embedder.info.backend, **{name: measured[name] for name in ("rates", "cosine") if name in measured}}
