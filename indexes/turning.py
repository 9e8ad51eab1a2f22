"""Vectors as signed bytes: a fixed orthogonal turn, after which one scale fits all coordinates, then rounding.

The rounding moves a score by about 0.001. How the bytes are searched is `faiss_index.py`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RANGE = 5.0  # standard deviations of a coordinate that the byte spans
_SEED = 20240229


def scale(dimension: int) -> np.float32:
    """What a turned coordinate of a unit vector is multiplied with before it is rounded."""
    return np.float32(127 / min(1.0, _RANGE / dimension**0.5))


def rounded(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (n, dimension): the turned vectors as whole numbers from -127 to 127."""
    return np.asarray(np.clip(np.rint(turned(vectors) * scale(vectors.shape[1])), -127, 127), dtype=np.float32)


def turned(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (n, dimension): the vectors by a fixed orthogonal map, which spreads what is in few coordinates over many."""
    n, dimension = vectors.shape
    signs, order, matrix = _turn(dimension)
    blocks = (vectors * signs)[:, order].reshape(-1, len(matrix))
    return np.ascontiguousarray((blocks @ matrix).reshape(n, dimension), dtype=np.float32)


@lru_cache(maxsize=8)
def _turn(dimension: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Signs, an order of the coordinates, and a Hadamard matrix for blocks of them (of 128 where the dimension divides well).

    RandomState's stream is frozen by numpy, so that a saved index means the same everywhere.
    """
    random = np.random.RandomState(_SEED + dimension)
    signs = random.choice(np.array([-1.0, 1.0]), dimension).astype(np.float32)
    order = random.permutation(dimension).astype(np.int64)
    matrix: NDArray[Any] = np.ones((1, 1))
    while len(matrix) < min(dimension & -dimension, 128):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return signs, order, np.asarray(matrix / np.sqrt(len(matrix)), dtype=np.float32)
