"""How vectors are stored: codecs that turn unit vectors into bytes and back.

A codec first turns the vectors by a fixed orthogonal map, after which the coordinates of any unit vector look like draws of one
normal distribution, so that a fixed grid fits all of them. "r8" keeps 8 bits a coordinate (cosine to the
original about 0.99997), "r4" keeps 4 bits on the grid that is best for a normal distribution (about 0.995 a vector at half the
bytes; errors are independent of the question, so that scores stay unbiased), "r3" keeps 3 bits in the same way (about 0.983).
The names are stored with the index: a codec never
changes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from contextkit.errors import IndexDamaged, IndexMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

PASSAGES = "r8"
SENTENCES = "r3"

# Where the 16 levels of the best 4-bit quantiser of a standard normal variable lie (Lloyd-Max), the positive half.
_LEVELS = np.array([0.1284, 0.3881, 0.6568, 0.9424, 1.2562, 1.6181, 2.0690, 2.7326], dtype=np.float32)

# and of the 8 levels of the best 3-bit one
_LEVELS_3 = np.array([0.2451, 0.7560, 1.3439, 2.1520], dtype=np.float32)


class Codec(Protocol):
    """Unit vectors to bytes and back; a fixed number of bytes a vector.

    1. `size` is the number of bytes of one vector of that dimension.
    2. `encode` takes float32 (n, dimension) and gives n * size bytes, in order.
    3. `decode` gives float32 (n, dimension) of unit length.
    4. `cosines` gives float32 (n,): `decode` times a unit vector, for less work.
    5. `sound` gives bool (n,): whether each row can be what `encode` makes of a unit vector.
    """

    def size(self, dimension: int) -> int:
        """Rule 1."""

    def encode(self, vectors: NDArray[np.float32]) -> bytes:
        """Rule 2."""

    def decode(self, data: bytes, dimension: int) -> NDArray[np.float32]:
        """Rule 3."""

    def cosines(self, data: bytes, dimension: int, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rule 4."""

    def sound(self, data: bytes, dimension: int) -> NDArray[np.bool_]:
        """Rule 5."""


def codec(name: str) -> Codec:
    """The codec of that name. Raises IndexMismatch for a name of a newer contextkit."""
    try:
        return _CODECS[name]
    except KeyError:
        raise IndexMismatch(
            f"the index stores vectors as {name!r}, this contextkit knows {', '.join(sorted(_CODECS))}: install a newer one"
        ) from None


@lru_cache(maxsize=8)
def _turn(dimension: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Signs, an order of the coordinates, and an orthogonal matrix for blocks of them.

    The block is 128 or less where the dimension divides well (a Hadamard matrix, cheap), else the whole dimension.
    RandomState's stream is frozen by numpy, so the map is the same everywhere and for ever.
    """
    random = np.random.RandomState(20240229 + dimension)
    signs = random.choice(np.array([-1.0, 1.0]), dimension).astype(np.float32)
    order = random.permutation(dimension).astype(np.int64)
    block = min(dimension & -dimension, 128)
    if block >= 16:
        hadamard: NDArray[Any] = np.ones((1, 1))
        while len(hadamard) < block:
            hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
        return signs, order, np.asarray(hadamard / np.sqrt(block), dtype=np.float32)
    q, r = np.linalg.qr(random.standard_normal((dimension, dimension)))
    return signs, order, (q * np.sign(np.diag(r))).astype(np.float32)


def _forward(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    n, dimension = vectors.shape
    signs, order, matrix = _turn(dimension)
    blocks = (vectors * signs)[:, order].reshape(-1, len(matrix))
    return np.asarray((blocks @ matrix).reshape(n, dimension), dtype=np.float32)


def _back(turned: NDArray[np.float32]) -> NDArray[np.float32]:
    n, dimension = turned.shape
    signs, order, matrix = _turn(dimension)
    vectors = np.empty((n, dimension), dtype=np.float32)
    vectors[:, order] = (turned.reshape(-1, len(matrix)) @ matrix.T).reshape(n, dimension)
    vectors *= signs
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def _cosines(turned: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products of stored rows, made unit length, with a query that is turned as they are, which is cheaper."""
    norms = np.maximum(np.sqrt(np.einsum("ij,ij->i", turned, turned)), np.float32(1e-12))
    return np.asarray((turned @ _forward(query.reshape(1, -1))[0]) / norms, dtype=np.float32)


def _rows(data: bytes, size: int) -> NDArray[np.uint8]:
    if len(data) % size:
        raise IndexDamaged(
            f"stored vectors have {len(data)} bytes, which is no multiple of {size}: run `contextkit index doctor`"
        )
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, size)


class _Eight:
    def size(self, dimension: int) -> int:
        return dimension

    def encode(self, vectors: NDArray[np.float32]) -> bytes:
        turned = _forward(vectors)
        largest = np.maximum(np.abs(turned).max(axis=1, initial=0.0, keepdims=True), 1e-12)
        rounded = np.asarray(np.rint(turned * (np.float32(127) / largest)), dtype=np.int8)
        return rounded.tobytes()

    def decode(self, data: bytes, dimension: int) -> NDArray[np.float32]:
        rows = _rows(data, self.size(dimension))
        return _back(rows.view(np.int8).astype(np.float32))  # _back makes unit length: no scale need be kept

    def cosines(self, data: bytes, dimension: int, query: NDArray[np.float32]) -> NDArray[np.float32]:
        return _cosines(_rows(data, self.size(dimension)).view(np.int8).astype(np.float32), query)

    def sound(self, data: bytes, dimension: int) -> NDArray[np.bool_]:
        rows = _rows(data, self.size(dimension)).view(np.int8).astype(np.int16)
        return np.asarray(np.abs(rows).max(axis=1, initial=0) == 127)


class _Four:
    def __init__(self) -> None:
        levels = np.concatenate([-_LEVELS[::-1], _LEVELS])
        self._edges = ((levels[1:] + levels[:-1]) / 2).astype(np.float32)
        byte = np.arange(256)
        self._pairs = np.stack([levels[byte & 15], levels[byte >> 4]], axis=1).astype(np.float32)

    def size(self, dimension: int) -> int:
        return (dimension + 1) // 2

    def encode(self, vectors: NDArray[np.float32]) -> bytes:
        n, dimension = vectors.shape
        turned = _forward(vectors) * np.float32(np.sqrt(dimension))
        codes = np.zeros((n, dimension), dtype=np.uint8)
        for edge in self._edges:  # counting the edges below is four times as quick as a binary search
            codes += turned > edge
        if dimension % 2:
            codes = np.concatenate([codes, np.zeros((n, 1), dtype=np.uint8)], axis=1)
        return (codes[:, 0::2] | (codes[:, 1::2] << 4)).tobytes()

    def decode(self, data: bytes, dimension: int) -> NDArray[np.float32]:
        return _back(self._turned(data, dimension))

    def cosines(self, data: bytes, dimension: int, query: NDArray[np.float32]) -> NDArray[np.float32]:
        return _cosines(self._turned(data, dimension), query)

    def sound(self, data: bytes, dimension: int) -> NDArray[np.bool_]:
        turned = self._turned(data, dimension)
        length = np.sqrt(np.einsum("ij,ij->i", turned, turned) / dimension)
        # the grid is cut off at its ends, so that a vector with one large coordinate comes out shorter
        return np.asarray((length > _LEVELS[0] * 0.99) & (length < 1.25))

    def _turned(self, data: bytes, dimension: int) -> NDArray[np.float32]:
        rows = _rows(data, self.size(dimension))
        return self._pairs.take(rows, axis=0).reshape(len(rows), 2 * rows.shape[1])[:, :dimension]


class _Three:
    """Three planes of bits, one after the other, each with a bit a coordinate."""

    def __init__(self) -> None:
        self._levels = np.concatenate([-_LEVELS_3[::-1], _LEVELS_3])
        self._edges = ((self._levels[1:] + self._levels[:-1]) / 2).astype(np.float32)
        # four coordinates at once: half a byte of each plane, the first coordinate in its highest bit
        halves = np.arange(4096)
        low, middle, high = (np.stack([(halves >> (4 * plane + 3 - i)) & 1 for i in range(4)], axis=1) for plane in range(3))
        self._fours = self._levels.take(low | (middle << 1) | (high << 2))

    def size(self, dimension: int) -> int:
        return 3 * ((dimension + 7) // 8)

    def encode(self, vectors: NDArray[np.float32]) -> bytes:
        n, dimension = vectors.shape
        turned = _forward(vectors) * np.float32(np.sqrt(dimension))
        codes = np.zeros((n, dimension), dtype=np.uint8)
        for edge in self._edges:
            codes += turned > edge
        planes = [np.packbits((codes >> bit) & 1, axis=1) for bit in range(3)]
        return np.stack(planes, axis=1).tobytes()

    def decode(self, data: bytes, dimension: int) -> NDArray[np.float32]:
        return _back(self._turned(data, dimension))

    def cosines(self, data: bytes, dimension: int, query: NDArray[np.float32]) -> NDArray[np.float32]:
        return _cosines(self._turned(data, dimension), query)

    def sound(self, data: bytes, dimension: int) -> NDArray[np.bool_]:
        turned = self._turned(data, dimension)
        length = np.sqrt(np.einsum("ij,ij->i", turned, turned) / dimension)
        return np.asarray((length > _LEVELS_3[0] * 0.99) & (length < 1.3))

    def _turned(self, data: bytes, dimension: int) -> NDArray[np.float32]:
        rows = _rows(data, self.size(dimension)).reshape(-1, 3, (dimension + 7) // 8)
        low, middle, high = rows.astype(np.uint16).swapaxes(0, 1)
        first = (low >> 4) | (middle & 0xF0) | ((high & 0xF0) << 4)
        last = (low & 15) | ((middle & 15) << 4) | ((high & 15) << 8)
        turned = self._fours.take(np.stack([first, last], axis=2), axis=0, mode="clip").reshape(len(rows), 8 * rows.shape[2])
        return np.ascontiguousarray(turned[:, :dimension])


_CODECS: dict[str, Codec] = {"r8": _Eight(), "r4": _Four(), "r3": _Three()}
