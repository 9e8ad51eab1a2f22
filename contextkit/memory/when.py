# ruff: noqa: E501 - a pattern is read whole
"""Expressions of time in English text, resolved against a moment: "yesterday", "last May", "on 3 May 2023", "two weeks ago".

By rules only. What is vague ("some time ago", "soon") is not resolved.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contextkit.memory import times

_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_NUMBERS = {w: i for i, w in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"])} | {
    "a": 1, "an": 1, "a couple of": 2, "a few": 3,
}  # fmt: skip
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)}|{'|'.join(m[:3] for m in _MONTHS if m != 'may')}|sept)\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_COUNT = r"(?P<count>\d{1,3}|a couple of|a few|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"


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


Part = dict[str, str | None]
_Range = tuple[datetime, datetime]


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _month(at: datetime, months: int) -> datetime:
    """The first of the month, so many months on."""
    count = at.year * 12 + at.month - 1 + months
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def _month_number(name: str) -> int:
    return next(i for i, m in enumerate(_MONTHS, 1) if m.startswith(name[:3]))


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


_UNITS = "|".join(("week", "weekend", "month", "year", *_DAYS, *_SEASONS))
_RULES: list[tuple[re.Pattern[str], Callable[[Part, datetime], _Range]]] = [
    (re.compile(pattern, re.IGNORECASE), resolve)
    for pattern, resolve in (
        (r"\b(?P<year>(?:19|20)\d\d)-(?P<m>0[1-9]|1[0-2])(?:-(?P<d>[0-3]\d))?(?!-?\d)", _iso),
        (rf"\b{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?\b", _date),
        (rf"\b{_MONTH} {_DAY}\b(?:,? {_YEAR})?", _date),
        (rf"\b{_MONTH},? (?:of )?{_YEAR}\b", _of_month),
        (rf"\b(?:in|since|during|until|by|(?P<which>last|next)) {_MONTH}(?P<year>)\b(?! \d)", _of_month),
        (rf"\b(?:in|since|during|until|by|from) {_YEAR}\b", _year),
        (r"\b(?P<near>yesterday|last night|today|tonight|this morning|tomorrow)\b", _near),
        (rf"\b(?P<which>last|this|next|previous|past|coming) (?P<unit>{_UNITS})\b", _relative),
        (rf"\b(?P<which>on) (?P<unit>{'|'.join(_DAYS)})\b", _relative),
        (rf"\b{_COUNT} (?P<unit>day|week|month|year)s? ago\b", _ago),
    )
]


def find(text: str, at: int) -> list[When]:
    """The times that a text names, in text order; overlapping ones give the first and longest.

    Args:
        text: English.
        at: the moment that it was said, microseconds.
    """
    said = times.moment(at)
    if said is None:
        return []
    found: list[When] = []
    for pattern, resolve in _RULES:
        for match in pattern.finditer(text):
            part = {k: v.lower() if v else None for k, v in match.groupdict().items()}
            try:
                begin, until = resolve(part, said)
            except ValueError:  # 31 February
                continue
            found.append(When(match.start(), match.end(), times.micros(begin), times.micros(until)))
    found.sort(key=lambda w: (w.start, -w.end))
    out: list[When] = []
    for when in found:
        if not out or when.start >= out[-1].end:
            out.append(when)
    return out
