"""What the doctor mends in the catalogue, in the caller's write transaction: derived rows, and the truth only when asked to.

What is wrong is found by `contextkit.catalog.checks`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from contextkit.catalog import commit, manifest, postings
from contextkit.catalog.checks import fields_of
from contextkit.catalog.staging import Terms

_SEGMENT = 8_192  # chunks put into the full text at once


def counters(connection: sqlite3.Connection) -> None:
    """Counts chunks again."""
    connection.execute("UPDATE state SET value = (SELECT count(*) FROM chunks) WHERE key = 'chunks'")
    connection.execute(
        "UPDATE state SET value = max(value, (SELECT ifnull(max(id), 0) + 1 FROM chunks)) WHERE key = 'next_chunk'"
    )


def fields(connection: sqlite3.Connection) -> None:
    """Makes the rows that filters use from the metadata again."""
    connection.execute("DELETE FROM fields")
    for row, value in connection.execute("SELECT id, value FROM metadata").fetchall():
        connection.executemany("INSERT OR IGNORE INTO fields VALUES (?, ?, ?)", ((path, v, row) for path, v in fields_of(value)))


def outdated(connection: sqlite3.Connection, version: str) -> bool:
    """Whether the full text was made with terms of another version than this one; "" is any version."""
    return version not in ("", manifest.load(connection, "the index").terms)


def full_text(
    connection: sqlite3.Connection, terms: Terms, version: str = "", tell: Callable[[int, int], None] | None = None
) -> None:
    """Makes the posting lists from the chunks' texts again, and notes the terms' version with them.

    Args:
        connection: in a write transaction, so that lists and version change as one.
        terms: the lexical tokenisation.
        version: of the terms; "" leaves what is noted.
        tell: is told how many chunks are done, and of how many.
    """
    identity = manifest.load(connection, "the index")
    if version and identity.terms != version:
        manifest.store(connection, replace(identity, terms=version))
    connection.execute("DELETE FROM postings")
    connection.execute("DELETE FROM segments")
    total = int(connection.execute("SELECT count(*) FROM chunks").fetchone()[0])
    done = last = 0
    if tell is not None:
        tell(done, total)
    while rows := connection.execute(
        "SELECT id, header, text FROM chunks WHERE id > ? ORDER BY id LIMIT ?", (last, _SEGMENT)
    ).fetchall():
        first, last = int(rows[0][0]), int(rows[-1][0])
        headers: list[list[str]] = [[]] * (last + 1 - first)  # one list for all: what gc took out may leave long gaps
        bodies: list[list[str]] = [[]] * (last + 1 - first)
        for chunk, header, text in rows:
            headers[chunk - first], bodies[chunk - first] = terms(header), terms(text)
        postings.add(connection, first, headers, bodies)
        done += len(rows)
        if tell is not None:
            tell(done, total)
    postings.touch(connection)


def without(connection: sqlite3.Connection, run: int, contents: Iterable[int]) -> tuple[str, ...]:
    """Takes contents that cannot be trusted out of every generation, with the documents that show them, and dangling rows.

    Returns:
        The ids of living documents that are gone, sorted. Those of a source come back with its next sync.
    """
    connection.execute("CREATE TEMP TABLE bad (id INTEGER PRIMARY KEY)")
    try:
        connection.executemany("INSERT OR IGNORE INTO bad VALUES (?)", ((i,) for i in contents))
        for _ in range(4):  # what refers to a row that goes now, goes in the next round
            _dangling(connection)
        bad = "content_id IN (SELECT id FROM temp.bad)"
        gone = tuple(
            sorted(row[0] for row in connection.execute(f"SELECT document_id FROM documents WHERE died IS NULL AND {bad}"))
        )
        for table in ("documents", "staged", "parses", "chunks"):
            connection.execute(f"DELETE FROM {table} WHERE {bad}")
        connection.execute("DELETE FROM contents WHERE id IN (SELECT id FROM temp.bad)")
        connection.execute("DELETE FROM vectors WHERE NOT EXISTS (SELECT 1 FROM chunks k WHERE k.vector_id = vectors.id)")
    finally:
        connection.execute("DROP TABLE temp.bad")
    if gone:
        commit.note_loss(connection, run, gone)
    return gone


def _dangling(connection: sqlite3.Connection) -> None:
    """Marks contents whose chunks lack something, and deletes other rows that refer to nothing."""
    connection.execute(
        "INSERT OR IGNORE INTO temp.bad SELECT content_id FROM chunks WHERE vector_id NOT IN (SELECT id FROM vectors)"
    )
    for table in ("chunks", "documents", "staged", "parses"):
        connection.execute(
            f"INSERT OR IGNORE INTO temp.bad SELECT content_id FROM {table} WHERE content_id NOT IN (SELECT id FROM contents)"
        )
    for table, column, parent in (("fields", "metadata_id", "metadata"), ("postings", "segment_id", "segments")):
        connection.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT id FROM {parent})")
    for table, column, parent in (("generations", "parent", "generations"), ("runs", "source_id", "sources")):
        connection.execute(f"UPDATE {table} SET {column} = NULL WHERE {column} NOT IN (SELECT id FROM {parent})")


def backup(catalog: Path) -> Path:
    """Copies a checkpointed catalogue beside itself, to the disk; gives the copy's path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    copy = catalog.with_name(f"{catalog.name}.backup-{stamp}")
    number = 1
    while copy.exists():
        number += 1
        copy = catalog.with_name(f"{catalog.name}.backup-{stamp}-{number}")
    for suffix in ("", "-wal"):
        source = catalog.with_name(catalog.name + suffix)
        if source.exists() and (not suffix or source.stat().st_size):
            target = copy.with_name(copy.name + suffix)
            shutil.copyfile(source, target)
            with target.open("rb+") as file:
                os.fsync(file.fileno())
    manifest.sync_folder(catalog.parent)
    return copy


def drafts(folder: Path) -> list[Path]:
    """Files that writers which died left half-written: ".NAME.PID.new" of no living process."""
    return [p for p in folder.glob(".*.new") if not _alive(p.name.split(".")[-2])]


def _alive(pid: str) -> bool:
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
