"""The verbs of whole agent calls: build, restore, route, hand off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contextkit.kit.wiring import Wiring
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.context.call import AgentCall
    from contextkit.context.handoff import Handoff
    from contextkit.context.packet import Packet
    from contextkit.context.route import Candidate, Route


class AgentCalls(Wiring):
    """Packets of whole agent calls, and what follows from them."""

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

        packet = build_call(self._reader(), call, self._calls)
        self._receipts.put(packet.receipt)
        return packet

    def restore(self, ref: str) -> str:
        """The text that was taken out of a packet, byte for byte, by the ref that stands in its place.

        Raises:
            InputError: nothing is kept under that ref.
        """
        self._open_for_work(check=False)
        return self._calls.restore(ref)

    def route(
        self,
        call: AgentCall,
        candidates: Sequence[str | Candidate],
        *,
        tier: int = 0,
        data_class: str | None = None,
        deadline: float | None = None,
    ) -> Route:
        """The cheapest candidate model of at least that tier that can serve the call, with the reason and what the others lack.

        Args:
            call: planned for each candidate; nothing is stored.
            candidates: names, or `Candidate`s with tier, data classes and seconds.
            tier: the least quality that the task allows.
            data_class: of what the call holds.
            deadline: seconds in which the answer has to be there.

        Raises:
            InputError: none can serve the call; the message gives the reason of each.
        """
        from contextkit.context.agent import build_call
        from contextkit.context.route import route

        reader = self._reader()
        return route(
            lambda asked: build_call(reader, asked, self._calls, record=False), call, candidates,
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
