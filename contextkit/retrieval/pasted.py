"""Questions of any length: what of a long pasted text is searched for, so that an answer takes no longer than reading it.

A text of the length of a question is searched for whole. Of a longer one the most telling terms and an even spread of its text
are; the questions that it asks are found by `questions.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from contextkit.retrieval.scoring import idf
from contextkit.retrieval.terms import terms

TERMS = 128
"""Terms that a question is searched with at most."""
READ = 16_000
"""Characters of a text that are embedded as a question at most: some 16 windows of all-MiniLM-L6-v2."""

_PIECE = 1_000  # characters; about a window


def is_blank(text: str) -> bool:
    """Whether a text has nothing that can be seen: white space, control characters, marks without width."""
    return not any(c.isprintable() and not c.isspace() for c in text)


def spread(text: str) -> str:
    """The text, or pieces of one that is longer than `READ` characters: its start, its end, and at even distances between them.

    Pieces begin and end at white space where there is any near.
    """
    if len(text) <= READ:
        return text
    count = READ // _PIECE
    starts = [(len(text) - _PIECE) * n // (count - 1) for n in range(count)]
    return "\n".join(_whole_words(text, start, start + _PIECE) for start in starts)


def _whole_words(text: str, start: int, end: int) -> str:
    """The words that lie in a range; all of the range where it holds hardly any white space."""
    piece = text[start:end]
    head = 0 if start == 0 or text[start - 1].isspace() else len(piece.partition(" ")[0])
    tail = 0 if end >= len(text) or text[end].isspace() else len(piece.rpartition(" ")[2])
    return piece[head : len(piece) - tail].strip() if head + tail < _PIECE // 2 else piece


def telling(text: str, found: Sequence[str], frequency: Mapping[str, int], total: int) -> list[str]:
    """The `TERMS` of a text's distinct terms that tell most, in their order: rare in the index, and said more than once.

    Args:
        text: what they stand in.
        found: its terms.
        frequency: in how many chunks each is; those in none tell nothing and are left out first.
        total: chunks.
    """
    if len(found) <= TERMS:
        return list(found)
    times = Counter(terms(text))
    rarity = idf({term: n for term in found if 0 < (n := frequency.get(term, 0)) <= total}, total)
    worth = {term: rare * times[term] / (times[term] + 1.2) for term, rare in rarity.items()}
    best = set(sorted(worth, key=lambda term: -worth[term])[:TERMS])  # a stable sort: ties by place in the text
    return [term for term in found if term in best]


def account(text: str, found: int, used: int) -> str:
    """How a long text was searched for, in words; "" where it was searched for whole."""
    said = []
    if used < found:
        said.append(f"the {used} most telling of its {found:,} terms")
    if len(text) > READ:
        said.append(f"the meaning of {READ:,} of its {len(text):,} characters")
    return " and ".join(said)
