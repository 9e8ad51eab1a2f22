# ruff: noqa: E501 - a pattern is read whole
"""The ways to state a fact about oneself or another: one pattern each, with the attribute that it gives a value and how it is told.

Which sentences are looked at, and what else is found in them, is `extract.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_NAME = r"[A-ZÀ-ÖØ-Þ][\w'’&.-]*(?:(?:,? (?:of|the|de|la|le|am|upon) |,? )[A-ZÀ-ÖØ-Þ][\w'’&.-]*){0,3}"
_WHO = r"(?P<who>I|[A-ZÀ-ÖØ-Þ][\w-]+(?: [A-ZÀ-ÖØ-Þ][\w-]+)?)"
_OFTEN = r"(?: (?:just|recently|now|currently|finally|also|really|still|actually|officially))*"
_RELATION = (
    "wife|husband|partner|girlfriend|boyfriend|fiance|fiancee|mother|mom|mum|father|dad|sister|brother|son|daughter|boss|manager|"
    "assistant|doctor|dentist|dog|cat|landlord|accountant|lawyer|teacher|therapist|colleague|roommate|flatmate"
)
_CALENDAR = (
    "January|February|March|April|May|June|July|August|September|October|November|December|"
    "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|Christmas|Easter|Spring|Summer|Autumn|Winter"
)
_PROFESSION = (
    "engineer|nurse|teacher|doctor|lawyer|developer|programmer|designer|manager|accountant|student|electrician|plumber|carpenter|"
    "architect|chef|cook|pilot|dentist|pharmacist|journalist|photographer|professor|researcher|scientist|analyst|consultant|"
    "mechanic|technician|farmer|baker|driver|librarian|psychologist|therapist|translator|editor|salesperson|buyer|supervisor|"
    "apprentice|intern|paramedic|firefighter|veterinarian|social worker|team lead|CEO|CTO|CFO"
)
_LANGUAGE = (
    "English|German|French|Spanish|Italian|Portuguese|Dutch|Danish|Swedish|Norwegian|Finnish|Polish|Czech|Russian|Ukrainian|Turkish|"
    "Greek|Arabic|Hebrew|Hindi|Urdu|Bengali|Mandarin|Cantonese|Chinese|Japanese|Korean|Vietnamese|Thai|Hungarian|Romanian"
)
_ATTRIBUTE = (
    rf"(?:(?:work|private|new|home|mobile|full|first|last|middle|preferred|current) )?(?:name|e-?mail(?: address)?|phone(?: number)?|number|address|birthday|"
    rf"time ?zone|language|job|title|role|budget|deadline|diet|blood type|shoe size|size|nickname|pronouns|team|company|employer|school|"
    rf"university|major|star sign|salary|account (?:number|id)|customer (?:number|id)|order (?:number|id)|(?:{_RELATION})(?:['’]s name)?|"
    r"favou?rite [a-z]+(?: [a-z]+)?)"
)
_END = r"(?=[.!;]?\s*$|[.!;,] |,? (?:and|but|so|because|since|which|who|though|although)\b)"


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to state a fact: a pattern with the groups who? and v, the attribute, and how it is told."""

    pattern: re.Pattern[str]
    attribute: Callable[[re.Match[str]], str]
    told: Callable[[str, re.Match[str]], str]
    importance: float = 0.6
    dated: bool = True


def _rule(pattern: str, attribute: str, told: str, *, importance: float = 0.6, dated: bool = True) -> Rule:
    return Rule(
        re.compile(pattern),
        lambda m: attribute.format(**parts(m)).lower(),
        lambda who, m: told.format(**{**parts(m), "who": who}),
        importance,
        dated,
    )


def parts(match: re.Match[str]) -> dict[str, str]:
    """The named groups of a match, white space and marks at their ends taken off; "" for one that is not there."""
    return {k: " ".join((v or "").split()).strip(" .,;!") for k, v in match.groupdict().items()}


RULES = (
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
    # beyond the plain ones: what people write of themselves and of theirs in mails and chats
    _rule(
        rf"\b[Mm]y (?:(?:older|younger|elder|big|little|twin|best|new) )?(?P<a>{_RELATION}|daughter|friend|neighbou?r|cousin|aunt|uncle|niece|nephew),? (?P<v>(?!{_CALENDAR}\b)[A-ZÀ-Þ][\w-]+)\b(?!['’]s)",
        "{a}: {v}",
        "{who} has a {a} named {v}",
        importance=0.7,
        dated=False,
    ),
    _rule(
        r"\bI was born (?:on (?P<v>\d{1,2}(?:st|nd|rd|th)?(?: of)? [A-Z][a-z]+(?:,? \d{4})?|[A-Z][a-z]+ \d{1,2}(?:st|nd|rd|th)?(?:,? \d{4})?))",
        "birthday",
        "{who} was born on {v}",
        importance=0.8,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}(?: was| grew)(?: born)?(?: up)? in (?P<v>(?!{_CALENDAR}\b){_NAME})",
        "origin",
        "{who} comes from {v}",
        importance=0.7,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s)(?: originally)? from (?P<v>(?!{_CALENDAR}\b){_NAME})(?! to\b)",
        "origin",
        "{who} comes from {v}",
        importance=0.7,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s| just)?(?: turning| turned) (?P<v>\d{{1,2}})\b(?! ?(?:%|°|to\b|:|[ap]\.?m))",
        "age",
        "{who} is {v} years old",
        importance=0.6,
    ),
    _rule(rf"\b{_WHO}(?:'m| am| is|'s) (?P<v>\d{{1,2}}) years? old\b", "age", "{who} is {v} years old", importance=0.6),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s|'ve| have| has)?{_OFTEN} (?:got |been |gotten )?(?P<v>engaged|married|divorced|widowed)\b(?! (?:in|with) (?:the|a|an)\b)",
        "marital status",
        "{who} is {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO}(?:'ve got| have| has| have got|'ve) (?P<v>(?:two|three|four|five|six|\d) (?:[a-z]+ )?(?P<a>kids|children|sons|daughters|cats|dogs|brothers|sisters|siblings|grandchildren))\b",
        "{a}",
        "{who} has {v}",
        importance=0.7,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s)(?: now| also)? (?:an?|the|our|their)(?: new)? (?P<v>(?:[a-z]+ ){{0,2}}?(?:{_PROFESSION}))\b(?! (?:who|that)\b)",
        "job",
        "{who} is a {v}",
        importance=0.8,
    ),
    _rule(
        rf"\b{_WHO} (?:can )?(?:speaks?|am fluent in|is fluent in) (?:fluent )?(?P<v>(?:{_LANGUAGE})(?:(?:,| and|, and) (?:a little |some )?(?:{_LANGUAGE}))*)\b",
        "languages",
        "{who} speaks {v}",
        importance=0.7,
        dated=False,
    ),
    _rule(
        rf"\b{_WHO}(?:'m| am| is|'s)(?: also)? (?P<v>left-handed|right-handed|colou?r[ -]?blind|deaf|diabetic|coeliac|celiac|asthmatic|pregnant|dyslexic|lactose[ -]intolerant|gluten[ -](?:free|intolerant))\b",
        "health: {v}",
        "{who} is {v}",
        importance=0.9,
    ),
    _rule(
        rf"\b{_WHO}(?:'ve| have| has)?{_OFTEN} (?:stopped|quit|given up|gave up) (?P<v>(?!my\b|the\b|his\b|her\b|their\b|it\b|that\b|in\b|at\b|by\b|to\b|for\b|and\b|on\b)[a-z]+(?: [a-z]+)?){_END}",
        "habit: {v}",
        "{who} stopped: {v}",
        importance=0.7,
    ),
    _rule(
        r"\b(?:[Rr]each|[Cc]all|[Tt]ext|[Pp]hone|[Rr]ing) me (?:at|on|under)(?: my (?:cell|mobile|phone))?:? (?P<v>\+?\d[\d ()/-]{5,}\d)",
        "phone",
        "{who}'s phone is {v}",
        importance=0.8,
    ),
    _rule(
        r"\b(?:(?:[Rr]each|[Ee]-?mail|[Ww]rite(?: to)?|[Mm]ail) me (?:at|on|under)|[Ss]end (?:it|them|everything|invoices|the [a-z]+) to(?: me at)?):? (?P<v>[\w.+-]+@[\w-]+\.[\w.-]*\w)",
        "email",
        "{who}'s email is {v}",
        importance=0.8,
    ),
    _rule(
        rf"\bI{_OFTEN} (?:use|drive|ride|run|play) (?P<a>a|an|the) (?P<v>[A-Z][\w-]+(?: [A-Z0-9][\w-]*){{0,2}})(?: (?:as|for) my (?P<o>[a-z]+(?: [a-z]+)?))?{_END}",
        "uses: {v}",
        "{who} uses {a} {v}",
        importance=0.6,
    ),
)
