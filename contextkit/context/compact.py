"""The compaction ladder: how a history that outgrew its section becomes shorter without losing a byte for good.

History is *replayed*: from its first message on, at every point at which the agent called a model, the ladder is climbed where
the history was over its limit just then. What was decided at one point stays decided, so a longer history begins with the same
bytes as the shorter one before it, the provider's cache keeps hitting, and nothing but the history and the limits decides.
Counting and texts come in from outside; storing what leaves is the caller's (`agent.py`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from contextkit.context.call import Compaction, Rung
from contextkit.context.digest import digest
from contextkit.context.history import Exchange, Message
from contextkit.context.parts import Part, parts_cost
from contextkit.context.plain import canonical_json
from contextkit.protocols import TokenCounter
from contextkit.tokens.framing import Framing, call_tokens

_LONG_ENOUGH = 40  # tokens of a result below which a reference would not be shorter
_LEFT_OUT = "earlier messages left out, kept as"
_NOTE = re.compile(rf"\[\d+ {_LEFT_OUT} (ck:[0-9a-f]{{16}})\]")
_MOST_NOTES = 4  # omission notes side by side before they are joined into one


def note_of(message: Message) -> str:
    """The ref of a note that stands where messages were left out; "" for any other message."""
    found = _NOTE.match(message.text) if message.role == "user" else None
    return "" if found is None else found[1]


def ref_of(text: str) -> str:
    """The name under which a text is kept: derived from its content."""
    return f"ck:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Dropped:
    """One thing that was taken out of a history and can be restored.

    Attributes:
        ref: its name for `restore`.
        text: what is kept under it.
        rung: the step that took it out.
        places: indices of the messages in the caller's list.
        before: tokens before.
        after: tokens of what stands there instead.
    """

    ref: str
    text: str
    rung: Rung
    places: tuple[int, ...]
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Compacted:
    """A history as it is to be sent.

    Attributes:
        exchanges: in order; shortened messages in place of long ones, a note in place of what was left out.
        tokens: their tokens, of the current question's exchange as it is in the history.
        question: index of the exchange that holds the current question, or None.
        before_question: tokens of what stands before it, at the moment when it was asked.
        dropped: what was taken out.
        full: tokens without any compaction.
    """

    exchanges: tuple[Exchange, ...]
    tokens: int
    question: int | None
    before_question: int
    dropped: tuple[Dropped, ...]
    full: int


def message_cost(message: Message, counter: TokenCounter, framing: Framing) -> int:
    """Tokens of one message, the same as `contextkit.tokens.message_tokens` gives for its rendering, without the reply's."""
    content = parts_cost(message.parts, counter, framing) if message.parts else counter.count(message.text)
    total = framing.message + counter.count(message.role) + content
    for call in message.calls:
        total += call_tokens(call.id, call.name, call.arguments, counter)
    if message.role == "tool":
        return total + counter.count(message.call_id)
    return total + (1 + counter.count(message.name) if message.name else 0)


def original(messages: Sequence[Message]) -> str:
    """Messages as JSON lines, every byte of their texts in them: what is kept of a window."""
    return "\n".join(
        canonical_json(
            {
                "role": m.role,
                "content": m.text,
                **({"name": m.name} if m.name else {}),
                **({"tool_call_id": m.call_id} if m.call_id else {}),
                **({"tool_calls": [[c.id, c.name, c.arguments] for c in m.calls]} if m.calls else {}),
                **({"parts": [part.plain() for part in m.parts]} if m.parts else {}),
            }
        )
        for m in messages
    )


def kept_text(message: Message) -> str:
    """What is kept of one message that is shortened: its text, or all of it where it holds more than text."""
    return original((message,)) if message.parts else message.text


@dataclass(slots=True)
class _Slot:
    """An exchange during the replay: as it came, as it stands, and what it costs as it stands."""

    given: Exchange
    now: Exchange
    costs: list[int]
    gone: _Note | None = None

    @property
    def cost(self) -> int:
        return sum(self.costs)


@dataclass(slots=True)
class _Note:
    """Exchanges next to each other that were left out together."""

    first: int
    last: int
    message: Message
    cost: int
    text: str


@dataclass(slots=True)
class Replay:
    """One replay of a history.

    Attributes:
        policy: which rungs, and how far.
        limit: tokens that the history may have.
        counter: counts tokens.
        framing: of the provider.
        costs: tokens of each message of each exchange.
        note_tokens: about how many tokens a note of what was left out tells of it; None: those of a digest.
    """

    policy: Compaction
    limit: int
    counter: TokenCounter
    framing: Framing
    costs: Sequence[Sequence[int]]
    note_tokens: int | None = None
    _slots: list[_Slot] = field(default_factory=list)
    _drops: dict[tuple[int, int], Dropped] = field(default_factory=dict)
    _seen: dict[tuple[str, tuple[Part, ...]], tuple[int, int]] = field(default_factory=dict)
    _total: int = 0
    _before: int = 0

    def run(self, exchanges: Sequence[Exchange], question: int | None) -> Compacted:
        """The history as it is to be sent; over the limit only where nothing allowed makes it shorter.

        Args:
            exchanges: oldest first.
            question: index of the exchange with the current question, which is never touched; None where it is not among them.
        """
        full = 0
        for n, exchange in enumerate(exchanges):
            if self._called_before(exchanges, n):
                self._relieve(n, self._asked_before(exchanges, n))
            if n == question:
                self._before = self._total
            full += self._arrive(n, exchange)
        self._relieve(len(exchanges), question)
        if question is None:
            self._before = self._total
        return self._result(question, full)

    def _called_before(self, exchanges: Sequence[Exchange], n: int) -> bool:
        """Whether a model was called just before an exchange came: before a user's message, and between steps of an agent."""
        return n > 0 and (exchanges[n][0].role == "user" or exchanges[n - 1][0].role != "user")

    def _asked_before(self, exchanges: Sequence[Exchange], n: int) -> int | None:
        """The question that was current just before exchange n: the last user's message, where steps followed it."""
        if exchanges[n][0].role == "user":
            return None
        return next((i for i in range(n - 1, -1, -1) if exchanges[i][0].role == "user"), None)

    def _arrive(self, n: int, exchange: Exchange) -> int:
        costs = list(self.costs[n])
        slot = _Slot(exchange, exchange, costs)
        self._slots.append(slot)
        before = slot.cost
        self._total += before
        for i, message in enumerate(exchange):
            if message.role == "tool" and costs[i] > _LONG_ENOUGH:
                self._refer(n, i, message)
        return before

    def _refer(self, n: int, i: int, message: Message) -> None:
        """A result that stands word for word further up is referred to."""
        said_before = message.text, message.parts
        earlier = self._seen.get(said_before)
        if earlier is not None and Rung.DUPLICATE in self.policy.rungs and self._stands(earlier):
            source = self._slots[earlier[0]].given[earlier[1]]
            said = f"[the same as the result of {source.name} above, call {source.call_id}; kept as {ref_of(kept_text(message))}]"
            self._replace(n, i, said, Rung.DUPLICATE)
        else:
            self._seen[said_before] = (n, i)

    def _stands(self, at: tuple[int, int]) -> bool:
        slot = self._slots[at[0]]
        return slot.gone is None and slot.now[at[1]] is slot.given[at[1]]

    # ----------------------------------------------------------------------------------------------------------------- the ladder

    def _relieve(self, end: int, question: int | None) -> None:
        """Makes what is there before `end` shorter where it is over the limit: first the old, then, if it must be, the recent."""
        if self._total <= self.limit:
            return
        target = int(self.limit * self.policy.low)
        for keep in dict.fromkeys((self.policy.keep, min(1, self.policy.keep), 0)):
            reach = [n for n in range(max(0, end - keep)) if n != question and self._slots[n].gone is None]
            for rung in (self._offload, self._prune):
                rung(reach, target)
            if self._total > (target + self.limit) // 2:  # text is only left out where pointers did not win much
                for rung in (self._window, self._digest):
                    rung(reach, target)
            target = self.limit
            if self._total <= target:
                return
        if len(self._notes()) > 1:
            self._join_notes()

    def _offload(self, reach: Sequence[int], target: int) -> None:
        if Rung.OFFLOAD not in self.policy.rungs:
            return
        for n, i, message in self._results(reach):
            if self._total <= target:
                return
            if self._slots[n].costs[i] > self.policy.offload_above and self._slots[n].now[i] is message:
                self._replace(n, i, self._pointer(message, self.policy.digest_tokens), Rung.OFFLOAD)

    def _prune(self, reach: Sequence[int], target: int) -> None:
        """Old results to bare pointers, all of them in one go."""
        if Rung.PRUNE not in self.policy.rungs or self._total <= target:
            return
        for n, i, message in self._results(reach):
            if self._slots[n].costs[i] > _LONG_ENOUGH:
                self._replace(n, i, self._pointer(message, 0), Rung.PRUNE)

    def _digest(self, reach: Sequence[int], target: int) -> None:
        """Long texts of users and assistants to digests."""
        if Rung.DIGEST not in self.policy.rungs:
            return
        for n in reach:
            slot = self._slots[n]
            for i, message in enumerate(slot.given):
                if self._total <= target:
                    return
                if slot.gone is None and message.role != "tool" and slot.now[i] is message:
                    self._shorten(n, i, message)

    def _shorten(self, n: int, i: int, message: Message) -> None:
        # thinking has to go back word for word beside its text, and a user's image is not told in words
        if not message.parts and self.counter.count(message.text) > max(self.policy.offload_above, _LONG_ENOUGH):
            self._replace(n, i, self._pointer(message, self.policy.digest_tokens), Rung.DIGEST)

    def _window(self, reach: Sequence[int], target: int) -> None:
        """Leaves out the oldest exchanges, a note in their place."""
        if Rung.WINDOW not in self.policy.rungs or not reach or self._total <= target:
            return
        run: list[int] = []
        saved = 0
        for n in reach:
            if run and n != run[-1] + 1 and any(self._slots[k].gone is None for k in range(run[-1] + 1, n)):
                self._leave_out(run)
                run, saved = [], 0
            run.append(n)
            saved += self._slots[n].cost
            if self._total - saved + self._note_cost() <= target:
                break
        if run:
            self._leave_out(run)

    @property
    def _telling(self) -> int:
        return self.policy.digest_tokens if self.note_tokens is None else self.note_tokens

    def _note_cost(self) -> int:
        return 45 + self._telling

    def _leave_out(self, run: Sequence[int]) -> None:
        notes = self._notes()
        first, last = run[0], run[-1]
        if len(notes) >= _MOST_NOTES and notes[-1].last + 1 == first:
            while notes and notes[-1].last + 1 == first:
                first = notes.pop().first
        self._put_note(first, last, self._telling)

    def _put_note(self, first: int, last: int, tokens: int) -> None:
        """Replaces exchanges, and notes among them, by one note; not where the note is the longer."""
        inside = self._slots[first : last + 1]
        messages = [m for slot in inside for m in slot.given]
        text = original(messages)
        said = f"[{len(messages)} {_LEFT_OUT} {ref_of(text)}]"
        telling = digest("\n".join(m.text for m in messages if m.role != "tool"), tokens, self.counter)
        note = Message("user", f"{said}\n{telling}" if telling else said, place=messages[0].place)
        cost = message_cost(note, self.counter, self.framing)
        old = {id(s.gone): s.gone for s in inside if s.gone is not None}
        before = sum(s.cost for s in inside if s.gone is None) + sum(g.cost for g in old.values() if g is not None)
        if cost >= before:
            return
        made = _Note(first, last, note, cost, text)
        for slot in inside:
            slot.gone = made
        self._total += cost - before

    def _join_notes(self) -> None:
        """The last resort: notes that touch become one without a digest."""
        notes = self._notes()
        at = 0
        while at < len(notes):
            end = at
            while end + 1 < len(notes) and notes[end + 1].first == notes[end].last + 1:
                end += 1
            self._put_note(notes[at].first, notes[end].last, 0)
            at = end + 1

    def _notes(self) -> list[_Note]:
        return list({id(s.gone): s.gone for s in self._slots if s.gone is not None}.values())

    # ------------------------------------------------------------------------------------------------------------------- the rest

    def _results(self, reach: Sequence[int]) -> Iterator[tuple[int, int, Message]]:
        for n in reach:
            if self._slots[n].gone is None:
                for i, message in enumerate(self._slots[n].given):
                    if message.role == "tool":
                        yield n, i, message

    def _pointer(self, message: Message, tokens: int) -> str:
        size = parts_cost(message.parts, self.counter, self.framing) if message.parts else self.counter.count(message.text)
        what = f"the result of {message.name}" if message.role == "tool" else "this message"
        said = f"[{what}, {size} tokens, is kept as {ref_of(kept_text(message))}]"
        telling = digest(message.text, tokens, self.counter)
        return f"{said}\n{telling}" if telling else said

    def _replace(self, n: int, i: int, text: str, rung: Rung) -> None:
        """Puts another text into a message where that is shorter, and notes what left."""
        slot = self._slots[n]
        given = slot.given[i]
        short = replace(given, text=text, parts=())
        cost = message_cost(short, self.counter, self.framing)
        if cost >= slot.costs[i]:
            return
        before = message_cost(given, self.counter, self.framing)
        text = kept_text(given)
        self._drops[n, i] = Dropped(ref_of(text), text, rung, (given.place,), before, cost)
        self._total += cost - slot.costs[i]
        slot.costs[i] = cost
        slot.now = (*slot.now[:i], short, *slot.now[i + 1 :])

    def _result(self, question: int | None, full: int) -> Compacted:
        out: list[Exchange] = []
        dropped: list[Dropped] = []
        place: int | None = None
        for n, slot in enumerate(self._slots):
            if n == question:
                place = len(out)
            if slot.gone is None:
                out.append(slot.now)
                dropped.extend(self._drops[n, i] for i in range(len(slot.given)) if (n, i) in self._drops)
            elif slot.gone.first == n:
                note = slot.gone
                out.append((note.message,))
                given = [m for s in self._slots[note.first : note.last + 1] for m in s.given]
                before = sum(message_cost(m, self.counter, self.framing) for m in given)
                places = tuple(sorted({m.place for m in given}))
                dropped.append(Dropped(ref_of(note.text), note.text, Rung.WINDOW, places, before, note.cost))
        return Compacted(tuple(out), self._total, place, self._before, tuple(dropped), full)
