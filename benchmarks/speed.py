"""Speed: folders indexed end to end beside a peer, start-up, and a warm packet from 20,000 chunks.

    python benchmarks/speed.py ../shared/bench [--part ingest --part start --part packet] [--rounds 3] [--json NAME]

- ingest: a folder of files to a saved index, each time in a whole fresh process, its imports and the loading of the weights too;
  contextkit with each back-end and LangChain + FAISS by its tutorial take turns. Beside the seconds stand the processor seconds
  of all processes, which other programs disturb less. `--every N` takes every N-th file alone, for every system the same.
- start: wall time of fresh processes: bare interpreter, `import contextkit`, `contextkit --help`, a cold `contextkit context`
  with each back-end.
- packet: what a context of 1,024 tokens takes beyond embedding the question. The index is made once, from the texts of four cases
  and copies of them with every twelfth word changed, and kept in benchmarks/work/ (`--rebuild` makes it anew).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common import bench_folder, load_case, table, write
from peers import DRIVER, PYTHON, environment, weights

import contextkit as ck
from contextkit.embedding.encoders import BACKENDS
from contextkit.tokens import counter_for

WORK = Path(__file__).parent / "work"
CORPORA = ("covidqa", "clapnq", "nq_passages", "locomo_dev")
BUDGET = 1024
_EVERY = 12  # words between two changed ones in a copy
_SEED = 11
_STARTS = 7
_SUM = "retrieve"  # this stage of a receipt holds the others of the search

# What a user would write, run as a process of its own: an index folder, a folder of documents, a pattern, and what embeds.
OWN = """
import json, sys
import contextkit as ck
index, folder, pattern, kind = sys.argv[1:]
embedder = "instant" if kind == "instant" else None
if kind == "float32":
    from contextkit.embedding import LocalEmbedder
    embedder = LocalEmbedder(precision="float32", backend="torch")
with ck.open(index, embedder=embedder, backend=kind if kind in ("openvino", "torch") else "auto") as kit:
    report = kit.sync(folder, glob=pattern)
    found = {"documents": report.added, "failed": report.failed, "chunks": kit.info().chunks}
    print(json.dumps({**found, "backend": kit.embedder.info.backend}))
"""
KINDS = {
    "auto": "contextkit",
    "openvino": "contextkit openvino",
    "torch": "contextkit torch",
    "float32": "contextkit torch float32",
    "instant": "contextkit instant",
}


def timed(command: Sequence[str]) -> tuple[float, str]:
    """(seconds of a whole process, what it printed); ends the program where the process fails."""
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} ... ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds, done.stdout


# ------------------------------------------------------------------------------------------------------------------------ ingest


FOLDERS = ("covidqa", "fastapi_docs")


def ingest(folder: Path, python: Path, rounds: int, corpora: Sequence[str], kinds: Sequence[str], every: int) -> dict[str, Any]:
    """The corpora, each indexed by each system in turn; float32 on the smaller one alone, for it takes long."""
    out = {}
    with tempfile.TemporaryDirectory() as work:
        if "covidqa" in corpora:
            texts = Path(work) / "covidqa"
            texts.mkdir()
            for document in load_case(folder, "covidqa")[0][::every]:
                (texts / f"{document['id']}.txt").write_text(document["text"], encoding="utf-8")
            out["covidqa"] = compared(texts, "*.txt", python, rounds, kinds)
        if "fastapi_docs" in corpora:
            source = sample(folder / "fastapi_docs", "*.md", every, Path(work) / "fastapi_docs")
            out["fastapi_docs"] = compared(source, "*.md", python, rounds, [k for k in kinds if k != "float32"])
    return out


def sample(source: Path, pattern: str, every: int, target: Path) -> Path:
    """A copy of every N-th file that matches, in the order of their paths; the folder itself where it is every one."""
    if every == 1:
        return source
    for path in sorted(source.rglob(pattern))[::every]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return target


def compared(source: Path, pattern: str, python: Path, rounds: int, kinds: Sequence[str]) -> dict[str, Any]:
    """Medians over the rounds; the systems take turns, and every second round goes backwards."""
    seconds: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    told: dict[str, dict[str, Any]] = {}
    for n in range(rounds):
        order = systems(source, pattern, python, kinds)
        for name, command in order[:: -1 if n % 2 else 1]:
            with tempfile.TemporaryDirectory() as index:
                before = os.times()
                took, printed = timed(command(str(Path(index) / "index")))
                after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            print(f"{source.name}: {name} in {took:.1f} s, {used:.1f} s of processors", file=sys.stderr)
            seconds.setdefault(name, []).append(round(took, 2))
            processor.setdefault(name, []).append(round(used, 2))
            told[name] = json.loads(printed.strip().splitlines()[-1])
    tokens = tokens_of(source, pattern)
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    usual = {name: statistics.median(s) for name, s in processor.items()}
    base, base_processor = medians.get("langchain"), usual.get("langchain")
    return {
        "tokens": tokens,
        "systems": {
            name: {
                **told[name],
                "seconds": round(medians[name], 2),
                "all_seconds": seconds[name],
                "processor_seconds": round(usual[name], 2),
                "tokens_per_second": round(tokens / medians[name]),
                "times_langchain": None if base is None else round(base / medians[name], 2),
                "times_langchain_processor": None if base_processor is None else round(base_processor / usual[name], 2),
            }
            for name in seconds
        },
    }


def systems(source: Path, pattern: str, python: Path, kinds: Sequence[str]) -> list[tuple[str, Callable[[str], list[str]]]]:
    """Each system's name and its command for an index folder; without the peers' interpreter only contextkit."""

    def own(kind: str) -> Callable[[str], list[str]]:
        return lambda index: [sys.executable, "-c", OWN, index, str(source), pattern, kind]

    def peer(index: str) -> list[str]:
        return [str(python), str(DRIVER), "ingest", weights(), str(source), f"**/{pattern}", index]

    out = [(KINDS[kind], own(kind)) for kind in kinds]
    return [*out, ("langchain", peer)] if python.is_file() else out


def tokens_of(source: Path, pattern: str) -> int:
    """The cl100k_base tokens of a folder's files."""
    counter = counter_for(None)
    return sum(counter.count(p.read_text(encoding="utf-8")) for p in sorted(source.rglob(pattern)))


# ------------------------------------------------------------------------------------------------------------------------- start


def start() -> dict[str, float]:
    """Median milliseconds of fresh processes; the index of the cold context holds a few documents."""
    script = Path(sys.executable).parent / "contextkit"
    program = [str(script)] if script.is_file() else [sys.executable, "-m", "contextkit"]
    with tempfile.TemporaryDirectory() as work:
        index = str(Path(work) / "index")
        with ck.open(index) as kit:
            kit.add([ck.Document(id=f"note-{n}", text=f"Parcel {n} waits in room {n + 100}, shelf {n % 7}.") for n in range(20)])
        commands = {
            "bare interpreter": [sys.executable, "-c", "pass"],
            "import contextkit": [sys.executable, "-c", "import contextkit"],
            "contextkit --help": [*program, "--help"],
        }
        asked = [*program, "context", "Where does parcel 9 wait?", "--index", index, "--budget", "256"]
        for backend in BACKENDS if find_spec("openvino") else BACKENDS[1:]:
            commands[f"contextkit context, {backend}"] = ["env", f"CONTEXTKIT_BACKEND={backend}", *asked]
        took: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(_STARTS):
            for name, command in commands.items():
                took[name].append(1000 * timed(command)[0])
    return {name: round(statistics.median(values), 1) for name, values in took.items()}


# ------------------------------------------------------------------------------------------------------------------------ packet


def varied(text: str, words: Sequence[str], draw: random.Random) -> str:
    """The text with about every twelfth word exchanged for one of `words`; line breaks stay."""
    parts = text.split(" ")
    for at in range(draw.randrange(_EVERY), len(parts), _EVERY):
        if parts[at].isalpha():
            parts[at] = draw.choice(words)
    return " ".join(parts)


def corpus(folder: Path) -> Iterator[list[ck.Document]]:
    """Endless rounds of documents: the texts as they are, then copies that differ."""
    docs = [(f"{case}/{d['id']}", d["text"], d.get("title", "")) for case in CORPORA for d in load_case(folder, case)[0]]
    words = sorted({w for _, text, _ in docs for w in text.split() if w.isalpha()})
    yield [ck.Document(id=i, text=text, title=title) for i, text, title in docs]
    copy = 0
    while True:
        copy += 1
        draw = random.Random(_SEED + copy)
        yield [ck.Document(id=f"{i}/{copy}", text=varied(text, words, draw), title=title) for i, text, title in docs]


def step(have: int, wanted: int) -> int:
    """Of which documents of a round to take one: of each, or of eight where a whole round could go far over what is wanted."""
    return 1 if have < wanted / 2 else 8


def large_index(folder: Path, chunks: int, *, rebuild: bool) -> Path:
    """The index with at least that many chunks, made where it is not there yet."""
    path = WORK / f"chunks-{chunks}"
    if rebuild and path.exists():
        shutil.rmtree(path)
    WORK.mkdir(exist_ok=True)
    with ck.open(path) as kit:
        rounds = corpus(folder)
        while kit.info().chunks < chunks:
            kit.add(next(rounds)[:: step(kit.info().chunks, chunks)])
            print(f"{kit.info().chunks} chunks", file=sys.stderr)
    return path


def packet(folder: Path, chunks: int, questions: int, *, rebuild: bool) -> dict[str, Any]:
    """Milliseconds of warm packets beyond embedding the question, and the medians of the stages."""
    path = large_index(folder, chunks, rebuild=rebuild)
    pool = [q["question"] for case in CORPORA for q in load_case(folder, case)[1][1::2]]
    asked = random.Random(_SEED).sample(pool, questions)
    beyond: list[float] = []
    stages: list[dict[str, float]] = []
    with ck.open(path, create=False) as kit:
        for question in asked[:10]:
            kit.context(question, budget=BUDGET)
        for question in asked:
            begin = time.perf_counter()
            made = kit.context(question, budget=BUDGET)
            whole = 1000 * (time.perf_counter() - begin)
            beyond.append(whole - made.receipt.milliseconds["embed"])
            stages.append(made.receipt.milliseconds)
        held = kit.info().chunks
    return {
        "chunks": held,
        "budget": BUDGET,
        "questions": len(asked),
        "p50_ms": round(statistics.median(beyond), 2),
        "p95_ms": round(statistics.quantiles(beyond, n=20)[18], 2),
        "stages_median_ms": {
            name: round(statistics.median(s.get(name, 0.0) for s in stages), 2) for name in stages[0] if name != _SUM
        },
    }


# -------------------------------------------------------------------------------------------------------------------------- main


def show(results: dict[str, Any]) -> None:
    """Prints the parts that ran."""
    for name, found in results.get("ingest", {}).items():
        print(f"\n{name} indexed end to end ({found['tokens']} tokens), whole processes\n")
        columns = (
            "documents", "chunks", "seconds", "processor_seconds", "tokens_per_second", "times_langchain",
            "times_langchain_processor",
        )  # fmt: skip
        print(table(("system", *columns), [(s, *(f[c] for c in columns)) for s, f in found["systems"].items()]))
    if "start" in results:
        print("\nstart, fresh processes\n\n" + table(("what", "median ms"), list(results["start"].items())))
    if "packet" in results:
        found = results["packet"]
        print(f"\nwarm packet of {found['budget']} tokens from {found['chunks']} chunks, without embedding the question\n")
        stages = found["stages_median_ms"]
        print(table(("p50 ms", "p95 ms", *stages), [(found["p50_ms"], found["p95_ms"], *stages.values())]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--part", action="append", choices=("ingest", "start", "packet"))
    parser.add_argument("--corpus", action="append", choices=FOLDERS, help="of the ingest part; all by default")
    parser.add_argument("--kind", action="append", choices=tuple(KINDS), help="of the ingest part; all but auto by default")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th file alone in the ingest part")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each system in the ingest part")
    parser.add_argument("--chunks", type=int, default=20_000, help="chunks of the index in the packet part")
    parser.add_argument("--questions", type=int, default=200, help="questions of the packet part")
    parser.add_argument("--rebuild", action="store_true", help="make the index of the packet part anew")
    parser.add_argument("--python", type=Path, default=PYTHON, help="the peers' interpreter")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    if args.every < 1:
        parser.error("--every must be at least 1")
    folder = bench_folder(args.folder)
    parts = args.part or ("ingest", "start", "packet")
    results: dict[str, Any] = {"load_before": [round(x, 2) for x in os.getloadavg()]}
    if "ingest" in parts:
        results["ingest"] = ingest(
            folder, args.python, args.rounds, args.corpus or FOLDERS, args.kind or list(KINDS)[1:], args.every
        )  # fmt: skip
        results["every"] = args.every
    if "start" in parts:
        results["start"] = start()
    if "packet" in parts:
        results["packet"] = packet(folder, args.chunks, args.questions, rebuild=args.rebuild)
    show(results)
    if args.json:
        how = f"--rounds {args.rounds} --chunks {args.chunks} --every {args.every}"
        write(args.json, f"python benchmarks/speed.py BENCH {how}", results)


if __name__ == "__main__":
    main()
