"""The dates that a text names, and whether a document is of one of them: "what did Ann say in March?" asks for some talks only.

Dates are as exact as they are written: a year, a month of any year, a day. What is relative ("last week") is read in `times.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip

_MONTH = rf"(?P<month>{'|'.join(MONTHS)}|{'|'.join(m[:3] for m in MONTHS if m != 'may')}|sept)\b\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)\b"
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        # as in names of files too: minutes-2023-05.txt, call_20230508.vtt
        r"(?<![\d.])(?P<year>(?:19|20)\d\d)(?P<mark>[-/_])(?P<number>0[1-9]|1[0-2])(?:(?P=mark)(?P<day>[0-3]\d))?(?!\d)",
        r"(?<![\d.])(?P<year>(?:19|20)\d\d)(?P<number>0[1-9]|1[0-2])(?P<day>[0-3]\d)(?!\d)",
        rf"\b{_DAY}(?: of)? {_MONTH}(?:,? {_YEAR})?",
        rf"\b{_MONTH} {_DAY}\b(?:,? {_YEAR})?",
        rf"\b{_MONTH},? (?:of )?{_YEAR}",
        # alone only where the words before say so: April, May and June are names, "may" and "march" verbs
        rf"\b(?:in|during|since|until|by|from|before|after|of|last|this|next|the|early|late) {_MONTH}(?! \d)",
        rf"(?<![\w.-]){_YEAR}(?![\w-])",
    )
]
_LONGEST = 60  # characters of a metadata value that may be a date
_CHANGES = re.compile(r"modif|updat|chang|index|crawl|fetch|import", re.IGNORECASE)  # when a file was touched, not what it is of


class Date(NamedTuple):
    """A date as far as it is named; None for what is left open."""

    year: int | None
    month: int | None
    day: int | None


@lru_cache(maxsize=20_000)  # the same documents' metadata come with every question
def dates(text: str) -> frozenset[Date]:
    """The dates that a text names; of overlapping readings the longest. "" names none."""
    found: list[tuple[int, int, Date]] = [
        (match.start(), match.end(), date) for form in _FORMS for match in form.finditer(text) for date in _read(match)
    ]
    found.sort(key=lambda f: f[0] - f[1])
    kept: list[tuple[int, int, Date]] = []
    for start, end, date in found:
        if all(end <= other or start >= until for other, until, _ in kept):
            kept.append((start, end, date))
    return frozenset(date for _, _, date in kept)


def of_document(metadata: Mapping[str, object]) -> frozenset[Date]:
    """The dates that a document's metadata name: of short texts, save those that say when it was changed or fetched."""
    values = (v for k, v in metadata.items() if isinstance(v, str) and len(v) <= _LONGEST and not _CHANGES.search(k))
    return frozenset(date for value in values for date in dates(value))


def is_of(named: frozenset[Date], document: frozenset[Date]) -> bool:
    """Whether a document has a date that agrees with one that is named, in every part that is named."""
    return any(all(a is None or a == b for a, b in zip(n, d, strict=True)) for n in named for d in document)


def _read(match: re.Match[str]) -> Iterator[Date]:
    part = match.groupdict()
    month = int(part["number"]) if part.get("number") else _number(part.get("month"))
    day = int(part["day"]) if part.get("day") else None
    if day is None or 1 <= day <= 31:
        yield Date(int(part["year"]) if part.get("year") else None, month, day)


def _number(month: str | None) -> int | None:
    """1 to 12 of a month's name or its beginning."""
    return next((n for n, name in enumerate(MONTHS, 1) if name.startswith(month.lower()[:3])), None) if month else None
