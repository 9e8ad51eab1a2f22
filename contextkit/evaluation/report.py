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


class Sureness(BaseModel):
    """How good the confidence of packets is, over questions with and without an answer in the index.

    Attributes:
        log_loss: mean over questions; lower is better, and 0.69 is what a confidence of 0.5 for all would have.
        auroc: how often a packet with an answer is surer than one without; 0.5 is chance.
        ece: mean distance between confidence and how often there is an answer, in ten steps of confidence.
    """

    model_config = ConfigDict(frozen=True)

    log_loss: float
    auroc: float
    ece: float


class Calibration(BaseModel):
    """The confidence refitted, judged by the questions that it was not fitted to.

    Attributes:
        verdict: adopted or kept; adopted where the log-loss falls by more than noise.
        reason: the verdict in words.
        answered: questions with an answer that judge.
        unanswered: those without one.
        numbers_before: the numbers as they were, by name.
        numbers_after: the fitted ones.
        before: how good the confidence was.
        after: how good it is with the fitted numbers.
        difference: by how much the log-loss falls.
    """

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    reason: str
    answered: int
    unanswered: int
    numbers_before: dict[str, float]
    numbers_after: dict[str, float]
    before: Sureness
    after: Sureness
    difference: Difference


class TuningReport(BaseModel):
    """What was fitted, what it changes, and what became of it.

    Attributes:
        verdict: adopted or kept.
        reason: the verdict in words, with the figures that decided it.
        what: "weights" or "embedder".
        questions: judged questions that were given, with and without an answer.
        unanswered: of these, questions that the index holds no answer to; the confidence is fitted to them, nothing else.
        weak: of these, questions that were not judged by anybody but taken from receipts.
        skipped: tuning questions of which no candidate holds any gold; nothing can be fitted to them.
        before: the weights as they were, by name; those that were fitted.
        after: the fitted ones; {} for an embedder.
        tuned: evidence on the questions that were fitted to.
        held_out: evidence on the questions that judge.
        difference: of the held-out questions' evidence, the mean over budgets, in points.
        confidence: what became of the packets' confidence; None where too few questions without an answer were given, and for
            an embedder.
        dry_run: whether nothing was to be written, whatever the verdict.
        file: what was written (fitted weights, a fitted confidence or both; the trained embedder), or "".
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
    confidence: Calibration | None = None
    dry_run: bool = False
    file: str = ""
    next: str = ""
    seconds: float = 0.0
