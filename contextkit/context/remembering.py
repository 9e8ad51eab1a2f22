"""What a memory store gives to a call: which records are pinned, which answer the question, and how both are written.

The store comes in as a `CallMemory`, so that nothing here knows how memories are kept. Pinned records stand in the prefix that a
provider caches: they are chosen without looking at the question, written in the order of their recording with dates of a day,
and stay the same bytes until what is remembered changes. Records for the question stand in the last user turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from contextkit.context.plain import canonical_json
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.call import AgentCall, Remembering
    from contextkit.context.store import CallStore
    from contextkit.protocols import TokenCounter

PINNED_HEAD = "# Memory"
MEMORY_HEAD = "From memory:"
_LEAST = 24  # tokens below which no record is tried


@dataclass(frozen=True, slots=True)
class Remembered:
    """A record of a memory as a call sees it.

    Attributes:
        id: its name in the store.
        number: its place in the order of recording.
        text: what is known.
        kind: what sort of knowledge.
        since: from when on it is true.
        until: until when, or None.
        recorded: when the store learned it.
        trust: 0 to 1.
        importance: 0 to 1.
        source: where it comes from, in words, or "".
        conflicts: ids of records that say otherwise.
        score: of this recall; 0 for pinned ones.
    """

    id: str
    number: int
    text: str
    kind: str
    since: datetime
    until: datetime | None
    recorded: datetime
    trust: float
    importance: float
    source: str
    conflicts: tuple[str, ...] = ()
    score: float = 0.0

    def line(self) -> str:
        """One line for the prefix: text, id, day, and who says otherwise."""
        until = f" to {self.until:%Y-%m-%d}" if self.until is not None else ""
        doubt = f"; in conflict with {', '.join(self.conflicts)}" if self.conflicts else ""
        return f"- {' '.join(self.text.split())} ({self.id}, since {self.since:%Y-%m-%d}{until}{doubt})"


Held = tuple[str, float, tuple[str, ...], str | None]
"""A recalled record as it is kept for the next call of the turn: id, score, who says otherwise, until when."""


class CallMemory(Protocol):
    """The memory that one call may see: its scope and its rights are settled. Nothing is noted as used before `used` says so."""

    def version(self) -> str:
        """Equal as long as nothing was recorded, corrected or forgotten; uses do not count."""

    def stable(self, rule: Remembering) -> Sequence[Remembered]:
        """What holds now and is pinned by the rule, whatever is asked."""

    def recall(self, question: str, rule: Remembering) -> Sequence[Remembered]:
        """What answers a question, best first, at most `rule.k`."""

    def again(self, held: Sequence[Held]) -> Sequence[Remembered]:
        """The same records once more, as they were, without those that were taken back, erased or hidden since."""

    def pack(self, ids: Sequence[str], budget: int, counter: TokenCounter) -> tuple[str, tuple[str, ...]]:
        """The best of what was found last in at most so many tokens, and the ids of what is in it; ("", ()) where none fits."""

    def used(self, ids: Sequence[str], text: str) -> None:
        """Notes that these records were delivered, and in which words."""


def check_rights(call: AgentCall) -> None:
    """Raises InputError where a call on somebody's behalf names the memory of somebody else."""
    principal = call.principal
    if principal is None:
        return
    user, team = call.scope.get("user"), call.scope.get("team")
    if user is not None and user != principal.id:
        raise InputError(
            f"the call is on behalf of {principal.id!r} and its scope is that of user {user!r}: nobody is shown another user's "
            "memory; give the principal's own scope"
        )
    if team is not None and team not in principal.groups:
        raise InputError(
            f"the call is on behalf of {principal.id!r}, who is not in the group {team!r} that its scope names: give "
            f"Principal({principal.id!r}, groups=[{team!r}]), or a scope without the team"
        )


@dataclass(frozen=True, slots=True)
class Pinned:
    """What stands in the prefix.

    Attributes:
        text: of the whole section, or "".
        records: those in it, in order.
        left: those that had no room, the most important first.
    """

    text: str
    records: tuple[Remembered, ...] = ()
    left: tuple[Remembered, ...] = ()


def pinned_text(texts: Sequence[str], records: Sequence[Remembered] = ()) -> str:
    """The pinned section: the caller's texts, then records; "" for neither."""
    lines = [*(f"- {text}" for text in texts), *(record.line() for record in records)]
    return "\n".join([PINNED_HEAD, *lines]) if lines else ""


def pin(texts: Sequence[str], records: Sequence[Remembered], limit: int, count: Callable[[str], int]) -> Pinned:
    """The caller's texts and the most important records that fit `limit` tokens beside them, in the order of recording.

    Args:
        texts: of the call; all of them go in.
        records: candidates.
        limit: tokens that records may add.
        count: tokens of a section's text.
    """
    base = count(pinned_text(texts))
    ranked = sorted(records, key=lambda r: (-r.importance, r.kind != "procedural", r.number))
    chosen: list[Remembered] = []
    for record in ranked:
        more = sorted([*chosen, record], key=lambda r: r.number)
        if count(pinned_text(texts, more)) - base <= limit:
            chosen = more
    taken = {record.id for record in chosen}
    return Pinned(pinned_text(texts, chosen), tuple(chosen), tuple(r for r in ranked if r.id not in taken))


def memory_text(texts: Sequence[str], packed: str = "") -> str:
    """The memory section of the user's turn: the caller's texts, then packed records; "" for neither."""
    parts = [*(f"- {text}" for text in texts), *([packed] if packed else [])]
    return "\n".join([MEMORY_HEAD, *parts]) if parts else ""


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """The memory section as it is sent.

    Attributes:
        text: of the section, or "".
        given: indices of the caller's texts in it.
        given_left: (index, text) of those that are not.
        records: ids of the records in it.
    """

    text: str = ""
    given: tuple[int, ...] = ()
    given_left: tuple[tuple[int, str], ...] = ()
    records: tuple[str, ...] = ()


def fill(
    call: AgentCall, recalled: Sequence[Remembered], memory: CallMemory | None, limit: int, counter: TokenCounter
) -> MemoryPart:
    """The caller's texts that fit, best first, and after them as many of the recalled records as fit.

    The count of the joined text may be a token more than that of its parts; the planner counts the whole once more.
    """
    taken: list[int] = []
    left: list[tuple[int, str]] = []
    used = counter.count(MEMORY_HEAD) + 4
    for n, text in enumerate(call.memory):
        cost = counter.count(f"- {text}") + 2
        if used + cost <= limit:
            taken.append(n)
            used += cost
        else:
            left.append((n, text))
    packed, ids = "", tuple[str, ...]()
    if memory is not None and recalled and limit - used >= _LEAST:
        packed, ids = memory.pack([record.id for record in recalled], limit - used, counter)
    return MemoryPart(memory_text([call.memory[n] for n in taken], packed), tuple(taken), tuple(left), ids)


@dataclass(frozen=True, slots=True)
class Recalled:
    """The records for a question.

    Attributes:
        records: best first, without those that are pinned.
        key: what was asked, for the next call of the same turn.
        version: of the memory.
        held: all that was found, for the same.
    """

    records: tuple[Remembered, ...] = ()
    key: str = ""
    version: str = ""
    held: tuple[Held, ...] = ()


def recall_for(call: AgentCall, memory: CallMemory, store: CallStore, pinned: Sequence[Remembered], *, steps: bool) -> Recalled:
    """What the memory holds for the question, without what is pinned.

    While an agent takes steps, and while nothing new is remembered, the same question gets the same records, so that its turn
    stays the same bytes.
    """
    rule = call.recall
    asked = canonical_json([call.question, call.scope, _plain(rule)])
    key = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    version = memory.version()
    last = store.last_recall(call.thread)
    if last is not None and last[0] == key and (steps or last[1] == version):
        found = memory.again(last[2])
    else:
        found = memory.recall(call.question, rule)
    known = {record.id for record in pinned}
    held = tuple((r.id, r.score, r.conflicts, None if r.until is None else r.until.isoformat()) for r in found)
    return Recalled(tuple(r for r in found if r.id not in known), key, version, held)


def _plain(rule: Remembering) -> list[object]:
    """A rule as JSON of one spelling: sets have no order of their own."""
    kinds = None if rule.kinds is None else sorted(rule.kinds)
    return [kinds, rule.k, sorted(rule.pin_kinds), rule.pin_importance, rule.pin_keyed, rule.pin_trust]
