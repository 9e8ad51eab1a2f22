"""`contextkit memory ...`: what an agent knows, since when, from whom, and how it forgets.

The verbs are those of `contextkit.memory.MemoryStore`.
"""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contextkit.cli import options, output, session
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.memory import Memory, MemoryStore

SOME_FAILED = 1
_TEXT = 90

app = typer.Typer(name="memory", help="Remember, recall, correct and forget.", invoke_without_command=True)

Scope = Annotated[
    list[str],
    typer.Option("--scope", "-s", metavar="LEVEL=NAME", help="Whose: tenant, team, user, agent or session; may be repeated."),
]
AnyScope = Annotated[
    list[str] | None,
    typer.Option("--scope", "-s", metavar="LEVEL=NAME", help="Only of this scope; may be repeated [all]."),
]
Key = Annotated[str | None, typer.Option("--key", metavar="SUBJECT/ATTRIBUTE", help="What a newer fact replaces it by.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A memory's id, such as m12.")]
From = Annotated[str | None, typer.Option("--valid-from", metavar="TIME", help="Since when it is true [now].")]
To = Annotated[str | None, typer.Option("--valid-to", metavar="TIME", help="Until when, exclusive [no end].")]


@app.callback()
def group(ctx: typer.Context) -> None:
    """Remember, recall, correct and forget."""
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
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Remember a text; with a key it takes the place of an older fact."""
    said = sys.stdin.read() if text == "-" else text
    with _memory(index, embedder) as memory:
        made = memory.remember(
            said, scope=_scope(scope), key=key, kind=kind, valid_from=valid_from, valid_to=valid_to, trust=trust,
            importance=importance, source={"platform": platform, "author": author},
        )  # fmt: skip
    _show([made], json, one=True)


@app.command()
def observe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Chat messages: a JSON list, or one a line; - for stdin.")],
    *,
    scope: Scope,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Take in a conversation: turns verbatim, and the facts found in them."""
    messages = _messages(_read(file))
    with _memory(index, embedder) as memory:
        made = memory.observe(messages, scope=_scope(scope))
    if json:
        output.print_json(made)
        return
    rows = [(d.id or "", d.action, d.reason, output.shortened(d.text, _TEXT)) for d in made]
    output.console().print(output.table("", ("id", "action", "reason", "text"), rows))


@app.command()
def recall(
    query: options.Question,
    *,
    scope: Scope,
    k: Annotated[int, typer.Option("-k", metavar="N", help="Most records, where no budget is given.")] = 8,
    budget: Annotated[int | None, typer.Option("--budget", "-b", metavar="TOKENS", help="Pack into so many tokens.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Whose tokens count [cl100k_base].")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", help="What was true then [now].")] = None,
    known_at: Annotated[str | None, typer.Option("--known-at", metavar="TIME", help="By what was recorded then [now].")] = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only these kinds; may be repeated.")] = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Recall what a scope may see that answers a question."""
    asked, whose = session.question(query), _scope(scope)
    with _memory(index, embedder) as memory:
        if budget is None:
            _show(memory.recall(asked, scope=whose, k=k, as_of=as_of, known_at=known_at, kinds=kind), json)
            return
        packed = memory.recall_packed(
            asked, scope=whose, budget=budget, model=model, as_of=as_of, known_at=known_at, kinds=kind
        )  # fmt: skip
    if json:
        output.print_json(packed)
    else:
        output.print_text(packed.text)


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
    with _memory(index) as memory:
        _show(memory.history(key=key, id=id, scope=_scope(scope) if scope else None), json)


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
    with _memory(index, embedder) as memory:
        _show([memory.correct(id, text, valid_from=valid_from, valid_to=valid_to)], json, one=True)


@app.command()
def retract(id: Id, *, index: options.Index = None, json: options.Json = False) -> None:  # noqa: A002 - the word that users know
    """Take a record back: it was never true. It stays in the history."""
    with _memory(index) as memory:
        _show([memory.retract(id)], json, one=True)


@app.command()
def approve(id: Id, *, index: options.Index = None, json: options.Json = False) -> None:  # noqa: A002 - the word that users know
    """Believe a record that waits for a yes."""
    with _memory(index) as memory:
        _show([memory.approve(id)], json, one=True)


@app.command()
def state(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the value, such as a session's id.")],
    value: Annotated[str | None, typer.Argument(metavar="[JSON]", help="The new value; none: show the one there is.")] = None,
    *,
    expected_version: Annotated[
        int | None, typer.Option("--expected-version", metavar="N", help="Only in the place of this version; 0: of none.")
    ] = None,
    scope: AnyScope = None,
    index: options.Index = None,
) -> None:
    """Show or store a JSON value with its version."""
    with _memory(index) as memory:
        kept = memory.state(name, scope=_scope(scope) if scope else None)
        if value is not None:
            kept.put(_json(value), expected_version=expected_version)
        found, version = kept.read()
    output.print_json({"name": name, "version": version, "value": found})


@app.command()
def forget(
    *,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="One record.")] = None,  # noqa: A002 - becomes --id
    key: Key = None,
    scope: AnyScope = None,
    person: Annotated[str | None, typer.Option("--person", metavar="NAME", help="All that is a user's.")] = None,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Erase a record, a key, a scope or a person from every file, and print the proof."""
    with _memory(index) as memory:
        proof = memory.forget(id=id, key=key, scope=_scope(scope) if scope else None, person=person)
    if json:
        output.print_json(proof)
        return
    facts = [(name, ", ".join(map(str, v)) if isinstance(v, tuple) else str(v)) for name, v in proof]
    output.console().print(output.table("erased", ("", ""), facts))


@app.command()
def audit(*, scope: AnyScope = None, index: options.Index = None, json: options.Json = False) -> None:
    """Show what the memory holds, and what is wrong with it; exit 1 where something is."""
    with _memory(index) as memory:
        found = memory.audit(scope=_scope(scope) if scope else None)
    wrong = bool(found.duplicates or found.boilerplate or found.conflicts or found.waiting)
    if json:
        output.print_json(found)
    else:
        facts: list[tuple[str, object]] = [("records", found.records), ("size", output.size(found.bytes))]
        facts += [*found.kinds.items(), *found.statuses.items()]
        facts += [("duplicates", len(found.duplicates)), ("boilerplate", len(found.boilerplate))]
        facts += [(f"conflict {key}", ", ".join(ids)) for key, ids in found.conflicts.items()]
        facts += [(f"waits: {m.id}", output.shortened(m.text, _TEXT)) for m in found.waiting]
        output.console().print(output.table("memory", ("", ""), facts))
    if wrong:
        raise typer.Exit(SOME_FAILED)


@app.command(name="export")
def export_(*, index: options.Index = None) -> None:
    """Print all records, a JSON object a line."""
    with _memory(index) as memory:
        for line in memory.export():
            sys.stdout.write(line + "\n")


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export printed; - for stdin.")],
    *,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Add the records of an export; those that are there already are not added again."""
    lines = _read(file).splitlines()
    with _memory(index, embedder) as memory:
        added = memory.load(lines)
    if json:
        output.print_json({"added": added})
    else:
        output.print_text(f"{added} added")


@contextmanager
def _memory(index: Path | None, embedder: str | None = None) -> Iterator[MemoryStore]:
    """The memory of the index that the settings name; both are made where there are none."""
    with session.opened(session.settings(index=index, embedder=embedder), create=True) as kit:
        yield kit.memory


def _scope(given: Iterable[str]) -> dict[str, str]:
    """{"user": "ann"} of "user=ann". Raises InputError where a part has no "="."""
    out: dict[str, str] = {}
    for part in given:
        level, mark, name = part.partition("=")
        if not mark:
            raise InputError(f"--scope {part!r} must be LEVEL=NAME, such as user=ann")
        out[level.strip()] = name.strip()
    return out


def _read(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None


def _json(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return jsonlib.loads(text)
    except ValueError as error:
        raise InputError(f"this is not JSON ({error}): {text[:60]!r}") from None


def _messages(text: str) -> list[dict[str, Any]]:
    """A JSON list of messages, or one message a line."""
    if text.lstrip().startswith("["):
        found = _json(text)
        return found if isinstance(found, list) else [found]
    return [_json(line) for line in text.splitlines() if line.strip()]


def _show(found: list[Memory], as_json: bool, *, one: bool = False) -> None:  # noqa: FBT001 - the flag as it was given
    if as_json:
        output.print_json(found[0] if one else found)
        return
    if not found:
        output.warn("nothing is known")
        return
    rows = [
        (m.id, m.valid_from.date(), "" if m.valid_to is None else m.valid_to.date(), m.status, output.shortened(_told(m), _TEXT))
        for m in found
    ]
    output.console().print(output.table("", ("id", "from", "to", "status", "text"), rows))


def _told(memory: Memory) -> str:
    doubt = f" (in conflict with {', '.join(memory.conflicts)})" if memory.conflicts else ""
    who = f"{memory.source.author}: " if memory.source.author else ""
    return f"{who}{memory.text}{doubt}"
