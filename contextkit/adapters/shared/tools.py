"""The four tools that a model is offered: search, context, recall and remember.

No peer is imported here. An adapter makes its peer's tools of them; what is searched, remembered and recalled is the same for
all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict, Unpack

from pydantic import Field

from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.kit import Kit, Where
    from contextkit.retrieval.hits import Hit
    from contextkit.types import Principal

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


class ToolOptions(TypedDict, total=False):
    """What the tools of a kit may be given.

    Attributes:
        scope: whose memory is written and recalled, for example {"user": "ann"}; None: no memory tools.
        budget: most tokens that `context` and `recall` give; 1,024 where it is not given.
        model: whose tokens count; None: cl100k_base.
        where: metadata filter of the documents.
        principal: on whose behalf; without one only documents that everyone may see.
    """

    scope: Mapping[str, str] | None
    budget: int
    model: str | None
    where: Where | None
    principal: Principal | None


class Offered(NamedTuple):
    """A tool for a model: its name, what it is for, and a function with annotated parameters that gives a text at once."""

    name: str
    description: str
    at_once: Callable[..., str]

    @property
    def function(self) -> Callable[..., Awaitable[str]]:
        """The function as a coroutine function that works in a thread."""

        @wraps(self.at_once)
        async def later(*arguments: Any, **named: Any) -> str:  # noqa: ANN401 - those of the function
            return await finished(lambda: self.at_once(*arguments, **named))

        return later

    def raising(self, kind: type[Exception]) -> Offered:
        """The tool, with a mistake in its arguments (InputError) as an error of the peer's, by which the model is told."""

        @wraps(self.at_once)
        def told(*arguments: Any, **named: Any) -> str:  # noqa: ANN401 - those of the function
            try:
                return self.at_once(*arguments, **named)
            except InputError as error:
                raise kind(str(error)) from error

        return self._replace(at_once=told)


def offered(kit: Kit, **options: Unpack[ToolOptions]) -> list[Offered]:
    """The tools of a kit: `search` and `context`, and with a scope `recall` and, unless the kit is read-only, `remember`.

    Args:
        kit: an open kit.
        options: see `ToolOptions`.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    from contextkit.memory import scopes

    scope, budget, model = options.get("scope"), options.get("budget", 1024), options.get("model")
    where, principal = options.get("where"), options.get("principal")
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
        Offered("search", "Finds the passages of the documents that answer a question best, best first.", search),
        Offered("context", "Gives the sentences of the documents that answer a question, with their sources.", context),
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

    tools.append(Offered("recall", "Recalls what is known from earlier conversations, with dates.", recall))
    if not kit.catalog.read_only:
        tools.append(Offered("remember", "Keeps a fact for later conversations.", remember))
    return tools


def shown(hits: Sequence[Hit]) -> str:
    """Hits as a model reads them: number, title, place, text; says so where there are none."""
    if not hits:
        return "The documents hold nothing on this."
    parts = []
    for number, hit in enumerate(hits, 1):
        title = f"{hit.title}, " if hit.title else ""
        parts.append(f"[{number}] {title}{hit.document_id}:{hit.span.start}-{hit.span.end}\n{hit.text}")
    return "\n\n".join(parts)
