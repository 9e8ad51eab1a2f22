"""Whether a difference between two measurements of the same questions is more than noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

ROUNDS = 10_000
LEVEL = 0.9
_AT_ONCE = 2_000_000  # drawn numbers in memory


class Difference(BaseModel):
    """The mean difference from before to after, and the range that it lies in.

    Attributes:
        mean: of the differences, question by question.
        low: below it lie (1 - level) / 2 of the resampled means.
        high: above it lie as many.
        level: of the range between them.
        questions: how many were compared.
    """

    model_config = ConfigDict(frozen=True)

    mean: float
    low: float
    high: float
    level: float
    questions: int

    def rounded(self) -> Difference:
        """The same to three places, for people."""
        places = {name: round(getattr(self, name), 3) for name in ("mean", "low", "high")}
        return self.model_copy(update=places)


def difference(
    before: NDArray[np.float64], after: NDArray[np.float64], *, level: float = LEVEL, rounds: int = ROUNDS, seed: int = 0
) -> Difference:
    """The mean of `after - before` with its paired bootstrap range (Efron 1979): questions are drawn anew, pairs stay together.

    Args:
        before: one number a question, (n,), n at least 1.
        after: of the same questions in the same order.
        level: of the range, such as 0.9 from the 5th to the 95th percentile.
        rounds: how often n questions are drawn.
        seed: the same gives the same range.
    """
    gains = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    random, n = np.random.default_rng(seed), len(gains)
    step = max(1, _AT_ONCE // n)
    means = [gains[random.integers(n, size=(min(step, rounds - done), n))].mean(axis=1) for done in range(0, rounds, step)]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Difference(mean=float(gains.mean()), low=float(low), high=float(high), level=level, questions=n)
