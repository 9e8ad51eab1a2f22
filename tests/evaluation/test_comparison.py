"""The paired bootstrap: what it covers, and that it is the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from contextkit.evaluation.comparison import difference


def test_a_clear_difference_and_none():
    before = np.linspace(0, 1, 50)
    same = difference(before, before)
    assert (same.mean, same.low, same.high, same.questions) == (0.0, 0.0, 0.0, 50)
    up = difference(before, before + 0.1)
    assert up.mean == pytest.approx(0.1)
    assert up.low == pytest.approx(0.1)


def test_pairs_stay_together():
    random = np.random.default_rng(3)
    before = random.uniform(0, 100, 200)  # questions differ by far more than what is compared
    found = difference(before, before + random.normal(1, 1, 200))
    assert 0.7 < found.low < found.mean < found.high < 1.3


def test_the_range_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(4)
    inside = 0
    for _ in range(300):
        gains = random.normal(0.5, 2.0, 60)
        found = difference(np.zeros(60), gains, rounds=500)
        inside += found.low <= 0.5 <= found.high
    assert 0.85 < inside / 300 < 0.95


def test_it_is_the_same_every_time_and_for_any_number():
    random = np.random.default_rng(5)
    gains = random.normal(0, 1, 30)
    assert difference(np.zeros(30), gains) == difference(np.zeros(30), gains)
    assert difference(np.zeros(30), gains, seed=1) != difference(np.zeros(30), gains)
    assert difference(np.zeros(1), np.ones(1)).low == 1.0
    wider = difference(np.zeros(30), gains, level=0.99)
    assert wider.low < difference(np.zeros(30), gains).low
    many = random.normal(0, 1, 300_000)
    assert difference(np.zeros(len(many)), many, rounds=20).questions == len(many)
