"""The limit: how fast the bare model computes the chunks of a corpus, beside how fast the corpus is indexed with it.

    python benchmarks/speed_model.py ../shared/bench [--corpus covidqa] [--every 1] [--json NAME]

For each back-end the chunks' token ids go through the model in length-sorted batches of several sizes, on as many threads as
there are processors; the best rate counts. Then the same documents are indexed in this process, the model loaded already, parsing
and commit included. Rates are word pieces a second and a processor second (all threads and child processes), of which other
programs disturb the second less. `cosine` is the lowest between passage or sentence vectors and those of torch in float32.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import bench_folder, load_case, table, write

import contextkit as ck
from contextkit.documents.chunking import StructureChunker
from contextkit.documents.parsing import parse
from contextkit.embedding import LocalEmbedder
from contextkit.embedding.encoders import Engine, load, native_precision, usable
from contextkit.embedding.folder import find_model
from contextkit.embedding.local import in_batches
from contextkit.embedding.pieces import Pieces
from contextkit.types import Blob, Chunk, Embedded

CORPORA = ("covidqa", "fastapi_docs", "clapnq", "locomo_dev", "nq_passages")
SIZES = (1024, 2048, 4096, 8192)


def used() -> float:
    """Processor seconds of this process and of its children that have ended."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def forward(engine: Engine, ids: list[Any], owners: list[Any], sizes: list[int]) -> dict[str, Any]:
    """The best rates over the batch sizes."""
    lengths = [len(text) for text in ids]
    best: dict[str, Any] = {}
    for most in SIZES:

        def run(batch: list[int]) -> None:
            engine.encoder.vectors([ids[i] for i in batch], [owners[i] for i in batch], [sizes[i] for i in batch])

        batches = list(in_batches(lengths, most, engine.encoder.step))
        engine.each(run, batches[:2])
        begin, before = time.perf_counter(), used()
        engine.each(run, batches)
        seconds, processor = time.perf_counter() - begin, used() - before
        if not best or sum(lengths) / processor > best["per_processor_second"]:
            best = {
                "batch_tokens": most,
                "per_second": round(sum(lengths) / seconds),
                "per_processor_second": round(sum(lengths) / processor),
            }
    return best


def files(folder: Path, corpus: str, every: int) -> dict[str, str]:
    """The text of every N-th document, by a file's name."""
    if corpus == "fastapi_docs":
        found = sorted((folder / corpus).rglob("*.md"))[::every]
        return {f"{number}.md": path.read_text(encoding="utf-8") for number, path in enumerate(found)}
    return {f"{number}.txt": d["text"] for number, d in enumerate(load_case(folder, corpus)[0][::every])}


def indexed(texts: Mapping[str, str], embedder: LocalEmbedder, pieces: int) -> dict[str, Any]:
    """Rates of files to a committed index, the model loaded already."""
    embedder.embed_queries(["ready"])
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "texts"
        source.mkdir()
        for name, text in texts.items():
            (source / name).write_text(text, encoding="utf-8")
        begin, before = time.perf_counter(), used()
        with ck.open(Path(work) / "index", embedder=embedder) as kit:
            kit.sync(source)
        seconds, processor = time.perf_counter() - begin, used() - before
    return {"per_second": round(pieces / seconds), "per_processor_second": round(pieces / processor)}


def lowest(found: Embedded, exact: Embedded) -> float:
    pairs = [(found.passages, exact.passages), (found.sentences, exact.sentences)]
    return round(min(float((a * b).sum(axis=1).min()) for a, b in pairs if a is not None and b is not None), 5)


def measure(texts: Mapping[str, str]) -> dict[str, Any]:
    folder = find_model(None)
    documents = [parse(Blob(id=name, name=name, data=text.encode())) for name, text in texts.items()]
    pieces = Pieces(folder, "")
    chunker = StructureChunker(pieces.count)
    chunks: list[Chunk] = [chunk for document in documents for chunk in chunker.chunk(document)]
    ids, owners = pieces.chunks(chunks)
    sizes, total = [len(chunk.sentences) for chunk in chunks], sum(map(len, ids))
    sample = chunks[:: max(1, len(chunks) // 200)]
    exact = LocalEmbedder(backend="torch", precision="float32").embed(sample)
    out: dict[str, Any] = {"chunks": len(chunks), "pieces": total, "back_ends": {}}
    for backend in usable(folder):
        bare = forward(load(folder, backend, native_precision(), None), ids, owners, sizes)
        embedder = LocalEmbedder(backend=backend)
        whole = indexed(texts, embedder, total)
        out["back_ends"][embedder.info.backend] = {
            "bare": bare,
            "indexing": whole,
            "share": round(whole["per_second"] / bare["per_second"], 3),
            "share_processor": round(whole["per_processor_second"] / bare["per_processor_second"], 3),
            "cosine": lowest(embedder.embed(sample), exact),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--corpus", default="covidqa", choices=CORPORA)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th document alone")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    folder = bench_folder(args.folder)
    results = {"corpus": args.corpus, "every": args.every, **measure(files(folder, args.corpus, args.every))}
    print(f"{args.corpus}: {results['chunks']} chunks, {results['pieces']} word pieces\n")
    rows = []
    for name, found in results["back_ends"].items():
        rates = [found[part]["per_processor_second"] for part in ("bare", "indexing")]
        rows.append((name, *rates, found["share_processor"], found["share"], found["cosine"]))
    print(table(("back-end", "bare / processor s", "indexing / processor s", "share", "share of wall rate", "cosine"), rows))
    if args.json:
        write(args.json, f"python benchmarks/speed_model.py BENCH --corpus {args.corpus} --every {args.every}", results)


if __name__ == "__main__":
    main()
