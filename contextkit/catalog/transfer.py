"""Rows of a catalogue for other tools, and back: what one generation shows, as plain records in a stable order.

The order is that of the contents, so that documents and chunks can be read side by side. Files, checksums and formats are known
to `contextkit.exchange`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.catalog import commit, lock, staging
from contextkit.catalog.codec import Codec
from contextkit.catalog.reading import unpack_offsets, unpack_structure
from contextkit.errors import IndexDamaged
from contextkit.types import Block, BlockKind, Chunk, Document, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOWN = "(SELECT content_id FROM documents WHERE died IS NULL)"


@dataclass(frozen=True, slots=True)
class VectorRows:
    """Some vectors of a catalogue.

    Attributes:
        keys: what names each.
        passages: float32 (n, dimension), unit length.
        sentences: those of each chunk's sentences as they are stored; None where the embedder gave none.
    """

    keys: list[bytes]
    passages: NDArray[np.float32]
    sentences: list[bytes | None]


# ---------------------------------------------------------------------------------------------------------------------- out


def sources(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Name and cursor of every source, by name."""
    rows = connection.execute("SELECT name, cursor FROM sources ORDER BY name")
    return [{"name": name, "cursor": cursor} for name, cursor in rows]


def documents(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Every living document with its content's title, language and structure (JSON), whoever may see it."""
    rows = connection.execute(
        "SELECT d.document_id, s.name, d.version, d.observed, d.uri, d.media_type, c.title, c.language, m.value, o.value, "
        "a.names, c.key, c.n_chunks, c.n_characters, c.tail, c.structure FROM documents d JOIN sources s ON s.id = d.source_id "
        "JOIN contents c ON c.id = d.content_id JOIN metadata m ON m.id = d.metadata_id "
        "JOIN metadata o ON o.id = d.own_metadata_id LEFT JOIN access_lists a ON a.id = d.access_id "
        "WHERE d.died IS NULL ORDER BY c.first_chunk, c.id, d.document_id"
    )
    names = (
        "id", "source", "version", "observed", "uri", "media_type", "title", "language", "metadata", "own_metadata", "access",
        "content", "n_chunks", "n_characters", "tail", "structure",
    )  # fmt: skip
    for row in rows:
        out = dict(zip(names, row, strict=True))
        blocks, pages = unpack_structure(out["structure"])
        out["structure"] = json.dumps(
            {"blocks": [[b.kind.value, b.start, b.end, b.level] for b in blocks], "pages": [[p.start, p.end] for p in pages]}
        )
        out["content"] = out["content"].hex()
        out["access"] = None if out["access"] is None else json.loads(out["access"])
        yield out


def chunks(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Every chunk of those documents' contents, in text order; sentence offsets are those of the document."""
    rows = connection.execute(
        "SELECT c.key, k.id - c.first_chunk, k.start, k.lead, k.text, k.header, k.sentences, k.page_first, k.page_last, k.kind, "
        "v.key FROM contents c JOIN chunks k ON k.content_id = c.id JOIN vectors v ON v.id = k.vector_id "
        f"WHERE c.id IN {_SHOWN} ORDER BY c.first_chunk, c.id, k.id"
    )
    for key, ordinal, start, lead, text, header, sentences, first, last, kind, vector in rows:
        offsets = unpack_offsets(sentences, start)
        yield {
            "content": key.hex(), "ordinal": ordinal, "start": start, "end": start + len(text), "lead": lead, "text": text,
            "header": header, "page_first": first, "page_last": last, "kind": kind,
            "sentence_starts": offsets[:, 0].tolist(), "sentence_ends": offsets[:, 1].tolist(), "vector": vector.hex(),
        }  # fmt: skip


def vectors(connection: sqlite3.Connection, codec: Codec, dimension: int, batch: int) -> Iterator[VectorRows]:
    """Every vector of those chunks once, in batches."""
    rows = connection.execute(
        "SELECT v.key, v.passage, v.sentences FROM vectors v WHERE EXISTS (SELECT 1 FROM chunks k WHERE k.vector_id = v.id "
        f"AND k.content_id IN {_SHOWN}) ORDER BY v.id"
    )
    while part := rows.fetchmany(batch):
        keys, passages, sentences = zip(*part, strict=True)
        yield VectorRows(list(keys), codec.decode(b"".join(passages), dimension), list(sentences))


# ----------------------------------------------------------------------------------------------------------------------- in


def put_vectors(connection: sqlite3.Connection, rows: VectorRows, codec: Codec) -> None:
    """Stores vectors; encoding what was decoded gives the stored bytes again."""
    data = codec.encode(rows.passages)
    size = len(data) // max(1, len(rows.keys))
    passages = [data[i * size : (i + 1) * size] for i in range(len(rows.keys))]
    connection.executemany(
        "INSERT INTO vectors (key, checksum, passage, sentences) VALUES (?, ?, ?, ?)",
        ((k, staging.checksum(p, s), p, s) for k, p, s in zip(rows.keys, passages, rows.sentences, strict=True)),
    )


def put_sources(connection: sqlite3.Connection, listed: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Stores the sources and gives their rows by name."""
    connection.executemany("INSERT INTO sources (name, cursor) VALUES (?, ?)", ((s["name"], s["cursor"]) for s in listed))
    return {name: int(row) for row, name in connection.execute("SELECT id, name FROM sources")}


def content(document: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> staging.NewContent:
    """The content of a document record and its chunk records.

    Raises:
        IndexDamaged: they do not fit together.
        InputError: chunks that are not the text.
    """
    text = "".join(part["lead"] + part["text"] for part in parts) + document["tail"]
    ordinals = [part["ordinal"] for part in parts]
    if len(text) != document["n_characters"] or ordinals != list(range(document["n_chunks"])):
        raise IndexDamaged(
            f"the document {document['id']!r} has {len(text)} of {document['n_characters']} characters in {len(parts)} of "
            f"{document['n_chunks']} chunks: export it again"
        )
    structure = json.loads(document["structure"])
    whole = Document(
        document["id"],
        text,
        document["title"],
        media_type=document["media_type"],
        language=document["language"],
        blocks=tuple(Block(BlockKind(k), s, e, level) for k, s, e, level in structure["blocks"]),
        pages=tuple(Span(s, e) for s, e in structure["pages"]),
    )
    made = [_chunk(part) for part in parts]
    staging.check_chunks(whole, made)
    return staging.NewContent(bytes.fromhex(document["content"]), whole, made, [bytes.fromhex(p["vector"]) for p in parts])


def version(document: Mapping[str, Any]) -> staging.NewDocument:
    """The document of a record."""
    return staging.NewDocument(
        document["id"], bytes.fromhex(document["content"]), document["observed"], document["version"], document["uri"],
        document["media_type"], json.loads(document["metadata"]), json.loads(document["own_metadata"]), document["access"],
    )  # fmt: skip


def put_documents(
    connection: sqlite3.Connection,
    contents: Sequence[staging.NewContent],
    versions: Mapping[int, Sequence[staging.NewDocument]],
    terms: staging.Terms,
    codecs: tuple[Codec, Codec],
) -> None:
    """Stages contents and documents (by the row of their source). Raises IndexDamaged where a vector is missing."""
    needed = {key for c in contents for key in c.vector_keys}
    missing = needed - staging.vectors_known(connection, needed).keys()
    if missing:
        raise IndexDamaged(f"{len(missing)} chunks have no vectors (first {min(missing).hex()}): export it again")
    staging.contents(connection, contents, [], terms, codecs)
    for source, new in versions.items():
        for document in new:
            staging.check_document(document)
        staging.documents(connection, source, new)


def show(connection: sqlite3.Connection, rows: Mapping[str, int], note: str) -> None:
    """Commits what is staged, a generation a source."""
    for name, row in sorted(rows.items()):
        run = lock.begin(connection, row, "import")
        commit.commit(connection, run, (row, name), (), note=note, cursor=None)
        lock.end(connection, run, "done")


def _chunk(part: Mapping[str, Any]) -> Chunk:
    pages = None if part["page_first"] is None else (part["page_first"], part["page_last"])
    sentences = tuple(Span(s, e) for s, e in zip(part["sentence_starts"], part["sentence_ends"], strict=True))
    return Chunk(part["start"], part["end"], part["text"], part["header"], sentences, pages, BlockKind(part["kind"]))
