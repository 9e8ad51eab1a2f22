"""From a finished plan to the packet with its receipt: the predicted cache prefix, the price, and the notes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contextkit.context.account import AgentPacket, AgentReceipt, LeftOut, SectionUse
from contextkit.context.build import blank_receipt, moment
from contextkit.context.compact import original, ref_of
from contextkit.context.evidence import evidence
from contextkit.context.formats import openai_message, plain_text
from contextkit.context.history import Message
from contextkit.context.packet import Receipt
from contextkit.context.plain import canonical_json
from contextkit.context.templates import Prompt

if TYPE_CHECKING:
    from contextkit.context.build import Reader
    from contextkit.context.call import AgentCall
    from contextkit.context.counting import Counting
    from contextkit.context.planned import Plan
    from contextkit.context.store import Blocks, CallStore
    from contextkit.retrieval.candidates import Clock

_FINE_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|\b\d{1,2}:\d\d:\d\d\b")
_CACHE_FROM = 1024  # tokens from which providers cache a prefix
_CACHE_STEP = {"openai": 128, "anthropic": 1, "generic": 1}


def account(
    reader: Reader, call: AgentCall, counting: Counting, plan: Plan, store: CallStore, clock: Clock, *, record: bool
) -> AgentPacket:
    """The packet of a plan; remembers its blocks as the conversation's last where it is recorded."""
    blocks = list(_blocks(call, counting, plan))
    last = store.last_blocks(call.thread)
    common, broken = compare(last, blocks)
    anchored = _anchored(call.reported_tokens, last, blocks)
    if record:
        store.put_blocks(call.thread, blocks)
    sections = _sections(call, counting, plan, blocks[:common])
    cached = sum(tokens for _, _, tokens in blocks[:common])
    price = None if counting.model is None else counting.model.input_price
    costs = [use.dollars for use in sections.values() if use.dollars is not None]
    found = plan.found
    base = _base(reader, call, plan)
    now = moment(call.now)
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    text = plain_text(plan.layout)
    documents = 0 if found is None else sum(item.tokens for item in found.items)
    clock.lap("account")
    receipt = AgentReceipt.model_validate(
        {
            **base,
            "id": hashlib.sha256(f"{created}\0{call.question}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:12],
            "created": created,
            "now": base.get("now") or now.isoformat(),
            "budget": counting.budget,
            "tokens": plan.total,
            "overhead": plan.total - documents,
            "model": call.model or "",
            "encoding": counting.counter.name,
            "exact": all(use.exact for use in sections.values()),
            "format": call.format,
            "milliseconds": {**base["milliseconds"], **{k: round(v, 3) for k, v in clock.spent.items()}},
            "agent": call.agent,
            "conversation": call.thread,
            "window": None if counting.model is None else counting.model.window,
            "sections": sections,
            "reply_reserve": counting.reserve,
            "full": round((plan.total + counting.reserve) / counting.budget, 4),
            "cached_prefix_tokens": cached,
            "cached_prefix_usable": usable(cached, counting.framing.name),
            "cached_prefix_hash": _hash(d for _, d, _ in blocks[:common]) if common else "",
            "prefix_broken_by": broken,
            "anchored_tokens": anchored,
            "left_out": _left_out(plan, counting),
            **evidence(call, plan, counting.counter, now, base),
            "task": call.task,
            "template": call.system.title if isinstance(call.system, Prompt) else "",
            "dollars": None if price is None else round(sum(costs), 8),
            "notes": (*counting.notes, *_notes(call), *_over(anchored, counting)),
        }
    )
    return _packet(plan, receipt, text)


def _packet(plan: Plan, receipt: AgentReceipt, text: str) -> AgentPacket:
    found = plan.found
    return AgentPacket.of(
        plan.layout,
        question=receipt.question,
        text=text,
        tokens=plan.total,
        budget=receipt.budget,
        items=receipt.items,
        citations=() if found is None else found.citations,
        confidence=0.0 if found is None else found.confidence,
        receipt=receipt,
        sections=receipt.sections,
        turn=plan.layout.turn,
    )


def _base(reader: Reader, call: AgentCall, plan: Plan) -> dict[str, Any]:
    """The fields that a receipt of documents has too."""
    if plan.found is None:
        return blank_receipt(reader, call.question, call.where, call.principal)
    return {name: getattr(plan.found.receipt, name) for name in Receipt.model_fields}


def usable(tokens: int, provider: str) -> int:
    """What of a common prefix the provider's cache can give back by its published rule."""
    if tokens < _CACHE_FROM:
        return 0
    step = _CACHE_STEP[provider]
    return tokens // step * step


def compare(last: Blocks | None, blocks: Blocks) -> tuple[int, str]:
    """How many blocks at the start are those of the last packet, and the first that is not in words; "" where all are."""
    if last is None:
        return 0, "the first packet of this conversation"
    pairs = zip(last, blocks, strict=False)
    common = next((n for n, (old, new) in enumerate(pairs) if old[:2] != new[:2]), min(len(last), len(blocks)))
    if common == len(last):
        return common, ""
    old = last[common][0]
    new = blocks[common][0] if common < len(blocks) else "nothing"
    what = f"{old} has changed" if old == new else f"{new} stands where {old} stood"
    return common, f"{what} (block {common + 1} of {len(last)})"


def _blocks(call: AgentCall, counting: Counting, plan: Plan) -> Iterator[tuple[str, str, int]]:
    """What is sent, in order, in pieces that a cache can tell apart."""
    layout = plan.layout
    yield "model", _hash([call.model or counting.counter.name]), 0
    tools = [canonical_json([t.name, t.description, t.parameters, t.strict]) for t in layout.tools]
    if tools:
        yield "tools", _hash(tools), plan.tokens["tools"]
    for section, text in (("system", layout.system), ("pinned", layout.pinned)):
        if text:
            yield section, _hash([text]), plan.tokens[section]
    for message in layout.before:
        yield "history", _digest(message), counting.message(message)
    turn = Message("user", layout.turn)
    yield "question", _digest(turn), counting.message(turn)
    for message in layout.after:
        yield "history", _digest(message), counting.message(message)


def _digest(message: Message) -> str:
    return _hash([original((message,)) if message.parts else canonical_json(openai_message(message))])


def _hash(texts: Sequence[str] | Iterator[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _sections(call: AgentCall, counting: Counting, plan: Plan, common: Blocks) -> dict[str, SectionUse]:
    cached: dict[str, int] = {}
    for section, _, tokens in common:
        cached[section] = cached.get(section, 0) + tokens
    if cached.get("question"):  # the turn is one block: all of it is cached, or nothing
        cached.update({name: plan.tokens[name] for name in ("memory", "documents", "question")})
        cached["question"] -= counting.framing.reply
    exact = counting.counter.exact and counting.framing.exact
    messages = (*plan.layout.before, *plan.layout.after)
    plain = not any(m.calls or m.parts or m.role == "tool" for m in messages)
    items = {
        "tools": len(call.tools), "system": int(bool(plan.layout.system)),
        "pinned": len(call.pinned) + len(plan.pinned.records), "history": len(messages),
        "memory": len(plan.memory.given) + len(plan.memory.records),
        "documents": 0 if plan.found is None else len(plan.found.citations),
        "question": 1,
    }  # fmt: skip
    dropped = {
        "history": sum(len(d.places) for d in plan.history.dropped), "memory": len(plan.memory.given_left) + _not_recalled(plan),
        "pinned": len(plan.pinned.left),
        "documents": 0 if plan.found is None else sum(plan.found.receipt.dropped_total.values()),
    }  # fmt: skip
    out = {}
    left = usable(sum(cached.values()), counting.framing.name)  # what the provider gives back cheaper, from the start on
    for name, tokens in plan.tokens.items():
        sure = exact and (name != "tools" or plan.tools_exact) and (name != "history" or plain)
        reduced = min(cached.get(name, 0), left)
        left -= reduced
        dollars, dollars_cached = _dollars(counting, tokens, reduced)
        out[name] = SectionUse(
            tokens=tokens, limit=plan.limits.get(name, tokens), items=items[name], dropped=dropped.get(name, 0),
            cached=cached.get(name, 0), exact=sure, dollars=dollars, dollars_cached=dollars_cached,
        )  # fmt: skip
    out["reply"] = SectionUse(tokens=counting.reserve, limit=counting.reserve)
    return out


def _not_recalled(plan: Plan) -> int:
    return len(plan.recalled.records) - len(plan.memory.records)


def _dollars(counting: Counting, tokens: int, cached: int) -> tuple[float | None, float | None]:
    """(the price of so many tokens, of it that of the cached ones); None where prices are not known."""
    model = counting.model
    if model is None or model.input_price is None:
        return None, None
    reduced = model.input_price if model.cached_input_price is None else model.cached_input_price
    return round(((tokens - cached) * model.input_price + cached * reduced) / 1e6, 8), round(cached * reduced / 1e6, 8)


def _left_out(plan: Plan, counting: Counting) -> tuple[LeftOut, ...]:
    out = [
        LeftOut(ref=d.ref, section="history", rung=d.rung, places=d.places, before=d.before, after=d.after)
        for d in plan.history.dropped
    ]
    for n, text in plan.memory.given_left:
        out.append(
            LeftOut(ref=ref_of(text), section="memory", rung="budget", places=(n,), before=counting.counter.count(text), after=0)
        )
    return tuple(out)


def _anchored(reported: int | None, last: Blocks | None, blocks: Blocks) -> int | None:
    """The provider's own count of the last packet, and by our count what was added since and what went."""
    if reported is None or last is None:
        return None
    return reported + sum(tokens for _, _, tokens in blocks) - sum(tokens for _, _, tokens in last)


def _over(anchored: int | None, counting: Counting) -> Iterator[str]:
    limit = counting.budget - counting.reserve
    if anchored is not None and anchored > limit:
        yield f"by the provider's count of the last packet this one has about {anchored} tokens, {limit} are allowed"


def _notes(call: AgentCall) -> Iterator[str]:
    system = call.system.text if isinstance(call.system, Prompt) else call.system
    for name, text in (("system", system), *(("pinned memory", text) for text in call.pinned)):
        found = _FINE_TIME.search(text)
        if found is not None:
            yield f"{name} holds the time {found.group()!r}: finer than a day, it breaks the provider's cache at every call"
