"""What the OpenAI Agents, pydantic-ai and AutoGen adapters add to a call: each beside the same call on the kit itself.

`measure` gives one row a call; `adapters.py` prints and keeps them. Both ways are taken in turns, and the overhead is the
median of what a turn through the adapter takes more than the turn before it. It is told in processor time of all threads, which
says the same on a busy machine, and beside it in wall time, in which a call that changes threads waits for its turn there.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import contextkit as ck
from contextkit.testing import TinyEmbedder

SCOPE = {"user": "ann"}
QUESTION = "Until when may leave be carried over?"
HISTORY = [{"role": role, "content": f"{role} says {n}. " * 10} for n in range(5) for role in ("user", "assistant")]
ROUNDS = 100


@contextmanager
def small_kit() -> Iterator[ck.Kit]:
    """A kit of 60 short documents and 50 memories, with an embedder that costs next to nothing: what is left is overhead."""
    with tempfile.TemporaryDirectory() as folder, ck.open(Path(folder) / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document(f"d{n}", f"Leave of kind {n} may be carried over until March {n}.\n" * 3, f"Leave {n}")
                for n in range(60)
            ]
        )
        for n in range(50):
            kit.memory.remember(f"Ann took {n} days of leave in {1970 + n}.", scope=SCOPE)
        yield kit


async def compared(adapter: str, call: str, direct: Callable[[], Any], through: Callable[[], Any]) -> dict[str, Any]:
    """One row: the medians of both ways, and of what the second one takes more, turn by turn; in processor and in wall time."""
    taken: dict[str, list[tuple[float, float]]] = {"direct": [], "through": []}
    for _ in range(ROUNDS + 5):
        for name, way in (("direct", direct), ("through", through)):
            cpu, wall = time.process_time(), time.perf_counter()
            made = way()
            if inspect.isawaitable(made):
                await made
            taken[name].append(((time.process_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000))
    pairs = list(zip(*taken.values(), strict=True))[5:]  # the first ones warm caches up
    return {
        "adapter": adapter,
        "call": call,
        "clock": "processor",
        "direct_ms": round(statistics.median(direct[0] for direct, _ in pairs), 3),
        "through_ms": round(statistics.median(through[0] for _, through in pairs), 3),
        "overhead_ms": round(statistics.median(through[0] - direct[0] for direct, through in pairs), 3),
        "wall_overhead_ms": round(statistics.median(through[1] - direct[1] for direct, through in pairs), 3),
    }


def agent_call() -> ck.AgentCall:
    """The call that the adapters are given in their peers' forms."""
    return ck.AgentCall(question=QUESTION, system="Be brief.", history=HISTORY, budget=2000, scope=SCOPE)


async def openai_agents(kit: ck.Kit) -> list[dict[str, Any]]:
    """Session, input filter and tool of the OpenAI Agents SDK."""
    from agents import Agent
    from agents.run_config import CallModelData, ModelInputData
    from agents.tool_context import ToolContext

    from contextkit.adapters.openai_agents import KitSession, PacketFilter, tools

    session, names = KitSession(kit, "bench"), count()
    item = {"role": "user", "content": "x" * 200}
    await session.add_items([item] * 200)
    packets = PacketFilter(kit, scope=SCOPE, budget=2000)
    items = [*HISTORY, {"role": "user", "content": QUESTION}]
    data = CallModelData(
        model_data=ModelInputData(input=items, instructions="Be brief."), agent=Agent(name="agent"), context=None
    )
    search = tools(kit)[0]
    arguments = json.dumps({"query": QUESTION, "count": 5})
    context = ToolContext(context=None, tool_name="search", tool_call_id="c", tool_arguments=arguments)

    def append() -> object:
        return kit.memory.change_states("direct/", lambda _: {f"direct/{next(names):012d}": json.dumps(item)})

    def read() -> object:
        return kit.memory.states("direct/", newest=True, limit=20)

    peer = "openai-agents"
    return [
        await compared(peer, "add one item", append, lambda: session.add_items([item])),
        await compared(peer, "get 20 items", read, lambda: session.get_items(20)),
        await compared(peer, "build a packet", build(kit), lambda: packets(data)),
        await compared(peer, "search", search_in(kit), lambda: search.on_invoke_tool(context, arguments)),
    ]


async def pydantic_ai(kit: ck.Kit) -> list[dict[str, Any]]:
    """Capability and tool of pydantic-ai."""
    from pydantic_ai.messages import InstructionPart, ModelRequest, ModelResponse, TextPart, UserPromptPart
    from pydantic_ai.models import ModelRequestContext, ModelRequestParameters
    from pydantic_ai.models.test import TestModel

    from contextkit.adapters.pydantic_ai import PacketCapability, toolset

    packets = PacketCapability(kit, scope=SCOPE, budget=2000)
    parts = {"user": lambda t: ModelRequest([UserPromptPart(t)]), "assistant": lambda t: ModelResponse([TextPart(t)])}
    history = [parts[m["role"]](m["content"]) for m in HISTORY] + [ModelRequest([UserPromptPart(QUESTION)])]
    request = ModelRequestContext(
        model=TestModel(), messages=history, model_settings=None,
        model_request_parameters=ModelRequestParameters(instruction_parts=[InstructionPart("Be brief.")]),
    )  # fmt: skip
    who = SimpleNamespace(agent=None, conversation_id="")
    search = toolset(kit).tools["search"].function_schema
    return [
        await compared("pydantic-ai", "build a packet", build(kit), lambda: packets.before_model_request(who, request)),
        await compared("pydantic-ai", "search", search_in(kit), lambda: search.call({"query": QUESTION, "count": 5}, None)),
    ]


async def autogen(kit: ck.Kit) -> list[dict[str, Any]]:
    """Memory, model context and tool of AutoGen."""
    from autogen_core import CancellationToken
    from autogen_core.memory import MemoryContent
    from autogen_core.models import AssistantMessage, UserMessage

    from contextkit.adapters.autogen import KitMemory, PacketContext, tools

    memory, numbers = KitMemory(kit, scope=SCOPE), count()
    kinds = {"user": UserMessage, "assistant": AssistantMessage}
    history = [kinds[m["role"]](content=m["content"], source="x") for m in HISTORY]
    history.append(UserMessage(content=QUESTION, source="x"))
    context = PacketContext(kit, system="Be brief.", scope=SCOPE, budget=2000, initial_messages=history)
    search, token = tools(kit)[0], CancellationToken()

    def recall() -> object:
        return kit.memory.recall(QUESTION, scope=SCOPE, k=8)

    def remember() -> object:
        return kit.memory.remember(f"Direct {next(numbers)}", scope={"user": "ben"})

    def entry(text: str) -> MemoryContent:
        return MemoryContent(content=text, mime_type="text/plain")

    return [
        await compared("autogen", "query", recall, lambda: memory.query(QUESTION)),
        await compared("autogen", "add", remember, lambda: memory.add(entry(f"Through {next(numbers)}"))),
        await compared("autogen", "build a packet", build(kit), context.get_messages),
        await compared("autogen", "search", search_in(kit), lambda: search.run_json({"query": QUESTION, "count": 5}, token)),
    ]


def build(kit: ck.Kit) -> Callable[[], Any]:
    """The same packet, built by the kit itself."""
    return lambda: kit.build(agent_call())


def search_in(kit: ck.Kit) -> Callable[[], Any]:
    """The same search by the kit itself."""
    return lambda: kit.search(QUESTION, k=5)


def measure() -> list[dict[str, Any]]:
    """The rows of the three adapters: {adapter, call, clock, direct_ms, through_ms, overhead_ms, wall_overhead_ms}."""
    rows = []
    for part in (openai_agents, pydantic_ai, autogen):
        with small_kit() as kit:
            rows += asyncio.run(part(kit))
    return rows
