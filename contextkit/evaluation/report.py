"""What a run of tuning found: the records that the library gives back and the command line prints."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from contextkit.evaluation.comparison import Difference


class Verdict(StrEnum):
    """What became of what was fitted.

    Attributes:
        ADOPTED: evidence on the held-out questions rose by more than noise; it is in use, or one command away.
        KEPT: it did not; all is as it was.
    """

    ADOPTED = "adopted"
    KEPT = "kept"


class Held(BaseModel):
    """The evidence that packets of some questions hold, in percent by budget.

    Attributes:
        questions: how many.
        before: as it was.
        after: with what was fitted.
    """

    model_config = ConfigDict(frozen=True)

    questions: int
    before: dict[int, float]
    after: dict[int, float]


class TuningReport(BaseModel):
    """What was fitted, what it changes, and what became of it.

    Attributes:
        verdict: adopted or kept.
        reason: the verdict in words, with the figures that decided it.
        what: "weights" or "embedder".
        questions: judged questions that were given, with and without an answer.
        unanswered: of these, questions that the index holds no answer to; they are left out.
        weak: of these, questions that were not judged by anybody but taken from receipts.
        skipped: tuning questions of which no candidate holds any gold; nothing can be fitted to them.
        before: the weights as they were, by name; those that were fitted.
        after: the fitted ones; {} for an embedder.
        tuned: evidence on the questions that were fitted to.
        held_out: evidence on the questions that judge.
        difference: of the held-out questions' evidence, the mean over budgets, in points.
        dry_run: whether nothing was to be written, whatever the verdict.
        file: what was written, or "".
        next: the command that puts it to use where that is left to the user, or "".
        seconds: it took.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    reason: str
    what: str
    questions: int
    unanswered: int
    weak: int
    skipped: int
    before: dict[str, float]
    after: dict[str, float]
    tuned: Held
    held_out: Held
    difference: Difference
    dry_run: bool = False
    file: str = ""
    next: str = ""
    seconds: float = 0.0
