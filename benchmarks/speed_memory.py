"""Memory while indexing: the resident memory of a run as its corpus grows.

    python benchmarks/speed_memory.py ../shared/bench [--megabytes 60] [--embedder instant] [--json NAME]

A folder of files of 3 to 200 KB is made from the texts of three cases, every twelfth word exchanged, and indexed in this process.
Memory is sampled every half second: what the process holds itself (`own`: anonymous pages), and with the pages of files that it
has mapped (`resident`: the catalogue's, at most 256 MB of them, and the weights'). `model` is what it holds once the embedder has
embedded something. Parsing runs in processes of its own, whose memory stands beside (`parsers`).
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from common import bench_folder, load_case, table, write
from speed import varied

import contextkit as ck
from contextkit.embedding import load_embedder
from contextkit.types import Chunk

CASES = ("covidqa", "clapnq", "locomo_dev")
_SIZES = (3_000, 20_000, 60_000, 200_000)
_SEED = 5


def corpus(folder: Path, megabytes: float, target: Path) -> int:
    """Writes the files and gives their number."""
    texts = [d["text"] for case in CASES for d in load_case(folder, case)[0]]
    words = sorted({w for text in texts for w in text.split() if w.isalpha()})
    whole, draw, made, number = "\n\n".join(texts), random.Random(_SEED), 0, 0
    while made < megabytes * 1e6:
        size = draw.choice(_SIZES)
        at = draw.randrange(max(1, len(whole) - size))
        text = varied(whole[at : at + size], words, draw)
        (target / f"{number}.txt").write_text(text, encoding="utf-8")
        made, number = made + len(text), number + 1
    return number


def held(process: psutil.Process) -> dict[str, float]:
    """Megabytes of this process and of its children."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    parsers = sum(child.memory_info().rss for child in process.children(recursive=True) if child.is_running())
    resident, own = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))
    return {"resident": round(resident), "own": round(own), "parsers": round(parsers / 1e6)}


def measure(folder: Path, megabytes: float, spec: str) -> dict[str, Any]:
    process, samples, done = psutil.Process(), list[dict[str, float]](), threading.Event()
    embedder = load_embedder(spec)
    embedder.embed_queries(["ready"])
    embedder.embed([Chunk(0, 5, "ready")] * 64)
    chunks = 0

    def tell(stage: str, number: int, _: int | None) -> None:
        nonlocal chunks
        chunks = number if stage == "embed" else chunks

    def watch() -> None:
        while not done.wait(0.5):
            samples.append({"chunks": chunks, **held(process)})

    with tempfile.TemporaryDirectory() as work:
        texts = Path(work) / "texts"
        texts.mkdir()
        files = corpus(folder, megabytes, texts)
        model = held(process)
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        begin = time.perf_counter()
        with ck.open(Path(work) / "index", embedder=embedder) as kit:
            report = kit.sync(texts, progress=tell)
        seconds = time.perf_counter() - begin
        done.set()
        thread.join()
    parts = [samples[round(at * (len(samples) - 1) / 10)] for at in range(11)]
    return {
        "files": files,
        "megabytes": megabytes,
        "embedder": embedder.info.name,
        "backend": embedder.info.backend,
        "chunks": report.embedded,
        "seconds": round(seconds, 1),
        "model": model,
        "peak": {name: max(s[name] for s in samples) for name in ("resident", "own", "parsers")},
        "course": parts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--megabytes", type=float, default=60.0)
    parser.add_argument("--embedder", default="instant")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    found = measure(bench_folder(args.folder), args.megabytes, args.embedder)
    print(f"{found['files']} files, {found['chunks']} chunks with {found['embedder']} in {found['seconds']} s\n")
    head = ("chunks", "resident", "own", "parsers")
    print(table(head, [tuple(part[name] for name in head) for part in found["course"]]))
    print(f"\npeak {found['peak']}, with the model alone {found['model']}")
    if args.json:
        how = f"--megabytes {args.megabytes:g} --embedder {args.embedder}"
        write(args.json, f"python benchmarks/speed_memory.py BENCH {how}", found)


if __name__ == "__main__":
    main()
