"""Paths of texts as states of a memory, with values of any size: what LangChain's and LangGraph's stores are kept in.

A path such as ("langgraph", "store", "users", "ann", "", "city") is one state. Different paths have different names, whatever
separators their parts hold, and the paths below a path are one range of names. A value that is longer than a state may be is
kept in parts beside it, written in the same transaction. No peer is imported here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from contextkit.context.plain import check_text
from contextkit.errors import ContextkitError, InputError

if TYPE_CHECKING:
    from contextkit.memory import MemoryStore
    from contextkit.memory.state import Kept
    from contextkit.types import JSON

Path = tuple[str, ...]
Scope = Mapping[str, str]

_LONGEST = 480  # characters of a name that is written out; a state's name has at most 512
_HEAD = 400  # characters that a folded name keeps, so that it stays among its neighbours
_PART = 450_000  # characters; a state holds a million, and a quotation mark is written as two
_TRIES = 5
_SPECIAL = re.compile(r"[%/~\x00-\x1f\x7f]")
_CODE = re.compile(r"%([0-9A-F]{2})")


class Entry(NamedTuple):
    """A value with its path and the name that it is kept under."""

    path: Path
    value: Any
    name: str


def spelled(path: Sequence[str]) -> str:
    """A path as one text: each part ends in "/", which stands in no part. Raises InputError for half a character."""
    for part in path:
        check_text(part, "a name")
    return "".join(_SPECIAL.sub(lambda found: f"%{ord(found.group()):02X}", part) + "/" for part in path)


def name_of(path: Sequence[str]) -> str:
    """The name of the state of a path; a long one keeps its beginning and a digest of the whole."""
    text = spelled(path)
    return text if len(text) <= _LONGEST else f"{text[:_HEAD]}~{hashlib.sha256(text.encode()).hexdigest()}"


def read(memory: MemoryStore, path: Sequence[str]) -> Any:  # noqa: ANN401 - JSON, as it was given
    """The value of a path; None where there is none."""
    name = name_of(path)
    for _ in range(_TRIES):
        head = memory.state(name).get()
        if not isinstance(head, dict):
            return None
        found, value = _value(memory, name, head)
        if found:
            return value
    raise ContextkitError(f"the value of {tuple(path)!r} changed {_TRIES} times while it was read: try again")


def below(
    memory: MemoryStore, prefix: Sequence[str], *, after: str = "", limit: int | None = None, newest: bool = False
) -> list[Entry]:
    """The values whose paths begin with a path and are longer, by name; below a very long path, by path.

    Args:
        memory: holds them.
        prefix: how the paths begin.
        after: only names beyond this one.
        limit: at most so many; None: all.
        newest: the other order, last name first.
    """
    start, text = tuple(prefix), spelled(prefix)
    if len(text) > _HEAD:  # names are cut there: they stand among others', in no order
        found = _entries(memory, start, memory.states(text[:_HEAD], after=after))
        return sorted(found, key=lambda e: e.path, reverse=newest)[:limit]
    return _entries(memory, start, memory.states(text, after=after, limit=limit, newest=newest))


def _entries(memory: MemoryStore, start: Path, given: Sequence[Kept]) -> list[Entry]:
    out: list[Entry] = []
    for kept in given:
        if not isinstance(kept.value, dict):
            continue
        path = _path(kept)
        if path[: len(start)] != start or len(path) == len(start):
            continue
        found, value = _value(memory, kept.name, kept.value)
        if not found:  # replaced meanwhile
            value = read(memory, path)
        if value is not None:
            out.append(Entry(path, value, kept.name))
    return out


def write(memory: MemoryStore, values: Mapping[Path, Any], *, scope: Scope | None = None, new: bool = False) -> None:
    """Stores values by path in one transaction; None removes one.

    Args:
        memory: to write to.
        values: JSON values, of any size.
        scope: whose they are, so that they are forgotten with it; None: nobody's.
        new: none of the paths was written before, so that no old parts have to be looked for.

    Raises:
        InputError: a value that JSON cannot hold, or half a character; nothing was written.
    """
    states: dict[str, JSON] = {}
    for path, value in values.items():
        name = name_of(path)
        if not new:
            states.update(dict.fromkeys(_parts(name, memory.state(name).get())))
        if value is None:
            states[name] = None
        else:
            states.update(heads(path, value))
    if states:
        memory.put_states(states, scope=scope)


def heads(path: Path, value: Any) -> dict[str, JSON]:  # noqa: ANN401 - checked here
    """The states of one value: one, or where it is long one with the parts beside it.

    Raises:
        InputError: JSON cannot hold it, or it holds half a character.
    """
    name, label = name_of(path), f"the value of {path!r:.200}"
    head: dict[str, JSON] = {} if len(spelled(path)) <= _LONGEST else {"path": list(path)}
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{label} cannot be kept as JSON: {error}") from None
    check_text(text, label)
    if len(text) <= _PART:
        return {name: {**head, "value": value}}
    digest = hashlib.sha256(text.encode()).hexdigest()
    pieces = [text[n : n + _PART] for n in range(0, len(text), _PART)]
    head.update(parts=len(pieces), digest=digest)
    return {name: head, **dict(zip(_parts(name, head), pieces, strict=True))}


def check_keys(value: Any, label: str) -> None:  # noqa: ANN401 - user input of any type is judged here
    """Raises InputError where a mapping in a value has a key that is no text: JSON would silently make it one."""
    stack = [value]
    seen: set[int] = set()
    while stack:
        one = stack.pop()
        if isinstance(one, Mapping | list | tuple):
            if id(one) in seen:
                continue
            seen.add(id(one))
            wrong = [key for key in one if not isinstance(key, str)] if isinstance(one, Mapping) else []
            if wrong:
                raise InputError(f"{label}: the key {wrong[0]!r} is no text, and JSON has no other keys")
            stack.extend(one.values() if isinstance(one, Mapping) else one)


def _parts(name: str, head: object) -> list[str]:
    """The names of a value's parts. They hold its digest, so that parts of two values under one name are never mixed."""
    if not isinstance(head, dict) or "parts" not in head:
        return []
    owner = hashlib.sha256(name.encode()).hexdigest()
    return [f"parts/{owner}/{head['digest']}/{n:06d}" for n in range(int(head["parts"]))]


def _value(memory: MemoryStore, name: str, head: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether the value of a head is there, and the value."""
    if "value" in head:
        return True, head["value"]
    pieces = [memory.state(part).get() for part in _parts(name, head)]
    if not all(isinstance(piece, str) for piece in pieces):
        return False, None
    return True, json.loads("".join(str(piece) for piece in pieces))


def _path(kept: Kept) -> Path:
    if isinstance(kept.value, dict) and "path" in kept.value:
        return tuple(kept.value["path"])
    return tuple(_CODE.sub(lambda found: chr(int(found.group(1), 16)), part) for part in kept.name.split("/")[:-1])


def append(memory: MemoryStore, prefix: Path, values: Sequence[Any], *, scope: Scope | None = None) -> None:
    """Adds values at the end of a list of states, all or none, in the order given; at the same cost however long the list is.

    Several writers may append to one list: the place of a value is chosen in the transaction that stores it.

    Raises:
        InputError: a value that JSON cannot hold; nothing was written.
    """
    start = spelled(prefix)

    def change(last: Kept | None) -> Mapping[str, JSON]:
        first = 1 + (int(last.name[len(start) : -1]) if last else 0)
        states: dict[str, JSON] = {}
        for number, value in enumerate(values, first):
            states.update(heads((*prefix, f"{number:012d}"), value))
        return states

    memory.change_states(start, change, scope=scope)


def short(text: str) -> str:
    """A text as a part of a path that is never long: itself, or its digest. Different texts give different parts."""
    if len(spelled([text])) <= 120 and not text.startswith("sha256:"):
        return text
    return f"sha256:{hashlib.sha256(check_text(text, 'a name').encode()).hexdigest()}"
