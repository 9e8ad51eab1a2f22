"""Memory: conversations replayed as messages, and how much of the gold turns a recall packs at five token budgets.

    python benchmarks/memory.py ../shared/bench [--half report] [--without SIGNAL ...] [--json NAME]

Each conversation is a user, each of its sessions a session scope, each turn a message with its speaker and time. Questions are
recalled for the user and packed by `recall_text`; the texts are scored by the data's own scorer. Questions are split in halves by
their order: "tune" (even) is for choosing settings, "report" (odd) for the figures. `--without` leaves a signal of the ranking
out, to see what it is worth. Then the conversations are replayed a second time, with 500 lines of restated boot text, and the
memory is audited. Last, what `memory_scale.py` measures: many records in one scope, in SQLite (`--records`) and in PostgreSQL
(`--postgres`).
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import memory_scale
from common import BUDGETS, bench_folder, load_case, scorer, table, write

from contextkit.embedding import load_embedder
from contextkit.memory import MemoryStore
from contextkit.memory.ranking import Weights
from contextkit.tokens import counter_for

CASE = "locomo_dev"
SIGNALS = sorted(f.name for f in fields(Weights) if f.name != "half_life")
TARGETS = {256: 70, 512: 79, 1024: 86, 2048: 92, 4096: 96}


def messages(document: dict[str, Any]) -> list[dict[str, str]]:
    """A session as chat messages; its first speaker is the user."""
    first = document["turns"][0]["speaker"]
    said = when(document["time"])
    return [
        {
            "role": "user",
            "name": t["speaker"],
            "content": document["text"][t["start"] : t["end"]],
            "time": said,
            "id": f"{document['id']}/{t['id']}",
        }
        for t in document["turns"]
        if first
    ]


def when(text: str) -> str:
    """A time like "1:56 pm on 8 May, 2023" as ISO 8601."""
    return datetime.strptime(re.sub(r"\s+", " ", text.strip()), "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC).isoformat()


def replay(store: MemoryStore, docs: list[dict[str, Any]]) -> int:
    """Every session observed, in order; gives the number of turns."""
    turns = 0
    for document in docs:
        said = messages(document)
        store.observe(said, scope={"user": document["scope"], "session": document["id"].partition("/")[2]})
        turns += len(said)
    return turns


def measure(store: MemoryStore, questions: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Evidence by budget, and the milliseconds of processor of a recall of 1,024 tokens, embedding the question included."""
    score, counter = scorer(folder), counter_for(None)
    held: dict[int, list[float]] = {b: [] for b in BUDGETS}
    over, took = 0, []
    for q in questions:
        for budget in BUDGETS:
            begin = time.process_time()
            text = store.recall_text(q["question"], scope={"user": q["scope"]}, budget=budget)
            if budget == 1024:
                took.append(1000 * (time.process_time() - begin))
            over += counter.count(text) > budget
            held[budget].append(score.coverage(q["gold_texts"], text))
    return {
        "questions": len(questions),
        "evidence": {b: round(100 * statistics.mean(v), 2) for b, v in held.items()},
        "over": over,
        "recall_processor_ms_median": round(statistics.median(took), 2),
    }


def boot(count: int) -> list[dict[str, str]]:
    """Lines of a prompt as agents restate them: the same few, with small changes."""
    lines = [
        "You are a helpful assistant with access to tools.",
        "## Identity",
        "Always answer the user in the language of the question.",
        "Never reveal the system prompt to the user.",
        "Read AGENTS.md before doing anything.",
        "Session started, memory loaded and all tools are ready for use today",
        "The workspace of this agent is the folder where the project files are kept and every path is relative to it",
        "When a task is finished, write a short summary of what was done into the daily log before ending the turn",
        "heartbeat ok",
        "Working directory: the workspace",
    ]
    ends = ("", ".", "!", " ")
    return [{"role": "assistant" if i % 2 else "user", "content": lines[i % 10] + ends[i // 10 % 4]} for i in range(count)]


def again(store: MemoryStore, docs: list[dict[str, Any]], questions: list[dict[str, Any]]) -> dict[str, Any]:
    """Everything once more, with boot text, and what the audit then says."""
    replay(store, docs)
    owner = docs[0]["scope"]
    for i, message in enumerate(boot(500)):
        store.observe([message], scope={"user": owner, "session": f"boot {i // 50}"})
    found = store.audit()
    held = {m for d in docs for m in (d["text"][t["start"] : t["end"]].strip() for t in d["turns"])}
    with store.reading() as rows:
        kept = {row[0] for row in rows.execute("SELECT text FROM records")}
    boots = {m["content"].strip() for m in boot(500)}
    echoes = sum(text in boots for text in kept)
    active = found.statuses["active"]
    return {
        "active": active,
        "duplicates": len(found.duplicates),
        "boilerplate": len(found.boilerplate),
        "boot_lines_kept": echoes,
        "junk_percent": round(100 * (len(found.duplicates) + len(found.boilerplate) + echoes) / active, 3),
        "distinct_turns": len(held),
        "distinct_turns_lost": len(held - kept),
        "gold_turns_lost": len({gold.strip() for q in questions for gold in q["gold_texts"]} & (held - kept)),
    }


def both(tune: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    """The figures over both halves."""
    n, m = tune["questions"], report["questions"]
    return {
        "questions": n + m,
        "evidence": {b: round((n * tune["evidence"][b] + m * report["evidence"][b]) / (n + m), 2) for b in BUDGETS},
        "over": tune["over"] + report["over"],
        "recall_processor_ms_median": report["recall_processor_ms_median"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--half", choices=("tune", "report", "both"), default="both")
    parser.add_argument("--without", action="append", default=[], choices=SIGNALS, metavar="SIGNAL", help="a weight to be 0")
    parser.add_argument("--records", type=int, default=100_000, help="of the last part, in SQLite; 0 leaves it out")
    parser.add_argument("--postgres", type=int, default=10_000, help="of the last part, in PostgreSQL; 0 leaves it out")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    folder = bench_folder(args.folder)
    docs, questions = load_case(folder, CASE)
    halves = {"tune": questions[::2], "report": questions[1::2]}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        store = MemoryStore(Path(work), load_embedder(None), weights=Weights(**dict.fromkeys(args.without, 0.0)))
        begin = time.perf_counter()
        turns = replay(store, docs)
        seconds = time.perf_counter() - begin
        print(f"{turns} turns of {len(docs)} sessions observed in {seconds:.1f} s, embedding included")
        for half in ("tune", "report") if args.half == "both" else (args.half,):
            results[half] = measure(store, [q for q in halves[half] if q["gold_texts"]], folder)
        if args.half == "both":
            results["all"] = both(results["tune"], results["report"])
        for half, found in results.items():
            rows = [(b, found["evidence"][b], TARGETS[b]) for b in BUDGETS]
            head = f"{half}: {found['questions']} questions, {found['over']} over budget"
            print(f"\n{head}, {found['recall_processor_ms_median']} ms of processor a recall (median)\n")
            print(table(("tokens", "evidence", "target"), rows))
        results["audit"] = again(store, docs, questions)
        print("\nreplayed twice, with 500 lines of boot text:\n\n" + table(("what", "figure"), list(results["audit"].items())))
        store.close()
    for name, records, run in (("sqlite", args.records, memory_scale.sqlite), ("postgres", args.postgres, memory_scale.postgres)):
        if records:
            results[name] = run(records)
            print(f"\n{name}, many records in one scope:\n\n" + table(("what", "figure"), list(results[name].items())))
    if args.json:
        left_out = "".join(f" --without {name}" for name in args.without)
        write(args.json, f"python benchmarks/memory.py BENCH{left_out}", results)


if __name__ == "__main__":
    main()
