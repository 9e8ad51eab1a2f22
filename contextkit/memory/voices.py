"""Whom a question names of those who speak in a memory, and whose words it asks for.

What somebody's words then count is `ranking.py`; who said a record stands in its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from contextkit.retrieval.terms import STOPWORDS

_WORD = re.compile(r"(?<!\w)[^\W\d_]{2,}(?!\w)")
_OWN = r"(?:['’]s)?(?!\w)"
_JOINED = re.compile(r"(?i)\b(?:and|or|nor)\b|^\W*$")


class Named(NamedTuple):
    """A speaker whom a question names: who, and from where to where its text does so."""

    author: str
    start: int
    end: int


def named(question: str, authors: Iterable[str]) -> list[Named]:
    """Every place where a question names one of those who speak, in its order.

    By the whole name in any case; or by a part of it that no other has, where that is written as a name: "Ann" for "Ann Lee".
    Of overlapping names the longest counts. Nobody named gives [].
    """
    low, everybody = question.lower(), [author for author in authors if author]
    found: list[Named] = []
    for author in sorted((a for a in everybody if a.lower() in low), key=lambda a: (-len(a), a)):
        for match in re.finditer(rf"(?<!\w){re.escape(author)}{_OWN}", question, re.IGNORECASE):
            _add(found, Named(author, match.start(), match.end()))
    words = list(_WORD.finditer(question))[1:]  # the first one is written large whatever it is
    likely = [word for word in words if word.group()[0].isupper() and word.group().lower() not in STOPWORDS]
    if likely:
        by_part = _parts(everybody, {m.group().lower() for m in likely})
        for match in likely:
            if author := by_part.get(match.group().lower(), ""):
                whole = re.compile(rf"{re.escape(match.group())}{_OWN}").match(question, match.start())
                _add(found, Named(author, match.start(), whole.end() if whole else match.end()))
    return sorted(found, key=lambda one: one.start)


def _add(found: list[Named], one: Named) -> None:
    if all(one.end <= other.start or one.start >= other.end for other in found):
        found.append(one)


def _parts(authors: Sequence[str], wanted: set[str]) -> dict[str, str]:
    """Whose name has each of the wanted words as a part; "" where several names have it."""
    out: dict[str, str] = {}
    for author in authors:
        for part in wanted.intersection(re.findall(r"\w+", author.lower())):
            out[part] = author if out.get(part, author) == author else ""
    return out


def asked_of(question: str, found: Sequence[Named]) -> str:
    """Whose words a question asks for: of the one whom it names, of several of the one whom it names first; "" of nobody's.

    "What did Ann give to Bob?" is told by Ann. Where the first two are joined ("Ann and Bob") it is asked of both alike.

    Args:
        question: the question.
        found: what `named` gives for it.
    """
    if not found:
        return ""
    first = found[0]
    other = next((one for one in found if one.author != first.author), None)
    if other is not None and _JOINED.search(question[first.end : other.start]):
        return ""
    return first.author


def without(question: str, found: Sequence[Named]) -> str:
    """The question without the names of those who speak, its white space made single."""
    out, end = [], 0
    for one in found:
        out.append(question[end : one.start])
        end = one.end
    return " ".join("".join((*out, question[end:])).split())
