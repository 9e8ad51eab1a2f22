"""What callers write, checked: texts, kinds, keys, shares and sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contextkit.errors import InputError
from contextkit.memory.records import Kind, Source

LONGEST = 100_000
"""Characters of one record."""


def text(text: str) -> str:
    """The text without white space at its ends. Raises InputError where it is empty or too long."""
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"there is nothing to remember in {text!r}")
    if len(text) > LONGEST:
        raise InputError(
            f"a text of {len(text):,} characters is over the {LONGEST:,} of one memory: add it as a document instead"
        )
    return text.strip()


def kind(kind: Kind | str) -> Kind:
    """The kind. Raises InputError where there is no such kind."""
    try:
        return Kind(kind)
    except ValueError:
        raise InputError(f"no kind {kind!r}: use one of {', '.join(Kind)}") from None


def key(key: tuple[str, str] | str | None) -> tuple[str, str] | None:
    """(subject, attribute), or None for none. Raises InputError where it is neither."""
    if key is None:
        return None
    parts = tuple(key.rpartition("/")[::2]) if isinstance(key, str) else tuple(key)
    if len(parts) != 2 or not all(isinstance(p, str) and p.strip() for p in parts):
        raise InputError(f'key={key!r} must be (subject, attribute), such as ("ann", "city"), or "ann/city"')
    return parts[0].strip(), parts[1].strip()


def share(value: float, name: str) -> float:
    """A number from 0 to 1. Raises InputError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InputError(f"{name}={value!r} must be a number from 0 to 1")
    return float(value)


def number(value: float, name: str) -> float:
    """A number. Raises InputError where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise InputError(f"{name}={value!r} must be a number")
    return float(value)


def source(source: Source | Mapping[str, Any] | None) -> Source:
    """The source. Raises InputError where it has unknown or broken parts."""
    if source is None or isinstance(source, Source):
        return source or Source()
    from pydantic import ValidationError

    try:
        return Source.model_validate(dict(source))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"source: {'.'.join(map(str, first['loc']))}: {first['msg']}; it has {', '.join(Source.model_fields)}"
        ) from None
