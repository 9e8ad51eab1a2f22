"""The OpenAI Agents SDK on a kit: packets as model input, hand-offs with evidence, tools, and sessions.

    packets = PacketFilter(kit, budget=4096, scope={"user": "ann"})
    agent = Agent(name="desk", instructions="Answer from the documents.", tools=tools(kit, scope={"user": "ann"}))
    await Runner.run(agent, question, session=KitSession(kit, "chat-1"), hooks=packets.hooks,
                     run_config=RunConfig(call_model_input_filter=packets))

The session keeps what was said; what is sent of it is the packet's.
"""

from __future__ import annotations

from contextkit.adapters.shared.extras import missing

try:
    import agents as _peer  # noqa: F401 - is it there?
except ModuleNotFoundError as error:
    raise missing(error, "agents", "openai-agents", "openai-agents") from None

from contextkit.adapters.openai_agents.filter import PacketFilter
from contextkit.adapters.openai_agents.function_tools import tools
from contextkit.adapters.openai_agents.session import KitSession

__all__ = ["KitSession", "PacketFilter", "tools"]
