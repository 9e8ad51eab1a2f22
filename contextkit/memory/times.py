"""Moments: what people write for a time, the microseconds since 1970 that are stored, and back.

Expressions inside a text ("last Tuesday") are `when.py`.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta

from contextkit.errors import InputError

Time = str | int | float | date | datetime
"""A moment: ISO 8601 ("2024", "2024-05", "2024-05-03", "2024-05-03T10:00+02:00"; without a zone: UTC), seconds since 1970, a date
or a datetime."""

FOREVER = 2**62
"""Stored as the end of what has no end."""

DAY = 86_400_000_000
"""Microseconds of a day."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"(\d{4})(?:-(\d{1,2}))?")


def now() -> int:
    """This moment in microseconds since 1970."""
    return time.time_ns() // 1000


def micros(value: Time, name: str = "time") -> int:
    """The moment in microseconds since 1970.

    Raises:
        InputError: what is given is no moment; names the argument and the value.
    """
    try:
        return (_moment(value) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{name}={value!r} is no time ({error}): write it like 2024-05-03 or 2024-05-03T10:00:00+02:00"
        ) from None


def optional(value: Time | None, name: str) -> int | None:
    """`micros`, or None for None."""
    return None if value is None else micros(value, name)


def _moment(value: Time) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"a {type(value).__name__}")
    if isinstance(value, (int, float)):
        return _EPOCH + timedelta(seconds=value)
    text = value.strip()
    short = _MONTH.fullmatch(text)
    if short is not None:
        return datetime(int(short[1]), int(short[2] or 1), 1, tzinfo=UTC)
    return _moment(datetime.fromisoformat(text))


def moment(value: int | None) -> datetime | None:
    """A stored moment as a datetime in UTC; None for none and for what has no end."""
    return None if value is None or value >= FOREVER else _EPOCH + timedelta(microseconds=value)


def shown(value: int | datetime) -> str:
    """A moment for readers: the day, with hours and minutes where it is not midnight ("2024-05-03", "2024-05-03 10:00")."""
    at = value if isinstance(value, datetime) else _EPOCH + timedelta(microseconds=value)
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute) == (0, 0) else f"{at:%Y-%m-%d %H:%M}"


def age(then: int, at: int) -> str:
    """How long ago, in the largest unit that fits: "3y", "5mo", "2d", "today"; "in 3d" for what is to come."""
    days = (at - then) // DAY
    if days < 0:
        return f"in {age(at, then)}"
    for unit, length in (("y", 365), ("mo", 30), ("d", 1)):
        if days >= length:
            return f"{days // length}{unit}"
    return "today"
