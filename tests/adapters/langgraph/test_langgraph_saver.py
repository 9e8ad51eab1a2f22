"""Checkpoints in real graphs, and what the conformance suite does not ask: sizes, branches, threads, delta channels."""

from __future__ import annotations

import asyncio
import operator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

import contextkit as ck
from contextkit.adapters.langgraph import KitSaver
from contextkit.errors import InputError, KitClosed
from contextkit.testing import TinyEmbedder


class State(TypedDict):
    log: Annotated[list[str], operator.add]
    size: int


def graph(saver):
    def first(state):
        return {"log": ["first"], "size": len(state["log"])}

    def ask(state):
        return {"log": [f"answer {interrupt('go on?')}"]}

    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("ask", ask)
    builder.add_edge(START, "first")
    builder.add_edge("first", "ask")
    builder.add_edge("ask", END)
    return builder.compile(checkpointer=saver)


def of(thread, **more):
    return {"configurable": {"thread_id": thread, **more}}


def test_a_run_is_interrupted_and_resumed_in_another_opening(tmp_path):
    with ck.open(tmp_path / "i", embedder=TinyEmbedder()) as kit:
        stopped = graph(KitSaver(kit)).invoke({"log": ["start"], "size": 0}, of("t"))
        assert stopped["__interrupt__"][0].value == "go on?"
    with ck.open(tmp_path / "i", embedder=TinyEmbedder()) as kit:
        done = graph(KitSaver(kit)).invoke(Command(resume="yes"), of("t"))
        assert done["log"] == ["start", "first", "answer yes"]


def history(saver):
    app = graph(saver)
    app.invoke({"log": ["start"], "size": 0}, of("t"))
    app.invoke(Command(resume="yes"), of("t"))
    past = list(app.get_state_history(of("t")))
    branch = next(s for s in past if s.next == ("ask",))
    app.update_state(branch.config, {"log": ["other"]})
    app.invoke(Command(resume="no"), of("t"))
    return [(s.values, s.next, s.metadata["step"], s.metadata["source"]) for s in app.get_state_history(of("t"))]


def test_history_and_branches_are_those_of_the_reference(kit):
    assert history(KitSaver(kit)) == history(InMemorySaver())


def test_values_over_a_million_bytes(kit):
    saver = KitSaver(kit)
    graph(saver).invoke({"log": ["x" * 3_000_000], "size": 0}, of("t"))
    assert saver.get_tuple(of("t")).checkpoint["channel_values"]["log"][0] == "x" * 3_000_000
    saver.delete_thread("t")
    assert kit.memory.states("") == []


def test_names_with_separators_do_not_collide(kit):
    saver = KitSaver(kit)
    ids = ["a", "a/b", "a%2Fb", "a/b/", "x" * 700, "x" * 701]
    for thread in ids:
        for namespace in ("", "b", "b/", "b|c:1"):
            checkpoint = {**empty_checkpoint(), "channel_values": {"v": [thread, namespace]}, "channel_versions": {"v": "1"}}
            saver.put(of(thread, checkpoint_ns=namespace), checkpoint, {}, {"v": "1"})
    for thread in ids:
        for namespace in ("", "b", "b/", "b|c:1"):
            found = saver.get_tuple(of(thread, checkpoint_ns=namespace))
            assert found.checkpoint["channel_values"] == {"v": [thread, namespace]}
            assert found.config["configurable"]["thread_id"] == thread
        assert len(list(saver.list(of(thread)))) == 4
    assert len(list(saver.list(None, limit=100))) == 24
    saver.delete_thread("a")
    assert len(list(saver.list(None))) == 20


def test_versions_of_two_branches_differ(kit):
    saver = KitSaver(kit)
    first = saver.get_next_version(None, None)
    assert first != saver.get_next_version(None, None)
    assert first < saver.get_next_version(first, None) < saver.get_next_version(saver.get_next_version(first, None), None)
    assert saver.get_next_version(7, None).startswith(f"{8:032}.")


def test_pruning_keeps_what_delta_channels_are_rebuilt_from(kit):
    saver = KitSaver(kit)
    config = of("t", checkpoint_ns="")
    ids = []
    for n in range(5):
        held = {"log": ["snapshot"]} if n == 1 else {}
        checkpoint = {**empty_checkpoint(), "channel_values": held, "channel_versions": {"log": f"{n}"}}
        config = saver.put(config, checkpoint, {"step": n, "counters_since_delta_snapshot": {"log": (n, n)}}, {"log": f"{n}"})
        saver.put_writes(config, [("log", [f"w{n}"])], f"task{n}")
        ids.append(checkpoint["id"])
    before = saver.get_delta_channel_history(config=config, channels=["log"])
    assert before["log"]["seed"] == ["snapshot"]
    saver.prune(["t"])
    assert [t.config["configurable"]["checkpoint_id"] for t in saver.list(of("t"))] == ids[:0:-1]
    assert saver.get_delta_channel_history(config=config, channels=["log"]) == before
    with pytest.raises(InputError, match="keep_latest"):
        saver.prune(["t"], strategy="some")


def test_deleting_a_run_leaves_what_others_need(kit):
    saver = KitSaver(kit)
    shared = {"v": "1"}
    for n, run in enumerate("ab"):
        checkpoint = {**empty_checkpoint(), "channel_values": {"v": 1, "w": n}, "channel_versions": {**shared, "w": str(n)}}
        config = saver.put(of("t", checkpoint_ns=""), checkpoint, {"run_id": run}, {**({} if n else shared), "w": str(n)})
        saver.put_writes(config, [("v", n)], "task")
    saver.delete_for_runs(["a", "nobody"])
    [left] = saver.list(of("t"))
    assert left.checkpoint["channel_values"] == {"v": 1, "w": 1}
    saver.delete_for_runs(["b"])
    assert kit.memory.states("") == []


def test_a_config_without_a_thread_and_a_closed_kit(tmp_path):
    with ck.open(tmp_path / "i", embedder=TinyEmbedder()) as kit:
        saver = KitSaver(kit, scope={"user": "ann"})
        for wrong in ({}, {"configurable": {}}, {"configurable": {"thread_id": ""}}):
            with pytest.raises(InputError, match="thread"):
                saver.get_tuple(wrong)
        with pytest.raises(InputError, match="level"):
            KitSaver(kit, scope={"town": "x"})
        saver.put(of("t", checkpoint_ns=""), empty_checkpoint(), {}, {})
        assert saver.get_tuple(of("t")) is not None
        kit.memory.forget(scope={"user": "ann"})
        assert saver.get_tuple(of("t")) is None
    with pytest.raises(KitClosed):
        saver.get_tuple(of("t"))


def test_several_threads_and_event_loops(kit):
    app = graph(KitSaver(kit))

    def loop(n):
        async def run():
            await app.ainvoke({"log": [str(n)], "size": 0}, of(str(n)))
            return (await app.ainvoke(Command(resume=str(n)), of(str(n))))["log"]

        return asyncio.run(run())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(loop, range(6))) == [[str(n), "first", f"answer {n}"] for n in range(6)]


async def test_listing_async_stops_at_its_limit(kit):
    saver = KitSaver(kit)
    await graph(saver).ainvoke({"log": ["s"], "size": 0}, of("t"))
    assert len([t async for t in saver.alist(of("t"), limit=2)]) == 2
    assert [t async for t in saver.alist(of("nobody"))] == []
