"""AutoGen's messages as packets take them, in OpenAI's chat form, and a packet's messages as AutoGen's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autogen_core import FunctionCall, Image
from autogen_core.models import (
    AssistantMessage,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    LLMMessage,
    SystemMessage,
    UserMessage,
)

from contextkit.adapters.shared.packets import joined
from contextkit.errors import InputError


def to_chat(history: Sequence[LLMMessage]) -> tuple[list[str], list[dict[str, Any]]]:
    """A context's messages as system texts and messages in chat form."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for place, message in enumerate(history):
        if isinstance(message, SystemMessage):
            system.append(message.content)
        elif isinstance(message, UserMessage):
            messages.append({"role": "user", "content": _content(message, place)})
        elif isinstance(message, FunctionExecutionResultMessage):
            messages.extend({"role": "tool", "tool_call_id": r.call_id, "content": r.content} for r in message.content)
        elif isinstance(message.content, str):
            messages.append({"role": "assistant", "content": message.content})
        else:
            calls = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.content
            ]
            messages.append({"role": "assistant", "content": message.thought or None, "tool_calls": calls})
    return system, messages


def _content(message: UserMessage, place: int) -> str | list[dict[str, Any]]:
    """A user's message as its text, or as its parts where an image is among them."""
    if isinstance(message.content, str):
        return message.content
    strange = next((part for part in message.content if not isinstance(part, (str, Image))), None)
    if strange is not None:
        raise InputError(f"message {place} holds {type(strange).__name__}: only texts and images can be carried in a packet")
    if not any(isinstance(part, Image) for part in message.content):
        return user_text(message)
    return [{"type": "text", "text": p} if isinstance(p, str) else _picture(p) for p in message.content]


def _picture(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image.data_uri}}


def user_text(message: UserMessage) -> str:
    """What a user's message says, without what it shows."""
    return message.content if isinstance(message.content, str) else joined([p for p in message.content if isinstance(p, str)])


def _read(part: Mapping[str, Any]) -> str | Image:
    return str(part["text"]) if part["type"] == "text" else Image.from_uri(part["image_url"]["url"])


def results(history: Sequence[LLMMessage]) -> dict[str, FunctionExecutionResult]:
    """Each function's result by the id of its call."""
    return {r.call_id: r for m in history if isinstance(m, FunctionExecutionResultMessage) for r in m.content}


def from_chat(
    chat: Sequence[Mapping[str, Any]], agent: str, given: Mapping[str, FunctionExecutionResult]
) -> Iterator[LLMMessage]:
    """Messages in chat form as AutoGen's; results that follow each other are one message."""
    answered: list[FunctionExecutionResult] = []
    for message in chat:
        role, content = message["role"], message["content"]
        if role == "tool":
            answered.append(given[message["tool_call_id"]].model_copy(update={"content": content}))
            continue
        if answered:
            yield FunctionExecutionResultMessage(content=answered)
            answered = []
        if role == "system":
            yield SystemMessage(content=content)
        elif role == "user":
            shown = content if isinstance(content, str) else [_read(part) for part in content]
            yield UserMessage(content=shown, source="user")
        elif message.get("tool_calls"):
            calls = [(c["id"], c["function"]) for c in message["tool_calls"]]
            made = [FunctionCall(id=call_id, name=f["name"], arguments=f["arguments"]) for call_id, f in calls]
            yield AssistantMessage(content=made, thought=content, source=agent)
        else:
            yield AssistantMessage(content=content, source=agent)
    if answered:
        yield FunctionExecutionResultMessage(content=answered)
