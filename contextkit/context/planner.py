"""Planning an agent call: what each section may have, what goes in, and what it costs as it will be sent.

The order of work: what is fixed is counted, history and memory get their parts and are shortened to them, documents take what is
left, and the whole is counted once more. Storing and accounting are `agent.py`, the ladder is in `compact.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from contextkit.context import build as documents
from contextkit.context.call import FLEXIBLE, AgentCall, Rung, SectionRule
from contextkit.context.compact import Compacted, Replay
from contextkit.context.counting import Counting
from contextkit.context.formats import START, Layout
from contextkit.context.history import Exchange, Message, exchanges
from contextkit.context.passages import best_passages
from contextkit.context.plan import Fixed, allocate, room_left, shares
from contextkit.context.planned import Plan, prompt_text, split_turn, turn_text
from contextkit.context.remembering import (
    CallMemory,
    MemoryPart,
    Pinned,
    Recalled,
    fill,
    pin,
    pinned_text,
    recall_for,
)
from contextkit.errors import BudgetExceeded
from contextkit.tokens import tool_tokens

if TYPE_CHECKING:
    from contextkit.context.packet import Packet
    from contextkit.context.store import CallStore

_STEP = 256  # tokens in which the question's length counts for the history's limit, so that it stays the same from turn to turn
_LEAST_DOCUMENTS = 24  # tokens below which no document is tried
_UNLIMITED = 10**9
_LEAST_SAID = 12  # characters of a record that may stand in the history word for word
_AROUND = 24  # tokens that a recalled record may have beside its text


@dataclass
class Planner:
    """One planning; each stage reads what those before it found.

    Attributes:
        reader: the parts of an open index.
        call: what is asked.
        counting: how tokens count.
        store: what the conversation's last call recalled.
        memory: what the call may see of a memory; None: nothing.
    """

    reader: documents.Reader
    call: AgentCall
    counting: Counting
    store: CallStore
    memory: CallMemory | None = None

    def plan(self) -> Plan:
        """The plan. Documents take what history and memory leave; what documents leave goes back to a shortened history."""
        room = self._room()
        limits = self._limits(room)
        history = self._history(limits["history"])
        made = self._whole(room, limits, history)
        spare = self._limit - made.total - (limits["history"] - history.tokens)
        step = max(_STEP, self._own["documents"] // 2)
        if (
            history.full > history.tokens and spare >= step
        ):  # in large steps, so that the history stays the same from turn to turn
            more = {**limits, "history": self._capped("history", limits["history"] + spare // step * step)}
            longer = self._whole(room, more, self._history(more["history"]), made.found)
            if longer.total <= self._limit:
                return longer
        return made

    # ------------------------------------------------------------------------------------------------------------- what is fixed

    @cached_property
    def _limit(self) -> int:
        return self.counting.budget - self.counting.reserve

    @cached_property
    def _split(self) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        return split_turn(self.call)

    @cached_property
    def _tools(self) -> tuple[int, bool]:
        tools = [(t.name, t.description, t.parameters) for t in self.call.tools]
        return tool_tokens(tools, self.counting.counter, self.counting.framing)

    @cached_property
    def _kept(self) -> Pinned:
        """The pinned section: chosen without looking at the question, except where that leaves hardly any room."""
        rule, texts, count = self.call.rule("pinned"), self.call.pinned, self.counting.system
        records = self.memory.stable(self.call.recall) if self.memory is not None and (rule.share or rule.minimum) else ()
        if not records:
            return Pinned(pinned_text(texts))
        part = rule.share / (sum(self.call.rule(name).share for name in FLEXIBLE) or 1.0)
        steady = self._limit - self._tools[0] - count(prompt_text(self.call.system)) - count(pinned_text(texts))
        room = steady - self.counting.turn(self.call.question) - self.counting.framing.reply
        own = int(max(0, steady) * part)
        limit = max(own if 2 * own <= room else int(max(0, room) * part), rule.minimum)
        return pin(texts, records, self._capped("pinned", limit), count)

    @cached_property
    def _fixed(self) -> dict[str, int]:
        return {
            "tools": self._tools[0],
            "system": self.counting.system(prompt_text(self.call.system)),
            "pinned": self.counting.system(self._kept.text),
            "question": self.counting.turn(self.call.question) + self.counting.framing.reply,
        }

    def _room(self) -> int:
        """Tokens that the fixed sections leave."""
        fixed = self._fixed
        return room_left(
            self.counting.budget,
            [
                Fixed("reply", self.counting.reserve, "lower reply_reserve or raise the budget"),
                Fixed("question", fixed["question"], "ask shorter or raise the budget; a question is never trimmed"),
                Fixed("system", fixed["system"], "shorten it or raise the budget; a system prompt is never trimmed"),
                Fixed("tools", fixed["tools"], "offer fewer tools or raise the budget"),
                Fixed("pinned", fixed["pinned"], "pin less or raise the budget"),
            ],
        )

    # ------------------------------------------------------------------------------------------------------- flexible sections

    @cached_property
    def _rules(self) -> dict[str, SectionRule]:
        return {name: self.call.rule(name) for name in ("history", "memory", "documents")}

    @cached_property
    def _documents_on(self) -> bool:
        rule = self._rules["documents"]
        return rule.share > 0 or rule.minimum > 0

    @cached_property
    def _memory_on(self) -> bool:
        rule = self._rules["memory"]
        return (rule.share > 0 or rule.minimum > 0) and bool(self.call.memory or self._recalled.records)

    @cached_property
    def _recalled(self) -> Recalled:
        """What the memory holds for the question, pinned records left out."""
        rule = self._rules["memory"]
        if self.memory is None or not (rule.share or rule.minimum):
            return Recalled()
        return recall_for(self.call, self.memory, self.store, self._kept.records, steps=bool(self._split[1]))

    @cached_property
    def _steady_room(self) -> int:
        """The room, the question's length rounded up: the same from turn to turn."""
        others = sum(tokens for name, tokens in self._fixed.items() if name != "question")
        question = -(-self._fixed["question"] // _STEP) * _STEP
        return max(0, self._limit - others - min(question, self._fixed["question"] + self._limit // 16))

    @cached_property
    def _own(self) -> dict[str, int]:
        """Each section's own share of the steady room; those that are off leave theirs to the others."""
        rules = dict(self._rules)
        if not self._documents_on:
            rules["documents"] = SectionRule()
        if not self._memory_on:
            rules["memory"] = SectionRule()
        return shares(self._steady_room, rules)

    def _limits(self, room: int) -> dict[str, int]:
        """What each section may have: its own share, and what others are known to leave."""
        wants = {
            "history": self._uncut.tokens,
            "memory": self._memory_wanted() if self._memory_on else 0,
            "documents": _UNLIMITED if self._documents_on else 0,
        }
        given = allocate(room, wants, self._rules)
        if wants["history"] > given["history"]:  # it has to be cut: to a limit that does not change with this turn's question
            given["history"] = min(room, self._own["history"])
        if self._memory_on:
            given["memory"] = self._memory_limit(room, wants, given)
        return given

    def _memory_limit(self, room: int, wants: dict[str, int], given: dict[str, int]) -> int:
        """Memory's part, with what documents leave of theirs, as it was at the turn's first call: steps do not change it."""
        documents_want = self._documents_wanted
        first = {**wants, "history": min(self._uncut.before_question, given["history"]), "documents": documents_want}
        lent = allocate(room, first, self._rules)["memory"]
        others = min(wants["history"], given["history"]) + min(documents_want, self._own["documents"])
        return lent if lent + others <= room else min(lent, self._own["memory"])

    @cached_property
    def _documents_wanted(self) -> int:
        """More than all that was retrieved could take."""
        found = self._retrieved
        return 0 if found is None else sum(len(chunk.text) // 2 + _AROUND for chunk in found.found.chunks)

    @cached_property
    def _retrieved(self) -> documents.Retrieved | None:
        """What the index holds for the question; None where documents are off."""
        if not self._documents_on:
            return None
        found = documents.retrieve(self.reader, self._request(1, ""))
        return found if self.call.k is None else best_passages(found, self.call.k, self.reader.weights)

    @cached_property
    def _uncut(self) -> Compacted:
        return self._history(_UNLIMITED)

    @cached_property
    def _units(self) -> tuple[list[Exchange], int, list[list[int]]]:
        """The history with the question and the steps as exchanges, the question's index, and what each message costs."""
        before, after = self._split
        groups = exchanges(before)
        if self.counting.framing.name == "anthropic" and groups and groups[0][0].role == "assistant":
            groups.insert(0, (Message("user", START),))
        units = [*groups, (Message("user", self.call.question),), *exchanges(after)]
        return units, len(groups), [[self.counting.message(m) for m in unit] for unit in units]

    def _capped(self, section: str, tokens: int) -> int:
        most = self.call.rule(section).maximum
        return tokens if most is None else min(tokens, most)

    def _history(self, limit: int) -> Compacted:
        units, place, costs = self._units
        cost = costs[place][0]
        counting = self.counting
        policy = self.call.compaction
        told = policy.summary_tokens if self.call.summarizer is not None and Rung.SUMMARY in policy.rungs else None
        made = Replay(policy, limit + cost, counting.counter, counting.framing, costs, told).run(units, place)
        return replace(made, tokens=made.tokens - cost, full=made.full - cost)

    def _memory_wanted(self) -> int:
        texts = [*self.call.memory, *(record.text for record in self._recalled.records)]
        return sum(count + _AROUND for count in self.counting.counter.count_many(texts)) + _AROUND

    def _memory(self, limit: int, history: Compacted) -> MemoryPart:
        """The memory that fits: the call's own texts, then records that do not stand in the history already."""
        if not self._memory_on:
            return MemoryPart(given_left=tuple(enumerate(self.call.memory)))
        said = _said(history)
        fresh = [r for r in self._recalled.records if len(r.text) < _LEAST_SAID or r.text not in said]
        return fill(self.call, fresh, self.memory, limit, self.counting.counter)

    # ----------------------------------------------------------------------------------------------------------- the whole packet

    def _whole(self, room: int, limits: dict[str, int], history: Compacted, found: Packet | None = None) -> Plan:
        """The plan with a given history, every section counted as it will be sent."""
        self._check_history(room, history)
        memory = self._memory(min(limits["memory"], room - history.tokens), history)
        if found is None and self._documents_on:
            found = self._documents(room, history, memory.text)
        made = self._laid_out(limits, history, memory, found)
        while made.total > self._limit and (found is not None or memory.text):
            over = made.total - self._limit  # texts that are joined may take a token more than one by one
            if found is not None:
                found = self._repack(found, over, history)
            else:
                memory = self._memory(self.counting.counter.count(memory.text) - over - 4, history)
            made = self._laid_out(limits, history, memory, found)
        if made.total > self._limit:
            raise self._too_long(history.tokens, history.tokens - (made.total - self._limit))
        return made

    def _check_history(self, room: int, history: Compacted) -> None:
        others = sum(rule.minimum for name, rule in self._rules.items() if name == "documents" and self._documents_on)
        if history.tokens > room - min(others, room):
            raise self._too_long(history.tokens, room - min(others, room))

    def _too_long(self, needed: int, limit: int) -> BudgetExceeded:
        allowed = ", ".join(r for r in Rung if r in self.call.compaction.rungs) or "none"
        return BudgetExceeded(
            f"the history needs at least {needed} tokens after compaction (rungs: {allowed}), {max(0, limit)} are left: raise "
            "the budget, lower other minimums, or allow more rungs",
            section="history",
            needed=needed,
            limit=max(0, limit),
        )

    def _laid_out(self, limits: dict[str, int], history: Compacted, memory: MemoryPart, found: Packet | None) -> Plan:
        text = memory.text
        delivered = "" if found is None else found.text
        place = history.question if history.question is not None else len(history.exchanges)
        before = tuple(m for exchange in history.exchanges[:place] for m in exchange)
        after = tuple(m for exchange in history.exchanges[place + 1 :] for m in exchange)
        turn = turn_text(text, delivered, self.call.question)
        layout = Layout(self.call.tools, prompt_text(self.call.system), self._kept.text, before, turn, after)
        count = self.counting.turn
        with_memory = count(turn_text(text, "", self.call.question))
        tokens = {
            **{name: self._fixed[name] for name in ("tools", "system", "pinned")},
            "history": history.tokens,
            "memory": with_memory - count(self.call.question) if text else 0,
            "documents": count(turn) - with_memory if delivered else 0,
            "question": self._fixed["question"],
        }
        return Plan(layout, tokens, limits, self._tools[1], history, self._kept, memory, self._recalled, found)

    # ---------------------------------------------------------------------------------------------------------------- documents

    def _documents(self, room: int, history: Compacted, memory: str) -> Packet | None:
        """The documents' packet within what is left.

        While an agent takes steps, the documents stay those of the turn's first call as long as all fits; where it does not, they
        fall back once to their own share.
        """
        beside = self.counting.turn(turn_text(memory, "x", self.call.question)) - self.counting.turn(self.call.question)
        left = room - history.tokens - beside
        if self._split[1]:
            first = room - min(history.before_question, room) - beside
            left = first if first <= left else min(left, self._own["documents"])
        left = self._capped("documents", left)
        if left < max(_LEAST_DOCUMENTS, 1):
            self._require_documents(left)
            return None
        return self._pack(left, history)

    def _request(self, budget: int, said: str) -> documents.Request:
        call = self.call
        return documents.Request(
            call.question, budget, call.model, call.where, call.principal, call.format, call.order,
            delivered=said, fill=call.fill, now=call.now,
        )  # fmt: skip

    def _pack(self, budget: int, history: Compacted) -> Packet | None:
        assert self._retrieved is not None
        said = "\n".join(
            m.text for exchange in history.exchanges for m in exchange if m.role != "assistant" and len(m.text) > 200
        )
        try:
            return documents.deliver(self.reader, self._request(budget, said), self.counting.counter, self._retrieved)
        except BudgetExceeded:
            self._require_documents(budget)
            return None

    def _repack(self, found: Packet, over: int, history: Compacted) -> Packet | None:
        smaller = found.tokens - over - 2
        if smaller < _LEAST_DOCUMENTS:
            return None
        return self._pack(smaller, history)

    def _require_documents(self, left: int) -> None:
        least = self._rules["documents"].minimum
        if least:
            raise BudgetExceeded(
                f"documents have a minimum of {least} tokens, {max(0, left)} are left: raise the budget or lower the minimum",
                section="documents",
                needed=least,
                limit=max(0, left),
            )


def _said(history: Compacted) -> str:
    """All texts before the question, as they are sent."""
    end = len(history.exchanges) if history.question is None else history.question
    return "\n".join(m.text for exchange in history.exchanges[:end] for m in exchange)
