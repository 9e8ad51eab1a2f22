"""What the doctor looks at inside the catalogue: each function reads, in the caller's transaction, and tells what is wrong.

Nothing is mended here: that is `contextkit.catalog.mending`; what becomes of a result is decided in `contextkit.catalog.doctor`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.catalog import manifest, postings, reading
from contextkit.catalog.codec import Codec
from contextkit.catalog.filters import flatten
from contextkit.catalog.staging import Terms, checksum, embedder_key, text_key
from contextkit.errors import IndexDamaged
from contextkit.types import BlockKind, EmbedderInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS = 2_048  # read at once
_KINDS = {kind.value for kind in BlockKind}


@dataclass(slots=True)
class Result:
    """What one check found.

    Attributes:
        check: what was looked at.
        detail: what is there, for people.
        derived: whether it can be made again from the rest of the catalogue.
        problems: what is wrong; empty where all is well.
        contents: ids of contents that cannot be trusted.
    """

    check: str
    detail: str = ""
    derived: bool = False
    problems: list[str] = field(default_factory=list)
    contents: set[int] = field(default_factory=set)


def database(connection: sqlite3.Connection) -> Result:
    """SQLite's own view: pages, indexes, constraints, references."""
    out = Result("database", "pages, indexes and references are in order")
    out.problems += [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    dangling: dict[tuple[str, str], int] = defaultdict(int)
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        dangling[table, parent] += 1
    out.problems += [f"{n} rows of {table} refer to {parent} that are not there" for (table, parent), n in dangling.items()]
    return out


def history(connection: sqlite3.Connection) -> Result:
    """Generations, and the lives of document versions within them."""
    out = Result("generations")
    current = reading.current(connection)
    ids = [row[0] for row in connection.execute("SELECT id FROM generations ORDER BY id")]
    out.detail = f"{len(ids)} kept, the current one is {current}"
    if current != (ids[-1] if ids else 0):
        out.problems.append(f"the current generation is noted as {current}, the last one is {ids[-1] if ids else 'missing'}")
    wrong = connection.execute(
        "SELECT count(*) FROM documents WHERE born < 1 OR born > ?1 OR died > ?1 OR died <= born", (current,)
    ).fetchone()[0]
    if wrong:
        out.problems.append(f"{wrong} versions of documents were born or died in no generation")
    other = connection.execute(
        "SELECT count(*) FROM documents d JOIN contents c ON c.id = d.content_id JOIN generations g ON g.id = d.born "
        "WHERE c.embedder_id <> g.embedder_id"
    ).fetchone()[0]
    if other:
        out.problems.append(f"{other} versions of documents have vectors of another embedder than their generation")
    overlapping = connection.execute(
        "SELECT count(*) FROM (SELECT born, lag(ifnull(died, 9e18)) OVER (PARTITION BY document_id ORDER BY born, id) AS before "
        "FROM documents) WHERE before > born"
    ).fetchone()[0]
    if overlapping:
        out.problems.append(f"{overlapping} versions of documents overlap an earlier one")
    return out


def _embedders(connection: sqlite3.Connection) -> dict[int, EmbedderInfo]:
    return {row: manifest.embedder(connection, row) for (row,) in connection.execute("SELECT id FROM embedders").fetchall()}


def texts(connection: sqlite3.Connection) -> Result:
    """That each content's chunks make up its text, without a gap, and are the ones that were stored."""
    out = Result("texts")
    embedders = {row: embedder_key(info) for row, info in _embedders(connection).items()}
    rows = connection.execute(
        "SELECT k.content_id, k.id, k.start, k.header, k.lead, k.text, k.sentences, k.kind, v.key FROM chunks k "
        "LEFT JOIN vectors v ON v.id = k.vector_id ORDER BY k.content_id, k.id"
    )
    chunks = groupby(rows, key=lambda row: row[0])
    at = next(chunks, None)
    n = total = 0
    for content, first, count, length, tail, structure, embedder in connection.execute(
        "SELECT id, first_chunk, n_chunks, n_characters, tail, structure, embedder_id FROM contents ORDER BY id"
    ):
        n += 1
        while at is not None and at[0] < content:  # chunks of no content: foreign keys tell of them
            at = next(chunks, None)
        own = []
        if at is not None and at[0] == content:
            own, at = list(at[1]), next(chunks, None)
        total += len(own)
        problem = _content(own, first, count, length, tail, structure, embedders.get(embedder, b""))
        if problem:
            out.problems.append(f"content {content}: {problem}")
            out.contents.add(content)
    out.detail = f"{n:,} contents in {total:,} chunks: each is whole, and every chunk is the text that its checksum names"
    return out


def _content(
    chunks: Sequence[tuple[Any, ...]], first: int, count: int, length: int, tail: str, structure: bytes, embedder: bytes
) -> str:
    """What is wrong with a content, or ""."""
    if [row[1] for row in chunks] != list(range(first, first + count)):
        return f"has {len(chunks)} chunks, not the {count} from {first} on"
    place = 0
    for _, chunk, start, header, lead, text, packed, kind, key in chunks:
        if place + len(lead) != start:
            return f"chunk {chunk} starts at {start}, the text before it ends at {place + len(lead)}"
        place = start + len(text)
        try:
            sentences = reading.unpack_offsets(packed, 0)
        except (ValueError, IndexError, TypeError):
            return f"the sentence offsets of chunk {chunk} cannot be read"
        flat = sentences.reshape(-1)
        if kind not in _KINDS or np.any(np.diff(flat) < 0) or (len(flat) and not 0 <= flat[0] <= flat[-1] <= len(text)):
            return f"chunk {chunk} has sentences outside its text, or an unknown kind {kind!r}"
        if key is not None and text_key(header, text, sentences.tolist(), embedder) != key:
            return f"the text of chunk {chunk} is not the one that was stored (its checksum differs)"
    if place + len(tail) != length:
        return f"has {place + len(tail)} of {length} characters"
    try:
        reading.unpack_structure(structure)
    except Exception as error:  # noqa: BLE001 - zstandard, json and ours: whatever damage raises is the finding
        return f"its structure cannot be read ({error})"
    return ""


def vectors(connection: sqlite3.Connection, codecs: tuple[Codec, Codec]) -> Result:
    """That each chunk has vectors of the right number and length, unit vectors, as they were written."""
    out = Result("vectors")
    told = [_vectors_of(connection, row, info, codecs, out) for row, info in _embedders(connection).items()]
    out.detail = f"{' and '.join(t for t in told if t) or 'none yet'}, of unit length, checksums as written"
    return out


def _vectors_of(
    connection: sqlite3.Connection, embedder: int, info: EmbedderInfo, codecs: tuple[Codec, Codec], out: Result
) -> str:
    dimension = info.dimension
    size, part = (c.size(dimension) for c in codecs)
    n = 0
    cursor = connection.execute(
        "SELECT k.id, k.content_id, k.sentences, v.checksum, v.passage, v.sentences FROM chunks k "
        "CROSS JOIN contents c ON c.id = k.content_id LEFT JOIN vectors v ON v.id = k.vector_id "
        "WHERE c.embedder_id = ? ORDER BY k.id",
        (embedder,),
    )
    while rows := cursor.fetchmany(_ROWS):
        n += len(rows)
        sound: list[tuple[Any, ...]] = []
        for row in rows:
            problem = _vector(row, size, part, needed=info.sentences)
            if problem:
                out.problems.append(f"chunk {row[0]} {problem}")
                out.contents.add(row[1])
            else:
                sound.append(row)
        for row, good in zip(sound, _units(sound, dimension, codecs), strict=True):
            if not good:
                out.problems.append(f"chunk {row[0]} has a vector that is not of unit length")
                out.contents.add(row[1])
    return f"{n:,} chunks with vectors of {info.name} in {dimension} dimensions" if n else ""


def _vector(row: tuple[Any, ...], size: int, part: int, *, needed: bool) -> str:
    _, _, packed, stored, passage, sentences = row
    if passage is None:
        return "has no vector"
    if len(passage) != size:
        return f"has a vector of {len(passage)} bytes, not {size}"
    expected = (len(packed) - 1) // (2 * packed[0]) * part if needed and packed else 0
    if len(sentences or b"") not in {expected, 0 if not needed else expected}:
        return f"has sentence vectors of {len(sentences or b'')} bytes, not {expected}"
    return "" if checksum(passage, sentences) == stored else "has vectors that are not the ones that were stored (checksum)"


def _units(rows: Sequence[tuple[Any, ...]], dimension: int, codecs: tuple[Codec, Codec]) -> list[bool]:
    if not rows:
        return []
    passages = codecs[0].sound(b"".join(row[4] for row in rows), dimension)
    each = codecs[1].sound(b"".join(row[5] or b"" for row in rows), dimension)
    part = codecs[1].size(dimension)
    counts = np.array([len(row[5] or b"") // part for row in rows], dtype=np.int64)
    bad = np.zeros(len(rows), dtype=np.bool_)
    bad[np.repeat(np.arange(len(rows)), counts)[~each]] = True
    return (passages & ~bad).tolist()  # type: ignore[no-any-return]  # numpy's tolist is not typed


def counters(connection: sqlite3.Connection) -> Result:
    """The numbers that the catalogue keeps of itself."""
    out = Result("counters", derived=True)
    state = dict(connection.execute("SELECT key, value FROM state WHERE key IN ('chunks', 'next_chunk')"))
    count, last = connection.execute("SELECT count(*), ifnull(max(id), 0) FROM chunks").fetchone()
    out.detail = f"{count:,} chunks, the next one is {state.get('next_chunk')}"
    if state.get("chunks") != count:
        out.problems.append(f"{state.get('chunks')} chunks are noted, there are {count}")
    if int(state.get("next_chunk", 0)) <= last:
        out.problems.append(f"the next chunk is noted as {state.get('next_chunk')}, but {last} is taken")
    return out


def fields(connection: sqlite3.Connection) -> Result:
    """That filters see the metadata that is stored."""
    out = Result("filter fields", derived=True)
    stored: dict[int, set[tuple[str, object]]] = defaultdict(set)
    for path, value, metadata in connection.execute("SELECT path, value, metadata_id FROM fields"):
        stored[metadata].add((path, value))
    n = 0
    for row, value in connection.execute("SELECT id, value FROM metadata"):
        n += 1
        if stored.pop(row, set()) != set(fields_of(value)):
            out.problems.append(f"the fields of metadata {row} are not those of its values")
    out.problems += [f"metadata {row} has fields but is not there" for row in stored]
    out.detail = f"of {n:,} sets of metadata"
    return out


def fields_of(value: str) -> list[tuple[str, Any]]:
    """(path, value) of the rows of `fields` for metadata in JSON."""
    return [(path, v) for path, v in flatten(json.loads(value)) if not (isinstance(v, float) and v != v)]


def full_text(connection: sqlite3.Connection, terms: Terms) -> Result:
    """That the posting lists are those of the chunks' texts.

    Each chunk's lists are summed to one number, from the lists and from the text; equal sums are equal lists.
    """
    out = Result("full text", derived=True)
    stop = int(connection.execute("SELECT value FROM state WHERE key = 'next_chunk'").fetchone()[0])
    found = np.zeros(stop + 1, dtype=np.uint64)
    lengths = np.zeros(stop + 1, dtype=np.int64)
    n_lists = 0
    try:
        for first, end, data in connection.execute("SELECT first_chunk, stop_chunk, lengths FROM segments"):
            lengths[first:end] = np.frombuffer(data, dtype="<u2")
        for term, first, n, data in connection.execute(
            "SELECT p.term, s.first_chunk, p.n, p.data FROM postings p JOIN segments s ON s.id = p.segment_id"
        ):
            places, counts = postings.unpack([data], [n])
            found[places + first] += _mark(term) * (counts.astype(np.uint64) * np.uint64(2) + np.uint64(1))
            n_lists += 1
    except (ValueError, IndexError, IndexDamaged) as error:
        out.problems.append(f"a posting list cannot be read ({error})")
        return out
    wrong = 0
    for ids, sums, words in _expected(connection, terms):
        wrong += int(np.count_nonzero((found[ids] != sums) | (lengths[ids] != words)))
        found[ids], lengths[ids] = 0, 0
    left = int(np.count_nonzero(found))
    if wrong:
        out.problems.append(f"{wrong} chunks have other words in the full text than in their text")
    if left:
        out.problems.append(f"the full text holds {left} chunks that are not there")
    out.detail = f"{n_lists:,} posting lists say what the texts say"
    return out


@lru_cache(maxsize=1 << 20)
def _mark(term: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little"))


def _expected(
    connection: sqlite3.Connection, terms: Terms
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]]:
    cursor = connection.execute("SELECT id, header, text FROM chunks ORDER BY id")
    while rows := cursor.fetchmany(_ROWS):
        made = postings.invert([terms(row[1]) for row in rows], [terms(row[2]) for row in rows])
        marks = np.array([_mark(term) for term in made.terms], dtype=np.uint64)
        sums = np.zeros(len(rows), dtype=np.uint64)
        np.add.at(sums, made.chunk, np.repeat(marks, made.having) * (made.counts.astype(np.uint64) * np.uint64(2) + np.uint64(1)))
        yield np.array([row[0] for row in rows], dtype=np.int64), sums, made.lengths.astype(np.int64)
