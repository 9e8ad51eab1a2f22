"""Text to lexical terms: the one tokenisation that the full-text index, the question and the sentence scores share.

A change here changes every full-text index: raise `TERMS_VERSION`.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import Stemmer
from numpy.typing import NDArray

TERMS_VERSION = "1"

# A run of word characters, with single marks inside ("NB-1042", "snake_case", "3.14", "it's") kept in one match.
_WORD = re.compile(r"[^\W_]+(?:[_.\-'’:/+][^\W_]+)*", re.UNICODE)
_PART = re.compile(r"[^\W_]+", re.UNICODE)
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Scripts written without spaces: Thai, Lao, Khmer, kana, Han, Hangul stays (it has spaces).
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_CLITICS = frozenset({"s", "t", "re", "ve", "ll", "d", "m"})
_HAS_DIGIT = re.compile(r"\d")

# Function words of questions in English; of other languages only the most common, so that they do not drown the rest.
_FUNCTION_WORDS = """
a about above after again against all also am an and any are aren as at be because been before being below between both but by can
could did do does doing don down during each few for from further had has have having he her here hers herself him himself his how
i if in into is isn it its itself just me more most my myself no nor not now of off on once only or other our ours out over own s
same she should so some such t than that the their theirs them themselves then there these they this those through to too under
until up very was we were what when where which while who whom whose why will with would you your yours yourself
der die das den dem des ein eine einer eines und oder ist sind war wie wer wo warum mit von zu im am auf für
el la los las un una unos unas y o es son era de del que en por para con como quien donde
le les une et ou est sont du des dans pour avec qui où
"""
STOPWORDS = frozenset(_FUNCTION_WORDS.split())

_MARKS = "_.-'’:/+"  # the single marks inside a word

# Kinds of characters, for looking at a text as an array: nothing of a word, lower, upper, digit, a letter beyond ASCII, a mark.
_NONE, _LOWER, _UPPER, _DIGIT, _BEYOND, _MARK = range(6)
_KIND_OF = bytes(
    _LOWER if c.islower() else _UPPER if c.isupper() else _DIGIT if c.isdigit() else _MARK if c in _MARKS else _NONE
    for c in (*map(chr, range(128)), *" " * 128)
)
_KINDS = 6
_INSIDE, _BEGINS = 1, 2


def _role(before: int, own: int, after: int) -> int:
    """What a character is by its own and its neighbours' kinds: _INSIDE a word, and perhaps where a part of it _BEGINS."""
    if own == _MARK:
        return _INSIDE if {before, after}.isdisjoint((_NONE, _MARK)) else 0
    if own == _NONE:
        return 0
    changes = before in (_NONE, _MARK, _BEYOND) or (before == _DIGIT) != (own == _DIGIT)
    hump = own == _UPPER and (before == _LOWER or after == _LOWER)  # of a CamelCase name
    return _INSIDE | _BEGINS if own != _BEYOND and (changes or hump) else _INSIDE


# by _KINDS ** 2 x the kind before + _KINDS x its own + the kind after
_ROLE_OF = bytes(_role(n // 36, n // 6 % 6, n % 6) if n < _KINDS**3 else 0 for n in range(256))

_local = threading.local()


@lru_cache(maxsize=200_000)
def _stem(word: str) -> str:
    """The Snowball English stem of a lower-case word without its accents; words with digits come back as they are."""
    if not word.isascii():
        word = "".join(c for c in unicodedata.normalize("NFKD", word) if c.isalnum())
    if _HAS_DIGIT.search(word):
        return word
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:  # a Snowball stemmer keeps state between calls: one a thread
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    return str(stemmer.stemWord(word))


@lru_cache(maxsize=100_000)
def _expand(match: str) -> tuple[str, ...]:
    """The terms of one match: its parts, and the whole too where it is an identifier or a number."""
    if _UNSPACED.search(match):
        return _bigrams(match)
    parts = _PART.findall(match)
    out: list[str] = []
    for part in parts:
        low = part.lower()
        out.append(_stem(low))
        # CamelCase: a name of a program; its words are findable too
        if part.isascii() and not part.islower() and not part.isupper() and not part[1:].islower():
            pieces = [p.lower() for p in _CAMEL.findall(part)]
            if len(pieces) > 1:
                out.extend(_stem(p) for p in pieces if len(p) > 1)
    if len(parts) > 1 and (_HAS_DIGIT.search(match) or "_" in match or "/" not in match):
        if parts[-1].lower() in _CLITICS:
            parts = parts[:-1]
        if len(parts) > 1:
            out.append("_".join(p.lower() for p in parts))
    return tuple(out)


def _bigrams(match: str) -> tuple[str, ...]:
    out: list[str] = []
    last = 0
    for run in _UNSPACED.finditer(match):
        out.extend(_stem(p.lower()) for p in _PART.findall(match[last : run.start()]))
        text = run.group()
        out.extend(text[i : i + 2] for i in range(max(1, len(text) - 1)))
        last = run.end()
    out.extend(_stem(p.lower()) for p in _PART.findall(match[last:]))
    return tuple(out)


def terms(text: str) -> list[str]:
    """The terms of a text in order, with repetition: lower-case stems, identifiers also as a whole.

    "NB-1042" gives nb, 1042 and nb_1042; "snake_case" its words and snake_case; "HttpClient" httpclient, http and client;
    scripts without spaces give character pairs. Every term is made of letters, digits and "_" only. "" gives [].
    """
    return [t for match in _WORD.findall(text) for t in _expand(match) if t]


def content_terms(text: str) -> list[str]:
    """The distinct terms of a question in order of appearance, function words left out unless nothing else remains."""
    found: dict[str, None] = {}
    for match in _WORD.finditer(text):
        word = match.group()
        if word.lower().split("'")[0].split("’")[0] not in STOPWORDS:
            found.update(dict.fromkeys(_expand(word)))
    kept = [t for t in found if len(t) > 1 or not t.isascii() or t.isdigit()]
    return kept or list(dict.fromkeys(terms(text)))


class Occurrences(NamedTuple):
    """Where some terms stand in texts, in the order of the text; int64 (n,) each.

    Attributes:
        text: which text.
        term: which term.
        at: character of the text where its word begins.
    """

    text: NDArray[np.int64]
    term: NDArray[np.int64]
    at: NDArray[np.int64]


def occurrences(texts: Sequence[str], wanted: Sequence[str]) -> Occurrences:
    """Where some terms stand in texts, both by their places in what is given.

    The same as looking each of `terms(text)` up in `wanted`, many times faster: only words that begin like one of the terms are
    taken apart. A term that is wanted twice is found at its last place. No texts or no terms give empty arrays.
    """
    joined = "\n".join(("", *texts, ""))  # no word reaches over a line's end
    begin, end = _likely(joined, wanted)
    words = [joined[a:b] for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
    places = {term: n for n, term in enumerate(wanted)}
    found = {word: [places[term] for term in _expand(word) if term in places] for word in set(words)}
    starts = np.cumsum([1, *(len(text) + 1 for text in texts)], dtype=np.int64)
    times = np.array([len(found[word]) for word in words], np.int64)
    text = np.searchsorted(starts, begin, side="right") - 1
    place = np.array([place for word in words for place in found[word]], np.int64)
    return Occurrences(np.repeat(text, times), place, np.repeat(begin - starts[text], times))


def _likely(text: str, wanted: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begin and end of the words of a text that may hold a wanted term; the text begins and ends with a line's end.

    An ASCII term begins where a word, a part of it or a hump of a CamelCase name does, by `_beginnings`. Words with letters
    beyond ASCII are all likely: their terms are without accents.
    """
    plain, kinds = _kinds(text)
    around = _KINDS**2 * kinds[:-2] + _KINDS * kinds[1:-1] + kinds[2:]
    role = np.frombuffer(b"\0" + around.tobytes().translate(_ROLE_OF) + b"\0", np.uint8)
    begins = np.flatnonzero(role == _INSIDE | _BEGINS)
    four = np.ndarray((len(text),), "<u4", plain.lower() + b"\n\n\n", strides=(1,))[begins]  # the first letters as one number
    likely = np.zeros(len(begins), np.bool_)
    for start in sorted({b for term in wanted for b in _beginnings(term) if b.isascii()}):
        code = int.from_bytes(start.encode(), "little")
        likely |= (four & np.uint32((1 << 8 * len(start)) - 1)) == code
    inside = role > 0
    edges = 1 + np.flatnonzero(inside[1:] != inside[:-1])  # begin, end, begin, end ...
    spots = np.concatenate([begins[likely], np.flatnonzero(kinds == _BEYOND)])
    chosen = np.unique(np.searchsorted(edges[::2], spots, side="right") - 1)
    return edges[::2][chosen], edges[1::2][chosen]


def _kinds(text: str) -> tuple[bytes, NDArray[np.uint8]]:
    """A byte a character, which is the character where it is ASCII; and uint8 their kinds."""
    if text.isascii():
        plain = text.encode()
        return plain, np.frombuffer(plain.translate(_KIND_OF), np.uint8)
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    plain = np.minimum(letters, 128).astype(np.uint8).tobytes()
    beyond = np.flatnonzero(letters > 127)
    distinct, which = np.unique(letters[beyond], return_inverse=True)
    known = [_MARK if c in _MARKS else _BEYOND if c.isalnum() else _NONE for c in map(chr, distinct.tolist())]
    kinds = np.frombuffer(bytearray(plain.translate(_KIND_OF)), np.uint8)
    kinds[beyond] = np.array(known, np.uint8)[which]
    return plain, kinds


def _beginnings(term: str) -> tuple[str, ...]:
    """What every word or part of a word that gives an ASCII term begins with, at most four letters."""
    first, joint, _ = term.partition("_")
    if joint or first.isdigit():
        return (first[:4],)
    # stemming changes the last letter at most ("city": "citi"), but for the likes of "dying": "die"
    start = first[: max(1, min(4, len(first) - 1))]
    return (start, f"{first[0]}yi") if len(first) == 3 and first.endswith("ie") else (start,)
