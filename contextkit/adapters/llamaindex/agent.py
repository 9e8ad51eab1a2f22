"""For LlamaIndex's agents: `KitAgent`, whose every model call is a packet, and tools on an index."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_type_hints

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.agent.workflow.agent_context import AgentContext
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.bridge.pydantic import PrivateAttr, create_model
from llama_index.core.tools import AsyncBaseTool, FunctionTool

from contextkit.adapters.llamaindex.nodes import Filters, where_of
from contextkit.adapters.shared.packets import Packets, input_tokens
from contextkit.adapters.shared.tools import offered
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.kit import Kit
    from contextkit.types import Principal


class KitAgent(FunctionAgent):
    """A `FunctionAgent` whose every model call is a packet of a kit: history, memory and documents within one token budget.

    The last user's message is the question; documents and memory come into that message, and history is shortened to the
    budget. What LlamaIndex's own memory keeps is what was said, not the packets. Give it a `Memory` with a high token limit: how
    much of it is sent is decided here. What the provider reports as the input of a call anchors the next receipt.

    Args:
        kit: an open kit; the caller closes it.
        scope: whose memory goes into the packets; None: no memory.
        budget: most tokens of messages, tools and reply reserve together; None: the model's window.
        model: whose tokens count; None: cl100k_base.
        filters: of the documents: LlamaIndex's, or a `where`.
        principal: on whose behalf; None: only documents that everyone may see.
        reply_reserve: tokens left free for the reply; None: a quarter of the budget, at most 1,024.
        conversation: names the conversation whose cached prefix is predicted; "": the agent's name and the scope do.
        fields: of `FunctionAgent`: name, tools, llm, system_prompt ...

    Raises:
        InputError: a value that cannot work.
    """

    _packets: Packets = PrivateAttr()
    _conversation: str = PrivateAttr()

    def __init__(
        self,
        kit: Kit,
        *,
        scope: Mapping[str, str] | None = None,
        budget: int | None = None,
        model: str | None = None,
        filters: Filters = None,
        principal: Principal | None = None,
        reply_reserve: int | None = None,
        conversation: str = "",
        **fields: Any,  # noqa: ANN401 - FunctionAgent's own
    ) -> None:
        super().__init__(**fields)
        given = {"budget": budget, "model": model, "reply_reserve": reply_reserve}
        self._packets = Packets(
            kit, scope=scope, where=where_of(filters, kit.catalog), principal=principal,
            **{name: value for name, value in given.items() if value is not None},
        )  # fmt: skip
        self._conversation = conversation

    @property
    def last_packet(self) -> AgentPacket | None:
        """The packet of the last model call; None before the first."""
        return self._packets.last

    async def _get_response(self, current_llm_input: list[ChatMessage], tools: Sequence[AsyncBaseTool]) -> ChatResponse:
        return self._noted(await super()._get_response(await self._packed(current_llm_input, tools), tools))

    async def _get_streaming_response(
        self, ctx: AgentContext, current_llm_input: list[ChatMessage], tools: Sequence[AsyncBaseTool]
    ) -> ChatResponse:
        return self._noted(await super()._get_streaming_response(ctx, await self._packed(current_llm_input, tools), tools))

    def _noted(self, response: ChatResponse) -> ChatResponse:
        """The response as it came; the input tokens that its provider reported are noted for the next packet's receipt."""
        self._packets.report(reported(response), agent=self.name, conversation=self._conversation)
        return response

    async def _packed(self, messages: list[ChatMessage], tools: Sequence[AsyncBaseTool]) -> list[ChatMessage]:
        spelled = [to_openai(message, place) for place, message in enumerate(messages)]
        system = "\n\n".join(str(one["content"]) for one in spelled if one["role"] == "system")
        packet = await asyncio.to_thread(
            self._packets.build, [one for one in spelled if one["role"] != "system"], system=system,
            tools=[tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools], agent=self.name,
            conversation=self._conversation,
        )  # fmt: skip
        return from_packet(packet, list(zip(spelled, messages, strict=True)))


def kit_tools(
    kit: Kit,
    *,
    scope: Mapping[str, str] | None = None,
    budget: int = 1024,
    model: str | None = None,
    filters: Filters = None,
    principal: Principal | None = None,
) -> list[FunctionTool]:
    """The tools of a kit for an agent: `search` and `context`, and with a scope `recall` and `remember`.

    Args:
        kit: an open kit.
        scope: whose memory is written and recalled; None: no memory tools.
        budget: most tokens that `context` and `recall` give.
        model: whose tokens count; None: cl100k_base.
        filters: of the documents: LlamaIndex's, or a `where`.
        principal: on whose behalf; without one only documents that everyone may see.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    where = where_of(filters, kit.catalog)
    out = []
    for one in offered(kit, scope=scope, budget=budget, model=model, where=where, principal=principal):
        hints = get_type_hints(one.at_once, include_extras=True)
        parameters = inspect.signature(one.at_once).parameters
        fields: dict[str, Any] = {
            name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in parameters.items()
        }
        schema = create_model(one.name, **fields)
        out.append(
            FunctionTool.from_defaults(
                one.at_once, name=one.name, description=one.description, fn_schema=schema, async_fn=one.function
            )
        )
    return out


def reported(response: ChatResponse) -> int:
    """The input tokens that a provider reported with a response, wherever LlamaIndex put its account; 0 where there is none."""
    raw = response.raw
    told = [raw.get(name) if isinstance(raw, Mapping) else getattr(raw, name, None) for name in ("usage", "usage_metadata")]
    return next((found for usage in (*told, response.additional_kwargs) if (found := input_tokens(usage))), 0)


def to_openai(message: ChatMessage, place: int) -> dict[str, Any]:
    """A message in OpenAI's chat form; what the model thought is left out.

    Raises:
        InputError: naming the message and the kind of block that cannot be carried, such as an image.
    """
    role = message.role.value
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in message.blocks:
        if isinstance(block, TextBlock):
            texts.append(block.text)
        elif isinstance(block, ToolCallBlock):
            given = block.tool_kwargs
            arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
            calls.append(
                {"id": block.tool_call_id, "type": "function", "function": {"name": block.tool_name, "arguments": arguments}}
            )
        elif not isinstance(block, ThinkingBlock):
            raise InputError(f"message {place} ({role}): a {block.block_type} block cannot be carried: only texts and tool calls")
    out: dict[str, Any] = {"role": "system" if role == "developer" else role, "content": "\n".join(texts)}
    if role in ("tool", "function"):
        return {"role": "tool", "content": out["content"], "tool_call_id": message.additional_kwargs.get("tool_call_id")}
    if calls:
        out["tool_calls"] = calls
    if role == "assistant":
        out["content"] = out["content"] or None
    return out


def from_packet(packet: AgentPacket, given: Sequence[tuple[dict[str, Any], ChatMessage]]) -> list[ChatMessage]:
    """The packet's messages; what is sent as it was given is the given message itself."""
    left = list(given)
    out: list[ChatMessage] = []
    for sent in packet.messages("openai"):
        found = next((n for n, (spelled, _) in enumerate(left) if spelled == sent), None)
        if found is not None:
            out.append(left[found][1])
            del left[: found + 1]
            continue
        blocks: list[Any] = [TextBlock(text=str(sent["content"]))] if sent.get("content") else []
        calls: Any = sent.get("tool_calls") or ()
        blocks += [
            ToolCallBlock(
                tool_call_id=call["id"], tool_name=call["function"]["name"], tool_kwargs=json.loads(call["function"]["arguments"])
            )
            for call in calls
        ]
        kwargs = {"tool_call_id": sent["tool_call_id"]} if sent["role"] == "tool" else {}
        out.append(ChatMessage(role=str(sent["role"]), blocks=blocks, additional_kwargs=kwargs))
    return out
