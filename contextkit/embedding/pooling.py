"""Means over token states, the same for every encoder on torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


def mean_by(states: torch.Tensor, owner: torch.Tensor, count: int) -> torch.Tensor:
    """Means of the rows of each owner 0 .. count - 1, shape (count, dimension); zeros for an owner without rows.

    Args:
        states: float32, shape (rows, dimension).
        owner: int64, shape (rows,); rows of the owner `count` belong to none.
        count: number of owners.
    """
    total = states.new_zeros((count + 1, states.shape[1])).index_add_(0, owner, states)
    rows = owner.bincount(minlength=count + 1).clamp_(min=1).unsqueeze(1)
    return (total / rows)[:count]


def flat_owners(owners: Sequence[NDArray[np.int32]], sizes: Sequence[int]) -> torch.Tensor:
    """The owners of all tokens of a batch, int64, counted through: those of a text's own sentences, or the sum for none."""
    import numpy as np
    import torch

    total = sum(sizes)
    firsts = np.cumsum([0, *sizes[:-1]])
    parts = [np.where(own < 0, total, own + first) for own, first in zip(owners, firsts, strict=True)]
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def finished(vectors: torch.Tensor) -> NDArray[np.float32]:
    """Float vectors at unit length as an array; a zero vector stays zero."""
    from torch.nn.functional import normalize

    return cast("NDArray[np.float32]", normalize(vectors, dim=1).numpy())
