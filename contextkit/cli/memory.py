"""`contextkit memory ...`: what an agent knows, since when, from whom: the verbs of every day.

The verbs are those of `contextkit.memory.MemoryStore`; those of care (state, forgetting, persons, consolidation) are
`memory_care.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from contextkit.cli import memory_care, options, output, session
from contextkit.cli.memory_parts import (
    TEXT,
    AnyScope,
    From,
    Id,
    Key,
    Scope,
    To,
    opened,
    read,
    scope_of,
    show,
    use,
    value_of,
)
from contextkit.errors import InputError

app = typer.Typer(name="memory", help="Remember, recall, correct and forget.", invoke_without_command=True)

AsOf = Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="What was true then [now].")]
KnownAt = Annotated[str | None, typer.Option("--known-at", metavar="TIME", help="By what was recorded then [now].")]


@app.callback()
def group(
    ctx: typer.Context,
    *,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="ADDRESS",
            help="A shared memory, postgresql://..., or its folder [CONTEXTKIT_MEMORY; in the index].",
        ),
    ] = None,
) -> None:
    """Remember, recall, correct and forget."""
    use(memory)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@app.command()
def remember(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to know; - reads it from stdin.")],
    *,
    scope: Scope,
    key: Key = None,
    kind: Annotated[str, typer.Option("--kind", help="working, episodic, semantic or procedural.")] = "semantic",
    valid_from: From = None,
    valid_to: To = None,
    trust: Annotated[float, typer.Option("--trust", metavar="0..1", help="How far it is believed.")] = 1.0,
    importance: Annotated[float, typer.Option("--importance", metavar="0..1", help="How much it matters.")] = 0.5,
    platform: Annotated[str, typer.Option("--platform", metavar="NAME", help="Where it comes from: mail, chat, crm.")] = "",
    author: Annotated[str, typer.Option("--author", metavar="NAME", help="Who says so.")] = "",
    lineage: Annotated[
        list[str] | None, typer.Option("--lineage", metavar="ID", help="What it was derived from; may be repeated.")
    ] = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Remember a text; with a key it takes the place of an older fact."""
    said = sys.stdin.read() if text == "-" else text
    with opened(index, embedder) as memory:
        made = memory.remember(
            said, scope=scope_of(scope), key=key, kind=kind, valid_from=valid_from, valid_to=valid_to, trust=trust,
            importance=importance, source={"platform": platform, "author": author}, lineage=lineage or (),
        )  # fmt: skip
    show([made], json, one=True)


@app.command()
def observe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Chat messages: a JSON list, or one a line; - for stdin.")],
    *,
    scope: Scope,
    llm: Annotated[
        str | None,
        typer.Option("--llm", metavar="URL", help="Also ask a language model at this OpenAI-compatible address for facts."),
    ] = None,
    llm_model: Annotated[str | None, typer.Option("--llm-model", metavar="NAME", help="The model's name there.")] = None,
    llm_calls: Annotated[int, typer.Option("--llm-calls", metavar="N", help="Most calls of it.")] = 4,
    llm_tokens: Annotated[int, typer.Option("--llm-tokens", metavar="N", help="Most tokens that it reads and writes.")] = 8_000,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Take in a conversation: turns verbatim, and the facts found in them."""
    if (llm is None) != (llm_model is None):
        raise InputError("--llm and --llm-model go together: an address needs a model's name, and a model an address")
    messages = _messages(read(file))
    with opened(index, embedder) as memory:
        if llm is not None and llm_model is not None:
            from contextkit.memory import ChatExtractor

            memory.use(ChatExtractor(llm, llm_model), calls=llm_calls, tokens=llm_tokens)
        made = memory.observe(messages, scope=scope_of(scope))
    if json:
        output.print_json(made)
        return
    rows = [(d.id or "", d.action, d.reason, output.shortened(d.text, TEXT)) for d in made]
    output.console().print(output.table("", ("id", "action", "reason", "text"), rows))


@app.command()
def recall(
    query: options.Question,
    *,
    scope: Scope,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Most records, where no budget is given.")] = 8,
    budget: Annotated[int | None, typer.Option("--budget", "-b", metavar="TOKENS", help="Pack into so many tokens.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Whose tokens count [cl100k_base].")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only these kinds; may be repeated.")] = None,
    archived: Annotated[bool, typer.Option("--archived", help="Look into the archive too, where no budget is given.")] = False,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Recall what a scope may see that answers a question; says on stderr how a time in it was read."""
    asked, whose = session.question(query), scope_of(scope)
    with opened(index, embedder) as memory:
        if budget is None:
            found = memory.recall(asked, scope=whose, k=k, as_of=as_of, known_at=known_at, kinds=kind, archived=archived)
            read_as = memory.period(asked, scope=whose, known_at=known_at)
            packed = None
        else:
            packed = memory.recall_packed(
                asked, scope=whose, budget=budget, model=model, as_of=as_of, known_at=known_at, kinds=kind
            )  # fmt: skip
            read_as = packed.period
    if read_as is not None and as_of is None:
        output.warn(read_as.told)
    if packed is None:
        show(found, json)
    elif json:
        output.print_json(packed)
    else:
        output.print_text(packed.text)


@app.command()
def period(
    query: options.Question,
    *,
    scope: Scope,
    known_at: KnownAt = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Show how the time in a question is read, and by which record."""
    with opened(index, embedder) as memory:
        found = memory.period(session.question(query), scope=scope_of(scope), known_at=known_at)
    if json:
        output.print_json(found)
    else:
        output.print_text("the question names no time" if found is None else found.told)


@app.command()
def get(id: Id, *, index: options.Index = None, json: options.Json = False) -> None:  # noqa: A002 - the word that users know
    """Show one record as it is stored; of a forgotten one its id, kind, time and reason are left."""
    with opened(index) as memory:
        show([memory.get(id)], json, one=True)


@app.command()
def history(
    *,
    key: Key = None,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="A record and its line.")] = None,  # noqa: A002 - becomes --id
    scope: AnyScope = None,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Show all that was ever recorded of a key, or the line of a record; oldest first."""
    with opened(index) as memory:
        show(memory.history(key=key, id=id, scope=scope_of(scope) if scope else None), json)


@app.command()
def correct(
    id: Id,  # noqa: A002 - the word that users know
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="The right words.")] = None,
    *,
    valid_from: From = None,
    valid_to: To = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Put a right record in the place of a wrong one, which stays in the history."""
    with opened(index, embedder) as memory:
        show([memory.correct(id, text, valid_from=valid_from, valid_to=valid_to)], json, one=True)


@app.command()
def retract(id: Id, *, index: options.Index = None, json: options.Json = False) -> None:  # noqa: A002 - the word that users know
    """Take a record back: it was never true. It stays in the history."""
    with opened(index) as memory:
        show([memory.retract(id)], json, one=True)


@app.command()
def approve(id: Id, *, index: options.Index = None, json: options.Json = False) -> None:  # noqa: A002 - the word that users know
    """Believe a record that waits for a yes."""
    with opened(index) as memory:
        show([memory.approve(id)], json, one=True)


def _messages(text: str) -> list[dict[str, Any]]:
    """A JSON list of messages, or one message a line."""
    if text.lstrip().startswith("["):
        found = value_of(text)
        return found if isinstance(found, list) else [found]
    return [value_of(line) for line in text.splitlines() if line.strip()]


memory_care.register(app)
