"""Memory: conversations replayed as messages, and how much of the gold turns a recall packs at five token budgets.

    python benchmarks/memory.py ../shared/bench [--half report] [--json NAME]

Each conversation is a user, each of its sessions a session scope, each turn a message with its speaker and time. Questions are
recalled for the user and packed by `recall_text`; the texts are scored by the data's own scorer. Questions are split in halves by
their order: "tune" (even) is for choosing settings, "report" (odd) for the figures. Then the conversations are replayed a second
time, with 500 lines of restated boot text, and the memory is audited.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import BUDGETS, bench_folder, load_case, scorer, table, write

from contextkit.embedding import load_embedder
from contextkit.memory import MemoryStore
from contextkit.tokens import counter_for

CASE = "locomo_dev"
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
    """Evidence by budget, and the milliseconds of a recall of 1,024 tokens."""
    score, counter = scorer(folder), counter_for(None)
    held: dict[int, list[float]] = {b: [] for b in BUDGETS}
    over, took = 0, []
    for q in questions:
        for budget in BUDGETS:
            begin = time.perf_counter()
            text = store.recall_text(q["question"], scope={"user": q["scope"]}, budget=budget)
            if budget == 1024:
                took.append(1000 * (time.perf_counter() - begin))
            over += counter.count(text) > budget
            held[budget].append(score.coverage(q["gold_texts"], text))
    return {
        "questions": len(questions),
        "evidence": {b: round(100 * statistics.mean(v), 2) for b, v in held.items()},
        "over": over,
        "recall_ms_median": round(statistics.median(took), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--half", choices=("tune", "report", "all", "both"), default="both")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    folder = bench_folder(args.folder)
    docs, questions = load_case(folder, CASE)
    halves = {"tune": questions[::2], "report": questions[1::2], "all": questions}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        store = MemoryStore(Path(work), load_embedder(None))
        begin = time.perf_counter()
        turns = replay(store, docs)
        seconds = time.perf_counter() - begin
        print(f"{turns} turns of {len(docs)} sessions observed in {seconds:.1f} s, embedding included")
        for half in ("report", "all") if args.half == "both" else (args.half,):
            chosen = [q for q in halves[half] if q["gold_texts"]]
            results[half] = found = measure(store, chosen, folder)
            rows = [(b, found["evidence"][b], TARGETS[b]) for b in BUDGETS]
            print(
                f"\n{half}: {found['questions']} questions, {found['over']} over budget, {found['recall_ms_median']} ms a recall\n"
            )
            print(table(("tokens", "evidence", "target"), rows))
        store.close()
    if args.json:
        write(args.json, "python benchmarks/memory.py BENCH", results)


if __name__ == "__main__":
    main()
