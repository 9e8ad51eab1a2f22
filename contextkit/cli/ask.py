"""`contextkit search` and `contextkit context`: questions to the index."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import options, output, session

if TYPE_CHECKING:
    from contextkit.context.packet import Packet
    from contextkit.retrieval.hits import Hit

_SNIPPET = 280


class Filled(StrEnum):
    """How much of the budget a packet takes."""

    FULL = "full"
    ENOUGH = "enough"


class PacketFormat(StrEnum):
    """How a packet is printed; the first four are those of the library."""

    TEXT = "text"
    MESSAGES = "messages"
    XML = "xml"
    MARKDOWN = "markdown"
    JSON = "json"


class Provider(StrEnum):
    """Whose shape messages have."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


def register(app: typer.Typer) -> None:
    """Adds the verbs of this module."""
    app.command()(search)
    app.command()(context)


def search(
    question: options.Question,
    *,
    k: Annotated[int | None, typer.Option("-k", metavar="N", help="Most hits [10].")] = None,
    where: options.Where = None,
    user: options.User = None,
    group: options.Group = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
    reranker: options.Reranker = None,
    json: options.Json = False,
) -> None:
    """Find the passages that answer a question best."""
    asked, filters, caller = session.question(question), session.where(where), session.principal(user, group)
    config = session.settings(index=index, embedder=embedder, reranker=reranker, k=k)
    with session.opened(config, read_only=True) as kit:
        hits = kit.search(asked, k=config.k, where=filters, principal=caller)
    if json:
        output.print_json({"question": asked, "hits": hits})
    elif hits:
        _print_hits(hits)
    else:
        output.warn("nothing found")


def context(
    question: options.Question,
    *,
    budget: Annotated[
        int | None, typer.Option("--budget", "-b", metavar="TOKENS", help="Most tokens, everything counted [1024].")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Whose tokens count, such as gpt-4o [cl100k_base].")] = None,
    format: Annotated[PacketFormat | None, typer.Option("--format", "-f", help="How the context is written [text].")] = None,  # noqa: A002 - becomes --format
    fill: Annotated[
        Filled, typer.Option("--fill", help="Whether the whole budget is used, or just what is relevant.")
    ] = Filled.FULL,
    provider: Annotated[Provider, typer.Option("--provider", help="Whose messages, for --format messages.")] = Provider.OPENAI,
    where: options.Where = None,
    user: options.User = None,
    group: options.Group = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
    reranker: options.Reranker = None,
    json: options.Json = False,
) -> None:
    """Print the context for a question: the evidence in the index, within a token budget, with citations."""
    asked, filters, caller = session.question(question), session.where(where), session.principal(user, group)
    config = session.settings(
        index=index, embedder=embedder, reranker=reranker, budget=budget, model=model, format=format.value if format else None
    )
    wanted = PacketFormat(config.format)
    shape = PacketFormat.TEXT if wanted is PacketFormat.JSON else wanted
    kept = session.writable(config)
    with session.opened(config, read_only=not kept) as kit:
        packet = kit.context(
            asked, budget=config.budget, model=config.model, where=filters, principal=caller, format=shape.value, fill=fill.value
        )
    if json or wanted is PacketFormat.JSON:
        output.print_json({**output.plain(packet), "messages": packet.messages(provider.value)})
    elif wanted is PacketFormat.MESSAGES:
        output.print_json(packet.messages(provider.value))
    else:
        output.print_text(packet.text)
    if not packet.receipt.candidates:
        output.warn("nothing found: the index has no document that this call may see (contextkit index info)")
    why = f"contextkit explain {packet.receipt.id} says why" if kept else "no receipt kept, the index folder is read-only"
    output.note(f"{summary(packet)}; {why}")


def summary(packet: Packet) -> str:
    """A packet's account in one line."""
    documents = len(packet.citations)
    return (
        f"{packet.tokens} of {packet.budget} tokens from {documents} document{'' if documents == 1 else 's'}, "
        f"confidence {packet.confidence:.2f}"
    )


def _print_hits(hits: list[Hit]) -> None:
    from rich.text import Text

    screen = output.console()
    for rank, hit in enumerate(hits, 1):
        name = hit.title or hit.document_id
        page = output.pages(hit.pages)
        head = Text.assemble(
            (f"{rank:>2}  ", "dim"),
            (f"{hit.score:.3f}  ", "cyan"),
            (output.visible(name), "bold"),
            (f"  p. {page}" if page else "", "dim"),
        )
        screen.print(head, soft_wrap=True)
        where = f"{hit.document_id} [{hit.span.start}:{hit.span.end}]"
        screen.print(Text(f"    {output.visible(where)}", style="dim"), soft_wrap=True)
        screen.print(Text(f"    {output.visible(output.shortened(hit.text, _SNIPPET))}"), soft_wrap=True)
