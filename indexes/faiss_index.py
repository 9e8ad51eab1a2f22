"""FAISS as the vector index: one signed byte a coordinate; every vector looked at while there are few, near ones when many.

A scan of all vectors is exact but for rounding (see `turning.py`; it moves a score by about 0.001, so who needs the order among
near equals asks for some more and scores those anew, as `contextkit.catalog.Vectors` does). Measured on one core: 4.5 ms a
question for 100,000 vectors of 384, 38 ms for a million. Beyond `EXACT` vectors `save` sorts them into lists, of which a question
looks into as many as a measured recall needs (see `lists.py`; 1.4 ms and 11 ms), so that who writes pays for it: a second of one
core for 50,000. Lists stay in their file, which is mapped (see `listfile.py`); what is added later is scanned beside them until
the next `save` or `merged` puts it in.
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.errors import IndexDamaged, InputError
from contextkit.indexes.listfile import Block, Lists, ListsWriter, Spool, gathered
from contextkit.indexes.lists import Sorting, empty_like, numbers_in, sample
from contextkit.indexes.scans import codes_of, encoded, joined_scans, new_scan, selector_of, settings
from contextkit.indexes.turning import rounded, scale

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

EXACT = 50_000
"""Up to so many vectors every one is looked at (2 ms); a filter that leaves no more is answered exactly at any size."""
RECALL = 0.98
"""The share of their 100 nearest that questions made up for it must find (`lists.py`). Measured with 250,000 and 1,000,000
vectors: real questions then find 0.981 and 0.985 of theirs, and 0.990 and 0.991 of their 10 nearest."""
_GROWN = 2  # lists are made anew when there are so many times the vectors that they were made from
_SEGMENT = 131_072  # vectors of a scan at most: FAISS doubles what it holds when it grows
_STALE = 3600  # seconds after which the draft of a writer that died is removed
_MAGIC = b"CKFAISS2"  # ends the file of a scan, after the ids and their number
_MAGIC_LISTS = b"CKFAISS3"  # ends the file of lists: after the ids, what is known of the lists, and the number of ids
_LISTS = struct.Struct("<qd")  # vectors at the time they were made, recall


class FaissIndex:
    """Nearest neighbours by inner product (protocol `VectorIndex`): a scan, and lists once it was large when it was saved.

    Any number of threads may search, also while one makes a `merged` one; adding and saving need it alone.

    Args:
        dimension: length of a vector.
        exact: up to how many vectors it stays a scan.

    Raises:
        InputError: the dimension is below 1, or `exact` below 0.
    """

    def __init__(self, dimension: int, *, exact: int = EXACT) -> None:
        if dimension < 1:
            raise InputError(f"a vector index needs a dimension of at least 1, not {dimension}")
        if exact < 0:
            raise InputError(f"an index is exact up to a number of vectors of at least 0, not {exact}")
        self.dimension = dimension
        self.exact = exact
        self._lists: Lists | None = None
        self._scans: list[Any] = []
        self._ids = [np.empty(0, dtype=np.int64)]
        self._scale = scale(dimension)
        self._sorted = 0  # how many vectors there were when the lists were made; 0 for a scan
        self._recall = 1.0

    def __len__(self) -> int:
        return sum(map(len, self._ids))

    @property
    def ids(self) -> NDArray[np.int64]:
        """int64, rising: the ids it has. Shared: do not write to it."""
        if len(self._ids) > 1:
            self._ids = [np.concatenate(self._ids)]
        return self._ids[0]

    def describe(self) -> dict[str, str | int | float]:
        """What it is, for people: kind ("exact" or "lists"), vectors, dimension, bytes of the vectors; for lists also how many
        there are, how many a question looks into, the recall at 10 measured when they were made, and from how many vectors.
        """
        out: dict[str, str | int | float] = {
            "kind": "lists" if self._lists is not None else "exact",
            "vectors": len(self),
            "dimension": self.dimension,
            "bytes": len(self) * self.dimension,
        }
        if self._lists is not None:
            index = self._lists.index
            out |= {"lists": index.nlist, "probes": index.nprobe, "made_from": self._sorted}
            out["recall"] = round(self._recall, 4)
        return out

    # ----------------------------------------------------------------------------------------------------------------------- add

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Takes in vectors of new, higher ids; they are scanned, also beside lists.

        Raises:
            InputError: ids that do not rise, or vectors of another shape.
        """
        ids = self._checked(ids, vectors, self._last)
        if not len(ids):
            return
        codes = rounded(vectors)
        at = 0
        while at < len(ids):
            if not self._scans or self._scans[-1].ntotal >= _SEGMENT:
                self._scans.append(new_scan(self.dimension))
            part = codes[at : at + _SEGMENT - self._scans[-1].ntotal]
            self._scans[-1].add(part)
            at += len(part)
        self._ids.append(ids)

    @property
    def _last(self) -> int:
        return int(self._ids[-1][-1]) if len(self._ids[-1]) else -1

    def _checked(self, ids: NDArray[np.int64], vectors: NDArray[np.float32], last: int) -> NDArray[np.int64]:
        ids = np.ascontiguousarray(ids, dtype=np.int64)
        if vectors.shape != (len(ids), self.dimension):
            raise InputError(f"vectors have the shape {vectors.shape}, {len(ids)} ids of dimension {self.dimension} need another")
        if len(ids) and (np.any(np.diff(ids) <= 0) or ids[0] < 0 or ids[0] <= last):
            raise InputError(f"ids must rise beyond {last}: got {ids[:5].tolist()}")
        return ids

    # -------------------------------------------------------------------------------------------------------------------- search

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k nearest allowed vectors of each query: int64 ids and float32 scores (q, k), best first, ties by lower id; places
        without one hold -1 and -inf. A scan finds all of the nearest, lists the measured share; both give k where k are allowed.

        Raises:
            InputError: k below 1, or queries of another dimension.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, not {k}")
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise InputError(f"queries have the shape {queries.shape}, the index needs (n, {self.dimension})")
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        if not len(queries) or not len(self):
            return ids, scores
        found = self._found(rounded(queries), k, None if allowed is None else self._places(allowed))
        if not found:
            return ids, scores
        places, values = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        order = np.lexsort((places, -values), axis=1)[:, :k]
        n = order.shape[1]
        scores[:, :n] = np.take_along_axis(values, order, axis=1) / self._scale**2
        ids[:, :n] = self.ids[np.take_along_axis(places, order, axis=1)]
        return ids, scores

    def _places(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        own = self.ids
        inside = np.searchsorted(own, len(allowed))
        mask = np.zeros(len(own), dtype=np.bool_)
        mask[:inside] = allowed[own[:inside]]
        return mask

    def _found(
        self, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """(places, values) of at least the k nearest of each part: the lists, and each scan beside them."""
        out = []
        first = 0
        for index in ([] if self._lists is None else [self._lists.index]) + self._scans:
            own = None if mask is None else mask[first : first + index.ntotal]
            available = index.ntotal if own is None else int(np.count_nonzero(own))
            if available:
                places, values = self._nearest(index, queries, min(k, available), available, own)
                out.append((places + first, values))
            first += index.ntotal
        return out

    def _nearest(
        self,
        index: Any,  # noqa: ANN401 - FAISS's classes have no usable types
        queries: NDArray[np.float32],
        k: int,
        available: int,
        mask: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """At least the k nearest, and all that tie with the last of them: FAISS picks any of equals, we the lowest id."""
        selector = None if mask is None else selector_of(mask)
        lists = self._lists is not None and index is self._lists.index
        probes = self._probes(index, available) if lists else 0
        wanted = min(available, k + 8)
        while True:
            found, places = index.search(queries, wanted, params=settings(selector, probes))
            if lists and probes < index.nlist and np.any(places[:, k - 1] < 0):
                probes = min(index.nlist, probes * 4)  # what is permitted lies in other lists
                continue
            if wanted == available or bool(np.all(found[:, k - 1] > found[:, -1])):
                return places, found
            wanted = min(available, wanted * 4)

    def _probes(self, index: Any, available: int) -> int:  # noqa: ANN401 - see above
        """Into how many lists to look: all where few vectors are permitted (permitted ones may lie together, far from the
        question), else as many as hold the usual number of permitted ones.
        """
        lists, usual = int(index.nlist), int(index.nprobe)
        if available <= self.exact:
            return lists
        return min(lists, math.ceil(usual * int(index.ntotal) / available))

    # --------------------------------------------------------------------------------------------------------------------- files

    def save(self, path: Path) -> None:
        """Writes one file, whole or not at all: FAISS's own format, the ids, their number and a mark. Where it has become too
        large for a scan its vectors go into lists, which are made anew at twice the size (a second for fifty thousand).
        """
        if self._lists is None and len(self) <= self.exact:
            self._scans = [joined_scans(self._scans, self.dimension)]
            self._write_scan(path, self._scans[0], self.ids)
            return
        vars(self).update(vars(self.merged(path, ())))

    def merged(self, path: Path, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> Self:
        """The index of what this one has and of ids and vectors to come, in a file at `path`; this one stays as it is.

        None of it is held in memory: vectors go through a file without a name beside `path` (a byte a coordinate) into lists,
        one after the other; small indexes, which stay a scan, are the exception.

        Raises:
            InputError: ids that do not rise, or vectors of another shape.
            OSError: the file cannot be written; the old one stays.
        """
        lists = 0 if self._lists is None else len(self._lists)
        try:
            with Spool(path.parent, self.dimension, lists) as spool:
                ids = self._spooled(spool, batches)
                if self._lists is None and len(ids) <= self.exact:
                    scan = new_scan(self.dimension)
                    for _, codes in spool.blocks():
                        scan.add_sa_codes(codes)
                    self._write_scan(path, scan, ids)
                else:
                    _remove_stale(path)
                    self._write_lists(path, spool, ids)
        except RuntimeError as error:  # FAISS's word for a file it cannot write
            raise OSError(f"FAISS cannot write {path} ({str(error).splitlines()[-1]})") from error
        return type(self).load(path, self.dimension, exact=self.exact)

    def _spooled(self, spool: Spool, batches: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> NDArray[np.int64]:
        """All ids; what is in no list yet lies in the spool then."""
        for scan in self._scans:
            spool.append(codes_of(scan, self.dimension))
        ids, last = [self.ids], self._last
        for own, vectors in batches:
            ids.append(self._checked(own, vectors, last))
            if len(own):
                spool.append(encoded(rounded(vectors)))
                last = int(own[-1])
        return np.concatenate(ids)

    def _write_lists(self, path: Path, spool: Spool, ids: NDArray[np.int64]) -> None:
        total, kept = len(ids), self._lists
        if kept is not None and total <= self._sorted * _GROWN:
            index, made, recall = empty_like(kept.index), self._sorted, self._recall
            numbers = _joined(numbers_in(index, codes) for _, codes in spool.blocks())
            sizes = kept.sizes + np.bincount(numbers, minlength=index.nlist)
        else:
            kept = None
            sorting = Sorting(sample(self._stream(spool), total, self.dimension), total)
            numbers = _joined(sorting.numbers(codes) for _, codes in self._stream(spool))
            index, made = sorting.index, total
            index.nprobe, recall = sorting.probes(RECALL, self.exact // 2)
            sizes = np.bincount(numbers, minlength=index.nlist)
        draft = _draft(path)
        try:
            with ListsWriter(draft, index, sizes) as writer:
                for number, block in [] if kept is None else kept.blocks():
                    writer.put(number, block)
                at = 0
                for places, codes in gathered(self._stream(spool) if kept is None else spool.blocks()):
                    writer.spread(numbers[at : at + len(places)], (places, codes))
                    at += len(places)
                known = _LISTS.pack(made, recall) + total.to_bytes(8, "little") + _MAGIC_LISTS
                writer.end(ids.astype("<i8", copy=False), known)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def _stream(self, spool: Spool) -> Iterator[Block]:
        """All vectors: those that are in lists, then those of the spool."""
        if self._lists is not None:
            yield from (block for _, block in self._lists.blocks())
        yield from spool.blocks()

    def _write_scan(self, path: Path, scan: Any, ids: NDArray[np.int64]) -> None:  # noqa: ANN401 - see above
        import faiss

        draft = _draft(path)
        try:
            faiss.write_index(scan, str(draft))
            with draft.open("ab") as file:
                file.write(ids.astype("<i8").tobytes())
                file.write(len(ids).to_bytes(8, "little") + _MAGIC)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except RuntimeError as error:  # FAISS's word for a file it cannot write
            raise OSError(f"FAISS cannot write {path} ({str(error).splitlines()[-1]})") from error
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, dimension: int, *, exact: int = EXACT) -> Self:
        """The index in a file; `exact` is for what is added later. Lists stay in the file, which may be replaced meanwhile.

        Raises:
            IndexDamaged: the file is not whole, not ours, or of another dimension.
        """
        import faiss

        out = cls(dimension, exact=exact)
        try:
            ids, made, recall, behind = _tail(path)
            lists = Lists(path, dimension, behind) if made else None
            index: Any = faiss.read_index(str(path)) if lists is None else lists.index
        except (OSError, RuntimeError) as error:
            raise IndexDamaged(f"{path} cannot be read ({str(error).splitlines()[-1]})") from error
        kind = getattr(getattr(index, "sq", None), "qtype", None)
        if kind != faiss.ScalarQuantizer.QT_8bit_direct_signed:
            raise IndexDamaged(f"{path} holds vectors in another form than bytes")
        if not made and hasattr(index, "invlists"):
            raise IndexDamaged(f"{path} ends as a file of a scan, and is none")
        if index.d != dimension or index.ntotal != len(ids) or np.any(np.diff(ids) <= 0):
            raise IndexDamaged(
                f"{path} holds {index.ntotal} vectors of dimension {index.d} and {len(ids)} ids; dimension {dimension} is needed"
            )
        out._lists, out._sorted, out._recall, out._ids = lists, made, recall, [ids]
        out._scans = [] if lists is not None else [index]
        return out


def _tail(path: Path) -> tuple[NDArray[np.int64], int, float, int]:
    """The ids at a file's end, for lists from how many vectors they were made (else 0) and their recall, and the bytes of it."""
    with path.open("rb") as file:
        file.seek(-16, os.SEEK_END)
        end = file.read(16)
        count, known = int.from_bytes(end[:8], "little"), _LISTS.size if end[8:] == _MAGIC_LISTS else 0
        if end[8:] not in (_MAGIC, _MAGIC_LISTS) or count * 8 + known > file.tell():
            raise IndexDamaged(f"{path} is no whole vector file: its end is missing")
        behind = 16 + known + count * 8
        file.seek(-behind, os.SEEK_END)
        ids = np.fromfile(file, dtype="<i8", count=count).astype(np.int64, copy=False)
        made, recall = _LISTS.unpack(file.read(known)) if known else (0, 1.0)
    return ids, made, recall, behind


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.new")


def _remove_stale(path: Path) -> None:
    """Removes drafts that writers left when they were killed: they are as large as the index."""
    for draft in path.parent.glob(f".{path.name}.*.new"):
        if time.time() - draft.stat().st_mtime > _STALE:
            draft.unlink(missing_ok=True)


def _joined(parts: Iterable[NDArray[np.int32]]) -> NDArray[np.int32]:
    found = list(parts)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int32)
