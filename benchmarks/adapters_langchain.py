"""What the LangChain and LangGraph adapters cost over the direct call, and their imports over the peers' own.

    python benchmarks/adapters_langchain.py

Direct call and adapter take turns; the figures are medians in milliseconds of processor time, the overhead also of wall time.
The direct call is the same work by the kit's own verbs, results included. The small embedder is used on purpose: what a model
takes is the same on both sides.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import contextkit as ck
from contextkit.testing import TinyEmbedder

_TURNS = 200
_SECTION = "A section on pump {n}: it runs at {n} bar, was replaced in May, and its filter is changed twice a year. "


def measure(turns: int = _TURNS) -> list[dict[str, Any]]:
    """One row a call: {adapter, call, direct_ms, through_ms, overhead_ms, wall_overhead_ms}: medians, also of differences."""
    with tempfile.TemporaryDirectory() as folder, ck.open(f"{folder}/index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id=f"d{n}", text=_SECTION.format(n=n) * 5, title=f"Pump {n}") for n in range(200)])
        rows = []
        for adapter, call, direct, through in (*_langchain(kit), *_agents(kit), *_langgraph(kit)):
            rows.append({"adapter": adapter, "call": call, **_compared(direct, through, turns)})
        return rows


def _compared(direct: Callable[[], object], through: Callable[[], object], turns: int) -> dict[str, float]:
    """Both in turn, each first as often as second; processor time of all threads, since wall time is the machine's other work."""
    spent: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for n in range(turns + 5):
        for side in (0, 1) if n % 2 else (1, 0):
            cpu, wall = time.process_time(), time.perf_counter()
            (direct, through)[side]()
            spent[side].append((1000 * (time.process_time() - cpu), 1000 * (time.perf_counter() - wall)))
    first, second = (side[5:] for side in spent)
    pairs = list(zip(first, second, strict=True))
    return {
        "direct_ms": round(statistics.median(one[0] for one in first), 3),
        "through_ms": round(statistics.median(one[0] for one in second), 3),
        "overhead_ms": round(statistics.median(b[0] - a[0] for a, b in pairs), 3),
        "wall_overhead_ms": round(statistics.median(b[1] - a[1] for a, b in pairs), 3),
    }


Row = tuple[str, str, Callable[[], object], Callable[[], object]]


def _langchain(kit: ck.Kit) -> list[Row]:
    from langchain_core.messages import HumanMessage, message_to_dict, messages_from_dict

    from contextkit.adapters.langchain import (
        KitByteStore,
        KitChatMessageHistory,
        KitEmbeddings,
        KitRetriever,
        KitVectorStore,
        kit_tools,
    )

    asked = "At what pressure does pump 7 run?"
    retriever, packets, store = KitRetriever(kit=kit, k=10), KitRetriever(kit=kit, budget=500), KitVectorStore(kit)
    embeddings = KitEmbeddings(kit)
    history, bytes_ = KitChatMessageHistory(kit, "bench"), KitByteStore(kit)
    read = KitChatMessageHistory(kit, "read")
    read.add_messages([HumanMessage(f"message {n}") for n in range(50)])
    body = message_to_dict(HumanMessage("one more"))
    search = kit_tools(kit)[0]
    bytes_.mset([("k", b"value")])
    count = iter(range(10**9))
    last = [0]

    def append() -> None:
        last[0] = next(count)
        kit.memory.put_states({f"bench/{last[0]:012d}": body})

    return [
        ("langchain", "KitRetriever.invoke", lambda: kit.search(asked, k=10), lambda: retriever.invoke(asked)),
        ("langchain", "KitRetriever.invoke, budget", lambda: kit.context(asked, budget=500), lambda: packets.invoke(asked)),
        ("langchain", "KitVectorStore.similarity_search", lambda: kit.search(asked, k=4), lambda: store.similarity_search(asked)),
        (
            "langchain",
            "KitEmbeddings.embed_query",
            lambda: kit.embedder.embed_queries([asked]),
            lambda: embeddings.embed_query(asked),
        ),
        ("langchain", "KitChatMessageHistory.add_messages", append, lambda: history.add_message(HumanMessage("one more"))),
        (
            "langchain",
            "KitChatMessageHistory.messages (50)",
            lambda: messages_from_dict([k.value["value"] for k in kit.memory.states("langchain/chat//read/")]),
            lambda: read.messages,
        ),
        ("langchain", "KitByteStore.mget", lambda: kit.memory.state("langchain/bytes//k/").get(), lambda: bytes_.mget(["k"])),
        ("langchain", "kit_tools search", lambda: kit.search(asked, k=5), lambda: search.invoke({"query": asked})),
    ]


def _agents(kit: ck.Kit) -> list[Row]:
    from langchain.agents.middleware import ModelRequest, ModelResponse
    from langchain_core.language_models.fake_chat_models import FakeListChatModel
    from langchain_core.messages import AIMessage, HumanMessage

    from contextkit.adapters.langchain import KitMiddleware, kit_tools, messages

    said = [m for n in range(10) for m in (HumanMessage(f"What of pump {n}?"), AIMessage(f"It runs at {n} bar."))]
    said.append(HumanMessage("At what pressure does pump 7 run?"))
    tools = kit_tools(kit)
    model = FakeListChatModel(responses=["x"])
    request = ModelRequest(model=model, messages=said, system_prompt="Answer from the documents.", tools=tools, runtime=None)
    middleware = KitMiddleware(kit, budget=3000)
    answer = ModelResponse(result=[AIMessage("It runs at 7 bar.")])
    history, defined = messages.plain(said), messages.definitions(tools)

    def direct() -> object:
        call = ck.AgentCall(
            question=said[-1].text, history=history, system="Answer from the documents.", tools=defined, budget=3000
        )
        return kit.build(call).messages()

    return [("langchain", "KitMiddleware.wrap_model_call", direct, lambda: middleware.wrap_model_call(request, lambda _: answer))]


def _langgraph(kit: ck.Kit) -> list[Row]:
    from langgraph.checkpoint.base import empty_checkpoint

    from contextkit.adapters.langgraph import KitSaver, KitStore
    from contextkit.memory import embed

    store, saver = KitStore(kit, fields=["text"]), KitSaver(kit)
    value = {"text": "Ann looks after pump 7.", "n": 1}
    for n in range(50):
        store.put(("bench",), f"k{n}", value)
    config = {"configurable": {"thread_id": "bench", "checkpoint_ns": ""}}
    checkpoint = {**empty_checkpoint(), "channel_values": {"v": value}, "channel_versions": {"v": "1"}}
    saver.put(config, checkpoint, {"step": 1}, {"v": "1"})
    body = {"value": value, "vectors": {"text": "x" * 172}, "created": "", "updated": "", "born": 1, "ttl": None, "expires": None}

    def put() -> None:
        embed.texts(kit.embedder, [value["text"]])
        kit.memory.put_states({"bench/put": {"value": body}})

    def find() -> None:
        kit.embedder.embed_queries(["pump"])
        kit.memory.states("langgraph/store/bench/")

    def put_checkpoint() -> None:
        blob = [saver.serde.dumps_typed(one)[1].hex() for one in (value, checkpoint, {"step": 1})]
        kit.memory.put_states({"bench/c": blob[1:], "bench/b": blob[:1]})

    def get_checkpoint() -> None:
        kit.memory.states("langgraph/checkpoints/bench//", newest=True, limit=1)
        kit.memory.state('langgraph/blobs/bench//v/"1"/').get()
        kit.memory.states("langgraph/writes/bench//")

    return [
        ("langgraph", "KitStore.put", put, lambda: store.put(("bench",), "k1", value)),
        (
            "langgraph",
            "KitStore.get",
            lambda: kit.memory.state("langgraph/store/bench//k1/").get(),
            lambda: store.get(("bench",), "k1"),
        ),
        ("langgraph", "KitStore.search (50)", find, lambda: store.search(("bench",), query="pump")),
        ("langgraph", "KitSaver.put", put_checkpoint, lambda: saver.put(config, checkpoint, {"step": 1}, {"v": "1"})),
        ("langgraph", "KitSaver.get_tuple", get_checkpoint, lambda: saver.get_tuple(config)),
    ]


_IMPORTS = {
    "langchain (KitRetriever, KitVectorStore, KitEmbeddings)": (
        "import langchain_core.retrievers, langchain_core.vectorstores, langchain_core.vectorstores.utils, numpy",
        "from contextkit.adapters.langchain import KitRetriever, KitVectorStore, KitEmbeddings",
    ),
    "langchain (KitMiddleware, kit_tools)": (
        "import langchain.agents.middleware, langchain_core.tools",
        "from contextkit.adapters.langchain import KitMiddleware, kit_tools",
    ),
    "langgraph (KitStore, KitSaver)": (
        "import langgraph.store.base, langgraph.checkpoint.base, langchain_core.runnables, numpy",
        "from contextkit.adapters.langgraph import KitSaver, KitStore",
    ),
}


def imports(times: int = 5) -> list[dict[str, Any]]:
    """One row an adapter: {adapter, peer_ms, own_ms}: both imports in a fresh process, the least processor time of some."""
    rows = []
    for adapter, (peer, own) in _IMPORTS.items():
        code = (
            "import time, json, pydantic, contextkit\n"
            f"a = time.process_time()\n{peer}\nb = time.process_time()\n{own}\nc = time.process_time()\n"
            "print(json.dumps([1000 * (b - a), 1000 * (c - b)]))"
        )
        done = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(times)]
        peers, owns = zip(*(json.loads(one.stdout) for one in done), strict=True)
        rows.append({"adapter": adapter, "peer_ms": round(min(peers), 1), "own_ms": round(min(owns), 1)})
    return rows


if __name__ == "__main__":
    for row in (*measure(), *imports()):
        print(json.dumps(row))
