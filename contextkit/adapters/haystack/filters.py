"""Haystack's filter dialect as contextkit's `where`, with Haystack's meaning.

Where the meaning differs, and why:
1. A list in the metadata matches where one of its values does; Haystack has no operator that looks into a list.
2. "==" and "!=" take no list and no mapping.
3. Texts are ordered only as ISO 8601 dates: by the point in time where both have a zone, else by the clock. A number beside a
   date is no match rather than an error: what is stored must not decide whether a filter is understood.
"""

from __future__ import annotations

import operator as operators
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from haystack.errors import FilterError as HaystackFilterError

from contextkit.errors import FilterError

KEY = "_haystack"
"""The metadata field in which a document's parts that only Haystack knows are kept."""

_PARTS = {"embedding", "sparse_embedding", "blob", "score"}
_RESERVED = {"id", "title", "uri", "source", "media_type", "language", "version"}
_ORDER = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "$gt": operators.gt,
    "$gte": operators.ge,
    "$lt": operators.lt,
    "$lte": operators.le,
}
_COMPARISONS = ("==", "!=", *_ORDER, "in", "not in")
_LOGIC = ("AND", "OR", "NOT")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - clock times are compared with clock times
_NOTHING: dict[str, Any] = {"$or": []}
_DEEPEST = 24


class KitFilterError(HaystackFilterError, FilterError):
    """A filter that is not understood: Haystack's own error, and contextkit's."""


def where_of(filters: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The `where` of a Haystack filter; None for None and {}.

    Raises:
        KitFilterError: naming what is missing, unknown or cannot be compared.
    """
    if filters is None or filters == {}:
        return None
    from contextkit.catalog.filters import compiled

    where = _node(filters, 0)
    try:
        compiled(where)
    except FilterError as error:
        raise KitFilterError(str(error)) from error
    return where


def clock(value: str) -> dict[str, int] | None:
    """Microseconds of an ISO 8601 date by its clock ("wall") and, with a zone, in time ("instant"); None for other text."""
    moment = _moment(value)
    if moment is None:
        return None
    out = {"wall": (moment.replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)}
    if moment.tzinfo is not None:
        out["instant"] = (moment.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)
    return out


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if not isinstance(value, str) or len(value) < 10 or value[4] != "-" or value[7] != "-":
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _node(given: object, depth: int) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise KitFilterError(f"a filter must be a dictionary, not {type(given).__name__}: {given!r:.80}")
    if depth > _DEEPEST:
        raise KitFilterError(f"a filter may be nested at most {_DEEPEST} deep")
    if "field" in given:
        return _comparison(given)
    for key in ("operator", "conditions"):
        if key not in given:
            raise KitFilterError(f"the key {key!r} is missing in the filter {dict(given)!r:.200}")
    operator, conditions = given["operator"], given["conditions"]
    if operator not in _LOGIC:
        raise KitFilterError(f"unknown logical operator {operator!r}; there are {', '.join(_LOGIC)}")
    if isinstance(conditions, str) or not isinstance(conditions, Sequence):
        raise KitFilterError(f"the conditions of {operator} must be a list of filters, not {conditions!r:.80}")
    parts = [_node(part, depth + 1) for part in conditions]
    if operator == "OR":
        return {"$or": parts}
    return {"$and": parts} if operator == "AND" else {"$not": {"$and": parts}}


def _comparison(given: Mapping[str, Any]) -> dict[str, Any]:
    for key in ("operator", "value"):
        if key not in given:
            raise KitFilterError(f"the key {key!r} is missing in the filter {dict(given)!r:.200}")
    name, operator, value = given["field"], given["operator"], given["value"]
    if not isinstance(name, str) or not name:
        raise KitFilterError(f"the field of a filter must be a text, not {name!r}")
    if operator not in _COMPARISONS:
        raise KitFilterError(f"unknown comparison operator {operator!r}; there are {', '.join(_COMPARISONS)}")
    if name in _PARTS or name == "content":
        return _presence(name, operator, value)
    path = _path(name)
    if operator in ("in", "not in"):
        if not isinstance(value, list):
            raise KitFilterError(f"{operator!r} of {name!r} takes a list, not {type(value).__name__}")
        found = {"$or": [_equals(path, name, one) for one in value]}
        return found if operator == "in" else {"$not": found}
    if operator in ("==", "!="):
        found = _equals(path, name, value)
        return found if operator == "==" else {"$not": found}
    return _ordered(path, name, _ORDER[operator], value)


def _path(name: str) -> str:
    head, _, rest = name.partition(".")
    if head == "meta" and rest:
        return f"metadata.{rest}"
    if name in _RESERVED:
        return name
    if rest:
        raise KitFilterError(f"the field {name!r} is none of a document: metadata is reached as 'meta.{name}'")
    return f"metadata.{name}"


def _presence(name: str, operator: str, value: object) -> dict[str, Any]:
    """What can be asked of a document's own parts: whether there is one."""
    if value is not None or operator not in ("==", "!="):
        raise KitFilterError(f"{name!r} can only be compared with None, by == or !=, not {operator} {value!r:.40}")
    missing = {f"metadata.{KEY}.{name}": {"$exists": False}}
    if name == "content":
        missing = {f"metadata.{KEY}.no_content": {"$exists": True}}
    return missing if operator == "==" else {"$not": missing}


def _equals(path: str, name: str, value: object) -> dict[str, Any]:
    if isinstance(value, (list, tuple, set, Mapping)):
        raise KitFilterError(f"{name!r} cannot be compared with {value!r:.80}: give one value, or use 'in'")
    if isinstance(value, (bool, int, float)) and value in (0, 1):  # as in Python, true is 1
        return {path: {"$in": [value, bool(value), int(value)]}}
    moment = _moment(value)
    if moment is None or not path.startswith("metadata."):
        return {path: {"$eq": value}}
    return {"$or": [{path: {"$eq": value}}, _timed(path, "$eq", moment)]}


def _ordered(path: str, name: str, operator: str, value: object) -> dict[str, Any]:
    if value is None:
        return _NOTHING
    if isinstance(value, (list, tuple, set, Mapping)):
        raise KitFilterError(f"{name!r} cannot be ordered against {value!r:.80}: give a number or a date")
    moment = _moment(value)
    if moment is None:
        if isinstance(value, str):
            raise KitFilterError(f"{name!r} cannot be ordered against {value!r}: texts are ordered only as ISO 8601 dates")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise KitFilterError(f"{name!r} cannot be ordered against {value!r}: give a number or a date")
        truths = [truth for truth in (False, True) if _COMPARE[operator](truth, value)]
        return {"$or": [{path: {operator: value}}, {path: {"$in": truths}}]}
    text = value.isoformat() if isinstance(value, date) else value
    if not path.startswith("metadata."):
        return {path: {operator: text}}
    # documents of other sources have no clock times: their texts are compared as they are
    plain = {"$and": [{_wall(path): {"$exists": False}}, {path: {operator: text}}]}
    return {"$or": [_timed(path, operator, moment), plain]}


def _timed(path: str, operator: str, moment: datetime) -> dict[str, Any]:
    """A date of the metadata against a moment: in time where both have a zone, else by the clock."""
    of = clock(moment.isoformat()) or {}
    by_clock = {_wall(path): {operator: of["wall"]}}
    if "instant" not in of:
        return by_clock
    instant = _wall(path).removesuffix("wall") + "instant"
    return {"$or": [{instant: {operator: of["instant"]}}, {"$and": [{instant: {"$exists": False}}, by_clock]}]}


def _wall(path: str) -> str:
    return f"metadata.{KEY}.dates.{path.removeprefix('metadata.')}.wall"
