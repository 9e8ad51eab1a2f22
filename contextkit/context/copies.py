"""Near copies: sentences that differ only in what carries no meaning get the same key.

Two versions of one policy, a mail and its quotation, a page in two formats say much in almost the same words. What may differ
between copies is the way of writing (marks, quotes, list marks, hyphens, British or American spelling, "don't" or "do not",
"five" or "5") and words that say nothing (articles, "also", "however"). A sentence with another number, sign, name, tense, "not",
"only", or any other word that has a meaning is another sentence: of two versions that difference is what matters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_LETTERS = bytes(c for c in range(128) if chr(c).isalpha())
_SPLIT = bytes(c if c in _LETTERS or chr(c).isdigit() or c == ord("'") else 32 for c in range(256))
_BLANK = _LETTERS + b" ,.;:!?/\"'()[]*`|_-\n"
_PARTS = re.compile(r"\d[.,:/-]\d|[\s(]-\d|\A\W*\d{1,2}[.)]")  # a number of several parts or with a sign, the mark of a list
_UNSEEN = "\u00ad\u200b\u200c\u200d\ufeff"
_QUOTES = {ord(c): mark for marks, mark in (("’‘‚‛`´", "'"), ("“”„«»", '"'), (_UNSEEN, "")) for c in marks}
_MARK = re.compile(r"\A(?:[\s>|]*(?:[-*•◦▪–]|#{1,6}|\(?\d{1,2}[.)](?!\d)|\(?[a-z][.)])\s+)+|\A[\s>]+")  # of a list, a quotation
_QUOTED = re.compile(r"^[ \t>|]*>", re.MULTILINE)  # a line of a quotation in a mail
_LETTER = re.compile(r"(?<=[\w,] )A\b(?!\.\w)")  # of "Annex A", which is no article
_LINK = re.compile(r"\]\([^)\s]*\)")
_HYPHENATED = re.compile(r"(?<=[a-z])-\s*\n\s*(?=[a-z])")
_AFTER = " \n\"'”’»)]*_"  # may stand behind the mark of a question
_GROUPED = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")
# a word or name with the marks that make it another (T1, C++, C#); a number with what belongs to it; a sign that means something
_TOKEN = re.compile(
    r"(?=[^\W_]*[^\W\d_])[^\W_]+(?:'[^\W\d_]+)*(?:\+\+|\#)?|(?:(?<![\w)])[-−])?\d+(?:[.,:/–-]\d+)*"
    r"|[%‰°$€£¥+<>≤≥=≠±~^×÷√]|!="
)
_SHORT = {"n't": " not", "'re": " is", "'ve": " have", "'ll": " will", "'m": " is"}
_IS = frozenset(("it", "that", "there", "what", "he", "she", "who", "where", "how"))

_NOTHING = frozenset(
    ("a", "an", "the", "that", "of", "also", "please", "very", "really", "thus", "therefore", "hence", "however", "furthermore",
     "moreover", "additionally", "hereby", "indeed")
)  # fmt: skip
_SAME = {
    "are": "is", "were": "was", "has": "have", "percent": "%", "ok": "okay", "max": "maximum",
    "approximately": "about", "roughly": "about", "circa": "about", "approx": "about", "while": "whilst", "amongst": "among",
    "towards": "toward", "learnt": "learned", "grey": "gray", "centre": "center", "metre": "meter", "litre": "liter",
    "cannot": "can not", "can't": "can not", "won't": "will not", "zero": "0", "one": "1", "two": "2", "three": "3",
    "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
}  # fmt: skip
_BRITISH = (
    (re.compile(r"(?<=\w{4})is(e|ed|es|er|ers|ing|ation|ations)$"), r"iz\1"),
    (re.compile(r"(?<=\w{3})our(s|ed|ing|ite|able)?$"), r"or\1"),
    (re.compile(r"(?<=\w{4})ll(ed|ing|er|ers)$"), r"l\1"),
)
_LEAST_BRITISH = 6  # letters; "hour" and "filled" are spelt in one way


def key(text: str) -> str:
    """What a sentence says: sentences with the same key are near copies of each other.

    The key is words in their order, and "?" behind those of a question. A text without anything to say ("The", "—") has its own
    words as its key; "" gives "".
    """
    words = _bare(text.replace("’", "'"))
    if words is None:
        words = _TOKEN.findall(_written(text))
    found = " ".join([plain for word in words if (plain := _plain(word))]) or " ".join(words)
    return f"{found} ?" if text.rstrip(_AFTER).endswith("?") else found


def _bare(text: str) -> list[str] | None:
    """The words of a text in which only the words matter, as in most; None for any other. Much faster than looking closer."""
    if not text.isascii() or text[1:2] in ".)" or text[:1] == "(" or "-\n" in text or "](" in text:
        return None
    if " A" in text and _LETTER.search(text):
        return None
    plain = text.encode()
    rest = plain.translate(None, _BLANK)
    if rest and (not rest.isdigit() or _PARTS.search(text)):
        return None
    return plain.lower().translate(_SPLIT).decode().split()


def _written(text: str) -> str:
    """A text in lower case without what depends on how it was written down."""
    text = unicodedata.normalize("NFKC", _GROUPED.sub("", text)).translate(_QUOTES)
    if ">" in text:
        text = _QUOTED.sub("", text)
    text = _MARK.sub("", _LETTER.sub("lettera", text).lower())
    return _HYPHENATED.sub("", _LINK.sub("] ", text)).replace("&", " and ")


@lru_cache(maxsize=100_000)
def _plain(word: str) -> str:
    """One word as it counts: "" where it says nothing, one spelling of it, the singular, what a contraction is short for."""
    word = word.strip("'")
    if word in _NOTHING:
        return ""
    if word in _SAME:
        return _SAME[word]
    if "'" in word:
        return _long(word)
    if len(word) >= _LEAST_BRITISH:
        for pattern, other in _BRITISH:
            word = pattern.sub(other, word)
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui" else word


def _long(word: str) -> str:
    """A word with an apostrophe in it as words: "isn't" is "is not", "it's" is "it is", "Ann's" is "ann s"."""
    for end, words in _SHORT.items():
        if word.endswith(end):
            return _plain(word[: -len(end)]) + words
    first, _, rest = word.partition("'")
    return f"{first} is" if rest == "s" and first in _IS else f"{_plain(first)} {rest}"
