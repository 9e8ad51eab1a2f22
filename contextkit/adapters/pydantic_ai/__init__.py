"""pydantic-ai on a kit: packets as model requests, and a toolset.

    packets = PacketCapability(kit, budget=4096, scope={"user": "ann"})
    agent = Agent(model, capabilities=[packets], toolsets=[toolset(kit, scope={"user": "ann"})])
    result = await agent.run(question, message_history=history)

A capability, and not a history processor: a processor's result becomes the run's history, so the documents of every step would be
in it for good.
"""

from __future__ import annotations

from contextkit.adapters.shared.extras import missing

try:
    import pydantic_ai as _peer  # noqa: F401 - is it there?
except ModuleNotFoundError as error:
    raise missing(error, "pydantic_ai", "pydantic-ai-slim", "pydantic-ai") from None

from contextkit.adapters.pydantic_ai.capability import PacketCapability
from contextkit.adapters.pydantic_ai.tools import toolset

__all__ = ["PacketCapability", "toolset"]
