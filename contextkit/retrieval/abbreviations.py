"""Abbreviations that the texts themselves explain: "high-throughput screening (HTS)" lets a question about either find both.

Read off the candidates at each question, so that nothing is stored and no word means what it does in other people's texts. The
pairs are those of Schwartz and Hearst, "A simple algorithm for identifying abbreviation definitions in biomedical text"
(Pacific Symposium on Biocomputing 8, 2003).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from contextkit.retrieval.terms import Occurrences, content_terms, occurrences

_SHORT = re.compile(r" \(([^\W_][\w-]{1,9}?)s?\)")
_BEFORE = 120  # characters of text before the bracket in which the long form is looked for
_NEAR = 90  # characters from the first to the last word of a long form where it is used
_MOST = 8


class Abbreviation(NamedTuple):
    """A pair that a question uses one side of, as terms.

    Attributes:
        short: term of the short form.
        long: terms of the long form in order, function words left out, two or more.
        asked: whether the question has the short form; else it has the long one.
    """

    short: str
    long: tuple[str, ...]
    asked: bool


def abbreviations(texts: Sequence[str], question: Sequence[str]) -> list[Abbreviation]:
    """The pairs that the texts explain and the question uses, at most 8: those first that are explained most often.

    A short form has a capital letter and 2 to 10 characters, and stands in brackets behind the words that its letters are taken
    from. A question uses a long form where it has all its words, near each other.

    Args:
        texts: where to look.
        question: its terms, in order.
    """
    place = {term: n for n, term in enumerate(question)}
    letters = {term[0] for term in question}
    found: Counter[Abbreviation] = Counter()
    for text in texts:
        for match in _SHORT.finditer(text):
            short = match.group(1)
            whole = short.lower().replace("-", "_")
            asked = whole in place
            if not asked and short[0].lower() not in letters:
                continue
            words = tuple(content_terms(long_form(text[max(0, match.start() - _BEFORE) : match.start()], short)))
            if len(words) < 2 or whole in words:
                continue
            if asked:
                found[Abbreviation(whole, words, True)] += 1
            places = [place[word] for word in words if word in place]
            if len(places) == len(words) and max(places) - min(places) <= len(words):
                found[Abbreviation(whole, words, False)] += 1
    return sorted(found, key=lambda pair: (-found[pair], pair))[:_MOST]


def long_form(before: str, short: str) -> str:
    """The words at the end of a text that a short form's letters are taken from, in order; "" where there are none.

    Each letter or digit of the short form is found from the right, its first one at a word's beginning. At most
    min(n + 5, 2n) words of n characters make a long form.
    """
    if not any(c.isupper() for c in short):
        return ""
    words = before.split()[-min(len(short) + 5, 2 * len(short)) :]
    text = " ".join(words)
    at = len(text)
    for n, letter in reversed(list(enumerate(short))):
        if not letter.isalnum():
            continue
        at = text.casefold().rfind(letter.casefold(), 0, at) if n else _beginning(text, letter, at)
        if at < 0:
            return ""
    return text[at:]


def _beginning(text: str, letter: str, stop: int) -> int:
    """Where the last word that begins with a letter before `stop` begins, or -1; after a mark inside a word counts too."""
    low, letter = text.casefold(), letter.casefold()
    at = low.rfind(letter, 0, stop)
    while at > 0 and low[at - 1].isalnum():
        at = low.rfind(letter, 0, at)
    return at


def found_with(texts: Sequence[str], question: Sequence[str], known: Sequence[Abbreviation]) -> Occurrences:
    """Where a question's terms stand in texts, as `occurrences` gives it, either side of an abbreviation counting as the other.

    A long form stands where all its words do, near each other; it counts where the first of them begins.
    """
    if not known:
        return occurrences(texts, question)
    words = list(dict.fromkeys([*question, *(word for pair in known for word in (pair.short, *pair.long))]))
    place = {term: n for n, term in enumerate(words)}
    found = occurrences(texts, words)
    rows = [row for row in zip(*(column.tolist() for column in found), strict=True) if row[1] < len(question)]
    for pair in known:
        if not pair.asked:
            here = found.term == place[pair.short]
            stands = zip(found.text[here].tolist(), found.at[here].tolist(), strict=True)
            rows += [(text, place[word], at + n) for text, at in stands for n, word in enumerate(pair.long)]
            continue
        first: dict[int, dict[int, int]] = {}
        here = np.isin(found.term, [place[word] for word in pair.long])
        for text, term, at in zip(*(column[here].tolist() for column in found), strict=True):
            first.setdefault(text, {}).setdefault(term, at)
        for text, places in first.items():
            if len(places) == len(set(pair.long)) and max(places.values()) - min(places.values()) <= _NEAR:
                rows.append((text, place[pair.short], min(places.values())))
    rows.sort(key=lambda row: (row[0], row[2], row[1]))
    text, term, at = np.array(rows, np.int64).reshape(-1, 3).T
    return Occurrences(text, term, at)
