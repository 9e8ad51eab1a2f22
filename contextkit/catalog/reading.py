"""Reads chunks, vectors, documents and generations from the catalogue; every function works in the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from contextkit.catalog.codec import Codec
from contextkit.catalog.records import Difference, Generation, StoredChunk, StoredDocument
from contextkit.catalog.visibility import alive
from contextkit.errors import ContextkitError, IndexDamaged
from contextkit.types import Block, BlockKind, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PART = 900  # values bound at once; SQLite allows 999 in old builds

_CHUNK = (
    "SELECT k.id, k.content_id, k.id - c.first_chunk, k.start, k.text, k.header, k.sentences, k.page_first, "
    "k.page_last, k.kind, k.lead "
    "FROM chunks k JOIN contents c ON c.id = k.content_id WHERE "
)
_DOCUMENT = (
    "SELECT d.id, d.document_id, s.name, d.version, d.uri, c.title, d.media_type, c.language, m.value, a.names, "
    "d.content_id, c.first_chunk, c.n_chunks, c.n_characters, d.born FROM documents d JOIN sources s ON s.id = d.source_id "
    "JOIN contents c ON c.id = d.content_id JOIN metadata m ON m.id = d.metadata_id "
    "LEFT JOIN access_lists a ON a.id = d.access_id "
)


def parts(values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """(marks, values) of as many values as can be bound at once."""
    for start in range(0, len(values), _PART):
        part = values[start : start + _PART]
        yield ", ".join("?" * len(part)), part


def pack_offsets(sentences: Sequence[Span], start: int) -> bytes:
    """Sentence spans as offsets from the chunk's start: a byte with the width, then start and end of each."""
    flat = np.array([(s.start - start, s.end - start) for s in sentences], dtype=np.int64).reshape(-1)
    width = 2 if not len(flat) or int(flat.max()) < 65_536 else 4
    return bytes([width]) + flat.astype(f"<u{width}").tobytes()


def unpack_offsets(data: bytes, start: int) -> NDArray[np.int64]:
    """int64 (s, 2): spans in document offsets."""
    return np.frombuffer(data, dtype=f"<u{data[0]}", offset=1).astype(np.int64).reshape(-1, 2) + start


def pack_structure(blocks: Sequence[Block], pages: Sequence[Span]) -> bytes:
    """Blocks and pages as compressed JSON; b"" where there are none."""
    if not blocks and not pages:
        return b""
    data = [[[b.kind.value, b.start, b.end, b.level] for b in blocks], [[p.start, p.end] for p in pages]]
    return zstandard.compress(json.dumps(data, separators=(",", ":")).encode())


def unpack_structure(data: bytes) -> tuple[tuple[Block, ...], tuple[Span, ...]]:
    """The blocks and pages."""
    if not data:
        return (), ()
    blocks, pages = json.loads(zstandard.decompress(data))
    return tuple(Block(BlockKind(k), s, e, level) for k, s, e, level in blocks), tuple(Span(s, e) for s, e in pages)


def _all_offsets(data: Sequence[bytes], starts: Sequence[int]) -> list[NDArray[np.int64]]:
    """`unpack_offsets` of many chunks, quicker."""
    if any(d[0] != 2 for d in data):
        return [unpack_offsets(d, start) for d, start in zip(data, starts, strict=True)]
    counts = np.array([len(d) // 4 for d in data], dtype=np.int64)
    flat = np.frombuffer(b"".join([d[1:] for d in data]), dtype="<u2").astype(np.int64).reshape(-1, 2)
    flat += np.repeat(np.array(starts, dtype=np.int64), counts)[:, None]
    ends = np.cumsum(counts).tolist()
    return [flat[a:b] for a, b in zip([0, *ends], ends, strict=False)]


_kind = cache(BlockKind)


def _chunks(rows: Sequence[tuple[Any, ...]]) -> list[StoredChunk]:
    offsets = _all_offsets([row[6] for row in rows], [row[3] for row in rows])
    return [
        StoredChunk(
            id_, content, ordinal, start, start + len(text), text, header, own,
            None if first is None else (first, last), _kind(kind), lead,
        )
        for (id_, content, ordinal, start, text, header, _, first, last, kind, lead), own in zip(rows, offsets, strict=True)
    ]  # fmt: skip


def chunks(connection: sqlite3.Connection, ids: Sequence[int]) -> list[StoredChunk]:
    """The chunks in the order of `ids`. Raises ContextkitError where one is gone."""
    found: dict[int, tuple[Any, ...]] = {}
    for marks, part in parts(ids):
        found.update((row[0], row) for row in connection.execute(f"{_CHUNK}k.id IN ({marks})", part))
    missing = [i for i in ids if i not in found]
    if missing:
        raise ContextkitError(
            f"chunk {missing[0]} is not in the index{f' (nor {len(missing) - 1} more)' if len(missing) > 1 else ''}: "
            "its generation was collected while it was read; ask again"
        )
    return _chunks([found[i] for i in ids])


def chunks_between(connection: sqlite3.Connection, content_id: int, first: int, last: int) -> list[StoredChunk]:
    """The chunks of a content with ordinals first..last, in order; fewer at its ends."""
    condition = "c.id = ? AND k.id BETWEEN c.first_chunk + ? AND c.first_chunk + min(?, c.n_chunks - 1) ORDER BY k.id"
    return _chunks(connection.execute(_CHUNK + condition, (content_id, max(0, first), last)).fetchall())


def passages(connection: sqlite3.Connection, ids: Sequence[int], codec: Codec, dimension: int) -> NDArray[np.float32]:
    """float32 (n, dimension) in the order of `ids`."""
    return codec.decode(b"".join(_vector_data(connection, "passage", ids)), dimension)


def passage_cosines(
    connection: sqlite3.Connection, ids: Sequence[int], query: NDArray[np.float32], codec: Codec, dimension: int
) -> NDArray[np.float32]:
    """float32 (n,) in the order of `ids`."""
    return codec.cosines(b"".join(_vector_data(connection, "passage", ids)), dimension, query)


def passages_after(
    connection: sqlite3.Connection, embedder: int, after: int, limit: int, codec: Codec, dimension: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """int64 (n,) ids above `after` in order, at most `limit`, and float32 (n, dimension) their vectors; of one embedder."""
    rows = connection.execute(
        "SELECT k.id, v.passage FROM chunks k CROSS JOIN vectors v ON v.id = k.vector_id "
        "CROSS JOIN contents c ON c.id = k.content_id WHERE k.id > ? AND c.embedder_id = ? ORDER BY k.id LIMIT ?",
        (after, embedder, limit),
    ).fetchall()
    ids = np.array([row[0] for row in rows], dtype=np.int64)
    return ids, codec.decode(b"".join(row[1] for row in rows), dimension)


def chunk_ids(connection: sqlite3.Connection, embedder: int, last: int) -> NDArray[np.int64]:
    """int64: the ids of an embedder's chunks up to `last`, rising."""
    rows = connection.execute(
        "SELECT k.id FROM chunks k CROSS JOIN contents c ON c.id = k.content_id "
        "WHERE k.id <= ? AND c.embedder_id = ? ORDER BY k.id",
        (last, embedder),
    )
    return np.fromiter((row[0] for row in rows), dtype=np.int64)


def sentence_vectors(
    connection: sqlite3.Connection, ids: Sequence[int], codec: Codec, dimension: int
) -> list[NDArray[np.float32]]:
    """A float32 (sentences, dimension) a chunk in the order of `ids`; (0, dimension) where the embedder gave none."""
    data = _vector_data(connection, "sentences", ids)
    decoded = codec.decode(b"".join(data), dimension)
    ends = np.cumsum([len(d) // codec.size(dimension) for d in data], dtype=np.int64)
    return [decoded[a:b] for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=False)]


def sentence_cosines(
    connection: sqlite3.Connection, ids: Sequence[int], query: NDArray[np.float32], codec: Codec, dimension: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosines (float32) of all the chunks' sentences in the order of `ids`, and how many (int64) each chunk has vectors of."""
    data = _vector_data(connection, "sentences", ids)
    counts = np.array([len(d) // codec.size(dimension) for d in data], dtype=np.int64)
    return codec.cosines(b"".join(data), dimension, query), counts


def _vector_data(connection: sqlite3.Connection, column: str, ids: Sequence[int]) -> list[bytes]:
    """The stored vectors ("passage" or "sentences") of each chunk in the order of `ids`."""
    found: dict[int, bytes] = {}
    for marks, part in parts(ids):
        query = f"SELECT k.id, ifnull(v.{column}, x'') FROM chunks k JOIN vectors v ON v.id = k.vector_id WHERE k.id IN ({marks})"
        found.update(connection.execute(query, part))
    try:
        return [found[i] for i in ids]
    except KeyError as missing:
        raise ContextkitError(
            f"chunk {missing} is not in the index: its generation was collected while it was read; ask again"
        ) from None


def content_text(connection: sqlite3.Connection, content_id: int) -> str:
    """The whole text of a content. Raises IndexDamaged where its chunks do not add up."""
    row = connection.execute(
        "SELECT n_chunks, n_characters, tail, first_chunk FROM contents WHERE id = ?", (content_id,)
    ).fetchone()
    if row is None:
        raise ContextkitError(
            f"content {content_id} is not in the index: its generation was collected while it was read; ask again"
        )
    windows = connection.execute(
        "SELECT lead, text FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id", (row[3], row[3] + row[0] - 1)
    ).fetchall()
    text = "".join(part for window in windows for part in window) + str(row[2])
    if len(text) != row[1] or len(windows) != row[0]:
        raise IndexDamaged(f"content {content_id} has {len(text)} of {row[1]} characters: run `contextkit index doctor`")
    return text


def _document(row: tuple[Any, ...]) -> StoredDocument:
    own, id_, source, version, uri, title, media_type, language, metadata, names, *rest = row
    access = None if names is None else tuple(json.loads(names))
    known = {} if metadata == "{}" else json.loads(metadata)
    return StoredDocument(own, id_, source, version, uri, title, media_type, language, known, access, *rest)


def documents_by_row(connection: sqlite3.Connection, rows: Sequence[int]) -> list[StoredDocument]:
    """Those versions, ordered by document id."""
    out: list[StoredDocument] = []
    for marks, part in parts(rows):
        out.extend(_document(row) for row in connection.execute(f"{_DOCUMENT} WHERE d.id IN ({marks})", part))
    return sorted(out, key=lambda d: d.id)


def document(connection: sqlite3.Connection, document_id: str, generation: int, current: int) -> StoredDocument | None:
    """The version of a document that a generation shows, or None."""
    life, values = alive(generation, current=generation == current)
    row = connection.execute(f"{_DOCUMENT} WHERE d.document_id = ? AND {life}", (document_id, *values)).fetchone()
    return None if row is None else _document(row)


def embedder(connection: sqlite3.Connection) -> int:
    """The row of the current embedder."""
    return int(connection.execute("SELECT value FROM state WHERE key = 'embedder'").fetchone()[0])


def current(connection: sqlite3.Connection) -> int:
    """The current generation; 0 for an index without a commit."""
    return int(connection.execute("SELECT value FROM state WHERE key = 'current'").fetchone()[0])


def generations(connection: sqlite3.Connection) -> list[Generation]:
    """All kept generations, oldest first."""
    rows = connection.execute("SELECT id, parent, created, note, added, changed, removed, pinned FROM generations ORDER BY id")
    return [Generation(*row) for row in rows]


def difference(connection: sqlite3.Connection, a: int, b: int) -> Difference:
    """What changed from generation a to b."""
    seen: list[dict[str, bytes]] = []
    for generation in (a, b):
        life, values = alive(generation, current=False)
        seen.append(dict(connection.execute(f"SELECT d.document_id, d.fingerprint FROM documents d WHERE {life}", values)))
    before, after = seen
    changed = sorted(i for i in before.keys() & after.keys() if before[i] != after[i])
    return Difference(tuple(sorted(after.keys() - before.keys())), tuple(changed), tuple(sorted(before.keys() - after.keys())))
