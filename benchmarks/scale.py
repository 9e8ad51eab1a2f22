"""Scale: a million vectors in the index, and a warm packet from 100,000 chunks, both on vectors of real text.

    python benchmarks/scale.py ../shared/bench [--part vectors --part packet] [--vectors 1000000] [--chunks 100000] [--json scale]

The vectors are made by the `instant` embedder (a table distilled from the packaged model), so that so many can be made.

- vectors: windows of sentences recombined from the texts of four cases (one to three sentences that follow each other, one or two
  from elsewhere, half the time from the same document), filled into the default index; half the cases' real questions ask. One
  thread. The recall is that of the 10 nearest, and of the 100 that a packet chooses from, rescored with the vectors themselves as
  `contextkit.catalog.Vectors` does, against a full scan in float32; times are those of asking for 100. Memory is that of a fresh
  process that has loaded the index from its file and answered the questions: all that is resident, and what of it is the
  process's own (the rest are pages of the file, which is mapped). Building is from vectors to a file that was read again.
- packet: what a context of 1,024 tokens takes beyond embedding the question, from the texts and copies of them with every twelfth
  word changed.

Wall time and, beside it, time of the processor (all threads), which other programs disturb less. Vectors and indexes are kept in
benchmarks/work/ (`--rebuild` makes them anew). `--json` keeps what the file has of a part that was not run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import RESULTS, bench_folder, load_case, table, write
from speed import BUDGET, CORPORA, WORK, corpus, step

import contextkit as ck
from contextkit.embedding.instant import InstantEmbedder
from contextkit.indexes.faiss_index import FaissIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 11
_BATCH = 4_000
_K, _MORE = 100, 25  # neighbours wanted, and how many more are rescored
_FEW = 10
_SUM = "retrieve"  # this stage of a receipt holds the others of the search
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")

# A fresh process: the index from its file, one thread, every question alone.
ASK = """
import json, re, sys, time
from pathlib import Path
import faiss, numpy as np
from contextkit.indexes.faiss_index import FaissIndex
path, asked, out, k = Path(sys.argv[1]), np.load(sys.argv[2]), sys.argv[3], int(sys.argv[4])
faiss.omp_set_num_threads(1)
begin = time.perf_counter()
index = FaissIndex.load(path, asked.shape[1])
loaded = time.perf_counter() - begin
found, wall, thread = [], [], []
for question in asked[:20]:
    index.search(question[None], k)
for question in asked:
    w, t = time.perf_counter(), time.thread_time()
    found.append(index.search(question[None], k)[0][0])
    thread.append(1000 * (time.thread_time() - t))
    wall.append(1000 * (time.perf_counter() - w))
np.save(out, np.array(found))
status = Path("/proc/self/status").read_text()
memory = {name: int(re.search(name + r":\\s+(\\d+) kB", status)[1]) / 1e3 for name in ("VmRSS", "VmHWM", "RssAnon")}
print(json.dumps({"load_seconds": loaded, "wall": wall, "thread": thread, "resident_mb": memory["VmRSS"],
                  "peak_mb": memory["VmHWM"], "own_mb": memory["RssAnon"], "index": index.describe()}))
"""


# ----------------------------------------------------------------------------------------------------------------------- vectors


def windows(folder: Path) -> Callable[[], str]:
    """Draws texts of two to five sentences, without end."""
    texts = [d["text"] for case in CORPORA for d in load_case(folder, case)[0]]
    documents = [s for text in texts if (s := [part for part in _SENTENCE.split(text) if len(part) > 20])]
    places = [(d, i) for d, sentences in enumerate(documents) for i in range(len(sentences))]
    draw = random.Random(_SEED)

    def window() -> str:
        d, i = draw.choice(places)
        own = documents[d][i : i + draw.randint(1, 3)]
        other = documents[d] if draw.random() < 0.5 else draw.choice(documents)
        return " ".join([*own, *(draw.choice(other) for _ in range(draw.randint(1, 2)))])

    return window


def questions(folder: Path, wanted: int) -> list[str]:
    """Real questions of the cases, drawn evenly."""
    pool = [q["question"] for case in CORPORA for q in load_case(folder, case)[1][1::2]]
    return random.Random(_SEED).sample(pool, min(wanted, len(pool)))


def made_vectors(folder: Path, wanted: int, *, rebuild: bool) -> NDArray[np.float32]:
    """float32 (wanted, dimension), mapped from a file, which is made where it is not there yet."""
    path = WORK / f"vectors-{wanted}.npy"
    if rebuild or not path.is_file():
        embedder, window = InstantEmbedder(), windows(folder)
        draft = path.with_suffix(".new")
        out = np.lib.format.open_memmap(draft, "w+", np.float32, (wanted, embedder.info.dimension))
        for i in range(0, wanted, _BATCH):
            part = out[i : i + _BATCH]
            part[:] = embedder.embed_queries([window() for _ in range(len(part))])
            if not i % (25 * _BATCH):
                print(f"{i} vectors", file=sys.stderr)
        out.flush()
        draft.replace(path)
    found: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return found


def nearest(vectors: NDArray[np.float32], asked: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (q, 100): the scores of the true nearest, best first."""
    best = np.full((len(asked), _K), -np.inf, np.float32)
    for i in range(0, len(vectors), 50_000):
        both = np.concatenate([best, asked @ np.asarray(vectors[i : i + 50_000]).T], axis=1)
        best = -np.sort(np.partition(-both, _K - 1, axis=1)[:, :_K], axis=1)
    return best


def recalls(
    found: NDArray[np.int64], vectors: NDArray[np.float32], asked: NDArray[np.float32], true: NDArray[np.float32]
) -> dict[str, float]:
    """The shares of the 10 and of the 100 true nearest among as many best of what was found, and of the 100 in the worst
    twentieth of the questions; equally near ones are equally right.
    """
    shares: dict[int, list[float]] = {_FEW: [], _K: []}
    for row, question, scores in zip(found, asked, true, strict=True):
        own = np.sort(vectors[np.sort(row[row >= 0])] @ question)[::-1]
        for k, values in shares.items():
            values.append(float(np.sum(own[:k] >= scores[k - 1] - 1e-6)) / k)
    means = {f"recall_at_{k}": round(statistics.mean(values), 4) for k, values in shares.items()}
    return means | {f"recall_at_{_K}_p5": round(statistics.quantiles(shares[_K], n=20)[0], 4)}


def large_vectors(folder: Path, wanted: int, n_questions: int, *, rebuild: bool) -> dict[str, Any]:
    """Build, speed, recall and memory of the default index with so many vectors."""
    WORK.mkdir(exist_ok=True)
    vectors = made_vectors(folder, wanted, rebuild=rebuild)
    asked = InstantEmbedder().embed_queries(questions(folder, n_questions))
    np.save(WORK / "asked.npy", asked)
    path, out = WORK / "scale.faiss", WORK / "found.npy"
    parts = range(0, wanted, _BATCH)
    batches = ((np.arange(i, min(i + _BATCH, wanted), dtype=np.int64), np.asarray(vectors[i : i + _BATCH])) for i in parts)
    begin = time.process_time(), time.perf_counter()
    FaissIndex(vectors.shape[1]).merged(path, batches)
    built = time.process_time() - begin[0], time.perf_counter() - begin[1]
    command = [sys.executable, "-c", ASK, str(path), str(WORK / "asked.npy"), str(out), str(_K + _MORE)]
    told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    found, true = np.load(out), nearest(vectors, asked)
    return {
        **told["index"],
        "questions": len(asked),
        **spread("wall", told["wall"]),
        **spread("processor", told["thread"]),
        **recalls(found, vectors, asked, true),
        "resident_mb": round(told["resident_mb"]),
        "own_mb": round(told["own_mb"]),
        "peak_mb": round(told["peak_mb"]),
        "build_processor_seconds": round(built[0], 1),
        "build_seconds": round(built[1], 1),
        "load_seconds": round(told["load_seconds"], 2),
        "file_mb": round(path.stat().st_size / 1e6),
    }


# ------------------------------------------------------------------------------------------------------------------------ packet


def large_index(folder: Path, chunks: int, *, rebuild: bool) -> Path:
    """The index with at least that many chunks, made where it is not there yet; its vector file is made anew each time."""
    path = WORK / f"instant-{chunks}"
    if rebuild and path.exists():
        shutil.rmtree(path)
    WORK.mkdir(exist_ok=True)
    with ck.open(path, embedder="instant") as kit:
        rounds = corpus(folder)
        while kit.info().chunks < chunks:
            kit.add(next(rounds)[:: step(kit.info().chunks, chunks)])
            print(f"{kit.info().chunks} chunks", file=sys.stderr)
    for name in ("vectors.faiss", "vectors.json"):
        (path / name).unlink(missing_ok=True)
    return path


def packet(folder: Path, chunks: int, n_questions: int, *, rebuild: bool) -> dict[str, Any]:
    """Milliseconds of warm packets beyond embedding the question, and the medians of the stages."""
    path = large_index(folder, chunks, rebuild=rebuild)
    asked = questions(folder, n_questions)
    before = load()
    wall: list[float] = []
    processor: list[float] = []
    stages: list[dict[str, float]] = []
    with ck.open(path, create=False, embedder="instant") as kit:
        for question in asked[:20]:
            kit.context(question, budget=BUDGET)
        for question in asked:
            begin = time.perf_counter(), time.process_time()
            made = kit.context(question, budget=BUDGET)
            end = time.perf_counter(), time.process_time()
            kit.embedder.embed_queries([question])
            embed = time.process_time() - end[1]
            processor.append(1000 * (end[1] - begin[1] - embed))
            wall.append(1000 * (end[0] - begin[0]) - made.receipt.milliseconds["embed"])
            stages.append(made.receipt.milliseconds)
        info = kit.info()
    medians = {name: round(statistics.median(s.get(name, 0.0) for s in stages), 2) for name in stages[0] if name != _SUM}
    return {
        "chunks": info.chunks,
        "index": info.vectors,
        "budget": BUDGET,
        "questions": len(asked),
        "load_before": before,
        **spread("wall", wall),
        **spread("processor", processor),
        "stages_median_ms": medians,
    }


# -------------------------------------------------------------------------------------------------------------------------- main


def load() -> list[float]:
    """How busy the machine is: over 1, 5 and 15 minutes."""
    return [round(x, 2) for x in os.getloadavg()]


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median and the 95th percentile."""
    return {
        f"{name}_p50_ms": round(statistics.median(values), 2),
        f"{name}_p95_ms": round(statistics.quantiles(values, n=20)[18], 2),
    }


def show(results: dict[str, Any]) -> None:
    """Prints the parts that ran."""
    for found in results.get("vectors", []):
        print(f"\n{found['vectors']} vectors, one thread\n")
        print(table(("what", "value"), list(found.items())))
    if "packet" in results:
        found = results["packet"]
        print(f"\nwarm packet of {found['budget']} tokens from {found['chunks']} chunks, without embedding the question\n")
        times = ("wall_p50_ms", "wall_p95_ms", "processor_p50_ms", "processor_p95_ms")
        stages = found["stages_median_ms"]
        print(table((*times, *stages), [(*(found[t] for t in times), *stages.values())]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--part", action="append", choices=("vectors", "packet"))
    parser.add_argument("--vectors", type=int, action="append", help="vectors of the index; may be given several times")
    parser.add_argument("--chunks", type=int, default=100_000, help="chunks of the index in the packet part")
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--rebuild", action="store_true", help="make vectors and indexes anew")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    sizes = args.vectors or [1_000_000]
    if min(sizes) < 1_000:
        parser.error("--vectors must be at least 1,000")
    folder = bench_folder(args.folder)
    parts = args.part or ("vectors", "packet")
    results: dict[str, Any] = {}
    if "vectors" in parts:
        results["vectors"] = [
            {"load_before": load(), **large_vectors(folder, n, args.questions, rebuild=args.rebuild)} for n in sizes
        ]
    if "packet" in parts:
        results["packet"] = packet(folder, args.chunks, args.questions, rebuild=args.rebuild)
    show(results)
    if args.json:
        how = " ".join(f"--vectors {n}" for n in sizes) + f" --chunks {args.chunks} --questions {args.questions}"
        path = RESULTS / f"{args.json}.json"
        kept = json.loads(path.read_text())["results"] if path.exists() else {}
        results = {part: kept[part] for part in ("vectors", "packet") if part in kept} | results
        write(args.json, f"python benchmarks/scale.py BENCH {how}", results)


if __name__ == "__main__":
    main()
