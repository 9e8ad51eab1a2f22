"""What each back-end and precision costs in quality: cosine to float32, and evidence in whole packets.

    python benchmarks/backends.py ../shared/bench [--case covidqa] [--case clapnq] [--every 2] [--json NAME]

Every back-end indexes the case's documents as a user would; every N-th question of the half for reporting (see `evidence.py`) is
packed at three budgets. `change` is the mean over questions and budgets of the evidence held beyond torch in float32, in points;
`cosine` is the lowest between a passage's or a sentence's vector and the same of torch in float32. `instant` is another model: it
has no cosine to these.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from common import bench_folder, load_case, scorer, table, write
from evidence import CASES, documents, half_of

import contextkit as ck
from contextkit.documents.chunking import StructureChunker
from contextkit.embedding import InstantEmbedder, LocalEmbedder
from contextkit.embedding.encoders import native_precision, usable
from contextkit.embedding.folder import find_model
from contextkit.types import Chunk, Embedded

SPENT = (512, 1024, 2048)
_SAMPLE = 200  # chunks for the cosine
EXACT = "torch-float32"


def embedders() -> dict[str, LocalEmbedder | InstantEmbedder]:
    """By name, torch in float32 first."""
    out: dict[str, LocalEmbedder | InstantEmbedder] = {EXACT: LocalEmbedder(backend="torch", precision="float32")}
    for backend in reversed(usable(find_model(None))):
        for precision in dict.fromkeys(("float32", native_precision())):
            out[f"{backend}-{precision}"] = LocalEmbedder(backend=backend, precision=precision)
    return {**out, "instant": InstantEmbedder()}


def lowest(found: Embedded, exact: Embedded) -> float:
    """The lowest cosine between two sets of vectors of the same chunks."""
    pairs = [(found.passages, exact.passages), (found.sentences, exact.sentences)]
    return round(min(float((a * b).sum(axis=1).min()) for a, b in pairs if a is not None and b is not None), 5)


def held(kit: ck.Kit, questions: Sequence[dict[str, Any]], score: ModuleType) -> list[list[float]]:
    """The share of the evidence in the packet, for each budget and question."""
    rows = []
    for budget in SPENT:
        found = []
        for q in questions:
            where = {"scope": q["scope"]} if "scope" in q else None
            found.append(score.coverage(q["gold_texts"], kit.context(q["question"], budget=budget, where=where).text))
        rows.append(found)
    return rows


def run(folder: Path, case: str, every: int, skipped: Sequence[str]) -> dict[str, Any]:
    """The figures of one case, by back-end."""
    raw, asked = load_case(folder, case)
    docs = documents(raw)
    questions = [q for q in half_of(asked, "report") if q["gold_texts"]][::every]
    made = {name: e for name, e in embedders().items() if name not in skipped}
    sample = sampled(docs, made[EXACT])
    exact = made[EXACT].embed(sample)
    base: list[list[float]] = []
    out: dict[str, Any] = {}
    for name, embedder in made.items():
        print(f"{case}: {name}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as work, ck.open(Path(work) / "index", embedder=embedder) as kit:
            before = os.times()
            kit.add(docs)
            after = os.times()
            rows = held(kit, questions, scorer(folder))
        base = base or rows
        change = [b - a for own, other in zip(rows, base, strict=True) for b, a in zip(own, other, strict=True)]
        out[name] = {
            "cosine": lowest(embedder.embed(sample), exact) if isinstance(embedder, LocalEmbedder) else None,
            "evidence": {b: round(100 * statistics.mean(own), 2) for b, own in zip(SPENT, rows, strict=True)},
            "change": round(100 * statistics.mean(change), 2),
            "index_processor_seconds": round(after.user + after.system - before.user - before.system, 1),
        }
    return {"questions": len(questions), "documents": len(docs), "back_ends": out}


def sampled(docs: Sequence[ck.Document], embedder: LocalEmbedder | InstantEmbedder) -> list[Chunk]:
    """Chunks spread evenly over the documents."""
    chunker = StructureChunker(embedder.count)
    chunks = [chunk for document in docs[:: max(1, len(docs) // 50)] for chunk in chunker.chunk(document)]
    return chunks[:: max(1, len(chunks) // _SAMPLE)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--every", type=int, default=2, metavar="N", help="ask every N-th question of the half alone")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help="leave a back-end out")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    folder = bench_folder(args.folder)
    cases = args.case or ["covidqa", "clapnq"]
    results = {case: run(folder, case, args.every, args.skip) for case in cases}
    for case, found in results.items():
        print(f"\n{case}: {found['documents']} documents, {found['questions']} questions\n")
        rows = [
            (name, f["cosine"], *f["evidence"].values(), f["change"], f["index_processor_seconds"])
            for name, f in found["back_ends"].items()
        ]
        print(table(("back-end", "lowest cosine", *SPENT, "change", "indexing, processor s"), rows))
    if args.json:
        how = "".join(f" --case {case}" for case in cases) + "".join(f" --skip {name}" for name in args.skip)
        write(args.json, f"python benchmarks/backends.py BENCH{how} --every {args.every}", results)


if __name__ == "__main__":
    main()
