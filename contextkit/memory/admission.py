# ruff: noqa: E501 - a pattern is read whole
"""What may enter the memory: each text is judged before it is stored, and each judgement says why.

In order: nothing in it, the operator's own instructions, a secret, known already (the same message, the same words, or nearly; of an
assistant also another's words), boilerplate, an echo of what the agent was just given, in the document index already, instructions
from a source that may not give any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit.errors import InputError
from contextkit.memory import nearness, scopes, secrets
from contextkit.memory.rows import author, same_words
from contextkit.retrieval.terms import terms

if TYPE_CHECKING:
    from contextkit.protocols import Rows

_WORD = re.compile(r"\w+")
_NEAR = 0.9  # share of terms in common from which two texts say the same
_FEW = 5  # words; shorter texts ("Thanks a lot!") are said again and again, and mean it each time
_ECHO = 0.75  # share of a message's runs of five words that stand in what was given
_ECHO_LEAST = 8  # words

_BOILERPLATE = re.compile(
    r"""(?ix)^\W*(?:
    you\ are\ (?:a|an|the)\ [\w\ -]{0,40}(?:assistant|agent|model|bot)\b
    | (?:system|developer)\ (?:prompt|message|instructions?)\b
    | (?:new\ )?session\ (?:started|ended|resumed|initiali[sz]ed)\b
    | heartbeat(?:_|\ )?(?:ok|poll)?\W*$
    | (?:no[ _]reply|ack(?:nowledged)?|ok(?:ay)?|noted|done|understood|pong)\W*$
    | as\ an?\ (?:ai|large\ language)\b
    | (?:read|load|see|follow)\ (?:the\ )?[\w./-]+\.(?:md|txt|yaml|yml|toml)\b.{0,60}$
    | \#{1,6}\ (?:identity|soul|tools?|skills?|bootstrap|boot|rules|guidelines|instructions|safety|memory)\b.{0,40}$
    | (?:always|never|do\ not|don't|you\ (?:must|should|may|can))\b.{0,160}\b(?:user|assistant|tools?|respond|response|reply|answer|instructions?|prompt|output)\b.{0,80}$
    | (?:current|today's)\ (?:date|time)(?:\ and\ time)?\ is\b
    | (?:working\ directory|platform|model|available\ tools|knowledge\ cutoff)\s*:
    )"""
)
_ORDERS = re.compile(
    r"""(?ix)
    \b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:previous|prior|above|earlier|all|your|any|system)\b.{0,40}\b(?:instructions?|prompts?|rules?|context|guidelines|messages?)\b
    | \byou\ (?:are\ now|must\ now|will\ now)\b
    | \b(?:new|updated|real)\ (?:system\ )?(?:instructions?|prompt|task)\b\s*[:.]
    | \b(?:do\ not|don't|never)\ (?:tell|inform|mention|reveal|show|alert)\b.{0,40}\b(?:user|human|owner|anyone)\b
    | \b(?:reveal|print|send|forward|post|email|upload|exfiltrate)\b.{0,60}\b(?:system\ prompt|password|credentials?|api\ keys?|secrets?|tokens?|conversation|memory|memories|to\ (?:https?://|\S+@\S+))
    | \b(?:from\ now\ on|in\ all\ future|henceforth|remember\ to\ always)\b.{0,80}\b(?:you|always|respond|recommend|say|use|answer|reply)\b
    | <\s*/?\s*(?:system|instructions?|assistant|tool_call)\s*> | \[/?INST\] | <\|im_start\|>
    | \b(?:assistant|ai|agent|model)\s*[:,]\s*(?:please\ )?(?:run|execute|call|send|delete|transfer|open|ignore)\b
    """
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A text that may be stored.

    Attributes:
        text: as said.
        scope: whose it would be.
        author: who said it, or "".
        role: user, assistant, tool, system ..., or "".
        message_id: of its message, or "".
        time: when it was said, microseconds; None: not told.
        trusted: whether its source may give instructions.
    """

    text: str
    scope: scopes.Pairs
    author: str = ""
    role: str = ""
    message_id: str = ""
    time: int | None = None
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an offer is stored ("stored", "quarantined"), "known" or "refused", and why; `known` is the row that holds it."""

    action: str
    reason: str
    known: int | None = None
    show: bool = True


STORED = Verdict("stored", "new")


def refuse_secrets(text: str) -> None:
    """Raises InputError where a text holds a secret; the message does not repeat it."""
    found = secrets.find(text) if isinstance(text, str) else None
    if found is not None:
        raise InputError(f"the text holds {found}: a memory is no place for secrets; take it out, or keep it in a vault")


def orders(text: str) -> bool:
    """Whether a text gives an agent instructions that its reader did not ask for."""
    return _ORDERS.search(text) is not None


def boilerplate(text: str) -> bool:
    """Whether a text is what programs and prompts say every time."""
    return _BOILERPLATE.match(text) is not None


def verdict(
    rows: Rows, offer: Offer, given: Collection[tuple[str, ...]] = (), in_documents: Callable[[str], str | None] | None = None
) -> Verdict:
    """What becomes of an offer.

    Args:
        rows: of the memory.
        offer: what is offered.
        given: runs of five words that the agent was recently given.
        in_documents: tells which document holds a text already, if any.
    """
    text = offer.text
    words = _WORD.findall(text.lower())
    if not words:
        return Verdict("refused", "nothing in it")
    if offer.role in ("system", "developer"):
        return Verdict("refused", "the operator's instructions, not knowledge")
    held = secrets.find(text)
    if held is not None:
        return Verdict("refused", f"holds {held}", show=False)
    same = known(rows, offer, len(words))
    if same is not None:
        return same
    if boilerplate(text):
        return Verdict("refused", "boilerplate")
    if offer.role == "assistant" and echo(words, given):
        return Verdict("refused", "an echo of what the agent was given")
    if in_documents is not None and len(words) >= 2 * _ECHO_LEAST:
        document = in_documents(text)
        if document is not None:
            return Verdict("refused", f"stands in the document {document}")
    if not offer.trusted and orders(text):
        return Verdict("quarantined", "gives instructions, and its source may not")
    return STORED


def echo(words: Sequence[str], given: Collection[tuple[str, ...]]) -> bool:
    """Whether most runs of five of these words stand in what the agent was given; of fewer than eight words none is an echo."""
    runs = nearness.shingles(words)
    return len(words) >= _ECHO_LEAST and sum(run in given for run in runs) >= _ECHO * len(runs)


def known(rows: Rows, offer: Offer, words: int) -> Verdict | None:
    """The verdict on what its owner holds already: the same message, the same words of the same author, or nearly; else None."""
    owner = scopes.name_of(scopes.owner(offer.scope))
    if offer.message_id:
        found = rows.execute(
            "SELECT r.id FROM records r JOIN scopes s ON s.id = r.scope_id WHERE r.message_id = ? AND s.name = ? AND r.hash = ?",
            (offer.message_id, scopes.name_of(offer.scope), same_words(offer.text)),
        ).fetchone()
        if found is not None:
            return Verdict("known", f"the same message as m{found[0]}", int(found[0]))
    found = rows.execute(
        "SELECT r.id, r.valid_from, c.body FROM records r JOIN scopes s ON s.id = r.scope_id JOIN sources c ON c.id = r.source_id "
        "WHERE r.hash = ? AND (s.name = ? OR s.owner = ?) ORDER BY r.id",
        (same_words(offer.text), owner, owner),
    ).fetchall()
    for number, begin, body in found:
        if author(body) == offer.author and (words > _FEW or begin == offer.time):
            return Verdict("known", f"the same words as m{number}", int(number))
    return _nearly(rows, offer, owner) if words > _FEW else None


def _nearly(rows: Rows, offer: Offer, owner: str) -> Verdict | None:
    mine = terms(offer.text)
    marks = nearness.bands(owner, mine)
    found = rows.execute(
        "SELECT DISTINCT r.id, r.text, c.body FROM bands b JOIN records r ON r.id = b.record_id JOIN sources c ON c.id = r.source_id "
        f"WHERE b.band IN ({', '.join('?' * len(marks))}) ORDER BY r.id LIMIT 20",
        marks,
    ).fetchall()
    numbers = _numbers(mine)
    for number, text, body in found:
        theirs = terms(text)
        if (
            (author(body) == offer.author or offer.role == "assistant")
            and numbers == _numbers(theirs)
            and nearness.jaccard(mine, theirs) >= _NEAR
        ):
            return Verdict("known", f"nearly the same words as m{number}", int(number))
    return None


def _numbers(found: Sequence[str]) -> set[str]:
    """The terms with digits: texts that differ in one of them differ."""
    return {t for t in found if any(c.isdigit() for c in t)}
