"""Calls under way: progress, cancellation, many at once, a free event loop, and clients that go away. Over HTTP by a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib

import httpx2
import pytest
from mcp import Client
from mcp_support import NOTES, Gate, held, said, serving, working

from contextkit.adapters.mcp_server import build_server

MODES = ["auto", "legacy"]


@contextlib.contextmanager
def gated(folder, **options):
    """A work whose embedder holds up questions while its gate is closed."""
    gate = Gate()
    with working(folder, embedder=gate, **options) as work:
        try:
            yield work, gate
        finally:
            gate.open.set()


@contextlib.asynccontextmanager
async def connected(work, transport, mode):
    """An official client, in process or over HTTP."""
    if transport == "http":
        with serving(work) as url:
            async with Client(url, mode=mode) as client:
                yield client
    else:
        async with Client(build_server(work), mode=mode) as client:
            yield client


async def until(event):
    """Waits for a thread's event without holding up the loop."""
    assert await asyncio.to_thread(event.wait, 20)


@pytest.mark.parametrize("transport", ["memory", "http"])
@pytest.mark.parametrize("mode", MODES)
async def test_progress_tells_the_stages_in_order_before_the_result(tmp_path, transport, mode):
    steps = []

    async def note(done, total, message):
        steps.append((message, done, total))

    with working(tmp_path / "index") as work:
        async with connected(work, transport, mode) as client:
            await client.call_tool("context", {"question": "hotel"}, progress_callback=note)
            assert steps == [("retrieve", 0, 2), ("pack", 1, 2)]
            steps.clear()
            await client.call_tool("search", {"question": "hotel"}, progress_callback=note)
            assert steps == [("search", 0, 1)]


@pytest.mark.parametrize("transport", ["memory", "http"])
@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_call_stops_at_its_next_stage_and_the_server_lives_on(tmp_path, transport, mode):
    with gated(tmp_path / "index") as (work, gate):
        gate.open.clear()
        stages = []
        put = work.kit.context

        def watched(question, *, progress, **options):
            def tell(stage, done, total):
                stages.append((question, stage))
                progress(stage, done, total)

            return put(question, progress=tell, **options)

        work.kit.context = watched
        async with connected(work, transport, mode) as client:
            call = asyncio.ensure_future(client.call_tool("context", {"question": "long one"}))
            await until(gate.entered)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await settled(client)
            gate.open.set()
            assert said(await client.call_tool("context", {"question": "hotel"}))
        work.close()
    # "pack" was asked for and refused: nothing was packed, and no receipt tells of a packet that nobody got
    assert [s for q, s in stages if q == "long one"] == ["retrieve", "pack"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_call_leaves_no_receipt(tmp_path, mode):
    with gated(tmp_path / "index") as (work, gate):
        gate.open.clear()
        async with Client(build_server(work), mode=mode) as client:
            call = asyncio.ensure_future(client.call_tool("context", {"question": "given up"}))
            await until(gate.entered)
            call.cancel()
            await asyncio.wait([call])
            await settled(client)
            gate.open.set()
            await client.call_tool("context", {"question": "hotel"})
        work.close()
        assert [r.question for r in work.kit.receipts()] == ["hotel"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_cancelled_before_its_turn_never_starts(tmp_path, mode):
    with gated(tmp_path / "index", threads=1, write=True) as (work, gate):
        gate.open.clear()
        async with Client(build_server(work), mode=mode) as client:
            first = asyncio.ensure_future(client.call_tool("search", {"question": "first"}))
            await until(gate.entered)
            second = asyncio.ensure_future(client.call_tool("remember", {"text": "Never to be known"}))
            third = asyncio.ensure_future(client.call_tool("search", {"question": "never"}))
            await settled(client)
            second.cancel()
            third.cancel()
            await asyncio.wait([second, third])
            await settled(client)
            gate.open.set()
            assert not (await first).is_error
            recalled = await client.call_tool("recall", {"question": "What is known?"})
        assert recalled.structured_content["memories"] == []
        assert "never" not in gate.asked


async def settled(client):
    """Gives messages that were sent before time to arrive: each of these goes the same way, and needs none of the threads."""
    for _ in range(3):
        await client.list_tools(cache_mode="bypass")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("mode", MODES)
async def test_the_loop_stays_free_while_calls_work(tmp_path, mode):
    with gated(tmp_path / "index") as (work, gate):
        gate.open.clear()
        async with Client(build_server(work), mode=mode) as client:
            call = asyncio.ensure_future(client.call_tool("search", {"question": "slow"}))
            await until(gate.entered)
            assert (await client.list_tools()).tools
            assert not call.done()
            gate.open.set()
            assert not (await call).is_error


@pytest.mark.parametrize("mode", MODES)
async def test_twenty_calls_at_once_from_four_clients(tmp_path, mode):
    with working(tmp_path / "index") as work, serving(work) as url:
        expected = {n: work.kit.context(f"hotel {n}", budget=50 + n).text for n in range(20)}
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(held(Client(url, mode=mode))) for _ in range(4)]
            results = await asyncio.gather(
                *(clients[n % 4].call_tool("context", {"question": f"hotel {n}", "budget": 50 + n}) for n in range(20))
            )
        assert {n: said(result) for n, result in enumerate(results)} == expected
        ids = [result.structured_content["receipt"] for result in results]
        assert len(set(ids)) == 20
        assert all(work.kit.receipt(i).tokens == r.structured_content["tokens"] for i, r in zip(ids, results, strict=True))


async def test_a_client_that_dies_during_its_call_is_forgotten(tmp_path):
    with gated(tmp_path / "index") as (work, gate), serving(work) as url:
        gate.open.clear()
        body = {
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {
                "name": "context", "arguments": {"question": "orphan"},
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
                    "io.modelcontextprotocol/clientCapabilities": {},
                },
            },
        }  # fmt: skip
        headers = {
            "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call",
            "Mcp-Name": "context",
        }  # fmt: skip
        async with httpx2.AsyncClient() as raw:
            call = asyncio.ensure_future(raw.post(url, json=body, headers=headers))
            await until(gate.entered)
            call.cancel()
            await asyncio.wait([call])
        await asyncio.sleep(0.2)
        gate.open.set()
        async with Client(url) as client:
            assert said(await client.call_tool("search", {"question": "hotel"}))
        work.close()
        assert work.kit.receipts() == []


@pytest.mark.parametrize("documents", [[], NOTES[:1]])
async def test_an_index_of_nothing_or_one_answers(tmp_path, documents):
    with working(tmp_path / "index", documents) as work:
        async with Client(build_server(work)) as client:
            result = await client.call_tool("context", {"question": "hotel"})
            assert not result.is_error
            assert bool(result.structured_content["text"]) == bool(documents)
            assert len((await client.list_resources()).resources) == len(documents) + 1
