"""Writes what a run has made before it shows: contents with their chunks, vectors and terms, and versions of documents to come.

Staged rows are invisible until a commit (`contextkit.catalog.commit`) makes document versions of them; a run that dies leaves
them for the next one, which finds them by their keys. Every function works in the caller's transaction.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from contextkit.catalog import postings
from contextkit.catalog.codec import Codec
from contextkit.catalog.filters import flatten
from contextkit.catalog.reading import pack_offsets, pack_structure, parts
from contextkit.errors import InputError
from contextkit.types import JSON, Chunk, Document, EmbedderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Terms = Callable[[str], "list[str]"]
"""Gives the lexical terms of a text."""

_KEY_BYTES = 16
_TERMS_AT_ONCE = 8_192  # chunks whose terms are held in memory; a long document has more
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode  # made once: listings have many entries


@dataclass(frozen=True, slots=True)
class NewContent:
    """A text with its structure, cut into chunks.

    Attributes:
        key: names text, title, structure, chunker and embedder (`content_key`).
        document: whose text, title, language, blocks and pages are stored.
        chunks: its windows.
        vector_keys: the key of each chunk's vectors (`vector_key`).
    """

    key: bytes
    document: Document
    chunks: Sequence[Chunk]
    vector_keys: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class NewVectors:
    """The vectors of one chunk.

    Attributes:
        key: names what they were made of (`vector_key`).
        passage: float32 (dimension,).
        sentences: float32 (sentences, dimension), or None.
    """

    key: bytes
    passage: NDArray[np.float32]
    sentences: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A version of a document that is to come.

    Attributes:
        id: the document's id.
        content_key: its content, stored already or in the same step.
        observed: names what the source said of it when it was read; the same again means unchanged.
        version: the source's version token.
        uri: where a person finds it.
        media_type: what it is.
        metadata: what filters and display see.
        own_metadata: the part of it that came from the content.
        access: who may see it; None: everyone.
        parse_key: names the bytes and the pipeline that gave the content, so that they need not be parsed again; None: not kept.
    """

    id: str
    content_key: bytes
    observed: bytes
    version: str = ""
    uri: str = ""
    media_type: str = "text/plain"
    metadata: Mapping[str, JSON] | None = None
    own_metadata: Mapping[str, JSON] | None = None
    access: Sequence[str] | None = None
    parse_key: bytes | None = None


def digest(*values: object) -> bytes:
    """16 bytes that name the values: JSON values and bytes."""
    state = hashlib.blake2b(digest_size=_KEY_BYTES)
    for value in values:
        data = value if isinstance(value, bytes) else _canonical(value).encode()
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.digest()


def embedder_key(info: EmbedderInfo) -> bytes:
    """Names what decides an embedder's vectors: not its back-end (those are compatible) nor its window (nothing is ever cut)."""
    return digest(info.digest, info.dimension, info.query_prefix, info.passage_prefix, info.sentences)


def content_key(document: Document, chunker: str, embedder: bytes) -> bytes:
    """Names a text with its title and structure as a chunker and an embedder see it."""
    blocks = [[b.kind.value, b.start, b.end, b.level] for b in document.blocks]
    pages = [[p.start, p.end] for p in document.pages]
    return digest(encoded(document), document.title, document.language, document.media_type, blocks, pages, chunker, embedder)


def encoded(document: Document) -> bytes:
    """The text in UTF-8. Raises InputError where it is no valid Unicode."""
    try:
        document.title.encode()
        return document.text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"document {document.id!r}: the text has an unpaired surrogate at character {error.start}, which cannot be stored; "
            "decode it with errors='replace'"
        ) from None


def vector_key(chunk: Chunk, embedder: bytes) -> bytes:
    """Names what a chunk's vectors are made of."""
    return text_key(chunk.header, chunk.text, [(s.start - chunk.start, s.end - chunk.start) for s in chunk.sentences], embedder)


def text_key(header: str, text: str, sentences: Sequence[Sequence[int]], embedder: bytes) -> bytes:
    """As `vector_key`, of a chunk's parts; sentences as offsets from its start. It is the checksum of a stored chunk too."""
    return digest(header, text, [s[0] for s in sentences] + [s[1] for s in sentences], embedder)


def plain(metadata: Mapping[str, JSON], document_id: str) -> str:
    """The metadata as canonical JSON; dates become ISO 8601.

    Raises:
        InputError: naming a value that JSON does not have.
    """

    def other(value: object) -> str:
        if isinstance(value, date | datetime):
            return value.isoformat()
        raise InputError(f"document {document_id!r}: metadata holds {value!r} ({type(value).__name__}), which is no JSON value")

    try:
        text = json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False, default=other)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"document {document_id!r}: the metadata cannot be stored as JSON ({error})") from None
    return text


# ------------------------------------------------------------------------------------------------------------------ look-up


def contents_known(connection: sqlite3.Connection, keys: Iterable[bytes]) -> dict[bytes, int]:
    """The ids of those contents that are stored, by key."""
    found: dict[bytes, int] = {}
    for marks, part in parts(list(keys)):
        found.update(connection.execute(f"SELECT key, id FROM contents WHERE key IN ({marks})", part))
    return found


def vectors_known(connection: sqlite3.Connection, keys: Iterable[bytes]) -> dict[bytes, int]:
    """The ids of those vectors that are stored, by key."""
    found: dict[bytes, int] = {}
    for marks, part in parts(list(keys)):
        found.update(connection.execute(f"SELECT key, id FROM vectors WHERE key IN ({marks})", part))
    return found


def parse_known(connection: sqlite3.Connection, key: bytes) -> tuple[bytes, dict[str, JSON], str] | None:
    """Content key, own metadata and media type of what those bytes gave under that pipeline; None where they were not parsed."""
    row = connection.execute(
        "SELECT c.key, m.value, p.media_type FROM parses p JOIN contents c ON c.id = p.content_id "
        "JOIN metadata m ON m.id = p.metadata_id WHERE p.key = ?",
        (key,),
    ).fetchone()
    return None if row is None else (row[0], json.loads(row[1]), row[2])


def versions_known(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, tuple[bytes, dict[str, JSON], str]]:
    """Content key, own metadata and media type of living documents, by id."""
    out: dict[str, tuple[bytes, dict[str, JSON], str]] = {}
    for marks, part in parts(list(ids)):
        rows = connection.execute(
            "SELECT d.document_id, c.key, m.value, d.media_type FROM documents d JOIN contents c ON c.id = d.content_id "
            f"JOIN metadata m ON m.id = d.own_metadata_id WHERE d.died IS NULL AND d.document_id IN ({marks})",
            part,
        )
        out.update((id_, (key, json.loads(own), media_type)) for id_, key, own, media_type in rows)
    return out


# -------------------------------------------------------------------------------------------------------------------- write


def embedder_id(connection: sqlite3.Connection, info: EmbedderInfo) -> int:
    """The row of that embedder, made where it is new."""
    key = embedder_key(info)
    row = connection.execute("SELECT id FROM embedders WHERE key = ?", (key,)).fetchone()
    if row is None:
        text = json.dumps(asdict(info), sort_keys=True)
        row = connection.execute("INSERT INTO embedders (key, info) VALUES (?, ?) RETURNING id", (key, text)).fetchone()
    return int(row[0])


def contents(
    connection: sqlite3.Connection,
    new: Sequence[NewContent],
    vectors: Sequence[NewVectors],
    terms: Terms,
    codecs: tuple[Codec, Codec],
    embedder: int | None = None,
) -> None:
    """Stores contents with their chunks; those that are stored already stay as they are.

    Args:
        connection: in a write transaction.
        new: the contents.
        vectors: those of their chunks that are not stored yet.
        terms: the lexical tokenisation.
        codecs: of passages and of sentences.
        embedder: the row of the embedder that the vectors are of; None: the index's.
    """
    stored = contents_known(connection, [c.key for c in new])
    fresh = list({c.key: c for c in new if c.key not in stored}.values())
    if embedder is None:
        embedder = int(connection.execute("SELECT value FROM state WHERE key = 'embedder'").fetchone()[0])
    _vectors(connection, vectors, codecs)
    ids = vectors_known(connection, {key for c in fresh for key in c.vector_keys})
    first = begin = start = int(connection.execute("SELECT value FROM state WHERE key = 'next_chunk'").fetchone()[0])
    headers: list[list[str]] = []
    bodies: list[list[str]] = []
    for content in fresh:
        _content(connection, content, first, ids, embedder)
        first += len(content.chunks)
        for chunk in content.chunks:
            headers.append(terms(chunk.header))
            bodies.append(terms(chunk.text))
            if len(bodies) == _TERMS_AT_ONCE:
                postings.add(connection, start, headers, bodies)
                start, headers, bodies = start + len(bodies), [], []
    connection.execute("UPDATE state SET value = ? WHERE key = 'next_chunk'", (first,))
    connection.execute("UPDATE state SET value = value + ? WHERE key = 'chunks'", (first - begin,))
    postings.add(connection, start, headers, bodies)


def _vectors(connection: sqlite3.Connection, vectors: Sequence[NewVectors], codecs: tuple[Codec, Codec]) -> None:
    if not vectors:
        return
    import numpy as np

    passages, sentences = codecs
    dimension = len(vectors[0].passage)
    size, part = passages.size(dimension), sentences.size(dimension)
    data = passages.encode(np.stack([v.passage for v in vectors]))
    flat = [v.sentences for v in vectors if v.sentences is not None and len(v.sentences)]
    packed = sentences.encode(np.concatenate(flat)) if flat else b""
    rows = []
    place = 0
    for i, v in enumerate(vectors):
        n = 0 if v.sentences is None else len(v.sentences) * part
        own = None if v.sentences is None else packed[place : place + n]
        passage = data[i * size : (i + 1) * size]
        rows.append((v.key, checksum(passage, own), passage, own))
        place += n
    connection.executemany(
        "INSERT INTO vectors (key, checksum, passage, sentences) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING", rows
    )


def checksum(passage: bytes, sentences: bytes | None) -> int:
    """CRC-32 of a chunk's stored vectors."""
    return zlib.crc32(sentences or b"", zlib.crc32(passage))


def _content(
    connection: sqlite3.Connection, content: NewContent, first: int, vectors: Mapping[bytes, int], embedder: int
) -> None:
    document, chunks = content.document, content.chunks
    text = document.text
    tail = text[chunks[-1].end :] if chunks else text
    row = connection.execute(
        "INSERT INTO contents (key, first_chunk, n_chunks, n_characters, title, language, tail, structure, embedder_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            content.key, first, len(chunks), len(text), document.title, document.language, tail,
            pack_structure(document.blocks, document.pages), embedder,
        ),
    ).fetchone()  # fmt: skip
    ends = [0, *(chunk.end for chunk in chunks)]
    connection.executemany(
        "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                first + i, row[0], vectors[key], c.start, c.header, *(c.pages or (None, None)), c.kind.value,
                pack_offsets(c.sentences, c.start), text[end : c.start], c.text,
            )
            for i, (c, key, (end, _)) in enumerate(zip(chunks, content.vector_keys, pairwise([*ends, 0]), strict=False))
        ),
    )  # fmt: skip


def check_document(new: NewDocument) -> None:
    """Checks that a version can be stored, before a batch depends on it.

    Raises:
        InputError: metadata that is no JSON, or a text that is no valid Unicode.
    """
    plain(new.metadata or {}, new.id)
    try:
        "".join((new.id, new.uri, new.version, new.media_type, *(new.access or ()))).encode()
    except UnicodeEncodeError:
        raise InputError(f"document {new.id!r}: its id, address, version or rights are no valid Unicode text") from None
    except TypeError:
        raise InputError(f"document {new.id!r}: its id, address, version and rights must be texts") from None


def check_chunks(document: Document, chunks: Sequence[Chunk]) -> None:
    """Holds a chunker to its contract, so that no text is lost or doubled.

    Raises:
        InputError: a chunk is out of order or is not the document's text.
    """
    end = 0
    for chunk in chunks:
        if chunk.start < end or chunk.end < chunk.start or document.text[chunk.start : chunk.end] != chunk.text:
            raise InputError(
                f"document {document.id!r}: the chunker gave a chunk {chunk.start}:{chunk.end} that overlaps the one before it "
                f"(ends at {end}) or is not the document's text"
            )
        end = chunk.end


def documents(connection: sqlite3.Connection, source: int, new: Sequence[NewDocument]) -> None:
    """Stages versions of a source's documents; one staged earlier for the same id is replaced."""
    known = contents_known(connection, {d.content_key for d in new})
    for d in new:
        metadata, value = metadata_id(connection, d.metadata or {}, d.id)
        own, _ = metadata_id(connection, d.own_metadata or {}, d.id)
        access = access_id(connection, d.access)
        fingerprint = fingerprint_of(d.content_key, value, d.access, d.uri, d.media_type)
        content = known[d.content_key]
        connection.execute(
            "INSERT OR REPLACE INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (source, d.id, d.observed, fingerprint, d.version, d.uri, d.media_type, metadata, own, access, content),
        )
        if d.parse_key is not None:
            connection.execute("INSERT OR REPLACE INTO parses VALUES (?, ?, ?, ?)", (d.parse_key, content, own, d.media_type))


def fingerprint_of(content: bytes, metadata: str, access: Sequence[str] | None, uri: str, media_type: str) -> bytes:
    """Names a version of a document: two with the same are the same to everyone."""
    return digest(content, metadata, None if access is None else sorted(set(access)), uri, media_type)


def metadata_id(connection: sqlite3.Connection, metadata: Mapping[str, JSON], document_id: str) -> tuple[int, str]:
    """The row of that metadata, made with its fields where it is new; and the metadata as JSON."""
    value = plain(metadata, document_id)
    key = digest(value.encode())
    row = connection.execute("SELECT id FROM metadata WHERE key = ?", (key,)).fetchone()
    if row is not None:
        return int(row[0]), value
    row = connection.execute("INSERT INTO metadata (key, value) VALUES (?, ?) RETURNING id", (key, value)).fetchone()
    fields = [(path, v, row[0]) for path, v in flatten(json.loads(value)) if not (isinstance(v, float) and math.isnan(v))]
    connection.executemany("INSERT OR IGNORE INTO fields VALUES (?, ?, ?)", fields)
    return int(row[0]), value


def access_id(connection: sqlite3.Connection, access: Sequence[str] | None) -> int | None:
    """The row of that access list, made where it is new; None for everyone."""
    if access is None:
        return None
    names = json.dumps(sorted(set(access)), ensure_ascii=False)
    connection.execute("INSERT INTO access_lists (names) VALUES (?) ON CONFLICT DO NOTHING", (names,))
    return int(connection.execute("SELECT id FROM access_lists WHERE names = ?", (names,)).fetchone()[0])
