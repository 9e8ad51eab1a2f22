"""Several that say the same are not several answers: of near-identical records the best keeps its place, the others step back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contextkit.memory.nearness import jaccard
from contextkit.retrieval.terms import terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.memory.columns import Columns
    from contextkit.protocols import Rows

_LOOKED_AT = 128  # of the best; what repeats beyond them does not crowd anything out
_NEAR = 0.95  # cosine from which two records may say the same
_SAME = 0.8  # share of terms in common from which they do: "on Monday" and "on Tuesday" are near, and are not the same


def spread(
    rows: Rows, columns: Columns, ids: NDArray[np.int64], scores: NDArray[np.float32], step: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The records with those that repeat a better one lowered by `step`, best first, ties by the newer id.

    Facts with a key stay: which of them holds, or that they contradict each other, is decided elsewhere.

    Args:
        rows: of the memory.
        columns: all records.
        ids: int64 (n,), best first.
        scores: float32 (n,).
        step: what a repetition loses; 0: nothing.
    """
    n = min(len(ids), _LOOKED_AT)
    if n < 2 or step <= 0:
        return ids, scores
    first = ids[:n]
    near = np.tril(columns.vectors[first] @ columns.vectors[first].T, -1) >= _NEAR
    near[columns.data["key"][first] > 0] = False
    if not near.any():
        return ids, scores
    lowered = scores.copy()
    lowered[_repeated(rows, first, near)] -= np.float32(step)
    order = np.lexsort((-ids, -lowered))
    return ids[order], lowered[order]


def _repeated(rows: Rows, first: NDArray[np.int64], near: NDArray[np.bool_]) -> list[int]:
    """The places whose words, numbers above all, are those of a better one that they are near to."""
    places = [int(p) for p in np.flatnonzero(near.any(axis=1) | near.any(axis=0))]
    marks = ", ".join("?" * len(places))
    found = dict(rows.execute(f"SELECT id, text FROM records WHERE id IN ({marks})", [int(first[p]) for p in places]).fetchall())
    words = {p: set(terms(found[int(first[p])])) for p in places}
    return [p for p in places if any(_alike(words[p], words[int(q)]) for q in np.flatnonzero(near[p]))]


def _alike(mine: set[str], theirs: set[str]) -> bool:
    return jaccard(mine, theirs) >= _SAME and not any(c.isdigit() for term in mine ^ theirs for c in term)
