"""`PacketCapability`: the packet of each model request of a pydantic-ai agent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import InstructionPart, ModelResponse, SystemPromptPart

from contextkit.adapters.pydantic_ai.messages import from_chat, originals, to_chat
from contextkit.adapters.shared.packets import Packets, joined

if TYPE_CHECKING:
    from pydantic_ai.models import ModelRequestContext

    from contextkit.context.account import AgentPacket
    from contextkit.kit import Kit


class PacketCapability(AbstractCapability[Any]):
    """Builds the packet of each model request; give it as `Agent(capabilities=[...])`. The run's own history stays as it is.

    What the model receives is the packet: its messages as messages, and its system texts as system prompts, or as the agent's
    instructions where these are all there is. The last user prompt is the question. Prompts must be texts and images
    (those of the question stand in a prompt before it), results texts; thinking is left out. Output schemas that are not tools,
    and native tools, are not counted.

    Args:
        kit: an open kit.
        scope: whose memory goes into the packets; None: no memory.
        conversation: names the conversation; "": the run's `conversation_id` does.
        call: `budget`, `model` and other fields of `contextkit.AgentCall` that stay the same.

    Raises:
        InputError: a field that is not known, or a value that cannot work.
    """

    def __init__(
        self,
        kit: Kit,
        *,
        scope: Mapping[str, str] | None = None,
        conversation: str = "",
        **call: Any,  # noqa: ANN401 - fields of AgentCall
    ) -> None:
        self.id = None
        self.description = None
        self.defer_loading = False
        self._packets = Packets(kit, scope=scope, **call)
        self._conversation = conversation

    @property
    def packet(self) -> AgentPacket | None:
        """The packet of the last request; None before the first."""
        return self._packets.last

    async def before_model_request(self, ctx: RunContext[Any], request_context: ModelRequestContext) -> ModelRequestContext:
        """The request with the packet in it.

        Raises:
            InputError: a part that cannot be carried, or no user's prompt; the run ends with it.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        parameters = request_context.model_request_parameters
        prompts, messages = to_chat(request_context.messages)
        instructions = InstructionPart.join(parameters.instruction_parts or ()) or ""
        offer = [
            {"name": t.name, "description": t.description, "parameters": t.parameters_json_schema, "strict": t.strict}
            for t in (*parameters.function_tools, *parameters.output_tools)
        ]
        system = joined([*prompts, instructions])
        packet = await asyncio.to_thread(self._packets.build, messages, system=system, tools=offer, **self._who(ctx))
        chat = packet.messages("openai")
        texts = [str(message["content"]) for message in chat if message["role"] == "system"]
        spoken = [message for message in chat if message["role"] != "system"]
        if texts == [instructions]:
            texts = []
        else:  # several texts keep their order only as system prompts
            parameters = replace(parameters, instruction_parts=[])
        given = originals(request_context.messages)
        sent = list(from_chat([SystemPromptPart(text) for text in texts], spoken, given))
        return replace(request_context, messages=sent, model_request_parameters=parameters)

    async def after_model_request(
        self,
        ctx: RunContext[Any],
        *,
        request_context: ModelRequestContext,  # noqa: ARG002 - the library's signature
        response: ModelResponse,
    ) -> ModelResponse:
        """The response as it came; its usage is noted for the next packet's receipt."""
        self._packets.report(response.usage.input_tokens, **self._who(ctx))
        return response

    def _who(self, ctx: RunContext[Any]) -> dict[str, str]:
        name = ctx.agent.name if ctx.agent is not None else None
        return {"agent": name or "agent", "conversation": self._conversation or ctx.conversation_id or ""}
