"""Evidence: how much of the texts that answer a question stands in a packet.

Counted in words, and in runs of several of them, so that a packet cannot score by holding the right words in other places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

RUN = 5
"""Words in a row that have to stand in the packet as in the gold; a shorter gold has to stand there whole."""

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text, in lower case, in order."""
    return _WORD.findall(text.lower())


def evidence(gold: Sequence[str], text: str) -> float:
    """The share of the gold texts' words that a text holds, 0 to 1; 0 where no gold has a word."""
    return holder(gold)(text)


def holder(gold: Sequence[str]) -> Callable[[str], float]:
    """A function that gives `evidence` of these gold texts in a text: faster where many texts are asked."""
    wanted = [found for one in gold if (found := words(one))]
    total = sum(map(len, wanted))
    runs = [(min(RUN, len(one)), _runs(one, min(RUN, len(one)))) for one in wanted]
    sizes = {size for size, _ in runs}

    def held(text: str) -> float:
        have = words(text)
        known = {size: set(_runs(have, size)) for size in sizes}
        found = 0
        for size, places in runs:
            if known[size].isdisjoint(places):
                continue
            # +1 where a run begins, -1 where it ends: what is above 0 in the running sum is covered
            steps = np.zeros(len(places) + size, np.int64)
            begins = np.flatnonzero([place in known[size] for place in places])
            np.add.at(steps, begins, 1)
            np.add.at(steps, begins + size, -1)
            found += int((np.cumsum(steps) > 0).sum())
        return found / total if total else 0.0

    return held


def _runs(found: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """All runs of so many words, by where they begin."""
    return list(zip(*(found[i:] for i in range(size)), strict=False))
