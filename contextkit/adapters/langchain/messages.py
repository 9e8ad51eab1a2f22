"""LangChain's messages and tools as a kit's agent calls take them, and what a packet delivers as LangChain's messages again.

A message that a packet delivers unchanged is the very message that came in: what a provider put into it besides text and tool
calls goes back to it. Building the packet is `middleware.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from contextkit.errors import InputError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from contextkit.context.account import AgentPacket
    from contextkit.context.call import AgentCall
    from contextkit.context.history import Message

_CALLS = frozenset({"tool_use", "tool_call", "function_call", "tool_call_chunk", "input_json_delta", "invalid_tool_call"})
_UNSEEN = frozenset({"reasoning"})  # a provider's own record of its reasoning; it travels with the message it belongs to


@dataclass(frozen=True, slots=True)
class Turn:
    """The messages of a model call, told apart.

    Attributes:
        system: the text of the system messages among them, joined.
        before: the messages before the last user's.
        asked: the last user's message.
        after: those after it.
    """

    system: str
    before: tuple[BaseMessage, ...]
    asked: HumanMessage
    after: tuple[BaseMessage, ...]

    @property
    def all(self) -> tuple[BaseMessage, ...]:
        """All messages but the system's, in order."""
        return (*self.before, self.asked, *self.after)

    @property
    def question(self) -> str:
        """What is asked."""
        return _question(self.asked)


def turn(messages: Sequence[BaseMessage]) -> Turn:
    """The turn of a list of messages; an assistant's that say nothing are left out, as providers refuse them.

    What the last user's message shows besides text becomes a message of its own before it: a question is text.

    Raises:
        InputError: no message is a user's.
    """
    system = "\n\n".join(str(m.text) for m in messages if isinstance(m, SystemMessage) and m.text)
    said = [m for m in messages if not isinstance(m, SystemMessage) and not _silent(m)]
    place = next((n for n in range(len(said) - 1, -1, -1) if isinstance(said[n], HumanMessage)), None)
    if place is None:
        raise InputError(f"none of the {len(messages)} messages is a user's: there is no question to build a packet for")
    asked = cast("HumanMessage", said[place])
    before = said[:place]
    shown = [] if isinstance(asked.content, str) else [block for block in asked.content if _kind(block) != "text"]
    if shown:
        before = [*before, asked.model_copy(update={"content": shown})]
        asked = asked.model_copy(update={"content": _question(asked)})
    return Turn(system, tuple(before), asked, tuple(said[place + 1 :]))


def _question(asked: HumanMessage) -> str:
    """The text of a question: its blocks of text as a history joins them."""
    if isinstance(asked.content, str):
        return asked.content
    texts = [block if isinstance(block, str) else block.get("text", "") for block in asked.content if _kind(block) == "text"]
    return "\n\n".join(text for text in texts if text)


def _silent(message: BaseMessage) -> bool:
    calls = getattr(message, "tool_calls", None) or getattr(message, "invalid_tool_calls", None)
    return isinstance(message, AIMessage) and not calls and not message.content


def plain(messages: Iterable[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as an agent call takes them, one for one. Raises InputError for a kind of message that it cannot carry."""
    return [_plain(message) for message in messages]


def _plain(message: BaseMessage) -> dict[str, Any]:
    content = _content(message)
    if isinstance(message, ToolMessage):
        if message.status == "error":
            result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content, "is_error": True}
            return {"role": "user", "content": [result]}
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": content}
    name = {"name": message.name} if message.name else {}
    if isinstance(message, HumanMessage):
        return {"role": "user", "content": content, **name}
    if isinstance(message, AIMessage):
        calls = [_call(c["id"], c["name"], json.dumps(c["args"], ensure_ascii=False)) for c in message.tool_calls]
        calls += [_call(c["id"], c["name"], c["args"] or "") for c in message.invalid_tool_calls]
        return {"role": "assistant", "content": content, **name, **({"tool_calls": calls} if calls else {})}
    raise InputError(f"a {type(message).__name__} cannot be carried in a packet: use HumanMessage, AIMessage or ToolMessage")


def _call(id_: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _content(message: BaseMessage) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in message.content]
    return [_image(b) for b in blocks if _kind(b) not in _CALLS | _UNSEEN]


def _kind(block: str | dict[str, Any]) -> str:
    return "text" if isinstance(block, str) else str(block.get("type"))


def _image(block: dict[str, Any]) -> dict[str, Any]:
    """An image in LangChain's own form in a provider's; any other block as it is."""
    if block.get("type") != "image" or "source" in block:
        return block
    data = block.get("base64") or (block.get("data") if block.get("source_type") == "base64" else None)
    if data:
        return {"type": "image_url", "image_url": {"url": f"data:{block.get('mime_type')};base64,{data}"}}
    return {"type": "image_url", "image_url": {"url": block.get("url")}}


def definitions(tools: Iterable[BaseTool | dict[str, Any]], answer: object = None) -> list[dict[str, Any]]:
    """The definitions of the tools that a model is offered, and of the form in which it is to answer.

    A provider's own tools (a mapping that defines no function) have no definition that could be counted; they are left out.
    """
    return [convert_to_openai_tool(tool) for tool in (*(t for t in tools if not is_hosted(t)), *_answering(answer))]


def is_hosted(tool: BaseTool | dict[str, Any]) -> bool:
    """Whether a tool is a provider's own, which runs there."""
    return isinstance(tool, dict) and "function" not in tool and not ({"parameters", "input_schema", "properties"} & set(tool))


def _answering(answer: Any) -> list[Any]:  # noqa: ANN401 - one of LangChain's response formats
    """The tools by which a model answers in a form; where the provider has an own way for it, what stands for its cost."""
    from langchain.agents.structured_output import AutoStrategy, OutputToolBinding, ProviderStrategy, ToolStrategy

    if isinstance(answer, AutoStrategy | ProviderStrategy):
        answer = ToolStrategy(schema=answer.schema)
    specs = answer.schema_specs if isinstance(answer, ToolStrategy) else []
    return [OutputToolBinding.from_schema_spec(spec).tool for spec in specs]


def tool_name(tool: BaseTool | dict[str, Any]) -> tuple[bool, str]:
    """A key that sorts tools as a packet counts them: by name, a provider's own last."""
    if not isinstance(tool, dict):
        return False, tool.name
    return is_hosted(tool), str(tool.get("function", tool).get("name", tool.get("title", "")))


# ------------------------------------------------------------------------------------------------------------------ the way back


def delivered(packet: AgentPacket, call: AgentCall, given: Turn) -> list[AnyMessage]:
    """What a packet delivers as LangChain's messages, in order, without the system prompt; pinned memory is one of its own."""
    layout = packet._layout  # noqa: SLF001 - the providers' formats no longer say which message is whose
    out: list[BaseMessage] = [SystemMessage(layout.pinned)] if layout.pinned else []
    known = {message.place: message for message in call.history}
    whole = given.all

    def back(sent: Sequence[Message]) -> list[BaseMessage]:
        return [whole[m.place] if known.get(m.place) == m else _made(m) for m in sent]

    turned = layout.turn == given.asked.content
    out += [*back(layout.before), given.asked if turned else given.asked.model_copy(update={"content": layout.turn})]
    return cast("list[AnyMessage]", [*out, *back(layout.after)])


def _made(message: Message) -> BaseMessage:
    """A message that compaction has changed."""
    content: Any = message.text
    if message.parts:
        from contextkit.context.parts import anthropic_parts, openai_parts

        images = not any(part.kind in ("thinking", "redacted") for part in message.parts)
        content = openai_parts(message.parts, "a message") if images else anthropic_parts(message.parts)
    name = message.name or None
    if message.role == "user":
        return HumanMessage(content, name=name)
    if message.role == "tool":
        status = "error" if message.failed else "success"
        return ToolMessage(content, tool_call_id=message.call_id, name=name, status=status)
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for call in message.calls:
        arguments = _arguments(call.arguments)
        if arguments is None:
            wrong = {"name": call.name, "args": call.arguments, "id": call.id, "error": None, "type": "invalid_tool_call"}
            bad.append(wrong)
        else:
            good.append({"name": call.name, "args": arguments, "id": call.id, "type": "tool_call"})
    return AIMessage(content, name=name, tool_calls=good, invalid_tool_calls=bad)


def _arguments(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
