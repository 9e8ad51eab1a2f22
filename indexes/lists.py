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
_ASKED = 400  # stored vectors that are asked for when the number of lists to look into is chosen
_FLOOR = 8  # at least an eighth of the lists: cheap, and a guard against questions unlike anything stored
_SIGN = 128  # FAISS keeps a signed byte v as v + 128
NEAREST = 10
"""The recall is measured at so many neighbours."""


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

    On the way it finds the true nearest of some of the sample, so that it can say how many lists a question must look into.

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
        self._asked = np.ascontiguousarray(learnt[:: max(1, len(learnt) // _ASKED)])
        self._k = min(NEAREST + 1, total)
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

    def probes(self, target: float) -> tuple[int, float]:
        """(lists a question must look into, recall): the fewest that find the target share of the true nearest, and an eighth at
        least. To be asked when all vectors went through.

        Stored vectors are the questions; that each finds itself does not count. The recall is of these questions.
        """
        if self._k < 2:
            return 1, 1.0
        order = np.empty((len(self._asked), self.index.nlist), np.int64)
        order[:] = self.index.quantizer.search(self._asked, self.index.nlist)[1]
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(self.index.nlist)[None].repeat(len(order), axis=0), axis=1)
        needed = np.sort(np.take_along_axis(rank, self._lists[:, 1:], axis=1).ravel()) + 1
        place = max(0, math.ceil(target * len(needed)) - 1)
        probes = max(int(needed[place]), -(-self.index.nlist // _FLOOR))
        return probes, float(np.mean(needed <= probes))


def numbers_in(index: Any, codes: NDArray[np.uint8]) -> NDArray[np.int32]:  # noqa: ANN401 - see above
    """int32 (n,): the list of trained lists that each vector belongs to."""
    return _nearest_centre(index, _decoded(codes))


def _nearest_centre(index: Any, vectors: NDArray[np.float32]) -> NDArray[np.int32]:  # noqa: ANN401 - see above
    return np.asarray(index.quantizer.search(vectors, 1)[1][:, 0], dtype=np.int32)


def _decoded(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    return codes.astype(np.float32) - np.float32(_SIGN)
