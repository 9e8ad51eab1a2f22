"""The one-writer lock of an index: held by the operating system, so that a dead process holds none."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from contextkit.catalog.commit import now
from contextkit.errors import ContextkitError, IndexLocked, ReadOnlyIndex

NAME = "write.lock"


@contextmanager
def held(lock: FileLock, wait: float, owner: str) -> Iterator[None]:
    """Holds the lock during the block; a thread that has it already goes on.

    Args:
        lock: of the index.
        wait: seconds to wait for another writer; below 0: for ever.
        owner: who is writing, as far as known, for the message.

    Raises:
        IndexLocked: another writer did not finish in that time.
    """
    folder = Path(lock.lock_file).parent
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise IndexLocked(
            f"another process is writing to the index {folder}{owner}: waited {wait:g} s; try again, or wait longer"
        ) from None
    except PermissionError as error:
        raise ReadOnlyIndex(f"the index {folder} cannot be written ({error}): check the folder's permissions") from error
    except (OSError, NotImplementedError) as error:
        raise ContextkitError(
            f"the file system of {folder} cannot lock {NAME} ({error}): keep the index on a local disk, "
            "or on a network one that has locks"
        ) from error
    try:
        yield
    finally:
        lock.release()


def begin(connection: sqlite3.Connection, source: int | None, verb: str) -> int:
    """Notes a run of this process. Returns its id."""
    row = connection.execute(
        "INSERT INTO runs (source_id, verb, pid, host, started) VALUES (?, ?, ?, ?, ?) RETURNING id",
        (source, verb, os.getpid(), socket.gethostname(), now()),
    ).fetchone()
    return int(row[0])


def end(connection: sqlite3.Connection, run: int, outcome: str) -> None:
    """Notes how a run ended; a run without an outcome died."""
    connection.execute("UPDATE runs SET finished = ?, outcome = ? WHERE id = ?", (now(), outcome, run))


def owner(connection: sqlite3.Connection) -> str:
    """The unfinished run that is most likely the one writing, as " (process 12 on host, sync since ...)"; or ""."""
    row = connection.execute(
        "SELECT pid, host, verb, started FROM runs WHERE finished IS NULL ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return "" if row is None else f" (process {row[0]} on {row[1]}, {row[2]} since {row[3]})"
