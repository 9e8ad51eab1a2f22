"""The times that a question names, read as of the moment when it is asked, and which documents are of them.

"last week", "two months ago" and "in the past 30 days" become days; "the latest" asks for the newest of what answers. Dates that
are written out are `dates.py`, and the rules for relative words `when.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np

from contextkit.catalog import StoredDocument
from contextkit.retrieval import when
from contextkit.retrieval.dates import Date, dates, is_of, of_document

_LONGEST = 2_000  # characters; beyond, a text is a passage, whose own questions are asked apart
_NEAR_ENOUGH = 0.75  # of the best document's share of the question's words: what holds less is of another matter

_RELATIVE = re.compile(
    r"\b(?:last|this|these|next|previous|past|coming|yesterday|today|tonight|tomorrow|ago|now|on)\b", re.IGNORECASE
)
_A_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_BEFORE = re.compile(r"\b(since|after|before|until|till|by)\s+(?:the\s+)?$", re.IGNORECASE)
_LATEST = re.compile(
    r"\b(?:latest|newest|most (?:recent(?:ly)?|current|up[- ]to[- ]date))\b|\b(?:the|for the) last time\b", re.IGNORECASE
)
_ON = re.compile(r"on \w+day", re.IGNORECASE)
_PAST = re.compile(r"\b(?:did|was|were|had|happened)\b", re.IGNORECASE)
_AT_THE = re.compile(r"\bat the $", re.IGNORECASE)


class Period(NamedTuple):
    """The days that relative words name: from `begin`, up to and without `until`."""

    said: str
    begin: date
    until: date


class Times(NamedTuple):
    """The times that a question names.

    Attributes:
        dates: as they are written out.
        periods: of its relative words.
        latest: the words that ask for what is newest, or "".
        asked: the day on which it is asked.
    """

    dates: frozenset[Date] = frozenset()
    periods: tuple[Period, ...] = ()
    latest: str = ""
    asked: date | None = None

    def __bool__(self) -> bool:
        return bool(self.dates or self.periods or self.latest)

    def understood(self) -> dict[str, str]:
        """How the relative words were read, by the words."""
        said = {p.said: _shown(p) for p in self.periods}
        return said | ({self.latest: f"the newest first, as of {self.asked}"} if self.latest else {})


def named(question: str, now: datetime | None) -> Times:
    """The times that a question names; relative words only where `now` is given, in UTC.

    Where a date with its year is written out, relative words beside it ("last week, as mentioned on 6 November 2023") are meant
    as of that date, not as of now, and name nothing of their own.
    """
    if now is None or len(question) > _LONGEST:
        return Times(dates(question))
    latest = next((m for m in _LATEST.finditer(question) if not _AT_THE.search(question[: m.start()])), None)
    newest = "" if latest is None else latest.group().lower()
    found = [w for w in when.find(question, now) if _is_relative(question[w.start : w.end])] if _RELATIVE.search(question) else []
    rest = question
    for one in found:
        rest = rest[: one.start] + " " * (one.end - one.start) + rest[one.end :]
    written = dates(rest)
    if not found or any(one.year is not None for one in written):
        return Times(dates(question), (), newest, now.date())
    return Times(written, tuple(_period(question, one, now) for one in found), newest, now.date())


def fit(
    times: Times, documents: Mapping[int, Sequence[StoredDocument]], together: Mapping[int, float]
) -> dict[int, tuple[float, float]]:
    """How far each content is of the times, 0 to 1: (of dates that are written out, of relative words).

    The newest of the documents that hold about as many of the question's words as any gets 1 for "the latest", the oldest 0; ties
    of the day get the same. What is dated after the question was asked is not looked at.

    Args:
        times: what the question names.
        documents: the permitted documents of each content.
        together: the share of the question's words that each content holds.
    """
    out = dict.fromkeys(documents, (0.0, 0.0))
    if not times:
        return out
    of = {content: [_dates(one) for one in known] for content, known in documents.items()}
    if times.dates:
        out = {c: (float(any(is_of(times.dates, d.metadata) for d in own)), 0.0) for c, own in of.items()}
    relative = {c: float(any(_within(p, d) for p in times.periods for one in own for d in one.all)) for c, own in of.items()}
    for content, share in (_newest(times, of, together) if times.latest else {}).items():
        relative[content] = max(relative[content], share)
    return {c: (exact, relative[c]) for c, (exact, _) in out.items()}


class _Dates(NamedTuple):
    metadata: frozenset[Date]
    all: frozenset[Date]


def _dates(document: StoredDocument) -> _Dates:
    """The dates of a document: those of its metadata, and with them that of its title."""
    known = of_document(document.metadata)
    return _Dates(known, known | dates(document.title[:200]))


def _newest(times: Times, of: Mapping[int, list[_Dates]], together: Mapping[int, float]) -> dict[int, float]:
    """By content 0 to 1, the newest 1: of the documents with a date that hold about as many of the question's words as any."""
    asked = times.asked or date.max
    last = {c: max((e for one in own for d in one.all if (e := _end(d)) is not None and e[0] <= asked), default=None)
            for c, own in of.items()}  # fmt: skip
    best = max(together.values(), default=0.0)
    chosen = {c: day[0].toordinal() for c, day in last.items() if day is not None and together.get(c, 0.0) >= _NEAR_ENOUGH * best}
    days, place = np.unique(np.array(list(chosen.values()), np.int64), return_inverse=True)
    if len(days) < 2:  # the only one is no newer than another
        return {}
    return dict(zip(chosen, (place / (len(days) - 1)).tolist(), strict=True))


def _is_relative(phrase: str) -> bool:
    """Whether an expression of time says only when it is seen from: "in two weeks" is a length as often as a time."""
    return _RELATIVE.search(phrase) is not None and _A_YEAR.search(phrase) is None


def _period(question: str, found: when.When, now: datetime) -> Period:
    begin, until = found.begin.date(), found.until.date()
    before = _BEFORE.search(question[: found.start])
    said = " ".join(question[found.start : found.end].split())
    if begin > now.date() and _ON.fullmatch(said) and _PAST.search(question):  # "on Monday" is the nearest, unless it is over
        begin, until = begin - timedelta(days=7), until - timedelta(days=7)
    if before is None:
        return Period(said.lower(), begin, until)
    word = before[1].lower()
    said = f"{word} {said}".lower()
    if word in ("since", "after"):
        return Period(said, begin if word == "since" else until, max(until, now.date() + timedelta(days=1)))
    return Period(said, date.min, begin if word == "before" else until)


def _end(day: Date) -> tuple[date, date] | None:
    """(first day, last day) of a date whose year is known."""
    year, month, number = day
    if year is None:
        return None
    try:
        first = date(year, month or 1, number or 1)
        if month is None:
            return first, date(year, 12, 31)
        if number is None:
            return first, date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    except ValueError:  # 31 February
        return None
    return first, first


def _within(period: Period, day: Date) -> bool:
    """Whether a date lies in a period as a whole: what says only its year is not of a week."""
    span = _end(day)
    return span is not None and period.begin <= span[0] and span[1] < period.until


def _shown(period: Period) -> str:
    last = period.until - timedelta(days=1) if period.until > date.min else period.until
    if period.begin == date.min:
        return f"until {last}"
    return str(period.begin) if period.begin == last else f"{period.begin} to {last}"
