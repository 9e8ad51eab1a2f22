"""Which of several facts with one key holds: pure rules on times, trust and sources, the same at write and at read.

A fact holds at a moment T, by what was known at K, when it was recorded by K, was not found wrong by K, and T lies in its
validity. Among those of one key, one *supersedes* another when it begins later, or as early and was recorded later by the
same source; but never when it is less trusted. What nobody supersedes stands; where two that say different things stand,
they are in conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contextkit.memory.times import FOREVER


@dataclass(frozen=True, slots=True)
class Fact:
    """What decides between records of one key.

    Attributes:
        id: of the record.
        valid_from: microseconds.
        valid_to: microseconds, exclusive; FOREVER where no end is known.
        recorded_at: microseconds.
        wrong_at: when the store learned that it never was true; None: not so far.
        trust: 0 to 1.
        voice: number of its source; equal numbers are one voice.
        says: what it states, made comparable.
    """

    id: int
    valid_from: int
    valid_to: int
    recorded_at: int
    wrong_at: int | None
    trust: float
    voice: int
    says: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds of one key at one moment.

    Attributes:
        ids: what stands, newest and most trusted first; more than one where they are in conflict.
        ends: for each id that is superseded, or will be by a later fact, the beginning of the next one.
    """

    ids: tuple[int, ...]
    ends: dict[int, int]


def holds(fact: Fact, at: int, known: int) -> bool:
    """Whether the fact, taken alone, is true at `at` by what was known at `known`."""
    return _believed(fact, known) and fact.valid_from <= at < fact.valid_to


def _believed(fact: Fact, known: int) -> bool:
    return fact.recorded_at <= known and (fact.wrong_at is None or fact.wrong_at > known)


def supersedes(new: Fact, old: Fact) -> bool:
    """Whether `new` takes the place of `old` for as long as it is valid itself."""
    if new.trust < old.trust or new.id == old.id:
        return False
    if new.valid_from != old.valid_from:
        return new.valid_from > old.valid_from
    return (new.voice == old.voice or new.says == old.says) and (new.recorded_at, new.id) > (old.recorded_at, old.id)


def standing(facts: Iterable[Fact], at: int, known: int) -> Standing:
    """What holds of one key at `at` by what was known at `known`. No facts give nothing."""
    believed = [f for f in facts if _believed(f, known)]
    now = [f for f in believed if f.valid_from <= at < f.valid_to]
    left = [f for f in now if not any(supersedes(other, f) for other in now)]
    left.sort(key=lambda f: (-f.valid_from, -f.trust, -f.recorded_at, -f.id))
    ends = {f.id: end for f in believed if (end := _next(f, believed)) < f.valid_to}
    return Standing(tuple(f.id for f in _distinct(left)), ends)


def _distinct(facts: Sequence[Fact]) -> list[Fact]:
    """Of facts that say the same, the first."""
    seen: set[bytes] = set()
    return [f for f in facts if not (f.says in seen or seen.add(f.says))]  # type: ignore[func-returns-value]  # add gives None


def _next(fact: Fact, others: Iterable[Fact]) -> int:
    """When the first fact that supersedes this one begins; FOREVER where none does."""
    return min((o.valid_from for o in others if supersedes(o, fact)), default=FOREVER)
