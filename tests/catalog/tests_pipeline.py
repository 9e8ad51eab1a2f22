"""The pipeline that the tests of catalog and sync share: real parts, only tiny."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from contextkit.errors import ParseError
from contextkit.retrieval.terms import terms
from contextkit.sync import Pipeline
from contextkit.testing import TinyChunker, TinyEmbedder
from contextkit.types import Blob, Document


def parse(blobs: Iterable[Blob]) -> Iterator[tuple[Blob, Document | ParseError]]:
    """Text files, read in this process; a file that starts with BROKEN fails."""
    for blob in blobs:
        text = blob.read().decode()
        if text.startswith("BROKEN"):
            yield blob, ParseError(f"{blob.id} is broken")
        else:
            yield blob, Document(blob.id, text, uri=blob.uri, metadata={"words": len(text.split())})


def make_pipeline(embedder: TinyEmbedder, lines: int = 3) -> Pipeline:
    return Pipeline(parse, "test 1", TinyChunker(lines), embedder, terms)
