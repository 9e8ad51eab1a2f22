"""Selection: what each part of the score is worth, what `fill="enough"` saves, and what several questions in one lose or keep.

    python benchmarks/selection.py ../shared/bench [--half report] [--json NAME]

Every case is indexed once. The ablation switches off one weight at a time; pairs are two questions of a case (and scope), joined
by "and", in a fixed random order. Evidence is scored as in `evidence.py`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from common import bench_folder, load_case, scorer, table, write
from evidence import CASES, documents, half_of

import contextkit as ck
from contextkit.context.build import Reader, Request, deliver, retrieve
from contextkit.retrieval import aspects
from contextkit.retrieval.scoring import Weights
from contextkit.tokens import counter_for

BUDGETS = (256, 1024)
PAIRS = 100
OFF: dict[str, dict[str, float]] = {
    "everything": {},
    "no passage cosine": {"passage": 0.0},
    "no passage words": {"coverage": 0.0},
    "no document words": {"document": 0.0},
    "no dates": {"date": 0.0},
    "no sentence cosine": {"sentence": 0.0},
    "no sentence words": {"sentence_lexical": 0.0},
    "no phrases": {"phrase": 0.0},
    "no first mentions": {"first_mention": 0.0},
    "no speakers": {"speaker": 0.0},
    "no words": {"coverage": 0.0, "document": 0.0, "sentence_lexical": 0.0, "phrase": 0.0, "first_mention": 0.0},
    "no cosines": {"passage": 0.0, "sentence": 0.0},
    "no neighbours": {"neighbour": 0.0},
    "paragraphs as one": {"paragraph": 1.0},
}

Questions = list[dict[str, Any]]


def where_of(question: dict[str, Any]) -> dict[str, str] | None:
    """The filter that a question is asked under."""
    return {"scope": question["scope"]} if "scope" in question else None


def ablation(reader: Reader, questions: Questions, score: ModuleType) -> dict[str, dict[str, float]]:
    """Evidence in percent by what is switched off and budget."""
    counter = counter_for(None)
    out = {}
    for name, off in OFF.items():
        weighed = replace(reader, weights=replace(Weights(), **off))
        held: dict[int, list[float]] = {b: [] for b in BUDGETS}
        for q in questions:
            request = Request(q["question"], BUDGETS[0], None, where_of(q))
            found = retrieve(weighed, request)
            for budget in BUDGETS:
                text = deliver(weighed, replace(request, budget=budget), counter, found).text
                held[budget].append(score.coverage(q["gold_texts"], text))
        out[name] = {str(b): round(100 * statistics.mean(v), 2) for b, v in held.items()}
    return out


def enough(kit: ck.Kit, questions: Questions, score: ModuleType) -> dict[str, dict[str, dict[str, float]]]:
    """Evidence in percent and mean tokens by budget and fill."""
    out: dict[str, dict[str, dict[str, float]]] = {}
    for budget in (1024, 4096):
        out[str(budget)] = {}
        for fill in ("full", "enough"):
            packets = [kit.context(q["question"], budget=budget, where=where_of(q), fill=fill) for q in questions]
            held = [score.coverage(q["gold_texts"], p.text) for q, p in zip(questions, packets, strict=True)]
            out[str(budget)][fill] = {
                "evidence": round(100 * statistics.mean(held), 2),
                "tokens": round(statistics.mean(p.tokens for p in packets), 1),
            }
    return out


@contextmanager
def not_taken_apart() -> Iterator[None]:
    """Every text is one question."""
    kept = aspects.parts
    aspects.parts = lambda text: [text]
    try:
        yield
    finally:
        aspects.parts = kept


def pairs(kit: ck.Kit, questions: Questions, score: ModuleType) -> dict[str, dict[str, float]]:
    """Evidence of both questions in percent, by budget, taken apart and not."""
    shuffled = random.Random(1).sample(questions, len(questions))
    by_scope: dict[str, Questions] = {}
    for q in shuffled:
        by_scope.setdefault(q.get("scope", ""), []).append(q)
    joined = [pair for group in by_scope.values() for pair in zip(group[::2], group[1::2], strict=False)][:PAIRS]

    def measured(budget: int) -> float:
        held = []
        for a, b in joined:
            text = f"{a['question'].rstrip('?. ')} and {b['question']}"
            packet = kit.context(text, budget=budget, where=where_of(a)).text
            held += [score.coverage(a["gold_texts"], packet), score.coverage(b["gold_texts"], packet)]
        return round(100 * statistics.mean(held), 2)

    apart = {str(b): measured(b) for b in (512, 1024, 2048)}
    with not_taken_apart():
        whole = {str(b): measured(b) for b in (512, 1024, 2048)}
    return {"apart": apart, "whole": whole, "pairs": {"number": len(joined)}}


def run(folder: Path, case: str, half: str) -> dict[str, Any]:
    """The figures of one case."""
    docs, questions = load_case(folder, case)
    chosen = [q for q in half_of(questions, half) if q["gold_texts"]]
    score = scorer(folder)
    with tempfile.TemporaryDirectory() as work, ck.open(Path(work) / "index") as kit:
        kit.add(documents(docs))
        return {
            "questions": len(chosen),
            "enough": enough(kit, chosen, score),
            "pairs": pairs(kit, chosen, score),
            "ablation": ablation(kit._reader(), chosen, score),  # noqa: SLF001 - one retrieval serves packets of all budgets
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
        print(f"\n{case}: {found['questions']} questions; enough: {found['enough']}; pairs: {found['pairs']}\n")
        print(table(("evidence, %", *map(str, BUDGETS)), [(n, *v.values()) for n, v in found["ablation"].items()]), flush=True)
    if args.json:
        write(args.json, f"python benchmarks/selection.py BENCH --half {args.half}", results)


if __name__ == "__main__":
    main()
