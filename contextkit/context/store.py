"""What calls leave behind: every text that was taken out of a packet, and what each conversation's last packet was made of.

One small SQLite file beside the index. Texts are kept once, compressed, under a name made of their content.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.remembering import Held

NAME = "calls.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS texts (
    ref TEXT PRIMARY KEY, digest BLOB NOT NULL, size INTEGER NOT NULL, created REAL NOT NULL DEFAULT (unixepoch()),
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS conversations (
    name TEXT PRIMARY KEY, updated REAL NOT NULL DEFAULT (unixepoch()), blocks TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recalls (
    conversation TEXT PRIMARY KEY, asked TEXT NOT NULL, version TEXT NOT NULL, records TEXT NOT NULL,
    updated REAL NOT NULL DEFAULT (unixepoch())
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS summaries (
    name TEXT PRIMARY KEY, created REAL NOT NULL DEFAULT (unixepoch()), body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

Blocks = list[tuple[str, str, int]]
"""A packet's blocks in order: (section, digest of the bytes, tokens)."""


class CallStore:
    """Texts by their names, conversations by theirs. Safe from any thread and beside other processes.

    Args:
        folder: the index's folder.
        read_only: what is kept is kept in memory and lost with this object; what is in the file can be restored.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._path = folder / NAME
        self._read_only = read_only
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._kept: set[str] = set()  # refs that are known to be in the file

    def keep(self, texts: Iterable[tuple[str, str]]) -> None:
        """Keeps (ref, text) pairs, all or none. Raises InputError where a ref already names another text."""
        new = {ref: text for ref, text in texts if ref not in self._kept}
        if not new:
            return
        rows = []
        for ref, text in new.items():
            data = text.encode("utf-8", "surrogatepass")
            rows.append((ref, hashlib.sha256(data).digest(), len(data), zstandard.compress(data, 3)))
        with self._lock, self._open() as c:
            c.executemany("INSERT OR IGNORE INTO texts (ref, digest, size, body) VALUES (?, ?, ?, ?)", rows)
            for ref, digest, _, _ in rows:
                found = c.execute("SELECT digest FROM texts WHERE ref = ?", (ref,)).fetchone()
                if found[0] != digest:
                    raise InputError(f"{ref} already names another text in {self._path}")
        self._kept.update(new)

    def restore(self, ref: str) -> str:
        """The text that is kept under a name, byte for byte.

        Raises:
            InputError: there is none.
        """
        if not isinstance(ref, str):
            raise InputError(f"a ref is a text such as 'ck:0123456789abcdef', not {ref!r}")
        row = self._row(ref.strip())
        if row is None:
            raise InputError(f"nothing is kept as {ref!r} (in {self._path}): refs look like 'ck:0123456789abcdef'")
        return zstandard.decompress(row[0]).decode("utf-8", "surrogatepass")

    def _row(self, ref: str) -> tuple[bytes] | None:
        query = "SELECT body FROM texts WHERE ref = ?"
        row: tuple[bytes] | None = None
        if self._connection is not None or (self._path.exists() and not self._read_only):
            with self._lock, self._open() as c:
                row = c.execute(query, (ref,)).fetchone()
        if row is None and self._read_only and self._path.exists():
            with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as c:
                row = c.execute(query, (ref,)).fetchone()
        return row

    def last_blocks(self, conversation: str) -> Blocks | None:
        """The blocks of a conversation's last packet, or None."""
        if self._connection is None and (self._read_only or not self._path.exists()):
            return None
        with self._lock, self._open() as c:
            row = c.execute("SELECT blocks FROM conversations WHERE name = ?", (conversation,)).fetchone()
        return None if row is None else [(s, d, t) for s, d, t in json.loads(row[0])]

    def put_blocks(self, conversation: str, blocks: Blocks) -> None:
        """Makes these the blocks of the conversation's last packet."""
        with self._lock, self._open() as c:
            c.execute(
                "INSERT INTO conversations (name, blocks) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET blocks = excluded.blocks, updated = unixepoch()",
                (conversation, json.dumps(blocks)),
            )

    def last_recall(self, conversation: str) -> tuple[str, str, list[Held]] | None:
        """What a conversation recalled last: (what was asked, version of the memory, its records), or None."""
        if self._connection is None and (self._read_only or not self._path.exists()):
            return None
        with self._lock, self._open() as c:
            query = "SELECT asked, version, records FROM recalls WHERE conversation = ?"
            row = c.execute(query, (conversation,)).fetchone()
        return None if row is None else (row[0], row[1], [(i, s, tuple(c), u) for i, s, c, u in json.loads(row[2])])

    def put_recall(self, conversation: str, asked: str, version: str, records: Sequence[Held]) -> None:
        """Makes this what the conversation recalled last."""
        with self._lock, self._open() as c:
            c.execute(
                "INSERT OR REPLACE INTO recalls (conversation, asked, version, records) VALUES (?, ?, ?, ?)",
                (conversation, asked, version, json.dumps(list(records))),
            )

    def summary(self, name: str) -> str | None:
        """What was kept as a summary under a name, as JSON; None where nothing was."""
        if self._connection is None and (self._read_only or not self._path.exists()):
            return None
        with self._lock, self._open() as c:
            row = c.execute("SELECT body FROM summaries WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def put_summary(self, name: str, body: str) -> None:
        """Keeps a summary under a name; the first one stays, so that what was sent once is sent again."""
        with self._lock, self._open() as c:
            c.execute("INSERT OR IGNORE INTO summaries (name, body) VALUES (?, ?)", (name, body))

    def prune(self, *, older_than: float | None = None) -> int:
        """Forgets texts and conversations that were kept more than `older_than` seconds ago (None: all); gives how many texts."""
        with self._lock, self._open() as c:
            before = -1.0 if older_than is None else older_than
            gone = c.execute("DELETE FROM texts WHERE created < unixepoch() - ?", (before,)).rowcount
            for table, moment in (("conversations", "updated"), ("recalls", "updated"), ("summaries", "created")):
                c.execute(f"DELETE FROM {table} WHERE {moment} < unixepoch() - ?", (before,))
        self._kept.clear()
        return gone

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(":memory:" if self._read_only else self._path, timeout=10, check_same_thread=False)
            if not self._read_only:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
        return self._connection
