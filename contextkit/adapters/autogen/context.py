"""`PacketContext`: a model context of AutoGen whose messages are packets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import LLMMessage, RequestUsage
from autogen_core.tools import Tool, ToolSchema

from contextkit.adapters.autogen.messages import from_chat, results, to_chat
from contextkit.adapters.shared.packets import Packets

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.kit import Kit


class PacketContext(ChatCompletionContext):
    """A model context that keeps all messages, and gives those of a packet: what the next call needs, within the budget.

    The last user message is the question; images in it stand in a message before it. System messages that are added stand in the
    prefix. Give the system prompt here, not to the agent: it is a part of the packet.

    Args:
        kit: an open kit.
        system: the system prompt.
        tools: what the model is offered, to be counted.
        scope: whose memory goes into the packets; None: no memory.
        agent: the agent's name.
        conversation: names the conversation; "": agent and scope do.
        initial_messages: the first messages.
        call: `budget`, `model` and other fields of `contextkit.AgentCall` that stay the same.

    Raises:
        InputError: a field that is not known, or a value that cannot work.
    """

    def __init__(
        self,
        kit: Kit,
        *,
        system: str = "",
        tools: Sequence[Tool | ToolSchema] = (),
        scope: Mapping[str, str] | None = None,
        agent: str = "agent",
        conversation: str = "",
        initial_messages: list[LLMMessage] | None = None,
        **call: Any,  # noqa: ANN401 - fields of AgentCall
    ) -> None:
        super().__init__(initial_messages)
        self._packets = Packets(kit, scope=scope, **call)
        self._system = system
        self._tools = tools
        self._who = {"agent": agent, "conversation": conversation}

    @property
    def packet(self) -> AgentPacket | None:
        """The packet of the last call; None before the first."""
        return self._packets.last

    @property
    def scope(self) -> dict[str, str]:
        """Whose memory goes into the packets."""
        return self._packets.call.scope

    async def get_messages(self) -> list[LLMMessage]:
        """The packet's messages, system messages first.

        Raises:
            InputError: content that cannot be carried, or no user's message.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        added, messages = to_chat(self._messages)
        definitions = [dict(tool if isinstance(tool, Mapping) else tool.schema) for tool in self._tools]
        pinned = (*self._packets.call.pinned, *added)

        def build() -> AgentPacket:
            return self._packets.build(messages, system=self._system, tools=definitions, pinned=pinned, **self._who)

        packet = await asyncio.to_thread(build)
        return list(from_chat(packet.messages("openai"), self._who["agent"], results(self._messages)))

    async def all_messages(self) -> list[LLMMessage]:
        """Every message that was added, in order."""
        return list(self._messages)

    def report(self, usage: RequestUsage) -> None:
        """Notes what the provider reported for the last call, for the next packet's receipt."""
        self._packets.report(usage.prompt_tokens, **self._who)
