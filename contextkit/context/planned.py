"""A finished plan, and the few rules of what a turn is; how a plan is made is `planner.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit.context.templates import Prompt

if TYPE_CHECKING:
    from contextkit.context.account import Finding, Summarised
    from contextkit.context.call import AgentCall
    from contextkit.context.compact import Compacted
    from contextkit.context.formats import Layout
    from contextkit.context.history import Message
    from contextkit.context.packet import Packet
    from contextkit.context.remembering import MemoryPart, Pinned, Recalled


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes in, and what each part costs.

    Attributes:
        layout: what is sent.
        tokens: by section, `reply` not among them; they add up to the whole request.
        limits: the most that each flexible section might have had.
        tools_exact: whether the tools' count is exact.
        history: the history after compaction.
        pinned: the pinned section.
        memory: the memory section.
        recalled: what was recalled for the question.
        found: the documents' packet.
        summaries: what models told of what was left out.
        findings: what screens found.
    """

    layout: Layout
    tokens: dict[str, int]
    limits: dict[str, int]
    tools_exact: bool
    history: Compacted
    pinned: Pinned
    memory: MemoryPart
    recalled: Recalled
    found: Packet | None
    summaries: tuple[Summarised, ...] = ()
    findings: tuple[Finding, ...] = ()

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


def turn_text(memory: str, documents_text: str, question: str) -> str:
    """The text of the last user turn: memory, documents, then the question; the question alone where there is nothing else."""
    if not memory and not documents_text:
        return question
    return "\n\n".join(part for part in (memory, documents_text, f"Question: {question}") if part)
