"""What the adapters of agent libraries share: packets of model calls, and the four tools that a model is offered.

No peer is imported here. An adapter spells messages and tools in its peer's types; what is built, searched, remembered and
recalled is the same for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from pydantic import Field

from contextkit.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.context.call import AgentCall
    from contextkit.context.handoff import Handoff
    from contextkit.kit import Kit, Where
    from contextkit.retrieval.hits import Hit
    from contextkit.types import Principal

T = TypeVar("T")
_OWN = frozenset(
    ("question", "history", "steps", "memory", "system", "tools", "reported_tokens", "agent", "conversation", "scope")
)
FEEDBACK = "contextkit feedback"
"""Marks a user's message that the program wrote."""
_THREADS = 4096  # conversations whose reported tokens are remembered


def missing(error: ModuleNotFoundError, peer: str, package: str, extra: str) -> Exception:
    """What to raise where a peer does not import: MissingExtra where it is not installed, else the error itself.

    Args:
        error: of the import.
        peer: the name that was imported.
        package: what is to be installed.
        extra: of contextkit.
    """
    if (error.name or "").partition(".")[0] != peer:
        return error
    return MissingExtra(package, extra, f"the adapter for {package}")


class Packets:
    """Builds the packet of each model call of an agent, and remembers what the provider then reported.

    Args:
        kit: an open kit.
        scope: whose memory goes into the packets; None: no memory.
        call: what stays the same from call to call: `budget`, `model`, `sections`, `where`, `principal` and other fields of
            `contextkit.AgentCall`; those that the running agent decides (question, history, tools ...) are not among them.

    Raises:
        InputError: a field that is not known, or a value that cannot work.
    """

    def __init__(self, kit: Kit, *, scope: Mapping[str, str] | None = None, **call: Any) -> None:  # noqa: ANN401 - fields of AgentCall
        from contextkit.context.call import AgentCall
        from contextkit.memory import scopes

        own = sorted(_OWN & set(call))
        if own:
            raise InputError(f"{own[0]!r} is decided by the running agent at each call: leave it out here")
        self._kit = kit
        whose = {} if scope is None else dict(scopes.checked(scope))
        self.call: AgentCall = AgentCall(question="?", scope=whose, **call)
        """What every call has in common."""
        self._reported: dict[str, int] = {}
        self.last: AgentPacket | None = None
        """The packet of the last call."""

    def build(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        system: str,
        tools: Sequence[Mapping[str, Any]],
        agent: str,
        conversation: str = "",
        **changes: Any,  # noqa: ANN401 - fields of AgentCall
    ) -> AgentPacket:
        """The packet of one call: the last user's message is the question, what is before it history, what is after it steps.

        Args:
            messages: all messages so far in OpenAI's chat form, without the system's. A user's message with the key FEEDBACK is
                the program's answer to the model, and no question. Images of the question stand in a message before it.
            system: the system prompt.
            tools: definitions in OpenAI's form.
            agent: who calls.
            conversation: names the conversation; "": agent and scope do.
            changes: fields that are others than the constructor's.

        Raises:
            InputError: no message is a user's, or one cannot be carried.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        asked = [n for n, message in enumerate(messages) if message["role"] == "user" and not message.get(FEEDBACK)]
        if not asked:
            raise InputError(f"none of the {len(messages)} messages is a user's: there is no question to build a packet for")
        place = asked[-1]
        plain = [{key: value for key, value in message.items() if key != FEEDBACK} for message in messages]
        question, shown = _question(plain[place])
        thread = thread_name(conversation, agent)
        call = self.call.replace(
            question=question, history=[*plain[:place], *shown], steps=plain[place + 1 :], system=system, tools=tools,
            agent=agent, conversation=thread, reported_tokens=self._reported.get(thread), **changes,
        )  # fmt: skip
        self.last = self._kit.build(call)
        return self.last

    def report(self, tokens: int, *, agent: str, conversation: str = "") -> None:
        """Notes the input tokens that the provider reported for the last call; 0 or less says nothing."""
        if tokens > 0:
            while len(self._reported) >= _THREADS:
                self._reported.pop(next(iter(self._reported)), None)
            self._reported[thread_name(conversation, agent)] = tokens


def _question(message: Mapping[str, Any]) -> tuple[str, list[Mapping[str, Any]]]:
    """The text of a question, and a message before it with the images that it shows, where it shows any."""
    content = message["content"]
    if isinstance(content, str):
        return content, []
    texts = [part["text"] for part in content if "text" in part]
    return joined(texts), [{**message, "content": [part for part in content if "text" not in part]}]


def thread_name(conversation: str, agent: str) -> str:
    """The name of one agent's conversation; "" where none is given: agent and scope name it then."""
    return f"{conversation}: {agent}" if conversation else ""


def joined(texts: Sequence[str]) -> str:
    """Texts of one message as one."""
    return "\n\n".join(text for text in texts if text)


async def finished(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives, run in a thread; a task that is cancelled meanwhile waits for its end first.

    So whoever goes on after a cancelled write finds it done or undone, never under way.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue  # asked twice: the write still has to end first
        if not task.cancelled():
            task.exception()  # is seen: what counts is that it was cancelled
        raise


# ------------------------------------------------------------------------------------------------------------------------ tools

_SEARCH = "What to look for, in words of its own that are understood without the conversation."
_COUNT = "How many passages to give, 1 to 50."
_QUESTION = "The question, complete in itself."
_FACT = "One fact in a sentence that is understood without the conversation."
_KEY = "What the fact is about, as subject/attribute (ann/city): a newer fact with the same key replaces it. Empty: nothing."
_RECALL = "What to recall, in words."

# a text of its own for libraries that read the first one, a field for those that read pydantic's
Query = Annotated[str, _SEARCH, Field(description=_SEARCH)]
Count = Annotated[int, _COUNT, Field(description=_COUNT)]
Question = Annotated[str, _QUESTION, Field(description=_QUESTION)]
Fact = Annotated[str, _FACT, Field(description=_FACT)]
Key = Annotated[str, _KEY, Field(description=_KEY)]
Recalled = Annotated[str, _RECALL, Field(description=_RECALL)]


class Offered(NamedTuple):
    """A tool for a model: a coroutine function with annotated parameters, its name and what it is for.

    Its `function.__wrapped__` does the same at once, for callers without an event loop.
    """

    name: str
    description: str
    function: Callable[..., Awaitable[str]]


def offered(
    kit: Kit,
    *,
    scope: Mapping[str, str] | None = None,
    budget: int = 1024,
    model: str | None = None,
    where: Where | None = None,
    principal: Principal | None = None,
) -> list[Offered]:
    """The tools of a kit: `search` and `context`, and with a scope `recall` and, unless the kit is read-only, `remember`.

    Args:
        kit: an open kit.
        scope: whose memory is written and recalled; None: no memory tools.
        budget: most tokens that `context` and `recall` give.
        model: whose tokens count; None: cl100k_base.
        where: metadata filter of the documents.
        principal: on whose behalf; without one only documents that everyone may see.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    from contextkit.memory import scopes

    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise InputError(f"budget must be a whole number of tokens above 0, not {budget!r}")

    def search(query: Query, count: Count = 5) -> str:
        if not 1 <= count <= 50:
            raise InputError(f"count must be a whole number from 1 to 50, not {count}")
        return shown(kit.search(query, k=count, where=where, principal=principal))

    def context(question: Question) -> str:
        packet = kit.context(question, budget=budget, model=model, where=where, principal=principal)
        return packet.text or "The documents hold nothing on this."

    tools = [
        Offered("search", "Finds the passages of the documents that answer a question best, best first.", _later(search)),
        Offered("context", "Gives the sentences of the documents that answer a question, with their sources.", _later(context)),
    ]
    if scope is None:
        return tools
    whose = dict(scopes.checked(scope))

    def recall(query: Recalled) -> str:
        text = kit.memory.recall_text(query, scope=whose, budget=budget, model=model)
        return text or "Nothing is known of this."

    def remember(fact: Fact, key: Key = "") -> str:
        kept = kit.memory.remember(fact, scope=whose, key=key or None)
        return f"Remembered as {kept.id}."

    tools.append(Offered("recall", "Recalls what is known from earlier conversations, with dates.", _later(recall)))
    if not kit.catalog.read_only:
        tools.append(Offered("remember", "Keeps a fact for later conversations.", _later(remember)))
    return tools


def _later(function: Callable[..., str]) -> Callable[..., Awaitable[str]]:
    """The function as a coroutine function that works in a thread; its `__wrapped__` is the function itself."""

    @wraps(function)
    async def later(*arguments: Any, **named: Any) -> str:  # noqa: ANN401 - those of the function
        return await finished(lambda: function(*arguments, **named))

    return later


def shown(hits: Sequence[Hit]) -> str:
    """Hits as a model reads them: number, title, place, text; says so where there are none."""
    if not hits:
        return "The documents hold nothing on this."
    parts = []
    for number, hit in enumerate(hits, 1):
        title = f"{hit.title}, " if hit.title else ""
        parts.append(f"[{number}] {title}{hit.document_id}:{hit.span.start}-{hit.span.end}\n{hit.text}")
    return "\n\n".join(parts)


# --------------------------------------------------------------------------------------------------------------------- hand-offs


def handoff_text(handoff: Handoff) -> str:
    """A hand-off as the receiving model reads it: goal, decisions, facts with their places, claims, open items, tokens left."""
    known = [f"{fact.text} ({', '.join(f'{e.document_id}:{e.start}-{e.end}' for e in fact.evidence)})" for fact in handoff.facts
             if not fact.is_claim]  # fmt: skip
    claims = [fact.text for fact in handoff.facts if fact.is_claim]
    parts = [f"Handed over by {handoff.sender} to {handoff.receiver}.", f"Goal: {handoff.goal}"]
    for head, lines in (
        ("Decided", handoff.decisions),
        ("Known from documents", known),
        ("Said without evidence", claims),
        ("Open", handoff.open_items),
    ):
        if lines:
            parts.append("\n".join([f"{head}:", *(f"- {line}" for line in lines)]))
    if handoff.flagged:
        parts.append(f"Not passed on, since the evidence changed, is gone or may not be seen: {len(handoff.flagged)}")
    if handoff.remaining_budget is not None:
        parts.append(f"Tokens left: {handoff.remaining_budget}")
    return "\n".join(parts)
