"""What the MCP server adds to a call: the official client, in process and over stdio, beside the same call on the kit itself.

`measure` gives one row a call and a way; `adapters.py` prints and keeps them. "server alone" is the handling of the request in
the server: thread, records and schemas. "in process" adds the SDK's client, which checks each result against its schema; "stdio"
adds the SDK's framing and two pipes. Both ways are taken in turns and the medians compared, so that a slow moment of the machine
falls on both. On a machine with other work to do set OMP_NUM_THREADS=1: waiting for the index's own threads is not measured here.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

import contextkit as ck
from contextkit.adapters.mcp_server import Work, build_server
from contextkit.testing import TinyEmbedder

ROUNDS = 100
QUESTION = "Until when may leave be carried over?"
SCOPE = {"agent": "mcp"}
# the command with an embedder that costs next to nothing, as in this process: what is left is overhead
TINY = (
    "import contextkit.kit.verbs as v; from contextkit.testing import TinyEmbedder; from contextkit.cli import main; "
    "v.load_embedder = lambda *a, **k: TinyEmbedder(); main()"
)


def calls(kit: ck.Kit) -> dict[str, tuple[dict[str, Any], Callable[[], object]]]:
    """By tool: its arguments, and the same call on the kit."""
    return {
        "search": ({"question": QUESTION, "k": 5}, lambda: kit.search(QUESTION, k=5)),
        "context": ({"question": QUESTION, "budget": 500}, lambda: kit.context(QUESTION, budget=500)),
        "recall": ({"question": QUESTION, "budget": 200}, lambda: kit.memory.recall_packed(QUESTION, scope=SCOPE, budget=200)),
        "read_span": ({"document": "d7", "end": 40}, lambda: kit.catalog.text("d7", kit.catalog.visible())[:40]),
    }


async def compared(
    client: Client, name: str, arguments: Mapping[str, Any], direct: Callable[[], object], inside: list[float] | None
) -> dict[str, dict[str, Any]]:
    """The medians of the direct call, of the one through the server, and of the difference, in milliseconds.

    By where it was taken: "client" around the client's call; "server", where `inside` is filled, around the server's handling.
    """
    taken: dict[str, list[float]] = {"direct": [], "client": [], "server": []}
    for n in range(ROUNDS + 10):
        start = time.perf_counter()
        direct()
        between = time.perf_counter()
        result = await client.call_tool(name, dict(arguments))
        end = time.perf_counter()
        if result.is_error:
            raise RuntimeError(f"{name}: {result.content}")
        if n >= 10:  # the first ones warm caches up
            taken["direct"].append((between - start) * 1000)
            taken["client"].append((end - between) * 1000)
            taken["server"] += [inside[-1] * 1000] if inside else []
    return {where: _row(taken["direct"], taken[where]) for where in ("client", "server") if taken[where]}


def _row(direct: list[float], through: list[float]) -> dict[str, Any]:
    over = statistics.median(b - a for a, b in zip(direct, through, strict=True))
    return {
        "direct_ms": round(statistics.median(direct), 3), "through_ms": round(statistics.median(through), 3),
        "overhead_ms": round(over, 3),
    }  # fmt: skip


async def _measured(kit: ck.Kit, folder: Path) -> list[dict[str, Any]]:
    work, inside = Work(kit), list[float]()

    async def timed(context: Any, call_next: Any) -> Any:  # noqa: ANN401 - the SDK's middleware
        start = time.perf_counter()
        result = await call_next(context)
        inside.append(time.perf_counter() - start)
        return result

    server = build_server(work)
    server.middleware.append(timed)
    stdio = StdioServerParameters(command=sys.executable, args=["-c", TINY, "mcp", "--index", str(folder)])
    rows = []
    try:
        for way, at in (("in process", server), ("stdio", stdio)):
            async with Client(at) as client:
                for name, (arguments, direct) in calls(kit).items():
                    found = await compared(client, name, arguments, direct, inside if at is server else None)
                    for where, row in found.items():
                        rows.append({"adapter": "mcp", "call": f"{name}, {'server alone' if where == 'server' else way}", **row})
    finally:
        work.close()
    return rows


def measure() -> list[dict[str, Any]]:
    """One row {adapter, call, direct_ms, through_ms, overhead_ms} for each call and each way."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "index"
        with ck.open(folder, embedder=TinyEmbedder()) as kit:
            kit.add([ck.Document(f"d{n}", f"Leave of kind {n} may be carried over until March {n}.\n" * 3) for n in range(60)])
            for n in range(50):
                kit.memory.remember(f"Ann took {n} days of leave in {1970 + n}.", scope=SCOPE)
            return asyncio.run(_measured(kit, folder))


if __name__ == "__main__":
    for measured in measure():
        print(measured)
