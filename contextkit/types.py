"""The field's words as plain values: what every part hands to the next one.

Here live the frozen records without behaviour that more than one part needs (Document, Span, Block, Chunk, Blob, ...). They
import nothing of contextkit but the errors. Parsing, chunking, storing and packing live in their own folders.

All offsets are counted in characters (Python string indices) of `Document.text`, the end is exclusive.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from contextkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of characters of one document's text."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class BlockKind(StrEnum):
    """What a block of a document is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE = "table"
    CODE = "code"
    TURN = "turn"
    QUOTE = "quote"


@dataclass(frozen=True, slots=True)
class Block:
    """A structural unit of a document: blocks are ordered, do not overlap, and leave only white space and marks between them.

    Attributes:
        kind: what the block is. A TABLE holds Markdown rows, one a line: the header row, the `|---|` line, the body rows.
            A TURN is one utterance of a dialogue, its speaker included.
        start: first character.
        end: one past the last character.
        level: of a HEADING its depth from 1; of a LIST_ITEM its nesting from 0; otherwise 0.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an identity, where it came from, who may see it, and its structure.

    Attributes:
        id: unique within an index; chosen by the user or the connector, and stable over time.
        text: the whole text; every span points into it.
        title: the title as the content or the user states it, else what the name of the file that it was parsed from says, or "".
        uri: where a person finds the original, or "".
        metadata: JSON values by name, for filters and display; parsers add `author`, `created`, `modified` (ISO 8601).
        access: who may see it, as "user:NAME" and "group:NAME"; None: everyone; empty: no one.
        media_type: what the text is, for example "text/markdown"; it decides how structure is found where `blocks` is empty.
        language: BCP 47 tag such as "en", or "" where unknown.
        blocks: the structure in text order, or empty to have it found from the text.
        pages: the spans of pages 1, 2, ... in order (slides, sheets), or empty where the document has none.
    """

    id: str
    text: str
    title: str = ""
    uri: str = ""
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    access: Sequence[str] | None = None
    media_type: str = "text/plain"
    language: str = ""
    blocks: tuple[Block, ...] = ()
    pages: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id.strip():
            raise InputError(f"a document needs a non-empty string as its id, not {self.id!r}")
        if not isinstance(self.text, str):
            raise InputError(f"document {self.id!r}: text must be a string, not {type(self.text).__name__}")
        if isinstance(self.access, str):
            raise InputError(f"document {self.id!r}: access must be a list of names, not the string {self.access!r}")
        object.__setattr__(self, "access", None if self.access is None else tuple(self.access))

    def pages_of(self, span: Span) -> tuple[int, int] | None:
        """The first and last page number (from 1) that a span touches; None where the document has no pages."""
        first = bisect_right(self.pages, span.start, key=lambda page: page.end)
        last = bisect_left(self.pages, span.end, key=lambda page: page.start)
        return (first + 1, last) if first < last else None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A window of a document that is embedded and found as one: `document.text[start:end] == text`.

    Attributes:
        start: first character in the document.
        end: one past the last character.
        text: exactly the document's text between them.
        header: title and section path ("Title > Section"), embedded and shown with the text but not part of it; or "".
        sentences: the spans of its sentences (table rows, code lines, dialogue turns), in document offsets, in order and
            without overlap; together they hold all that is not white space.
        pages: first and last page number, or None.
        kind: the kind of the blocks it is made of, or PARAGRAPH where they are mixed.
    """

    start: int
    end: int
    text: str
    header: str = ""
    sentences: tuple[Span, ...] = ()
    pages: tuple[int, int] | None = None
    kind: BlockKind = BlockKind.PARAGRAPH


@dataclass(frozen=True, slots=True)
class Blob:
    """The bytes of one document before parsing: either in memory (`data`) or in a local file (`path`).

    Attributes:
        id: becomes the document's id.
        name: a file name with its ending, as a hint of the type; or "".
        uri: where a person finds the original.
        media_type: what the source says it is, or ""; the content decides where they disagree.
        data: the bytes; None where `path` is given.
        path: a local file to read; None where `data` is given.
    """

    id: str
    name: str = ""
    uri: str = ""
    media_type: str = ""
    data: bytes | None = None
    path: Path | None = None

    def read(self) -> bytes:
        """The bytes. Raises OSError where the file cannot be read."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise InputError(f"blob {self.id!r} has neither data nor a path")
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True)
class DocumentRef:
    """One line of a source's listing.

    Attributes:
        id: stable id of the document within the whole index.
        version: a token that changes whenever the content does (an ETag, a revision, size and time); "" where there is none.
        name: a file name with its ending; or "".
        uri: where a person finds it.
        media_type: what the source says it is, or "".
        size: bytes, or -1 where unknown.
        metadata: what the source knows of it.
        access: who may see it (see Document.access).
    """

    id: str
    version: str = ""
    name: str = ""
    uri: str = ""
    media_type: str = ""
    size: int = -1
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    access: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ListingPage:
    """A part of a source's listing.

    Attributes:
        refs: the documents of this part.
        cursor: where a later listing goes on after this part; None where the source cannot.
        complete: True on the last part of a listing that named *every* living document; only then may missing ones be retired.
        removed: ids that the source itself says are gone.
        problems: (uri, reason) of entries that could not be listed; a listing with problems is never complete.
    """

    refs: tuple[DocumentRef, ...] = ()
    cursor: str | None = None
    complete: bool = False
    removed: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class EmbedderInfo:
    """What makes two embedders' vectors comparable; stored with the index.

    Attributes:
        name: for people, for example "all-MiniLM-L6-v2".
        digest: SHA-256 of the weights in hex, or of what else identifies them (an endpoint's model name).
        dimension: length of a vector.
        window: the most pieces that the model reads of one text, special ones included.
        backend: what computed it, for example "torch-bfloat16"; differences here are recorded but compatible.
        query_prefix: put before a question.
        passage_prefix: put before a passage.
        sentences: whether it gives sentence vectors.
    """

    name: str
    digest: str
    dimension: int
    window: int
    backend: str = ""
    query_prefix: str = ""
    passage_prefix: str = ""
    sentences: bool = True


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of a list of n chunks.

    Attributes:
        passages: float32, shape (n, dimension), unit length.
        sentences: float32, shape (total sentences of all chunks, dimension), unit length, in chunk and sentence order; None where
            the embedder has none.
    """

    passages: NDArray[np.float32]
    sentences: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One turn of a conversation, as an extractor of facts reads it.

    Attributes:
        author: who said it.
        text: the words.
        day: when, as "2024-05-03".
    """

    author: str
    text: str
    day: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact that an extractor found in a turn.

    Attributes:
        turn: place of the turn among those given, from 0.
        quote: words of the turn that say so, verbatim.
        text: the fact, in words that are understood alone.
        subject: whom or what it is about, or "".
        attribute: which of its properties, or ""; with the subject the key that a newer fact replaces it by.
        valid_from: since when it is true, as "2024-05-03", or "" for since it was said.
    """

    turn: int
    quote: str
    text: str
    subject: str = ""
    attribute: str = ""
    valid_from: str = ""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What one call of an extractor gave and took.

    Attributes:
        claims: the facts, in any order.
        input_tokens: tokens read.
        output_tokens: tokens written.
        dollars: what it cost, or None where the price is not known.
    """

    claims: tuple[Claim, ...]
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary and what it took.

    Attributes:
        text: the summary.
        input_tokens: of the request, as the endpoint reports them or as they were counted.
        output_tokens: of the answer.
        dollars: what both cost, or None where prices are not known.
    """

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a call is made; decides which documents it may see.

    Attributes:
        id: the user's name.
        groups: the groups that the user is in.
    """

    id: str
    groups: Sequence[str] = ()

    def names(self) -> Iterable[str]:
        """The entries of an access list that let this principal in."""
        return [f"user:{self.id}", *(f"group:{g}" for g in self.groups)]
