"""A conversation into memory: turns verbatim, and the facts that rules find in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contextkit.errors import InputError
from contextkit.memory import embed, extractor, nearness, scopes, times
from contextkit.memory import rows as records
from contextkit.memory.admission import STORED, Offer, Verdict, verdict
from contextkit.memory.extract import extract
from contextkit.memory.records import Decision, Kind, Source, Status
from contextkit.memory.rows import Draft

if TYPE_CHECKING:
    from contextkit.memory.store import MemoryStore
    from contextkit.protocols import Rows

TRUST = {"user": 1.0, "assistant": 0.9, "tool": 0.5, "function": 0.5}
"""How far the words of a role are believed; any other role 0.8."""

_TRUSTED = ("user", "assistant")
_WORD = re.compile(r"\w+")
_KNOWN = {"role", "content", "name", "time", "id", "platform", "conversation"}
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, checked; `time` is None where it has none."""

    role: str
    text: str
    author: str
    time: int | None
    id: str
    platform: str
    conversation: str


def message(given: Mapping[str, Any], place: int) -> Message:
    """A chat message, checked. Raises InputError naming its place and what is wrong."""
    if not isinstance(given, Mapping):
        raise InputError(f'message {place} is a {type(given).__name__}, not {{"role": ..., "content": ...}}')
    content = given.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        parts = [p if isinstance(p, str) else p.get("text") for p in content if isinstance(p, (str, Mapping))]
        content = "\n".join(p for p in parts if isinstance(p, str))
    if not isinstance(content, str):
        raise InputError(f"message {place} has no text: content is {content!r:.60}")
    role = given.get("role", "user")
    named = {name: given.get(name) or "" for name in ("name", "id", "platform", "conversation")}
    for name, value in (("role", role), *named.items()):
        if not isinstance(value, (str, int)) or len(str(value)) > 512:
            raise InputError(f"message {place}: {name}={value!r:.60} must be a short string")
    if len(content) > 100_000:
        raise InputError(f"message {place} has {len(content):,} characters, the limit is 100,000: add it as a document instead")
    time = times.optional(given.get("time"), f"time of message {place}")
    return Message(
        str(role),
        content.strip(),
        str(named["name"]),
        time,
        str(named["id"]),
        str(named["platform"]),
        str(named["conversation"]),
    )


def observe(store: MemoryStore, messages: Sequence[Mapping[str, Any]], scope: scopes.Scope) -> list[Decision]:
    """See `MemoryStore.observe`."""
    if isinstance(messages, (str, Mapping)):
        raise InputError(f"observe takes a list of messages, not a {type(messages).__name__}")
    pairs = scopes.checked(scope)
    checked = [message(given, i) for i, given in enumerate(messages)]
    given = _given(store)
    with store.reading() as rows:
        verdicts = _verdicts(store, rows, checked, pairs, given)
        thread = dict(pairs).get("session", "")
        before = _tail(store, rows, pairs, thread)
    now = times.now()
    kept = [i for i, v in enumerate(verdicts) if v.action in ("stored", "quarantined")]
    drafts = [_turn(checked[i], pairs, thread, verdicts[i], now) for i in kept]
    lines = [embed.line(d.text, d.source.author) for d in drafts]
    vectors = embed.turns(store.embedder, [*before, *lines])[len(before) :]
    facts = _facts(drafts, pairs)
    fact_vectors = embed.texts(store.embedder, [embed.line(f.text, f.source.author) for _, f in facts])
    with store.writing() as rows:
        ids = records.insert(rows, drafts, vectors)
        for at, fact in facts:
            fact.lineage = (ids[at],)
        fact_ids = records.insert(rows, [f for _, f in facts], fact_vectors)
    decisions = [_decision(checked[i], v, None) for i, v in enumerate(verdicts)]
    for i, number in zip(kept, ids, strict=True):
        decisions[i] = _decision(checked[i], verdicts[i], number)
    found = [
        Decision(action="stored", reason=f"a fact in m{ids[at]}", id=f"m{n}", text=f.text, kind=f.kind)
        for (at, f), n in zip(facts, fact_ids, strict=True)
    ]
    asked = extractor.run(store, list(zip(ids, drafts, strict=True)), scopes.owner(pairs), [f for _, f in facts], given)
    return decisions + found + asked


def _verdicts(
    store: MemoryStore, rows: Rows, messages: Sequence[Message], pairs: scopes.Pairs, given: set[tuple[str, ...]]
) -> list[Verdict]:
    """What becomes of each message; repeats within the list are known too."""
    seen: dict[tuple[str, bytes, int | None], int] = {}
    out = []
    for place, said in enumerate(messages):
        offer = Offer(said.text, pairs, said.author, said.role, said.id, said.time, said.role in _TRUSTED)
        judged = verdict(rows, offer, given, None if store.given is None else store.given.document)
        few = len(_WORD.findall(said.text)) <= 5
        mark = (said.author, records.same_words(said.text), (said.time, said.id, place)[2] if few else None)
        if judged.action == "stored" and mark in seen:
            judged = Verdict("known", f"the same words as message {seen[mark]}")
        seen.setdefault(mark, place)
        out.append(judged)
    return out


def _given(store: MemoryStore) -> set[tuple[str, ...]]:
    """Runs of five words of what an agent was recently given."""
    texts = [*store.recent, *(store.given.texts() if store.given is not None else ())]
    return {run for text in texts for run in nearness.shingles(_WORD.findall(text.lower()))}


def _tail(store: MemoryStore, rows: Rows, pairs: scopes.Pairs, thread: str) -> list[str]:
    """The last turns of the conversation, as much as is embedded again as context of what follows."""
    found = rows.execute(
        "SELECT r.text, c.body FROM records r JOIN threads t ON t.id = r.thread_id JOIN scopes s ON s.id = t.scope_id "
        "JOIN sources c ON c.id = r.source_id WHERE s.name = ? AND t.name = ? ORDER BY r.place DESC LIMIT 6",
        (scopes.name_of(pairs), thread),
    ).fetchall()
    lines = [embed.line(text, records.author(body)) for text, body in reversed(found)]
    kept = embed.tail(store.embedder, lines)
    return lines[len(lines) - kept :]


def _turn(said: Message, pairs: scopes.Pairs, thread: str, judged: Verdict, now: int) -> Draft:
    source = Source(
        platform=said.platform, conversation=said.conversation, message_id=said.id, author=said.author, role=said.role
    )
    return Draft(
        text=said.text, kind=Kind.EPISODIC, scope=pairs, valid_from=now if said.time is None else said.time,
        trust=TRUST.get(said.role, 0.8), source=source, thread=said.conversation or thread,
        status=Status.ACTIVE if judged is STORED else Status.QUARANTINED,
    )  # fmt: skip


def _facts(drafts: Sequence[Draft], pairs: scopes.Pairs) -> list[tuple[int, Draft]]:
    """(place of the turn, fact) of what rules find in what people said. Facts belong to the owner of the session."""
    out = []
    for at, turn in enumerate(drafts):
        if turn.status is not Status.ACTIVE or turn.source.role not in ("user", ""):
            continue
        out += [(at, fact) for fact in extract(turn, scopes.owner(pairs))]
    return out


def _decision(said: Message, judged: Verdict, number: int | None) -> Decision:
    held = number if number is not None else judged.known
    text = said.text if len(said.text) <= _SHOWN else said.text[: _SHOWN - 1] + "…"
    kind = Kind.EPISODIC if number is not None else None
    return Decision(
        action=judged.action,
        reason=judged.reason,
        id=None if held is None else f"m{held}",
        text=text if judged.show else "",
        kind=kind,
    )
