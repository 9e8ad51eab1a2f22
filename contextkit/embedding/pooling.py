"""Means over token states, the same for every encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


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
