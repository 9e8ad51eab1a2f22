"""Messages of any provider in one plain form, checked: who says what, and which result answers which tool call.

Reading and pairing live here; shortening is `compact.py`, writing for a provider is `formats.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from contextkit.context.parts import Part, read_part
from contextkit.context.plain import canonical_json, check_text, check_tree
from contextkit.errors import InputError

Role = Literal["user", "assistant", "tool"]
_EMPTY_FIELDS = frozenset({"refusal", "audio", "annotations", "function_call", "status", "reasoning", "reasoning_content"})
_FIELDS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "id", "type", "time", "cache_control", "model"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool by the model.

    Attributes:
        id: pairs it with its result.
        name: of the tool.
        arguments: JSON text, as the model wrote it where it came as text.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        role: "user", "assistant" or "tool" (one tool's result).
        text: what it says; "" where an assistant only calls tools.
        calls: the tool calls of an assistant.
        call_id: of a tool's result: the call that it answers.
        name: of a user or assistant, where several speak; of a result, the tool's.
        place: index in the caller's list, for messages and the receipt.
        failed: of a tool's result: whether the tool reported an error.
        parts: the whole content in order where it holds images or thinking; empty where `text` is all of it.
    """

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    name: str = ""
    place: int = 0
    failed: bool = False
    parts: tuple[Part, ...] = ()


Exchange = tuple[Message, ...]
"""Messages that belong together: one message, or an assistant's tool calls with all their results."""


def read_messages(value: object, field: str = "history") -> tuple[Message, ...]:
    """Messages in contextkit's form, of OpenAI's chat form or Anthropic's, also mixed.

    Raises:
        InputError: naming the message: an unknown role or field, content that cannot be carried, a result without its call, a
            call without its result.
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise InputError(f"{field} must be a list of messages, not {type(value).__name__}")
    out: list[Message] = []
    for place, given in enumerate(value):
        if isinstance(given, Message):
            out.append(given)
        elif isinstance(given, Mapping):
            out.extend(_read(given, place, f"{field}[{place}]"))
        else:
            raise InputError(f"{field}[{place}] must be a mapping with role and content, not {type(given).__name__}")
    return tuple(_checked(out, field))


def exchanges(messages: Sequence[Message]) -> list[Exchange]:
    """Checked messages in groups that may not be split, in order."""
    out: list[list[Message]] = []
    for message in messages:
        if message.role == "tool":
            out[-1].append(message)
        else:
            out.append([message])
    return [tuple(group) for group in out]


def _read(given: Mapping[str, object], place: int, label: str) -> Iterator[Message]:
    role = given.get("role")
    if role in ("system", "developer"):
        raise InputError(f"{label}: a {role} message does not belong into a history: give its text as AgentCall(system=...)")
    if role not in ("user", "assistant", "tool"):
        raise InputError(f"{label}: unknown role {role!r}: use user, assistant or tool")
    for key, item in given.items():
        if key not in _FIELDS and not (key in _EMPTY_FIELDS and not item):
            raise InputError(f"{label}: the field {key!r} cannot be carried: {str(item)[:60]!r}")
    name = given.get("name") or ""
    if not isinstance(name, str):
        raise InputError(f"{label}: name must be a text, not {name!r}")
    if role == "tool":
        call_id = given.get("tool_call_id")
        if not isinstance(call_id, str) or not call_id:
            raise InputError(f"{label}: a tool's result needs the tool_call_id of the call that it answers")
        text, parts = _content(given.get("content"), label)
        yield Message("tool", text, call_id=call_id, name=name, place=place, parts=parts)
        return
    yield from _spoken("user" if role == "user" else "assistant", given, name, place, label)


def _spoken(
    role: Literal["user", "assistant"], given: Mapping[str, object], name: str, place: int, label: str
) -> Iterator[Message]:
    """A user's or assistant's message; Anthropic puts tool results into a user's."""
    calls = [_openai_call(call, label) for call in _listed(given.get("tool_calls"), label, "tool_calls")]
    results: list[Message] = []
    rest: list[object] = []
    content = given.get("content")
    for part in [] if content is None or isinstance(content, str) else _listed(content, label, "content"):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, Mapping) and kind == "tool_use":
            calls.append(_anthropic_call(part, label))
        elif isinstance(part, Mapping) and kind == "tool_result":
            results.append(_anthropic_result(part, place, label))
        else:
            rest.append(part)
    if calls and role == "user":
        raise InputError(f"{label}: a user does not call tools: the role must be assistant")
    if results and role == "assistant":
        raise InputError(f"{label}: an assistant does not give tool results: the role must be user or tool")
    text, parts = _content(content if isinstance(content, str) else rest, label)
    _check_voice(role, parts, label)
    yield from results
    if text or parts or calls or not results:
        if not text and not parts and not calls:
            raise InputError(f"{label}: the message says nothing: leave it out")
        yield Message(role, text, calls=tuple(calls), name=name, place=place, parts=parts)


def _check_voice(role: str, parts: Sequence[Part], label: str) -> None:
    """Users show images, assistants think; no provider takes it the other way round."""
    wrong = ("thinking", "redacted") if role == "user" else ("image",)
    found = next((part.kind for part in parts if part.kind in wrong), None)
    if found is not None:
        what = "an image" if found == "image" else "thinking"
        raise InputError(f"{label}: {what} cannot be carried in a message of role {role}")


def _listed(value: object, label: str, key: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise InputError(f"{label}: {key} must be a list, not {type(value).__name__}")
    return value


def _openai_call(call: object, label: str) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping):
        raise InputError(f"{label}: a tool call needs an id and a function with name and arguments: {str(call)[:80]!r}")
    return _call(call.get("id"), function.get("name"), function.get("arguments"), label)


def _anthropic_call(part: Mapping[str, object], label: str) -> ToolCall:
    return _call(part.get("id"), part.get("name"), part.get("input"), label)


def _call(call_id: object, name: object, arguments: object, label: str) -> ToolCall:
    if not isinstance(call_id, str) or not call_id or not isinstance(name, str) or not name:
        raise InputError(f"{label}: a tool call needs a text as its id and its name, not {call_id!r} and {name!r}")
    if isinstance(arguments, str):
        return ToolCall(call_id, name, arguments or "{}")
    check_tree(arguments, f"{label}: the arguments of {name}")
    return ToolCall(call_id, name, "{}" if arguments is None else canonical_json(arguments))


def _anthropic_result(part: Mapping[str, object], place: int, label: str) -> Message:
    call_id = part.get("tool_use_id")
    if not isinstance(call_id, str) or not call_id:
        raise InputError(f"{label}: a tool_result needs the tool_use_id of the call that it answers")
    text, parts = _content(part.get("content"), label)
    if any(one.kind in ("thinking", "redacted") for one in parts):
        raise InputError(f"{label}: thinking cannot be carried in a tool's result")
    return Message("tool", text, call_id=call_id, place=place, failed=part.get("is_error") is True, parts=parts)


def _content(content: object, label: str) -> tuple[str, tuple[Part, ...]]:
    """The texts of a content as one, and all its parts where not every one is a text."""
    if content is None or isinstance(content, str):
        return content or "", ()
    parts = []
    for given in _listed(content, label, "content"):
        part = read_part(given, label)
        if part is None:
            kind = given.get("type") if isinstance(given, Mapping) else None
            raise InputError(
                f"{label}: a content part of type {kind!r} cannot be carried: texts, images, thinking, tool calls and results can"
            )
        if part.text or part.kind != "text":
            parts.append(part)
    text = "\n\n".join(part.text for part in parts if part.kind == "text")
    return text, tuple(parts) if any(part.kind != "text" for part in parts) else ()


def _checked(messages: Sequence[Message], field: str) -> Iterator[Message]:
    """The same messages, results named after their tools. Each result answers an open call; no call stays open."""
    open_calls: dict[str, str] = {}
    for message in messages:
        label = f"{field}[{message.place}]"
        for text in (
            message.text,
            message.name,
            message.call_id,
            *(t for c in message.calls for t in (c.id, c.name, c.arguments)),
        ):
            check_text(text, label)
        if message.role == "tool":
            if message.call_id not in open_calls:
                raise InputError(f"{label}: the result answers the call {message.call_id!r}, which no assistant before it made")
            tool = open_calls.pop(message.call_id)
            yield replace(message, name=message.name or tool)
            continue
        if open_calls:
            raise InputError(f"{label}: the call {next(iter(open_calls))!r} before it has no result yet")
        for call in message.calls:
            if call.id in open_calls:
                raise InputError(f"{label}: two tool calls have the id {call.id!r}")
            open_calls[call.id] = call.name
        yield message
    if open_calls:
        last = messages[-1].place
        raise InputError(f"{field}[{last}]: the call {next(iter(open_calls))!r} has no result: add it, or leave the call out")
