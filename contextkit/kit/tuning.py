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
from typing import TYPE_CHECKING

from contextkit.catalog import Catalog
from contextkit.errors import InputError, ReadOnlyIndex
from contextkit.kit.upkeep import Upkeep
from contextkit.kit.wiring import Wiring
from contextkit.retrieval.weights import Provenance, adopt, own
from contextkit.sync import Progress

if TYPE_CHECKING:
    from contextkit.context.build import Reader
    from contextkit.evaluation.fit import Fitted
    from contextkit.evaluation.questions import Judged
    from contextkit.evaluation.report import TuningReport
    from contextkit.evaluation.tuning import Compared, Parts


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
        `reembed`. Otherwise all stays as it is, and the report says so with the figures.

        Args:
            questions: judged questions, or a file of them: JSON lines with `question` and `gold`, see `evaluation.questions`.
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
        from contextkit.evaluation.tuning import compared, fitted, report
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
        if made.verdict is not Verdict.ADOPTED or dry_run:
            return made
        return made.model_copy(update={"file": str(self._adopt(found, parts, judged, budgets))})

    def _adopt(self, found: Fitted, parts: Parts, judged: Compared, budgets: tuple[int, ...]) -> Path:
        """Writes the fitted weights as the index's own; what was fitted before and is not now stays."""
        identity = self.catalog.identity.embedder
        with self.catalog.writing("tune", wait=self._wait):
            known = own(self.catalog.folder, identity.digest)
            names = (*found.names, *(name for name in (known.numbers if known else ()) if name not in found.names))
            at = " and ".join(map(str, budgets)) if len(budgets) < 3 else f"{budgets[0]} to {budgets[-1]}"
            provenance = Provenance(
                of=names,
                how="contextkit tune: fitted to one half of the judged questions, judged by the other",
                objective=f"smoothed evidence in packets of {at} tokens",
                questions=len(parts.tune),
                date=datetime.now(UTC).date().isoformat(),
                embedder=identity.name,
                digest=identity.digest,
                figures={
                    f"evidence on {len(parts.judge)} held-out questions before": round(100 * float(judged.before.mean()), 2),
                    "after": round(100 * float(judged.after.mean()), 2),
                },
            )
            path = adopt(self.catalog.folder, found.weights, provenance)
        self.weights = None  # read anew
        return path

    def _train(
        self, reader: Reader, parts: Parts, budgets: tuple[int, ...], out: Path, progress: Progress | None
    ) -> TuningReport:
        from contextkit.embedding import LocalEmbedder
        from contextkit.evaluation.finetune import check_new, examples, train
        from contextkit.evaluation.report import Verdict
        from contextkit.evaluation.tuning import compared, report, teller
        from contextkit.tokens import counter_for

        model = self.embedder
        if not isinstance(model, LocalEmbedder):
            raise InputError(
                f"the embedder {model.info.name!r} is no model on this machine and cannot be trained: tune the weights instead, "
                "or re-embed the index with a local model first"
            )
        check_new(out)
        learn = examples(reader, model.info, parts.tune, teller(progress, "collect", len(parts.tune)))
        train(model.path, out, learn, tell=progress)
        counter = counter_for(None)
        with tempfile.TemporaryDirectory(prefix="contextkit-tune-") as work:
            folder = _copied(self.catalog, Path(work) / "index")
            with Upkeep(Catalog.open(folder), model, weights=self._weights) as copy:
                copy.reembed(LocalEmbedder(out), progress=progress)
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
