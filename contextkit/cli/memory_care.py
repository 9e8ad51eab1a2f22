"""`contextkit memory ...`, the verbs of care: state, forgetting, retention, audit, consolidation, persons, rules, export.

Each is the method of the same name of `contextkit.memory.MemoryStore`; what people ask every day is `memory.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import options, output
from contextkit.cli.memory_parts import SOME_FAILED, TEXT, AnyScope, Key, Scope, facts, opened, read, scope_of, value_of
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.memory.forget import Erasure
    from contextkit.memory.persons import Link

Handle = Annotated[str, typer.Argument(metavar="HANDLE", help="A mail address, chat id or contact, as scopes name it.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs of this module."""
    for verb in (state, states, forget, retain, expire, audit, consolidate, undo, link, confirm, unlink, links, rule, rules):
        app.command()(verb)
    app.command(name="export")(export_)
    app.command(name="import")(import_)


def state(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the value, such as a session's id.")],
    value: Annotated[str | None, typer.Argument(metavar="[JSON]", help="The new value; none: show the one there is.")] = None,
    *,
    expected_version: Annotated[
        int | None, typer.Option("--expected-version", metavar="N", help="Only in the place of this version; 0: of none.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove the value.")] = False,
    scope: AnyScope = None,
    index: options.Index = None,
) -> None:
    """Show, store or remove a JSON value with its version."""
    if delete and value is not None:
        raise InputError(f"--delete removes {name!r}, so there is no use for the value {value[:40]!r}: give one of them")
    with opened(index) as memory:
        kept = memory.state(name, scope=scope_of(scope) if scope else None)
        if delete:
            kept.delete(expected_version=expected_version)
        elif value is not None:
            kept.put(value_of(value), expected_version=expected_version)
        found, version = kept.read()
    output.print_json({"name": name, "version": version, "value": found})


def states(
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="How the names begin [all].")] = "",
    *,
    after: Annotated[str, typer.Option("--after", metavar="NAME", help="Only names beyond this one.")] = "",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many [all].")] = None,
    newest: Annotated[bool, typer.Option("--newest", help="Last name first.")] = False,
    put: Annotated[
        Path | None,
        typer.Option(
            "--put",
            metavar="FILE",
            help="First store the values of this JSON object, all or none; null removes one; - for stdin.",
        ),
    ] = None,
    scope: AnyScope = None,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """List the states whose names begin alike, with their versions."""
    with opened(index) as memory:
        if put is not None:
            values = value_of(read(put))
            if not isinstance(values, dict):
                raise InputError(f"--put {put} must hold a JSON object of names and values, not a {type(values).__name__}")
            memory.put_states(values, scope=scope_of(scope) if scope else None)
        found = memory.states(prefix, after=after, limit=limit, newest=newest)
    if json:
        output.print_json([kept._asdict() for kept in found])
        return
    rows = [(kept.name, kept.version, output.shortened(str(kept.value), TEXT)) for kept in found]
    output.console().print(output.table("", ("name", "version", "value"), rows, right=("version",)))


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
    with opened(index) as memory:
        proof = memory.forget(id=id, key=key, scope=scope_of(scope) if scope else None, person=person)
    _show_proof(proof, as_json=json)


def retain(
    days: Annotated[float | None, typer.Argument(metavar="[DAYS]", help="How long records are kept; none: for ever.")] = None,
    *,
    scope: Scope,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Set for how many days the records of a scope, and of all within it, are kept; expire erases what is over it."""
    with opened(index) as memory:
        memory.retain(scope_of(scope), days)
        limits = memory.limits()
    if json:
        output.print_json([{"scope": whose, "days": kept} for whose, kept in limits])
        return
    rows = [(" ".join(f"{level}={name}" for level, name in whose.items()), f"{kept:g}") for whose, kept in limits]
    output.console().print(output.table("", ("scope", "days"), rows, right=("days",)))


def expire(*, index: options.Index = None, json: options.Json = False) -> None:
    """Erase what is over its retention from every file, and print the proof."""
    with opened(index) as memory:
        proof = memory.expire()
    if proof is not None:
        _show_proof(proof, as_json=json)
    elif json:
        output.print_json(None)
    else:
        output.print_text("nothing is over its retention")


def _show_proof(proof: Erasure, *, as_json: bool) -> None:
    if as_json:
        output.print_json(proof)
    else:
        facts("erased", proof)


def audit(*, scope: AnyScope = None, index: options.Index = None, json: options.Json = False) -> None:
    """Show what the memory holds, and what is wrong with it; exit 1 where something is."""
    with opened(index) as memory:
        found = memory.audit(scope=scope_of(scope) if scope else None)
    wrong = bool(found.duplicates or found.boilerplate or found.conflicts or found.waiting)
    if json:
        output.print_json(found)
    else:
        rows: list[tuple[str, object]] = [("records", found.records), ("size", output.size(found.bytes))]
        rows += [*found.kinds.items(), *found.statuses.items()]
        rows += [("duplicates", len(found.duplicates)), ("boilerplate", len(found.boilerplate))]
        rows += [(f"conflict {key}", ids) for key, ids in found.conflicts.items()]
        rows += [(f"waits: {m.id}", output.shortened(m.text, TEXT)) for m in found.waiting]
        rows += [(f"archived by {run}", told) for run, told in _archived(found.archived).items()]
        if found.extraction["calls"]:
            rows += [(f"extractor {name}", "not known" if value is None else value) for name, value in found.extraction.items()]
        facts("memory", rows)
    if wrong:
        raise typer.Exit(SOME_FAILED)


def _archived(found: object) -> dict[str, str]:
    """Of each consolidation what it put away: "m4 into m2, m7 faded"."""
    from collections import defaultdict

    from contextkit.memory.audit import Archived

    runs: dict[str, list[str]] = defaultdict(list)
    for one in found if isinstance(found, tuple) else ():
        if isinstance(one, Archived):
            runs[one.run].append(f"{one.id} faded" if one.into is None else f"{one.id} into {one.into}")
    return {run: ", ".join(told) for run, told in runs.items()}


def consolidate(
    *,
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", help="Digest conversations whose last turn is so old.")
    ] = None,
    longer_than: Annotated[
        int | None, typer.Option("--longer-than", metavar="TURNS", help="Digest all but so many last turns of a conversation.")
    ] = None,
    archive_after: Annotated[
        float | None, typer.Option("--archive-after", metavar="HALF-LIVES", help="Archive what was not used for so long.")
    ] = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Merge near duplicates, digest old or long conversations, and archive what has faded; undo takes it back."""
    with opened(index, embedder) as memory:
        done = memory.consolidate(archive_after=archive_after, older_than=older_than, longer_than=longer_than)
    if json:
        output.print_json(done)
        return
    rows: list[tuple[str, object]] = [("id", done.id)]
    rows += [(later, f"merged into {first}") for later, first in done.merged]
    rows += [(d.id, f"digest of {', '.join(d.originals)}: {output.shortened(d.text, TEXT)}") for d in done.digests]
    rows += [(one, "faded") for one in done.faded]
    facts("consolidation", rows)


def undo(
    consolidation: Annotated[str, typer.Argument(metavar="CONSOLIDATION", help="The id that consolidate printed.")],
    *,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Take a consolidation back: records are as they were before it."""
    with opened(index) as memory:
        count = memory.undo(consolidation)
    if json:
        output.print_json({"restored": count})
    else:
        output.print_text(f"{count} restored")


def link(
    handle: Handle,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="The name of the user that it is.")],
    *,
    inferred: Annotated[bool, typer.Option("--inferred", help="Only propose it: it waits for confirm.")] = False,
    evidence: Annotated[str, typer.Option("--evidence", metavar="TEXT", help="What speaks for it.")] = "",
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Say that a handle is a person: recall and forget then follow the person across both."""
    with opened(index) as memory:
        made = memory.link(handle, person, confirmed=not inferred, evidence=evidence)
    _show_links([made], as_json=json, one=True)


def confirm(handle: Handle, *, index: options.Index = None, json: options.Json = False) -> None:
    """Say yes to a link that was only inferred."""
    with opened(index) as memory:
        made = memory.confirm(handle)
    _show_links([made], as_json=json, one=True)


def unlink(handle: Handle, *, index: options.Index = None) -> None:
    """Take a link back, or say no to an inferred one."""
    with opened(index) as memory:
        memory.unlink(handle)
    output.print_text(f"{handle} is linked to nobody")


def links(
    *,
    propose: Annotated[
        bool, typer.Option("--propose", help="First look for users with a mail address or phone number in common.")
    ] = False,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """List the links between handles and persons, and those that wait for a yes."""
    with opened(index) as memory:
        found = memory.links(propose=propose)
    _show_links(found, as_json=json)


def _show_links(found: list[Link], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        output.print_json(found[0] if one else found)
        return
    rows = [(f.handle, f.person, "confirmed" if f.confirmed else "inferred", output.shortened(f.evidence, TEXT)) for f in found]
    output.console().print(output.table("", ("handle", "person", "", "evidence"), rows))


def rule(
    *,
    scope: Scope,
    reader: Annotated[list[str], typer.Option("--reader", "-r", metavar="LEVEL=NAME", help="Who; may be repeated.")],
    allow: Annotated[bool, typer.Option("--allow", help="It sees the scope's records.")] = False,
    deny: Annotated[bool, typer.Option("--deny", help="It does not; deny beats allow.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the rule back.")] = False,
    index: options.Index = None,
    json: options.Json = False,
) -> None:
    """Let one more scope see the records of another one, or deny them."""
    if allow + deny + remove != 1:
        raise InputError("rule needs one of --allow, --deny and --remove")
    with opened(index) as memory:
        memory.rule(scope_of(scope), scope_of(reader, "--reader"), allow=None if remove else allow)
        found = memory.rules()
    _show_rules(found, as_json=json)


def rules(*, index: options.Index = None, json: options.Json = False) -> None:
    """List who may see the records of whom, beyond what scopes inherit."""
    with opened(index) as memory:
        found = memory.rules()
    _show_rules(found, as_json=json)


def _show_rules(found: list[tuple[dict[str, str], dict[str, str], bool]], *, as_json: bool) -> None:
    if as_json:
        output.print_json([{"scope": scope, "reader": reader, "allow": allow} for scope, reader, allow in found])
        return
    rows = [
        (*(" ".join(f"{k}={v}" for k, v in s.items()) for s in (reader, scope)), "sees" if ok else "denied")
        for scope, reader, ok in found
    ]
    output.console().print(output.table("", ("reader", "scope", ""), rows))


def export_(*, index: options.Index = None) -> None:
    """Print all records, a JSON object a line."""
    with opened(index) as memory:
        for line in memory.export():
            sys.stdout.write(line + "\n")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export printed; - for stdin.")],
    *,
    index: options.Index = None,
    embedder: options.Embedder = None,
    json: options.Json = False,
) -> None:
    """Add the records of an export; those that are there already are not added again."""
    lines = read(file).splitlines()
    with opened(index, embedder) as memory:
        added = memory.load(lines)
    if json:
        output.print_json({"added": added})
    else:
        output.print_text(f"{added} added")
