"""Keeps a vector index in memory in step with the catalogue, and its file as a shortcut to the next start.

The file is derived: it may be missing, old, damaged or of another index; the catalogue fills what it lacks, and what was wrong is
noted in `Vectors.notes`. Vectors of chunks that nothing shows any more stay in until gc; the caller's mask hides them.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.catalog.catalog import Catalog
from contextkit.catalog.manifest import write_atomically
from contextkit.catalog.visibility import Visible
from contextkit.errors import ContextkitError, IndexDamaged, IndexMismatch
from contextkit.protocols import VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 4_096
_MORE = 24  # chunks beyond k that are scored anew; measured: 16 bring back all that rounding would lose
_SAMPLE = 64  # vectors that the doctor asks for
_SELF = 0.98  # the least score of a vector with itself; stored vectors are rounded
FOLD = 4_096
"""`save` writes the file only where it lacks at least so many chunks, or a tenth; of a large index a 128th, since all of it is
written."""
HELD = 50_000
"""Beyond so many chunks they go from the catalogue into the file without being held, where the index can (`merged`)."""


class Vectors:
    """The passages of an index for searching. Safe from any thread.

    Args:
        catalog: the truth.
        new: makes an empty index of a dimension.
        load: reads an index file of a dimension; raises IndexDamaged where it cannot.
        kind: names the index type; the file is "vectors.KIND", with a number before the point for later embedders.
    """

    def __init__(
        self, catalog: Catalog, new: Callable[[int], VectorIndex], load: Callable[[Path, int], VectorIndex], kind: str = "faiss"
    ) -> None:
        self._catalog = catalog
        self._new = new
        self._load = load
        self.embedder, self._dimension = catalog.embedder_id, catalog.dimension
        """The row of the embedder whose vectors these are; an index that gets another one needs another `Vectors`."""
        stem = "vectors" if self.embedder == 1 else f"vectors{self.embedder}"
        self._path = catalog.folder / f"{stem}.{kind}"
        self._card = catalog.folder / f"{stem}.json"
        self._index: VectorIndex | None = None
        self._last = 0
        self._filed = 0
        self._gate = _Gate()
        self._saving = threading.RLock()
        self.notes: list[str] = []
        """What was found wrong with the file, and that it was made good."""

    def __len__(self) -> int:
        self.refresh()
        return len(self._index) if self._index is not None else 0

    def search(self, queries: NDArray[np.float32], k: int, visible: Visible) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest permitted chunks: int64 ids (q, k) and float32 scores (q, k), best first, ties by lower id, places without
        a chunk -1 and -inf.

        The index's scores may be rounded: a few more than k are taken from it and scored anew with the catalogue's vectors.
        """
        if visible.embedder != self.embedder:
            raise IndexMismatch(
                f"generation {visible.generation} of the index {self._catalog.folder} has vectors of another embedder than "
                "the one it was opened with: open it again"
            )
        self.refresh()
        wanted = min(k + max(_MORE, k // 4), max(k, visible.n_chunks))
        with self._gate.shared():
            if self._index is None:
                raise ContextkitError("the vector index is not loaded")
            # Chunks staged since, or retired and not collected yet, are in the index too: only an exact fit needs no mask
            whole = visible.whole and len(self._index) == visible.n_chunks
            near, _ = self._index.search(queries, wanted, None if whole else visible.allowed)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            found = near[row][near[row] >= 0]
            cosines = self._catalog.passage_cosines(found.tolist(), query)
            best = np.lexsort((found, -cosines))[:k]
            ids[row, : len(best)], scores[row, : len(best)] = found[best], cosines[best]
        return ids, scores

    def refresh(self) -> None:
        """Takes in what the catalogue has and the index lacks: into memory, or, much of it at an opening, into the file."""
        last = self._catalog.last_chunk()
        if self._index is not None and last <= self._last:
            return
        if self._index is None:
            self._open_file()
            if last - self._last > HELD and not self._catalog.read_only:
                self.save(force=True)
        with self._gate.exclusive():
            if self._index is not None:
                for ids, vectors in self._batches(self._last, last):
                    self._index.add(ids, vectors)
                    self._last = int(ids[-1])
            self._last = max(self._last, last)

    def _open_file(self) -> None:
        with self._gate.exclusive():
            if self._index is None:
                self._index, self._last = self._from_file()
                self._filed = self._last

    def _batches(self, after: int, last: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Ids above `after` up to `last`, and their vectors, some at a time."""
        while after < last:
            ids, vectors = self._catalog.passages_after(after, _BATCH, self.embedder)
            inside = int(np.searchsorted(ids, last, side="right"))  # others may be staging meanwhile
            if not inside:
                return
            yield ids[:inside], vectors[:inside]
            after = int(ids[-1])

    def save(self, *, force: bool = False) -> bool:
        """Writes the file where it lacks much of the catalogue (or `force`). Call it as the writer.

        A large index is written without being held in memory, and searched as before until that is done.

        Returns:
            True where it was written; a disk that does not take it is told in `notes`.
        """
        last = self._catalog.last_chunk()
        with self._saving:
            self._open_file()
            streams = last > HELD and hasattr(self._index, "merged")
            if not streams:
                self.refresh()
            enough = max(min(FOLD, last // 10), last // 128, 1)
            if self._index is None or not last or (not force and last - self._filed < enough):
                return False
            try:
                return self._merge(last) if streams else self._write()
            except (OSError, ContextkitError) as error:  # nothing is lost: the next opening reads the catalogue instead
                self.notes.append(
                    f"{self._path.name} could not be written ({error}): opening the index takes longer until it can"
                )
                return False

    def _write(self) -> bool:
        """Writes what is in memory; False where that is nothing."""
        with self._gate.exclusive():
            if self._index is None or not len(self._index):
                return False
            self._index.save(self._path)
            self._write_card(self._index)
            return True

    def _merge(self, last: int) -> bool:
        """Writes what is in memory and what the catalogue has beyond it, and takes up what was written."""
        with self._gate.shared():
            index: Any = self._index
            if index is None:  # dropped meanwhile
                return False
            fresh: VectorIndex = index.merged(self._path, self._batches(self._last, last))
        with self._gate.exclusive():
            self._index, self._last = fresh, last
            self._write_card(fresh)
        return True

    def _write_card(self, index: VectorIndex) -> None:
        card = {"index": self._catalog.identity.uuid, "last": self._last, "count": len(index), **_sum(self._path)}
        card["kind"] = _told(index)
        write_atomically(self._card, json.dumps(card).encode())
        self._filed = self._last

    @property
    def filed(self) -> bool:
        """Whether the file was taken as it is, or written since."""
        return self._filed > 0

    def describe(self) -> dict[str, Any]:
        """What the index says of itself where it is loaded, else what its file's card says; cheap, nothing is read or made.
        Empty where neither is there, or the index type tells nothing (a method `describe`).
        """
        index = self._index
        told = _told(index) if index is not None else self._read_card().get("kind")
        return told if isinstance(told, dict) else {}

    def problems(self) -> list[str]:
        """What the index in memory has other than the catalogue; empty where it is in step.

        A sample of the vectors is asked for itself. Ids are compared where the index tells them (an attribute `ids`).
        """
        self.refresh()
        with self._gate.shared():
            index = self._index
            if index is None:
                return []
            stored = self._catalog.chunk_ids(self._last, self.embedder)
            own = getattr(index, "ids", None)
            if own is not None and not np.array_equal(own, stored):
                lacking, extra = len(np.setdiff1d(stored, own)), len(np.setdiff1d(own, stored))
                return [f"it lacks {lacking} chunks and has {extra} that are not there"]
            if len(index) != len(stored):
                return [f"it has {len(index)} of {len(stored)} chunks"]
            sample = stored[:: max(1, len(stored) // _SAMPLE)]
            if not len(sample):
                return []
            far = 0
            for chunk, vector in zip(sample.tolist(), self._catalog.passage_vectors(sample.tolist()), strict=True):
                only = np.zeros(chunk + 1, dtype=np.bool_)
                only[chunk] = True
                far += float(index.search(vector[None], 1, only)[1][0, 0]) < _SELF
            return [f"{far} of {len(sample)} vectors are not those of their chunks"] if far else []

    def rebuild(self) -> None:
        """Makes the index again from the catalogue, in memory and as a file."""
        self._path.unlink(missing_ok=True)
        self._card.unlink(missing_ok=True)
        self.drop()
        self.save(force=True)

    def drop(self) -> None:
        """Forgets the index in memory; it is made again when next needed (after gc)."""
        with self._gate.exclusive():
            self._index, self._last, self._filed = None, 0, 0

    def _from_file(self) -> tuple[VectorIndex, int]:
        empty = self._new(self._dimension), 0
        if not self._path.exists():
            return empty
        card = self._read_card()
        problem = ""
        if not card:
            problem = "has no card"
        elif card.get("index") != self._catalog.identity.uuid:
            problem = "belongs to another index"
        elif {k: card.get(k) for k in ("size", "crc")} != _sum(self._path):
            problem = "is not the file that was written"
        elif int(card.get("last", 0)) > self._catalog.last_chunk():
            problem = "is newer than the catalogue"
        else:
            try:
                index = self._load(self._path, self._dimension)
                if len(index) == card.get("count"):
                    return index, int(card["last"])
                problem = f"holds {len(index)} of {card.get('count')} vectors"
            except IndexDamaged as error:
                problem = f"does not load ({error})"
        self.notes.append(f"{self._path.name} {problem}: made again from the catalogue, nothing is lost")
        return empty

    def _read_card(self) -> dict[str, Any]:
        try:
            card = json.loads(self._card.read_bytes())
        except (OSError, ValueError):
            return {}
        return card if isinstance(card, dict) else {}


def _told(index: VectorIndex) -> dict[str, Any]:
    describe: Callable[[], dict[str, Any]] | None = getattr(index, "describe", None)
    return describe() if describe is not None else {}


def _sum(path: Path) -> dict[str, int]:
    crc = 0
    size = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
            size += len(block)
    return {"size": size, "crc": crc}


class _Gate:
    """Many searches or one change at a time."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._writer = False

    def shared(self) -> _Pass:
        return _Pass(self._enter_shared, self._leave_shared)

    def exclusive(self) -> _Pass:
        return _Pass(self._enter_exclusive, self._leave_exclusive)

    def _enter_shared(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._writer)
            self._readers += 1

    def _leave_shared(self) -> None:
        with self._condition:
            self._readers -= 1
            self._condition.notify_all()

    def _enter_exclusive(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: not self._writer)
            self._writer = True
            self._condition.wait_for(lambda: self._readers == 0)

    def _leave_exclusive(self) -> None:
        with self._condition:
            self._writer = False
            self._condition.notify_all()


class _Pass:
    def __init__(self, enter: Callable[[], None], leave: Callable[[], None]) -> None:
        self._enter, self._leave = enter, leave

    def __enter__(self) -> None:
        self._enter()

    def __exit__(self, *_: object) -> None:
        self._leave()
