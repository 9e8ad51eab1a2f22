"""Vectors sorted into lists (FAISS's IVF), for indexes that are too large to look at every vector for each question.

Here stand how lists are made from the bytes of another index, and how many of them a question must look into. When that is done,
and how a filter changes it, is `faiss_index.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_LIST = 50  # training vectors a list; k-means gains little from more
_ROUNDS = 10  # of k-means
_ASKED = 200  # stored vectors that are asked for when the number of lists to look into is chosen
_FLOOR = 10  # at least a tenth of the lists: cheap, and a guard against questions unlike anything stored
_BLOCK = 16_384  # vectors moved at once
_SIGN = 128  # FAISS keeps a signed byte v as v + 128
NEAREST = 10
"""The recall is measured at so many neighbours."""


def count_for(vectors: int) -> int:
    """How many lists so many vectors are sorted into: 2 x their square root, 2,000 for a million."""
    return max(1, min(vectors, math.isqrt(4 * vectors)))


def sorted_into_lists(index: Any, dimension: int) -> Any:  # noqa: ANN401 - FAISS's classes have no usable types
    """A trained `faiss.IndexIVFScalarQuantizer` with the vectors of `index`, which is one as well or an `IndexScalarQuantizer`.

    Vectors keep their places as ids. The same vectors give the same lists. `index` stays as it is.
    """
    import faiss

    lists = count_for(index.ntotal)
    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    centres = faiss.IndexFlatIP(dimension)
    out: Any = faiss.IndexIVFScalarQuantizer(centres, dimension, lists, kind, faiss.METRIC_INNER_PRODUCT, False)
    out.cp.niter = _ROUNDS
    out.cp.min_points_per_centroid = 1  # no warning on the terminal: the sample is as large as it is meant to be
    out.train(_sample(index, dimension, lists * _PER_LIST))
    for places, codes in _contents(index, dimension):
        for i in range(0, len(places), _BLOCK):
            out.add_with_ids(_decoded(codes[i : i + _BLOCK]), np.ascontiguousarray(places[i : i + _BLOCK]))
    return out


def probes_for(index: Any, dimension: int, target: float) -> tuple[int, float]:  # noqa: ANN401 - see above
    """(lists a question must look into, recall): the fewest that find the target share of the true nearest, and a tenth at least.

    Stored vectors are asked for against all lists; that each finds itself does not count. The recall is of these questions.
    """
    import faiss

    asked = _sample(index, dimension, _ASKED)
    k = min(NEAREST + 1, index.ntotal)
    if k < 2:
        return 1, 1.0
    order, near = np.empty((len(asked), index.nlist), np.int64), np.empty((len(asked), index.nlist), np.float32)
    near[:], order[:] = index.quantizer.search(asked, index.nlist)
    scores, labels = np.empty((len(asked), k), np.float32), np.empty((len(asked), k), np.int64)
    pointer: Any = faiss.swig_ptr
    settings: Any = faiss.SearchParametersIVF
    every = settings(nprobe=index.nlist)
    # FAISS's own name for its C++ function, which alone can say in which list a vector was found (label >> 32)
    index.search_preassigned_c(
        len(asked), pointer(asked), k, pointer(order), pointer(near), pointer(scores), pointer(labels), True, every
    )
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(index.nlist)[None].repeat(len(asked), axis=0), axis=1)
    needed = np.sort(np.take_along_axis(rank, labels[:, 1:] >> 32, axis=1).ravel()) + 1
    probes = max(int(needed[max(0, math.ceil(target * len(needed)) - 1)]), -(-index.nlist // _FLOOR))
    return probes, float(np.mean(needed <= probes))


def _sample(index: Any, dimension: int, wanted: int) -> NDArray[np.float32]:  # noqa: ANN401 - see above
    """float32 (about `wanted`, dimension): stored vectors, evenly taken; all of them where there are fewer."""
    step = max(1, index.ntotal // max(1, wanted))
    out, before = [], 0
    for _, codes in _contents(index, dimension):
        out.append(_decoded(codes[-before % step :: step]))
        before += len(codes)
    return np.concatenate(out)


def _decoded(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    return codes.astype(np.float32) - np.float32(_SIGN)


def _contents(index: Any, dimension: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:  # noqa: ANN401 - see above
    """(places, bytes (n, dimension)) of all vectors in parts; the bytes are FAISS's own memory: not to be kept or written to."""
    import faiss

    view: Any = faiss.rev_swig_ptr
    if not hasattr(index, "invlists"):
        n = index.ntotal
        if n:
            yield np.arange(n, dtype=np.int64), view(index.codes.data(), n * dimension).reshape(n, dimension)
        return
    lists = index.invlists
    for number in range(index.nlist):
        n = lists.list_size(number)
        if n:
            yield view(lists.get_ids(number), n), view(lists.get_codes(number), n * dimension).reshape(n, dimension)
