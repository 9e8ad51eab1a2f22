"""What must hold for every packet."""

from __future__ import annotations

import contextkit as ck
from contextkit.context.compact import original
from contextkit.context.planned import split_turn
from contextkit.tokens import counter_for, framing_for, message_tokens, tool_tokens


def provider_tokens(packet, call) -> int:
    """Input tokens counted anew from what is sent, not from what the planner added up."""
    counter, framing = counter_for(call.model), framing_for(call.model)
    tools = [(t.name, t.description, t.parameters) for t in call.tools]
    return message_tokens(packet.messages("openai"), counter, framing) + tool_tokens(tools, counter, framing)[0]


def check_pairs(messages) -> None:
    """Every result directly follows the assistant that called for it; every call has one."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] in waiting
            waiting.remove(message["tool_call_id"])
        else:
            assert waiting == []
            waiting = [c["id"] for c in message.get("tool_calls", ())]
    assert waiting == []


def said(message) -> str:
    """The texts of a message."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n\n".join(part["text"] for part in content if part["type"] == "text")


def check_restorable(kit: ck.Kit, packet, call) -> None:
    """Every text of the history is in the packet, or what is kept under a ref of the receipt holds it, byte for byte."""
    before, after = split_turn(call)
    given = {}
    for message in (*before, *after):
        given.setdefault(message.place if message in before else message.place + 10**6, []).append(message)
    sent = [said(m) for m in packet.messages("openai")]
    kept = {item.ref: kit.restore(item.ref) for item in packet.receipt.left_out}
    for ref in kept:
        assert ref in packet.text or any(i.ref == ref and i.section == "memory" for i in packet.receipt.left_out)
    windows = [text for item in packet.receipt.left_out if item.rung in ("window", "summary") for text in [kept[item.ref]]]
    for messages in given.values():
        for message in messages:
            whole = message.text in sent or message.text in kept.values()
            assert whole or any(original([message]) in window.split("\n") for window in windows), message
    for n, text in enumerate(call.memory):
        assert text in packet.turn or any(
            n in i.places and kept[i.ref] == text for i in packet.receipt.left_out if i.section == "memory"
        )


def check_all(kit: ck.Kit, call, packet) -> None:
    tokens = provider_tokens(packet, call)
    assert tokens == packet.tokens
    assert packet.tokens + packet.receipt.reply_reserve <= packet.budget
    assert packet.tokens == sum(use.tokens for name, use in packet.sections.items() if name != "reply")
    messages = packet.messages("openai")
    check_pairs(messages)
    assert any(said(m).endswith(call.question) for m in messages)
    if call.system:
        assert messages[0] == {"role": "system", "content": call.system}
    check_restorable(kit, packet, call)
