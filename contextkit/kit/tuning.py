"""The verb that fits an index to judged questions: its weights, or an embedder of its own. What is fitted how: `evaluation`."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from contextkit.catalog import Catalog
from contextkit.errors import InputError, ReadOnlyIndex
from contextkit.kit.upkeep import Upkeep
from contextkit.kit.wiring import Wiring
from contextkit.retrieval.weights import Provenance, adopt, own
from contextkit.sync import Progress

if TYPE_CHECKING:
    from contextkit.context.build import Reader
    from contextkit.evaluation.questions import Judged
    from contextkit.evaluation.report import Calibration, TuningReport
    from contextkit.evaluation.tuning import Parts
    from contextkit.retrieval.weights import Weights


class Tuning(Wiring):
    """Fits the index to judged questions."""

    def tune(
        self,
        questions: str | Path | Iterable[Judged] | None = None,
        *,
        from_receipts: bool = False,
        embedder: str | Path | None = None,
        budgets: Sequence[int] = (256, 512, 1024, 2048, 4096),
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> TuningReport:
        """Fits the weights, or a copy of the embedder, to judged questions; adopts what it fitted only where it helps.

        The questions are parted by a hash of their words: one half is fitted to, the other judges. Adopted is what raises the
        evidence in packets of the held-out half by more than noise (the 5th percentile of a paired bootstrap is above 0).
        Weights that are adopted are written into the index's folder and used from then on; an adopted embedder is put to use by
        `reembed`. Otherwise all stays as it is, and the report says so with the figures. Where at least 20 questions of each half
        have no gold, the packets' confidence is refitted too, and adopted by itself where its log-loss on the held-out half falls
        by more than noise.

        Args:
            questions: judged questions, or a file of them: JSON lines with `question` and `gold`, see `evaluation.questions`.
                Empty gold says that the index holds no answer.
            from_receipts: take questions from the receipts of calls that were reported to have succeeded too; they are guesses,
                and judge only where too few others do.
            embedder: a new folder for a trained copy of the index's embedder; None: weights are fitted.
            budgets: of the packets that are judged, which count equally.
            dry_run: nothing is adopted whatever the verdict; a trained embedder is still written to its folder.
            progress: is told the stage, how many are done, and of how many.

        Raises:
            InputError: no questions, too few to judge by, gold that the index does not hold, a budget that cannot work, or an
                embedder that cannot be trained; nothing was changed.
            ReadOnlyIndex: the kit is open for reading, and it is no dry run.
            IndexLocked: another process is writing.
        """
        from contextkit.evaluation.signals import without_budget
        from contextkit.evaluation.tuning import checked_budgets, parted

        self._open_for_work()
        if self.catalog.read_only and not dry_run and embedder is None:
            raise ReadOnlyIndex(f"{self.catalog.folder} is open for reading: weights cannot be adopted; ask for a dry run")
        begin, sizes = time.monotonic(), checked_budgets(budgets)
        given = self._judged(questions, from_receipts=from_receipts)
        reader = without_budget(self._reader())
        parts = parted(reader, given)
        if embedder is None:
            report = self._fit_weights(reader, parts, sizes, dry_run=dry_run, progress=progress)
        else:
            report = self._train(reader, parts, sizes, Path(embedder).expanduser().absolute(), progress)
        return report.model_copy(
            update={"questions": len(given), "dry_run": dry_run, "seconds": round(time.monotonic() - begin, 2)}
        )

    def _judged(self, questions: str | Path | Iterable[Judged] | None, *, from_receipts: bool) -> list[Judged]:
        from contextkit.evaluation import questions as asking

        if questions is None and not from_receipts:
            raise InputError("nothing to tune on: give judged questions, or take them from receipts with outcomes")
        given = asking.read_questions(questions) if isinstance(questions, (str, Path)) else list(questions or ())
        if strangers := [one for one in given if not isinstance(one, asking.Judged)]:
            raise InputError(f"judged questions are of the kind Judged, not {type(strangers[0]).__name__}")
        return given + (asking.from_receipts(self._receipts.told()) if from_receipts else [])

    def _fit_weights(
        self, reader: Reader, parts: Parts, budgets: tuple[int, ...], *, dry_run: bool, progress: Progress | None
    ) -> TuningReport:
        from contextkit.evaluation.report import Verdict
        from contextkit.evaluation.tuning import compared, fitted, recalibrated, report
        from contextkit.tokens import counter_for

        counter = counter_for(None)
        found, skipped = fitted(reader, parts, budgets, counter, progress)
        after = replace(reader, weights=found.weights)
        judged = compared(reader, after, parts.judge, budgets, counter, stage="judge", progress=progress)
        tuned = compared(reader, after, parts.tune, budgets, counter, stage="compare", progress=progress)
        before, new = asdict(reader.weights), asdict(found.weights)
        made = report("weights", parts, tuned, judged, budgets).model_copy(
            update={
                "skipped": skipped,
                "before": {name: before[name] for name in found.names},
                "after": {name: new[name] for name in found.names},
            }
        )
        rises = made.verdict is Verdict.ADOPTED
        # the confidence is that of the packets there will be
        sure = recalibrated(after if rises else reader, parts, budgets, counter, progress)
        made = made.model_copy(update={"confidence": sure and sure[1]})
        adopting = [self._fitted_entry(made, found.names, len(parts.tune), budgets)] if rises else []
        weights = after.weights if rises else reader.weights
        if sure is not None and sure[1].verdict is Verdict.ADOPTED:
            weights = sure[0]
            adopting.append(self._confidence_entry(sure[1], len(parts.tune) + len(parts.none_tune)))
        if dry_run or not adopting:
            return made
        return made.model_copy(update={"file": str(self._adopt(weights, adopting))})

    def _adopt(self, weights: Weights, fitted: Sequence[Provenance]) -> Path:
        """Writes fitted numbers as the index's own; what was fitted before and is not now stays, and where it comes from."""
        fresh = {name for entry in fitted for name in entry.of}
        with self.catalog.writing("tune", wait=self._wait):
            known = own(self.catalog.folder, self.catalog.identity.embedder.digest)
            earlier = [
                entry.model_copy(update={"of": left})
                for entry in (known.provenance if known else ())
                if (left := tuple(name for name in entry.of if name not in fresh))
            ]
            path = adopt(self.catalog.folder, weights, *earlier, *fitted)
        self.weights = None  # read anew
        return path

    def _fitted_entry(self, made: TuningReport, names: tuple[str, ...], questions: int, budgets: tuple[int, ...]) -> Provenance:
        """Where fitted weights come from."""
        at = " and ".join(map(str, budgets)) if len(budgets) < 3 else f"{budgets[0]} to {budgets[-1]}"
        held = made.held_out
        figures = {
            f"evidence on {held.questions} held-out questions before": round(fmean(held.before.values()), 2),
            "after": round(fmean(held.after.values()), 2),
        }
        return self._entry(names, f"smoothed evidence in packets of {at} tokens", questions, figures)

    def _confidence_entry(self, found: Calibration, questions: int) -> Provenance:
        """Where a fitted confidence comes from."""
        figures = {
            f"log-loss on {found.difference.questions} held-out questions before": found.before.log_loss,
            "log-loss after": found.after.log_loss,
            "AUROC": found.after.auroc,
            "expected calibration error": found.after.ece,
        }
        return self._entry(tuple(found.numbers_after), "likelihood of whether the index has an answer", questions, figures)

    def _entry(self, names: tuple[str, ...], objective: str, questions: int, figures: dict[str, float]) -> Provenance:
        identity = self.catalog.identity.embedder
        return Provenance(
            of=names,
            how="contextkit tune: fitted to one half of the judged questions, judged by the other",
            objective=objective,
            questions=questions,
            date=datetime.now(UTC).date().isoformat(),
            embedder=identity.name,
            digest=identity.digest,
            figures=figures,
        )

    def _train(
        self, reader: Reader, parts: Parts, budgets: tuple[int, ...], out: Path, progress: Progress | None
    ) -> TuningReport:
        """Trains beside the folder that is asked for, and puts the model there when it was judged."""
        from contextkit.embedding import LocalEmbedder
        from contextkit.evaluation.examples import examples
        from contextkit.evaluation.finetune import check_installed, new_folder, train
        from contextkit.evaluation.report import Verdict
        from contextkit.evaluation.tuning import compared, report, teller
        from contextkit.tokens import counter_for

        model = self.embedder
        if not isinstance(model, LocalEmbedder):
            raise InputError(
                f"the embedder {model.info.name!r} is no model on this machine and cannot be trained: tune the weights instead, "
                "or re-embed the index with a local model first"
            )
        check_installed()
        counter = counter_for(None)
        with new_folder(out) as draft, tempfile.TemporaryDirectory(prefix="contextkit-tune-") as work:
            learn = examples(reader, model, parts.tune, teller(progress, "collect", len(parts.tune)))
            train(model.path, draft, learn, tell=progress)
            folder = _copied(self.catalog, Path(work) / "index")
            with Upkeep(Catalog.open(folder), model, weights=self._weights) as copy:
                copy.reembed(LocalEmbedder(draft), progress=progress)
                after = replace(copy._reader(), reranking=reader.reranking)  # noqa: SLF001 - a kit like this one
                judged = compared(reader, after, parts.judge, budgets, counter, stage="judge", progress=progress)
                tuned = compared(reader, after, parts.tune, budgets, counter, stage="compare", progress=progress)
        made = report("embedder", parts, tuned, judged, budgets).model_copy(update={"file": str(out)})
        if made.verdict is not Verdict.ADOPTED:
            return made
        return made.model_copy(update={"next": f"contextkit index reembed --embedder {out} --index {self.catalog.folder}"})


def _copied(catalog: Catalog, folder: Path) -> Path:
    """A copy of an index as it is at this moment, whatever is written to it meanwhile; gives its folder."""
    from contextkit.catalog.reader import NAME

    folder.mkdir()
    source = f"{(catalog.folder / NAME).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(source, uri=True)) as here, closing(sqlite3.connect(folder / NAME)) as there:
        here.backup(there)
    return folder
