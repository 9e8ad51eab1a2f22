"""Bounded memory: what indexing 2 GB of text holds at most, and what asking the index that comes of it holds.

    python benchmarks/bounded.py ../shared/bench [--megabytes 2000] [--embedder instant] [--work FOLDER] [--json bounded]

Thousands of text and Markdown files of 2 KB to 2 MB are made of the sentences of four cases, put together anew so that no two
windows are alike; one file in a thousand megabytes has a hundred, and every fifth paragraph a word of its own, so that the
vocabulary grows with the text as real ones do. One process indexes them as `contextkit index build` does, another opens the index
and asks. Both are watched from here twice a second: `resident` is all that the process holds, `own` what it holds itself
(anonymous pages), the rest are pages of files that it has mapped, which the system takes back when it needs them. Parsing runs in
processes of its own (`parsers`). `model` is the resident memory once the embedder has embedded something; the limit of 1,500 MB
is on what comes on top of it. The memory does not depend on the model, so the quickest one is used.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from common import bench_folder, load_case, table, write
from speed import CORPORA

_SEED = 17
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_SIZES = (2_000, 8_000, 30_000, 100_000, 400_000, 2_000_000)
_OFTEN = (30, 30, 20, 12, 6, 2)
_LARGE = 100_000_000  # bytes of the large files
_EVERY = 1_000_000_000  # so many bytes have one, from 300 MB on
_FOLDER = 400  # files of a folder
LIMIT = 1_500
_STAGES = {"model": "open", "list": "stage", "read": "stage", "embed": "stage", "held": "end", "failed": "end"}

# A process of its own: the model first, then what is measured; tells each step on a line.
INDEX = """
import sys
import contextkit as ck
from contextkit.embedding import load_embedder
from contextkit.types import Chunk
texts, index, spec = sys.argv[1:]
embedder = load_embedder(spec)
embedder.embed_queries(["ready"])
embedder.embed([Chunk(0, 5, "ready")] * 64)
print("model 0", flush=True)
sys.stdin.readline()
def tell(stage, done, _):
    print("fold" if (stage, done) == ("commit", 1) else stage, done, flush=True)
with ck.open(index, embedder=embedder) as kit:
    report = kit.sync(texts, progress=tell)
    print("held", kit.info().chunks, flush=True)
print("failed", report.failed, flush=True)
"""
ASK = """
import sys
import contextkit as ck
from contextkit.embedding import load_embedder
index, questions, spec = sys.argv[1:]
embedder = load_embedder(spec)
embedder.embed_queries(["ready"])
print("model 0", flush=True)
sys.stdin.readline()
asked = open(questions, encoding="utf-8").read().splitlines()
with ck.open(index, create=False, read_only=True, embedder=embedder) as kit:
    for number, question in enumerate(asked, 1):
        packet = kit.context(question, budget=1024)
        assert packet.receipt.tokens <= 1024
        print("ask", number, flush=True)
"""


# ------------------------------------------------------------------------------------------------------------------------ corpus


def paragraphs(folder: Path) -> Callable[[], str]:
    """Draws paragraphs of real sentences in a new order, without end."""
    texts = [d["text"] for case in CORPORA for d in load_case(folder, case)[0]]
    documents = [s for text in texts if (s := [part for part in _SENTENCE.split(text) if len(part) > 20])]
    places = [(d, i) for d, sentences in enumerate(documents) for i in range(len(sentences))]
    draw = random.Random(_SEED)

    def paragraph() -> str:
        out: list[str] = []
        for _ in range(draw.randint(2, 5)):
            d, i = draw.choice(places)
            out += documents[d][i : i + draw.randint(1, 3)]
        if draw.random() < 0.2:
            out.append(f"See case {draw.getrandbits(32):x} for the rest.")
        return " ".join(out)

    return paragraph


def corpus(folder: Path, megabytes: float, target: Path) -> list[int]:
    """Writes the files; the bytes of each, in the order of their paths."""
    draw, paragraph, made, sizes = random.Random(_SEED), paragraphs(folder), 0, list[int]()
    wanted = int(megabytes * 1e6)
    every = min(_EVERY, wanted)
    large = {round((n + 0.5) * every) for n in range(wanted // every)} if wanted >= 3 * _LARGE else set()
    while made < wanted:
        due = {at for at in large if at <= made}
        large -= due
        size = _LARGE if due else draw.choices(_SIZES, _OFTEN)[0]
        markdown = not due and draw.random() < 0.5
        path = target / f"{len(sizes) // _FOLDER:04}" / f"{len(sizes) % _FOLDER:04}.{'md' if markdown else 'txt'}"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            at = 0
            while at < size:
                part = paragraph() + "\n\n"
                if markdown and draw.random() < 0.1:
                    part = f"## {part[: part.find(' ', 40)]}\n\n{part}"
                at += len(part)
                file.write(part)
        sizes.append(path.stat().st_size)
        made += sizes[-1]
    return sizes


def questions(folder: Path, wanted: int) -> list[str]:
    """Real questions of the cases, drawn evenly."""
    pool = [" ".join(q["question"].split()) for case in CORPORA for q in load_case(folder, case)[1][1::2]]
    return random.Random(_SEED).sample(pool, min(wanted, len(pool)))


# ----------------------------------------------------------------------------------------------------------------------- watching


@dataclass
class Watched:
    """A process and what it held from moment to moment."""

    process: subprocess.Popen[str]
    begin: float = field(default_factory=time.perf_counter)
    stage: str = "start"
    done: dict[str, int] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    model: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """One sample; none where the process is gone."""
        try:
            found = held(self.process.pid)
        except (OSError, psutil.NoSuchProcess, KeyError):
            return
        seconds = round(time.perf_counter() - self.begin, 1)
        self.samples.append({"seconds": seconds, "stage": self.stage, **self.done, **found})


def held(pid: int) -> dict[str, float]:
    """Megabytes of a process, and of its children together."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines() if ":" in line)
    parsers = 0
    for child in psutil.Process(pid).children(recursive=True):
        try:
            parsers += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    resident, own = (round(int(lines[name].split()[0]) * 1024 / 1e6, 1) for name in ("VmRSS", "RssAnon"))
    return {"resident": resident, "own": own, "parsers": round(parsers / 1e6, 1)}


def run(code: str, *arguments: str) -> Watched:
    """Runs the code in a process of its own and watches it to its end."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    watched, over = Watched(process), threading.Event()
    assert process.stdout is not None
    assert process.stdin is not None

    def watch() -> None:
        while not over.wait(0.5):
            watched.look()

    thread = threading.Thread(target=watch, daemon=True)
    for line in process.stdout:
        stage, number = line.split()
        watched.stage, watched.done[stage] = stage, int(number)
        if stage == "model":
            watched.model = held(process.pid)
            process.stdin.write("go\n")
            process.stdin.flush()
            watched.begin = time.perf_counter()
            thread.start()
    over.set()
    thread.join()
    if process.wait():
        raise SystemExit(f"the process ended with status {process.returncode}")
    return watched


def peaks(watched: Watched) -> dict[str, dict[str, float]]:
    """The most that was held on top of the model, by stage and in all; `with_parsers` is the most of both at one moment."""
    out: dict[str, dict[str, float]] = {}
    base = watched.model
    for sample in watched.samples:
        own = sample["own"] - base["own"]
        resident = sample["resident"] - base["resident"]
        now = {
            "resident": resident, "own": own, "parsers": sample["parsers"], "with_parsers": resident + sample["parsers"]
        }  # fmt: skip
        stage = _STAGES.get(sample["stage"], sample["stage"])
        for name in (stage, "all"):
            before = out.setdefault(name, dict.fromkeys(now, 0.0))
            out[name] = {key: round(max(before[key], value), 1) for key, value in now.items()}
    return out


def slope(watched: Watched, ends: list[float]) -> dict[str, float]:
    """Megabytes that stay held for each megabyte of text taken in: a line through the least that was held in each tenth of it
    from the second on. What one large file takes for a while is in the peaks.
    """
    rows = [s for s in watched.samples if s["stage"] in ("read", "embed") and s.get("read")]
    text = np.array([ends[s["read"] - 1] for s in rows])
    tenth = np.minimum(text * 10 // ends[-1], 9)
    out = {}
    for name in ("resident", "own"):
        values = np.array([s[name] for s in rows])
        least = [np.flatnonzero(tenth == n)[np.argmin(values[tenth == n])] for n in range(1, 10) if (tenth == n).any()]
        if len(least) > 2:
            out[name] = round(float(np.polyfit(text[least], values[least], 1)[0]), 4)
    return out


# -------------------------------------------------------------------------------------------------------------------------- main


def measure(folder: Path, work: Path, megabytes: float, spec: str, asked: int) -> dict[str, Any]:
    texts, index, listed = work / "texts", work / "index", work / "questions.txt"
    texts.mkdir(parents=True)
    sizes = corpus(folder, megabytes, texts)
    print(f"{len(sizes)} files, {sum(sizes) / 1e6:.0f} MB", file=sys.stderr, flush=True)
    built = run(INDEX, str(texts), str(index), spec)
    listed.write_text("\n".join(questions(folder, asked)), encoding="utf-8")
    answered = run(ASK, str(index), str(listed), spec)
    ends = (np.cumsum(sizes) / 1e6).tolist()
    card = index / "vectors.json"
    return {
        "files": len(sizes),
        "megabytes": round(ends[-1], 1),
        "largest_file_mb": round(max(sizes) / 1e6, 1),
        "embedder": spec,
        "chunks": built.done["held"],
        "failed": built.done["failed"],
        "seconds": built.samples[-1]["seconds"],
        "index_mb": {p.name: round(p.stat().st_size / 1e6, 1) for p in sorted(index.iterdir()) if p.stat().st_size > 1e5},
        "vectors": json.loads(card.read_text()).get("kind", {}) if card.exists() else {},
        "model": built.model,
        "peak_beyond_model": peaks(built),
        "mb_kept_per_mb_of_text": slope(built, ends),
        "course": [{"megabytes": round(ends[s.get("read", 0) - 1], 1) if s.get("read") else 0, **s} for s in spaced(built, 40)],
        "asking": {"questions": asked, "model": answered.model, "peak_beyond_model": peaks(answered)["all"]},
    }


def spaced(watched: Watched, wanted: int) -> Iterator[dict[str, Any]]:
    """About so many of the samples, evenly over time, the largest of each part."""
    for part in np.array_split(np.arange(len(watched.samples)), min(wanted, len(watched.samples))):
        yield max((watched.samples[i] for i in part.tolist()), key=lambda s: float(s["resident"]))


def show(found: dict[str, Any]) -> None:
    """Prints the course and the peaks."""
    print(
        f"{found['files']} files, {found['megabytes']} MB, {found['chunks']} chunks, {found['seconds']} s, {found['vectors']}\n"
    )
    head = ("seconds", "stage", "megabytes", "embed", "resident", "own", "parsers")
    print(table(head, [tuple(part.get(name, 0) for name in head) for part in found["course"]]))
    print(f"\nmodel {found['model']}\nindex {found['index_mb']}\nMB kept a MB of text: {found['mb_kept_per_mb_of_text']}\n")
    rows = [*found["peak_beyond_model"].items(), ("asking", found["asking"]["peak_beyond_model"])]
    names = ("resident", "own", "parsers", "with_parsers")
    print(table(("peak beyond the model", *names), [(stage, *(peak[n] for n in names)) for stage, peak in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--megabytes", type=float, default=2000.0)
    parser.add_argument("--embedder", default="instant")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--work", help="where texts and index are made (five times the text); removed at the end")
    parser.add_argument("--keep", action="store_true", help="leave texts and index there")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    folder = bench_folder(args.folder)
    work = Path(tempfile.mkdtemp(prefix="bounded-", dir=args.work))
    try:
        found = measure(folder, work, args.megabytes, args.embedder, args.questions)
    finally:
        if not args.keep:
            shutil.rmtree(work)
    show(found)
    if args.json:
        how = f"--megabytes {args.megabytes:g} --embedder {args.embedder} --questions {args.questions}"
        write(args.json, f"python benchmarks/bounded.py BENCH {how}", found)
    if found["peak_beyond_model"]["all"]["with_parsers"] > LIMIT:
        raise SystemExit(f"more than {LIMIT} MB")


if __name__ == "__main__":
    main()
