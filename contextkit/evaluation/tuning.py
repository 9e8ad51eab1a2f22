"""Fitting and judging: a fit sees one part of the questions, the other part says whether it is worth anything.

What is measured is the packet that a user gets, at several budgets; receipts are not kept of it. Adopting is the kit's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contextkit.context.build import Reader, pack, retrieve
from contextkit.errors import InputError
from contextkit.evaluation.calibration import NAMES, Quality, Signs, better, calibrated, quality, signs_of
from contextkit.evaluation.comparison import Difference, difference
from contextkit.evaluation.fit import Fitted, fit
from contextkit.evaluation.metric import holder
from contextkit.evaluation.questions import Asked, Judged, held_out, looked_up
from contextkit.evaluation.report import Calibration, Held, Sureness, TuningReport, Verdict
from contextkit.evaluation.signals import collect, request
from contextkit.protocols import TokenCounter
from contextkit.retrieval.weights import Weights

BUDGETS = (256, 512, 1024, 2048, 4096)
LEAST = 20
"""Questions that each part needs: with fewer a mean says nothing."""

Progress = Callable[[str, int, int | None], None]
Tell = Callable[[int], None]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parts:
    """The questions in two parts, those with an answer and those without one.

    Attributes:
        tune: to fit to.
        judge: to judge by.
        weak: how many of all are not judged but taken from receipts.
        none_tune: without an answer, to fit the confidence to.
        none_judge: without an answer, to judge the confidence by.
    """

    tune: list[Asked]
    judge: list[Asked]
    weak: int
    none_tune: list[Asked]
    none_judge: list[Asked]


@dataclass(frozen=True, slots=True)
class Compared:
    """Evidence before and after, float64 (questions, budgets), 0 to 1."""

    before: Array
    after: Array

    def held(self, budgets: Sequence[int]) -> Held:
        """Their means in percent by budget."""

        def means(shares: Array) -> dict[int, float]:
            return {b: round(100 * float(mean), 2) for b, mean in zip(budgets, shares.mean(axis=0), strict=True)}

        return Held(questions=len(self.before), before=means(self.before), after=means(self.after))

    def difference(self) -> Difference:
        """In points, of the mean over budgets."""
        return difference(100 * self.before.mean(axis=1), 100 * self.after.mean(axis=1))


def parted(reader: Reader, questions: Sequence[Judged]) -> Parts:
    """The questions in their two parts. Somebody's judgement goes before guesses from receipts: these judge only where there are
    too few others.

    Raises:
        InputError: too few to judge, or a question's gold is not in the index.
    """
    asked = looked_up(reader.catalog, questions)
    tune = [one for one in asked if not held_out(one.judged.question)]
    judge = [one for one in asked if held_out(one.judged.question)]
    certain = [one for one in judge if not one.judged.weak]
    judge = certain if len(certain) >= LEAST else judge
    if min(len(tune), len(judge)) < LEAST:
        raise InputError(
            f"too few to judge: of {len(asked)} judged questions with an answer {len(tune)} are to fit to and {len(judge)} to "
            f"judge by, {LEAST} of each are needed; judge about {2 * LEAST + 10} or more"
        )
    sides: tuple[list[Asked], list[Asked]] = ([], [])
    for one in questions:
        if not one.gold:
            sides[held_out(one.question)].append(Asked(one, ()))
    return Parts(tune, judge, sum(one.judged.weak for one in asked), *sides)


def checked_budgets(budgets: Sequence[int]) -> tuple[int, ...]:
    """The budgets in order, each once. Raises InputError where there are none, or one is no positive whole number."""
    if not budgets or any(isinstance(b, bool) or not isinstance(b, int) or b < 1 for b in budgets):
        raise InputError(f"budgets are positive whole numbers of tokens, such as 512 and 1024, not {list(budgets)!r}")
    return tuple(sorted(set(budgets)))


def evidence(
    reader: Reader, asked: Sequence[Asked], budgets: Sequence[int], counter: TokenCounter, tell: Tell | None = None
) -> Array:
    """The share of each question's gold in its packet of each budget: float64 (questions, budgets), 0 to 1.

    Packets are made as `Kit.context` makes them; nothing is stored.
    `tell`, where given, is told after each question how many are done.

    Raises:
        BudgetExceeded: a budget is below what one citation needs.
    """
    out = np.zeros((len(asked), len(budgets)))
    for row, one in enumerate(asked):
        held, found = holder(one.gold), retrieve(reader, request(one, budgets[0]))
        for column, budget in enumerate(budgets):
            out[row, column] = held(pack(reader, request(one, budget), counter, found).text)
        if tell is not None:
            tell(row + 1)
    return out


def fitted(
    reader: Reader, parts: Parts, budgets: Sequence[int], counter: TokenCounter, progress: Progress | None = None
) -> tuple[Fitted, int]:
    """(weights fitted to the tuning part, how many of its questions nothing can be fitted to).

    Raises:
        InputError: of no tuning question any gold is among the candidates.
    """
    lists = collect(reader, parts.tune, counter, teller(progress, "collect", len(parts.tune)))
    if not len(lists.first):
        raise InputError(
            f"nothing to fit: of none of the {len(parts.tune)} tuning questions any gold text is found; gold texts have to "
            "stand in the documents word for word"
        )
    return fit(lists, reader.weights, budgets), lists.skipped


def compared(
    before: Reader, after: Reader, asked: Sequence[Asked], budgets: Sequence[int], counter: TokenCounter, *,
    stage: str, progress: Progress | None = None,
) -> Compared:  # fmt: skip
    """The evidence of these questions by the one reader and by the other."""
    total = 2 * len(asked)
    first = evidence(before, asked, budgets, counter, teller(progress, stage, total))
    same = before.weights == after.weights and before.embedder is after.embedder
    second = first if same else evidence(after, asked, budgets, counter, teller(progress, stage, total, len(asked)))
    return Compared(first, second)


def recalibrated(
    reader: Reader, parts: Parts, budgets: Sequence[int], counter: TokenCounter, progress: Progress | None = None
) -> tuple[Weights, Calibration] | None:
    """(the reader's weights with a refitted confidence, what the held-out questions say of it); None where either part has
    fewer than `LEAST` questions without an answer.
    """
    if min(len(parts.none_tune), len(parts.none_judge)) < LEAST:
        return None
    halves = ([*parts.tune, *parts.none_tune], [*parts.judge, *parts.none_judge])
    total = sum(map(len, halves))
    tell = (teller(progress, "confidence", total), teller(progress, "confidence", total, len(halves[0])))
    fit_to, judge_by = (signs_of(reader, one, budgets, counter, t) for one, t in zip(halves, tell, strict=True))
    found = calibrated(fit_to, reader.weights)
    return found, _calibration(judge_by, reader.weights, found)


def _calibration(seen: Signs, before: Weights, after: Weights) -> Calibration:
    """What these questions say of a refitted confidence."""
    old, new = quality(seen, before), quality(seen, after)
    fall = better(old, new)
    adopted = fall.low > 0
    figures = (
        f"log-loss {old.losses.mean():.3f} to {new.losses.mean():.3f} on {fall.questions} held-out questions, {fall.level:.0%} "
        f"range of the fall {fall.low:+.3f} to {fall.high:+.3f}"
    )
    return Calibration(
        verdict=Verdict.ADOPTED if adopted else Verdict.KEPT,
        reason=f"the confidence {'is' if adopted else 'is not'} better by more than noise: {figures}",
        answered=int(seen.answered.sum()),
        unanswered=int((~seen.answered).sum()),
        numbers_before={name: getattr(before, name) for name in NAMES},
        numbers_after={name: getattr(after, name) for name in NAMES},
        before=_sureness(old),
        after=_sureness(new),
        difference=fall.rounded(),
    )


def _sureness(found: Quality) -> Sureness:
    return Sureness(log_loss=round(float(found.losses.mean()), 4), auroc=round(found.auroc, 4), ece=round(found.ece, 4))


def verdict(found: Difference) -> tuple[Verdict, str]:
    """Adopted where the held-out evidence rises by more than noise, and the figures in words."""
    spread = f"{found.level:.0%} range {found.low:+.2f} to {found.high:+.2f}"
    figures = f"{found.mean:+.2f} points on {found.questions} held-out questions, {spread}"
    if found.low > 0:
        return Verdict.ADOPTED, f"evidence rises by more than noise: {figures}"
    if found.mean > 0:
        return Verdict.KEPT, f"evidence does not rise by more than noise: {figures}"
    return Verdict.KEPT, f"evidence does not rise: {figures}"


def report(what: str, parts: Parts, tuned: Compared, judged: Compared, budgets: Sequence[int]) -> TuningReport:
    """The report of what was compared, with its verdict."""
    found = judged.difference()
    decided, reason = verdict(found)
    unanswered = len(parts.none_tune) + len(parts.none_judge)
    return TuningReport(
        verdict=decided, reason=reason, what=what, questions=0, unanswered=unanswered, weak=parts.weak, skipped=0,
        before={}, after={}, tuned=tuned.held(budgets), held_out=judged.held(budgets), difference=found.rounded(),
    )  # fmt: skip


def teller(progress: Progress | None, stage: str, total: int, before: int = 0) -> Tell | None:
    """What tells of a stage's questions, one by one; None where nobody is to be told."""
    return None if progress is None else lambda done: progress(stage, before + done, total)
