"""What the verbs of a memory stand on: its backend, its embedder, the columns in memory, and the notes of what was used."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.errors import IndexMismatch, InputError
from contextkit.memory import rows as records
from contextkit.memory import times
from contextkit.memory.backend import SQLiteBackend
from contextkit.memory.ranking import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contextkit.memory.columns import Columns
    from contextkit.memory.extractor import Capped
    from contextkit.memory.given import Given
    from contextkit.protocols import Embedder, MemoryBackend, Rows

_RECENT = 8  # packed texts
_SERVERS = ("postgresql://", "postgres://")


def _backend(given: MemoryBackend | Path | str, *, read_only: bool, wait: float) -> MemoryBackend:
    """The backend itself, that of a folder, or that of a server's address."""
    if isinstance(given, str) and given.startswith(_SERVERS):
        from contextkit.memory.postgres import PostgresBackend

        return PostgresBackend(given, read_only=read_only, wait=wait)
    if isinstance(given, str) and "://" in given:
        raise InputError(f"a memory's address begins with postgresql://, not with {given.partition('://')[0]}://")
    if isinstance(given, (str, Path)):
        return SQLiteBackend(Path(given).expanduser(), read_only=read_only, wait=wait)
    return given


class Core:
    """A memory without its verbs; see `contextkit.memory.store.MemoryStore`."""

    def __init__(
        self,
        backend: MemoryBackend | Path | str,
        embedder: Embedder,
        *,
        weights: Weights | None = None,
        read_only: bool = False,
        wait: float = 30.0,
        given: Given | None = None,
    ) -> None:
        self.backend: MemoryBackend = _backend(backend, read_only=read_only, wait=wait)
        self.embedder = embedder
        self.weights = weights or Weights()
        self.read_only = read_only
        self.given = given
        self.extractor: Capped | None = None
        self._lock = threading.RLock()
        self._columns: Columns | None = None
        self._checked = False
        self._used: dict[int, list[int]] = {}
        self.recent: deque[str] = deque(maxlen=_RECENT)
        """The last texts that were packed, so that their echo is known for one."""

    def close(self) -> None:
        """Writes what is still to be noted and closes the files; a second call does nothing."""
        if self._used and not self.read_only:
            with self.writing():
                pass
        self._used.clear()
        close = getattr(self.backend, "close", None)
        if close is not None:
            close()

    def columns(self, rows: Rows) -> Columns:
        """The columns, as of these rows."""
        if self._columns is None:
            from contextkit.memory.columns import Columns

            self._columns = Columns(self.embedder.info.dimension)
        self._columns.refresh(rows)
        return self._columns

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """Rows to read from; one thread at a time, since the columns are shared."""
        with self._lock, self.backend.reading() as rows:
            self._check(rows)
            yield rows

    @contextmanager
    def writing(self) -> Iterator[Rows]:
        """Rows to write to, after what was noted of the use of records."""
        with self._lock, self.backend.writing() as rows:
            self._check(rows, first=True)
            used, self._used = self._used, {}
            try:
                for number, (count, last) in used.items():
                    rows.execute(
                        "UPDATE records SET uses = uses + ?, last_used = ?, seq = ? WHERE id = ?",
                        (count, last, records.next_seq(rows), number),
                    )
                yield rows
            except BaseException:
                self._used = {**used, **self._used}
                raise

    def _check(self, rows: Rows, *, first: bool = False) -> None:
        """Raises IndexMismatch where the memory has another embedder's vectors."""
        if self._checked:
            return
        info = self.embedder.info
        mine = {"name": info.name, "digest": info.digest, "dimension": info.dimension}
        found = rows.execute("SELECT value FROM identity WHERE key = 'embedder'").fetchone()
        if found is None and first:
            rows.execute("INSERT INTO identity VALUES ('embedder', ?)", (json.dumps(mine),))
        if found is None:
            return
        theirs = json.loads(found[0])
        if (theirs["digest"], theirs["dimension"]) != (info.digest, info.dimension):
            raise IndexMismatch(
                f"the memory has vectors of {theirs['name']} ({theirs['dimension']} numbers), "
                f"not of {info.name} ({info.dimension}): "
                "open it with that embedder, or export it and import it into a new folder"
            )
        self._checked = True

    def _note_use(self, ids: Sequence[int]) -> None:
        """Notes that records were recalled; written with the next write, or when there is much to note."""
        if self.read_only:
            return
        now = times.now()
        with self._lock:
            for number in ids:
                self._used[number] = [self._used.get(number, [0])[0] + 1, now]
