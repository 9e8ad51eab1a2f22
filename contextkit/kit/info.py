"""What an index holds, at a glance: the record, and how it is read off a catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from contextkit.catalog import Catalog
from contextkit.retrieval.terms import TERMS_VERSION
from contextkit.retrieval.weights import described
from contextkit.types import JSON

_NAMES = {"probes": "looked into", "made_from": "made from", "recall": "recall@10"}


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
        vectors: the kind of vector index that is searched and how it was tuned, such as "exact" or "lists (...)"; "" where
            none was made yet.
        weights: which numbers of relevance its questions are scored with: "shipped", or its own and where they come from.
        note: what is unusual about how it was opened and how its words were read, or "".
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
    vectors: str
    weights: str
    note: str


def index_info(catalog: Catalog, vectors: Mapping[str, JSON]) -> IndexInfo:
    """What a catalogue holds, as everyone sees it; `vectors` is what its vector index says of itself (`Vectors.describe`)."""
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
        vectors=_vectors(vectors),
        weights=described(catalog.folder, identity.embedder.digest),
        note="; ".join(note for note in (catalog.note, words_note(catalog)) if note),
    )


def words_note(catalog: Catalog) -> str:
    """What is to be said of an index whose words were read by other rules than this contextkit's, or ""."""
    made = catalog.identity.terms
    if made in ("", TERMS_VERSION):
        return ""
    return (
        f"the words of {catalog.folder} were read by other rules (version {made}, now {TERMS_VERSION}): some words are not found "
        "until the next sync reads them again, as `contextkit index doctor` does"
    )


def _vectors(told: Mapping[str, JSON]) -> str:
    """The vector index in one line, for example "lists (vectors 200,000; lists 894; probes 40; recall 0.987)"."""
    rest = {name: value for name, value in told.items() if name not in ("kind", "dimension", "bytes")}
    each = "; ".join(
        f"{_NAMES.get(name, name)} {value:,}" if isinstance(value, int) else f"{_NAMES.get(name, name)} {value}"
        for name, value in rest.items()
    )
    return f"{told.get('kind', '')} ({each})" if each else str(told.get("kind", ""))


def _backend(noted: Mapping[str, JSON]) -> str:
    """The back-end in one line, such as "openvino-bfloat16 (tokens a second and core: ...; lowest cosine to float32 0.9999)"."""
    name, rates = str(noted.get("name", "")), noted.get("rates")
    if not isinstance(rates, Mapping) or not rates:
        return name
    each = ", ".join(f"{backend} {float(str(rate)):,.0f}" for backend, rate in rates.items())
    return f"{name} (tokens a second and core: {each}; lowest cosine to float32 {noted.get('cosine')})"
