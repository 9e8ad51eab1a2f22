"""Routing: who can serve a call, who is cheapest, and why."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.context.route import Candidate


def call(**changes) -> ck.AgentCall:
    return ck.AgentCall(
        **{"question": "What is subject 7?", "budget": 3000, "reply_reserve": 500, "scope": {"run": "route"}, **changes}
    )


def test_the_cheapest_that_fits_wins_and_says_what_better_would_cost(fresh_kit):
    models = [Candidate(model="gpt-4o", tier=2), Candidate(model="gpt-4o-mini", tier=1)]
    made = fresh_kit.route(call(), models)
    assert made.model == "gpt-4o-mini"
    assert "next better, gpt-4o of tier 2, would cost $" in made.why
    assert fresh_kit.route(call(), models, tier=2).model == "gpt-4o"
    assert fresh_kit.route(call(), ["gpt-4o", "gpt-4o-mini"]).model == "gpt-4o-mini"
    mini = made.options[1]
    packet = fresh_kit.build(call(model="gpt-4o-mini"))
    assert mini.tokens == packet.tokens
    assert mini.dollars == pytest.approx((packet.tokens * 0.15 + 500 * 0.6) / 1e6)
    assert fresh_kit.route(call(), models) == fresh_kit.route(call(), models)


def test_routing_stores_nothing(fresh_kit):
    fresh_kit.route(call(), ["gpt-4o"])
    assert fresh_kit.receipts() == []
    assert "first packet" in fresh_kit.build(call(model="gpt-4o")).receipt.prefix_broken_by


def test_a_cached_prefix_makes_its_model_cheaper(fresh_kit):
    long = call(system="Rule: be exact. " * 300, model="gpt-4o", budget=6000)
    cold = fresh_kit.route(long, ["gpt-4o"]).options[0].dollars
    fresh_kit.build(long)
    assert fresh_kit.route(long, ["gpt-4o"]).options[0].dollars < cold


def test_each_reason_is_given(fresh_kit):
    with pytest.raises(ck.InputError) as caught:
        fresh_kit.route(
            call(reply_reserve=5000, budget=20_000, system="rule " * 9000),
            [
                Candidate(model="gpt-4o", tier=1),
                Candidate(model="gpt-4o-mini", tier=5, data_classes={"public"}),
                Candidate(model="gpt-4.1", tier=5, seconds=60),
                Candidate(model="gpt-4", tier=5),
                Candidate(model="gpt-40", tier=5),
                Candidate(model="gpt-4-turbo", tier=5),
            ],
            tier=2,
            data_class="secret",
            deadline=10,
        )
    said = str(caught.value)
    for words in (
        "tier 1 is below 2",
        "may not see 'secret'",
        "60 seconds, 10 are left",
        "never trimmed",
        "unknown model 'gpt-40'",
        "at most 4096",
    ):
        assert words in said


@pytest.mark.parametrize("candidates", [[], ["gpt-4o", "gpt-4o"]])
def test_no_candidates_or_one_twice(kit, candidates):
    with pytest.raises(ck.InputError, match="candidates"):
        kit.route(call(), candidates)
