# ruff: noqa: E501 - a pattern is read whole
"""Facts in what people say, found by rules: where they live and work, whom they name, what they prefer, decide and promise.

Only plain statements count: questions, conditions, wishes and hearsay are left in their turn. A fact with a key takes the place of
the last one with that key. Dates are resolved against the message's own time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from contextkit.documents.sentences import sentences
from contextkit.memory import when
from contextkit.memory.records import Kind
from contextkit.memory.rows import Draft
from contextkit.memory.scopes import Pairs

MOST = 8
"""Facts that are taken from one message; what says more is a document."""

_NAME = r"[A-ZÀ-ÖØ-Þ][\w'’&.-]*(?:(?:,? (?:of|the|de|la|le|am|upon) |,? )[A-ZÀ-ÖØ-Þ][\w'’&.-]*){0,3}"
_WHO = r"(?P<who>I|[A-ZÀ-ÖØ-Þ][\w-]+(?: [A-ZÀ-ÖØ-Þ][\w-]+)?)"
_OFTEN = r"(?: (?:just|recently|now|currently|finally|also|really|still|actually|officially))*"
_UNSURE = re.compile(
    r"(?i)\?\s*$|\b(?:if|unless|whether|would|wouldn't|could|might|may|maybe|perhaps|probably|supposed to|used to|wish|hope|hoping|imagine|pretend"
    r"|thinking (?:of|about)|considering|(?:he|she|they|someone|people) (?:say|says|said|think|thinks|thought)|i (?:think|guess|heard|thought)|in my dream"
    r"|joking|just kidding|for example|e\.g)\b"
)
_RELATION = (
    "wife|husband|partner|girlfriend|boyfriend|fiance|fiancee|mother|mom|mum|father|dad|sister|brother|son|daughter|boss|manager|"
    "assistant|doctor|dentist|dog|cat|landlord|accountant|lawyer|teacher|therapist|colleague|roommate|flatmate"
)
_ATTRIBUTE = (
    rf"(?:(?:work|private|new|home|mobile|full|first|last|middle|preferred|current) )?(?:name|e-?mail(?: address)?|phone(?: number)?|number|address|birthday|"
    rf"time ?zone|language|job|title|role|budget|deadline|diet|blood type|shoe size|size|nickname|pronouns|team|company|employer|school|"
    rf"university|major|star sign|salary|account (?:number|id)|customer (?:number|id)|order (?:number|id)|(?:{_RELATION})(?:['’]s name)?|"
    r"favou?rite [a-z]+(?: [a-z]+)?)"
)
_END = r"(?=[.!;]?\s*$|[.!;,] |,? (?:and|but|so|because|since|which|who|though|although)\b)"
_MORE = re.compile(
    r"(?i)\s+(?:since|from|last|next|on|in|yesterday|today|tomorrow|this|for|with|now|again|starting|two|three|a few|as|by)\b.*$"
)
_CURRENCY = r"(?:[€$£]\s?\d[\d.,]*|\d[\d.,]*\s?(?:€|\$|£|EUR|USD|GBP|CHF|euros?|dollars?|pounds?|kg|g|km|m|cm|mm|bar|°C|kW|kWh|V|A|GB|MB|TB|%|hours?|days?|weeks?|months?|years?|minutes?|seconds?|pieces|units))"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One way to state a fact: a pattern with the groups who? and v, the attribute, and how it is told."""

    pattern: re.Pattern[str]
    attribute: Callable[[re.Match[str]], str]
    told: Callable[[str, re.Match[str]], str]
    importance: float = 0.6
    dated: bool = True


def _rule(pattern: str, attribute: str, told: str, *, importance: float = 0.6, dated: bool = True) -> _Rule:
    return _Rule(
        re.compile(pattern),
        lambda m: attribute.format(**_parts(m)).lower(),
        lambda who, m: told.format(**{**_parts(m), "who": who}),
        importance,
        dated,
    )


def _parts(match: re.Match[str]) -> dict[str, str]:
    return {k: " ".join((v or "").split()).strip(" .,;!") for k, v in match.groupdict().items()}


_RULES = (
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s)?{_OFTEN} (?:live|lives|living|reside|resides) in (?P<v>{_NAME})",
        "city",
        "{who} lives in {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO}(?:'ve| have| has|'s)?{_OFTEN} (?:moved|relocated)(?: (?:back|over))?(?: from {_NAME})? to (?P<v>{_NAME})",
        "city",
        "{who} lives in {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'ll| will)?{_OFTEN} (?:be )?(?:moving|relocating|move|relocate)(?: (?:back|over))? to (?P<v>{_NAME})",
        "city",
        "{who} lives in {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO} (?:no longer lives?|(?:don't|do not|doesn't|does not) live) in (?P<v>{_NAME})",
        "city",
        "{who} no longer lives in {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s)?{_OFTEN} (?:work|works|working) (?:at|for) (?P<v>{_NAME})",
        "employer",
        "{who} works at {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO}(?:'ve| have| has)?{_OFTEN} (?:joined|started (?:working )?at|started a (?:new )?job at|got (?:a|the|my) (?:new )?job at) (?P<v>{_NAME})",
        "employer",
        "{who} works at {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO} (?:no longer works?|(?:don't|do not|doesn't|does not) work|quit(?: (?:my|his|her|their) job)?|left (?:my|his|her|their) job) (?:at|for) (?P<v>{_NAME})",
        "employer",
        "{who} no longer works at {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is)?{_OFTEN} (?:work|works|working) as an? (?P<v>[a-z][a-z -]{{2,40}}?){_END}",
        "job",
        "{who} works as a {v}",
        importance=0.8,
    ),
    _rule(r"\b[Cc]all me (?P<v>[A-ZÀ-Þ][\w-]+)", "name", "{who} is called {v}", importance=0.9, dated=False),
    _rule(
        rf"\b[Mm]y (?P<a>{_ATTRIBUTE}) (?:is|was changed to|has changed to|changed to|will be) (?:now )?(?P<v>(?!not\b|so\b|very\b|really\b|too\b)(?:[^.!?;]|\.(?=\S)){{1,80}}?)(?=[.!;]?\s*$|[.!;] |,? (?:and|but|so|because|since)\b)",
        "{a}",
        "{who}'s {a} is {v}",
        importance=0.8,
    ),
    _rule(
        rf"\bI have an? (?P<a>{_RELATION}) (?:named|called) (?P<v>[A-ZÀ-Þ][\w-]+)",
        "{a}'s name",
        "{who} has a {a} named {v}",
        importance=0.7,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s) allergic to (?P<v>[a-z][\w -]{{2,40}}?){_END}",
        "allergy: {v}",
        "{who} is allergic to {v}",
        importance=0.9,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'ve (?:become|gone|turned)|(?: have)? (?:became|become|went|turned)){_OFTEN} (?:an? )?(?P<v>vegan|vegetarian|pescatarian)\b",
        "diet",
        "{who} is {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO}{_OFTEN} prefers? (?P<v>[\w][\w' -]{{1,50}}?) (?:to|over) (?P<o>[\w][\w' -]{{1,50}}?){_END}",
        "prefers over {o}",
        "{who} prefers {v} to {o}",
        importance=0.7,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}{_OFTEN} prefers? (?P<v>(?!to\b)(?!.* (?:to|over) )[\w][\w' -]{{2,50}}?){_END}",
        "prefers: {v}",
        "{who} prefers {v}",
        importance=0.7,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}{_OFTEN} (?:hates?|dislikes?|can't stand|cannot stand|don't like|doesn't like|do not like) (?P<v>(?!it\b|that\b|this\b|when\b|how\b|to\b|you\b)[a-z][\w' -]{{2,40}}?){_END}",
        "opinion of {v}",
        "{who} dislikes {v}",
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}{_OFTEN} (?:likes?|loves?|enjoys?|adores?) (?P<v>(?!it\b|that\b|this\b|when\b|how\b|to\b|you\b|your\b|the way\b|what\b|them\b|her\b|him\b|those\b|these\b|seeing\b|being\b)[a-z][\w' -]{{2,40}}?){_END}",
        "opinion of {v}",
        "{who} likes {v}",
        dated=False,
    ),
)
_THING = re.compile(
    rf"\b[Tt]he (?P<a>(?:[\w-]+ ){{0,3}}?(?:price|cost|fee|rent|budget|limit|deadline|weight|length|height|width|pressure|temperature|capacity|discount|rate|size|version|dose|quota|salary|due date))"
    rf"(?P<o> (?:of|for|on) (?:the )?[\w-]+(?: [\w-]+){{0,3}}?)? (?:is|was changed to|changed to|is now|has changed to|went up to|dropped to|will be) (?:now )?(?P<v>{_CURRENCY}|[^.!?;,]*\d[^.!?;,]{{0,40}}?)(?=[.!;]?\s*$|[.!;,] | (?:and|but|so|because|since|from|as of)\b)"
)
_DECISION = re.compile(
    r"(?i)\b(?:we|i|the team)(?:'ve| have)?(?: (?:finally|now|all|just|both))* (?:decided|agreed|chose|settled)\b|\b(?:we|i)(?:'ll| will| are going to|'re going to) go with\b|\bthe decision is\b|\bit(?:'s| is) decided\b"
)
_PROMISE = re.compile(r"(?i)\b(?:i|we)(?:'ll| will| promise(?:d)? to| have to| need to| must)\b")
_DEADLINE = re.compile(r"(?i)\b(?:by|before|until|on|tomorrow|next|this|tonight)\b")


def extract(turn: Draft, scope: Pairs) -> list[Draft]:
    """The facts of a turn, in text order, as drafts of that scope; at most `MOST`.

    Args:
        turn: what was said, with its author and the time that it was said (`valid_from`).
        scope: whose the facts are.
    """
    speaker = turn.source.author or dict(scope).get("user", "") or "the user"
    out: list[Draft] = []
    for span in sentences(turn.text):
        text = turn.text[span.start : span.end]
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
    for rule in _RULES:
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
        yield Draft(f"{speaker}: {text}", Kind.SEMANTIC, (), said, importance=0.8)
    elif _PROMISE.search(text) and named and _DEADLINE.search(text) and named[0].until > said:
        yield Draft(f"{speaker}: {text}", Kind.SEMANTIC, (), said, importance=0.7)


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
    """What a thing costs, weighs or measures."""
    match = _THING.search(text)
    if match is not None:
        parts = _parts(match)
        thing = re.sub(r"^(?:of|for|on) (?:the )?", "", parts["o"])
        subject, attribute = (
            (thing, parts["a"]) if thing else (parts["a"].rpartition(" ")[::2] if " " in parts["a"] else ("", parts["a"]))
        )
        told = f"the {parts['a']}{' ' + parts['o'] if parts['o'] else ''} is {parts['v']}"
        yield Draft(told, Kind.SEMANTIC, (), begin, key=((subject or "it").lower(), attribute.lower()), importance=0.7)
