"""Building an agent call: every section within one budget, laid out stable first, with a receipt.

The order of work: what is fixed is counted, history and memory get their parts and are shortened to them, documents take what is
left, and the whole is counted once more as it will be sent. Records are in `account.py`, the ladder is in `compact.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from contextkit.context import build as documents
from contextkit.context.call import AgentCall, Rung, SectionRule
from contextkit.context.compact import Compacted, Replay, ref_of
from contextkit.context.counting import Counting
from contextkit.context.formats import START, Layout
from contextkit.context.history import Exchange, Message, exchanges
from contextkit.context.plan import Fixed, allocate, room_left, shares
from contextkit.context.templates import Prompt
from contextkit.errors import BudgetExceeded
from contextkit.retrieval.candidates import Clock
from contextkit.tokens import tool_tokens

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.context.packet import Packet
    from contextkit.context.store import CallStore

_STEP = 256  # tokens in which the question's length counts for the history's limit, so that it stays the same from turn to turn
_LEAST_DOCUMENTS = 24  # tokens below which no document is tried
_UNLIMITED = 10**9
_MEMORY_HEAD = "From memory:"
_PINNED_HEAD = "# Memory"


def build_call(reader: documents.Reader, call: AgentCall, store: CallStore, *, record: bool = True) -> AgentPacket:
    """The packet of an agent call, at most its budget less the reply reserve by the model's own count.

    Args:
        reader: the parts of an open index.
        call: what is asked.
        store: keeps what leaves, and the conversation's last prefix.
        record: whether the store is written; False for a packet that is not sent.

    Raises:
        BudgetExceeded: a section that may not be trimmed, or a minimum, does not fit; names section, need and limit.
        InputError: there is neither a budget nor a model with a known window, or the question is empty.
        UnknownModel: nobody knows the model's tokens.
        FilterError: the filter is not understood.
    """
    from contextkit.context.summary import account

    clock = Clock()
    counting = Counting.of(call)
    plan = _Planner(reader, call, counting).plan()
    clock.lap("plan")
    if record:
        store.keep([(d.ref, d.text) for d in plan.history.dropped] + [(ref_of(t), t) for _, t in plan.memory_left])
    return account(reader, call, counting, plan, store, clock, record=record)


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes in, and what each part costs.

    Attributes:
        layout: what is sent.
        tokens: by section, `reply` not among them; they add up to the whole request.
        limits: the most that each flexible section might have had.
        tools_exact: whether the tools' count is exact.
        history: the history after compaction.
        memory_left: (index, text) of memory that did not fit.
        found: the documents' packet.
    """

    layout: Layout
    tokens: dict[str, int]
    limits: dict[str, int]
    tools_exact: bool
    history: Compacted
    memory_left: tuple[tuple[int, str], ...]
    found: Packet | None

    @property
    def total(self) -> int:
        """Input tokens of the whole request."""
        return sum(self.tokens.values())


def prompt_text(system: str | Prompt) -> str:
    """The text of a system prompt."""
    return system.text if isinstance(system, Prompt) else system


def split_turn(call: AgentCall) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """History before the question, and steps after it; the question itself, where the history ends in it, is taken out."""
    if call.steps:
        return call.history, call.steps
    last = next((n for n in range(len(call.history) - 1, -1, -1) if call.history[n].role == "user"), None)
    if last is None or call.history[last].text.strip() != call.question.strip():
        return call.history, ()
    return call.history[:last], call.history[last + 1 :]


@dataclass
class _Planner:
    """One planning; each stage reads what those before it found."""

    reader: documents.Reader
    call: AgentCall
    counting: Counting
    _retrieved: documents.Retrieved | None = field(default=None, init=False)

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
    def _pinned(self) -> str:
        return "\n".join([_PINNED_HEAD, *(f"- {text}" for text in self.call.pinned)]) if self.call.pinned else ""

    @cached_property
    def _fixed(self) -> dict[str, int]:
        return {
            "tools": self._tools[0],
            "system": self.counting.system(prompt_text(self.call.system)),
            "pinned": self.counting.system(self._pinned),
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
        return bool(self.call.memory) and (rule.share > 0 or rule.minimum > 0)

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
            "history": self._history(_UNLIMITED).tokens,
            "memory": self.counting.counter.count(self._memory_text(self.call.memory)) + 8 if self._memory_on else 0,
            "documents": _UNLIMITED if self._documents_on else 0,
        }
        given = allocate(room, wants, self._rules)
        if wants["history"] > given["history"]:  # it has to be cut: to a limit that does not change with this turn's question
            given["history"] = min(room, self._own["history"])
        return given

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
        most = self._rules[section].maximum
        return tokens if most is None else min(tokens, most)

    def _history(self, limit: int) -> Compacted:
        units, place, costs = self._units
        cost = costs[place][0]
        counting = self.counting
        made = Replay(self.call.compaction, limit + cost, counting.counter, counting.framing, costs).run(units, place)
        return replace(made, tokens=made.tokens - cost, full=made.full - cost)

    def _memory_text(self, texts: Sequence[str]) -> str:
        return "\n".join([_MEMORY_HEAD, *(f"- {text}" for text in texts)]) if texts else ""

    def _memory(self, limit: int) -> tuple[str, tuple[tuple[int, str], ...]]:
        """The memory texts that fit, best first, as one text; and those that do not."""
        if not self._memory_on:
            return "", tuple(enumerate(self.call.memory))
        counter = self.counting.counter
        taken: list[str] = []
        left: list[tuple[int, str]] = []
        used = counter.count(_MEMORY_HEAD) + 4
        for n, text in enumerate(self.call.memory):
            cost = counter.count(f"- {text}") + 2
            if used + cost <= limit:
                taken.append(text)
                used += cost
            else:
                left.append((n, text))
        return self._memory_text(taken), tuple(left)

    # ----------------------------------------------------------------------------------------------------------- the whole packet

    def _whole(self, room: int, limits: dict[str, int], history: Compacted, found: Packet | None = None) -> Plan:
        """The plan with a given history, every section counted as it will be sent."""
        self._check_history(room, history)
        memory, left = self._memory(min(limits["memory"], room - history.tokens))
        if found is None and self._documents_on:
            found = self._documents(room, history, memory)
        made = self._laid_out(limits, history, (memory, left), found)
        while made.total > self._limit and (found is not None or memory):
            over = made.total - self._limit  # texts that are joined may take a token more than one by one
            if found is not None:
                found = self._repack(found, over, history)
            else:
                memory, left = self._memory(self.counting.counter.count(memory) - over - 4)
            made = self._laid_out(limits, history, (memory, left), found)
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

    def _laid_out(
        self, limits: dict[str, int], history: Compacted, memory: tuple[str, tuple[tuple[int, str], ...]], found: Packet | None
    ) -> Plan:
        text, left = memory
        delivered = "" if found is None else found.text
        place = history.question if history.question is not None else len(history.exchanges)
        before = tuple(m for exchange in history.exchanges[:place] for m in exchange)
        after = tuple(m for exchange in history.exchanges[place + 1 :] for m in exchange)
        turn = turn_text(text, delivered, self.call.question)
        layout = Layout(self.call.tools, prompt_text(self.call.system), self._pinned, before, turn, after)
        count = self.counting.turn
        with_memory = count(turn_text(text, "", self.call.question))
        tokens = {
            **{name: self._fixed[name] for name in ("tools", "system", "pinned")},
            "history": history.tokens,
            "memory": with_memory - count(self.call.question) if text else 0,
            "documents": count(turn) - with_memory if delivered else 0,
            "question": self._fixed["question"],
        }
        return Plan(layout, tokens, limits, self._tools[1], history, left, found)

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
        if self._retrieved is None:
            self._retrieved = documents.retrieve(self.reader, self._request(left, history))
        return self._pack(left, history)

    def _request(self, budget: int, history: Compacted) -> documents.Request:
        call = self.call
        said = "\n".join(
            m.text for exchange in history.exchanges for m in exchange if m.role != "assistant" and len(m.text) > 200
        )
        return documents.Request(
            call.question, budget, call.model, call.where, call.principal, call.format, call.order, delivered=said
        )  # fmt: skip

    def _pack(self, budget: int, history: Compacted) -> Packet | None:
        assert self._retrieved is not None
        try:
            return documents.deliver(self.reader, self._request(budget, history), self.counting.counter, self._retrieved)
        except BudgetExceeded:
            self._require_documents(budget)
            return None

    def _repack(self, found: Packet, over: int, history: Compacted) -> Packet | None:
        smaller = found.tokens - over - 2
        if smaller < _LEAST_DOCUMENTS or self._retrieved is None:
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


def turn_text(memory: str, documents_text: str, question: str) -> str:
    """The text of the last user turn: memory, documents, then the question; the question alone where there is nothing else."""
    if not memory and not documents_text:
        return question
    return "\n\n".join(part for part in (memory, documents_text, f"Question: {question}") if part)
