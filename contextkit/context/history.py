"""Messages of any provider in one plain form, checked: who says what, and which result answers which tool call.

Reading and pairing live here; shortening is `compact.py`, writing for a provider is `formats.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
    """

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    name: str = ""
    place: int = 0
    failed: bool = False


Exchange = tuple[Message, ...]
"""Messages that belong together: one message, or an assistant's tool calls with all their results."""


def read_messages(value: object, field: str = "history") -> tuple[Message, ...]:
    """Messages in contextkit's form, of OpenAI's chat form or Anthropic's, also mixed.

    Raises:
        InputError: naming the message: an unknown role or field, content that is not text, a result without its call, a call
            without its result.
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
        yield Message("tool", _plain(given.get("content"), label), call_id=call_id, name=name, place=place)
        return
    yield from _spoken("user" if role == "user" else "assistant", given, name, place, label)


def _spoken(
    role: Literal["user", "assistant"], given: Mapping[str, object], name: str, place: int, label: str
) -> Iterator[Message]:
    """A user's or assistant's message; Anthropic puts tool results into a user's."""
    content = given.get("content")
    texts: list[str] = [content] if isinstance(content, str) else []
    calls = [_openai_call(call, label) for call in _listed(given.get("tool_calls"), label, "tool_calls")]
    results: list[Message] = []
    for part in [] if content is None or isinstance(content, str) else _listed(content, label, "content"):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or kind not in ("text", "input_text", "output_text", "tool_use", "tool_result"):
            raise InputError(
                f"{label}: a content part of type {kind!r} is not text: only texts, tool calls and results are carried"
            )
        if kind == "tool_use":
            calls.append(_anthropic_call(part, label))
        elif kind == "tool_result":
            results.append(_anthropic_result(part, place, label))
        else:
            texts.append(_text(part.get("text"), label))
    if calls and role == "user":
        raise InputError(f"{label}: a user does not call tools: the role must be assistant")
    if results and role == "assistant":
        raise InputError(f"{label}: an assistant does not give tool results: the role must be user or tool")
    yield from results
    text = "\n\n".join(t for t in texts if t)
    if text or calls or not results:
        if not text and not calls:
            raise InputError(f"{label}: the message says nothing: leave it out")
        yield Message(role, text, calls=tuple(calls), name=name, place=place)


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
    text = _plain(part.get("content"), label)
    return Message("tool", text, call_id=call_id, place=place, failed=part.get("is_error") is True)


def _plain(content: object, label: str) -> str:
    """The text of a tool's result: a string, nothing, or a list of texts."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for part in _listed(content, label, "content"):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or kind not in ("text", "output_text", "input_text"):
            raise InputError(f"{label}: a content part of type {kind!r} is not text: only text results are carried")
        texts.append(_text(part.get("text"), label))
    return "\n\n".join(texts)


def _text(value: object, label: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{label}: the text of a content part must be a text, not {type(value).__name__}")
    return value


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
            yield Message("tool", message.text, (), message.call_id, message.name or tool, message.place, message.failed)
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
