"""The receipt store: one small SQLite file beside an index, apart from the catalogue so that readers can write receipts too."""

from __future__ import annotations

import sqlite3
import threading
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from contextkit.errors import InputError, ReadOnlyIndex
from contextkit.observe.costs import TABLE, Cost, Outcome, costs, note_call, report

if TYPE_CHECKING:
    from contextkit.context.packet import Receipt

NAME = "receipts.sqlite"
KEPT = 1000
"""Receipts kept; the oldest go first."""

_TABLE = """CREATE TABLE IF NOT EXISTS receipts (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, created TEXT NOT NULL, question TEXT NOT NULL, body BLOB NOT NULL
) STRICT"""


class ReceiptStore:
    """Receipts of an index folder, oldest first. Safe from any thread and beside other processes.

    Args:
        folder: the index's folder.
        read_only: nothing is written.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._path = folder / NAME
        self._read_only = read_only
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def put(self, receipt: Receipt) -> bool:
        """Stores a receipt; True where it was written. A store that cannot be written warns and loses only the receipt."""
        if self._read_only:
            return False
        body = zstandard.compress(receipt.model_dump_json().encode(), 3)
        try:
            with self._lock, self._open() as c:
                c.execute(
                    "INSERT OR REPLACE INTO receipts (id, created, question, body) VALUES (?, ?, ?, ?)",
                    (receipt.id, receipt.created, receipt.question, body),
                )
                note_call(c, receipt)
                c.execute("DELETE FROM receipts WHERE number <= (SELECT max(number) FROM receipts) - ?", (KEPT,))
        except sqlite3.Error as error:
            warnings.warn(f"the receipt {receipt.id} was not stored in {self._path}: {error}", stacklevel=2)
            return False
        return True

    def get(self, receipt_id: str | None = None) -> Receipt:
        """The receipt with that id (a unique start of it will do), or the last one.

        Raises:
            InputError: there is none, or several ids start so.
        """
        rows: list[tuple[str, bytes]] = []
        if self._path.exists():
            with self._lock, self._open() as c:
                if receipt_id is None:
                    rows = c.execute("SELECT id, body FROM receipts ORDER BY number DESC LIMIT 1").fetchall()
                else:
                    query = "SELECT id, body FROM receipts WHERE substr(id, 1, ?) = ? ORDER BY id = ? DESC LIMIT 2"
                    rows = c.execute(query, (len(receipt_id), receipt_id, receipt_id)).fetchall()
        if not rows:
            what = "no receipts yet: ask for a context first" if receipt_id is None else f"no receipt {receipt_id!r}"
            raise InputError(f"{what} (in {self._path})")
        if len(rows) > 1 and rows[0][0] != receipt_id:
            raise InputError(f"several receipts start with {receipt_id!r}: give more of the id")
        return _read(rows[0][1])

    def latest(self, limit: int = 20) -> list[Receipt]:
        """The last receipts, newest first."""
        if not self._path.exists():
            return []
        with self._lock, self._open() as c:
            rows = c.execute("SELECT body FROM receipts ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
        return [_read(body) for (body,) in rows]

    def report(
        self, receipt_id: str | None, *, success: bool | None = None, task: str | None = None, cost: float | None = None
    ) -> Outcome:
        """Notes what came of a call; gives all that is known of it. What is None keeps what was reported before.

        Raises:
            InputError: there is no such receipt, nothing is reported, or a value cannot work.
            ReadOnlyIndex: the store is open for reading.
        """
        if self._read_only:
            raise ReadOnlyIndex(f"{self._path} is open for reading: an outcome cannot be stored; open the index for writing")
        receipt = self.get(receipt_id)
        with self._lock, self._open() as c:
            return report(c, receipt, _stamp(datetime.now(UTC)), success=success, task=task, cost=cost)

    def told(self) -> list[tuple[Receipt, bool]]:
        """The receipts of calls whose outcome was reported, newest first, and whether they succeeded."""
        if not self._path.exists():
            return []
        with self._lock, self._open() as c:
            if not c.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
                return []  # a file of an older version, open for reading
            query = "SELECT body, success FROM receipts JOIN calls USING (id) WHERE success IS NOT NULL ORDER BY number DESC"
            rows = c.execute(query).fetchall()
        return [(_read(body), bool(success)) for body, success in rows]

    def costs(self, by: str = "agent") -> list[Cost]:
        """What calls cost and what came of them, by "agent", "task" or "model", the dearest first; empty where none was made.

        Raises:
            InputError: by anything else.
        """
        if not self._path.exists():
            with closing(sqlite3.connect(":memory:")) as c:
                c.execute(TABLE)
                return costs(c, by)
        with self._lock, self._open() as c:
            if not c.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
                return []  # a file of an older version, open for reading
            return costs(c, by)

    def prune(self, *, older_than: float | None = None, keep: int | None = None, max_bytes: int | None = None) -> int:
        """Deletes receipts, the oldest first; gives how many went. What calls cost goes only with its age.

        Args:
            older_than: seconds; older receipts go, and what is noted of the cost and outcome of calls so old.
            keep: all but the last so many go.
            max_bytes: the oldest go until all receipts together have at most so many bytes as stored.

        Raises:
            InputError: nothing is given, or a value is negative.
        """
        limits = {"older_than": older_than, "keep": keep, "max_bytes": max_bytes}
        if all(value is None for value in limits.values()):
            raise InputError("say what to prune: receipts older than some seconds, all but the last few, or all over some bytes")
        for name, value in limits.items():
            if value is not None and value < 0:
                raise InputError(f"{name} must not be negative: {value}")
        if self._read_only or not self._path.exists():
            return 0
        gone = 0
        with self._lock, self._open() as c:
            if older_than is not None:
                limit = datetime.now(UTC) - timedelta(seconds=older_than)
                gone += c.execute("DELETE FROM receipts WHERE created < ?", (_stamp(limit),)).rowcount
                c.execute("DELETE FROM calls WHERE created < ?", (_stamp(limit),))
            if keep is not None:
                last = "SELECT number FROM receipts ORDER BY number DESC LIMIT ?"
                gone += c.execute(f"DELETE FROM receipts WHERE number NOT IN ({last})", (keep,)).rowcount
            if max_bytes is not None:
                sizes = "SELECT number, sum(length(body)) OVER (ORDER BY number DESC) AS total FROM receipts"
                over = f"SELECT number FROM ({sizes}) WHERE total > ?"
                gone += c.execute(f"DELETE FROM receipts WHERE number IN ({over})", (max_bytes,)).rowcount
        with self._lock:
            self._open().execute("VACUUM")
        return gone

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._read_only:
                uri = f"{self._path.absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False)
            else:
                self._connection = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute(_TABLE)
                self._connection.execute(TABLE)
        return self._connection


def _stamp(moment: datetime) -> str:
    """As receipts spell their time."""
    return moment.isoformat(timespec="milliseconds")


def _read(body: bytes) -> Receipt:
    """A stored receipt; one of an agent call has sections."""
    from contextkit.context.account import AgentReceipt
    from contextkit.context.packet import Receipt

    plain = zstandard.decompress(body)
    return (AgentReceipt if b'"sections":' in plain else Receipt).model_validate_json(plain)
