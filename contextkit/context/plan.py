"""Who gets how many tokens: flexible sections share the room that fixed ones leave, and lend what they do not want."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contextkit.context.call import SectionRule
from contextkit.errors import BudgetExceeded


@dataclass(frozen=True, slots=True)
class Fixed:
    """A section that goes in whole or not at all."""

    section: str
    tokens: int
    remedy: str


def room_left(limit: int, fixed: list[Fixed]) -> int:
    """The tokens that the fixed sections leave of a limit.

    Raises:
        BudgetExceeded: naming the first section, in the order given, that does not fit into what those before it left.
    """
    left = limit
    for one in fixed:
        if one.tokens > left:
            raise BudgetExceeded(
                f"the section {one.section!r} needs {one.tokens} tokens, {max(left, 0)} of the budget of {limit} are left: "
                f"{one.remedy}",
                section=one.section,
                needed=one.tokens,
                limit=max(left, 0),
            )
        left -= one.tokens
    return left


def shares(room: int, rules: Mapping[str, SectionRule]) -> dict[str, int]:
    """Each section's own part of the room: by its share against all shares, at least its minimum.

    What a section's maximum cuts off goes to those without one, by their shares.
    """
    total = sum(rule.share for rule in rules.values())
    own = {name: int(room * rule.share / total) if total else 0 for name, rule in rules.items()}
    spare = sum(max(0, own[name] - rule.maximum) for name, rule in rules.items() if rule.maximum is not None)
    open_total = sum(rule.share for rule in rules.values() if rule.maximum is None)
    for name, rule in rules.items():
        if rule.maximum is not None:
            own[name] = min(own[name], rule.maximum)
        elif open_total:
            own[name] += int(spare * rule.share / open_total)
    return {name: max(rules[name].minimum, tokens) for name, tokens in own.items()}


def allocate(room: int, wants: Mapping[str, int], rules: Mapping[str, SectionRule]) -> dict[str, int]:
    """Tokens for each section, together at most `room` and none above what the section wants.

    First every section gets its minimum, then up to its share, then what is left goes to those that want more, by priority (ties
    in the order given).

    Raises:
        BudgetExceeded: the minimums do not fit; names the one of lowest priority that is left short.
    """
    order = sorted(wants, key=lambda name: -rules[name].priority)
    wants = {name: want if rules[name].maximum is None else min(want, rules[name].maximum or 0) for name, want in wants.items()}
    given: dict[str, int] = {}
    left = room
    for name in order:
        least = min(wants[name], rules[name].minimum)
        if least > left:
            raise BudgetExceeded(
                f"the section {name!r} has a minimum of {least} tokens, {left} are left: raise the budget or lower the minimum",
                section=name,
                needed=least,
                limit=left,
            )
        given[name] = least
        left -= least
    own = shares(room, rules)
    for name in order:
        more = min(left, max(0, min(wants[name], own[name]) - given[name]))
        given[name] += more
        left -= more
    for name in order:
        more = min(left, wants[name] - given[name])
        given[name] += more
        left -= more
    return given
