"""The catalogue at size: sync, disk, filters, generations and gc, with made-up texts and vectors (no model is run).

    python benchmarks/catalogue.py [--documents 20000] [--rounds 50] [--json NAME]

A document has ten chunks of about 180 tokens in eight sentences; vectors have 384 dimensions and lie in clusters.
Times are those of contextkit alone: the made-up embedder's own are taken off.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import table, write
from numpy.typing import NDArray

from contextkit.catalog import Catalog, Vectors
from contextkit.errors import ParseError
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.retrieval.terms import terms
from contextkit.sync import Pipeline, SyncReport, sync
from contextkit.testing import TinyChunker
from contextkit.types import Blob, Chunk, Document, DocumentRef, Embedded, EmbedderInfo, ListingPage, Principal

CHUNKS, SENTENCES, WORDS = 10, 8, 17
DIMENSION = 384
EVERYBODY = Principal("ann", ["eng"])


class Texts:
    """Made-up prose: words by Zipf's law over a vocabulary of 30,000, the same for the same (document, round)."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        letters = np.array(list("etaoinshrdlucmfwypvbgk"))
        share = 1 / np.arange(2, len(letters) + 2)
        lengths = random.integers(1, 9, 30_000)
        flat = "".join(random.choice(letters, int(lengths.sum()), p=share / share.sum()).tolist())
        ends = np.cumsum(lengths)
        self._words = [flat[e - n : e] for e, n in zip(ends.tolist(), lengths.tolist(), strict=True)]
        rank = 1 / np.arange(1, len(self._words) + 1)
        self._edges = np.cumsum(rank / rank.sum())

    def document(self, number: int, round_: int) -> str:
        """The text of a document in a round."""
        random = np.random.default_rng((number, round_))
        n = CHUNKS * SENTENCES
        picks = np.searchsorted(self._edges, random.random(n * WORDS)).clip(0, len(self._words) - 1).tolist()
        words = [self._words[i] for i in picks]
        return "\n".join(" ".join(words[i * WORDS : (i + 1) * WORDS]).capitalize() + "." for i in range(n)) + "\n"


class MadeUp:
    """An embedder without a model: unit vectors around 500 centres; remembers what it gave."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(2)
        self._centres = self._random.standard_normal((500, DIMENSION)).astype(np.float32)
        self.embedded, self.seconds, self.keep = 0, 0.0, False
        self.given: list[NDArray[np.float32]] = []

    @property
    def info(self) -> EmbedderInfo:
        """What it is."""
        return EmbedderInfo("made-up", "0" * 64, DIMENSION, 256, "random")

    def count(self, texts: Sequence[str]) -> list[int]:
        """Words of each text."""
        return [len(t.split()) for t in texts]

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """A vector a chunk near some centre, and one a sentence near its chunk's."""
        begin = time.perf_counter()
        self.embedded += len(chunks)
        counts = [len(c.sentences) for c in chunks]
        centres = self._centres[self._random.integers(0, len(self._centres), len(chunks))]
        passages = self._around(centres, 1.0)
        sentences = self._around(np.repeat(passages, counts, axis=0) * DIMENSION**0.5, 0.8)
        if self.keep:
            self.given.append(passages)
        self.seconds += time.perf_counter() - begin
        return Embedded(passages, sentences)

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """A vector a question near some centre."""
        return self._around(self._centres[self._random.integers(0, len(self._centres), len(questions))], 0.8)

    def _around(self, centres: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
        out = centres + np.float32(spread) * self._random.standard_normal(centres.shape, dtype=np.float32)
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        return out


class Source:
    """Documents 0 to n - 1; `rounds` says in which round each was last changed, `access` who may see them."""

    source = "made-up"

    def __init__(self, texts: Texts, n: int) -> None:
        self.texts, self.rounds, self.access = texts, [0] * n, None

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:  # noqa: ARG002 - the protocol's
        """All documents in one page."""
        refs = tuple(
            DocumentRef(
                f"made-up:{i}",
                str(r),
                f"{i}.txt",
                metadata={"rare": i % 1000 == 0, "half": i % 2 == 0, "number": i},
                access=self.access,
            )
            for i, r in enumerate(self.rounds)
        )
        yield ListingPage(refs, complete=True)

    def fetch(self, ref: DocumentRef) -> Blob:
        """A document's bytes."""
        number = int(ref.id.partition(":")[2])
        return Blob(ref.id, ref.name, data=self.texts.document(number, self.rounds[number]).encode())


def _labels(i: int) -> dict[str, bool | int]:
    return {"rare": i % 1000 == 0, "half": i % 2 == 0, "number": i}


def parse(blobs: Iterable[Blob]) -> Iterator[tuple[Blob, Document | ParseError]]:
    """Plain text, in this process."""
    for blob in blobs:
        yield blob, Document(blob.id, blob.read().decode())


class Bench:
    """An index with its source; `run` syncs it and times contextkit's part."""

    def __init__(self, folder: Path, documents: int) -> None:
        self.embedder = MadeUp()
        self.source = Source(Texts(), documents)
        self.catalog = Catalog.create(folder, self.embedder.info)
        self.vectors = Vectors(self.catalog, FaissIndex, FaissIndex.load)
        self.pipeline = Pipeline(parse, "1", TinyChunker(SENTENCES), self.embedder, terms)

    def run(self) -> tuple[SyncReport, float]:
        """The report of a sync, and its seconds without the embedder's."""
        before, begin = self.embedder.seconds, time.perf_counter()
        report = sync(self.catalog, self.source, self.pipeline, retire=True)
        self.vectors.save()
        return report, time.perf_counter() - begin - (self.embedder.seconds - before)


def life(bench: Bench) -> dict[str, float]:
    """Seconds of the steps that a large index goes through."""
    out: dict[str, float] = {}
    bench.embedder.keep = True
    report, out["first sync"] = bench.run()
    bench.embedder.keep = False
    assert report.embedded == len(bench.source.rounds) * CHUNKS
    _, out["unchanged"] = bench.run()
    times = []
    for number in range(5):
        bench.source.rounds[number + 7] += 1
        report, spent = bench.run()
        assert report.changed == 1
        times.append(spent)
    out["one changed, median"], out["one changed, slowest"] = statistics.median(times), max(times)
    before = bench.embedder.embedded
    bench.source.access = ("group:eng",)
    report, out["rights of all"] = bench.run()
    assert report.changed == len(bench.source.rounds)
    assert bench.embedder.embedded == before, "rights are no reason to embed"
    begin = time.perf_counter()
    bench.catalog.rollback(bench.catalog.generation() - 1)
    out["rollback of all rights"] = time.perf_counter() - begin
    begin = time.perf_counter()
    bench.catalog.rollback(bench.catalog.generation() - 1)
    out["and back"] = time.perf_counter() - begin
    return {k: round(v, 3) for k, v in out.items()}


def disk(bench: Bench) -> dict[str, float]:
    """Bytes of everything, against the text's."""
    begin = time.perf_counter()
    bench.catalog.gc(1)
    spent = time.perf_counter() - begin
    bench.vectors.drop()
    bench.vectors.save(force=True)
    db = bench.catalog._db  # noqa: SLF001 - looks at pages, as no user needs to
    db.checkpoint()
    files = {p.name: p.stat().st_size for p in bench.catalog.folder.iterdir()}
    with db.reading() as c:
        chunks, text, header = c.execute(
            "SELECT count(*), sum(length(CAST(text AS BLOB)) + length(lead)), sum(length(header)) FROM chunks"
        ).fetchone()
        parts = dict(c.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 12").fetchall())
    total = sum(files.values())
    limit = 3.5 * text + 1000 * chunks
    out = {
        "chunks": chunks,
        "bytes a chunk": total / chunks,
        "text a chunk": (text + header) / chunks,
        "allowed a chunk": limit / chunks,
        "share of the allowed": total / limit,
        "vector file a chunk": files.get("vectors.faiss", 0) / chunks,
        "gc seconds": spent,
    }
    out |= {f"table {name}": size / chunks for name, size in parts.items()}
    return {k: round(v, 3) for k, v in out.items()}


def filters(bench: Bench, questions: int = 100) -> dict[str, dict[str, float]]:
    """Recall against a scan of the stored vectors and of the float32 ones; milliseconds once a filter is resolved."""
    given = np.concatenate(bench.embedder.given)
    kept = bench.catalog.chunk_ids(len(given)).tolist()
    out: dict[str, dict[str, float]] = {}
    bench.vectors.search(bench.embedder.embed_queries(["warm"]), 10, bench.catalog.visible(principal=EVERYBODY))
    for name, where in (("0.1 %", {"rare": True}), ("50 %", {"half": True}), ("all", None)):
        begin = time.perf_counter()
        visible = bench.catalog.visible(where, EVERYBODY)
        resolved = 1000 * (time.perf_counter() - begin)
        ids = np.array([i for i in kept if i < len(visible.allowed) and visible.allowed[i]], dtype=np.int64)
        masked = np.zeros_like(visible.allowed)
        masked[ids] = True  # chunks that were embedded after `given` was kept are no part of the comparison
        scans = {"recall@10": bench.catalog.passage_vectors(ids.tolist()), "of float32": given[ids - 1]}
        took, hits = [], dict.fromkeys(scans, 0)
        asked = bench.embedder.embed_queries(["q"] * questions)
        for question in asked:
            begin = time.perf_counter()
            seen = bench.catalog.visible(where, EVERYBODY)
            found, _ = bench.vectors.search(question[None], 10 + 60, seen)
            took.append(1000 * (time.perf_counter() - begin))
            near = [i for i in found[0].tolist() if i >= 0 and masked[i]][:10]
            for scan, own in scans.items():
                exact = ids[np.argsort(-(own @ question), kind="stable")[:10]]
                hits[scan] += len(set(near) & set(exact.tolist()))
        out[name] = {
            "chunks": len(ids),
            **{scan: round(n / (questions * min(10, len(ids))), 4) for scan, n in hits.items()},
            "resolve ms": round(resolved, 2),
            "p50 ms": round(statistics.median(took), 2),
            "p95 ms": round(statistics.quantiles(took, n=20)[-1], 2),
        }
    return out


def churn(folder: Path, documents: int, rounds: int) -> dict[str, float]:
    """Size after many rounds of changing a tenth, each with gc, against the size at first."""
    bench = Bench(folder, documents)
    bench.run()
    bench.catalog.gc(1)
    bench.vectors.drop()
    bench.vectors.save(force=True)
    first = bench.catalog.size()
    random = np.random.default_rng(5)
    spent = []
    for round_ in range(1, rounds + 1):
        for number in random.choice(documents, documents // 10, replace=False).tolist():
            bench.source.rounds[number] = round_
        bench.run()
        begin = time.perf_counter()
        bench.catalog.gc(1)
        spent.append(time.perf_counter() - begin)
        bench.vectors.drop()
    bench.vectors.save(force=True)
    last = bench.catalog.size()
    bench.catalog.close()
    out = {"bytes at first": first, "bytes after": last, "ratio": last / first, "gc seconds, median": statistics.median(spent)}
    return {k: round(v, 3) for k, v in out.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="contextkit-catalogue-"))
    try:
        bench = Bench(work / "index", args.documents)
        results: dict[str, Any] = {"documents": args.documents, "seconds": life(bench)}
        print(table(("step", "seconds"), list(results["seconds"].items())), flush=True)
        results["filters"] = filters(bench)
        columns = ("chunks", "recall@10", "of float32", "resolve ms", "p50 ms", "p95 ms")
        print(table(("filter", *columns), [(n, *(r[c] for c in columns)) for n, r in results["filters"].items()]), flush=True)
        results["disk"] = disk(bench)
        print(table(("disk", ""), list(results["disk"].items())), flush=True)
        bench.catalog.close()
        if args.rounds:
            results["churn"] = churn(work / "churn", max(100, args.documents // 10), args.rounds)
            print(table((f"{args.rounds} rounds", ""), list(results["churn"].items())), flush=True)
        if args.json:
            print(f"written: {write(args.json, f'python benchmarks/catalogue.py --documents {args.documents}', results)}")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
