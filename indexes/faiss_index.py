"""FAISS as the vector index: one signed byte a coordinate; every vector looked at while there are few, near ones when many.

A scan of all vectors is exact but for rounding (see `turning.py`; it moves a score by about 0.001, so who needs the order among
near equals asks for some more and scores those anew, as `contextkit.catalog.Vectors` does). Measured on one core: 3.7 ms a
question for 100,000 vectors of 384, 38 ms for a million. Beyond `EXACT` vectors `settle` sorts them into lists, of which a
question looks into as many as a measured recall needs (see `lists.py`); `save` settles first, so that who writes pays for it.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.errors import IndexDamaged, InputError
from contextkit.indexes.lists import probes_for, sorted_into_lists
from contextkit.indexes.turning import rounded, scale

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

EXACT = 200_000
"""Up to so many vectors every one is looked at (8 ms); a filter that leaves half as many is answered exactly at any size."""
RECALL = 0.995
"""The share of the 10 nearest that stored vectors, asked for, must find. Real questions lie farther out: measured with a million
vectors, 0.98 of stored ones' neighbours is 0.94 of real questions', 0.995 is 0.987."""
_GROWN = 4  # lists are made anew when there are so many times the vectors that they were made from
_MAGIC = b"CKFAISS2"  # ends the file of a scan, after the ids and their number
_MAGIC_LISTS = b"CKFAISS3"  # ends the file of lists: after the ids, what is known of the lists, and the number of ids
_LISTS = struct.Struct("<qd")  # vectors at the time they were made, recall


class FaissIndex:
    """Nearest neighbours by inner product (protocol `VectorIndex`): a scan, or lists once it is large and `settle`d.

    Any number of threads may search; adding, settling and saving need it alone.

    Args:
        dimension: length of a vector.
        exact: up to how many vectors it stays a scan.

    Raises:
        InputError: the dimension is below 1, or `exact` below 0.
    """

    def __init__(self, dimension: int, *, exact: int = EXACT) -> None:
        import faiss

        if dimension < 1:
            raise InputError(f"a vector index needs a dimension of at least 1, not {dimension}")
        if exact < 0:
            raise InputError(f"an index is exact up to a number of vectors of at least 0, not {exact}")
        self.dimension = dimension
        self.exact = exact
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._index: Any = faiss.IndexScalarQuantizer(dimension, kind, faiss.METRIC_INNER_PRODUCT)
        self._ids = np.empty(0, dtype=np.int64)
        self._scale = scale(dimension)
        self._sorted = 0  # how many vectors there were when the lists were made; 0 for a scan
        self._recall = 1.0

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> NDArray[np.int64]:
        """int64, rising: the ids it has. Shared: do not write to it."""
        return self._ids

    def describe(self) -> dict[str, str | int | float]:
        """What it is, for people: kind ("exact" or "lists"), vectors, dimension, bytes of the vectors; for lists also how many
        there are, how many a question looks into, the recall at 10 measured when they were made, and from how many vectors.
        """
        out: dict[str, str | int | float] = {
            "kind": "lists" if self._sorted else "exact",
            "vectors": len(self),
            "dimension": self.dimension,
            "bytes": len(self) * self.dimension,
        }
        if self._sorted:
            out |= {"lists": self._index.nlist, "probes": self._index.nprobe, "made_from": self._sorted}
            out["recall"] = round(self._recall, 4)
        return out

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Takes in vectors of new, higher ids; where there are lists, into those.

        Raises:
            InputError: ids that do not rise, or vectors of another shape.
        """
        ids = np.ascontiguousarray(ids, dtype=np.int64)
        if vectors.shape != (len(ids), self.dimension):
            raise InputError(f"vectors have the shape {vectors.shape}, {len(ids)} ids of dimension {self.dimension} need another")
        if not len(ids):
            return
        if np.any(np.diff(ids) <= 0) or ids[0] < 0 or (len(self._ids) and ids[0] <= self._ids[-1]):
            raise InputError(f"ids must rise beyond {self._ids[-1] if len(self._ids) else -1}: got {ids[:5].tolist()}")
        self._index.add(rounded(vectors))
        self._ids = np.concatenate([self._ids, ids])

    def settle(self) -> bool:
        """Makes lists where it has become too large for a scan, or four times as large as when they were made (seconds for some
        hundred thousand vectors).

        Returns:
            True where lists were made.
        """
        if len(self) <= max(self.exact, self._sorted * _GROWN):
            return False
        index = sorted_into_lists(self._index, self.dimension)
        index.nprobe, self._recall = probes_for(index, self.dimension, RECALL)
        self._index, self._sorted = index, len(self)
        return True

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
        mask = None if allowed is None else self._places(allowed)
        available = len(self._ids) if mask is None else int(mask.sum())
        if not available or not len(queries):
            return ids, scores
        places, found = self._nearest(rounded(queries), min(k, available), available, mask)
        order = np.lexsort((places, -found), axis=1)[:, :k]
        n = min(order.shape[1], available)
        order = order[:, :n]
        scores[:, :n] = np.take_along_axis(found, order, axis=1) / self._scale**2
        ids[:, :n] = self._ids[np.take_along_axis(places, order, axis=1)]
        return ids, scores

    def _places(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        inside = np.searchsorted(self._ids, len(allowed))
        mask = np.zeros(len(self._ids), dtype=np.bool_)
        mask[:inside] = allowed[self._ids[:inside]]
        return mask

    def _nearest(
        self, queries: NDArray[np.float32], k: int, available: int, mask: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """At least the k nearest, and all that tie with the last of them: FAISS picks any of equals, we the lowest id."""
        selector = None if mask is None else _selector(mask)
        probes = self._probes(available)
        wanted = min(available, k + 8)
        while True:
            found, places = self._index.search(queries, wanted, params=self._settings(selector, probes))
            if self._sorted and probes < self._index.nlist and np.any(places[:, k - 1] < 0):
                probes = min(self._index.nlist, probes * 4)  # what is permitted lies in other lists
                continue
            if wanted == available or bool(np.all(found[:, k - 1] > found[:, -1])):
                return places, found
            wanted = min(available, wanted * 4)

    def _probes(self, available: int) -> int:
        """Into how many lists to look: all where few vectors are permitted (permitted ones may lie together, far from the
        question), else as many as hold the usual number of permitted ones.
        """
        if not self._sorted:
            return 0
        lists, usual = int(self._index.nlist), int(self._index.nprobe)
        if available <= self.exact // 2:
            return lists
        return min(lists, math.ceil(usual * len(self) / available))

    def _settings(self, selector: Any, probes: int) -> Any:  # noqa: ANN401 - FAISS's classes have no usable types
        import faiss

        # FAISS's Python layer takes keyword arguments here; its type stubs only know the C++ signatures
        kind: Any = faiss.SearchParametersIVF if self._sorted else faiss.SearchParameters
        arguments = {} if selector is None else {"sel": selector}
        return kind(**arguments, nprobe=probes) if self._sorted else kind(**arguments)

    def save(self, path: Path) -> None:
        """Settles it, then writes one file, whole or not at all: FAISS's own format, the ids, their number and a mark."""
        import faiss

        self.settle()
        draft = path.with_name(f".{path.name}.{os.getpid()}.new")
        known, magic = (_LISTS.pack(self._sorted, self._recall), _MAGIC_LISTS) if self._sorted else (b"", _MAGIC)
        try:
            faiss.write_index(self._index, str(draft))
            with draft.open("ab") as file:
                file.write(self._ids.astype("<i8").tobytes())
                file.write(known + len(self._ids).to_bytes(8, "little") + magic)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except RuntimeError as error:  # FAISS's word for a file it cannot write
            raise OSError(f"FAISS cannot write {path} ({str(error).splitlines()[-1]})") from error
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, dimension: int, *, exact: int = EXACT) -> Self:
        """The index in a file; `exact` is for what is added later.

        Raises:
            IndexDamaged: the file is not whole, not ours, or of another dimension.
        """
        import faiss

        out = cls(dimension, exact=exact)
        try:
            ids, made, recall = _tail(path)
            index: Any = faiss.read_index(str(path))
        except (OSError, RuntimeError) as error:
            raise IndexDamaged(f"{path} cannot be read ({str(error).splitlines()[-1]})") from error
        kind = getattr(getattr(index, "sq", None), "qtype", None)
        if kind != faiss.ScalarQuantizer.QT_8bit_direct_signed:
            raise IndexDamaged(f"{path} holds vectors in another form than bytes")
        if bool(made) != hasattr(index, "invlists"):
            raise IndexDamaged(f"{path} ends as a file of {'lists' if made else 'a scan'}, and is none")
        if index.d != dimension or index.ntotal != len(ids) or np.any(np.diff(ids) <= 0):
            raise IndexDamaged(
                f"{path} holds {index.ntotal} vectors of dimension {index.d} and {len(ids)} ids; dimension {dimension} is needed"
            )
        out._index, out._ids, out._sorted, out._recall = index, ids, made, recall
        return out


def _tail(path: Path) -> tuple[NDArray[np.int64], int, float]:
    """The ids at a file's end, and for lists from how many vectors they were made (else 0) and their recall."""
    with path.open("rb") as file:
        file.seek(-16, os.SEEK_END)
        end = file.read(16)
        count, known = int.from_bytes(end[:8], "little"), _LISTS.size if end[8:] == _MAGIC_LISTS else 0
        if end[8:] not in (_MAGIC, _MAGIC_LISTS) or count * 8 + known > file.tell():
            raise IndexDamaged(f"{path} is no whole vector file: its end is missing")
        file.seek(-16 - known - count * 8, os.SEEK_END)
        ids = np.frombuffer(file.read(count * 8), dtype="<i8").astype(np.int64)
        made, recall = _LISTS.unpack(file.read(known)) if known else (0, 1.0)
    return ids, made, recall


def _selector(mask: NDArray[np.bool_]) -> Any:  # noqa: ANN401 - FAISS's classes have no usable types
    import faiss

    kind: Any = faiss.IDSelectorBitmap
    return kind(np.packbits(mask, bitorder="little"))
