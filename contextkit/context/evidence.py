"""What a receipt says of single items: of memories all that is known of them, of documents their age and trust.

The receipt as a whole is `summary.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contextkit.context.account import Conflict, Finding, MemoryDropped, MemoryItem
from contextkit.context.packet import Citation, Item

if TYPE_CHECKING:
    from typing import Literal

    from contextkit.context.call import AgentCall, Remembering
    from contextkit.context.planned import Plan
    from contextkit.context.remembering import Remembered
    from contextkit.protocols import TokenCounter

_DATED = ("modified", "updated", "created", "date")
_DROPPED_KEPT = 50
_DAY = 86_400


def evidence(call: AgentCall, plan: Plan, counter: TokenCounter, now: datetime, base: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a receipt that tell of single items: documents of `base` with their age, memories, summaries, findings."""
    memories = memory_items(call, plan, counter, now)
    return {
        "items": aged(base["items"], base["citations"], now), "memories": memories, "memories_dropped": memories_dropped(plan),
        "conflicts": tuple(conflicts(memories)), "summaries": plan.summaries, "findings": plan.findings,
    }  # fmt: skip


def aged(items: Sequence[Item], citations: Sequence[Citation], now: datetime) -> tuple[Item, ...]:
    """The items with the age and the trust that their documents' metadata state; both stay None where nothing is stated."""
    known = {c.number: (_age(c.metadata, now), _trust(c.metadata)) for c in citations}
    return tuple(
        item if known[item.citation] == (None, None)
        else item.model_copy(update={"age_days": known[item.citation][0], "trust": known[item.citation][1]})
        for item in items
    )  # fmt: skip


def _age(metadata: Mapping[str, object], now: datetime) -> float | None:
    for name in _DATED:
        value = metadata.get(name)
        if not isinstance(value, str):
            continue
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            continue  # a date in another spelling: the age is not known
        return _days(at if at.tzinfo is not None else at.replace(tzinfo=UTC), now)
    return None


def _trust(metadata: Mapping[str, object]) -> float | None:
    value = metadata.get("trust")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, float(value)))


def _days(then: datetime, now: datetime) -> float:
    return round((now - then).total_seconds() / _DAY, 1)


def memory_items(call: AgentCall, plan: Plan, counter: TokenCounter, now: datetime) -> tuple[MemoryItem, ...]:
    """All memory of a plan as the receipt lists it: pinned texts, pinned records, texts, records."""
    by_id = {record.id: record for record in plan.recalled.records}
    pinned = [_record(r, "pinned", counter, now, _why_pinned(r, call.recall)) for r in plan.pinned.records]
    recalled = [
        _record(by_id[name], "memory", counter, now, f"recalled for the question, score {by_id[name].score:.2f}")
        for name in plan.memory.records
    ]
    given = [call.memory[n] for n in plan.memory.given]
    return (
        *(_given(text, "pinned", counter) for text in call.pinned), *pinned,
        *(_given(text, "memory", counter) for text in given), *recalled,
    )  # fmt: skip


def _given(text: str, section: Literal["pinned", "memory"], counter: TokenCounter) -> MemoryItem:
    return MemoryItem(id="", section=section, text=text, tokens=counter.count(text), why="given with the call")


def _record(
    record: Remembered, section: Literal["pinned", "memory"], counter: TokenCounter, now: datetime, why: str
) -> MemoryItem:
    return MemoryItem(
        id=record.id, section=section, text=record.text, tokens=counter.count(record.text), kind=record.kind,
        since=record.since.isoformat(), until=None if record.until is None else record.until.isoformat(),
        recorded=record.recorded.isoformat(), age_days=_days(record.recorded, now), trust=round(record.trust, 4),
        importance=round(record.importance, 4), score=round(record.score, 4) if section == "memory" else None,
        source=record.source, conflicts=record.conflicts, why=why,
    )  # fmt: skip


def _why_pinned(record: Remembered, rule: Remembering) -> str:
    if record.kind in rule.pin_kinds:
        return f"pinned: what is {record.kind} always is"
    if record.importance >= rule.pin_importance - 1e-6:
        return f"pinned: its importance {record.importance:.2f} is at least {rule.pin_importance:g}"
    return "pinned: a fact with a key, which a newer one replaces"


def memories_dropped(plan: Plan) -> tuple[MemoryDropped, ...]:
    """The candidates that are not in the packet, pinned ones first, then by score."""
    said = "\n".join(m.text for m in plan.layout.before)
    taken = set(plan.memory.records)
    out = [MemoryDropped(id=r.id, section="pinned", score=round(r.importance, 4), reason="budget") for r in plan.pinned.left]
    for record in plan.recalled.records:
        if record.id not in taken:
            reason: Literal["budget", "delivered"] = "delivered" if record.text in said else "budget"
            out.append(MemoryDropped(id=record.id, section="memory", score=round(record.score, 4), reason=reason))
    return tuple(out[:_DROPPED_KEPT])


def findings(call: AgentCall, plan: Plan) -> Iterator[Finding]:
    """What the call's screens find, section by section as it is sent. Raises InputError where one forbids the packet."""
    layout = plan.layout
    found = "" if plan.found is None else plan.found.text
    sections = {
        "system": [layout.system], "pinned": [layout.pinned], "history": [m.text for m in (*layout.before, *layout.after)],
        "memory": [plan.memory.text], "documents": [found], "question": [call.question],
    }  # fmt: skip
    for screen in call.screens:
        for section, texts in sections.items():
            for what in dict.fromkeys(w for text in texts if text for w in screen.findings(text, section)):
                yield Finding(screen=screen.name, section=section, what=what)


def conflicts(items: Sequence[MemoryItem]) -> Iterator[Conflict]:
    """Each record of the packet that others contradict, in the packet's order."""
    for item in items:
        if item.conflicts:
            yield Conflict(id=item.id, against=item.conflicts, text=item.text)
