"""What the tests of the MCP server share: small indexes, an embedder that can be held up, and servers over both transports."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from pathlib import Path

import httpx2
import uvicorn
from mcp import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

import contextkit as ck
from contextkit.adapters.mcp_server import Work, bound, build_server, http_app
from contextkit.testing import TinyEmbedder

TINY = Path(__file__).parent / "tiny_server.py"
NOTES = [
    ck.Document("handbook/travel.md", "A hotel may cost 120 euros a night. The office may allow more.\n\nTrains go first class.", title="Travel"),
    ck.Document("handbook/leave.md", "Five days of leave may be carried over. They lapse in March.", title="Leave"),
    ck.Document("board minutes: 7/3", "The board plans to close the Bergen office.", access=["group:board"]),
    ck.Document("ann", "The salary of Ann is 5000.", access=["user:ann"]),
]  # fmt: skip


class Gate(TinyEmbedder):
    """An embedder whose questions wait for a gate; `entered` is set when one does."""

    def __init__(self):
        super().__init__()
        self.open, self.entered, self.asked = threading.Event(), threading.Event(), []
        self.open.set()

    def embed_queries(self, questions):
        self.asked.extend(questions)
        self.entered.set()
        assert self.open.wait(20)
        return super().embed_queries(questions)


@contextlib.contextmanager
def working(folder, documents=NOTES, *, embedder=None, **options):
    """A `Work` over a new index."""
    with ck.open(folder, embedder=embedder or TinyEmbedder()) as kit:
        if documents:
            kit.add(documents)
        work = Work(kit, **options)
        try:
            yield work
        finally:
            work.close()


@contextlib.contextmanager
def serving(work, **options):
    """The URL of a real uvicorn, in a thread of its own, that serves the work on loopback."""
    app = http_app(build_server(work), **options)
    with bound("127.0.0.1", 0) as listening:
        running = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            running.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


@contextlib.asynccontextmanager
async def held(client):
    """The client, entered and left by one task of its own: fixtures are set up and torn down by different ones."""
    ready, done = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def hold():
        async with client as entered:
            ready.set_result(entered)
            await done.wait()

    task = asyncio.ensure_future(hold())
    await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield ready.result() if ready.done() else await task
    finally:
        done.set()
        await task


@contextlib.asynccontextmanager
async def with_token(url, token):
    """The transport of the official client, with a bearer token."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as raw,
        streamable_http_client(url, http_client=raw) as streams,
    ):
        yield streams


def command(folder, *options):
    """`contextkit mcp` as a client starts it, with the tiny embedder."""
    return StdioServerParameters(command=sys.executable, args=["-W", "error", str(TINY), "mcp", "--index", str(folder), *options])


def said(result):
    """The text of a tool's result."""
    (block,) = result.content
    return block.text
