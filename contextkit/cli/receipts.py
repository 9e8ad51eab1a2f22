"""`contextkit explain` and `contextkit receipts`: what was delivered, why, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import options, output, session

if TYPE_CHECKING:
    from contextkit.context.packet import Receipt

_DROPPED_SHOWN = 10
_TEXT = 90


def register(app: typer.Typer) -> None:
    """Adds the verbs of this module."""
    app.command()(explain)
    app.command()(receipts)


def explain(
    receipt: Annotated[
        str | None, typer.Argument(metavar="[RECEIPT]", help="Id of a receipt, or its start [the last one].")
    ] = None,
    *,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Explain a packet: each item with its source and reason, what was dropped, tokens and timings."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        found = kit.receipt(receipt)
    if json:
        output.print_json(found)
        return
    screen = output.console()
    screen.print(output.table(f"receipt {found.id}", ("", ""), _facts(found)))
    screen.print(_items(found))
    if found.dropped:
        screen.print(_dropped(found))
    timings = [(stage, f"{spent:.1f}") for stage, spent in found.milliseconds.items()]
    screen.print(output.table("timings", ("stage", "ms"), timings, right=("ms",)))


def receipts(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="Most receipts.")] = 20,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """List the last receipts, newest first."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        found = kit.receipts(limit)
    if json:
        keys = {"id", "created", "question", "budget", "tokens", "model", "format", "generation", "confidence"}
        output.print_json([r.model_dump(mode="json", include=keys) for r in found])
        return
    heads = ("id", "created", "tokens", "budget", "confidence", "question")
    rows = [
        (r.id, _time(r.created), r.tokens, r.budget, f"{r.confidence:.2f}", output.shortened(r.question, _TEXT)) for r in found
    ]
    if rows:
        output.console().print(output.table("", heads, rows, right=("tokens", "budget", "confidence")))
    else:
        output.warn("no receipts yet: contextkit context makes one")


def _facts(receipt: Receipt) -> Iterator[tuple[str, str]]:
    counted = "exactly" if receipt.exact else "as an upper bound"
    yield "question", receipt.question
    yield "asked", _time(receipt.created)
    yield "tokens", f"{receipt.tokens} of {receipt.budget}, {receipt.overhead} of them marks, titles and framing"
    yield "counted", f"{counted} by {receipt.encoding}{f' for {receipt.model}' if receipt.model else ''}"
    yield "confidence", f"{receipt.confidence:.2f}"
    if receipt.where is not None:
        yield "where", str(receipt.where)
    if receipt.principal is not None:
        yield "user", receipt.principal
    yield "format", str(receipt.format)
    yield "index", f"generation {receipt.generation} of {receipt.index}, embedded by {receipt.embedder}"
    left = ", ".join(f"{count} for {reason}" for reason, count in receipt.dropped_total.items() if count) or "nothing"
    yield "considered", f"{receipt.candidates} sentences; left out: {left}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in receipt.versions.items())


def _items(receipt: Receipt) -> object:
    names = {c.number: c.title or c.document_id for c in receipt.citations}
    rows = [
        (
            f"[{item.citation}]", _place(names[item.citation], item.start, item.end, item.pages),
            output.shortened(item.text, _TEXT), item.tokens, f"{item.scores.total:.2f}", item.why,
        )
        for item in receipt.items
    ]  # fmt: skip
    heads = ("", "where", "what", "tokens", "score", "why")
    return output.table("delivered", heads, rows, right=("tokens", "score"))


def _dropped(receipt: Receipt) -> object:
    rows = [(_place(d.document_id, d.start, d.end, None), f"{d.score:.2f}", d.reason) for d in receipt.dropped[:_DROPPED_SHOWN]]
    total = sum(receipt.dropped_total.values())
    return output.table(f"left out: the best {len(rows)} of {total}", ("where", "score", "reason"), rows, right=("score",))


def _place(name: str, start: int, end: int, span: tuple[int, int] | None) -> str:
    page = output.pages(span)
    return f"{name}{f' p. {page}' if page else ''} [{start}:{end}]"


def _time(stamp: str) -> str:
    """A receipt's UTC time, to the second."""
    return f"{stamp[:19].replace('T', ' ')} UTC"
