"""Many sentences to the few that say most: an extract in their own words, in their own order.

Pure functions on texts. Which records are digested, and what becomes of them, is `consolidate.py`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from contextkit.documents.sentences import sentences
from contextkit.memory.extract import weighty
from contextkit.retrieval.terms import content_terms

SHARE, LEAST, MOST = 0.2, 240, 1600
"""Of the characters of what is digested a fifth is kept, but not fewer than these and not more than those."""

_WORTH = 0.25  # a sentence that adds less than this share of what the best one says is left out

_SPECIFIC = re.compile(r"\d|(?<=[\w,;:] )[A-ZÀ-ÖØ-Þ][\w'’-]+")
_LEANING = re.compile(
    r"(?i)^\W*(?:it|that|this|they|he|she|yes|yeah|no|ok|okay|sure|thanks?|thank you|great|wow|haha|hi|hello|hey|bye|see you"
    r"|good (?:morning|evening|night|day))\b"
)


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of a turn: who said it, its place, its terms, and what it is worth before others are chosen."""

    author: str
    text: str
    place: int
    terms: frozenset[str]
    worth: float


def digest(turns: Sequence[tuple[str, str]]) -> str:
    """The sentences of (author, text) pairs that together say most, in their order and verbatim, each voice named once in a row.

    At most `MOST` characters beyond the names; "" where there is no sentence with anything in it. The same turns give the same.
    """
    found = _sentences(turns)
    budget = min(MOST, max(LEAST, round(SHARE * sum(len(text) for _, text in turns))))
    chosen = sorted(_chosen(found, budget), key=lambda s: s.place)
    out: list[str] = []
    last = ""
    for one in chosen:
        out.append(f"{one.author}: {one.text}" if one.author and one.author != last else one.text)
        last = one.author
    return " ".join(out)


def _sentences(turns: Sequence[tuple[str, str]]) -> list[_Sentence]:
    out: list[_Sentence] = []
    for author, text in turns:
        for span in sentences(text):
            words = " ".join(text[span.start : span.end].split())
            found = frozenset(content_terms(words)) if words else frozenset()
            if found and len(words) <= MOST:
                out.append(_Sentence(author, words, len(out), found, _worth(words, len(found))))
    return out


def _worth(text: str, count: int) -> float:
    """What a sentence is worth by its form: a decision or a number more; a question, a greeting, what leans on another less."""
    worth = 1.0 + min(0.15 * len(_SPECIFIC.findall(text)), 0.6)
    if weighty(text):
        worth *= 1.5
    if text.rstrip().endswith("?"):
        worth *= 0.4
    if _LEANING.match(text):
        worth *= 0.6
    return worth * (0.3 if count < 3 else 1.0)


def _chosen(found: Sequence[_Sentence], budget: int) -> list[_Sentence]:
    """Takes, one after the other, the sentence that adds most of what is not yet said for its length, until the budget is spent.

    A term weighs more the more sentences speak of it, so that what the talk was about comes first; said again, it adds little.
    """
    often = Counter(term for one in found for term in one.terms)
    weight = {term: math.sqrt(n) for term, n in often.items()}
    left = list(found)
    out: list[_Sentence] = []
    said: Counter[str] = Counter()
    most = 0.0
    while left:
        fitting = [one for one in left if len(one.text) <= budget]
        if not fitting:
            break
        best = max(fitting, key=lambda one: (_gain(one, weight, said), -one.place))
        gain = _gain(best, weight, said)
        if out and gain < _WORTH * most:
            break
        most = max(most, gain)
        out.append(best)
        said.update(best.terms)
        budget -= len(best.text) + 1
        left.remove(best)
    return out


def _gain(one: _Sentence, weight: dict[str, float], said: Counter[str]) -> float:
    new = sum(weight[term] * 0.25 ** said[term] for term in one.terms)
    return float(one.worth * new / (20 + len(one.text)) ** 0.7)
