"""The file of an index in lists: FAISS's own format, written list by list from what is on disk, and read where it lies.

Nothing here holds the vectors: their bytes go through a file without a name (`Spool`) into the lists, and are mapped when they
are searched. How lists are made and how many a question looks into is `lists.py`.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

Block: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.uint8]]"
"""Places of vectors (n,), and their bytes (n, dimension) as FAISS keeps them."""

_BLOCK = 8 * 2**20  # bytes of vectors read at once
_SPREAD = 32 * 2**20  # and sorted into lists at once, so that each list gets some at a time
_ID = 8  # bytes of a place in a list
_NO_LISTS = b"il00"  # how FAISS writes an index without lists; it ends the file


class Spool:
    """Bytes of vectors in the order of their places, in a file that has no name and goes with the process; a context manager.

    Args:
        folder: on which disk.
        dimension: bytes of a vector.
        first: the place of the first one.
    """

    def __init__(self, folder: Path, dimension: int, first: int) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with this
        self._dimension = dimension
        self._first = first
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def append(self, codes: NDArray[np.uint8]) -> None:
        """Takes in the next ones: uint8 (n, dimension)."""
        _write(self._file, self._count * self._dimension, codes)
        self._count += len(codes)

    def blocks(self) -> Iterator[Block]:
        """All of them, a part at a time."""
        yield from _parts(self._file, 0, self._count, self._dimension, self._first)


class Lists:
    """Trained lists and the file that they are in, mapped into memory where FAISS can (everywhere but on Windows).

    Args:
        path: the file; it may be replaced or removed later.
        dimension: bytes of a vector.
        behind: bytes that follow the lists.

    Attributes:
        index: the `faiss.IndexIVFScalarQuantizer`.
        sizes: int64, vectors of each list.

    Raises:
        OSError, RuntimeError: it cannot be read.
    """

    def __init__(self, path: Path, dimension: int, behind: int) -> None:
        import faiss

        mapped = hasattr(faiss, "OnDiskInvertedLists")
        index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP if mapped else 0)
        if not hasattr(index, "invlists"):
            raise OSError("it ends as a file of lists, and is none")
        self.index, self._dimension = index, dimension
        lists: Any = faiss.downcast_InvertedLists(index.invlists)
        if mapped:
            lists.prefetch_nthread = 0  # FAISS would start threads for every question
        self.sizes = np.array([lists.list_size(number) for number in range(index.nlist)], dtype=np.int64)
        file = path.open("rb", buffering=0)
        self._file: IO[bytes] = file
        weakref.finalize(self, file.close)
        self._starts = _starts(self.sizes, dimension, os.fstat(file.fileno()).st_size - behind - len(self) * (dimension + _ID))

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """All vectors with the number of their list, read and not mapped; a list at a time, large ones in parts."""
        for number, (start, size) in enumerate(zip(self._starts.tolist(), self.sizes.tolist(), strict=True)):
            places = _read(self._file, start + size * self._dimension, size * _ID).view("<i8")
            for at, codes in _parts(self._file, start, size, self._dimension, 0):
                yield number, (places[at], codes)


class ListsWriter:
    """A new file of lists whose sizes are known; the vectors may come in any order. Use `close` or leave the block.

    Args:
        path: the file; what was there is overwritten.
        index: a trained `faiss.IndexIVFScalarQuantizer` without vectors of its own; its lists are let go.
        sizes: int64, vectors of each list.
    """

    def __init__(self, path: Path, index: Any, sizes: NDArray[np.int64]) -> None:  # noqa: ANN401 - FAISS's classes have no types
        import faiss

        index.replace_invlists(None, False)
        index.ntotal = int(sizes.sum())
        head = faiss.serialize_index(index).tobytes()
        if not head.endswith(_NO_LISTS):
            raise RuntimeError("this FAISS writes an index without lists in another way than those before it")
        self._dimension = int(index.code_size)
        counts = [len(sizes), self._dimension], [len(sizes)]
        shape = b"ilar" + np.array(counts[0], "<u8").tobytes() + b"full" + np.array(counts[1], "<u8").tobytes()
        head = head[: -len(_NO_LISTS)] + shape + sizes.astype("<u8").tobytes()
        self._sizes = sizes
        self._starts = _starts(sizes, self._dimension, len(head))
        self._filled = np.zeros(len(sizes), dtype=np.int64)
        self._file: IO[bytes] = path.open("wb", buffering=0)
        _write(self._file, 0, np.frombuffer(head, dtype=np.uint8))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def put(self, number: int, block: Block) -> None:
        """Adds vectors to a list."""
        places, codes = block
        start, at = int(self._starts[number]), int(self._filled[number])
        _write(self._file, start + at * self._dimension, codes)
        own = np.ascontiguousarray(places, dtype="<i8")
        _write(self._file, start + int(self._sizes[number]) * self._dimension + at * _ID, own.view(np.uint8))
        self._filled[number] += len(places)

    def spread(self, numbers: NDArray[np.int32], block: Block) -> None:
        """Adds vectors to the lists of these numbers, one a vector."""
        order = np.argsort(numbers, kind="stable")
        places, codes = block[0][order], block[1][order]
        ends = np.cumsum(np.bincount(numbers))
        for number in np.unique(numbers).tolist():
            part = slice(int(ends[number - 1]) if number else 0, int(ends[number]))
            self.put(number, (places[part], codes[part]))

    def end(self, *tail: NDArray[np.int64] | bytes) -> None:
        """Writes what follows the lists, and sees that all of it is on the disk."""
        if not np.array_equal(self._filled, self._sizes):
            raise RuntimeError("lists were given other vectors than were counted")
        for part in tail:
            _write(self._file, self._file.seek(0, os.SEEK_END), np.frombuffer(part, dtype=np.uint8))
        os.fsync(self._file.fileno())


def gathered(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same vectors in fewer, larger blocks."""
    parts: list[Block] = []
    held = 0
    for block in blocks:
        parts.append(block)
        held += block[1].nbytes
        if held >= _SPREAD:
            yield np.concatenate([p for p, _ in parts]), np.concatenate([c for _, c in parts])
            parts, held = [], 0
    if parts:
        yield np.concatenate([p for p, _ in parts]), np.concatenate([c for _, c in parts])


def _starts(sizes: NDArray[np.int64], dimension: int, first: int) -> NDArray[np.int64]:
    return first + (np.cumsum(sizes) - sizes) * (dimension + _ID)


def _parts(file: IO[bytes], start: int, count: int, dimension: int, first: int) -> Iterator[Block]:
    step = max(1, _BLOCK // dimension)
    for at in range(0, count, step):
        n = min(step, count - at)
        codes = _read(file, start + at * dimension, n * dimension).reshape(n, dimension)
        yield np.arange(first + at, first + at + n, dtype=np.int64), codes


def _read(file: IO[bytes], start: int, size: int) -> NDArray[np.uint8]:
    out = np.empty(size, dtype=np.uint8)
    file.seek(start)
    done = 0
    while done < size:
        got = file.readinto(out[done:].data)  # type: ignore[attr-defined]  # a raw file has it; IO does not say so
        if not got:
            raise OSError(errno.EIO, "the file ends too early")
        done += got
    return out


def _write(file: IO[bytes], start: int, data: NDArray[np.uint8]) -> None:
    left = np.ascontiguousarray(data).reshape(-1).data
    file.seek(start)
    while left:
        left = left[file.write(left) :]
