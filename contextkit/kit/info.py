"""What an index holds, at a glance: the record, and how it is read off a catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from contextkit.catalog import Catalog
from contextkit.types import JSON


class IndexInfo(BaseModel):
    """What an index holds, as everyone sees it.

    Attributes:
        path: its folder.
        documents: living documents that everyone may see.
        chunks: distinct chunks of them.
        characters: of their texts.
        generation: the current one.
        embedder: name of the embedder.
        dimension: length of a vector.
        digest: of the embedder's weights.
        backend: what computed the last vectors, with the measured rates where it was chosen by measuring; "" for an empty index.
        chunker: configuration of the last run.
        parser: version of the parsers of the last run.
        sources: living documents by source.
        bytes: size of all files.
        created: ISO 8601, UTC.
        uuid: names the index.
        format: how the vectors are stored.
        note: what is unusual about how it was opened, or "".
    """

    model_config = ConfigDict(frozen=True)

    path: str
    documents: int
    chunks: int
    characters: int
    generation: int
    embedder: str
    dimension: int
    digest: str
    backend: str
    chunker: str
    parser: str
    sources: dict[str, int]
    bytes: int
    created: str
    uuid: str
    format: str
    note: str


def index_info(catalog: Catalog) -> IndexInfo:
    """What a catalogue holds, as everyone sees it."""
    identity, counts = catalog.identity, catalog.counts()
    return IndexInfo(
        path=str(catalog.folder),
        documents=counts.documents,
        chunks=counts.chunks,
        characters=counts.characters,
        generation=catalog.generation(),
        embedder=identity.embedder.name,
        dimension=identity.embedder.dimension,
        digest=identity.embedder.digest,
        backend=_backend(identity.backend),
        chunker=identity.chunker,
        parser=identity.parser,
        sources=catalog.sources(),
        bytes=counts.bytes,
        created=identity.created,
        uuid=identity.uuid,
        format=f"passages {identity.passages}, sentences {identity.sentences}",
        note=catalog.note,
    )


def _backend(noted: Mapping[str, JSON]) -> str:
    """The back-end in one line, for example "openvino-bfloat16 (tokens a second and core: ...; lowest cosine 0.9999)"."""
    name, rates = str(noted.get("name", "")), noted.get("rates")
    if not isinstance(rates, Mapping) or len(rates) < 2:
        return name
    each = ", ".join(f"{backend} {float(str(rate)):,.0f}" for backend, rate in rates.items())
    return f"{name} (tokens a second and core: {each}; lowest cosine between them {noted.get('cosine')})"
