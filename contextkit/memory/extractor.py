"""An optional extractor of facts, held to its caps, and its claims judged like anything else that wants into the memory.

It reads what people said after that was stored, so that nothing it does can lose a turn. `chat.py` is one for language models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit.errors import ContextkitError, InputError
from contextkit.memory import embed, secrets, times
from contextkit.memory import rows as records
from contextkit.memory.admission import Offer, Verdict, echo, verdict
from contextkit.memory.records import Decision, Kind, Status
from contextkit.memory.rows import Draft
from contextkit.types import Claim, Extraction, Said

if TYPE_CHECKING:
    from contextkit.memory.core import Core
    from contextkit.memory.scopes import Pairs
    from contextkit.protocols import Extractor, Rows

TRUST = 0.8
"""How far a claim is believed, as a share of its turn's trust: what somebody read into words is not what was said."""

_LEAST = 4  # words; a shorter turn says nothing alone
_LONGEST = 500  # characters of a claim
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Capped:
    """An extractor and the most that it may do in one `observe`. Raises InputError where a cap is below 1.

    Attributes:
        extractor: what reads.
        calls: most calls.
        tokens: most tokens, read and written.
    """

    extractor: Extractor
    calls: int
    tokens: int

    def __post_init__(self) -> None:
        for name, value in (("calls", self.calls), ("tokens", self.tokens)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}={value!r} must be a whole number above 0")


@dataclass(slots=True)
class _Spent:
    """What the calls took so far."""

    calls: int = 0
    read: int = 0
    written: int = 0
    dollars: float | None = 0.0

    def add(self, answer: Extraction) -> None:
        self.read += answer.input_tokens
        self.written += answer.output_tokens
        self.dollars = None if self.dollars is None or answer.dollars is None else self.dollars + answer.dollars

    def __str__(self) -> str:
        price = "price not known" if self.dollars is None else f"{self.dollars:.6f} dollars"
        return f"{self.calls} calls, {self.read} tokens read, {self.written} written, {price}"


Turn = tuple[int, Draft]
"""The row of a stored turn, and the turn."""


def run(
    store: Core, turns: Sequence[Turn], scope: Pairs, found: Collection[Draft], given: set[tuple[str, ...]]
) -> list[Decision]:
    """What became of each claim, and a last decision that says what the extractor took; [] where there is nothing to read.

    Args:
        store: the memory, with its extractor.
        turns: what was stored, in order.
        scope: whose the facts are.
        found: the facts that rules found in these turns; a claim with the same key and turn is known.
        given: runs of five words that the agent was recently given.
    """
    if store.extractor is None:
        return []
    capped = store.extractor
    fit = [turn for turn in turns if _readable(turn[1], given)]
    if not fit:
        return []
    claims, spent, left, failure = _ask(capped, fit)
    drafts, out = _judged(store, claims, scope, found, given)
    ids = _write(store, [draft for draft, _ in drafts], spent)
    out += [
        Decision(
            action="quarantined" if draft.status is Status.QUARANTINED else "stored", reason=reason, id=f"m{i}", text=draft.text,
            kind=draft.kind,
        )
        for i, (draft, reason) in zip(ids, drafts, strict=True) if i
    ]  # fmt: skip
    over = (
        f"; {left} of {len(fit)} turns were not read: over the cap of {capped.calls} calls and {capped.tokens:,} tokens"
        if left
        else ""
    )
    told = f"{capped.extractor.name}: {spent}{over}"
    out.append(Decision(action="failed" if failure else "extracted", reason=f"{told}; {failure}" if failure else told))
    return out


def _readable(turn: Draft, given: set[tuple[str, ...]]) -> bool:
    """Whether an extractor may read it: said by a person, believed, no echo, and long enough to say something."""
    words = _WORD.findall(turn.text.lower())
    by_person = turn.source.role in ("user", "") and turn.status is Status.ACTIVE
    return by_person and len(words) >= _LEAST and not echo(words, given)


def _ask(capped: Capped, turns: Sequence[Turn]) -> tuple[list[tuple[Turn, Claim]], _Spent, int, str]:
    """The claims with their turns, what was spent, how many turns were not read, and why it failed ("": it did not)."""
    claims: list[tuple[Turn, Claim]] = []
    spent, room, place = _Spent(), capped.tokens, 0
    while place < len(turns) and spent.calls < capped.calls:
        batch = _batch(capped.extractor, turns[place:], room)
        if not batch:
            break
        said = [_said(turn) for _, turn in batch]
        spent.calls += 1
        try:
            answer = capped.extractor.extract(said)
        except (ContextkitError, OSError, ValueError) as error:  # its fault must not become ours
            return claims, spent, len(turns) - place, " ".join(str(error).split()) or type(error).__name__
        spent.add(answer)
        room -= max(capped.extractor.need(said), answer.input_tokens + answer.output_tokens)
        claims += [(batch[c.turn], c) for c in answer.claims if 0 <= c.turn < len(batch)]
        place += len(batch)
    return claims, spent, len(turns) - place, ""


def _batch(extractor: Extractor, turns: Sequence[Turn], room: int) -> list[Turn]:
    """As many of the first turns as one call may take; halved until they fit."""
    count = len(turns)
    while count and extractor.need([_said(turn) for _, turn in turns[:count]]) > room:
        count //= 2
    return list(turns[:count])


def _said(turn: Draft) -> Said:
    return Said(turn.source.author or "the user", turn.text, times.shown(turn.valid_from)[:10])


def _judged(
    store: Core, claims: Sequence[tuple[Turn, Claim]], scope: Pairs, found: Collection[Draft], given: set[tuple[str, ...]]
) -> tuple[list[tuple[Draft, str]], list[Decision]]:
    """The claims that are to be written, each with its reason, and the decisions on the others."""
    keys = {(fact.lineage, fact.key) for fact in found if fact.key is not None}
    same: set[bytes] = set()
    drafts: list[tuple[Draft, str]] = []
    out: list[Decision] = []
    with store.reading() as rows:
        for (row, turn), claim in claims:
            draft = _draft(row, turn, claim, scope)
            judged = _verdict(rows, store, turn, claim, draft, given)
            if judged.action == "stored" and ((draft.lineage, draft.key) in keys or records.same_words(draft.text) in same):
                judged = Verdict("known", f"the rules found it in m{row}, or it was claimed before")
            if judged.action not in ("stored", "quarantined"):
                text = draft.text if judged.show else ""
                known = None if judged.known is None else f"m{judged.known}"
                out.append(Decision(action=judged.action, reason=f"a claim from m{row}: {judged.reason}", id=known, text=text))
                continue
            same.add(records.same_words(draft.text))
            if judged.action == "quarantined":
                draft.status = Status.QUARANTINED
            drafts.append((draft, f"claimed from m{row}: {judged.reason}"))
    return drafts, out


def _draft(row: int, turn: Draft, claim: Claim, scope: Pairs) -> Draft:
    start = turn.text.find(claim.quote)
    span = {"start": start, "end": start + len(claim.quote)} if start >= 0 and claim.quote else {}
    subject, attribute = (" ".join(part.lower().split())[:200] for part in (claim.subject, claim.attribute))
    return Draft(
        text=" ".join(claim.text.split()), kind=Kind.SEMANTIC, scope=scope, valid_from=_since(claim, turn),
        key=(subject, attribute) if subject and attribute else None, trust=turn.trust * TRUST, importance=0.6,
        source=turn.source.model_copy(update=span), lineage=(row,),
    )  # fmt: skip


def _since(claim: Claim, turn: Draft) -> int:
    """Since when it is true: as claimed where that is a time, else since it was said."""
    if not claim.valid_from:
        return turn.valid_from
    try:
        return times.micros(claim.valid_from, "valid_from")
    except InputError:
        return turn.valid_from


def _verdict(rows: Rows, store: Core, turn: Draft, claim: Claim, draft: Draft, given: set[tuple[str, ...]]) -> Verdict:
    """What becomes of a claim: one with a secret, or that its turn does not bear out, is refused before all else."""
    held = secrets.find(draft.text)
    if held is not None:
        return Verdict("refused", f"holds {held}", show=False)
    if not draft.text or len(draft.text) > _LONGEST:
        return Verdict("refused", f"{len(draft.text)} characters, where 1 to {_LONGEST} are allowed", show=False)
    if not claim.quote.strip() or " ".join(claim.quote.split()) not in " ".join(turn.text.split()):
        return Verdict("refused", "the words that it quotes do not stand there")
    borne = {
        *_NUMBER.findall(turn.text),
        *_NUMBER.findall(times.shown(draft.valid_from)),
        *_NUMBER.findall(times.shown(turn.valid_from)),
    }
    wrong = [n for n in _NUMBER.findall(draft.text) if n not in borne]
    if wrong:
        return Verdict("refused", f"the number {wrong[0]} does not stand there")
    offer = Offer(draft.text, draft.scope, turn.source.author, "assistant", "", draft.valid_from, trusted=False)
    return verdict(rows, offer, given, None if store.given is None else store.given.document)


def _write(store: Core, drafts: Sequence[Draft], spent: _Spent) -> list[int]:
    """Writes the claims, and adds what was spent to the total; ids in order, 0 where a turn was forgotten meanwhile."""
    vectors = embed.texts(store.embedder, [embed.line(d.text, d.source.author) for d in drafts])
    with store.writing() as rows:
        there = [
            i for i, d in enumerate(drafts)
            if rows.execute("SELECT 1 FROM records WHERE id = ?", (d.lineage[0],)).fetchone() is not None
        ]  # fmt: skip
        ids = records.insert(rows, [drafts[i] for i in there], vectors[there])
        total = usage(rows)
        dollars = None if spent.dollars is None or total["dollars"] is None else total["dollars"] + spent.dollars
        body = {
            "calls": (total["calls"] or 0) + spent.calls, "input_tokens": (total["input_tokens"] or 0) + spent.read,
            "output_tokens": (total["output_tokens"] or 0) + spent.written, "dollars": dollars,
        }  # fmt: skip
        rows.execute("DELETE FROM identity WHERE key = 'extraction'")
        rows.execute("INSERT INTO identity VALUES ('extraction', ?)", (json.dumps(body),))
    by_place = dict(zip(there, ids, strict=True))
    return [by_place.get(i, 0) for i in range(len(drafts))]


def usage(rows: Rows) -> dict[str, float | None]:
    """What extractors took in all: calls, input_tokens, output_tokens, dollars (None: a price was not known)."""
    found = rows.execute("SELECT value FROM identity WHERE key = 'extraction'").fetchone()
    blank: dict[str, float | None] = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "dollars": 0.0}
    return blank if found is None else {**blank, **json.loads(found[0])}
