"""The OpenAI Agents SDK on a kit: packets as model input, hand-offs with evidence, tools, and sessions.

    packets = PacketFilter(kit, budget=4096, scope={"user": "ann"})
    agent = Agent(name="desk", instructions="Answer from the documents.", tools=tools(kit, scope={"user": "ann"}))
    await Runner.run(agent, question, session=KitSession(kit, "chat-1"), hooks=packets.hooks,
                     run_config=RunConfig(call_model_input_filter=packets))

The session itself is `openai_agents_session.py`; what is not the SDK's own is `agent_calls.py`.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from contextkit.adapters.agent_calls import Packets, handoff_text, joined, missing, offered
from contextkit.errors import ContextkitError, InputError

try:
    from agents import Agent, FunctionTool, RunContextWrapper, RunHooks, function_tool
    from agents import Handoff as AgentHandoff
    from agents import handoff as handoff_to
    from agents.handoffs import HandoffInputData
    from agents.run_config import CallModelData, ModelInputData
except ModuleNotFoundError as error:
    raise missing(error, "agents", "openai-agents", "openai-agents") from None

from contextkit.adapters.openai_agents_session import KitSession

if TYPE_CHECKING:
    from agents.items import ModelResponse, TResponseInputItem

    from contextkit.context.account import AgentPacket
    from contextkit.context.handoff import Handoff
    from contextkit.kit import Kit, Where
    from contextkit.types import Principal

__all__ = ["KitSession", "PacketFilter", "tools"]


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
        definitions = await _definitions(data.agent, RunContextWrapper(context=data.context))
        system, messages = _chat(data.model_data.input)

        def build() -> AgentPacket:
            return self._packets.build(
                messages, system=data.model_data.instructions or "", tools=definitions, agent=data.agent.name,
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


def tools(
    kit: Kit,
    *,
    scope: Mapping[str, str] | None = None,
    budget: int = 1024,
    model: str | None = None,
    where: Where | None = None,
    principal: Principal | None = None,
) -> list[FunctionTool]:
    """Function tools of a kit: `search` and `context`; with a scope `recall` and, unless the kit is read-only, `remember`.

    A mistake in the model's arguments is told to the model; a closed kit and other troubles end the run.

    Args:
        kit: an open kit.
        scope: whose memory is written and recalled.
        budget: most tokens that `context` and `recall` give.
        model: whose tokens count; None: cl100k_base.
        where: metadata filter of the documents.
        principal: on whose behalf; without one only documents that everyone may see.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    return [
        function_tool(tool.function, name_override=tool.name, description_override=tool.description, failure_error_function=_told)
        for tool in offered(kit, scope=scope, budget=budget, model=model, where=where, principal=principal)
    ]


def _told(_: RunContextWrapper[Any], error: Exception) -> str:
    """What the model reads of a mistake; anything but a mistake in its arguments is raised."""
    if isinstance(error, ContextkitError) and not isinstance(error, InputError):
        raise error
    return f"That did not work: {error}"


class _Usage(RunHooks[Any]):
    """Notes what the provider reported for each call."""

    def __init__(self, packets: Packets, conversation: str) -> None:
        self._packets = packets
        self._conversation = conversation

    async def on_llm_end(self, context: RunContextWrapper[Any], agent: Agent[Any], response: ModelResponse) -> None:  # noqa: ARG002 - the SDK's signature
        """Notes the input tokens of a response."""
        self._packets.report(response.usage.input_tokens, agent=agent.name, conversation=self._conversation)


async def _definitions(agent: Agent[Any], context: RunContextWrapper[Any]) -> list[dict[str, Any]]:
    """What the model is offered as functions: tools, those of MCP servers among them, and hand-offs."""
    out = [
        {
            "type": "function", "name": tool.name, "description": tool.description, "parameters": tool.params_json_schema,
            "strict": tool.strict_json_schema,
        }
        for tool in await agent.get_all_tools(context)
        if isinstance(tool, FunctionTool)
    ]  # fmt: skip
    for given in agent.handoffs:
        one = given if isinstance(given, AgentHandoff) else handoff_to(given)
        enabled = one.is_enabled if isinstance(one.is_enabled, bool) else one.is_enabled(context, agent)
        if not (await enabled if inspect.isawaitable(enabled) else enabled):
            continue
        out.append({"name": one.tool_name, "description": one.tool_description, "parameters": one.input_json_schema})
    return out


def _chat(items: Sequence[TResponseInputItem]) -> tuple[list[str], list[dict[str, Any]]]:
    """Input items as system texts and messages in chat form; calls that follow each other are one message's."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for place, given in enumerate(items):
        item = cast("Mapping[str, Any]", given)
        kind = item.get("type", "message")
        if kind == "reasoning":
            continue  # without its provider's ids it says nothing; what was done stands in the calls
        if kind == "function_call":
            call = {
                "id": item["call_id"],
                "type": "function",
                "function": {"name": item["name"], "arguments": item["arguments"]},
            }
            if messages and messages[-1].get("tool_calls"):
                messages[-1]["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"], place)})
        elif kind == "message" and item.get("role") in ("system", "developer"):
            system.append(_text(item["content"], place))
        elif kind == "message":
            messages.append({"role": item["role"], "content": _content(item["content"], place)})
        else:
            raise InputError(
                f"item {place} is a {kind!r}, which no packet can carry: texts, images, function calls and their results can be; "
                "run this agent without PacketFilter"
            )
    return system, [message for message in messages if message["content"] != "" or message["role"] != "assistant"]


def _content(content: object, place: int) -> str | list[Mapping[str, Any]]:
    """The content of an item: its text, or its parts where an image is among them."""
    parts = content if isinstance(content, Sequence) and not isinstance(content, str) else []
    if not any(isinstance(part, Mapping) and part.get("type") == "input_image" for part in parts):
        return _text(content, place)
    return [part if part.get("type") == "input_image" else {"type": "input_text", "text": _text([part], place)} for part in parts]


def _text(content: object, place: int) -> str:
    """The text of a content: a text, or a list of parts that are texts or refusals."""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content if isinstance(content, Sequence) else [content]:
        text = part.get("text", part.get("refusal")) if isinstance(part, Mapping) else None
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise InputError(f"item {place} has a part of type {kind!r}: only texts and images can be carried in a packet")
        texts.append(text)
    return joined(texts)
