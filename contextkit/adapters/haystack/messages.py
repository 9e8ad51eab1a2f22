"""Haystack's chat messages as packets take them, and a packet's messages as Haystack's.

A message that was replaced by a packet carries what it was in its `meta` under `MARK`: the next packet is built of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from haystack.dataclasses import ChatMessage, ChatRole, ToolCall

from contextkit.adapters.shared.packets import input_tokens
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket

MARK = "contextkit"


def original(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The conversation as it was held: questions without what packets put around them, and no pinned memory."""
    out: list[ChatMessage] = []
    for message in messages:
        mark = message.meta.get(MARK)
        if not isinstance(mark, dict):
            out.append(message)
        elif "question" in mark:
            out.append(ChatMessage.from_user(mark["question"], meta=_unmarked(message), name=message.name))
    return out


def reported(messages: Sequence[ChatMessage], sent: ChatMessage | None) -> int:
    """The input tokens that the provider reported for the last answer, where that was given to a packet; 0 elsewhere.

    Args:
        messages: as they are in a run's state.
        sent: the last message of the last packet, or None.
    """
    place = next((n for n in range(len(messages) - 1, -1, -1) if messages[n].is_from(ChatRole.ASSISTANT)), 0)
    ours = any(MARK in message.meta for message in messages[:place]) or (place > 0 and messages[place - 1] == sent)
    return input_tokens(messages[place].meta.get("usage")) if ours else 0


def split(messages: Sequence[ChatMessage]) -> tuple[list[str], list[ChatMessage]]:
    """(the texts of the system messages, all others), in order."""
    spoken = [m for m in messages if not m.is_from(ChatRole.SYSTEM)]
    return [m.text for m in messages if m.is_from(ChatRole.SYSTEM) and m.text], spoken


def to_openai(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """The messages in OpenAI's chat form.

    Raises:
        InputError: naming a message that cannot be carried, such as one with an image, or a tool call without an id.
    """
    out = []
    for place, message in enumerate(messages):
        try:
            spelled = message.to_openai_dict_format()
        except ValueError as error:
            raise InputError(f"message {place} cannot be carried: {error}") from error
        out.append(spelled)
    return out


def from_packet(packet: AgentPacket, given: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The packet's messages: what is sent as it was given is the given message itself, with its meta and reasoning.

    The turn with the documents is marked with its question and the receipt, pinned memory as what it is.
    """
    left = [(_plain(message), message) for message in given]
    origins = {r.origin.id: r for m in given for r in m.tool_call_results}
    out: list[ChatMessage] = []
    turn = {"role": "user", "content": packet.turn}
    receipt = {"receipt": packet.receipt.id, "tokens": packet.tokens}
    for place, sent in enumerate(packet.messages("openai")):
        found = next((n for n, (plain, _) in enumerate(left) if plain == sent), None)
        if found is not None:
            out.append(left[found][1])
            del left[: found + 1]
        elif sent == turn:
            asked = next((m for plain, m in left if m.is_from(ChatRole.USER) and plain["content"] == packet.question), None)
            meta = {} if asked is None else asked.meta
            mark = {"question": packet.question, **receipt}
            out.append(ChatMessage.from_user(packet.turn, meta={**meta, MARK: mark}, name=None if asked is None else asked.name))
        elif sent["role"] == "tool":
            known = origins.get(str(sent["tool_call_id"]))
            origin = ToolCall(tool_name="", arguments={}, id=str(sent["tool_call_id"])) if known is None else known.origin
            out.append(ChatMessage.from_tool(str(sent["content"]), origin=origin, error=False if known is None else known.error))
        else:
            made = ChatMessage.from_openai_dict_format(sent)
            pinned = sent["role"] == "system" and place > 0
            out.append(ChatMessage.from_system(str(sent["content"]), meta={MARK: receipt}) if pinned else made)
    return out


def _plain(message: ChatMessage) -> dict[str, Any]:
    spelled = message.to_openai_dict_format(require_tool_call_ids=False)
    if spelled["role"] == "assistant":
        spelled["content"] = spelled.get("content") or None
    return spelled


def _unmarked(message: ChatMessage) -> dict[str, Any]:
    return {key: value for key, value in message.meta.items() if key != MARK}
