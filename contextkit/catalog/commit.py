"""Makes generations: the commit of a run, removal, rollback, and the dropping of what no kept generation shows.

Every function works in the caller's write transaction, so that a generation comes whole or not at all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from contextkit.catalog import manifest, postings, reading, staging
from contextkit.catalog.records import Committed
from contextkit.catalog.visibility import alive
from contextkit.errors import InputError

_COLUMNS = (
    "document_id, source_id, observed, fingerprint, version, uri, media_type, metadata_id, own_metadata_id, access_id, content_id"
)
_JOURNAL = 1_000  # lines of the journal, and runs, that gc keeps at least
_GROUP = 262_144  # living chunks that gc puts into one segment of the lexical index


def now() -> str:
    """This moment as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def journal(
    connection: sqlite3.Connection, run: int | None, source: str, event: str, documents: Sequence[str] = ("",), detail: str = ""
) -> None:
    """Notes an event, once a document."""
    time = now()
    connection.executemany(
        "INSERT INTO journal (time, run_id, source, event, document_id, detail) VALUES (?, ?, ?, ?, ?, ?)",
        ((time, run, source, event, document, detail) for document in documents),
    )


def commit(
    connection: sqlite3.Connection, run: int, source: tuple[int, str], retire: Sequence[str], *, note: str, cursor: str | None
) -> Committed:
    """Makes a generation of what is staged for a source, and retires documents.

    Args:
        connection: in a write transaction.
        run: the run that commits.
        source: row and name of the source; what is staged for it is taken.
        retire: ids of living documents (of any source) that the new generation does not show.
        note: why the generation is made.
        cursor: where the source's next listing may go on; None leaves it.

    Returns:
        What it did. Where nothing changed there is no new generation.
    """
    row, name = source
    connection.execute("DROP TABLE IF EXISTS temp.gone")
    connection.execute("CREATE TEMP TABLE gone (document_id TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT OR IGNORE INTO gone VALUES (?)", ((i,) for i in retire))
    # Documents whose source now says something else of them, but which are the same to us
    connection.execute(
        "UPDATE documents SET observed = g.observed, version = g.version FROM staged g WHERE g.source_id = ? "
        "AND documents.document_id = g.document_id AND documents.died IS NULL AND documents.fingerprint = g.fingerprint "
        "AND documents.source_id = g.source_id",
        (row,),
    )
    connection.execute(
        "DELETE FROM staged WHERE source_id = ? AND EXISTS (SELECT 1 FROM documents d WHERE d.document_id = staged.document_id "
        "AND d.died IS NULL AND d.fingerprint = staged.fingerprint AND d.source_id = staged.source_id)",
        (row,),
    )
    living = "EXISTS (SELECT 1 FROM documents d WHERE d.document_id = g.document_id AND d.died IS NULL)"
    added = _ids(connection, f"SELECT g.document_id FROM staged g WHERE g.source_id = ? AND NOT {living}", row)
    changed = _ids(connection, f"SELECT g.document_id FROM staged g WHERE g.source_id = ? AND {living}", row)
    removed = _ids(connection, "SELECT d.document_id FROM documents d JOIN temp.gone USING (document_id) WHERE d.died IS NULL")
    again = set(changed)
    removed = tuple(i for i in removed if i not in again)
    if cursor is not None:
        connection.execute("UPDATE sources SET cursor = ? WHERE id = ?", (cursor, row))
    if not (added or changed or removed):
        return Committed(reading.current(connection))
    moved = _moved(connection, row, added, removed)
    generation = _generation(connection, note, len(added), len(changed), len(removed))
    connection.executemany(
        "UPDATE documents SET died = ? WHERE document_id = ? AND died IS NULL", ((generation, i) for i in (*changed, *removed))
    )
    connection.execute(
        f"INSERT INTO documents ({_COLUMNS}, born) SELECT {_COLUMNS}, ? FROM staged WHERE source_id = ?", (generation, row)
    )
    connection.execute("DELETE FROM staged WHERE source_id = ?", (row,))
    for event, ids in (("added", added), ("changed", changed), ("removed", removed)):
        journal(connection, run, name, event, ids, f"generation {generation}")
    return Committed(generation, added, changed, removed, moved)


def _ids(connection: sqlite3.Connection, query: str, *values: int) -> tuple[str, ...]:
    return tuple(sorted(row[0] for row in connection.execute(query, values)))


def _moved(
    connection: sqlite3.Connection, source: int, added: Sequence[str], removed: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Pairs removed and added documents of the same content, each once, in the order of their ids."""
    if not added or not removed:
        return ()
    old: dict[int, list[str]] = {}
    rows = connection.execute(
        "SELECT d.content_id, d.document_id FROM documents d JOIN temp.gone USING (document_id) WHERE d.died IS NULL "
        "ORDER BY d.document_id DESC"
    )
    gone = set(removed)
    for content, document in rows:
        if document in gone:
            old.setdefault(content, []).append(document)
    pairs: list[tuple[str, str]] = []
    new = set(added)
    for content, document in connection.execute(
        "SELECT content_id, document_id FROM staged WHERE source_id = ? ORDER BY document_id", (source,)
    ):
        if document in new and old.get(content):
            pairs.append((old[content].pop(), document))
    return tuple(pairs)


def _generation(connection: sqlite3.Connection, note: str, added: int, changed: int, removed: int) -> int:
    parent = reading.current(connection)
    generation = parent + 1
    exists = connection.execute("SELECT 1 FROM generations WHERE id = ?", (parent,)).fetchone()
    connection.execute(
        "INSERT INTO generations (id, parent, created, note, added, changed, removed, embedder_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT value FROM state WHERE key = 'embedder'))",
        (generation, parent if exists else None, now(), note, added, changed, removed),
    )
    connection.execute("UPDATE state SET value = ? WHERE key = 'current'", (generation,))
    return generation


def note_loss(connection: sqlite3.Connection, run: int, documents: Sequence[str]) -> int:
    """Makes a generation for living documents that had to be taken out because their stored content is damaged."""
    generation = _generation(connection, "doctor: damaged documents taken out", 0, 0, len(documents))
    journal(connection, run, "", "damaged", documents, f"generation {generation}")
    return generation


def kept(connection: sqlite3.Connection, generation: int) -> None:
    """Checks that a generation can be read. Raises InputError where it cannot, naming those that can."""
    if generation == reading.current(connection):
        return
    ids = [int(row[0]) for row in connection.execute("SELECT id FROM generations ORDER BY id")]
    if generation not in ids and not (generation == 0 and ids[:1] == [1]):
        raise InputError(f"there is no generation {generation}; kept are {_ranges(ids)}")


def _ranges(ids: Sequence[int]) -> str:
    if not ids:
        return "none yet"
    out: list[str] = []
    start = end = ids[0]
    for i in [*ids[1:], None]:
        if i is not None and i == end + 1:
            end = i
            continue
        out.append(str(start) if start == end else f"{start}-{end}")
        if i is not None:
            start = end = i
    return ", ".join(out)


def rollback(connection: sqlite3.Connection, run: int, target: int, *, note: str) -> Committed:
    """Makes a generation that shows what generation `target` showed; the way back is a rollback to the one before.

    History stays a line: nothing is deleted and no pointer goes back, so that two readers never disagree about what a number
    means.
    """
    kept(connection, target)
    change = reading.difference(connection, reading.current(connection), target)
    found = connection.execute("SELECT embedder_id FROM generations WHERE id = ?", (target,)).fetchone()
    if found is not None:
        _use_embedder(connection, int(found[0]))
    if not (change.added or change.changed or change.removed):
        return Committed(reading.current(connection))
    generation = _generation(connection, note, len(change.added), len(change.changed), len(change.removed))
    connection.executemany(
        "UPDATE documents SET died = ? WHERE document_id = ? AND died IS NULL",
        ((generation, i) for i in (*change.changed, *change.removed)),
    )
    life, values = alive(target, current=False)
    connection.executemany(
        f"INSERT INTO documents ({_COLUMNS}, born) SELECT {_COLUMNS}, ? FROM documents d WHERE d.document_id = ? AND {life}",
        ((generation, i, *values) for i in (*change.changed, *change.added)),
    )
    journal(connection, run, "", "rollback", detail=f"generation {generation} shows what {target} showed")
    return Committed(generation, change.added, change.changed, change.removed)


def _use_embedder(connection: sqlite3.Connection, row: int) -> None:
    """Makes an embedder the one of the generations to come."""
    identity = manifest.load(connection, "the index")
    info = manifest.embedder(connection, row)
    if info != identity.embedder:
        manifest.store(connection, replace(identity, embedder=info))
    connection.execute("UPDATE state SET value = ? WHERE key = 'embedder'", (row,))


def reembed(
    connection: sqlite3.Connection, run: int, embedder: int, chunker: str, contents: Mapping[int, bytes], *, note: str
) -> Committed:
    """Makes a generation that shows all living documents with the contents of another embedder.

    Args:
        connection: in a write transaction.
        run: the run that commits.
        embedder: row of the new embedder.
        chunker: configuration of the chunker that cut the new contents.
        contents: for each living content the key of the one that takes its place.
        note: why the generation is made.

    Raises:
        InputError: a living document has a content that is not among them.
    """
    new = {old: (staging.contents_known(connection, [key])[key], key) for old, key in contents.items()}
    rows = connection.execute(
        f"SELECT d.id, {', '.join('d.' + c for c in _COLUMNS.split(', '))}, m.value, a.names FROM documents d "
        "JOIN metadata m ON m.id = d.metadata_id LEFT JOIN access_lists a ON a.id = d.access_id WHERE d.died IS NULL"
    ).fetchall()
    missing = [row[1] for row in rows if row[11] not in new]
    if missing:
        raise InputError(f"{len(missing)} documents, such as {missing[0]!r}, have no vectors of the new embedder: run it again")
    _use_embedder(connection, embedder)
    identity = manifest.load(connection, "the index")
    manifest.store(connection, replace(identity, chunker=chunker))
    moved = [row for row in rows if new[row[11]][0] != row[11]]
    if not moved:
        return Committed(reading.current(connection))
    generation = _generation(connection, note, 0, len(moved), 0)
    connection.execute("DELETE FROM staged")  # of the old embedder; what was staged is found by its key when it is needed again
    connection.executemany("UPDATE documents SET died = ? WHERE id = ?", ((generation, row[0]) for row in moved))
    marks = ", ".join("?" * 12)
    versions = (_moved_row(row, new, generation) for row in moved)
    connection.executemany(f"INSERT INTO documents ({_COLUMNS}, born) VALUES ({marks})", versions)
    changed = tuple(sorted(row[1] for row in moved))
    journal(connection, run, "", "re-embedded", detail=f"generation {generation}, {len(changed)} documents")
    return Committed(generation, (), changed)


def _moved_row(row: tuple[Any, ...], new: Mapping[int, tuple[int, bytes]], generation: int) -> tuple[Any, ...]:
    content, key = new[row[11]]
    access = None if row[13] is None else json.loads(row[13])
    fingerprint = staging.fingerprint_of(key, row[12], access, row[6], row[7])
    return (*row[1:4], fingerprint, *row[5:11], content, generation)


def pin(connection: sqlite3.Connection, generation: int, name: str | None) -> None:
    """Keeps a generation from gc under a name, or lets it go again (None)."""
    kept(connection, generation)
    connection.execute("UPDATE generations SET pinned = ? WHERE id = ?", (name, generation))


def collect(connection: sqlite3.Connection, run: int, keep: int) -> dict[str, int]:
    """Drops all generations but the last `keep` and the pinned ones, and all that nothing kept refers to.

    Returns:
        How many rows went, by table.

    Raises:
        InputError: `keep` is below 1.
    """
    if keep < 1:
        raise InputError(f"gc keeps at least 1 generation, not {keep}")
    gone: dict[str, int] = {}

    def delete(name: str, condition: str, *values: int) -> None:
        gone[name] = connection.execute(f"DELETE FROM {name} WHERE {condition}", values).rowcount

    delete("generations", "pinned IS NULL AND id <= (SELECT max(id) FROM generations) - ?", keep)
    delete(
        "documents",
        "died IS NOT NULL AND NOT EXISTS (SELECT 1 FROM generations k WHERE k.id >= documents.born AND k.id < documents.died)",
    )
    dead = (
        "NOT EXISTS (SELECT 1 FROM documents d WHERE d.content_id = {0}) "
        "AND NOT EXISTS (SELECT 1 FROM staged g WHERE g.content_id = {0})"
    )
    delete("chunks", f"content_id IN (SELECT c.id FROM contents c WHERE {dead.format('c.id')})")
    delete("contents", dead.format("contents.id"))
    delete("vectors", "NOT EXISTS (SELECT 1 FROM chunks k WHERE k.vector_id = vectors.id)")
    users = (
        "documents.metadata_id",
        "documents.own_metadata_id",
        "parses.metadata_id",
        "staged.metadata_id",
        "staged.own_metadata_id",
    )
    unused = (f"NOT EXISTS (SELECT 1 FROM {user.split('.')[0]} WHERE {user} = metadata.id)" for user in users)
    delete("metadata", " AND ".join(unused))
    lists = " UNION ".join(f"SELECT access_id FROM {table} WHERE access_id IS NOT NULL" for table in ("documents", "staged"))
    delete("access_lists", f"id NOT IN ({lists})")
    connection.execute("UPDATE state SET value = value - ? WHERE key = 'chunks'", (gone["chunks"],))
    if gone["chunks"]:
        _compact_postings(connection)
    # the journal of generations that are gone, but for its last lines; a clock that jumps only moves the edge
    delete(
        "journal",
        "id <= (SELECT max(id) FROM journal) - ? AND time < (SELECT created FROM generations ORDER BY id LIMIT 1)",
        _JOURNAL,
    )
    delete("runs", "finished IS NOT NULL AND id <= ?", run - _JOURNAL)
    if gone["generations"] or gone["documents"]:
        journal(connection, run, "", "gc", detail=f"{gone['generations']} generations and {gone['documents']} versions dropped")
    return gone


def _compact_postings(connection: sqlite3.Connection) -> None:
    size = int(connection.execute("SELECT value FROM state WHERE key = 'next_chunk'").fetchone()[0])
    living = np.zeros(size, dtype=np.bool_)
    living[np.fromiter((row[0] for row in connection.execute("SELECT id FROM chunks")), dtype=np.int64)] = True
    group: list[int] = []
    total = 0
    for segment, first, stop in connection.execute(
        "SELECT id, first_chunk, stop_chunk FROM segments ORDER BY first_chunk"
    ).fetchall():
        group.append(int(segment))
        total += int(living[first:stop].sum())
        if total >= _GROUP:
            postings.rewrite(connection, group, living)
            group, total = [], 0
    postings.rewrite(connection, group, living)
    postings.touch(connection)
