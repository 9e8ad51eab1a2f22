"""What an adapter costs beside the kit itself: milliseconds a call, and milliseconds of import beyond its peer's own.

    python benchmarks/adapters.py [--json adapters]

Needs no data. The rows come from `adapters_agents.py` and the other `adapters_*.py` beside it; a part whose peer is not installed
is skipped with a line.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from common import table, write

ADAPTERS = Path(__file__).parent.parent / "contextkit" / "adapters"
PARTS = ("adapters_agents", "adapters_langchain", "adapters_llamaindex", "adapters_mcp")
ROUNDS = 5


class Adapter(NamedTuple):
    """An adapter: its extra, its module, the files that make it up, what its peer is imported and installed as."""

    extra: str
    module: str
    files: str
    roots: tuple[str, ...]
    packages: tuple[str, ...]


KNOWN = (
    Adapter("langchain", "langchain", "langchain/*.py", ("langchain", "langchain_core", "langgraph"), ("langchain",)),
    Adapter("langgraph", "langgraph", "langgraph/*.py", ("langgraph", "langchain_core"), ("langgraph",)),
    Adapter("llamaindex", "llamaindex", "llamaindex/*.py", ("llama_index",), ("llama-index-core",)),
    Adapter("haystack", "haystack", "haystack/*.py", ("haystack",), ("haystack-ai",)),
    Adapter("openai-agents", "openai_agents", "openai_agents/*.py", ("agents",), ("openai-agents",)),
    Adapter("pydantic-ai", "pydantic_ai", "pydantic_ai/*.py", ("pydantic_ai",), ("pydantic-ai-slim",)),
    Adapter("autogen", "autogen", "autogen/*.py", ("autogen_core",), ("autogen-core",)),
    Adapter("mcp", "mcp_server", "mcp_server/*.py", ("mcp", "mcp_types"), ("mcp",)),
)  # fmt: skip


def peer_imports(adapter: Adapter) -> list[str]:
    """The modules of the peer that the adapter's files import when they are imported."""
    found: set[str] = set()
    for path in sorted(ADAPTERS.glob(adapter.files)):
        for node in _at_once(ast.parse(path.read_text("utf-8")).body):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found |= {name for name in names if name.split(".")[0] in adapter.roots}
    return sorted(found)


def _at_once(body: list[ast.stmt]) -> list[ast.Import | ast.ImportFrom]:
    """The imports that run with the module: not those inside functions or for type checkers."""
    out: list[ast.Import | ast.ImportFrom] = []
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            out.append(node)
        elif isinstance(node, ast.Try):
            out += _at_once(node.body)
    return out


def import_row(adapter: Adapter) -> dict[str, Any] | None:
    """Milliseconds of CPU that importing takes: the peer's modules, then the adapter; the least of several fresh processes.

    None where it does not import.
    """
    peers = ", ".join(peer_imports(adapter)) or "sys"
    code = (
        f"import time; a = time.process_time(); import {peers}; b = time.process_time(); "
        f"import contextkit.adapters.{adapter.module}; print((b - a) * 1000, (time.process_time() - b) * 1000)"
    )
    runs = []
    for _ in range(ROUNDS):
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"skipped: contextkit.adapters.{adapter.module}: {run.stderr.strip().splitlines()[-1]}")
            return None
        runs.append([float(number) for number in run.stdout.split()])
    peer, beyond = (round(min(column), 1) for column in zip(*runs, strict=True))
    return {"adapter": adapter.extra, "peer_ms": peer, "beyond_ms": beyond}


def call_rows() -> list[dict[str, Any]]:
    """The rows of every part that is there."""
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        if find_spec(part) is None:
            print(f"skipped: there is no {part}.py")
            continue
        try:
            rows += import_module(part).measure()
        except ImportError as error:
            print(f"skipped: {part}.py: {error}")
    return rows


def installed() -> list[Adapter]:
    """The adapters whose peer is installed; says which are not."""
    out = []
    for adapter in KNOWN:
        if not sorted(ADAPTERS.glob(adapter.files)):
            print(f"skipped: there is no adapter for {adapter.extra}")
        elif find_spec(adapter.roots[0]) is None:
            print(f"skipped: {adapter.roots[0]} is not installed: pip install 'contextkit[{adapter.extra}]'")
        else:
            out.append(adapter)
    return out


def main() -> None:
    """Measures, prints and keeps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="NAME", help="write results/NAME.json")
    given = parser.parse_args()
    adapters = installed()
    imports = [row for adapter in adapters if (row := import_row(adapter)) is not None]
    calls = call_rows()
    versions = {package: version(package) for adapter in adapters for package in adapter.packages}
    print(table(["adapter", "peer's import, ms", "beyond it, ms"], [list(row.values()) for row in imports]), end="\n\n")
    head = ["adapter", "call", "clock", "direct_ms", "through_ms", "overhead_ms"]
    print(
        table([name.replace("_ms", ", ms") for name in head], [[{"clock": "wall", **row}[key] for key in head] for row in calls])
    )
    print("\n" + ", ".join(f"{name} {number}" for name, number in sorted(versions.items())))
    if given.json:
        results = {"imports": imports, "calls": calls, "versions": versions}
        print(f"written: {write(given.json, 'python benchmarks/adapters.py', results).name}")


if __name__ == "__main__":
    main()
