"""The confidence of packets refitted to judged questions, some of which the index holds no answer to.

A logistic regression (Platt 1999, "Probabilistic outputs for support vector machines") on the three signs that a packet's
confidence is made of: the likelihood of whether the index has an answer, less a small price for leaving the present numbers, so
that few questions move them little. How often questions without an answer come is learned too: the judged ones should be as
mixed as those that are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contextkit.context.build import Reader, pack, retrieve, signs
from contextkit.evaluation.comparison import Difference, difference
from contextkit.evaluation.questions import Asked
from contextkit.evaluation.signals import Tell, request
from contextkit.protocols import TokenCounter
from contextkit.retrieval.weights import Weights

NAMES = ("confidence_base", "confidence_passage", "confidence_sentence", "confidence_covered")
PRICE = 0.5
"""Of moving a number so far that the log-odds of packets change by about 1, in log-loss of a single question."""
BINS = 10
"""Of confidence, for the calibration error."""
_EDGE = 5e-4  # a confidence is rounded to three places: none is surer than this

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Signs:
    """What the confidence in the packets of some questions is made of.

    Attributes:
        columns: float64 (questions, budgets, 4), with a column of ones first; nan where a packet is empty.
        answered: bool (questions,), whether the index has an answer.
    """

    columns: Array
    answered: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the confidence of some packets is.

    Attributes:
        losses: float64 (questions,), the log-loss of each question, the mean over its budgets.
        auroc: how often a packet of a question with an answer is surer than one of a question without.
        ece: mean distance of confidence and frequency in ten equal steps of confidence, each weighted by its packets.
    """

    losses: Array
    auroc: float
    ece: float


def signs_of(
    reader: Reader, asked: Sequence[Asked], budgets: Sequence[int], counter: TokenCounter, tell: Tell | None = None
) -> Signs:
    """The signs of the packets that these questions get; a question without gold has no answer in the index.

    Raises:
        BudgetExceeded: a budget is below what one citation needs.
        FilterError: a question's filter is not understood.
    """
    out = np.full((len(asked), len(budgets), len(NAMES)), np.nan)
    for row, one in enumerate(asked):
        found = retrieve(reader, request(one, budgets[0]))
        for column, budget in enumerate(budgets):
            felt = signs(found, pack(reader, request(one, budget), counter, found))
            if felt is not None:
                out[row, column] = 1.0, *felt
        if tell is not None:
            tell(row + 1)
    return Signs(out, np.array([bool(one.gold) for one in asked], np.bool_))


def calibrated(seen: Signs, weights: Weights) -> Weights:
    """The weights with the confidence that makes these answers most likely; the same input gives the same numbers.

    None but the base comes out below 0: each sign speaks for an answer.

    Args:
        seen: with questions of both kinds.
        weights: to begin with.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]  # it ships no types

    there = ~np.isnan(seen.columns[..., 0])
    columns = seen.columns[there]
    answered = np.broadcast_to(seen.answered[:, None], there.shape)[there].astype(np.float64)
    start = _numbers(weights)
    middle = columns.mean(axis=0) * [0, 1, 1, 1]
    spread = np.maximum(columns.std(axis=0), 1e-3) * [0, 1, 1, 1] + [1, 0, 0, 0]
    # in units in which a step of 1 changes the log-odds by about 1, and the base is that of the mean packet
    scaled = (columns - middle) / spread
    origin = start * spread
    origin[0] += float(middle @ start)
    price = PRICE / len(seen.answered)

    def loss(point: Array) -> tuple[float, Array]:
        odds, away = scaled @ point, point - origin
        slope = scaled.T @ (1 / (1 + np.exp(-odds)) - answered) / len(odds)
        return float((np.logaddexp(0, odds) - answered * odds).mean() + price * away @ away), slope + 2 * price * away

    found = minimize(loss, origin, jac=True, method="L-BFGS-B", bounds=[(None, None), *[(0.0, None)] * 3])
    numbers = np.asarray(found.x, np.float64) / spread
    numbers[0] -= float(middle @ numbers)
    return replace(weights, **{name: round(float(value), 3) for name, value in zip(NAMES, numbers, strict=True)})


def quality(seen: Signs, weights: Weights) -> Quality:
    """How good the confidence of these packets is by these weights; both kinds of questions have to be among them."""
    odds = np.nan_to_num(seen.columns @ _numbers(weights), nan=-np.inf)  # an empty packet has no confidence at all
    sure = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
    sure = np.where(np.isneginf(odds), 0.0, sure)
    right = np.broadcast_to(seen.answered[:, None], sure.shape)
    bounded = np.clip(sure, _EDGE, 1 - _EDGE)
    losses = -np.log(np.where(right, bounded, 1 - bounded)).mean(axis=1)
    return Quality(losses, _auroc(sure, seen.answered), _ece(sure.ravel(), right.ravel()))


def better(before: Quality, after: Quality) -> Difference:
    """By how much the log-loss falls, with the range that it lies in; above 0 is better."""
    return difference(-before.losses, -after.losses)


def _numbers(weights: Weights) -> Array:
    values = asdict(weights)
    return np.array([values[name] for name in NAMES], np.float64)


def _auroc(sure: Array, answered: NDArray[np.bool_]) -> float:
    """The mean over budgets of the area under the ROC curve; equals count half."""
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # as above

    ranks = rankdata(sure, axis=0)[answered].sum(axis=0)
    yes, no = int(answered.sum()), int((~answered).sum())
    return float(((ranks - yes * (yes + 1) / 2) / (yes * no)).mean())


def _ece(sure: Array, right: NDArray[np.bool_]) -> float:
    """The expected calibration error (Guo et al. 2017, "On calibration of modern neural networks")."""
    place = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, weights=sure - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(sure))
