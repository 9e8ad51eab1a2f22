"""One word to its stem: case, accents and width folded, then Snowball's stemmer for its script.

Which words a text has is the business of `contextkit.retrieval.terms`.
"""

from __future__ import annotations

import re
import threading
import unicodedata

import Stemmer

_HAS_DIGIT = re.compile(r"\d")
# A script tells the language well enough where most of what is written in it is of one; Latin letters are read as English.
_LANGUAGES = (
    ("russian", re.compile("[\u0430-\u045f]")),
    ("arabic", re.compile("[\u0620-\u064a\u066e-\u06d3]")),
    ("greek", re.compile("[\u03ac-\u03ce]{3}")),  # fewer are signs: "μm"
    ("hindi", re.compile("[\u0904-\u0939]")),
    ("armenian", re.compile("[\u0561-\u0587]")),
    ("tamil", re.compile("[\u0b85-\u0bb9]")),
)
_SIGNED = ("hindi", "tamil")  # their vowel signs are what their endings are made of
_local = threading.local()


def _letters(word: str) -> str:
    return "".join(c for c in word if c.isalnum())


def bare(word: str) -> str:
    """A word in lower case without its accents and signs, letters and digits only; full-width letters as the usual ones."""
    if word.isascii():
        return word.lower()
    folded = _letters(unicodedata.normalize("NFKD", word)).casefold()
    return unicodedata.normalize("NFC", "".join(str(unicodedata.decimal(c, c)) for c in folded))


def stem(word: str) -> str:
    """The Snowball stem of a word as `bare` gives it; words with digits come back as they are."""
    if word.isascii():
        word = word.lower()
        return word if _HAS_DIGIT.search(word) else _stemmed("english", word)
    whole = unicodedata.normalize("NFKC", word).casefold()
    language = next((name for name, letters in _LANGUAGES if letters.search(whole)), "english")
    if language == "english" or _HAS_DIGIT.search(whole):
        plain = bare(word)
        return plain if _HAS_DIGIT.search(plain) else _stemmed("english", plain)
    return bare(_stemmed(language, whole if language in _SIGNED else _letters(whole)))


def _stemmed(language: str, word: str) -> str:
    stemmers: dict[str, Stemmer.Stemmer] = _local.__dict__.setdefault("stemmers", {})
    stemmer = stemmers.get(language)
    if stemmer is None:  # a Snowball stemmer keeps state between calls: one a thread
        stemmer = stemmers[language] = Stemmer.Stemmer(language)
    return str(stemmer.stemWord(word))
