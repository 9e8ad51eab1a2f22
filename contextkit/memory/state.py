"""State: JSON values under names, with versions and compare-and-swap, so that two writers never lose each other's work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from contextkit.errors import InputError, StateConflict
from contextkit.memory import rows as records
from contextkit.memory import scopes, times

if TYPE_CHECKING:
    from contextkit.memory.core import Core
    from contextkit.protocols import Rows
    from contextkit.types import JSON

_LONGEST = 1_000_000
_ALL = 2**62
_LAST = "\U0010ffff"


class Kept(NamedTuple):
    """A value as it is kept."""

    name: str
    value: JSON
    version: int


class State:
    """The value under one name. Made by `MemoryStore.state`; nothing is written before `put`.

    Args:
        store: the memory.
        name: of the value.
        scope: whose it is, or None.
    """

    def __init__(self, store: Core, name: str, scope: scopes.Pairs | None) -> None:
        self.name = _named(name)
        self._store = store
        self._scope = scope

    def get(self) -> JSON:
        """The value; None where there is none."""
        return self.read()[0]

    @property
    def version(self) -> int:
        """The version of the value, 1, 2, 3 ...; 0 where there is none."""
        return self.read()[1]

    def read(self) -> tuple[JSON, int]:
        """The value and its version, of one moment; (None, 0) where there is none."""
        with self._store.reading() as rows:
            found = rows.execute("SELECT body, version FROM values_ WHERE name = ?", (self.name,)).fetchone()
        return (None, 0) if found is None else (json.loads(found[0]), int(found[1]))

    def put(self, value: JSON, *, expected_version: int | None = None) -> int:
        """Stores a value and gives its version.

        Args:
            value: anything that JSON can hold.
            expected_version: the version that it replaces (0: there is none yet); None: whichever there is.

        Raises:
            StateConflict: another version is there; nothing was written. Read it, apply the change to it, and try again.
            InputError: the value is no JSON, or too large.
        """
        body = _body(self.name, value)
        with self._store.writing() as rows:
            version = _next(rows, self.name, expected_version)
            scope = None if self._scope is None else records.scope_id(rows, self._scope)
            _write(rows, self.name, scope, version, body)
        return version

    def delete(self, *, expected_version: int | None = None) -> bool:
        """Whether there was a value, which is gone now.

        Raises:
            StateConflict: another version is there; nothing was removed.
        """
        with self._store.writing() as rows:
            held = _next(rows, self.name, expected_version) - 1
            rows.execute("DELETE FROM values_ WHERE name = ?", (self.name,))
        return held > 0


def listed(rows: Rows, prefix: str, after: str, limit: int | None, *, newest: bool) -> list[Kept]:
    """The values whose names begin so and come after a name; see `MemoryStore.states`."""
    order = "DESC" if newest else "ASC"
    beyond = "name < ?" if newest and after else "name > ?"
    found = rows.execute(
        f"SELECT name, body, version FROM values_ WHERE name >= ? AND name < ? AND {beyond} ORDER BY name {order} LIMIT ?",
        (prefix, prefix + _LAST, after, _ALL if limit is None else limit),
    )
    return [Kept(name, json.loads(body), int(version)) for name, body, version in found.fetchall()]


def put_all(store: Core, values: Mapping[str, JSON], scope: scopes.Pairs | None) -> None:
    """Stores the values in one transaction, None removing one; see `MemoryStore.put_states`."""
    bodies = _bodies(values)
    with store.writing() as rows:
        _put_all(rows, bodies, scope)


def change_all(
    store: Core, prefix: str, change: Callable[[Kept | None], Mapping[str, JSON]], scope: scopes.Pairs | None
) -> Kept | None:
    """The last value under a prefix, and what `change` makes of it stored with it; see `MemoryStore.change_states`."""
    with store.writing() as rows:
        last = next(iter(listed(rows, prefix, "", 1, newest=True)), None)
        _put_all(rows, _bodies(change(last)), scope)
    return last


def _bodies(values: Mapping[str, JSON]) -> dict[str, str | None]:
    return {_named(name): None if value is None else _body(name, value) for name, value in values.items()}


def _put_all(rows: Rows, bodies: Mapping[str, str | None], scope: scopes.Pairs | None) -> None:
    of = None if scope is None else records.scope_id(rows, scope)
    for name, body in bodies.items():
        if body is None:
            rows.execute("DELETE FROM values_ WHERE name = ?", (name,))
        else:
            _write(rows, name, of, _next(rows, name, None), body)


def _named(name: str) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 512:
        raise InputError(f"a state needs a name of 1 to 512 characters, not {name!r:.80}")
    return name


def _body(name: str, value: JSON) -> str:
    try:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"the state {name!r} cannot be kept as JSON: {error}") from None
    if len(body) > _LONGEST:
        raise InputError(f"the state {name!r} has {len(body):,} characters, the limit is {_LONGEST:,}")
    return body


def _next(rows: Rows, name: str, expected: int | None) -> int:
    found = rows.execute("SELECT version FROM values_ WHERE name = ?", (name,)).fetchone()
    held = 0 if found is None else int(found[0])
    if expected is not None and held != expected:
        raise StateConflict(f"the state {name!r} is at version {held}, not {expected}: read it, apply your change and try again")
    return held + 1


def _write(rows: Rows, name: str, scope: int | None, version: int, body: str) -> None:
    rows.execute(
        "INSERT INTO values_ (name, scope_id, version, body, written) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET version = excluded.version, body = excluded.body, written = excluded.written, "
        "scope_id = coalesce(excluded.scope_id, values_.scope_id)",
        (name, scope, version, body, times.now()),
    )
