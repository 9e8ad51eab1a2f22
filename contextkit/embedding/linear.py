"""Linear layers of a loaded model on torch, with the addition or activation after them in the same pass over memory.

Torch's own `linear` copies the bias into the result first, and an activation reads and writes it all once more; in bfloat16,
where the product itself is quick, these take half of the time. The kernels that `torch.compile` uses do it in one go. They are no
public part of torch, so they are tried, and their results compared, before they are used; without them it is done step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

_CLOSE = 0.05  # the rounding of bfloat16; a kernel with another meaning is far off


class Linear:
    """A linear layer, for inference alone. Calls from several threads are safe.

    Args:
        weight: shape (outputs, inputs).
        bias: shape (outputs,), of the same type.
        fused: whether to use the kernels that do all in one pass; None: where they are there and right.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, *, fused: bool | None = None) -> None:
        self._bias = bias
        self._kernels = _found() if fused or (fused is None and sound(weight.dtype)) else None
        self._weight = weight if self._kernels is None else self._kernels.pack(weight)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The products with the bias, shape (rows, outputs)."""
        from torch.nn import functional

        if self._kernels is None:
            return functional.linear(x, self._weight, self._bias)
        return self._kernels.pointwise(x, self._weight, self._bias, "none", [], "")

    def gelu(self, x: torch.Tensor) -> torch.Tensor:
        """The same through the exact GELU."""
        from torch.nn import functional

        if self._kernels is None:
            return functional.gelu(functional.linear(x, self._weight, self._bias))
        return self._kernels.pointwise(x, self._weight, self._bias, "gelu", [], "none")

    def plus(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The same with `other` (rows, outputs) added."""
        from torch.nn import functional

        if self._kernels is None:
            return other + functional.linear(x, self._weight, self._bias)
        return self._kernels.binary(x, other, self._weight, self._bias, "add")


@cache
def sound(dtype: torch.dtype) -> bool:
    """Whether this torch has the kernels for that type, and they compute what is expected of them."""
    import torch

    draw = torch.Generator().manual_seed(1)
    x, weight, bias, other = (torch.randn(shape, generator=draw).to(dtype) for shape in ((5, 32), (16, 32), (16,), (5, 16)))
    plain = Linear(weight, bias, fused=False)
    try:
        fast = Linear(weight, bias, fused=True)
        pairs = [(fast(x), plain(x)), (fast.gelu(x), plain.gelu(x)), (fast.plus(x, other), plain.plus(x, other))]
    except (AttributeError, RuntimeError, TypeError):  # another torch, or one without oneDNN
        return False
    return all(torch.allclose(a.float(), b.float(), rtol=_CLOSE, atol=_CLOSE) for a, b in pairs)


class _Kernels(NamedTuple):
    pack: Callable[..., torch.Tensor]
    pointwise: Callable[..., torch.Tensor]
    binary: Callable[..., torch.Tensor]


def _found() -> _Kernels:
    """The kernels; raises AttributeError where torch has none of these names."""
    import torch

    own = torch.ops.mkldnn
    pointwise = own._linear_pointwise  # noqa: SLF001 the module's docstring says why, and `sound` guards it
    return _Kernels(own._reorder_linear_weight, pointwise, pointwise.binary)  # noqa: SLF001 the same
