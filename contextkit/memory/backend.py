"""The SQLite file of a memory: `memory.sqlite` in an index folder, apart from the catalogue (protocol `MemoryBackend`).

It has its own file so that writing memories never waits for a build of the index, and so that erasing can be proven file by file.
What is read and written is the business of the other modules of this folder.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from contextkit.catalog.database import translated
from contextkit.errors import ContextkitError, IndexDamaged, IndexLocked, IndexMismatch, IndexNotFound, KitClosed, ReadOnlyIndex
from contextkit.memory import schema

NAME = "memory.sqlite"


@contextmanager
def _faults(path: Path, wait: float) -> Iterator[None]:
    try:
        with translated(path):
            yield
    except IndexDamaged as error:
        cause = error.__cause__ or error
        raise IndexDamaged(
            f"the memory {path} is damaged ({cause}): restore a copy of the file, or move it away and import an export of it"
        ) from error
    except IndexLocked as error:
        raise IndexLocked(f"{path} stayed locked by another process for {wait:g} s: nothing was written, try again") from error


class SQLiteBackend:
    """Rows in one SQLite file: a log for writing ahead, one writer at a time, many readers, several processes.

    Args:
        folder: where the file is; made with the first write.
        read_only: never write.
        wait: seconds that a write waits for another one.

    Raises:
        IndexMismatch: the file was made by a newer contextkit.
        IndexDamaged: it is no memory, or it is broken.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, wait: float = 30.0) -> None:
        self.path = folder / NAME
        self.read_only = read_only
        self._wait = wait
        self._closed = False
        self._lock = threading.Lock()
        self._writing = threading.RLock()
        self._idle: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        if not self.path.exists():
            if read_only:
                raise IndexNotFound(f"no memory in {folder}: there is no {NAME}; remembering something makes one")
            self._make()
        with _faults(self.path, wait):
            connection = self._connect()
            try:
                self._check(connection)
            except BaseException:
                connection.close()
                raise
        self._idle.append(connection)

    def _make(self) -> None:
        """Makes an empty memory, whole or not at all; where two do so at once, both get the one that came first."""
        draft = self.path.with_name(f"{NAME}.{os.getpid()}-{threading.get_ident()}.new")
        with _faults(self.path, self._wait):
            connection = sqlite3.connect(draft, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                connection.executescript(f"BEGIN;{schema.TABLES}PRAGMA user_version = {schema.FORMAT};COMMIT;")
            finally:
                connection.close()
        try:
            os.link(draft, self.path)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _check(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        if application != schema.APPLICATION_ID or version == 0:
            raise IndexDamaged(f"{self.path} is not a memory (application {application:#x}, format {version})")
        if version > schema.FORMAT:
            raise IndexMismatch(
                f"the memory {self.path} has format {version}, this contextkit reads up to {schema.FORMAT}: install a newer one"
            )
        if version < schema.FORMAT:
            self._upgrade(connection, version)
        connection.execute("SELECT count(*) FROM state").fetchone()

    def _upgrade(self, connection: sqlite3.Connection, version: int) -> None:
        """Brings a memory of an older format to this one, whole or not at all; another process may have done so meanwhile."""
        if self.read_only:
            raise IndexMismatch(
                f"the memory {self.path} has the older format {version}: open it once without read_only, which upgrades it"
            )
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in range(int(connection.execute("PRAGMA user_version").fetchone()[0]), schema.FORMAT):
                for statement in schema.UPGRADES[step].split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {schema.FORMAT}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _connect(self) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path.absolute()))}?mode={'ro' if self.read_only else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=self._wait, isolation_level=None, check_same_thread=False)
        for pragma in (
            "foreign_keys = ON",
            "synchronous = FULL",
            "secure_delete = ON",
            "cache_size = -16384",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection whose queries all see one committed state."""
        with _faults(self.path, self._wait):
            with self._lock:
                self._open()
                connection = self._idle.pop() if self._idle else None
            connection = connection or self._connect()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                with suppress(sqlite3.Error):  # nothing was written: a failed end of a read loses nothing
                    connection.execute("ROLLBACK")
                self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction that is committed at the end of the block, or rolled back by an error."""
        with self._writing, _faults(self.path, self._wait):
            connection = self._own()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def purge(self) -> list[str]:
        """Makes what was deleted unreadable in every file, and names the files that then make up the memory.

        Deleted rows are overwritten at once; this rewrites the file without free pages and empties the log.

        Raises:
            IndexLocked: a reader of another process kept the log in use; what was deleted stays deleted, try again.
        """
        try:
            with self._writing, _faults(self.path, self._wait):
                self._overwrite(self._own())
        except IndexLocked as error:
            raise IndexLocked(
                f"a reader kept {self.path.name}-wal in use for {self._wait:g} s: the records are deleted, "
                "but their bytes are not yet overwritten; call purge again"
            ) from error
        return sorted(p.name for p in self.path.parent.glob(f"{NAME}*"))

    def _overwrite(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + max(self._wait, 0.1)
        with self._lock:  # our own idle readers must not hold the log
            idle, self._idle = self._idle, []
        for other in idle:
            other.close()
        connection.execute("VACUUM")
        while int(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]):
            if time.monotonic() > deadline:
                raise IndexLocked(f"{self.path.name}-wal is in use")
            time.sleep(0.02)

    def holds(self, texts: Collection[str]) -> int:
        """How many of the texts stand in some file."""
        held = [p.read_bytes() for p in self.path.parent.glob(f"{NAME}*")]
        return sum(any(text.encode("utf-8", "replace") in data for data in held) for text in texts)

    def size(self) -> int:
        """Bytes of all files."""
        return sum(p.stat().st_size for p in self.path.parent.glob(f"{NAME}*"))

    def _own(self) -> sqlite3.Connection:
        self._open()
        if self.read_only:
            raise ReadOnlyIndex(f"the memory {self.path} was opened for reading: open it without read_only to write")
        if self._writer is None:
            self._writer = self._connect()
        return self._writer

    def _open(self) -> None:
        if self._closed:
            raise KitClosed(f"the memory {self.path} was closed")

    def close(self) -> None:
        """Closes all connections; a second call does nothing."""
        with self._writing, self._lock:
            self._closed = True
            connections = [*self._idle, *([self._writer] if self._writer is not None else [])]
            self._idle, self._writer = [], None
        for connection in connections:
            try:
                connection.close()
            except sqlite3.Error as error:
                raise ContextkitError(f"{self.path} did not close: {error}") from error
