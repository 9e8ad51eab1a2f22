"""The receipt store: one small SQLite file beside an index, apart from the catalogue so that readers can write receipts too."""

from __future__ import annotations

import sqlite3
import threading
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from contextkit.errors import InputError

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

    def prune(self, *, older_than: float | None = None, keep: int | None = None) -> int:
        """Deletes receipts that are older than that many seconds, and all but the last `keep`; gives how many went.

        Raises:
            InputError: neither is given, or one is negative.
        """
        if older_than is None and keep is None:
            raise InputError("say what to prune: receipts older than some seconds, or all but the last few")
        if (older_than is not None and older_than < 0) or (keep is not None and keep < 0):
            raise InputError(f"older_than and keep must not be negative: {older_than}, {keep}")
        if self._read_only or not self._path.exists():
            return 0
        gone = 0
        with self._lock, self._open() as c:
            if older_than is not None:
                limit = datetime.now(UTC) - timedelta(seconds=older_than)
                stamp = limit.isoformat(timespec="milliseconds")
                gone += c.execute("DELETE FROM receipts WHERE created < ?", (stamp,)).rowcount
            if keep is not None:
                last = "SELECT number FROM receipts ORDER BY number DESC LIMIT ?"
                gone += c.execute(f"DELETE FROM receipts WHERE number NOT IN ({last})", (keep,)).rowcount
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
        return self._connection


def _read(body: bytes) -> Receipt:
    """A stored receipt; one of an agent call has sections."""
    from contextkit.context.account import AgentReceipt
    from contextkit.context.packet import Receipt

    plain = zstandard.decompress(body)
    return (AgentReceipt if b'"sections":' in plain else Receipt).model_validate_json(plain)
