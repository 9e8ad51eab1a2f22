# ruff: noqa: E501 - a pattern is read whole
"""What a question denies or excepts ("which plans do not include parking", "besides tennis"), and the sentences that deny it too.

By rules only: English, with the most common words of German, French and Spanish. Nothing here judges whether something is true.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contextkit.retrieval.terms import STOPWORDS, Occurrences, content_terms, terms

_DENIES = r"not|never|cannot|without|neither|nor|none|no(?! ?\.? ?\d)|nobody|nothing|lack(?:s|ed|ing)?|nicht|kein(?:e|en|er|em|es)?|ohne|niemals|sans|jamais|aucune?|nunca|ning[uú]n[ao]?"
_EXCEPTS = r"except(?:ing)?(?: for)?|excluding|besides|other than|apart from|aside from|but not|außer|sauf|excepto|salvo"
_CUE = re.compile(rf"\b(?:(?P<excepts>{_EXCEPTS})|{_DENIES})\b|n['’]t\b", re.IGNORECASE)
_NO_DENIAL = re.compile(
    r"\bif\b[^,;?.]*|\bwhether or not\b|\bor not\b|\bnot only\b|\bwhy not\b|\byes or no\b|\bno (?:one|matter|doubt|later than|less than|more than|fewer than)\b|\bnot (?:later|less|more|fewer) than\b"
    r"|[,;] *\w+n['’]t (?:it|they|he|she|we|you|i|that|there)\b"
    r"|^\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)n['’]t\b|\b(?:do|would|could|can|wo)n['’]t you\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|„[^“\n]*“|«[^»\n]*»|(?<!\w)'[^'\n]*'(?!\w)")
_BREAK = re.compile(
    r"[,;:?!()\n]|\.(?:\s|$)|\b(?:but|because|since|although|though|while|whereas|when|if|unless|who|which|what|that|weil|wenn|aber|dass)\b",
    re.IGNORECASE,
)
_OWN = frozenset(content_terms("never cannot without neither none nobody nothing lack lacks lacking except excepting besides apart aside other than nicht keine ohne außer niemals sans jamais sauf nunca excepto"))  # fmt: skip
_SAYS_NO = re.compile(
    rf"\b(?:{_DENIES}|{_EXCEPTS}|exclud(?:e|es|ed)|exclusions?|exceptions?|unable|unavailable|unsupported|ineligible|exempt(?:ed|ion)?s?|forbid(?:s|den)?|prohibit(?:s|ed|ing)?|disallow(?:s|ed)?|ban(?:s|ned)|den(?:y|ies|ied)|refus(?:e|es|ed|al)|missing|absent|omit(?:s|ted)?|hardly|rarely|instead of|rather than|n/a|nie|pas)\b|n['’]t\b|-(?:free|less)\b",
    re.IGNORECASE,
)
_LONGEST = 2_000  # characters; beyond, a text is a passage, whose own questions are asked apart
_SCOPE = 120  # characters that a denial reaches over at most
_WORDS = 3  # content words that a denial reaches over
_BEFORE, _AFTER = 48, 40  # characters from a denial to the word that it denies, and from a word to its denial


@dataclass(frozen=True, slots=True)
class Denial:
    """What a question denies or excepts.

    Attributes:
        denied: the words that deny and what they deny, as the question has them.
        excepted: the same of exceptions: what answers is something else, but what says so may well name them.
        terms: lexical terms that are denied; those of exceptions are not.
    """

    denied: tuple[str, ...]
    excepted: tuple[str, ...]
    terms: frozenset[str]

    def understood(self) -> dict[str, str]:
        """How it was read, by the words that say it."""
        return dict.fromkeys(self.excepted, "an exception") | dict.fromkeys(
            self.denied, "denied: what denies it too comes before what says the opposite"
        )


def denial(question: str) -> Denial | None:
    """What a question denies or excepts; None for most, and for a text too long to be one question.

    A question that only sounds so ("Isn't it ...?", "whether or not", "not only", "if it hadn't ...", a title in quotes) denies
    nothing. A denial reaches over the words behind it up to the clause's end.
    """
    if len(question) > _LONGEST or _CUE.search(question) is None:
        return None
    text = _QUOTED.sub(_blank, question)
    text = _NO_DENIAL.sub(_blank, text)
    said: dict[bool, list[str]] = {False: [], True: []}
    terms: set[str] = set()
    for cue in _CUE.finditer(text):
        scope = text[cue.end() : cue.end() + _SCOPE]
        stop = _BREAK.search(scope)
        scope = scope if stop is None else scope[: stop.start()]
        own = [t for t in _content(scope) if t not in _OWN][:_WORDS]
        if not own:
            continue
        excepts = cue["excepts"] is not None
        terms.update(() if excepts else own)
        begin = text.rfind(" ", 0, cue.start()) + 1 if cue.group()[1:2] in ("'", "’") else cue.start()
        said[excepts].append(" ".join(text[begin : cue.end() + len(scope)].split()))
    return Denial(tuple(said[False]), tuple(said[True]), frozenset(terms)) if any(said.values()) else None


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def without_denials(words: Sequence[str]) -> list[str]:
    """The terms of a question that denies something, less the words that only deny: a text need not have the same ones."""
    return [w for w in words if w not in _OWN] or list(words)


def denied(
    denial: Denial, texts: Sequence[str], found: Occurrences, words: Sequence[str], rarity: NDArray[np.float64]
) -> NDArray[np.float32]:
    """How far each text denies what the question denies, float32 (n,), -1 to 1, a rare word counting for more.

    Each denied word of the question that the text denies too adds its share, whatever words deny it ("without", "is excluded",
    "no") as long as they stand close to it in the same text. One that stands there without a denial takes its share away: what
    says "plans include parking" has all words of "which plans do not include parking?" and answers it the least.

    Args:
        denial: of the question.
        texts: the n texts.
        found: where the question's terms stand in them.
        words: the question's terms.
        rarity: float64 (words,), their inverse document frequencies.
    """
    out = np.zeros(len(texts), np.float64)
    wanted = np.array([t in denial.terms for t in words], np.bool_)
    whole = float(rarity[wanted].sum())
    if not whole:
        return out.astype(np.float32)
    rows = np.flatnonzero(wanted[found.term])
    cues: dict[int, list[int]] = {}
    near: dict[tuple[int, int], bool] = {}
    for text, term, at in zip(found.text[rows].tolist(), found.term[rows].tolist(), found.at[rows].tolist(), strict=True):
        if text not in cues:
            cues[text] = [m.start() for m in _SAYS_NO.finditer(texts[text])]
        near[text, term] = near.get((text, term), False) or any(-_AFTER <= at - cue <= _BEFORE for cue in cues[text])
    for (text, term), is_near in near.items():
        out[text] += rarity[term] if is_near else -rarity[term]
    return (out / whole).astype(np.float32)


def _content(text: str) -> list[str]:
    """The content terms of a text; [] where it has only function words."""
    return [] if all(t in STOPWORDS for t in terms(text)) else content_terms(text)
