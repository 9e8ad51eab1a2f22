"""A text taken apart into the questions in it, without a model.

Searching for them is `aspects.py`. The words that join questions are English; in other languages question marks and lines do.
"""

from __future__ import annotations

import re

from contextkit.retrieval.terms import STOPWORDS, content_terms, terms

MOST = 4
"""Questions that one text is taken apart into; what is beyond belongs to the last."""
LONG = 2_000
"""Characters; a longer text is a passage, in which only what ends with a question mark asks."""

_ASKING = r"(?:what|which|who|whom|whose|when|where|why|how|is|are|was|were|does|do|did|can|could|has|have|had|will|would|should)"
_SENTENCE = re.compile(r"[^?？\n]+[?？]*")
_LEADING = r"(?:(?:in|on|at|by|from|for|to|with|of|since|until)\s+)?"
_JOINT = re.compile(rf"(?:[,;]\s*|\s+)(?:and|or|but|also|then)\s+(?={_LEADING}{_ASKING}\b)|;\s+", re.IGNORECASE)
_LISTED = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.)]|\(?[a-h]\))\s+", re.IGNORECASE)
_BACK = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|there|one|ones)\b", re.IGNORECASE
)
_ASKS = re.compile(rf"^\W*(?:(?:and|or|but)\s+)?{_LEADING}{_ASKING}\b", re.IGNORECASE)

_PLAIN = re.compile(r"[^\W_]+")
_MARK = re.compile(r"？+|\?+(?=[\s\"'”’)\]]|$)")
_BREAKS = (". ", "! ", "? ", "\n", "。", "！", "？")
_REACH = 400  # characters before its mark that a question in a long text may have


def parts(question: str) -> list[str]:
    """The questions in a text, 1 to `MOST`, in their order; each can be searched for by itself.

    "Who leads Norbert and when was it founded?" gives "Who leads Norbert" and "when was it founded? (Who leads Norbert)": a part
    that points back with a pronoun, or has but one term of its own, keeps the part before it beside it. Text that asks
    nothing is not taken apart. Of a text of more than `LONG` characters come the first two and the last two sentences with a
    question mark: who pastes a long text asks before or after it.
    """
    whole = question.strip()
    if len(whole) > LONG:
        return _asked(whole) or [question]
    if not ("?" in whole or "？" in whole or _JOINT.search(whole) or "\n" in whole):
        return [question]
    pieces: list[str] = []
    for sentence in _SENTENCE.findall(whole):
        for piece in _JOINT.split(sentence):
            text = _LISTED.sub("", piece).strip(" ,;")
            if not text:
                continue
            if pieces and not (_ASKS.match(text) or text.endswith(("?", "？"))):
                pieces[-1] = f"{pieces[-1]} {text}"  # says more of the question before
            else:
                pieces.append(text)
    pieces = [*pieces[: MOST - 1], " ".join(pieces[MOST - 1 :])] if len(pieces) > MOST else pieces
    found = _whole(pieces)
    return found if len(found) > 1 else [question]


def _asked(text: str) -> list[str]:
    """The first two and the last two questions of a long text, each to be searched for by itself; [] where it asks nothing."""
    found: list[str] = []
    done = 0
    for mark in _MARK.finditer(text):
        head = text[max(done, mark.start() - _REACH) : mark.start()]
        begin = max(head.rfind(one) + len(one) if one in head else 0 for one in _BREAKS)
        done = mark.end()
        if _contentful(head[begin:]):
            found.append(f"{head[begin:].strip()}{mark.group()[0]}")
    chosen = list(dict.fromkeys([*found[: MOST // 2], *found[MOST // 2 :][-MOST // 2 :]]))
    return _whole(chosen)


def _whole(pieces: list[str]) -> list[str]:
    """The pieces that can be searched for: one that leans on another carries it, one without a term of its own joins it."""
    out: list[str] = []
    lead = ""
    for piece in pieces:
        own = [t for t in content_terms(piece) if t in set(terms(piece))]
        bare = not _contentful(piece)
        if out and bare:
            out[-1] = f"{out[-1]} {piece}"
        elif bare:
            lead = f"{piece} "  # "How and why did ...": the asking word of what follows
        elif out and (len(own) < 2 or _BACK.search(piece)):
            out.append(f"{lead}{piece} ({out[0]})")
        else:
            out.append(f"{lead}{piece}")
            lead = ""
    return out


def _contentful(piece: str) -> bool:
    return any(word.lower() not in STOPWORDS for word in _PLAIN.findall(piece))
