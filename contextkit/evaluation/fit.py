"""Weights fitted to judged questions by a listwise objective: the evidence that fits a budget, made smooth.

All candidates of a question compete for the same tokens. A sentence is in to the degree sigmoid((score - bar) / width), where the
bar is set so that what is in takes the budget; the evidence of a question is the gain of what is in. So the objective is the
metric itself with a soft edge, as in Chapelle and Wu, "Gradient descent optimization of smoothed information retrieval
metrics" (Information Retrieval 13, 2010), with a budget of tokens in place of a cut at rank k. Where the bar is, a sentence's
gradient is its gain less what its tokens would bring elsewhere.

Few numbers are fitted, none below 0, and leaving the present ones has a price: the one among a few that does best by
cross-validation within the questions given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contextkit.evaluation.signals import LINEAR, Listed
from contextkit.retrieval.weights import Weights

WIDTH = 0.05
"""Of the soft edge, in units of the score, whose spread over candidates is several times that."""
PRICES = (8.0, 2.0, 0.5, 0.125)
"""Leaving a weight by its own size costs so much evidence, divided by the number of questions: 1 point at 2.0 with 200."""
FOLDS = 4
_NEWTON = 6
_STEPS, _ENOUGH = 60, 1e-5  # of the optimiser: steps at most, and the change that ends it

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit gave.

    Attributes:
        weights: the fitted numbers in place, all others as they were.
        names: those that were fitted.
        price: of leaving the weights as they were, as cross-validation chose it.
    """

    weights: Weights
    names: tuple[str, ...]
    price: float


def fit(lists: Listed, weights: Weights, budgets: Sequence[int]) -> Fitted:
    """The weights that make the smoothed evidence at these budgets best, starting from and held near those given.

    A signal that is the same for all candidates (a reranker where there is none) is left alone. The linear weights keep their
    sum: only their proportions decide the order. The same input gives the same weights.

    Args:
        lists: the candidates of the questions, at least one question.
        weights: to begin with.
        budgets: token budgets, which count equally.
    """
    used = np.flatnonzero(np.ptp(lists.columns, axis=0) > 0)
    names = (*(LINEAR[n] for n in used), "neighbour")
    values = asdict(weights)
    start = np.array([values[name] for name in names])
    sizes = np.array(sorted(set(budgets)), np.float64)
    price = _price(lists, used, start, sizes)
    point = _best(_Problem(lists, used, sizes), start, price)
    if point[:-1].sum() > 0:
        point[:-1] *= start[:-1].sum() / point[:-1].sum()
    new = {name: round(float(value), 3) for name, value in zip(names, point, strict=True)}
    return Fitted(replace(weights, **new), names, price)


def _price(lists: Listed, used: NDArray[np.int64], start: Array, budgets: Array) -> float:
    """The highest price whose fits to some of the questions give the most evidence on the others, but for one standard error.

    The rule of Breiman et al., "Classification and Regression Trees" (1984): what may be noise does not move the weights.
    """
    number = np.arange(len(lists.first))
    folds = min(FOLDS, len(number))
    if folds < 2:
        return PRICES[0]
    held: dict[float, list[float]] = {price: [] for price in PRICES}
    for fold in range(folds):
        here, there = (_Problem(lists.of(number % folds == fold), used, budgets), lists.of(number % folds != fold))
        problem = _Problem(there, used, budgets)
        for price in PRICES:
            held[price].append(here.evidence(_best(problem, start, price))[0])
    best = np.array(max(held.values(), key=sum))

    def is_as_good(price: float) -> bool:
        short = best - np.array(held[price])
        return bool(short.mean() <= short.std(ddof=1) / len(short) ** 0.5)

    return max(price for price in PRICES if is_as_good(price))


def _best(problem: _Problem, start: Array, price: float) -> Array:
    """The point with the most smoothed evidence, less the price of its distance from the start."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # it ships no types

    size = np.maximum(start, 0.25 * start[:-1].max(initial=0.4))  # a weight of 0 may be left too
    cost = price / len(problem.first)

    def loss(point: Array) -> tuple[float, Array]:
        held, slope = problem.evidence(point)
        away = (point - start) / size
        return -held + cost * float(away @ away), -slope + 2 * cost * away / size

    limits = {"maxiter": _STEPS, "ftol": _ENOUGH}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start), options=limits)
    return np.asarray(found.x, np.float64)


class _Problem:
    """The smoothed evidence as a function of the weights."""

    def __init__(self, lists: Listed, used: NDArray[np.int64], budgets: Array) -> None:
        self.columns = lists.columns[:, used]
        self.gain, self.tokens, self.first, self.budgets = lists.gain, lists.tokens, lists.first, budgets
        m = len(self.gain)
        self.sizes = np.diff(np.append(self.first, m))
        rows = np.arange(m)
        self.from_before, self.from_after = lists.before, lists.after
        self.before = np.where(self.from_before > 0, rows - 1, rows)  # a row without one points at itself and is masked out
        self.after = np.where(self.from_after > 0, rows + 1, rows)

    def evidence(self, point: Array) -> tuple[float, Array]:
        """(mean smoothed evidence over questions and budgets, its gradient)."""
        scores, better, share = self._scores(point)
        total = 0.0
        slope = np.zeros(len(scores))
        for budget in self.budgets:
            inside, edge = self._inside(scores, float(budget))
            total += float(self.gain @ inside)
            spent = np.add.reduceat(self.tokens * edge, self.first)
            worth = np.add.reduceat(self.gain * edge, self.first) / np.maximum(spent, 1e-12)
            slope += edge * (self.gain - np.repeat(worth, self.sizes) * self.tokens)
        count = len(self.budgets) * len(self.first)
        slope /= count
        of_own = slope + np.bincount(better, slope * share * point[-1], len(slope))
        return total / count, np.append(of_own @ self.columns, slope @ (share * self._own[better]))

    def _scores(self, point: Array) -> tuple[Array, NDArray[np.int64], Array]:
        """(scores, row of each sentence's better neighbour, how much of the neighbours' share of it is added)."""
        self._own = own = self.columns @ point[:-1]
        left = np.where(self.from_before > 0, own[self.before] * self.from_before, -np.inf)
        right = np.where(self.from_after > 0, own[self.after] * self.from_after, -np.inf)
        better = np.where(left >= right, self.before, self.after)
        best = np.maximum(left, right)
        share = np.where(best > 0, np.where(left >= right, self.from_before, self.from_after), 0.0)
        return own + point[-1] * share * own[better], better, share

    def _inside(self, scores: Array, budget: float) -> tuple[Array, Array]:
        """(how far each sentence is in, 0 to 1; the derivative of that by its score), the budget being kept by each question."""
        bar = self._bar(scores, budget)
        for _ in range(_NEWTON):
            inside, edge = self._soft(scores, bar)
            spent = np.add.reduceat(self.tokens * inside, self.first)
            slope = np.add.reduceat(self.tokens * edge, self.first)
            bar += np.clip((spent - budget) / np.maximum(slope, 1e-9), -WIDTH, WIDTH)
        return self._soft(scores, bar)

    def _soft(self, scores: Array, bar: Array) -> tuple[Array, Array]:
        inside = 1 / (1 + np.exp(-np.clip((scores - np.repeat(bar, self.sizes)) / WIDTH, -50, 50)))
        return inside, inside * (1 - inside) / WIDTH

    def _bar(self, scores: Array, budget: float) -> Array:
        """The score at which each question's budget is spent, taken from the top; the lowest where all fit."""
        question = np.repeat(np.arange(len(self.first)), self.sizes)
        order = np.lexsort((-scores, question))
        spent = np.cumsum(self.tokens[order])
        before = np.append(0.0, spent)[self.first]
        fits = spent - np.repeat(before, self.sizes) <= budget
        last = np.add.reduceat(fits.astype(np.int64), self.first)
        bar: Array = scores[order[self.first + np.minimum(last, self.sizes - 1)]]
        return bar
