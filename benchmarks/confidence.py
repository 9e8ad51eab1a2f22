"""The confidence of packets: shipped, refitted to a case's own questions, and to those of the other cases.

    python benchmarks/confidence.py ../shared/bench [--questions 150] [--json NAME]

Half of the questions have no answer that may be seen: those of clapnq as they come; of covidqa every second one is asked of all
papers but the one that answers it, of locomo_dev of the next conversation. Fits see even-numbered questions, every figure is
from odd-numbered ones. What is fitted and compared is what `contextkit tune` fits and compares.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import BUDGETS, bench_folder, load_case, table, write
from evidence import CASES, half_of

import contextkit as ck
from contextkit.evaluation.calibration import NAMES, Quality, Signs, better, calibrated, quality, signs_of
from contextkit.evaluation.questions import Asked, Judged
from contextkit.retrieval.weights import Weights
from contextkit.tokens import counter_for


def documents(docs: list[dict[str, Any]]) -> list[ck.Document]:
    """The case's documents, with what tells where an answer stands."""
    return [
        ck.Document(d["id"], d["text"], d.get("title", ""), metadata={"name": d["id"], "scope": d.get("scope", "")}) for d in docs
    ]


def asked(questions: list[dict[str, Any]], half: str, most: int) -> list[Asked]:
    """Questions of a half, of which every second one has no answer."""
    scopes = sorted({q["scope"] for q in questions if "scope" in q})
    native = any(not q["gold_texts"] for q in questions)
    chosen = half_of(questions, half)
    if native:  # those with an answer stand before those without
        kinds = ([q for q in chosen if q["gold_texts"]], [q for q in chosen if not q["gold_texts"]])
        chosen = [q for pair in zip(*kinds, strict=False) for q in pair]
    out = []
    for number, q in enumerate(chosen[:most]):
        hidden = not native and number % 2 == 1
        where: dict[str, object] | None = None
        if scopes:
            at = scopes.index(q["scope"])
            where = {"scope": scopes[(at + 1) % len(scopes)] if hidden else q["scope"]}
        elif hidden:
            where = {"name": {"$nin": sorted({g["doc"] for g in q["gold"]})}}
        gold = () if hidden else tuple(q["gold_texts"])
        out.append(Asked(Judged(question=q["question"], gold=gold, where=where), gold))
    return out


def joined(seen: Sequence[Signs]) -> Signs:
    """The signs of several cases as one."""
    return Signs(np.concatenate([one.columns for one in seen]), np.concatenate([one.answered for one in seen]))


def figures(found: Quality) -> dict[str, float]:
    """What is printed of a confidence."""
    return {
        "log_loss": round(float(found.losses.mean()), 4),
        "auroc": round(found.auroc, 4),
        "ece": round(found.ece, 4),
    }


def judged(seen: Signs, weights: Weights) -> dict[str, Any]:
    """The figures of fitted numbers on questions that the fit did not see, beside the shipped ones."""
    before, after = quality(seen, Weights()), quality(seen, weights)
    fall = better(before, after)
    return {
        **figures(after),
        "numbers": {name: getattr(weights, name) for name in NAMES},
        "fall": fall.rounded().model_dump(),
        "verdict": "adopted" if fall.low > 0 else "kept",
    }


def run(folder: Path, cases: Sequence[str], most: int, keep: Path | None) -> dict[str, Any]:
    """The figures of all cases; `keep`, where given, holds the indexes and has them again next time."""
    counter, seen = counter_for(None), {}
    with tempfile.TemporaryDirectory() as work:
        for case in cases:
            docs, questions = load_case(folder, case)
            with ck.open((keep or Path(work)) / f"confidence-{case}") as kit:
                kit.add(documents(docs))
                reader = kit._reader()  # noqa: SLF001 - the signs of packets, which no verb gives
                halves = (asked(questions, half, most) for half in ("tune", "report"))
                seen[case] = tuple(signs_of(reader, one, BUDGETS, counter) for one in halves)
            print(f"{case}: {len(seen[case][0].answered)} questions to fit to", flush=True)
    results = {}
    for case, (fit_to, judge_by) in seen.items():
        others = [seen[name][0] for name in cases if name != case]
        results[case] = {
            "questions": len(judge_by.answered),
            "answered": int(judge_by.answered.sum()),
            "shipped": figures(quality(judge_by, Weights())),
            **({"left out": judged(judge_by, calibrated(joined(others), Weights()))} if others else {}),
            "own": judged(judge_by, calibrated(fit_to, Weights())),
        }
    return results


def rows(results: dict[str, Any]) -> list[tuple[str, ...]]:
    """The table's rows."""
    out = []
    for case, found in results.items():
        for number, name in enumerate(name for name in ("shipped", "left out", "own") if name in found):
            one = found[name]
            label = "" if number else f"{case}, {found['questions']} questions"
            end = f"{one['fall']['mean']:+.3f} ({one['fall']['low']:+.3f} to {one['fall']['high']:+.3f})" if "fall" in one else ""
            out.append((label, name, f"{one['log_loss']:.3f}", f"{one['auroc']:.3f}", f"{one['ece']:.3f}", end))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--questions", type=int, default=150, help="most questions of each half of a case")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the indexes there for the next run")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    results = run(bench_folder(args.folder), args.case or CASES, args.questions, args.keep)
    print("\n" + table(("confidence", "fitted to", "log-loss", "AUROC", "ECE", "fall of the log-loss"), rows(results)))
    if args.json:
        write(args.json, f"python benchmarks/confidence.py BENCH --questions {args.questions}", results)


if __name__ == "__main__":
    main()
