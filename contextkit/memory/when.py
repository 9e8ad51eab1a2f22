"""Expressions of time in English text, resolved against a moment in microseconds: "yesterday", "last May", "on 3 May 2023".

The rules are those that questions to documents are read by too: `contextkit.retrieval.when`.
"""

from __future__ import annotations

from dataclasses import dataclass

from contextkit.memory import times
from contextkit.retrieval import when
from contextkit.retrieval.when import number as number


@dataclass(frozen=True, slots=True)
class When:
    """A time that a text names.

    Attributes:
        start: first character of the expression.
        end: one past the last.
        begin: microseconds, where the named time begins.
        until: microseconds, exclusive.
    """

    start: int
    end: int
    begin: int
    until: int


def find(text: str, at: int) -> list[When]:
    """The times that a text names, in text order; overlapping ones give the first and longest.

    Args:
        text: English.
        at: the moment that it was said, microseconds.
    """
    said = times.moment(at)
    if said is None:
        return []
    return [When(w.start, w.end, times.micros(w.begin), times.micros(w.until)) for w in when.find(text, said)]
