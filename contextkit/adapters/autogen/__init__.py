"""AutoGen (autogen-core) on a kit: a memory, a model context whose messages are packets, and tools.

    memory = KitMemory(kit, scope={"user": "ann"})
    context = PacketContext(kit, budget=4096, system="Answer from the documents.", scope={"user": "ann"})
    await context.add_message(UserMessage(content=question, source="user"))
    result = await client.create(await context.get_messages(), tools=tools(kit))
    context.report(result.usage)

A context shares the model's window among all that is sent; a memory beside it is for agents that have a context of their own.
"""

from __future__ import annotations

from contextkit.adapters.shared.extras import missing

try:
    import autogen_core as _peer  # noqa: F401 - is it there?
except ModuleNotFoundError as error:
    raise missing(error, "autogen_core", "autogen-core", "autogen") from None

from contextkit.adapters.autogen.context import PacketContext
from contextkit.adapters.autogen.function_tools import tools
from contextkit.adapters.autogen.memory import KitMemory

__all__ = ["KitMemory", "PacketContext", "tools"]
