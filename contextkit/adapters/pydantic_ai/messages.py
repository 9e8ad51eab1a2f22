"""pydantic-ai's messages as packets take them, in OpenAI's chat form, and a packet's messages as pydantic-ai's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_ai.messages import (
    BaseToolReturnPart,
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    RetryPromptPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from contextkit.adapters.shared.packets import FEEDBACK, joined
from contextkit.errors import InputError

_SILENT = frozenset({"tool-availability-delta", "model-settings-delta", "instruction-digest"})
"""Parts by which the library keeps its own books; a model reads nothing of them."""


def to_chat(history: Sequence[ModelMessage]) -> tuple[list[str], list[dict[str, Any]]]:
    """A run's history as system prompts and messages in chat form."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for place, message in enumerate(history):
        if isinstance(message, ModelResponse):
            said = _said(message, place)
            if said["content"] or said.get("tool_calls"):
                messages.append(said)
            continue
        for part in message.parts:
            if isinstance(part, SystemPromptPart):
                system.append(part.content)
            elif part.part_kind not in _SILENT:
                messages.append(_asked(part, place))
    return system, messages


def _asked(part: object, place: int) -> dict[str, Any]:
    """A part of a request as a message."""
    if isinstance(part, UserPromptPart):
        return {"role": "user", "content": _content(part, place)}
    if isinstance(part, BaseToolReturnPart):
        if part.files:
            raise InputError(f"message {place}: the result of {part.tool_name} holds files: only text can be carried in a packet")
        return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()}
    if isinstance(part, RetryPromptPart) and part.tool_name is not None:
        return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response()}
    if isinstance(part, (RetryPromptPart, RetryFeedbackPart)):
        return {"role": "user", "content": part.model_response(), FEEDBACK: True}
    raise InputError(f"message {place} holds a {type(part).__name__}, which no packet can carry: run without PacketCapability")


def _content(part: UserPromptPart, place: int) -> str | list[dict[str, Any]]:
    """A prompt as its text, or as its parts where an image is among them."""
    pieces = [part.content] if isinstance(part.content, str) else part.content
    spelled = [_piece(piece, place) for piece in pieces]
    if all(one["type"] == "text" for one in spelled):
        return joined([one["text"] for one in spelled])
    return spelled


def _piece(piece: object, place: int) -> dict[str, Any]:
    if isinstance(piece, TextContent):
        piece = piece.content
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    url = _address(piece)
    if url is None:
        raise InputError(f"message {place} holds {type(piece).__name__}: only texts and images can be carried in a packet")
    return {"type": "image_url", "image_url": {"url": url}}


def _address(piece: object) -> str | None:
    """Where an image is, or the image itself as an address; None for anything else."""
    if isinstance(piece, BinaryContent):
        return piece.data_uri if piece.is_image else None
    return piece.url if isinstance(piece, ImageUrl) else None


def _said(message: ModelResponse, place: int) -> dict[str, Any]:
    """A response as an assistant's message; thinking is left out."""
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif isinstance(part, ToolCallPart):
            function = {"name": part.tool_name, "arguments": part.args_as_json_str()}
            calls.append({"id": part.tool_call_id, "type": "function", "function": function})
        elif not isinstance(part, ThinkingPart):
            raise InputError(
                f"message {place} holds a {type(part).__name__}, which no packet can carry: run without PacketCapability"
            )
    said: dict[str, Any] = {"role": "assistant", "content": joined(texts) or None}
    return {**said, "tool_calls": calls} if calls else said


def originals(history: Sequence[ModelMessage]) -> dict[str, Any]:
    """What goes out as the object that came in: the program's feedback by its text, images by their address."""
    parts = [part for message in history if isinstance(message, ModelRequest) for part in message.parts]
    out: dict[str, Any] = {part.model_response(): part for part in parts if isinstance(part, RetryFeedbackPart)}
    for part in parts:
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str):
            out.update({url: piece for piece in part.content if (url := _address(piece)) is not None})
    return out


def _prompt(content: str | Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one of two parts
    """A user's message of a packet as the part that it came from, or as a prompt."""
    if not isinstance(content, str):
        pieces = [one["text"] if one["type"] == "text" else given[one["image_url"]["url"]] for one in content]
        return UserPromptPart(pieces)
    return given.get(content) or UserPromptPart(content)


def from_chat(
    system: Sequence[SystemPromptPart], spoken: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
) -> Iterator[ModelMessage]:
    """Messages in chat form as the library's; what stands between two responses is one request."""
    parts: list[Any] = list(system)
    names: dict[str, str] = {}
    for message in spoken:
        if message["role"] == "assistant":
            if parts:
                yield ModelRequest(parts=parts)
            parts = []
            calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", ())]
            names.update({call_id: name for call_id, name, _ in calls})
            text = [TextPart(message["content"])] if message["content"] else []
            yield ModelResponse(parts=[*text, *(ToolCallPart(name, args, call_id) for call_id, name, args in calls)])
        elif message["role"] == "tool":
            call_id = message["tool_call_id"]
            parts.append(ToolReturnPart(tool_name=names[call_id], content=message["content"], tool_call_id=call_id))
        else:
            parts.append(_prompt(message["content"], given))
    if parts:
        yield ModelRequest(parts=parts)
