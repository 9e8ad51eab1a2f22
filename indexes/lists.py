"""Vectors sorted into lists (FAISS's IVF), for indexes that are too large to look at every vector for each question.

Here stand how lists are made from a stream of vectors, and how many of them a question must look into. When that is done, and
how a filter changes it, is `faiss_index.py`; the file is `listfile.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.indexes.listfile import Block

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_LIST = 50  # training vectors a list; k-means gains little from more
_SAMPLE = 160 * 10**6  # bytes of them at most: 104,000 of dimension 384, enough for 20 a list of four million vectors
_LEAST = 8  # but so many a list in any case
_ROUNDS = 10  # of k-means
_ASKED = 400  # questions that are asked when the number of lists to look into is chosen
_NOISE = 1.5  # of a stored vector's length; what is left of it has a cosine of 0.56, as real questions have with their best
_FLOOR = 8  # at least an eighth of the lists: cheap, and a guard against questions unlike anything stored
_SIGN = 128  # FAISS keeps a signed byte v as v + 128
_SEED = 20240229
NEAREST = 100
"""The lists to look into are chosen for so many neighbours: candidates of a packet are as many."""
TOLD = 10
"""The recall that is told is that of so many."""


def count_for(vectors: int) -> int:
    """How many lists so many vectors are sorted into: 2 x their square root, 2,000 for a million."""
    return max(1, min(vectors, math.isqrt(4 * vectors)))


def empty_like(index: Any) -> Any:  # noqa: ANN401 - FAISS's classes have no usable types
    """A `faiss.IndexIVFScalarQuantizer` with the same centres as `index` and nothing in its lists."""
    import faiss

    out = _empty(faiss.clone_index(index.quantizer), index.d, index.nlist)
    out.is_trained, out.nprobe = True, index.nprobe
    return out


def _empty(centres: Any, dimension: int, lists: int) -> Any:  # noqa: ANN401 - see above
    import faiss

    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    out: Any = faiss.IndexIVFScalarQuantizer(centres, dimension, lists, kind, faiss.METRIC_INNER_PRODUCT, False)
    out.cp.niter = _ROUNDS
    out.cp.spherical = True  # centres of one length: longer ones would draw questions to narrow lists
    out.cp.min_points_per_centroid = 1  # no warning on the terminal: the sample is as large as it is meant to be
    return out


def sample(blocks: Iterable[Block], total: int, dimension: int) -> NDArray[np.float32]:
    """float32 (n, dimension): vectors to learn lists from, evenly taken from `total` of them; all where there are few."""
    lists = count_for(total)
    wanted = max(lists * _LEAST, min(lists * _PER_LIST, _SAMPLE // (4 * dimension)))
    step = max(1, total // wanted)
    out = np.empty((-(-total // step), dimension), np.float32)
    before = filled = 0
    for _, codes in blocks:
        part = codes[-before % step :: step]
        out[filled : filled + len(part)] = _decoded(part)
        before, filled = before + len(codes), filled + len(part)
    return out


class Sorting:
    """Vectors on their way into new lists: the lists are learnt from a sample, and each vector is given one.

    On the way it finds the true nearest of some made-up questions, so that it can say how many lists a question must look into.
    They are vectors of the sample with noise: questions lie farther from what answers them than stored vectors from each other.

    Args:
        learnt: `sample` of the vectors.
        total: how many vectors there are.

    Attributes:
        index: the trained `faiss.IndexIVFScalarQuantizer`, empty.
    """

    def __init__(self, learnt: NDArray[np.float32], total: int) -> None:
        import faiss

        dimension = learnt.shape[1]
        self.index = _empty(faiss.IndexFlatIP(dimension), dimension, count_for(total))
        self.index.train(learnt)
        self._total = total
        self._asked = _questions(learnt[:: max(1, len(learnt) // _ASKED)])
        self._k = min(NEAREST, total)
        self._scores = np.full((len(self._asked), self._k), -np.inf, np.float32)
        self._lists = np.full((len(self._asked), self._k), -1, np.int64)

    def numbers(self, codes: NDArray[np.uint8]) -> NDArray[np.int32]:
        """int32 (n,): the list of each vector."""
        import faiss

        vectors = _decoded(codes)
        numbers = _nearest_centre(self.index, vectors)
        scores, found = faiss.knn(self._asked, vectors, self._k, metric=faiss.METRIC_INNER_PRODUCT)
        both = np.concatenate([self._scores, scores], axis=1)
        lists = np.concatenate([self._lists, numbers[found]], axis=1)
        best = np.argsort(-both, axis=1, kind="stable")[:, : self._k]
        self._scores, self._lists = np.take_along_axis(both, best, axis=1), np.take_along_axis(lists, best, axis=1)
        return numbers

    def probes(self, target: float, least: int) -> tuple[int, float]:
        """(lists a question must look into, recall at `TOLD`): the fewest that find the target share of the true `NEAREST`, but
        at least an eighth, and as many as hold `least` vectors. To be asked when all vectors went through.

        The recall is of the questions that were made up.
        """
        lists = self.index.nlist
        order = np.empty((len(self._asked), lists), np.int64)
        order[:] = self.index.quantizer.search(self._asked, lists)[1]
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(lists)[None].repeat(len(order), axis=0), axis=1)
        needed = np.take_along_axis(rank, self._lists, axis=1) + 1
        enough = np.sort(needed, axis=None)[max(0, math.ceil(target * needed.size) - 1)]
        seen = math.ceil(lists * min(1.0, max(1 / _FLOOR, least / self._total)))
        probes = max(int(enough), seen)
        return probes, float(np.mean(needed[:, :TOLD] <= probes))


def _questions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 of the same shape: the vectors, each with noise in all directions. RandomState's stream is frozen by numpy."""
    noise = np.random.RandomState(_SEED).standard_normal(vectors.shape).astype(np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors + noise * (length * np.float32(_NOISE / math.sqrt(vectors.shape[1]))))


def numbers_in(index: Any, codes: NDArray[np.uint8]) -> NDArray[np.int32]:  # noqa: ANN401 - see above
    """int32 (n,): the list of trained lists that each vector belongs to."""
    return _nearest_centre(index, _decoded(codes))


def _nearest_centre(index: Any, vectors: NDArray[np.float32]) -> NDArray[np.int32]:  # noqa: ANN401 - see above
    return np.asarray(index.quantizer.search(vectors, 1)[1][:, 0], dtype=np.int32)


def _decoded(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    return codes.astype(np.float32) - np.float32(_SIGN)
