"""The asyncio mirror: same verbs, free event loop, cancellation that leaves a whole index."""

from __future__ import annotations

import asyncio
import inspect
import threading

import pytest

import contextkit as ck
from contextkit.testing import TinyEmbedder

DOCUMENTS = [ck.Document(str(i), f"Note {i} is about subject {i}. It has a second sentence.") for i in range(300)]


def test_every_verb_of_kit_is_there_with_the_same_arguments():
    verbs = [n for n, _ in inspect.getmembers(ck.Kit, inspect.isfunction) if not n.startswith("_")]
    assert {"sync", "context", "build", "gc"} <= set(verbs)
    for name in verbs:
        own = inspect.signature(getattr(ck.AsyncKit, name)).parameters
        assert list(own) == list(inspect.signature(getattr(ck.Kit, name)).parameters), name


def test_calls_side_by_side_give_what_the_kit_gives(tmp_path):
    async def main():
        async with await ck.AsyncKit.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
            await kit.add(DOCUMENTS)
            packets = await asyncio.gather(*(kit.context(f"subject {i}", budget=200) for i in range(20)))
            hits = await kit.search("subject 7", k=3)
            return packets, hits, await kit.info()

    packets, hits, info = asyncio.run(main())
    assert info.documents == 300
    assert len(hits) == 3
    assert all(0 < p.tokens <= 200 for p in packets)


def test_a_cancelled_add_stops_and_leaves_the_index_whole(tmp_path):
    started = threading.Event()

    class Slow(TinyEmbedder):
        def embed(self, chunks):
            started.set()
            threading.Event().wait(0.05)
            return super().embed(chunks)

    async def main():
        async with await ck.AsyncKit.open(tmp_path / "index", embedder=Slow()) as kit:
            task = asyncio.create_task(kit.add(DOCUMENTS))
            await asyncio.to_thread(started.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await kit.info()).documents in (0, 300)
            await kit.add(DOCUMENTS)
            return await kit.info()

    assert asyncio.run(main()).documents == 300


def test_errors_come_through(tmp_path):
    async def main():
        async with await ck.AsyncKit.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
            with pytest.raises(ck.InputError, match="question is empty"):
                await kit.context("")

    asyncio.run(main())
