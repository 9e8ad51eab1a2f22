"""The six tools: what each is called, what models are told of it, and which verb of the kit does it.

Each gives the text that a model reads as content and the same with its addresses as structured content. What a client did wrong
comes back as a tool result with `is_error`, so that a model can mend its call; the message is the kit's own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mcp import types
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from contextkit.adapters.mcp_server import schemas as s
from contextkit.adapters.mcp_server.resources import own_receipt, own_receipts
from contextkit.adapters.mcp_server.rights import memory_scope
from contextkit.adapters.mcp_server.work import Context, Work
from contextkit.errors import ContextkitError, InputError
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.sync import Progress

A = TypeVar("A", bound=BaseModel)
Run = Callable[[Work, Context, Mapping[str, Any]], Awaitable[types.CallToolResult]]

_SPAN = 4_000
_LONGEST_SPAN = 40_000
_FEW, _RECEIPTS = 10, 1000  # looked through for a caller's last one: these first, then all that are kept
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what is listed, and what a call does.

    Attributes:
        listed: as clients see it.
        run: does a call with its arguments.
        writes: whether it is only there on a server that may write.
    """

    listed: types.Tool
    run: Run
    writes: bool = False


def available(work: Work, more: Sequence[Tool] = ()) -> dict[str, Tool]:
    """The tools of a server by name, those that write only where it may write."""
    return {tool.listed.name: tool for tool in (*TOOLS, *more) if work.write or not tool.writes}


async def call(
    work: Work, tools: Mapping[str, Tool], context: Context, params: types.CallToolRequestParams
) -> types.CallToolResult:
    """The result of a call; an error of the caller's is a result with `is_error`.

    Raises:
        MCPError: there is no such tool.
    """
    tool = tools.get(params.name)
    if tool is None:
        hidden = any(t.listed.name == params.name for t in TOOLS)
        why = "this server only reads: start it with --write" if hidden else f"there are {', '.join(tools)}"
        raise MCPError(types.INVALID_PARAMS, f"unknown tool {params.name!r}: {why}")
    try:
        return await tool.run(work, context, params.arguments or {})
    except ContextkitError as error:
        return failed(str(error))
    except MCPError:
        raise
    except Exception as error:
        log.exception("tool %r failed", params.name)
        return failed(f"{params.name} failed inside the server: {type(error).__name__}; its log says more")


def failed(message: str) -> types.CallToolResult:
    """A result that says what is wrong."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=message)], is_error=True)


def _tool(
    name: str,
    description: str,
    arguments: type[A],
    result: type[BaseModel],
    function: Callable[[Work, Principal | None, A, Progress], tuple[str, BaseModel]],
    *,
    writes: bool = False,
) -> Tool:
    """A tool made of a function that works in a thread and gives text and structure."""

    async def run(work: Work, context: Context, given: Mapping[str, Any]) -> types.CallToolResult:
        asked = _checked(name, arguments, given)
        text, structure = await work.run(context, lambda work, caller, tell: function(work, caller, asked, tell))
        content: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
        return types.CallToolResult(content=content, structured_content=structure.model_dump(mode="json", exclude_none=True))

    # a server's index is all that a tool can reach, so none is open to the world; a memory is added, never overwritten
    hints = (
        types.ToolAnnotations(read_only_hint=False, destructive_hint=False)
        if writes
        else types.ToolAnnotations(read_only_hint=True)
    )
    listed = types.Tool(
        name=name, description=description, input_schema=s.schema(arguments), output_schema=s.schema(result), annotations=hints
    )
    return Tool(listed, run, writes)


def _checked(name: str, arguments: type[A], given: Mapping[str, Any]) -> A:
    """The arguments as a record. Raises InputError naming each that is wrong."""
    try:
        return arguments.model_validate(dict(given))
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise InputError(f"{name}: {said}; it takes {', '.join(arguments.model_fields)}") from None


# ------------------------------------------------------------------------------------------------------------------ what they do


def _search(work: Work, caller: Principal | None, asked: s.SearchArguments, tell: Progress) -> tuple[str, s.SearchResult]:
    tell("search", 0, 1)
    hits = work.kit.search(asked.question, k=asked.k, where=asked.where, principal=caller)
    found = [
        s.Passage(
            document=hit.document_id, start=hit.span.start, end=hit.span.end, score=hit.score, text=hit.text,
            title=hit.title or None, uri=hit.uri or None, pages=None if hit.pages is None else list(hit.pages),
        )
        for hit in hits
    ]  # fmt: skip
    text = "\n\n".join(
        f"[{n}] {p.title or p.document} ({p.document}[{p.start}:{p.end}])\n{p.text}" for n, p in enumerate(found, 1)
    )
    return text or "Nothing found.", s.SearchResult(passages=found)


def _context(work: Work, caller: Principal | None, asked: s.ContextArguments, tell: Progress) -> tuple[str, s.ContextResult]:
    packet = work.kit.context(
        asked.question, budget=asked.budget, model=asked.model, where=asked.where, principal=caller, progress=tell
    )
    cited = [
        s.Cited(
            number=c.number, document=c.document_id, spans=[list(span) for span in c.spans], title=c.title or None,
            uri=c.uri or None, pages=None if c.pages is None else list(c.pages),
        )
        for c in packet.citations
    ]  # fmt: skip
    return packet.text, s.ContextResult(
        text=packet.text, tokens=packet.tokens, confidence=packet.confidence, citations=cited, receipt=packet.receipt.id
    )


def _remember(work: Work, caller: Principal | None, asked: s.RememberArguments, tell: Progress) -> tuple[str, s.RememberResult]:
    tell("remember", 0, 1)
    scope = memory_scope(caller, asked.session)
    memory = work.kit.memory.remember(
        asked.text, scope=scope, key=asked.key, valid_from=asked.valid_from, source={"platform": "mcp"}
    )
    result = s.RememberResult(id=memory.id, valid_from=memory.valid_from.isoformat())
    return f"Remembered as {memory.id}.", result


def _recall(work: Work, caller: Principal | None, asked: s.RecallArguments, tell: Progress) -> tuple[str, s.RecallResult]:
    tell("recall", 0, 1)
    scope = memory_scope(caller, asked.session)
    packed = work.kit.memory.recall_packed(asked.question, scope=scope, budget=asked.budget, as_of=asked.as_of)
    known = [s.Known(id=m.id, text=m.text, valid_from=m.valid_from.isoformat()) for m in packed.items]
    return packed.text or "Nothing is known.", s.RecallResult(text=packed.text, tokens=packed.tokens, memories=known)


def _read_span(work: Work, caller: Principal | None, asked: s.SpanArguments, tell: Progress) -> tuple[str, s.SpanResult]:
    tell("read", 0, 1)
    visible = work.kit.catalog.visible(None, caller)
    found = work.kit.catalog.document(asked.document, visible)
    if found is None:
        raise InputError(f"no document {asked.document!r}: search and context name those there are")
    end = asked.start + _SPAN if asked.end is None else asked.end
    if not asked.start <= end or asked.start > found.n_characters:
        raise InputError(f"start={asked.start} and end={end} are no span of its {found.n_characters} characters")
    if end - asked.start > _LONGEST_SPAN:
        raise InputError(f"{end - asked.start} characters are more than {_LONGEST_SPAN} at once: read it in parts")
    text = work.text(found)[asked.start : end]
    result = s.SpanResult(
        text=text, start=asked.start, end=asked.start + len(text), length=found.n_characters, title=found.title or None,
        uri=found.uri or None,
    )  # fmt: skip
    return text, result


def _explain(work: Work, caller: Principal | None, asked: s.ExplainArguments, tell: Progress) -> tuple[str, s.ExplainResult]:
    tell("explain", 0, 1)
    if asked.receipt is None:
        mine = own_receipts(work.kit, caller, _FEW) or own_receipts(work.kit, caller, _RECEIPTS)
        if not mine:
            raise InputError("you have no receipts yet: ask for a context first")
        receipt = mine[0]
    else:
        receipt = own_receipt(work.kit, caller, asked.receipt)
    items = [
        s.Delivered(
            citation=i.citation,
            document=i.document_id,
            start=i.start,
            end=i.end,
            tokens=i.tokens,
            score=i.scores.total,
            why=i.why,
        )
        for i in receipt.items
    ]
    result = s.ExplainResult(
        receipt=receipt.id, question=receipt.question, created=receipt.created, tokens=receipt.tokens, budget=receipt.budget,
        overhead=receipt.overhead, items=items, left_out={k: n for k, n in receipt.dropped_total.items() if n},
    )  # fmt: skip
    head = (
        f"Receipt {receipt.id}: {receipt.tokens} of {receipt.budget} tokens, {receipt.overhead} of them marks and titles, "
        f"for {receipt.question!r}."
    )
    lines = [f"[{i.citation}] {i.document}[{i.start}:{i.end}]: {i.tokens} tokens, score {i.score:.2f}, {i.why}" for i in items]
    left = f"Left out: {json.dumps(result.left_out)}." if result.left_out else "Nothing was left out."
    return "\n".join((head, *lines, left)), result


TOOLS = (
    _tool(
        "search",
        "Find passages in the indexed documents, best first, each with its address document[start:end]. For browsing; to "
        "answer a question use context.",
        s.SearchArguments, s.SearchResult, _search,
    ),
    _tool(
        "context",
        "Evidence from the documents for a question, packed into a token budget with [n] citations. Use it before answering; low "
        "confidence means the documents may not hold the answer.",
        s.ContextArguments, s.ContextResult, _context,
    ),
    _tool(
        "remember",
        "Keep one fact for later conversations: a preference, a decision, a date. Not for secrets, nor for what the documents "
        "hold.",
        s.RememberArguments, s.RememberResult, _remember, writes=True,
    ),
    _tool(
        "recall",
        "What was remembered that bears on a question, within a token budget, each with its id and date.",
        s.RecallArguments, s.RecallResult, _recall,
    ),
    _tool(
        "read_span",
        "The exact text of part of a document, to check a citation or read around it.",
        s.SpanArguments, s.SpanResult, _read_span,
    ),
    _tool(
        "explain",
        "Why a packet of context holds what it holds: each passage with address, tokens, score and reason; what was left out.",
        s.ExplainArguments, s.ExplainResult, _explain,
    ),
)  # fmt: skip
"""At most six, and their schemas together below 1,500 tokens: every client pays for them in every call."""
