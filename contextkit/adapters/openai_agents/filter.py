"""`PacketFilter`: the packet of each model call of the OpenAI Agents SDK, and hand-offs with evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from agents import Agent, RunContextWrapper, RunHooks
from agents.handoffs import HandoffInputData
from agents.run_config import CallModelData, ModelInputData

from contextkit.adapters.openai_agents.items import definitions, to_chat
from contextkit.adapters.shared.packets import Packets
from contextkit.errors import InputError

if TYPE_CHECKING:
    from agents.items import ModelResponse, TResponseInputItem

    from contextkit.context.account import AgentPacket
    from contextkit.context.handoff import Handoff
    from contextkit.kit import Kit
    from contextkit.types import Principal


class PacketFilter:
    """Builds the packet of each model call: give it as `RunConfig(call_model_input_filter=...)`. One for each conversation.

    What the model receives is `packet.request("responses")`, the system's part of it as instructions. The last user's message is
    the question; images in it stand in a message before it. Items must be texts, images, function calls and their results;
    reasoning items are left out. Where the agent has other input (files, hosted tools) or the provider keeps the conversation
    (`previous_response_id`), this is not the right filter. Hosted tools and output schemas are not counted.

    Args:
        kit: an open kit.
        scope: whose memory goes into the packets; None: no memory.
        conversation: names the conversation; "": the agent's name and the scope do.
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
        self._kit = kit
        self._conversation = conversation
        self._packets = Packets(kit, scope=scope, **call)
        self.hooks: RunHooks[Any] = _Usage(self._packets, conversation)
        """Give these as `Runner.run(hooks=...)`: they feed the reported usage back into the next packet's receipt."""
        self.handoff: Handoff | None = None
        """What was handed over last."""

    @property
    def packet(self) -> AgentPacket | None:
        """The packet of the last call; None before the first."""
        return self._packets.last

    async def __call__(self, data: CallModelData[Any]) -> ModelInputData:
        """The model's input: the packet's messages.

        Raises:
            InputError: an item that cannot be carried, or no user's message; the run ends with it.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        offer = await definitions(data.agent, RunContextWrapper(context=data.context))
        system, messages = to_chat(data.model_data.input)

        def build() -> AgentPacket:
            return self._packets.build(
                messages, system=data.model_data.instructions or "", tools=offer, agent=data.agent.name,
                conversation=self._conversation, pinned=(*self._packets.call.pinned, *system),
            )  # fmt: skip

        packet = await asyncio.to_thread(build)
        items = cast("list[TResponseInputItem]", packet.request("responses")["input"])
        instructions = data.model_data.instructions
        return ModelInputData(input=items[1:] if instructions else items, instructions=instructions or None)

    def handoff_filter(
        self,
        to: str,
        *,
        decisions: Sequence[str] = (),
        claims: Sequence[str] = (),
        open_items: Sequence[str] = (),
        remaining_budget: int | None = None,
        principal: Principal | None = None,
    ) -> Callable[[HandoffInputData], Awaitable[HandoffInputData]]:
        """An input filter for `agents.handoff(..., input_filter=...)`: the receiver gets the evidence, not the transcript.

        The last packet's delivered text goes over as facts with their places, each read again with the receiver's rights; then
        comes the question. The session keeps the whole transcript.

        Args:
            to: the agent that goes on.
            decisions: what was decided.
            claims: facts without evidence.
            open_items: what is left to do.
            remaining_budget: tokens that the receiver may spend.
            principal: on whose behalf the receiver works.

        Raises:
            InputError: when it runs: no packet was built before, a loop, or more hops than allowed.
        """

        async def handed_over(data: HandoffInputData) -> HandoffInputData:
            packet = self._packets.last
            if packet is None:
                raise InputError(f"nothing to hand over to {to!r}: no packet was built; give this filter to the RunConfig too")
            before = self.handoff if self.handoff is not None and self.handoff.receiver == packet.receipt.agent else None
            self.handoff = await asyncio.to_thread(
                self._kit.handoff, packet, to, decisions=decisions, claims=claims, open_items=open_items,
                remaining_budget=remaining_budget, previous=before, principal=principal,
            )  # fmt: skip
            items = [{"role": "user", "content": text} for text in (handoff_text(self.handoff), packet.question)]
            history = cast("tuple[TResponseInputItem, ...]", tuple(items))
            return data.clone(input_history=history, pre_handoff_items=(), input_items=())

        return handed_over


class _Usage(RunHooks[Any]):
    """Notes what the provider reported for each call."""

    def __init__(self, packets: Packets, conversation: str) -> None:
        self._packets = packets
        self._conversation = conversation

    async def on_llm_end(self, context: RunContextWrapper[Any], agent: Agent[Any], response: ModelResponse) -> None:  # noqa: ARG002 - the SDK's signature
        """Notes the input tokens of a response."""
        self._packets.report(response.usage.input_tokens, agent=agent.name, conversation=self._conversation)


def handoff_text(handoff: Handoff) -> str:
    """A hand-off as the receiving model reads it: goal, decisions, facts with their places, claims, open items, tokens left."""
    known = [f"{fact.text} ({', '.join(f'{e.document_id}:{e.start}-{e.end}' for e in fact.evidence)})" for fact in handoff.facts
             if not fact.is_claim]  # fmt: skip
    claims = [fact.text for fact in handoff.facts if fact.is_claim]
    parts = [f"Handed over by {handoff.sender} to {handoff.receiver}.", f"Goal: {handoff.goal}"]
    for head, lines in (
        ("Decided", handoff.decisions),
        ("Known from documents", known),
        ("Said without evidence", claims),
        ("Open", handoff.open_items),
    ):
        if lines:
            parts.append("\n".join([f"{head}:", *(f"- {line}" for line in lines)]))
    if handoff.flagged:
        parts.append(f"Not passed on, since the evidence changed, is gone or may not be seen: {len(handoff.flagged)}")
    if handoff.remaining_budget is not None:
        parts.append(f"Tokens left: {handoff.remaining_budget}")
    return "\n".join(parts)
