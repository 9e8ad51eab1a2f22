"""One spelling for what is written in several: numbers with separators, names such as C++, characters that nobody sees.

`evened` changes a text and keeps every character's place, so that what is found in it has the same offsets; the other functions
read what it made. What becomes a term is decided in `contextkit.retrieval.terms`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff" + "".join(map(chr, range(0xFE00, 0xFE10)))
"""Characters inside words that nobody sees: soft hyphens, joiners, spaces without width, selectors of a letter's variant."""

# Stand for the "+" and "#" behind and the "." before a letter, as parts of the word: private characters, which no text has.
_PLUS, _SHARP, _DOT = "\ue000\ue001\ue002"
NAMING = _PLUS + _SHARP + _DOT
"""Characters that `evened` puts into names."""

_SPACES = "\u00a0\u2007\u2009\u202f"
_SEPARATED = re.compile(r",[0-9][0-9][0-9]")  # a literal first, which is looked for at the speed of memory; the next is exact
_NUMBER = re.compile(
    rf"[1-9](?<!\w[1-9])(?<!\d,[1-9])(?:[0-9]{{0,2}}([,{_SPACES}])[0-9]{{3}}(?:\1[0-9]{{3}})*|[0-9]?(?:,[0-9][0-9])+,[0-9]{{3}})"
    r"(?![^\W_])(?!,\d)"
)
_NAME = re.compile(
    r"[cC](?<!\w[cC])\+\+(?=[0-9][0-9](?!\w)|(?![\w+]))|[cCfF](?<!\w[cCfF])#(?![\w#])|\.(?<!\w\.)(?:NET|Net|net)(?!\w)"
)
_NAMED = str.maketrans({"+": _PLUS, "#": _SHARP, ".": _DOT, ",": "'", **dict.fromkeys(_SPACES, "'")})
_UNSEEN = re.compile(f"[{INVISIBLE}]")

GROUPED = re.compile(r"[1-9]\d{0,2}(?:'\d{2,3})*'\d{3}(?![^\W_])")
"""A number in groups, as `evened` writes it; begin where a part of a word does."""
_POINTED = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+")
_FIRST = 4  # characters of a word's beginning that are looked at
_BETWEEN = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])")


def _written(found: re.Match[str]) -> str:
    return found.group().translate(_NAMED)


def evened(text: str) -> str:
    """The text, as long as before: "1,250" and "1 250" (with a space that does not break) as "1'250", C++ and .NET as one word.

    Every apostrophe comes straight. Only groups of three digits after one to three make a number (or India's of two), and "1.250"
    stays: nobody knows which it is.
    """
    text = text.replace("’", "'")
    if _SEPARATED.search(text) or (not text.isascii() and any(space in text for space in _SPACES)):
        text = _NUMBER.sub(_written, text)
    if "#" in text or ("+" in text and "++" in text) or ".NET" in text or ".Net" in text or ".net" in text:
        text = _NAME.sub(_written, text)
    return text


def uneven(text: str, plain: NDArray[np.uint8]) -> list[tuple[int, str]]:
    """What `evened` changes in a long text, but for the apostrophes, without reading it letter by letter: places and texts.

    Args:
        text: begins and ends with a line's end.
        plain: uint8, a character each: its code where it is ASCII.
    """
    spots = np.flatnonzero((plain & 0xFD) == ord(","))  # and ".", which differs in that bit alone
    dots = spots[(plain[spots] == ord(".")) & ((plain[spots + 1] | 32) == ord("n"))]
    spots = spots[plain[spots] == ord(",")]
    for step in (1, 3, 2, -1):  # most commas have no digit behind
        spots = spots[_is_digit(plain.take(spots + step, mode="clip"))]
    between = spots.tolist()
    for place in between:  # India's groups of two go back from here
        if text[place - 3] == ",":
            between.append(place - 3)
    if not text.isascii():
        between += [place for space in _SPACES for place in _all(text, space)]
    starts = [place - back for place in between for back in (3, 2, 1)]
    found = [_NUMBER.match(text, place) for place in starts if place > 0]
    found += [_NAME.match(text, place) for place in dots.tolist()]
    for sign in ("#", "++"):
        found += [_NAME.match(text, place - 1) for place in _all(text, sign)]
    return sorted({(one.start(), _written(one)) for one in found if one is not None})


def _all(text: str, sign: str) -> Iterator[int]:
    """Where a sign stands that is rare in most texts."""
    place = text.find(sign[0])
    while place >= 0:
        if text.startswith(sign, place):
            yield place
        place = text.find(sign[0], place + 1)


def _is_digit(plain: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (plain - np.uint8(ord("0"))) < 10


def spelled(match: str) -> str:
    """A match of an evened text in letters: without what nobody sees; "C++" is "Cpp", "F#" is "Fsharp", ".NET" is "dotNET"."""
    match = match.replace(_PLUS * 2, "pp").replace(_SHARP, "sharp").replace(_DOT, "dot")
    return _UNSEEN.sub("", match)


def pointed(match: str) -> str:
    """The digits of "1.250", which is a number in groups as likely as not, or ""."""
    return match.replace(".", "") if _POINTED.fullmatch(match) else ""


def beginnings(written: str) -> set[str]:
    """How a word or a part of it may begin that makes these ASCII letters and digits, at most four characters each.

    A "-" may stand between letters and digits, and digits may be in groups.
    """
    out = {""}
    for run in _BETWEEN.split(written[: 2 * _FIRST]):
        forms = {run}
        if run.isdigit() and len(run) > 3:
            forms |= {run[:first] + mark + run[first:] for first in (1, 2, 3) for mark in "'."}
        out = {(start + joint + form)[:_FIRST] for start in out for joint in ("", "-")[: 2 if start else 1] for form in forms}
    return out
