"""State: one JSON value under a name, with versions and compare-and-swap, so that two writers never lose each other's work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from contextkit.errors import InputError, StateConflict
from contextkit.memory import rows as records
from contextkit.memory import scopes, times

if TYPE_CHECKING:
    from contextkit.memory.core import Core
    from contextkit.types import JSON

_LONGEST = 1_000_000


class State:
    """The value under one name. Made by `MemoryStore.state`; nothing is written before `put`.

    Args:
        store: the memory.
        name: of the value.
        scope: whose it is, or None.
    """

    def __init__(self, store: Core, name: str, scope: scopes.Pairs | None) -> None:
        if not isinstance(name, str) or not name.strip() or len(name) > 512:
            raise InputError(f"a state needs a name of 1 to 512 characters, not {name!r:.80}")
        self.name = name
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
        try:
            body = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"the state {self.name!r} cannot be kept as JSON: {error}") from None
        if len(body) > _LONGEST:
            raise InputError(f"the state {self.name!r} has {len(body):,} characters, the limit is {_LONGEST:,}")
        with self._store.writing() as rows:
            found = rows.execute("SELECT version FROM values_ WHERE name = ?", (self.name,)).fetchone()
            held = 0 if found is None else int(found[0])
            if expected_version is not None and held != expected_version:
                raise StateConflict(
                    f"the state {self.name!r} is at version {held}, not {expected_version}: "
                    "read it, apply your change and try again"
                )
            scope = None if self._scope is None else records.scope_id(rows, self._scope)
            rows.execute(
                "INSERT INTO values_ (name, scope_id, version, body, written) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET version = excluded.version, body = excluded.body, written = excluded.written, "
                "scope_id = coalesce(excluded.scope_id, values_.scope_id)",
                (self.name, scope, held + 1, body, times.now()),
            )
        return held + 1
