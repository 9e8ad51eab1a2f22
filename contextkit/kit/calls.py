"""The verbs of whole agent calls: build, restore, route, hand off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.kit.wiring import Wiring
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.context.call import AgentCall
    from contextkit.context.handoff import Handoff
    from contextkit.context.packet import Packet
    from contextkit.context.profiles import Profile
    from contextkit.context.remembering import CallMemory
    from contextkit.context.route import Candidate, Route
    from contextkit.memory import MemoryStore
    from contextkit.observe.costs import Cost, Outcome
    from contextkit.observe.difference import ReceiptDifference


class AgentCalls(Wiring):
    """Packets of whole agent calls, and what follows from them."""

    if TYPE_CHECKING:

        @property
        def memory(self) -> MemoryStore:
            """Of the kit."""

    def build(self, call: AgentCall) -> AgentPacket:
        """The packet of a whole agent call: tools, system prompt, memory, history, documents and question in one exact budget.

        Args:
            call: what is asked; see `AgentCall`.

        Raises:
            BudgetExceeded: what may not be trimmed does not fit; names the section, what it needs and what is left for it.
            InputError: no budget and no model with a known window.
            UnknownModel: nobody knows the model's tokens.
        """
        from contextkit.context.agent import build_call

        packet = build_call(self._reader(), call, self._calls, self._memory_of(call))
        self._receipts.put(packet.receipt)
        return packet

    def _memory_of(self, call: AgentCall) -> CallMemory | None:
        """What the call's scope sees of this folder's memory; None without a scope, a memory, or a share for it."""
        from contextkit.memory.scoped import ScopeMemory

        rules = (call.rule("pinned"), call.rule("memory"))
        if not call.scope or not any(rule.share or rule.minimum for rule in rules):
            return None
        if self._memory is None and not self._has_memory():
            return None  # asking for it would make one
        return ScopeMemory(self.memory, call.scope)

    def _has_memory(self) -> bool:
        from contextkit.memory.backend import NAME

        at = self._memory_at or self.catalog.folder
        if not isinstance(at, (str, Path)) or "://" in str(at):
            return True  # a backend, or a server's
        return (Path(at).expanduser() / NAME).exists()

    def restore(self, ref: str) -> str:
        """The text that was taken out of a packet, byte for byte, by the ref that stands in its place.

        Raises:
            InputError: nothing is kept under that ref.
        """
        self._open_for_work(check=False)
        return self._calls.restore(ref)

    def report_outcome(
        self, receipt_id: str | None = None, *, success: bool | None = None, task: str | None = None, cost: float | None = None
    ) -> Outcome:
        """What came of a call, stored with its receipt; gives all that is known of it. Later reports add to earlier ones.

        Args:
            receipt_id: id of the call's receipt, or a unique start of it; None: the last one.
            success: whether the call reached its goal.
            task: kind of task, for `costs(by="task")`.
            cost: US dollars that the provider charged; without it the receipt's prediction of the input stands.

        Raises:
            InputError: there is no such receipt, nothing is reported, or a value cannot work.
            ReadOnlyIndex: the kit is open for reading.
        """
        self._open_for_work(check=False)
        return self._receipts.report(receipt_id, success=success, task=task, cost=cost)

    def costs(self, by: str = "agent") -> list[Cost]:
        """What calls cost and what came of them, the dearest first: dollars, successes, dollars for each success.

        Args:
            by: "agent", "task" or "model".

        Raises:
            InputError: by anything else.
        """
        self._open_for_work(check=False)
        return self._receipts.costs(by)

    def diff_receipts(self, a: str, b: str) -> ReceiptDifference:
        """What differs from receipt a to receipt b: sections, runs of text, memories, what was left out, circumstances, price.

        Raises:
            InputError: there is no such receipt.
        """
        from contextkit.observe.difference import receipt_difference

        self._open_for_work(check=False)
        return receipt_difference(self._receipts.get(a), self._receipts.get(b))

    def prune_receipts(self, *, older_than: float | None = None, keep: int | None = None, max_bytes: int | None = None) -> int:
        """How many receipts were deleted, the oldest first: by age in seconds, all but the last few, or down to a size.

        What calls cost and what came of them is kept until it is older than `older_than` itself.

        Raises:
            InputError: nothing is given, or a value is negative.
        """
        self._open_for_work(check=False)
        return self._receipts.prune(older_than=older_than, keep=keep, max_bytes=max_bytes)

    def route(
        self,
        call: AgentCall,
        candidates: Sequence[str | Candidate] | None = None,
        *,
        tier: int | None = None,
        data_class: str | None = None,
        deadline: float | None = None,
        profile: Profile | None = None,
    ) -> Route:
        """The cheapest candidate model of at least that tier that can serve the call, with the reason and what the others lack.

        Args:
            call: planned for each candidate; nothing is stored.
            candidates: names, or `Candidate`s with tier, data classes and seconds; None: the profile's models.
            tier: the least quality that the task allows; None: what the profile says for the call's `task`, 0 without one.
            data_class: of what the call holds.
            deadline: seconds in which the answer has to be there.
            profile: the agent's; candidates that it does not list are refused.

        Raises:
            InputError: none can serve the call (the message gives the reason of each), the profile does not know the task or
                lists no models, or a candidate is not among its models.
        """
        from contextkit.context.agent import build_call
        from contextkit.context.profiles import candidates_of
        from contextkit.context.route import route

        candidates, tier = candidates_of(profile, call, candidates, tier)

        reader, memory = self._reader(), self._memory_of(call)
        return route(
            lambda asked: build_call(reader, asked, self._calls, memory, record=False), call, candidates,
            tier=tier, data_class=data_class, deadline=deadline,
        )  # fmt: skip

    def handoff(
        self,
        packet: Packet,
        to: str,
        *,
        goal: str = "",
        decisions: Sequence[str] = (),
        claims: Sequence[str] = (),
        open_items: Sequence[str] = (),
        remaining_budget: int | None = None,
        previous: Handoff | None = None,
        principal: Principal | None = None,
    ) -> Handoff:
        """What one agent passes on to another: the packet's evidence by reference, with what the receiver may not see taken out.

        Args:
            packet: of `build` or `context`; its delivered runs become facts.
            to: the agent that goes on.
            goal: what is to be reached; "": the packet's question, or the previous hand-off's goal.
            decisions: what was decided, added to the previous ones.
            claims: facts without evidence; they stay claims.
            open_items: what is left to do.
            remaining_budget: tokens that the receiver may spend.
            previous: the hand-off that this agent had received.
            principal: on whose behalf the receiver works.

        Raises:
            InputError: a loop, or more hops than allowed.
        """
        from contextkit.context.handoff import hand_over, reader_for, receive

        self._open_for_work(check=False)
        made = hand_over(
            packet, sender=getattr(packet.receipt, "agent", "agent"), to=to, goal=goal, decisions=decisions, claims=claims,
            open_items=open_items, remaining_budget=remaining_budget, previous=previous,
        )  # fmt: skip
        return receive(made, reader_for(self.catalog, principal), agent=to)

    def accept(self, handoff: Handoff | str, agent: str, *, principal: Principal | None = None) -> Handoff:
        """A hand-off as its receiver may use it: each fact's evidence read again; what is gone, changed or hidden is flagged.

        Args:
            handoff: the hand-off, or its JSON.
            agent: who receives.
            principal: on whose behalf.

        Raises:
            InputError: it is for another agent, of an unknown version, or went in a circle.
        """
        from contextkit.context.handoff import reader_for, receive

        self._open_for_work(check=False)
        return receive(handoff, reader_for(self.catalog, principal), agent=agent)
