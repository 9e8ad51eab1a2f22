"""The SDK's input items as packets take them, in OpenAI's chat form, and what its agents offer a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from agents import Agent, FunctionTool, RunContextWrapper
from agents import Handoff as AgentHandoff
from agents import handoff as handoff_to

from contextkit.adapters.shared.packets import joined
from contextkit.errors import InputError

if TYPE_CHECKING:
    from agents.items import TResponseInputItem


async def definitions(agent: Agent[Any], context: RunContextWrapper[Any]) -> list[dict[str, Any]]:
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


def to_chat(items: Sequence[TResponseInputItem]) -> tuple[list[str], list[dict[str, Any]]]:
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
