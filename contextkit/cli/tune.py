"""`contextkit tune`: the index fitted to judged questions, where that helps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import options, output, session

if TYPE_CHECKING:
    from contextkit.evaluation.report import TuningReport


def register(app: typer.Typer) -> None:
    """Adds the verb of this module."""
    app.command()(tune)


def tune(
    questions: Annotated[
        Path | None,
        typer.Argument(
            metavar="[QUESTIONS]",
            help="Judged questions: JSON lines with question and gold (texts, or document, start, end).",
        ),
    ] = None,
    *,
    from_receipts: Annotated[
        bool, typer.Option("--from-receipts", help="Take questions from receipts of calls reported to have succeeded too.")
    ] = False,
    embedder: Annotated[
        Path | None, typer.Option("--embedder", metavar="OUT", help="Train a copy of the embedder, into this new folder.")
    ] = None,
    budget: Annotated[
        list[int] | None,
        typer.Option("--budget", "-b", metavar="TOKENS", help="Budget of judged packets; may be repeated [256 to 4096]."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Adopt nothing, whatever the verdict.")] = False,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Fit the weights, or the embedder, to judged questions; adopt it only where held-out evidence rises."""
    from contextkit.evaluation.tuning import BUDGETS

    config = session.settings(index=index)
    with session.opened(config, read_only=dry_run) as kit, output.progress() as bars:
        report = kit.tune(
            questions, from_receipts=from_receipts, embedder=embedder, budgets=budget or BUDGETS, dry_run=dry_run, progress=bars
        )
    if json:
        output.print_json(report)
    else:
        _print(report)


def _print(report: TuningReport) -> None:
    screen = output.console()
    if report.after:
        rows = [(name, f"{report.before[name]:g}", f"{after:g}") for name, after in report.after.items()]
        screen.print(output.table("weights", ("", "before", "fitted"), rows, right=("before", "fitted")))
    parts = (("held out", report.held_out), ("fitted to", report.tuned))
    budgets = list(report.held_out.before)
    figures = [
        (f"{name}, {held.questions} questions", when, *(f"{values[b]:.2f}" for b in budgets))
        for name, held in parts
        for when, values in (("before", held.before), ("after", held.after))
    ]
    heads = ("evidence, %", "", *(f"{b:,}" for b in budgets))
    screen.print(output.table("", heads, figures, right=heads[2:]))
    if report.skipped:
        output.note(f"nothing can be fitted to {report.skipped} questions: no candidate holds any of their gold")
    if report.weak:
        output.note(f"{report.weak} of the questions are guesses from receipts")
    output.print_text(output.visible(f"{_verdict(report)}: {report.reason}"))
    _print_confidence(report)
    if report.file:
        output.print_text(output.visible(f"written: {report.file}"))
    if report.next:
        output.print_text(output.visible(f"to use it: {report.next}"))


def _print_confidence(report: TuningReport) -> None:
    """What became of the confidence, or why nothing did."""
    from contextkit.evaluation.report import Verdict
    from contextkit.evaluation.tuning import LEAST

    found = report.confidence
    if found is None:
        if report.unanswered and report.what == "weights":
            output.note(
                f"the confidence is not refitted: {report.unanswered} questions have no answer, and each half needs {LEAST} such"
            )
        return
    rows = [
        (when, f"{sure.log_loss:.3f}", f"{sure.auroc:.3f}", f"{sure.ece:.3f}")
        for when, sure in (("before", found.before), ("after", found.after))
    ]
    asked = f"confidence, {found.answered} held-out questions with an answer, {found.unanswered} without"
    heads = ("log-loss", "AUROC", "calibration error")
    output.console().print(output.table(asked, ("", *heads), rows, right=heads))
    kept = "kept as it was" if found.verdict is Verdict.KEPT else "would be adopted" if report.dry_run else "adopted"
    output.print_text(output.visible(f"{kept}: {found.reason}"))


def _verdict(report: TuningReport) -> str:
    from contextkit.evaluation.report import Verdict

    if report.verdict is Verdict.KEPT:
        return "kept as it was"
    return "would be adopted" if report.dry_run or report.next else "adopted"
