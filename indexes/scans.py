"""What FAISS scans: vectors as bytes, all of them looked at, and the settings of one search. No files, no lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def new_scan(dimension: int) -> Any:  # noqa: ANN401 - FAISS's classes have no usable types
    """An empty `faiss.IndexScalarQuantizer`."""
    import faiss

    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT)


def codes_of(scan: Any, dimension: int) -> NDArray[np.uint8]:  # noqa: ANN401 - see above
    """uint8 (n, dimension): the vectors of a scan, FAISS's own memory: not to be kept or written to."""
    import faiss

    view: Any = faiss.rev_swig_ptr
    out: NDArray[np.uint8] = view(scan.codes.data(), scan.ntotal * dimension).reshape(scan.ntotal, dimension)
    return out


def joined_scans(scans: Sequence[Any], dimension: int) -> Any:  # noqa: ANN401 - see above
    """One scan with the vectors of all, in their order; the only one as it is."""
    if len(scans) == 1:
        return scans[0]
    out = new_scan(dimension)
    for scan in scans:
        out.add_sa_codes(codes_of(scan, dimension))
    return out


def encoded(whole: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8: whole numbers as FAISS keeps them, a signed byte v as v + 128."""
    return (whole + np.float32(128)).astype(np.uint8)


def settings(selector: Any, probes: int) -> Any:  # noqa: ANN401 - see above
    """FAISS's settings of a search: which vectors may be found, and in lists (`probes` above 0) into how many to look."""
    import faiss

    # FAISS's Python layer takes keyword arguments here; its type stubs only know the C++ signatures
    kind: Any = faiss.SearchParametersIVF if probes else faiss.SearchParameters
    arguments = {} if selector is None else {"sel": selector}
    return kind(**arguments, nprobe=probes) if probes else kind(**arguments)


def selector_of(mask: NDArray[np.bool_]) -> Any:  # noqa: ANN401 - see above
    """FAISS's selector of the places where `mask` (bool, by place) is True."""
    import faiss

    kind: Any = faiss.IDSelectorBitmap
    return kind(np.packbits(mask, bitorder="little"))
