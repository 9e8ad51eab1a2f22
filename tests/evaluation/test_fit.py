"""Signals and the fit: the columns are the score's, the gradient is the function's, and the fit finds what is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contextkit.context.build import retrieve
from contextkit.evaluation import fit as fitting
from contextkit.evaluation.fit import fit
from contextkit.evaluation.questions import Asked, Judged
from contextkit.evaluation.signals import LINEAR, Listed, collect, columns, request
from contextkit.retrieval.scoring import Weights, with_neighbours
from contextkit.tokens import counter_for

NAMES = tuple(name for name in LINEAR if name != "rerank")
SOME = np.array([LINEAR.index(name) for name in ("passage", "coverage", "sentence", "sentence_lexical")])


def made(n, m, useful, seed=0):
    """n questions of m candidates, of which one holds the gold: it stands out in one column, the others are noise."""
    random = np.random.default_rng(seed)
    signals = random.uniform(0, 1, (n, m, len(LINEAR)))
    signals[..., LINEAR.index("rerank")] = 0
    gain = np.zeros((n, m))
    gain[:, 3] = 1
    signals[:, 3, LINEAR.index(useful)] = 1.2
    reach = random.choice([0.7, 1.0], (n, m))  # by chance: a pattern would tell where the gold stands
    reach[:, 0] = 0
    first = np.arange(n, dtype=np.int64) * m
    return Listed(
        signals.reshape(-1, len(LINEAR)),
        reach.ravel(),
        np.append(reach.ravel()[1:], 0.0) * 0.8,
        gain.ravel(),
        np.full(n * m, 20.0),
        first,
    )


def test_the_columns_add_up_to_the_score(kit, judged):
    weights = replace(Weights(), sentence=0.3, neighbour=0.7)
    reader = replace(kit._reader(), weights=weights)
    for asked in judged[:3]:
        found = retrieve(reader, request(Asked(asked, asked.gold), 1))
        own = columns(found) @ [getattr(weights, name) for name in LINEAR]
        sides = found.sentences.before, found.sentences.after
        expected = with_neighbours(own.astype(np.float32), *sides, weights.neighbour)
        np.testing.assert_allclose(found.sentences.score, expected, atol=1e-5)


def test_the_fit_scores_as_the_index_does(kit, judged):
    reader = kit._reader()
    for asked in judged[:3]:
        lists = collect(reader, [Asked(asked, asked.gold)], counter_for(None))
        problem = fitting._Problem(lists, np.arange(len(LINEAR)), np.array([100.0]))
        scores, _, _ = problem._scores(np.array([getattr(reader.weights, name) for name in (*LINEAR, "neighbour")]))
        found = retrieve(reader, request(Asked(asked, asked.gold), 1))
        np.testing.assert_allclose(scores, found.sentences.score, atol=1e-5)


def test_what_is_collected(kit, judged):
    counter, reader = counter_for(None), kit._reader()
    asked = [Asked(one, one.gold) for one in judged[:6]]
    asked.insert(2, Asked(Judged(question="What of the moon?"), ("words that stand nowhere in it",)))
    told = []
    lists = collect(reader, asked, counter, told.append)
    assert told == list(range(1, 8))
    assert (lists.skipped, len(lists.first)) == (1, 6)
    ends = np.append(lists.first[1:], len(lists.gain))
    for start, end in zip(lists.first, ends, strict=True):
        assert lists.gain[start:end].sum() == pytest.approx(1)
        assert (lists.before[start], lists.after[end - 1]) == (0, 0)
    assert lists.columns.shape == (len(lists.gain), len(LINEAR))
    assert (lists.tokens >= 2).all()
    some = lists.of(np.array([False, True, False, True, False, False]))
    np.testing.assert_array_equal(some.gain[: ends[1] - lists.first[1]], lists.gain[lists.first[1] : ends[1]])
    assert some.first.tolist() == [0, ends[1] - lists.first[1]]
    assert len(collect(reader, [], counter).first) == 0


@pytest.mark.parametrize("budget", [60.0, 400.0, 100_000.0])
def test_the_gradient_is_that_of_the_function(budget):
    lists = made(5, 40, "sentence", seed=2)
    problem = fitting._Problem(lists, SOME, np.array([budget, 100.0]))
    point = np.array([1.0, 0.5, 0.5, 0.25, 0.4])
    value, slope = problem.evidence(point)
    assert 0 <= value <= 1
    for n in range(len(point)):
        step = np.zeros(5)
        step[n] = 1e-5
        numeric = (problem.evidence(point + step)[0] - problem.evidence(point - step)[0]) / 2e-5
        assert slope[n] == pytest.approx(numeric, abs=2e-4)


def test_the_budget_is_kept():
    problem = fitting._Problem(made(4, 50, "sentence"), SOME, np.array([100.0]))
    scores, _, _ = problem._scores(np.array([1.0, 0.5, 0.5, 0.25, 0.4]))
    inside, _ = problem._inside(scores, 100.0)
    np.testing.assert_allclose(np.add.reduceat(20.0 * inside, problem.first), 100, rtol=1e-2)


@pytest.mark.parametrize("useful", NAMES)
def test_the_signal_that_tells_gains_weight(useful):
    before = Weights()
    found = fit(made(40, 30, useful), before, (60, 200))
    assert found.names == (*NAMES, "neighbour")
    new = {name: getattr(found.weights, name) for name in NAMES}
    assert new[useful] > getattr(before, useful)
    gain = {name: new[name] - getattr(before, name) for name in NAMES}
    assert all(5 * gain[name] < gain[useful] for name in NAMES if name != useful)
    assert sum(new.values()) == pytest.approx(sum(getattr(before, name) for name in NAMES), abs=0.01)
    assert min(*new.values(), found.weights.neighbour) >= 0
    others = {name: getattr(before, name) for name in ("rerank", "whole", "enough", "confidence_base")}
    assert {name: getattr(found.weights, name) for name in others} == others
    assert fit(made(40, 30, useful), before, (60, 200)) == found


def test_where_nothing_tells_the_weights_hardly_move():
    largest = []
    for seed in range(5):
        lists = made(80, 40, "rerank", seed)
        lists.columns[:, LINEAR.index("rerank")] = 0  # the only signal that told
        found = fit(lists, Weights(), (60, 200))
        largest.append(max(abs(getattr(found.weights, name) - getattr(Weights(), name)) for name in NAMES))
    assert np.median(largest) < 0.3  # where one did move the questions held out would still have to show a gain


def test_a_reranker_is_fitted_where_there_is_one():
    found = fit(made(40, 30, "rerank"), Weights(), (60,))
    assert "rerank" in found.names
    assert found.weights.rerank > Weights().rerank


def test_one_question_is_enough_to_compute():
    found = fit(made(1, 10, "sentence"), Weights(), (60,))
    assert found.price == fitting.PRICES[0]
