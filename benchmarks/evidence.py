"""Evidence: how much of the gold text of each question is inside the packed context, at five token budgets.

    python benchmarks/evidence.py ../shared/bench [--case covidqa ...] [--half report] [--json NAME]

Every case is indexed by the library as a user would, and every question is packed at every budget; the contexts are scored by the
data's own scorer. Questions are split in halves by their order: "tune" (even) is for choosing settings, "report" (odd) for the
figures; "all" is both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from common import BUDGETS, bench_folder, load_case, scorer, table, write

import contextkit as ck
from contextkit.retrieval.scoring import Weights
from contextkit.tokens import counter_for

CASES = ("covidqa", "clapnq", "locomo_dev")


def documents(docs: list[dict[str, Any]]) -> list[ck.Document]:
    """The case's documents as a user would hand them over."""
    keep = ("scope", "time")
    return [
        ck.Document(id=d["id"], text=d["text"], title=d.get("title", ""), metadata={k: d[k] for k in keep if k in d})
        for d in docs
    ]


def half_of(questions: list[dict[str, Any]], half: str) -> list[dict[str, Any]]:
    """The questions of one half; all of them for "all"."""
    return {"tune": questions[::2], "report": questions[1::2], "all": questions}[half]


def measure(kit: ck.Kit, questions: list[dict[str, Any]], score: ModuleType) -> tuple[dict[int, dict[str, float]], list[float]]:
    """Per budget the scores, and the milliseconds of each packet of 1,024 tokens."""
    counter = counter_for(None)
    rows: dict[int, list[tuple[float, float, int, float]]] = {b: [] for b in BUDGETS}
    took: list[float] = []
    for q in questions:
        where = {"scope": q["scope"]} if "scope" in q else None
        gold = sum(len(score.words(g)) for g in q["gold_texts"])
        for budget in BUDGETS:
            begin = time.perf_counter()
            packet = kit.context(q["question"], budget=budget, where=where)
            if budget == 1024:
                took.append(1000 * (time.perf_counter() - begin))
            tokens = counter.count(packet.text)
            held = score.coverage(q["gold_texts"], packet.text)
            precision = held * gold / max(1, len(score.words(packet.text)))
            rows[budget].append((held, precision, int(tokens > budget or tokens != packet.tokens), tokens / budget))
    return {
        b: {
            "evidence": round(100 * statistics.mean(r[0] for r in rows[b]), 2),
            "complete": round(100 * statistics.mean(r[0] > 0.95 for r in rows[b]), 2),
            "precision": round(100 * statistics.mean(r[1] for r in rows[b]), 2),
            "over": sum(r[2] for r in rows[b]),
            "filled": round(100 * statistics.mean(r[3] for r in rows[b]), 2),
        }
        for b in BUDGETS
    }, took


def abstention(kit: ck.Kit, questions: list[dict[str, Any]]) -> float | None:
    """Area under the ROC curve of the confidence, between questions with an answer here and without; None where all have one."""
    sure: dict[bool, list[float]] = {True: [], False: []}
    for q in questions:
        where = {"scope": q["scope"]} if "scope" in q else None
        sure[bool(q["gold_texts"])].append(kit.context(q["question"], budget=1024, where=where).confidence)
    if not sure[False] or not sure[True]:
        return None
    wins = sum((a > b) + (a == b) / 2 for a in sure[True] for b in sure[False])
    return round(wins / (len(sure[True]) * len(sure[False])), 3)


def run(folder: Path, case: str, half: str, weights: Weights | None = None) -> dict[str, Any]:
    """The figures of one case."""
    docs, questions = load_case(folder, case)
    with tempfile.TemporaryDirectory() as work, ck.open(Path(work) / "index") as kit:
        begin = time.perf_counter()
        kit.add(documents(docs))
        indexed = time.perf_counter() - begin
        if weights is not None:
            kit.weights = weights
        asked = half_of(questions, half)
        chosen = [q for q in asked if q["gold_texts"]]
        kit.context("warm up", budget=1024)
        budgets, took = measure(kit, chosen, scorer(folder))
        chunks, auroc = kit.info().chunks, abstention(kit, asked)
    return {
        "questions": len(chosen),
        "chunks": chunks,
        "index_seconds": round(indexed, 2),
        "abstention_auroc": auroc,
        "packet_ms_median": round(statistics.median(took), 2),
        "budgets": budgets,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--half", choices=("tune", "report", "all"), default="report")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    folder = bench_folder(args.folder)
    results = {}
    for case in args.case or CASES:
        results[case] = found = run(folder, case, args.half)
        head = f"{case}: {found['questions']} questions, {found['chunks']} chunks, indexed in {found['index_seconds']} s"
        print(f"\n{head}, packet of 1,024 tokens in {found['packet_ms_median']} ms (median, question embedded)\n")
        if found["abstention_auroc"] is not None:
            print(f"confidence tells questions with an answer from those without: AUROC {found['abstention_auroc']}\n")
        columns = ("evidence", "complete", "precision", "filled", "over")
        print(table(("tokens", *columns), [(b, *(found["budgets"][b][c] for c in columns)) for b in BUDGETS]))
    if args.json:
        write(args.json, f"python benchmarks/evidence.py BENCH --half {args.half}", results)


if __name__ == "__main__":
    main()
