"""What the LlamaIndex and Haystack adapters add to a call: each beside the same call on the kit itself.

    python benchmarks/adapters_llamaindex.py

`measure` gives one row a call, as `adapters_agents.py` has them; `adapters.py` prints and keeps them with the others. The direct
call is the same work by the kit's own verbs, what the peer is given or gives back not yet made.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from adapters_agents import HISTORY, QUESTION, SCOPE, build, compared, search_in, small_kit
from common import table

import contextkit as ck


async def llamaindex(kit: ck.Kit) -> list[dict[str, Any]]:
    """Retriever, vector store, chat store, memory block, packets and tool of LlamaIndex."""
    from llama_index.core.base.llms.types import ChatMessage
    from llama_index.core.llms.mock import MockFunctionCallingLLM
    from llama_index.core.vector_stores.types import VectorStoreQuery

    from contextkit.adapters import llamaindex as adapter

    peer = "llamaindex"
    retriever, store = adapter.KitRetriever(kit, similarity_top_k=5), adapter.KitVectorStore(kit)
    chats, numbers = adapter.KitChatStore(kit), count()
    block = adapter.KitMemoryBlock(kit, scope=SCOPE, budget=200)
    agent = adapter.KitAgent(kit, scope=SCOPE, budget=2000, llm=MockFunctionCallingLLM())
    asked = [ChatMessage(role="system", content="Be brief."), *(ChatMessage(**m) for m in HISTORY), ChatMessage(QUESTION)]
    search = adapter.kit_tools(kit)[0]
    vector = kit.embedder.embed_queries([QUESTION])[0]
    message = ChatMessage("x" * 200)
    body = {"message": message.model_dump(mode="json"), "status": "active"}

    def nearest() -> object:
        reader = kit._reader()  # noqa: SLF001 - no verb searches by vector
        visible = kit.catalog.visible()
        ids, _ = reader.vectors.search(vector[None], 5, visible)
        chunks = kit.catalog.chunks(ids[0].tolist())
        return kit.catalog.documents_of({chunk.content_id for chunk in chunks}, visible)

    def append() -> object:
        return kit.memory.change_states("direct/", lambda _: {f"direct/{next(numbers):012d}": body})

    def recall() -> object:
        return kit.memory.recall_text(QUESTION, scope=SCOPE, budget=200)

    query = VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=5)
    return [
        await compared(peer, "retrieve", search_in(kit), lambda: retriever.retrieve(QUESTION)),
        await compared(peer, "query by vector", nearest, lambda: store.query(query)),
        await compared(peer, "add a message", append, lambda: chats.add_message("bench", message)),
        await compared(peer, "memory block", recall, lambda: block.aget([ChatMessage(QUESTION)])),
        await compared(peer, "build a packet", build(kit), lambda: agent._packed(asked, [])),  # noqa: SLF001 - one step of it
        await compared(peer, "search tool", search_in(kit), lambda: search.acall(query=QUESTION, count=5)),
    ]


async def haystack(kit: ck.Kit) -> list[dict[str, Any]]:
    """Retriever, document store, context builder, packet hook and tool of Haystack."""
    from haystack.components.agents.state.state import State
    from haystack.dataclasses import ChatMessage, Document

    from contextkit.adapters import haystack as adapter

    peer, numbers = "haystack", count()
    store = adapter.KitDocumentStore(kit=kit)
    retriever, builder = adapter.KitRetriever(store, top_k=5), adapter.KitContextBuilder(store, budget=500)
    hook = adapter.KitPacketHook(store, scope=SCOPE, budget=2000)
    asked = [ChatMessage.from_openai_dict_format(m) for m in HISTORY]
    asked = [ChatMessage.from_system("Be brief."), *asked, ChatMessage.from_user(QUESTION)]
    toolset = adapter.KitToolset(store)
    toolset.warm_up()
    wanted = {"field": "id", "operator": "in", "value": ["d1", "d2"]}

    def read() -> object:
        found = kit.catalog.documents(kit.catalog.visible({"id": {"$in": ["d1", "d2"]}}))
        return [kit.catalog.content_text(one.content_id) for one in found]

    def write() -> object:
        return kit.add([ck.Document(f"direct{next(numbers)}", f"Text {next(numbers)}.")])

    def through() -> object:
        return store.write_documents([Document(id=f"through{next(numbers)}", content=f"Text {next(numbers)}.")])

    def context() -> object:
        return kit.context(QUESTION, budget=500, format="messages")

    return [
        await compared(peer, "retrieve", search_in(kit), lambda: retriever.run(QUESTION)),
        await compared(peer, "filter 2 documents", read, lambda: store.filter_documents(wanted)),
        await compared(peer, "build a context", context, lambda: builder.run(QUESTION)),
        await compared(peer, "build a packet", build(kit), lambda: hook.run(State({}, {"messages": asked}))),
        await compared(peer, "search tool", search_in(kit), lambda: toolset[0].invoke_async(query=QUESTION, count=5)),
        await compared(peer, "write a document", write, through),
    ]


def measure() -> list[dict[str, Any]]:
    """The rows of both adapters: {adapter, call, clock, direct_ms, through_ms, overhead_ms, wall_overhead_ms}."""
    os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
    rows = []
    for part in (llamaindex, haystack):
        with small_kit() as kit:
            rows += asyncio.run(part(kit))
    return rows


if __name__ == "__main__":
    found = measure()
    print(table(list(found[0]), [list(row.values()) for row in found]))
