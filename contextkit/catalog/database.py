"""Connections to the catalogue's SQLite file: one for writing, a pool for reading, and SQLite's errors in our words.

What is read and written is the business of the other modules of this folder.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from contextkit.catalog import manifest, schema, staging
from contextkit.catalog.records import Identity
from contextkit.errors import ContextkitError, IndexDamaged, IndexLocked, IndexNotFound, KitClosed, ReadOnlyIndex

_BUSY_SECONDS = 30.0


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises SQLite's errors and those of the disk as ours, with the file's name and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error
    except OSError as error:
        if isinstance(error, ContextkitError):
            raise
        raise manifest.failure(error, path) from error


def _translate(error: sqlite3.Error, path: Path) -> Exception:
    name = getattr(error, "sqlite_errorname", "") or ""
    text = str(error)
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "malformed" in text or "not a database" in text:
        return IndexDamaged(
            f"the catalogue {path} is damaged ({text}): restore a copy of the folder, or remove it and build it again"
        )
    if name.startswith("SQLITE_FULL"):
        return ContextkitError(f"the disk of {path} is full: nothing of this step was written; free space and run it again")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return IndexLocked(f"{path} stayed locked by another process for {_BUSY_SECONDS:.0f} s: try again")
    if name.startswith("SQLITE_READONLY"):
        return ReadOnlyIndex(f"{path} cannot be written: check the folder's permissions, or open it with read_only=True")
    if name.startswith("SQLITE_CANTOPEN"):
        return ContextkitError(
            f"{path} cannot be opened ({text}): check that the folder exists and may be read and written, "
            "or open it with read_only=True"
        )
    if name.startswith("SQLITE_IOERR"):
        return ContextkitError(f"the disk failed under {path} ({text}, {name}): nothing of this step was written; check the disk")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in text:
        return KitClosed("the index was closed")
    return error


class Database:
    """The SQLite file of one index.

    Args:
        path: the file; it must exist.
        read_only: never write, not even side files where the folder cannot be written.

    Raises:
        IndexNotFound, IndexDamaged, IndexMismatch: the file is missing, no catalogue, or of a newer format.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.note = ""
        """Where an unusual way of opening was needed: which, and what it means; else ""."""
        self._closed = False
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._query = "mode=ro" if read_only else "mode=rw"
        if not path.exists():
            raise IndexNotFound(f"no index in {path.parent}: there is no {path.name}")
        _check_length(path)
        with translated(path):
            connection = self._first()
            try:
                version = schema.check(connection, str(path))
                if version < schema.FORMAT and not read_only:
                    schema.migrate(connection)
                connection.execute("SELECT count(*) FROM state").fetchone()
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)

    def _first(self) -> sqlite3.Connection:
        connection = None
        try:
            connection = self._connect()
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            if connection is not None:
                connection.close()
            if not self.read_only:
                raise
            # A read-only folder: SQLite cannot make the files that readers of a log share. Without a log none are needed.
            log = self.path.with_name(self.path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise IndexDamaged(
                    f"{self.path.parent} cannot be written and holds an unfinished log ({log.name}): "
                    "open the index once where its folder can be written"
                ) from None
            self._query = "mode=ro&immutable=1"
            self.note = "opened as immutable: the folder cannot be written, so changes by others are not noticed"
            return self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?{self._query}"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA mmap_size = 268435456")
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection in a read transaction: all queries of the block see one state."""
        with translated(self.path):
            connection = self._borrow() or self._connect()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                with suppress(sqlite3.Error):  # nothing was written: a failed end of a read loses nothing
                    connection.execute("ROLLBACK")
                self._give_back(connection)

    def _borrow(self) -> sqlite3.Connection | None:
        with self._lock:
            if self._closed:
                raise KitClosed(f"the index {self.path.parent} was closed")
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The writing connection in a transaction that is committed at the end of the block, or rolled back by an error.

        Raises:
            ReadOnlyIndex: the index was opened for reading.
        """
        if self.read_only:
            raise ReadOnlyIndex(f"the index {self.path.parent} was opened for reading: open it without read_only to write")
        with translated(self.path):
            connection = self._writing()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def vacuum(self) -> None:
        """Gives the free pages back to the file system."""
        with translated(self.path):
            self._writing().execute("VACUUM")
            self.checkpoint()

    def checkpoint(self) -> None:
        """Moves the log into the file, as far as readers let it."""
        with translated(self.path):
            self._writing().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _writing(self) -> sqlite3.Connection:
        if self._closed:
            raise KitClosed(f"the index {self.path.parent} was closed")
        if self._writer is None:
            self._writer = self._connect()
        return self._writer

    def close(self) -> None:
        """Closes all connections; a second call does nothing."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _check_length(path: Path) -> None:
    """Finds a file that lost its end; SQLite itself would find out at the first row that is missing."""
    with path.open("rb") as file:
        header = file.read(100)
    log = path.with_name(path.name + "-wal")
    if not header.startswith(b"SQLite format 3\0") or len(header) < 100:
        raise IndexDamaged(f"{path} is no SQLite database: restore a copy of the folder, or remove it and build it again")
    page = int.from_bytes(header[16:18], "big")
    expected = (65_536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
    size = path.stat().st_size
    if size < expected and not (log.exists() and log.stat().st_size):
        raise IndexDamaged(
            f"the catalogue {path} has {size:,} of {expected:,} bytes: restore a copy of the folder, or remove it and build again"
        )


def make(path: Path, identity: Identity) -> None:
    """Makes an empty catalogue at `path`, whole or not at all: it is made beside and moved into place."""
    draft = path.with_name(path.name + ".new")
    for suffix in ("", "-wal", "-shm", "-journal"):
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)
    with translated(path):
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute(f"PRAGMA page_size = {schema.PAGE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            schema.create(connection)
            manifest.store(connection, identity)
            row = staging.embedder_id(connection, identity.embedder)
            connection.execute("UPDATE state SET value = ? WHERE key = 'embedder'", (row,))
            # closing would fold the log in too, but says nothing where the disk is full
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
        draft.replace(path)
