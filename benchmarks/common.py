"""What the benchmarks share: cases, the result file with machine and versions, and tables."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

RESULTS = Path(__file__).parent / "results"
BUDGETS = (256, 512, 1024, 2048, 4096)


def bench_folder(argument: str | None) -> Path:
    """The folder with the evaluation data; ends the program with a clear line and status 0 where it is absent."""
    folder = Path(argument or "../shared/bench")
    if not (folder / "score.py").is_file():
        print(f"skipped: no evaluation data in {folder} (give the folder as an argument)")
        raise SystemExit(0)
    return folder.resolve()


def scorer(folder: Path) -> ModuleType:
    """The data's own scorer, imported from its folder."""
    sys.path.insert(0, str(folder))
    return import_module("score")


def load_case(folder: Path, case: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(documents, questions) of a case; each question's gold texts are under "gold_texts"."""
    docs, questions = scorer(folder).load(case)
    return list(docs.values()), questions


def machine() -> dict[str, object]:
    """What a figure depends on, without names or paths."""
    model = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    names = ("contextkit", "torch", "openvino", "sentence-transformers", "faiss-cpu", "tiktoken", "numpy", "pypdfium2")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {n: v for n in names if (v := _version(n))},
    }


def write(name: str, command: str, results: object) -> Path:
    """Writes benchmarks/results/NAME.json and gives its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"command": command, "machine": machine(), "results": results}, indent=1, sort_keys=True) + "\n")
    return path


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table with aligned columns."""
    cells = [[str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
