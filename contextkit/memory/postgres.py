"""A memory in PostgreSQL, for several machines at once: one schema of a database is one memory (protocol `MemoryBackend`).

The address is a `postgresql://` URL as libpq reads it, with one more setting, `schema`, "contextkit" where it is not given.
Here is what PostgreSQL needs of its own: connections, locks, snapshots and erasing. The tables are those of `schema.py`; the
statements are those of the other modules, which both databases understand.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from contextkit.errors import (
    ContextkitError,
    IndexDamaged,
    IndexLocked,
    IndexMismatch,
    IndexNotFound,
    KitClosed,
    ReadOnlyIndex,
    ServerUnreachable,
)
from contextkit.memory import pgfaults, pgtables, schema

if TYPE_CHECKING:
    import psycopg

BEYOND = (
    "the server's write-ahead log, until its segments are recycled",
    "replicas that have not replayed the erasure, and archived logs",
    "backups",
    "the server's log, where it writes statements with their values",
)
"""What an erasure cannot reach from here."""

_BATCH = 2000  # rows sent at once
_APPLICATION = "contextkit memory"
_MARK = re.compile(r"'[^']*'|\?")


class _Rows:
    """A connection as the modules of this folder speak to it (protocol `Rows`): marks are `?`, results come in binary."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:  # noqa: ANN401 - a DB-API cursor
        return self._connection.execute(_numbered(sql), parameters or None, binary=True)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any:  # noqa: ANN401 - a DB-API cursor
        cursor, rows, touched = self._connection.cursor(), iter(parameters), 0
        # batch by batch: what is written may be read from this very connection, which takes no question while it is told rows
        while batch := list(itertools.islice(rows, _BATCH)):
            cursor.executemany(_numbered(sql), batch)
            touched += cursor.rowcount
        return SimpleNamespace(rowcount=touched)


class PostgresBackend:
    """Rows in one schema of a PostgreSQL database: one writer at a time over all machines, many readers, each of one snapshot.

    A connection that broke while nothing was under way is made anew without a word. Safe from several threads.

    Args:
        url: "postgresql://user@host:5432/database?schema=name"; a password is better kept in PGPASSWORD or ~/.pgpass.
        read_only: never write; the memory must exist.
        wait: seconds that a write waits for another one.

    Raises:
        MissingExtra: psycopg is not installed.
        InputError: the URL cannot be read.
        ServerUnreachable: nobody answers there, or the user is not let in.
        IndexNotFound: it is to be read only and there is no memory.
        IndexMismatch: the memory was made by a newer contextkit.
        IndexDamaged: the schema holds something else.
    """

    def __init__(self, url: str, *, read_only: bool = False, wait: float = 30.0) -> None:
        self._address = pgfaults.address(url)
        self.schema, self.name = self._address.schema, self._address.shown
        self.read_only = read_only
        self._wait = wait
        self._closed = False
        self._lock = threading.Lock()
        self._writing = threading.RLock()
        self._idle: list[psycopg.Connection[Any]] = []
        self._writer: psycopg.Connection[Any] | None = None
        connection = self._connect()
        try:
            with self._faults():
                self._make_or_check(connection)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # ---------------------------------------------------------------------------------------------------------- opening

    def _connect(self) -> psycopg.Connection[Any]:
        import psycopg

        try:
            return psycopg.connect(**self._address.conninfo, autocommit=True, cursor_factory=psycopg.RawCursor)
        except psycopg.Error as error:
            raise pgfaults.unreachable(error, self._address) from None  # its cause may repeat the address with its password

    def _make_or_check(self, connection: psycopg.Connection[Any]) -> None:
        if not self._exists(connection):
            if self.read_only:
                raise IndexNotFound(f"no memory in {self.name}: remembering something makes one")
            self._make(connection)
        found = dict(connection.execute(f"SELECT key, value FROM {self.schema}.identity").fetchall())
        if found.get("application") != _APPLICATION:
            raise IndexDamaged(f"{self.name} is not a memory: name another schema with ?schema=NAME")
        if int(found["format"]) > schema.FORMAT:
            raise IndexMismatch(
                f"the memory {self.name} has format {found['format']}, this contextkit reads up to {schema.FORMAT}: "
                "install a newer one"
            )

    def _exists(self, connection: psycopg.Connection[Any]) -> bool:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'f', 'm')",
            (self.schema,),
        ).fetchall()
        if tables and ("identity",) not in tables:
            raise IndexDamaged(
                f"{self.name} holds other tables ({tables[0][0]}) and is no memory: name another schema with ?schema=NAME"
            )
        return bool(tables)

    def _make(self, connection: psycopg.Connection[Any]) -> None:
        """Makes an empty memory, whole or not at all; where two do so at once, both get the one that came first."""
        with self._transaction(connection, "BEGIN", locked=True):
            if self._exists(connection):
                return
            if connection.execute("SELECT to_regnamespace($1)", (self.schema,)).fetchone() == (None,):
                connection.execute(f"CREATE SCHEMA {self.schema}")
            connection.execute(pgtables.script(schema.TABLES))
            pgtables.forbid_samples(connection, self.schema)
            rows = (("application", _APPLICATION), ("format", str(schema.FORMAT)))
            connection.cursor().executemany("INSERT INTO identity VALUES ($1, $2)", rows)

    # ------------------------------------------------------------------------------------------------------ transactions

    @contextmanager
    def reading(self) -> Iterator[_Rows]:
        """Rows that all show one committed state."""
        with self._faults():
            with self._lock:
                self._open()
                connection = self._idle.pop() if self._idle else None
            connection = self._begun(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield _Rows(connection)
            finally:
                with suppress(ContextkitError), self._faults():  # nothing was written: a failed end of a read loses nothing
                    connection.execute("ROLLBACK")
                self._give_back(connection)

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            if not self._closed and connection.info.transaction_status == 0:  # in order, and in no transaction
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def writing(self) -> Iterator[_Rows]:
        """Rows in a transaction that is committed at the end of the block, or rolled back by an error."""
        with self._writing:
            with self._lock:
                self._open()
            if self.read_only:
                raise ReadOnlyIndex(f"the memory {self.name} was opened for reading: open it without read_only to write")
            with self._faults():
                self._writer = connection = self._begun(self._writer, "BEGIN")
                with self._transaction(connection, "", locked=True):
                    yield _Rows(connection)

    def _begun(self, connection: psycopg.Connection[Any] | None, begin: str) -> psycopg.Connection[Any]:
        """A connection in a transaction; one that broke since it was last used is replaced."""
        import psycopg

        statement = f"{begin}; SET LOCAL search_path TO {self.schema}"
        if connection is not None:
            try:
                connection.execute(statement)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                connection.close()
                self._drop_idle()  # what broke one broke all
            else:
                return connection
        connection = self._connect()
        connection.execute(statement)
        return connection

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for other in idle:
            other.close()

    @contextmanager
    def _transaction(self, connection: psycopg.Connection[Any], begin: str, *, locked: bool) -> Iterator[None]:
        """Commits the block, or rolls it back. `locked`: after every other writer of this memory, on whatever machine."""
        import psycopg

        if begin:
            connection.execute(f"{begin}; SET LOCAL search_path TO {self.schema}")
        try:
            if locked:
                connection.execute(f"SET LOCAL lock_timeout = {max(1, int(1000 * self._wait))}")
                connection.execute("SELECT pg_advisory_xact_lock($1, $2)", (schema.APPLICATION_ID, self._number()))
            yield
        except BaseException:
            with suppress(psycopg.Error):  # a connection that is gone has rolled back already
                connection.execute("ROLLBACK")
            raise
        try:
            connection.execute("COMMIT")
        except psycopg.OperationalError as error:
            if not connection.closed:
                raise
            raise ServerUnreachable(
                f"the connection to {self.name} broke while it committed ({pgfaults.first_line(error)}): "
                "whether this was written is not known; look before trying again"
            ) from error

    def _number(self) -> int:
        """The lock of this memory: 32 bits of its schema's name; two that share one only wait for each other."""
        return int.from_bytes(hashlib.sha256(self.schema.encode()).digest()[:4], "big", signed=True)

    # ----------------------------------------------------------------------------------------------------------- erasing

    def purge(self) -> list[str]:
        """Makes what was deleted unreadable in every table and index of the memory, and names them.

        Each table is written anew with its indexes, once no other transaction can still see what was deleted. What lies beyond a
        database's tables is in `beyond`.

        Raises:
            IndexLocked: a transaction of somebody else kept the deleted rows visible; they stay deleted, try again.
        ReadOnlyIndex: the user does not own the tables; the rows stay deleted.
        """
        with self._writing:
            with self._lock:
                self._open()
            if self.read_only:
                raise ReadOnlyIndex(f"the memory {self.name} was opened for reading: open it without read_only to erase")
            self._drop_idle()
            with self._faults(), self._session_lock() as connection:
                self._wait_for_readers(connection)
                before = pgtables.files(connection, self.schema)
                for table in before:
                    connection.execute(f"VACUUM (FULL) {self.schema}.{table}")
                after = pgtables.files(connection, self.schema)
            left = [table for table, file in before.items() if after.get(table) == file]
            if left:  # PostgreSQL only warns where the user may not
                raise ReadOnlyIndex(
                    f"this user may not rewrite {self.schema}.{left[0]} of {self.name}: the records are deleted, "
                    "but their bytes are not yet overwritten; call purge as the owner of the tables"
                )
        return [f"{self.schema}.{table}" for table in before]

    @contextmanager
    def _session_lock(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection that keeps all writers out and is in no transaction, as VACUUM asks."""
        connection = self._connect()
        try:
            connection.execute(f"SET lock_timeout = {max(1, int(1000 * self._wait))}")
            connection.execute("SELECT pg_advisory_lock($1, $2)", (schema.APPLICATION_ID, self._number()))
            yield connection
        finally:
            connection.close()  # gives the lock back

    def _wait_for_readers(self, connection: psycopg.Connection[Any]) -> None:
        """Waits until no snapshot is left in which what was deleted is still there: VACUUM would keep it for them."""
        horizon = connection.execute("SELECT pg_current_xact_id()::xid").fetchone()
        deadline = time.monotonic() + max(self._wait, 0.1)
        while (held := pgtables.holder(connection, horizon)) is not None:
            if time.monotonic() > deadline:
                raise IndexLocked(
                    f"{held} kept older rows of {self.name} visible for {self._wait:g} s: the records are deleted, "
                    "but their bytes are not yet overwritten; end it and call purge again"
                )
            time.sleep(0.02)

    @property
    def beyond(self) -> tuple[str, ...]:
        """Where copies of what was erased may still be that cannot be reached from here."""
        return BEYOND

    def holds(self, texts: Collection[str]) -> int:
        """How many of the texts still stand in some table."""
        with self.reading() as rows:
            return pgtables.holding(rows, self.schema, sorted(texts))

    def size(self) -> int:
        """Bytes of all tables and indexes."""
        with self.reading() as rows:
            return pgtables.size(rows, self.schema)

    # ----------------------------------------------------------------------------------------------------------- closing

    def _open(self) -> None:
        if self._closed:
            raise KitClosed(f"the memory {self.name} was closed")

    def close(self) -> None:
        """Closes all connections; a second call does nothing."""
        with self._writing:
            with self._lock:
                self._closed = True
                connections = [*self._idle, *([self._writer] if self._writer is not None else [])]
                self._idle, self._writer = [], None
            for connection in connections:
                connection.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise pgfaults.translated(error, self.name, self._wait) from error


@lru_cache(maxsize=1000)
def _numbered(sql: str) -> str:
    """A statement in PostgreSQL's words: $1, $2 ... in the place of its marks, and no empty lists, which SQLite allows."""
    numbers = itertools.count(1)
    sql = sql.replace("NOT IN ()", "<> ALL ('{}')").replace("IN ()", "= ANY ('{}')")
    return _MARK.sub(lambda found: f"${next(numbers)}" if found.group() == "?" else found.group(), sql)
