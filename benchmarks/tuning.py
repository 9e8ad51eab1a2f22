"""Tuning: weights fitted by `contextkit.evaluation` against the shipped ones, on left-out corpora and on a corpus's other half.

    python benchmarks/tuning.py ../shared/bench [--questions 150] [--json NAME]

Fits see even-numbered questions alone, every figure is from odd-numbered ones: "left out" was fitted to the other cases, "own"
to the case itself (what `contextkit tune` does), "all" to every case. Evidence is that of real packets, before and after, with
the paired bootstrap range of their difference that decides whether a fit is adopted. The metric is the library's own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import BUDGETS, bench_folder, load_case, table, write
from evidence import CASES, documents, half_of

import contextkit as ck
from contextkit.context.build import Reader
from contextkit.evaluation.fit import Fitted, fit
from contextkit.evaluation.questions import Asked, Judged
from contextkit.evaluation.signals import Listed, collect
from contextkit.evaluation.tuning import Compared, evidence, verdict
from contextkit.retrieval.weights import Weights
from contextkit.tokens import counter_for


def asked(questions: list[dict[str, Any]], half: str, most: int) -> list[Asked]:
    """The first questions of a half that have an answer."""
    found = []
    for q in half_of(questions, half):
        if q["gold_texts"] and len(found) < most:
            where = {"scope": q["scope"]} if "scope" in q else None
            gold = tuple(q["gold_texts"])
            found.append(Asked(Judged(question=q["question"], gold=gold, where=where), gold))
    return found


def joined(lists: Sequence[Listed]) -> Listed:
    """The candidates of several cases as one."""
    ends = np.cumsum([0, *(len(one.gain) for one in lists)])
    arrays = {name: np.concatenate([getattr(one, name) for one in lists]) for name in ("columns", "follows", "gain", "tokens")}
    first = np.concatenate([one.first + end for one, end in zip(lists, ends, strict=False)])
    return Listed(**arrays, first=first, skipped=sum(one.skipped for one in lists))


def judged(reader: Reader, questions: Sequence[Asked], before: np.ndarray, found: Fitted) -> dict[str, Any]:
    """The figures of fitted weights on questions that the fit did not see."""
    counter = counter_for(None)
    compared = Compared(before, evidence(replace(reader, weights=found.weights), questions, BUDGETS, counter))
    held, difference = compared.held(BUDGETS), compared.difference().rounded()
    return {
        "weights": {name: getattr(found.weights, name) for name in found.names},
        "price": found.price,
        "before": held.before,
        "after": held.after,
        "difference": difference.model_dump(),
        "verdict": str(verdict(difference)[0]),
    }


def run(folder: Path, cases: Sequence[str], most: int, keep: Path | None) -> dict[str, Any]:
    """The figures of all cases; `keep`, where given, holds the indexes and has them again next time."""
    counter = counter_for(None)
    lists: dict[str, Listed] = {}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        kits, report = {}, {}
        for case in cases:
            docs, questions = load_case(folder, case)
            kits[case] = kit = ck.open((keep or Path(work)) / case)
            kit.add(documents(docs))
            tune, report[case] = asked(questions, "tune", most), asked(questions, "report", most)
            lists[case] = collect(kit._reader(), tune, counter)  # noqa: SLF001 - signals of all candidates, which no verb gives
            print(f"{case}: {len(tune)} questions to fit to, {len(report[case])} to judge by", flush=True)
        everything = fit(joined(list(lists.values())), Weights(), BUDGETS)
        for case in cases:
            others = [lists[c] for c in cases if c != case]
            fits = {"left out": fit(joined(others), Weights(), BUDGETS)} if others else {}
            fits |= {"own": fit(lists[case], Weights(), BUDGETS), "all": everything}
            reader = kits[case]._reader()  # noqa: SLF001 - as above
            before = evidence(reader, report[case], BUDGETS, counter)
            results[case] = {
                "fitted_to": len(lists[case].first),
                "questions": len(report[case]),
                **{name: judged(reader, report[case], before, found) for name, found in fits.items()},
            }
            show(case, results[case])
        for kit in kits.values():
            kit.close()
    rises = [results[case]["left out"]["verdict"] == "adopted" for case in cases if "left out" in results[case]]
    return {"cases": results, "shipped": "adopted" if rises and all(rises) else "kept"}


def show(case: str, found: dict[str, Any]) -> None:
    """Prints the figures of a case."""
    fits = {name: value for name, value in found.items() if isinstance(value, dict)}
    rows = [("as shipped", *next(iter(fits.values()))["before"].values(), "")]
    for name, one in fits.items():
        d = one["difference"]
        rows.append((name, *one["after"].values(), f"{d['mean']:+.2f} ({d['low']:+.2f} to {d['high']:+.2f})"))
    print(f"\n{case}: {found['questions']} held-out questions\n")
    print(table(("evidence, %", *map(str, BUDGETS), "difference"), rows))
    for name, one in fits.items():
        print(f"{name}: {one['weights']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--questions", type=int, default=150, help="most questions of each half of a case")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the indexes there for the next run")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    results = run(bench_folder(args.folder), args.case or CASES, args.questions, args.keep)
    print(f"\nshipped weights: {results['shipped']}")
    if args.json:
        write(args.json, f"python benchmarks/tuning.py BENCH --questions {args.questions}", results)


if __name__ == "__main__":
    main()
