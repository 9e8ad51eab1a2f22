"""`contextkit explain` and `contextkit receipts ...`: what was delivered, why, what it cost, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import options, output, session
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.packet import Receipt

_DROPPED_SHOWN = 10
_TEXT = 90


group = typer.Typer(name="receipts", help="Receipts: list, compare and prune them; what calls cost.", invoke_without_command=True)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="Most receipts.")]
ReceiptId = Annotated[str, typer.Argument(metavar="RECEIPT", help="Id of a receipt, or its start.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs of this module."""
    app.command()(explain)
    app.add_typer(group)


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


@group.callback()
def receipts(
    ctx: typer.Context,
    *,
    limit: Limit = 20,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """List the last receipts, compare and prune them; what calls cost and what came of them."""
    if ctx.invoked_subcommand is None:
        listing(limit=limit, index=index, json=json)


@group.command("list")
def listing(*, limit: Limit = 20, index: options.Index = None, json: options.Json = False) -> None:
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


@group.command()
def diff(
    a: ReceiptId,
    b: Annotated[str, typer.Argument(metavar="OTHER", help="Id of the receipt to compare it with, or its start.")],
    *,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """What differs from one receipt to another: circumstances, sections, documents, memories, what was left out, price."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        found = kit.diff_receipts(a, b)
    if json:
        output.print_json(found)
        return
    rows = [(name, before, after) for name, (before, after) in found.changed.items()]
    rows.append(("tokens", str(found.tokens[0]), str(found.tokens[1])))
    rows += [(f"tokens of {name}", str(before), str(after)) for name, (before, after) in found.sections.items()]
    if found.dollars != (None, None):
        rows.append(("dollars", _dollars(found.dollars[0]), _dollars(found.dollars[1])))
    screen = output.console()
    screen.print(output.table(f"{found.a} -> {found.b}", ("", "before", "after"), rows))
    for mark, runs in (("+", found.added), ("-", found.removed)):
        for document, start, end in runs:
            output.print_text(f"{mark} {document} [{start}:{end}]")
    marked = (
        ("+", found.memories_added),
        ("-", found.memories_removed),
        ("left out", found.left_out),
        ("back", found.brought_back),
    )
    for mark, names in marked:
        for name in names:
            output.print_text(f"{mark} {name}")


@group.command()
def outcome(
    receipt: ReceiptId,
    *,
    success: Annotated[bool, typer.Option("--success", help="The call reached its goal.")] = False,
    failure: Annotated[bool, typer.Option("--failure", help="It did not.")] = False,
    task: Annotated[str | None, typer.Option("--task", metavar="NAME", help="Kind of task.")] = None,
    cost: Annotated[float | None, typer.Option("--cost", metavar="DOLLARS", help="What the provider charged.")] = None,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Report what came of a call: whether it succeeded, its kind of task, what it cost."""
    if success and failure:
        raise InputError("a call has succeeded or failed: give --success or --failure, not both")
    said = success if success or failure else None
    with session.opened(session.settings(index=index)) as kit:
        found = kit.report_outcome(receipt, success=said, task=task, cost=cost)
    if json:
        output.print_json(found)
        return
    what = {None: "not said", True: "success", False: "failure"}[found.success]
    price = found.predicted if found.cost is None else found.cost
    output.print_text(f"{found.receipt}: {what}; task {found.task or 'not named'}; {_dollars(price)}")


@group.command()
def costs(
    *,
    by: Annotated[str, typer.Option("--by", metavar="WHAT", help="agent, task or model.")] = "agent",
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """What calls cost, what came of them, and what a success cost."""
    with session.opened(session.settings(index=index), read_only=True) as kit:
        found = kit.costs(by)
    if json:
        output.print_json(found)
        return
    rows = [
        (
            c.name or "-", c.calls, c.tokens, f"{_dollars(c.dollars)}{' (estimated)' if c.estimated else ''}", c.successes,
            c.failures, "-" if c.success_rate is None else f"{c.success_rate:.0%}", _dollars(c.dollars_per_success),
        )
        for c in found
    ]  # fmt: skip
    heads = (by, "calls", "tokens", "cost", "successes", "failures", "rate", "for a success")
    if rows:
        output.console().print(output.table("", heads, rows, right=heads[1:]))
    else:
        output.warn("no calls yet: Kit.build makes one")


@group.command()
def prune(
    *,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="AGE", help="Receipts of this age and older: 90m, 12h, 30d, 8w.")
    ] = None,
    keep: Annotated[int | None, typer.Option("--keep", metavar="N", min=0, help="All but the last N.")] = None,
    max_bytes: Annotated[
        int | None, typer.Option("--max-bytes", metavar="N", min=0, help="The oldest, until all have at most N bytes.")
    ] = None,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Delete old receipts, by age, number or size."""
    with session.opened(session.settings(index=index)) as kit:
        gone = kit.prune_receipts(older_than=_seconds(older_than), keep=keep, max_bytes=max_bytes)
    if json:
        output.print_json({"deleted": gone})
    else:
        output.print_text(f"{gone} receipts deleted")


def _seconds(age: str | None) -> float | None:
    """An age such as "30d" in seconds; None for none. Raises InputError where it is no age."""
    if age is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw]?)", age.strip())
    if found is None:
        raise InputError(f"--older-than must be a number with s, m, h, d or w behind it, such as 30d, not {age!r}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[found[2]]


def _dollars(value: float | None) -> str:
    return "-" if value is None else f"${value:.6f}"


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
    if receipt.searched:
        yield "searched by", receipt.searched
    for words, reading in receipt.understood.items():
        yield "understood", f"{words}: {reading}"
    if receipt.reranker:
        yield "reranked", f"{receipt.reranked} passages within the cap of time, by {receipt.reranker}"
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
