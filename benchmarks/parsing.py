"""How well and how fast documents are read: words, headings and table cells against expected Markdown, damaged files, speed.

    python benchmarks/parsing.py ../shared/bench [--json NAME] [--only documents,malformed,speed,markdown]

Token F1 compares the multisets of lower-case words of the parsed text and of the expected Markdown, its marks and HTML comments
taken out. A heading or a cell is found where its words stand in a row in the parsed text.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter, defaultdict
from html import unescape
from pathlib import Path
from statistics import mean

from common import bench_folder, write

from contextkit.documents import ParsePool
from contextkit.types import Blob, Document

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_WORD = re.compile(r"\w+")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!|<>~&])")
_ROW = re.compile(r"^\s*\|(.+)\|\s*$")
_RULE = re.compile(r"[\s|:\-]+")


def plain(markdown: str) -> str:
    """Markdown without its marks, comments and link targets."""
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", _COMMENT.sub(" ", markdown)))
    return re.sub(r"[*`~|#$]|^\s*-{3,}\s*$", " ", unescape(_ESCAPE.sub(r"\1", text)), flags=re.MULTILINE)


def words(text: str) -> list[str]:
    """The words of a text in lower case; underscores part them."""
    return _WORD.findall(text.lower().replace("_", " "))


def f1(found: list[str], expected: list[str]) -> float:
    """The F1 of two multisets of words; 1.0 where both are empty."""
    both = sum((Counter(found) & Counter(expected)).values())
    return 2 * both / (len(found) + len(expected)) if found or expected else 1.0


def headings_and_cells(markdown: str) -> tuple[list[str], list[str]]:
    """The headings and the table cells of a Markdown text that hold any word."""
    headings: list[str] = []
    cells: list[str] = []
    for line in _COMMENT.sub(" ", markdown).split("\n"):
        row = _ROW.match(line)
        if line.startswith("#"):
            headings.append(line.lstrip("#"))
        elif row and not _RULE.fullmatch(line):
            cells.extend(re.split(r"(?<!\\)\|", row.group(1)))
    return [h for h in headings if words(plain(h))], [c for c in cells if words(plain(c))]


def share_found(parts: list[str], text: str) -> tuple[int, int]:
    """How many of the parts stand in the text, word by word, and how many there are."""
    whole = f" {' '.join(words(text))} "
    found = sum(f" {' '.join(words(plain(part)))} " in whole for part in parts)
    return found, len(parts)


def documents(folder: Path) -> dict[str, object]:
    """Token F1, headings and cells by format."""
    files = sorted(p for p in folder.glob("*/*") if not p.name.endswith(".expected.md"))
    scores: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    headings: Counter[tuple[str, int]] = Counter()
    cells: Counter[tuple[str, int]] = Counter()
    failed: dict[str, str] = {}
    with ParsePool() as pool:
        blobs = [Blob(str(p.relative_to(folder)), name=p.name, path=p) for p in files]
        for blob, result in pool.run(blobs):
            kind = blob.id.split("/")[0]
            assert blob.path is not None
            expected = (blob.path.parent / (blob.path.name + ".expected.md")).read_text(encoding="utf-8")
            text = result.text if isinstance(result, Document) else ""
            if not isinstance(result, Document):
                failed[blob.id] = str(result)
            scores[kind].append((blob.id, f1(words(plain(text)), words(plain(expected)))))
            for count, parts in zip((headings, cells), headings_and_cells(expected), strict=True):
                found, total = share_found(parts, plain(text))
                count[kind, 0] += found
                count[kind, 1] += total
    rows = {
        kind: {
            "documents": len(values),
            "token_f1": round(mean(v for _, v in values), 4),
            "headings": _ratio(headings, kind),
            "cells": _ratio(cells, kind),
            "worst": {name: round(v, 3) for name, v in sorted(values, key=lambda pair: pair[1])[:3]},
        }
        for kind, values in sorted(scores.items())
    }
    total = {
        name: round(sum(c[k, 0] for k in scores) / max(1, sum(c[k, 1] for k in scores)), 4)
        for name, c in (("headings", headings), ("cells", cells))
    }
    return {"formats": rows, "all": total, "failed": failed}


def _ratio(count: Counter[tuple[str, int]], kind: str) -> float | None:
    return round(count[kind, 0] / count[kind, 1], 4) if count[kind, 1] else None


def malformed(folder: Path) -> dict[str, object]:
    """What becomes of damaged files: read, or failed with a message; and the slowest."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".pdf", ".fuzz"))
    outcome: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    begin = time.perf_counter()
    with ParsePool(timeout=30.0) as pool:
        for _, result in pool.run(Blob(p.name, name=p.name, path=p) for p in files):
            read = isinstance(result, Document)
            outcome["read" if read else type(result).__name__] += 1
            if not read:
                messages[re.sub(r"'[^']*'|\d+", "...", str(result))] += 1
    return {
        "files": len(files),
        "answered": sum(outcome.values()),
        "outcomes": dict(outcome),
        "messages": dict(messages),
        "seconds": round(time.perf_counter() - begin, 2),
    }


def speed(folder: Path) -> dict[str, object]:
    """Pages a second of whole PDF files through the pool, its start included."""
    files = sorted(folder.glob("*.pdf"))
    pages = 0
    begin = time.perf_counter()
    with ParsePool() as pool:
        for _, result in pool.run(Blob(p.name, name=p.name, path=p) for p in files):
            pages += len(result.pages) if isinstance(result, Document) else 0
    seconds = time.perf_counter() - begin
    return {"files": len(files), "pages": pages, "seconds": round(seconds, 2), "pages_per_second": round(pages / seconds, 1)}


def markdown(folder: Path) -> dict[str, object]:
    """Markdown files through the pool: how many fail, have no title, and how fast."""
    files = sorted(folder.rglob("*.md"))
    failed: dict[str, str] = {}
    untitled = 0
    begin = time.perf_counter()
    with ParsePool() as pool:
        for blob, result in pool.run(Blob(str(p.relative_to(folder)), name=p.name, path=p) for p in files):
            if isinstance(result, Document):
                untitled += not result.title
            else:
                failed[blob.id] = str(result)
    return {"files": len(files), "failed": failed, "untitled": untitled, "seconds": round(time.perf_counter() - begin, 2)}


_CASES = {
    "documents": (documents, "documents"),
    "malformed": (malformed, "malformed_pdf"),
    "speed": (speed, "financebench_dev/pdfs"),
    "markdown": (markdown, "fastapi_docs"),
}


def show(name: str, result: dict[str, object]) -> None:
    """Print one case as a table."""
    print(f"\n## {name}")
    formats = result.get("formats")
    if isinstance(formats, dict):
        print("| format | documents | token F1 | headings | cells | worst |\n|---|---|---|---|---|---|")
        for kind, row in formats.items():
            worst = ", ".join(f"{Path(k).name} {v}" for k, v in row["worst"].items())
            found = f"{_percent(row['headings'])} | {_percent(row['cells'])}"
            print(f"| {kind} | {row['documents']} | {row['token_f1']:.3f} | {found} | {worst} |")
    for key, value in result.items():
        if key != "formats":
            print(f"{key}: {value}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    parser.add_argument("--only", default=",".join(_CASES), help=f"cases, of {', '.join(_CASES)}")
    arguments = parser.parse_args()
    bench = bench_folder(arguments.folder)
    results: dict[str, object] = {}
    for name in arguments.only.split(","):
        run, folder = _CASES[name]
        if not (bench / folder).is_dir():
            print(f"skipped {name}: there is no folder {folder} in the one given")
            continue
        results[name] = result = run(bench / folder)
        show(name, result)
    if arguments.json:
        write(arguments.json, "python benchmarks/parsing.py BENCH", results)


if __name__ == "__main__":
    main()
