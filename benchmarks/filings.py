"""Filings: are the pages that hold the evidence among the pages that a packet cites, with the filing given and over all of them.

    python benchmarks/filings.py ../shared/bench [--budget 2048] [--misses] [--json NAME]

The PDFs of the FinanceBench sample are parsed once without an index (pages a second), then indexed from their folder as a user
would. A question counts as found where one page that its evidence names is cited: as the packet's items say it, and, stricter, as
the items' characters lie on the pages of the parsed file. Beside it stands what as many pages drawn blindly would have hit.
Nothing of the library was chosen on these questions, so all of them count.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from common import bench_folder, scorer, table, write

import contextkit as ck
from contextkit.documents import ParsePool
from contextkit.types import Blob, Span

CASE = "financebench_dev"
DEPTH = 1000

Page = tuple[str, int]


def load(folder: Path) -> list[dict[str, Any]]:
    """The questions of the sample, in order."""
    with (folder / CASE / "questions.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def gold_pages(question: Mapping[str, Any]) -> set[Page]:
    """(filing, page from 1) of a question's evidence; the data counts pages from 0."""
    return {(e["doc"], e["page"] + 1) for e in question["evidence"]}


def filing(document_id: str) -> str:
    """The filing's name: the file's name without its folder and ending."""
    return document_id.rpartition("/")[2].removesuffix(".pdf")


def stated_pages(items: Iterable[ck.Item]) -> set[Page]:
    """The pages that a packet's items say they are on."""
    return {(filing(i.document_id), n) for i in items if i.pages for n in range(i.pages[0], i.pages[1] + 1)}


def exact_pages(items: Iterable[ck.Item], documents: Mapping[str, ck.Document]) -> set[Page]:
    """The pages on which the items' characters lie, by the page spans of the parsed files."""
    out: set[Page] = set()
    for item in items:
        name = filing(item.document_id)
        touched = documents[name].pages_of(Span(item.start, item.end))
        if touched:
            out |= {(name, n) for n in range(touched[0], touched[1] + 1)}
    return out


def chance(pages: int, gold: int, cited: int) -> float:
    """The probability that `cited` pages drawn blindly of `pages` hold one of `gold`: what a hit is worth."""
    return 1 - math.comb(pages - gold, cited) / math.comb(pages, cited)


def parse(folder: Path) -> tuple[dict[str, ck.Document], dict[str, object]]:
    """The parsed filings by name, and how fast they were read, the start of the worker processes included."""
    files = sorted(folder.glob("*.pdf"))
    documents: dict[str, ck.Document] = {}
    failed: dict[str, str] = {}
    begin = time.perf_counter()
    with ParsePool() as pool:
        for blob, result in pool.run(Blob(p.name, name=p.name, path=p) for p in files):
            if isinstance(result, ck.Document):
                documents[filing(blob.id)] = result
            else:
                failed[blob.id] = str(result)
    seconds = time.perf_counter() - begin
    pages = sum(len(d.pages) for d in documents.values())
    return documents, {
        "files": len(files),
        "failed": failed,
        "pages": pages,
        "seconds": round(seconds, 2),
        "pages_per_second": round(pages / seconds, 1),
    }


def rank_of_page(kit: ck.Kit, question: str, gold: set[Page], where: Mapping[str, object] | None) -> int | None:
    """The rank (from 1) of the best chunk that touches a page of the evidence; None where it is not among the candidates."""
    for rank, hit in enumerate(kit.search(question, k=DEPTH, where=where), 1):
        first, last = hit.pages or (0, -1)
        if any(filing(hit.document_id) == name and first <= page <= last for name, page in gold):
            return rank
    return None


def ask(
    kit: ck.Kit, question: Mapping[str, Any], where: Mapping[str, object] | None, budget: int,
    documents: Mapping[str, ck.Document], score: ModuleType,
) -> dict[str, Any]:  # fmt: skip
    """What one packet says of one question: page stated, page exact, evidence covered, and where its page ranks."""
    packet = kit.context(question["question"], budget=budget, where=where)
    gold = gold_pages(question)
    cited = len(exact_pages(packet.items, documents))
    names = [question["scope"]] if where else list(documents)
    return {
        "id": question["id"],
        "filing": question["scope"],
        "pages": sorted(page for _, page in gold),
        "stated": bool(gold & stated_pages(packet.items)),
        "exact": bool(gold & exact_pages(packet.items, documents)),
        "evidence": round(100 * score.coverage([e["text"] for e in question["evidence"]], packet.text), 1),
        "rank": rank_of_page(kit, question["question"], gold, where),
        "cited": cited,
        "chance": round(100 * chance(sum(len(documents[n].pages) for n in names), len(gold), cited), 1),
        "tokens": packet.tokens,
    }


def summary(rows: list[dict[str, Any]], budget: int) -> dict[str, Any]:
    """Shares in percent over the questions of one setting."""
    return {
        "questions": len(rows),
        "page": round(100 * statistics.mean(r["stated"] for r in rows), 1),
        "page_exact": round(100 * statistics.mean(r["exact"] for r in rows), 1),
        "chance": round(statistics.mean(r["chance"] for r in rows), 1),
        "evidence": round(statistics.mean(r["evidence"] for r in rows), 1),
        "pages_cited": round(statistics.mean(r["cited"] for r in rows), 1),
        "candidate": round(100 * statistics.mean(r["rank"] is not None for r in rows), 1),
        "over": sum(r["tokens"] > budget for r in rows),
        "rows": rows,
    }


def run(folder: Path, budget: int) -> dict[str, Any]:
    """All figures of the sample."""
    pdfs, questions, score = folder / CASE / "pdfs", load(folder), scorer(folder)
    documents, parsing = parse(pdfs)
    with tempfile.TemporaryDirectory() as work, ck.open(Path(work) / "index") as kit:
        kit.embedder.embed_queries(["warm up"])
        begin = time.perf_counter()
        report = kit.sync(pdfs)
        seconds = time.perf_counter() - begin
        ids = {filing(i): i for i in report.added_ids}
        settings: dict[str, list[dict[str, object] | None]] = {
            "filing given": [{"id": ids[q["scope"]]} for q in questions],
            f"over all {len(ids)}": [None] * len(questions),
        }
        results = {
            name: summary([ask(kit, q, w, budget, documents, score) for q, w in zip(questions, wheres, strict=True)], budget)
            for name, wheres in settings.items()
        }
        chunks = kit.info().chunks
    return {
        "budget": budget,
        "parsing": parsing,
        "indexing": {"seconds": round(seconds, 2), "chunks": chunks, "failed": report.failed},
        "settings": results,
        "load": [round(x, 2) for x in os.getloadavg()],
    }


def show(results: dict[str, Any], *, misses: bool) -> None:
    """Prints the tables."""
    parsing, indexing = results["parsing"], results["indexing"]
    print(
        f"{parsing['files']} filings, {parsing['pages']} pages: parsed in {parsing['seconds']} s "
        f"({parsing['pages_per_second']} pages a second), indexed in {indexing['seconds']} s ({indexing['chunks']} chunks)\n"
    )
    columns = ("page", "page_exact", "chance", "evidence", "candidate", "pages_cited", "over")
    named = ("page cited %", "exact %", "by chance %", "evidence %", "a candidate %", "pages cited", "over")
    head = (f"{results['budget']} tokens", *named)
    print(table(head, [(name, *(s[c] for c in columns)) for name, s in results["settings"].items()]))
    if misses:
        for name, setting in results["settings"].items():
            missed = [r for r in setting["rows"] if not r["exact"]]
            print(f"\nmissed, {name}\n")
            fields = ("id", "filing", "pages", "stated", "evidence", "rank")
            print(table(fields, [[r[f] for f in fields] for r in missed]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--budget", type=int, default=2048, help="tokens of a packet")
    parser.add_argument("--misses", action="store_true", help="also list the questions whose page is not cited")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    results = run(bench_folder(args.folder), args.budget)
    show(results, misses=args.misses)
    if args.json:
        write(args.json, f"python benchmarks/filings.py BENCH --budget {args.budget}", results)


if __name__ == "__main__":
    main()
