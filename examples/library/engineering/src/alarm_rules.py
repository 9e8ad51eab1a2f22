"""Evaluation of limits for one sensor.

Two reviewers are needed for changes in this file, one of them from the list of qualified reviewers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

SECOND_LIMIT_OFFSET = 5.0
"""Degrees between the first limit and the one that has no delay."""

HYSTERESIS = {"temperature": 0.5, "humidity": 2.0, "co2": 50.0}


class Direction(Enum):
    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True)
class Reading:
    time: datetime
    value: float


@dataclass(frozen=True)
class Rule:
    quantity: str
    limit: float
    direction: Direction
    delay: timedelta
    second_offset: float = SECOND_LIMIT_OFFSET

    def beyond(self, value: float, limit: float | None = None) -> bool:
        """Whether a value is on the wrong side of the limit. A value exactly at the limit is still good."""
        limit = self.limit if limit is None else limit
        return value > limit if self.direction is Direction.ABOVE else value < limit

    @property
    def second_limit(self) -> float:
        sign = 1 if self.direction is Direction.ABOVE else -1
        return self.limit + sign * self.second_offset


def should_raise(rule: Rule, readings: list[Reading], now: datetime) -> bool:
    """Decide whether an alarm has to be raised.

    The newest reading beyond the second limit raises at once. Otherwise every reading within the delay must be beyond the
    first limit, there must be at least two of them, and the oldest must be at least as old as the delay. A gap of more than
    three intervals is not bridged: silence is the business of the offline alarm, see NB-1028 for what happens when two
    alarms try to say the same thing.
    """
    if not readings:
        return False
    newest = readings[-1]
    if rule.beyond(newest.value, rule.second_limit):
        return True
    window: list[Reading] = []
    for reading in reversed(readings):
        if not rule.beyond(reading.value):
            break
        window.append(reading)
    if len(window) < 2:
        return False
    return now - window[-1].time >= rule.delay


def has_ended(rule: Rule, newest: Reading) -> bool:
    """Whether a raised alarm is over: back inside the limit by the hysteresis of the quantity."""
    margin = HYSTERESIS[rule.quantity]
    if rule.direction is Direction.ABOVE:
        return newest.value <= rule.limit - margin
    return newest.value >= rule.limit + margin


def mean_kinetic_temperature(celsius: list[float], activation_energy: float = 83.144, gas_constant: float = 8.314462e-3) -> float:
    """Mean kinetic temperature in degrees Celsius; energies in kJ/mol, the gas constant in kJ/(mol K)."""
    from math import exp, log

    if not celsius:
        raise ValueError("mean kinetic temperature of no readings")
    ratio = activation_energy / gas_constant
    mean = sum(exp(-ratio / (t + 273.15)) for t in celsius) / len(celsius)
    return ratio / -log(mean) - 273.15
