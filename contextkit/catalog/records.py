"""What the catalogue hands out: frozen records of documents, chunks, generations and sizes. No behaviour but look-ups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.types import JSON, BlockKind, EmbedderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as stored: shared by all documents of the same content.

    Attributes:
        id: never used twice within an index.
        content_id: the content it is a window of.
        ordinal: its place in the content, from 0.
        start: first character in the document's text.
        end: one past the last character.
        text: the document's text between them.
        header: title and section path, or "".
        sentences: int64 (s, 2): start and end of each sentence in document offsets, in order.
        pages: first and last page number, or None.
        kind: what it is made of.
        lead: the white space between the chunk before and this one.
    """

    id: int
    content_id: int
    ordinal: int
    start: int
    end: int
    text: str
    header: str
    sentences: NDArray[np.int64] = field(repr=False, compare=False)
    pages: tuple[int, int] | None
    kind: BlockKind
    lead: str = ""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One version of a document, without its text.

    Attributes:
        row: the version's row in the catalogue.
        id: the document's id.
        source: name of the source that it came from.
        version: the source's version token, or "".
        uri: where a person finds it.
        title: its title, or "".
        media_type: what it is.
        language: BCP 47 tag, or "".
        metadata: what the source and the parser know of it.
        access: who may see it; None: everyone.
        content_id: its content.
        first_chunk: id of the content's first chunk; the others follow without a gap.
        n_chunks: how many chunks the content has.
        n_characters: length of the text.
        born: generation that brought this version.
    """

    row: int
    id: str
    source: str
    version: str
    uri: str
    title: str
    media_type: str
    language: str
    metadata: Mapping[str, JSON]
    access: tuple[str, ...] | None
    content_id: int
    first_chunk: int
    n_chunks: int
    n_characters: int
    born: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One commit.

    Attributes:
        id: from 1, without gaps; 0 is the empty index before the first commit.
        parent: the generation before it, or None where that was collected.
        created: ISO 8601, UTC.
        note: why it was made.
        added: documents that it brought.
        changed: documents that it gave a new version.
        removed: documents that it retired.
        pinned: the name that keeps it from gc, or None.
    """

    id: int
    parent: int | None
    created: str
    note: str
    added: int
    changed: int
    removed: int
    pinned: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one generation to another, as sorted document ids."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did.

    Attributes:
        generation: the current generation after it (unchanged where there was nothing to do).
        added: ids of new documents, sorted.
        changed: ids of documents with a new version.
        removed: ids of retired documents.
        moved: (old id, new id) of removed and added documents that have the same content.
    """

    generation: int
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """What gc removed.

    Attributes:
        generations: generations dropped.
        versions: document versions dropped.
        contents: contents that nothing referred to any more.
        chunks: their chunks.
        vectors: vectors that no chunk referred to any more.
        bytes_before: size of the index's files before.
        bytes_after: and after.
    """

    generations: int
    versions: int
    contents: int
    chunks: int
    vectors: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a generation holds.

    Attributes:
        documents: visible documents.
        chunks: distinct chunks of them.
        characters: characters of their texts.
        bytes: size of all files of the index.
    """

    documents: int
    chunks: int
    characters: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What an index is; fixed at creation but for `chunker`, `parser`, `terms` and `backend`, which follow the last run.

    Attributes:
        uuid: names this index; derived files carry it.
        created: ISO 8601, UTC.
        embedder: whose vectors it holds.
        chunker: configuration of the chunker.
        parser: version of the parsers.
        terms: version of the lexical tokenisation.
        passages: codec of passage vectors.
        sentences: codec of sentence vectors.
        backend: what computed the last vectors (`name`) and, where it was chosen by measuring, tokens a second of each back-end
            (`rates`) and the lowest cosine of the fastest one's vectors to those in float32 (`cosine`).
    """

    uuid: str
    created: str
    embedder: EmbedderInfo
    chunker: str = ""
    parser: str = ""
    terms: str = ""
    passages: str = "r8"
    sentences: str = "r3"
    backend: Mapping[str, JSON] = field(default_factory=dict)
