"""Extractive digests: the lines of a text that say most, word for word, within a number of tokens. No model, no randomness."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextkit.protocols import TokenCounter

_TELLING = re.compile(
    r"\b(error|exception|fail(ed|ure|s)?|warning|traceback|assert\w*|must|decid\w+|agreed|because|todo|fixed|total|passed|"
    r"result|conclu\w+|note|important|deadline|never|always|version)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d")
_NAMED = re.compile(r"[A-Za-z_][\w.]*[_/.][\w./]+|[a-z]+[A-Z]\w+|`[^`]+`|[A-Z][\w-]+-\d+")
_LINE = 200
_MOST_REMEMBERED = 4096
_MOST_LINES = 400
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


_remembered: dict[tuple[bytes, int, str], str] = {}


def digest(text: str, tokens: int, counter: TokenCounter) -> str:
    """As `make_digest`; the digests made last are remembered, without their texts."""
    key = (hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), tokens, counter.name)
    found = _remembered.get(key)
    if found is None:
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        found = _remembered[key] = make_digest(text, tokens, counter.count)
    return found


def make_digest(text: str, tokens: int, count: Callable[[str], int]) -> str:
    """The most telling lines of a text in their order, together at most `tokens` tokens; "" where none fits.

    The first and the last line, lines that name errors, decisions, numbers or identifiers go first; ties by place. Long lines are
    cut at 200 characters. Of a text of more than 400 lines the first and last 200 are looked at.
    """
    if tokens <= 0:
        return ""
    lines = _lines(text)
    ranked = sorted(range(len(lines)), key=lambda n: (-_worth(lines[n], n, len(lines)), n))
    chosen: list[int] = []
    seen: set[str] = set()
    left = tokens
    for n in ranked:
        if left <= 4:
            break
        key = _NUMBER.sub("0", lines[n])
        if key in seen:
            continue
        cost = count(lines[n]) + 1
        if cost <= left:
            chosen.append(n)
            seen.add(key)
            left -= cost
    return "\n".join(lines[n] for n in sorted(chosen))


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) <= 2:
        lines = [s.strip() for line in lines for s in _SENTENCE_END.split(line) if s.strip()]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES // 2], *lines[-_MOST_LINES // 2 :]]
    return [line if len(line) <= _LINE else line[: _LINE - 1].rstrip() + "…" for line in lines]


def _worth(line: str, place: int, total: int) -> float:
    worth = 0.0
    if place in (0, total - 1):
        worth += 2.0
    if _TELLING.search(line):
        worth += 1.5
    if _NUMBER.search(line):
        worth += 0.5
    if _NAMED.search(line):
        worth += 0.5
    return worth - len(line) / 400
