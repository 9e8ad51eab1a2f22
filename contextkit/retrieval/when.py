# ruff: noqa: E501 - a pattern is read whole
"""Expressions of time in English text, resolved against a moment: "yesterday", "last May", "on 3 May 2023", "two weeks ago".

By rules only. What is vague ("some time ago", "soon") is not resolved. Dates as they are written are `dates.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contextkit.retrieval.dates import MONTHS

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_NUMBERS = {w: i for i, w in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"])} | {
    "a": 1, "an": 1, "a couple of": 2, "a few": 3,
}  # fmt: skip
_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|{'|'.join(m[:3] for m in MONTHS if m != 'may')}|sept)\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_COUNT = r"(?P<count>\d{1,3}|a couple of|a few|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"


@dataclass(frozen=True, slots=True)
class When:
    """A time that a text names.

    Attributes:
        start: first character of the expression.
        end: one past the last.
        begin: where the named time begins, in UTC.
        until: where it is over.
    """

    start: int
    end: int
    begin: datetime
    until: datetime


Part = dict[str, str | None]
_Range = tuple[datetime, datetime]


def number(word: str) -> int:
    """The number that a word or digits say; 0 where they say none."""
    return _NUMBERS.get(word.lower(), 0) or (int(word) if word.isdigit() else 0)


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _month(at: datetime, months: int) -> datetime:
    """The first of the month, so many months on."""
    count = at.year * 12 + at.month - 1 + months
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _month_number(name: str) -> int:
    return next(i for i, m in enumerate(MONTHS, 1) if m.startswith(name[:3]))


def _date(part: Part, at: datetime) -> _Range:
    month = _month_number(str(part["month"]))
    year = int(part["year"] or 0) or (at.year if (month, int(part["day"] or 0)) <= (at.month, at.day) else at.year - 1)
    begin = datetime(year, month, int(part["day"] or 0), tzinfo=UTC)
    return begin, begin + timedelta(days=1)


def _iso(part: Part, at: datetime) -> _Range:
    del at
    begin = datetime(int(part["year"] or 0), int(part["m"] or 0), int(part["d"] or 1), tzinfo=UTC)
    return begin, begin + timedelta(days=1) if part["d"] else _month(begin, 1)


def _of_month(part: Part, at: datetime) -> _Range:
    month = _month_number(str(part["month"]))
    year = int(part["year"] or 0) or (at.year if month <= at.month else at.year - 1)
    if part.get("which") == "last" and not part["year"] and month == at.month:
        year -= 1
    if part.get("which") == "next" and not part["year"]:
        year = at.year if month > at.month else at.year + 1
    begin = datetime(year, month, 1, tzinfo=UTC)
    return begin, _month(begin, 1)


def _year(part: Part, at: datetime) -> _Range:
    del at
    year = int(part["year"] or 0)
    return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)


def _near(part: Part, at: datetime) -> _Range:
    begin = _day(at) + timedelta(days={"yesterday": -1, "last night": -1, "tomorrow": 1}.get(str(part["near"]), 0))
    return begin, begin + timedelta(days=1)


def _relative(part: Part, at: datetime) -> _Range:
    step = {"last": -1, "previous": -1, "past": -1, "next": 1, "coming": 1}.get(str(part["which"]), 0)
    unit = str(part["unit"])
    today = _day(at)
    if unit in _DAYS:
        days = (_DAYS.index(unit) - today.weekday()) % 7
        begin = today + timedelta(days=(days or 7) if step > 0 else days - 7 if step < 0 else days - (7 if days > 3 else 0))
        return begin, begin + timedelta(days=1)
    if unit in _SEASONS:
        begin = datetime(at.year, _SEASONS[unit], 1, tzinfo=UTC)
        if (step <= 0 and begin > today) or (step < 0 and _month(begin, 3) > today):
            begin = begin.replace(year=at.year - 1)
        elif step > 0 and begin <= today:
            begin = begin.replace(year=at.year + 1)
        return begin, _month(begin, 3)
    if unit == "month":
        return _month(at, step), _month(at, step + 1)
    if unit == "quarter":
        begin = _month(at.replace(month=(at.month - 1) // 3 * 3 + 1), 3 * step)
        return begin, _month(begin, 3)
    if unit == "year":
        return datetime(at.year + step, 1, 1, tzinfo=UTC), datetime(at.year + step + 1, 1, 1, tzinfo=UTC)
    begin = today - timedelta(days=today.weekday()) + timedelta(weeks=step)
    return (begin + timedelta(days=5), begin + timedelta(days=7)) if unit == "weekend" else (begin, begin + timedelta(days=7))


def _ago(part: Part, at: datetime) -> _Range:
    count = _NUMBERS.get(str(part["count"]), 0) or int(part["count"] or 0)
    unit = str(part["unit"])
    if unit == "day":
        begin = _day(at) - timedelta(days=count)
        return begin, begin + timedelta(days=1)
    if unit == "week":
        begin = _day(at) - timedelta(weeks=count)
        return begin - timedelta(days=3), begin + timedelta(days=4)
    if unit == "month":
        return _month(at, -count), _month(at, 1 - count)
    return datetime(at.year - count, 1, 1, tzinfo=UTC), datetime(at.year - count + 1, 1, 1, tzinfo=UTC)


def _coming(part: Part, at: datetime) -> _Range:
    """The next such day of the week."""
    return _relative({**part, "which": "coming"}, at)


def _days_beside(part: Part, at: datetime) -> _Range:
    begin = _day(at) + timedelta(days=-2 if part["beside"] == "before yesterday" else 2)
    return begin, begin + timedelta(days=1)


def _ahead(part: Part, at: datetime) -> _Range:
    """A time so many units on: a day, the week around it, a month, a year."""
    count = number(str(part["count"]))
    unit = str(part["unit"])
    if unit == "day":
        begin = _day(at) + timedelta(days=count)
        return begin, begin + timedelta(days=1)
    if unit == "week":
        begin = _day(at) + timedelta(weeks=count)
        return begin - timedelta(days=3), begin + timedelta(days=4)
    if unit == "month":
        return _month(at, count), _month(at, count + 1)
    return datetime(at.year + count, 1, 1, tzinfo=UTC), datetime(at.year + count + 1, 1, 1, tzinfo=UTC)


def _span_back(part: Part, at: datetime) -> _Range:
    """The last so many hours, days, weeks, months or years, today included."""
    count, unit = number(part["count"] or "a"), str(part["unit"])
    if unit == "hour":
        days = -(-count // 24) + 1  # the day on which they begin counts too
    else:
        days = count * {"day": 1, "week": 7, "month": 30, "quarter": 91, "year": 366 if _leap(at) else 365}[unit]
    end = _day(at) + timedelta(days=1)
    return end - timedelta(days=days), end


def _leap(at: datetime) -> bool:
    """Whether the year before a moment has a 29 February in it."""
    return (at - at.replace(year=at.year - 1, day=min(at.day, 28))).days > 365


def _part_of_month(part: Part, at: datetime) -> _Range:
    begin, until = _of_month(part, at)
    first, second = begin + timedelta(days=10), begin + timedelta(days=20)
    return {"b": (begin, first), "s": (begin, first), "e": (begin, first), "m": (first, second), "l": (second, until)}[
        "l" if part["third"] in ("end", "late") else str(part["third"])[0]
    ]


def _quarter(part: Part, at: datetime) -> _Range:
    del at
    name = str(part["quarter"] or part["quarter2"])
    quarter = int(name) if name.isdigit() else ("first", "second", "third", "fourth").index(name) + 1
    begin = datetime(int(part["year"] or 0), 3 * quarter - 2, 1, tzinfo=UTC)
    return begin, _month(begin, 3)


_FEASTS = {"christmas eve": (12, 24), "christmas": (12, 25), "new year's eve": (12, 31), "new year's day": (1, 1), "halloween": (10, 31),
           "valentine's day": (2, 14)}  # fmt: skip


def _feast(part: Part, at: datetime) -> _Range:
    """The last one there was, or the one of the year that is told."""
    month, day = _FEASTS[str(part["feast"]).replace("’", "'")]
    year = int(part["year"] or 0) or (at.year if (month, day) <= (at.month, at.day) else at.year - 1)
    begin = datetime(year, month, day, tzinfo=UTC)
    return begin, begin + timedelta(days=1)


_UNITS = "|".join(("week", "weekend", "month", "quarter", "year", *_DAYS, *_SEASONS))
_RULES: list[tuple[re.Pattern[str], Callable[[Part, datetime], _Range]]] = [
    (re.compile(pattern, re.IGNORECASE), resolve)
    for pattern, resolve in (
        (r"\b(?P<year>(?:19|20)\d\d)-(?P<m>0[1-9]|1[0-2])(?:-(?P<d>[0-3]\d))?(?!-?\d)", _iso),
        (r"(?<![\d.])(?P<d>[0-3]?\d)\.(?P<m>0?[1-9]|1[0-2])\.(?P<year>(?:19|20)\d\d)(?![\d.]\d|\d)", _iso),
        (r"\bthe day (?P<beside>before yesterday|after tomorrow)\b", _days_beside),
        (rf"\bin {_COUNT} (?P<unit>day|week|month|year)s?\b(?! ago)", _ahead),
        (rf"\b{_COUNT} (?P<unit>day|week|month|year)s? from (?:now|today)\b", _ahead),
        (
            rf"\b(?:in|over|during|for|within) the (?:last|past) (?:{_COUNT} )?(?P<unit>hour|day|week|month|quarter|year)s?\b",
            _span_back,
        ),
        (rf"\b(?:the|these) (?:last|past|previous) {_COUNT} (?P<unit>hour|day|week|month|quarter|year)s?\b", _span_back),
        (
            rf"\b(?P<third>beginning|start|early|middle|mid|late|end)(?: of| in|-)? {_MONTH}(?:,? (?:of )?{_YEAR})?\b(?! \d)".replace(
                "|-)? ", "|-)? ?"
            ),
            _part_of_month,
        ),
        (rf"\b(?:Q(?P<quarter>[1-4])|(?:the )?(?P<quarter2>first|second|third|fourth) quarter)(?: of)?,? {_YEAR}\b", _quarter),
        (
            rf"\b(?:at|on|over|for|since|before|after|by|until|last)(?: last)? (?P<feast>christmas eve|christmas|new year['’]s eve|new year['’]s day|halloween|valentine['’]s day)\b(?:,? {_YEAR})?",
            _feast,
        ),
        (rf"\b{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?\b", _date),
        (rf"\b{_MONTH} {_DAY}\b(?:,? {_YEAR})?", _date),
        (rf"\b{_MONTH},? (?:of )?{_YEAR}\b", _of_month),
        (rf"\b(?:in|since|during|until|by|from|before|after|(?P<which>last|next)) {_MONTH}(?P<year>)\b(?! \d)", _of_month),
        (rf"\b(?:in|since|during|until|by|from|before|after) {_YEAR}\b", _year),
        (r"\b(?P<near>yesterday|last night|today|tonight|this morning|this afternoon|this evening|tomorrow)\b", _near),
        (rf"\b(?P<which>last|this|next|previous|past|coming) (?P<unit>{_UNITS})\b", _relative),
        (rf"\b(?:by|until|till|due) (?P<unit>{'|'.join(_DAYS)})\b", _coming),
        (rf"\b(?P<which>on) (?P<unit>{'|'.join(_DAYS)})\b", _relative),
        (rf"\b{_COUNT} (?P<unit>day|week|month|year)s? ago\b", _ago),
    )
]


def find(text: str, at: datetime) -> list[When]:
    """The times that a text names, in text order; overlapping ones give the first and longest. "" names none.

    Args:
        text: English.
        at: the moment that it was said, in UTC.
    """
    found: list[When] = []
    for pattern, resolve in _RULES:
        for match in pattern.finditer(text):
            part = {k: v.lower() if v else None for k, v in match.groupdict().items()}
            try:
                begin, until = resolve(part, at)
            except (ValueError, OverflowError):  # 31 February, or beyond the calendar
                continue
            found.append(When(match.start(), match.end(), begin, until))
    found.sort(key=lambda w: (w.start, -w.end))
    out: list[When] = []
    for when in found:
        if not out or when.start >= out[-1].end:
            out.append(when)
    return out
