"""Scopes: whose knowledge a record is, and which records a principal's scope reaches.

A scope names some of five levels, from wide to narrow: tenant, team, user, agent, session. Closed by default:

1. A record is reached by every scope that names all that the record's own scope names, and perhaps more: what belongs to a user
   is seen in each of the user's sessions, never by another user, and a record of one session never in a sibling session.
2. A scope without a session also reaches the sessions of its own narrowest level: {"user": "ann"} reaches
   {"user": "ann", "session": "s1"}; {"team": "sales"} does not, it is wider than Ann.
3. A rule may allow one more scope to see a scope's records, or deny it; deny beats allow, and beats 1 and 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations

from contextkit.errors import InputError

LEVELS = ("tenant", "team", "user", "agent", "session")
"""From wide to narrow."""

Scope = Mapping[str, str]
Pairs = tuple[tuple[str, str], ...]

_LONGEST = 512


def checked(scope: Scope | None, name: str = "scope") -> Pairs:
    """The scope's (level, value) pairs from wide to narrow.

    Raises:
        InputError: it is missing or empty, names a level that there is not, or a value is no word.
    """
    if not scope:
        raise InputError(f'{name}={scope!r} names nobody: give one like {{"user": "ann"}}; levels are {", ".join(LEVELS)}')
    if not isinstance(scope, Mapping):
        raise InputError(f'{name} must be a mapping like {{"user": "ann"}}, not {type(scope).__name__}')
    unknown = [str(level) for level in scope if level not in LEVELS]
    if unknown:
        raise InputError(f"{name} has the unknown level {unknown[0]!r}: levels are {', '.join(LEVELS)}")
    for level, value in scope.items():
        if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST:
            raise InputError(f"{name}: {level}={value!r:.80} must be a name of 1 to {_LONGEST} characters")
    return tuple((level, scope[level]) for level in LEVELS if level in scope)


def name_of(pairs: Pairs) -> str:
    """The one way to write a scope, as it is stored: a JSON object from wide to narrow."""
    return json.dumps(dict(pairs), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=100_000)
def pairs_of(name: str) -> Pairs:
    """The pairs of a stored scope."""
    return tuple(json.loads(name).items())


def wider(reader: Pairs) -> set[str]:
    """The names of all scopes that this one inherits from, itself included (rule 1)."""
    return {name_of(part) for n in range(1, len(reader) + 1) for part in combinations(reader, n)}


def owner(pairs: Pairs) -> Pairs:
    """The scope without its session; a session that names nothing else is its own owner."""
    return pairs[:-1] if len(pairs) > 1 and pairs[-1][0] == "session" else pairs


def owners(reader: Pairs) -> set[str]:
    """The owners whose sessions this scope reaches by rule 2: all that it inherits from and that name its narrowest level."""
    narrowest = reader[-1]
    if narrowest[0] == "session":
        return set()
    rest = reader[:-1]
    return {name_of((*part, narrowest)) for n in range(len(rest) + 1) for part in combinations(rest, n)}


def reaches(reader: Pairs, record: Pairs) -> bool:
    """Whether a scope reaches a record's scope by rules 1 and 2."""
    if set(record) <= set(reader):
        return True
    return record[-1][0] == "session" and len(record) > 1 and name_of(owner(record)) in owners(reader)
