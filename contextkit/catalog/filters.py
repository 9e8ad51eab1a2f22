"""`where` filters: what they may say, their translation to SQL, and the same meaning in plain Python.

A filter is a mapping. A key is a metadata field ("team", "author.name" or nested {"author": {"name": ...}}) or one of the
reserved fields of a document (`RESERVED`; a metadata field of such a name is reached as "metadata.NAME"). A value is a plain
value (equality) or a mapping of operators. Several keys, or several operators, must all hold.

Meaning, in SQL and in Python alike:
1. A list in the metadata matches where one of its values does. {"$ne": x} and {"$nin": [...]} are the exact opposite of
   equality and $in: also true where the field is missing.
2. null and a missing field are equal to None; {"$exists": True} asks whether the key is there.
3. true and false are equal to no number. Numbers compare with numbers, texts with texts (by code point; ISO 8601 dates thereby
   by time), anything else is false.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeAlias

from contextkit.errors import FilterError
from contextkit.types import JSON

Scalar: TypeAlias = "str | int | float | bool | None"
Where: TypeAlias = Mapping[str, Any]

RESERVED = {
    "id": "d.document_id",
    "uri": "d.uri",
    "title": "c.title",
    "source": "s.name",
    "media_type": "d.media_type",
    "language": "c.language",
    "version": "d.version",
}
"""The reserved fields and where they are in the query of `contextkit.catalog.visibility`."""

_RANGES = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_OPERATORS = ("$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$not")
_GROUPS = ("$and", "$or", "$not")
_DEPTH = 32
_NULL, _TRUE, _FALSE, _NODE = b"", b"\x01", b"\x00", b"\x02"


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One comparison: `operator` is "in" (with `values`), "exists", or one of _RANGES."""

    path: str
    operator: str
    values: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class _Group:
    """Parts that must hold: all of them ("and"), one of them ("or"), or not the only one ("not")."""

    operator: str
    parts: tuple[_Leaf | _Group, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter.

    Attributes:
        sql: a condition over documents d, contents c, sources s; "1" for the empty filter.
        values: what to bind to it, in order.
    """

    sql: str
    values: tuple[str | int | float | bytes | None, ...]
    _tree: _Group = field(repr=False)

    def matches(self, metadata: Mapping[str, JSON], reserved: Mapping[str, str]) -> bool:
        """Whether a document with that metadata and those reserved fields passes."""
        found: dict[str, list[Scalar | bytes]] = {}
        for path, value in flatten(metadata):
            found.setdefault(path, []).append(value)
        return _holds(self._tree, found, reserved)


def compiled(where: Where | None) -> Filter:
    """The filter of a `where`; None and {} let everything pass.

    Raises:
        FilterError: naming the operator, field or value that is not understood, and what is.
    """
    tree = _mapping(where or {}, "", 0)
    values: list[str | int | float | bytes | None] = []
    return Filter(_sql(tree, values), tuple(values), tree)


def flatten(metadata: Mapping[str, JSON]) -> Iterator[tuple[str, Any]]:
    """(path, stored value) of all that can be compared in a metadata, and a marker for each mapping and list.

    Values are stored as SQLite compares them: texts and numbers as they are, true, false and null as blobs of their own.
    """
    stack: list[tuple[str, JSON]] = [(str(key), value) for key, value in metadata.items()]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            yield path, _NODE
            stack.extend((f"{path}.{key}", inner) for key, inner in value.items())
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield path, _NODE
            stack.extend((path, inner) for inner in value)
        else:
            yield path, _stored(value)


def _stored(value: Scalar) -> str | int | float | bytes:
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 2**1023 else math.copysign(math.inf, value)
    return value


# ---------------------------------------------------------------------------------------------------------------- reading


def _mapping(where: Where, prefix: str, depth: int) -> _Group:
    if not isinstance(where, Mapping):
        raise FilterError(f"a filter must be a mapping of fields to values, not {type(where).__name__}: {where!r}")
    if depth > _DEPTH:
        raise FilterError(f"a filter may be nested at most {_DEPTH} deep")
    parts: list[_Leaf | _Group] = []
    for key, value in where.items():
        if not isinstance(key, str) or not key:
            raise FilterError(f"a filter's keys must be non-empty texts, not {key!r}")
        if key.startswith("$"):
            parts.append(_group(key, value, depth))
        else:
            parts.append(_field(f"{prefix}{key}", value, depth))
    return _Group("and", tuple(parts))


def _group(key: str, value: Any, depth: int) -> _Group:  # noqa: ANN401 - user input of any type is judged here
    if key == "$not":
        return _Group("not", (_mapping(value, "", depth + 1),))
    if key in ("$and", "$or"):
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
            raise FilterError(f"{key} takes a list of filters, not {value!r}")
        return _Group(key[1:], tuple(_mapping(part, "", depth + 1) for part in value))
    if key in _OPERATORS:
        raise FilterError(f'the operator {key} belongs to a field: {{"FIELD": {{"{key}": {value!r}}}}}')
    raise FilterError(f"unknown operator {key!r} in a filter; known: {', '.join((*_GROUPS, *_OPERATORS))}")


def _field(path: str, value: Any, depth: int) -> _Leaf | _Group:  # noqa: ANN401 - user input of any type is judged here
    if not isinstance(value, Mapping):
        return _Leaf(path, "in", (_scalar(path, "equality", value),))
    operators = [key for key in value if isinstance(key, str) and key.startswith("$")]
    if not operators:
        if not value:
            raise FilterError(f"the filter for {path!r} is empty: give a value or an operator")
        return _mapping(value, f"{path}.", depth + 1)
    if len(operators) != len(value):
        raise FilterError(f"the filter for {path!r} mixes operators and nested fields: {dict(value)!r}")
    if depth > _DEPTH:
        raise FilterError(f"a filter may be nested at most {_DEPTH} deep")
    return _Group("and", tuple(_operation(path, key, value[key], depth) for key in operators))


def _operation(path: str, operator: str, value: Any, depth: int) -> _Leaf | _Group:  # noqa: ANN401 - judged here
    if operator in ("$eq", "$ne"):
        leaf = _Leaf(path, "in", (_scalar(path, operator, value),))
        return leaf if operator == "$eq" else _Group("not", (leaf,))
    if operator in ("$in", "$nin"):
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence | set | frozenset):
            raise FilterError(f"{operator} of {path!r} takes a list of values, not {value!r}")
        leaf = _Leaf(path, "in", tuple(_scalar(path, operator, v) for v in value))
        return leaf if operator == "$in" else _Group("not", (leaf,))
    if operator in _RANGES:
        limit = _scalar(path, operator, value)
        if limit is None or isinstance(limit, bool):
            raise FilterError(f"{operator} of {path!r} takes a number, a text or a date, not {value!r}")
        return _Leaf(path, operator, (limit,))
    if operator == "$exists":
        if not isinstance(value, bool):
            raise FilterError(f"$exists of {path!r} takes true or false, not {value!r}")
        leaf = _Leaf(path, "exists")
        return leaf if value else _Group("not", (leaf,))
    if operator == "$not":
        return _Group("not", (_field(path, value, depth + 1),))
    raise FilterError(f"unknown operator {operator!r} for {path!r}; known: {', '.join(_OPERATORS)}")


def _scalar(path: str, operator: str, value: Any) -> Scalar:  # noqa: ANN401 - user input of any type is judged here
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterError(f"{operator} of {path!r} cannot compare with {value!r}")
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise FilterError(f"{operator} of {path!r}: {value} is beyond 64 bits")
    if value is None or isinstance(value, str | int | float | bool):
        if isinstance(value, str) and not _encodes(value):
            raise FilterError(f"{operator} of {path!r}: {value!r} is no valid Unicode text")
        return value
    hint = "; use $in to match one of several values" if isinstance(value, list | tuple | set) else ""
    raise FilterError(f"{operator} of {path!r} takes a text, number, date, true, false or None, not {value!r}{hint}")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------------ to SQL


def _sql(node: _Leaf | _Group, values: list[str | int | float | bytes | None]) -> str:
    if isinstance(node, _Leaf):
        column = RESERVED.get(node.path)
        return _reserved_sql(node, column, values) if column else _metadata_sql(node, values)
    parts = [_sql(part, values) for part in node.parts]
    if node.operator == "not":
        return f"NOT ({parts[0]})"
    if not parts:
        return "1" if node.operator == "and" else "0"
    return "(" + f" {node.operator.upper()} ".join(parts) + ")"


def _metadata_sql(leaf: _Leaf, values: list[str | int | float | bytes | None]) -> str:
    path = _name(leaf.path)
    values.append(path)
    if leaf.operator == "exists":
        return "d.metadata_id IN (SELECT metadata_id FROM fields WHERE path = ?)"
    if leaf.operator == "in":
        wanted = [_stored(v) for v in leaf.values]
        marks = ", ".join("?" * len(wanted))
        values.extend(wanted)
        found = f"d.metadata_id IN (SELECT metadata_id FROM fields WHERE path = ? AND value IN ({marks}))"
        if None not in leaf.values:
            return found
        values.append(path)
        return f"({found} OR d.metadata_id NOT IN (SELECT metadata_id FROM fields WHERE path = ?))"
    limit = leaf.values[0]
    values.append(limit)
    return f"d.metadata_id IN (SELECT metadata_id FROM fields WHERE path = ? AND {_range_sql('value', leaf.operator, limit)})"


def _range_sql(column: str, operator: str, limit: Scalar) -> str:
    # SQLite sorts numbers < texts < blobs; the second bound keeps to the limit's own type and lets the index be used
    condition = f"{column} {_RANGES[operator]} ?"
    text = isinstance(limit, str)
    if operator in ("$gt", "$gte"):
        return f"{condition} AND {column} < {'x' + chr(39) * 2 if text else chr(39) * 2}"
    return f"{condition} AND {column} >= {chr(39) * 2}" if text else condition


def _reserved_sql(leaf: _Leaf, column: str, values: list[str | int | float | bytes | None]) -> str:
    if leaf.operator == "exists":
        return f"{column} != ''"
    if leaf.operator == "in":
        wanted = ["" if v is None else v for v in leaf.values if v is None or isinstance(v, str)]
        values.extend(wanted)
        return f"{column} IN ({', '.join('?' * len(wanted))})"
    limit = leaf.values[0]
    if not isinstance(limit, str):
        return "0"
    values.append(limit)
    return f"({column} {_RANGES[leaf.operator]} ? AND {column} != '')"  # empty is missing


def _name(path: str) -> str:
    return path.removeprefix("metadata.")


# --------------------------------------------------------------------------------------------------------------- in Python


def _holds(node: _Leaf | _Group, found: Mapping[str, list[Scalar | bytes]], reserved: Mapping[str, str]) -> bool:
    if isinstance(node, _Leaf):
        if node.path in RESERVED:
            text = reserved.get(node.path, "")
            return _leaf_holds(node, [text] if text or node.operator == "in" else [], present=bool(text))
        stored = found.get(_name(node.path), [])
        return _leaf_holds(node, stored, present=bool(stored))
    if node.operator == "not":
        return not _holds(node.parts[0], found, reserved)
    return (all if node.operator == "and" else any)(_holds(part, found, reserved) for part in node.parts)


def _leaf_holds(leaf: _Leaf, stored: Sequence[Scalar | bytes], *, present: bool) -> bool:
    if leaf.operator == "exists":
        return present
    if leaf.operator == "in":
        if None in leaf.values and not present:
            return True
        return any(_equal(value, _stored(wanted)) for value in stored for wanted in leaf.values)
    return any(_compares(value, leaf.operator, leaf.values[0]) for value in stored)


def _equal(a: Any, b: Any) -> bool:  # noqa: ANN401 - stored values of any type
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    return type(a) is type(b) and a == b


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


def _compares(value: Any, operator: str, limit: Any) -> bool:  # noqa: ANN401 - stored values of any type
    if isinstance(limit, str):
        # by UTF-8 bytes, as SQLite does; the same order as by code point
        return isinstance(value, str) and _COMPARE[operator](value.encode(), limit.encode())
    return isinstance(value, int | float) and _COMPARE[operator](value, limit)
