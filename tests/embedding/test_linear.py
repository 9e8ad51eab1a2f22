from __future__ import annotations

import pytest
import torch

from contextkit.embedding import linear
from contextkit.embedding.linear import Linear, sound

pytestmark = pytest.mark.usefixtures("socket_disabled")


def drawn(dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return [torch.randn(shape, generator=draw).to(dtype) for shape in shapes]


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06)])
@pytest.mark.parametrize("rows", [1, 37])
def test_one_pass_gives_what_the_steps_give(dtype: torch.dtype, close: float, rows: int) -> None:
    if not sound(dtype):
        pytest.skip("this torch has no such kernels")
    weight, bias, x, other = drawn(dtype, (48, 32), (48,), (rows, 32), (rows, 48))
    fast, plain = Linear(weight, bias), Linear(weight, bias, fused=False)
    assert fast._kernels is not None
    assert plain._kernels is None
    with torch.inference_mode():
        for found, expected in ((fast(x), plain(x)), (fast.gelu(x), plain.gelu(x)), (fast.plus(x, other), plain.plus(x, other))):
            assert found.dtype is dtype
            torch.testing.assert_close(found, expected, atol=close, rtol=close)
    torch.testing.assert_close(plain.plus(x, other), other + x @ weight.T + bias, atol=2 * close, rtol=close)


@pytest.mark.parametrize("fault", ["absent", "refuses", "wrong"])
def test_kernels_that_are_not_right_are_not_used(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def found() -> linear._Kernels:
        if fault == "absent":
            raise AttributeError("_linear_pointwise")
        if fault == "refuses":

            def no(*given: object) -> torch.Tensor:
                raise RuntimeError("no oneDNN")

            return linear._Kernels(no, no, no)
        return linear._Kernels(lambda weight: weight, lambda x, w, b, *rest: x @ w.T, lambda x, other, w, b, how: other)

    monkeypatch.setattr(linear, "_found", found)
    sound.cache_clear()
    try:
        assert not sound(torch.float32)
        weight, bias, x = drawn(torch.float32, (8, 4), (8,), (3, 4))
        torch.testing.assert_close(Linear(weight, bias)(x), x @ weight.T + bias)
    finally:
        sound.cache_clear()
