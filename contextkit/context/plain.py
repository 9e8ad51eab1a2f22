"""Plain JSON: one spelling for one value, and a check that a value is JSON of sensible size."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from contextkit.errors import InputError

_MOST_CHARACTERS = 262_144
_DEEPEST = 48


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spare white space: the same value, the same bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def check_text(text: str, label: str) -> str:
    """The text. Raises InputError, naming `label`, where it holds half a character: no provider can be sent that."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"U+{ord(text[error.start]):04X}"
        raise InputError(
            f"{label}: {half} at character {error.start} is half a character and cannot be sent: clean the text"
        ) from None
    return text


def check_tree(value: object, label: str) -> None:
    """Raises InputError, naming `label`, where a value is not JSON: cyclic, too deep, too large, or with other types in it."""
    left = [_MOST_CHARACTERS]
    _walk(value, label, (), left)


def _check_leaf(value: object, label: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{label}: {value} is no JSON number")
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise InputError(f"{label}: {type(value).__name__} is no JSON value")


def _walk(value: object, label: str, above: tuple[int, ...], left: list[int]) -> None:
    if id(value) in above:
        raise InputError(f"{label}: it holds itself: a cyclic object cannot be sent; use a $ref")
    if len(above) > _DEEPEST:
        raise InputError(f"{label}: it is nested deeper than {_DEEPEST} levels")
    if isinstance(value, Mapping):
        inside = (*above, id(value))
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(f"{label}: the key {key!r} is not a text")
            left[0] -= len(key)
            _walk(item, label, inside, left)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _walk(item, label, (*above, id(value)), left)
    else:
        _check_leaf(value, label)
    left[0] -= len(value) if isinstance(value, str) else 4
    if left[0] < 0:
        raise InputError(f"{label}: it is larger than {_MOST_CHARACTERS:,} characters")
