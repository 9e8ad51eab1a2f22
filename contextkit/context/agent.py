"""Building an agent call: planned, kept, accounted for.

Planning is `planner.py`, the receipt is `summary.py`; what is written here is the one order in which they happen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from contextkit.context.compact import ref_of
from contextkit.context.counting import Counting
from contextkit.context.planned import split_turn
from contextkit.context.planner import Planner
from contextkit.context.remembering import check_rights
from contextkit.retrieval.candidates import Clock

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.context.build import Reader
    from contextkit.context.call import AgentCall
    from contextkit.context.planned import Plan
    from contextkit.context.remembering import CallMemory
    from contextkit.context.store import CallStore


def build_call(
    reader: Reader, call: AgentCall, store: CallStore, memory: CallMemory | None = None, *, record: bool = True
) -> AgentPacket:
    """The packet of an agent call, at most its budget less the reply reserve by the model's own count.

    Args:
        reader: the parts of an open index.
        call: what is asked.
        store: keeps what leaves, and the conversation's last prefix.
        memory: what the call's scope sees of a memory; None: the call's own texts are all.
        record: whether the store is written; False for a packet that is not sent.

    Raises:
        BudgetExceeded: a section that may not be trimmed, or a minimum, does not fit; names section, need and limit.
        InputError: there is neither a budget nor a model with a known window, the question is empty, or the scope is not the
            principal's.
        UnknownModel: nobody knows the model's tokens.
        FilterError: the filter is not understood.
    """
    from contextkit.context.evidence import findings
    from contextkit.context.summary import account

    clock = Clock()
    if memory is not None:
        check_rights(call)
    counting = Counting.of(call)
    plan = Planner(reader, call, counting, store, memory).plan()
    clock.lap("plan")
    if call.summarizer is not None:
        from contextkit.context.summarize import with_summaries

        plan = with_summaries(call, counting, plan, store, record=record)
        clock.lap("summarize")
    if call.screens:
        plan = replace(plan, findings=tuple(findings(call, plan)))
        clock.lap("screen")
    if record:
        _keep(call, plan, store, memory)
    return account(reader, call, counting, plan, store, clock, record=record)


def _keep(call: AgentCall, plan: Plan, store: CallStore, memory: CallMemory | None) -> None:
    """Keeps what left the packet, and notes what was recalled, once a turn."""
    store.keep([(d.ref, d.text) for d in plan.history.dropped] + [(ref_of(t), t) for _, t in plan.memory.given_left])
    if memory is None:
        return
    if plan.recalled.key:
        store.put_recall(call.thread, plan.recalled.key, plan.recalled.version, plan.recalled.held)
    if not split_turn(call)[1]:
        memory.used(plan.memory.records, f"{plan.pinned.text}\n{plan.memory.text}")
