"""Text to lexical terms: the one tokenisation that the full-text index, the question and the sentence scores share.

A change here changes every full-text index: raise `TERMS_VERSION`.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Collection
from functools import lru_cache

import Stemmer

TERMS_VERSION = "1"

# A run of word characters, with single marks inside ("NB-1042", "snake_case", "3.14", "it's") kept in one match.
_WORD = re.compile(r"[^\W_]+(?:[_.\-'’:/+][^\W_]+)*", re.UNICODE)
_PART = re.compile(r"[^\W_]+", re.UNICODE)
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CAMEL_INSIDE = re.compile(r"[a-z\d][A-Z]|[A-Z]{2}[a-z]")
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


def finder(wanted: Collection[str]) -> Callable[[str], list[str]]:
    """A function that gives a text's terms that are wanted: `[t for t in terms(text) if t in wanted]`, several times faster.

    Only words that begin like a wanted stem are looked at. The few irregular stems of English ("dying": "die") are missed.
    """
    starts = sorted({_beginning(term.partition("_")[0]) for term in wanted})
    if not starts:
        return lambda _: []
    likely = re.compile(r"(?<![^\W_])(?:" + "|".join(map(re.escape, starts)) + r")[^\W_]*(?:[_.\-'’:/+][^\W_]+)*", re.IGNORECASE)

    def find(text: str) -> list[str]:
        plain = text.isascii()
        if plain:  # substrings and comparisons first: most sentences need no pattern at all
            low = text.lower()
            if not any(map(low.__contains__, starts)):
                return []
            plain = text[1:] == low[1:] or not _CAMEL_INSIDE.search(text)
        found = likely.findall(text) if plain else _WORD.findall(text)
        return [t for match in found for t in _expand(match) if t in wanted]

    return find


def _beginning(stem: str) -> str:
    """What every word with that stem begins with: stemming changes the last letter at most ("city": "citi")."""
    return stem if stem.isdigit() else stem[: max(1, min(4, len(stem) - 1))]
