# ruff: noqa: E501 - a pattern is read whole
"""Facts in what people say, found by rules: where they live and work, whom they name, what they prefer, decide and promise.

Only plain statements count: questions, conditions, wishes, hearsay and quoted mail are left in their turn. A fact with a key takes
the place of the last one with that key. Dates are resolved against the message's own time. The patterns are `statements.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from contextkit.documents.sentences import sentences
from contextkit.memory import times, when
from contextkit.memory.records import Kind
from contextkit.memory.rows import Draft
from contextkit.memory.scopes import Pairs
from contextkit.memory.statements import RULES, parts
from contextkit.memory.when import When

MOST = 8
"""Facts that are taken from one message; what says more is a document."""

_UNSURE = re.compile(
    r"(?i)\?\s*$|\b(?:if|unless|whether|would|wouldn't|could|might|(?-i:may)|maybe|perhaps|probably|supposed to|used to|wish|hope|hoping|imagine|pretend"
    r"|thinking (?:of|about)|considering|(?:he|she|they|someone|people) (?:say|says|said|think|thinks|thought)|i (?:think|guess|heard|thought)|in my dream"
    r"|joking|just kidding|for example|e\.g|apparently|allegedly|rumou?r has it|not sure|almost|nearly (?:bought|moved|quit))\b"
)
_QUOTED = re.compile(  # lines of a mail that somebody else wrote
    r"(?m)^[ \t]*[>|][^\n]*$|^-{2,}[ ]*(?:Original|Forwarded) [Mm](?:essage|ail)(?s:.*)\Z|^On [^\n]{5,80} wrote:[ \t]*$"
)
_MORE = re.compile(
    r"(?i)\s+(?:since|from|last|next|on|in|yesterday|today|tomorrow|this|for|with|now|again|starting|two|three|a few|as|by)\b.*$"
)
_AMOUNT = (
    r"(?:(?:EUR|USD|GBP|CHF)\s?\d[\d.,]*|[€$£]\s?\d[\d.,]*(?:\s?(?:k|million|billion|bn|m)\b)?|\d[\d.,]*\s?(?:€|\$|£|EUR|USD|GBP|CHF|euros?|dollars?|pounds?|francs?|kg|g|t|tons?|"
    r"tonnes?|km|m|cm|mm|bar|°C|°F|degrees|kW|kWh|MW|V|A|Hz|rpm|l|litres?|liters?|GB|MB|TB|%|percent|hours?|days?|weeks?|months?|years?|minutes?|seconds?|pieces|units|people|seats)(?!\w)"
    r"(?:\s?(?:a|per|/)\s?(?:month|year|week|day|hour|piece|unit|person|seat|kg|m²|litre|liter))?)"
)
_STOP = r"(?=[.!;]?\s*$|[.!;,] | (?:and|but|so|because|since|from|as of|for|by|in|on|at|now|instead)\b)"
_WHAT = r"(?:price|cost|fee|rent|budget|limit|deadline|weight|length|height|width|pressure|temperature|capacity|discount|rate|size|version|dose|quota|salary|due date|power|speed|lead time|delivery date|delivery time|warranty)"
_THING = re.compile(
    rf"\b[Tt]he (?P<a>(?:[\w-]+ ){{0,3}}?{_WHAT})"
    rf"(?P<o> (?:of|for|on) (?:the )?[\w-]+(?: [\w-]+){{0,3}}?)? (?:is|was (?:changed|raised|lowered|cut|moved|set) to|changed to|is now|has (?:changed|gone up|dropped|risen|fallen) to|(?:went up|rose|dropped|fell|moved)(?: from {_AMOUNT})? to|will be) (?:now )?"
    rf"(?P<v>{_AMOUNT}|[^.!?;,]*\d[^.!?;,]{{0,40}}?)(?=[.!;]?\s*$|[.!;,] | (?:and|but|so|because|since|from|as of)\b)"
)
_MEASURES = {
    "cost": "price",
    "weigh": "weight",
    "hold": "capacity",
    "take": "duration",
    "last": "duration",
    "draw": "power",
    "measure": "size",
    "run at": "setting",
    "is set to": "setting",
}
_DOES = re.compile(
    rf"\b(?:[Tt]he|[Oo]ur|[Mm]y|[Aa]n?) (?P<o>(?:[\w-]+ ){{0,3}}?[\w-]+?) (?:now |only )?(?P<a>costs?|weighs?|holds?|takes?|lasts?|draws?|measures?|runs? at|is set to) (?:about |around |exactly |only |now )?(?P<v>{_AMOUNT}){_STOP}"
)
_OPENS = re.compile(
    r"\b(?:[Tt]he|[Oo]ur) (?P<o>(?:[\w-]+ ){0,2}?[\w-]+?) (?:now )?(?P<a>opens|closes|starts|ends|leaves) (?:now )?at (?P<v>\d{1,2}(?:[:.]\d\d)?(?: ?[ap]\.?m\.?)?|noon|midnight)(?=[.!;,]|\s*$| (?:and|on|every|from|now|but)\b)"
)
_DECISION = re.compile(
    r"(?i)\b(?:we|i|the team)(?:'ve| have)?(?: (?:finally|now|all|just|both))* (?:decided|agreed|chose|settled)\b|\b(?:we|i)(?:'ll| will| are going to|'re going to) go with\b|\bthe decision is\b|\b(?:the|our|my) [\w -]{2,60}? (?:was|were|is|are|has been|have been|got) (?:finally |officially |now )?(?:approved|rejected|turned down|cancelled|canceled|postponed|called off|signed off)\b|\bwe(?:'re| are) (?:switching|moving over|changing|migrating) (?:from .{2,40} )?to\b|\bit(?:'s| is) decided\b"
)
_PROMISE = re.compile(r"(?i)\b(?:i|we)(?:'ll| will| promise(?:d)? to| have to| need to| must)\b")
_DEADLINE = re.compile(r"(?i)\b(?:by|before|until|on|tomorrow|next|this|tonight|in \w+ (?:days?|weeks?|months?))\b")


def weighty(text: str) -> bool:
    """Whether a sentence states a decision or a promise."""
    return _DECISION.search(text) is not None or _PROMISE.search(text) is not None


def extract(turn: Draft, scope: Pairs) -> list[Draft]:
    """The facts of a turn, in text order, as drafts of that scope; at most `MOST`.

    Args:
        turn: what was said, with its author and the time that it was said (`valid_from`).
        scope: whose the facts are.
    """
    speaker = turn.source.author or dict(scope).get("user", "") or "the user"
    out: list[Draft] = []
    own = _QUOTED.sub(lambda m: " " * len(m.group()), turn.text)  # offsets stay
    for span in sentences(own):
        text = own[span.start : span.end]
        if len(text) > 400 or _UNSURE.search(text):
            continue
        for found in _in_sentence(text, speaker, turn.valid_from):
            source = turn.source.model_copy(update={"start": span.start, "end": span.end})
            out.append(replace(found, scope=scope, source=source, trust=turn.trust))
    return out[:MOST]


def _in_sentence(text: str, speaker: str, said: int) -> Iterator[Draft]:
    named = when.find(text, said)
    begin = named[0].begin if named else said
    seen: set[str] = set()
    for rule in RULES:
        match = rule.pattern.search(text)
        if match is None:
            continue
        who = match.groupdict().get("who") or "I"
        attribute = rule.attribute(match)
        if attribute in seen or who.lower() in _NOBODY:
            continue
        seen.add(attribute)
        name = speaker if who == "I" else who
        value = _MORE.sub("", rule.told(name, match)) if rule.importance < 0.7 else rule.told(name, match)
        start = begin if rule.dated else said
        yield Draft(value, Kind.SEMANTIC, (), start, key=(name.lower(), attribute), importance=rule.importance)
    yield from _of_things(text, begin)
    if _DECISION.search(text):
        yield Draft(f"{speaker}: {_dated(text, named)}", Kind.SEMANTIC, (), said, importance=0.8)
    elif _PROMISE.search(text) and named and _DEADLINE.search(text) and named[0].until > said:
        yield Draft(f"{speaker}: {_dated(text, named)}", Kind.SEMANTIC, (), said, importance=0.7)


def _dated(text: str, named: list[When]) -> str:
    """The sentence with the day of each time that will mean another one later: "by Friday (2024-03-15)"."""
    for found in reversed(named):
        if not re.search(r"(?:19|20)\d\d", text[found.start : found.end]):
            day = times.shown(found.begin)[:10]
            last = times.shown(found.until - 1)[:10]
            text = f"{text[: found.end]} ({day if day == last else f'{day} to {last}'}){text[found.end :]}"
    return text


_NOBODY = frozenset(
    [
        "it",
        "that",
        "this",
        "there",
        "what",
        "who",
        "he",
        "she",
        "they",
        "we",
        "you",
        "one",
        "everyone",
        "everybody",
        "someone",
        "nobody",
        "the",
        "a",
        "my",
        "and",
        "but",
        "so",
    ]
)


def _of_things(text: str, begin: int) -> Iterator[Draft]:
    """What a thing costs, weighs or measures, and when it opens."""
    match = _THING.search(text)
    if match is not None:
        found = parts(match)
        thing = re.sub(r"^(?:of|for|on) (?:the )?", "", found["o"])
        subject, attribute = (
            (thing, found["a"]) if thing else (found["a"].rpartition(" ")[::2] if " " in found["a"] else ("", found["a"]))
        )
        told = f"the {found['a']}{' ' + found['o'] if found['o'] else ''} is {found['v']}"
        yield Draft(told, Kind.SEMANTIC, (), begin, key=((subject or "it").lower(), attribute.lower()), importance=0.7)
        return
    for pattern in (_DOES, _OPENS):
        match = pattern.search(text)
        if match is not None:
            found = parts(match)
            verb = found["a"].lower()
            attribute = (
                _MEASURES.get(verb) or _MEASURES.get(verb.removesuffix("s")) or _MEASURES.get(verb.replace("runs", "run")) or verb
            )
            at = " at" if pattern is _OPENS else ""
            told = f"the {found['o']} {found['a']}{at} {found['v']}"
            yield Draft(told, Kind.SEMANTIC, (), begin, key=(found["o"].lower(), attribute), importance=0.7)
            return
