"""What words and dates add to a record's score: what it holds of the question, what stands beside it, and when it was said."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.memory import Kind, ranking, times
from contextkit.memory.ranking import Weights
from contextkit.memory.records import Source
from contextkit.memory.rows import Draft
from contextkit.retrieval.dates import Date, is_of
from contextkit.retrieval.pasted import TERMS
from contextkit.retrieval.scoring import covered
from contextkit.retrieval.terms import content_terms

ANN = {"user": "ann"}
NOTHING = Weights(
    **dict.fromkeys(
        (
            "meaning",
            "coverage",
            "together",
            "meaning_around",
            "speaker",
            "time",
            "date",
            "asks",
            "neighbour",
            "recency",
            "importance",
        ),
        0.0,
    )
)
COVERAGE, TOGETHER, DATE = (replace(NOTHING, **{name: 1.0}) for name in ("coverage", "together", "date"))


def facts(store, *texts):
    return store.write([Draft(text, Kind.SEMANTIC, (("user", "ann"),), times.micros("2024-01-01")) for text in texts])


def turns(store, *texts, thread="talk", day="2024-01-01", session="s"):
    scope = (("user", "ann"), ("session", session))
    made = [Draft(t, Kind.EPISODIC, scope, times.micros(day), source=Source(author="Bob"), thread=thread) for t in texts]
    return [m.id for m in store.write(made)]


def scores(store, question, **more):
    return {m.id: m.score for m in store.recall(question, scope=ANN, k=50, **more)}


def test_a_word_counts_once_and_rare_ones_for_more(opened, tmp_path):
    store = opened(tmp_path, weights=COVERAGE)
    one, often, rare, both, none = (
        m.id for m in facts(store, "a pump", "pump, pump, a pump of pumps", "the valve", "a valve of some pump", "rain")
    )
    found = scores(store, "pump and valve")
    assert found[one] == found[often]
    assert found[both] == pytest.approx(1)
    assert found[one] < found[rare] < found[both]
    assert found[one] + found[rare] == pytest.approx(found[both], abs=1e-3)
    assert found[none] == 0


def test_an_authors_name_is_a_word_of_what_is_said(opened, tmp_path):
    store = opened(tmp_path, weights=COVERAGE)
    (said,) = turns(store, "the pump is new")
    (other,) = (m.id for m in facts(store, "the pump is old"))
    found = scores(store, "Bob pump")
    assert found[said] == pytest.approx(1)
    assert found[other] < 1


def test_words_may_stand_two_turns_away_but_no_further(opened, tmp_path):
    store = opened(tmp_path, weights=TOGETHER)
    valve, *between, pump = turns(store, "the valve", "hm", "well", "so", "the pump")
    found = scores(store, "pump valve")
    assert found[between[1]] == pytest.approx(1), "two away from either"
    assert found[between[0]] == found[valve] == pytest.approx(0.5, abs=0.01)
    assert found[pump] == pytest.approx(0.5, abs=0.01)


def test_words_of_another_talk_or_of_what_is_not_seen_do_not_count(opened, tmp_path):
    store = opened(tmp_path, weights=TOGETHER)
    first, middle, last = turns(store, "the pump", "the valve", "the lever")
    turns(store, "the hinge", thread="other", session="t")
    assert scores(store, "pump valve lever hinge")[middle] == pytest.approx(0.75, abs=0.01)
    store.retract(first)
    assert scores(store, "valve lever pump")[middle] == scores(store, "valve lever pump")[last] < 0.9
    assert set(scores(store, "pump")) == {middle, last, "m4"}


def test_scores_of_all_are_those_of_some(store):
    chance = np.random.default_rng(5)
    words = "amber basin cedar delta ember fjord grove heron".split()
    ids = turns(store, *(" ".join(chance.choice(words, 3)) for _ in range(40)))
    with store.reading() as rows:
        columns = store.columns(rows)
        seen = chance.random(columns.size) < 0.7
        seen[0] = False
        question = "amber delta heron zebra"
        asked = ranking.Asked(question, np.zeros((1, 1)), content_terms(question), frozenset(), None, None, 0)
        found = ranking._Words.of(columns, rows, asked, seen, int(seen.sum()))
        numbers = np.flatnonzero(seen)
        assert np.allclose(found.coverage(), covered(found.holding.T, found.rarity), atol=1e-6)
        assert (found.together(columns, numbers) >= found.coverage()[numbers] - 1e-6).all()
    assert found.holding.shape == (4, len(ids) + 1)
    assert not found.holding[:, ~seen].any()
    assert not found.holding[3].any()


def test_a_pasted_text_is_asked_for_by_its_most_telling_words(store):
    facts(store, "the quorum is seven", *(f"note {n} about the weather" for n in range(5)))
    question = "the weather, " + " ".join(f"word{n}" for n in range(400)) + " quorum"
    assert store.recall(question, scope=ANN, k=1)[0].text == "the quorum is seven"
    with store.reading() as rows:
        columns = store.columns(rows)
        seen = columns.status[: columns.size] >= 0
        asked = ranking.Asked(question, np.zeros((1, 1)), content_terms(question), frozenset(), None, None, 0)
        assert len(ranking._Words.of(columns, rows, asked, seen, 6).holding) == 2 <= TERMS


def test_a_question_that_no_record_shares_a_word_with(opened, tmp_path):
    store = opened(tmp_path, weights=COVERAGE)
    facts(store, "the pump")
    assert scores(store, "zebra") == {"m1": 0}
    assert scores(store, "?!") == {"m1": 0}


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=30), st.integers(1, 12))
def test_the_first_are_the_best_and_of_equal_ones_the_newer(values, k):
    ids = np.arange(1, len(values) + 1)
    found = ranking._first(ids, np.array(values, np.float32), k)
    best = sorted(zip(values, ids.tolist(), strict=True), reverse=True)[:k]
    assert sorted(found.tolist()) == sorted(i for _, i in best)


_DATES = st.builds(
    Date, st.none() | st.integers(2019, 2025), st.none() | st.integers(1, 12), st.none() | st.integers(1, 31)
).filter(any)


@given(
    st.frozensets(_DATES, min_size=1, max_size=3),
    st.lists(st.dates(date(1969, 1, 1), date(2025, 12, 31)), min_size=1),
)
def test_moments_are_of_a_date_as_documents_are(named, days):
    moments = np.array([times.micros(f"{day}T23:59:59Z") for day in days], np.int64)
    expected = [is_of(named, frozenset([Date(day.year, day.month, day.day)])) for day in days]
    assert ranking._of_date(named, moments).tolist() == expected


def test_what_was_said_on_a_named_date_counts_more(opened, tmp_path):
    store = opened(tmp_path, weights=DATE)
    (may,) = turns(store, "the pump came", day="2021-05-08T13:00:00Z")
    (june,) = turns(store, "the pump went", day="2023-06-08T13:00:00Z", thread="later")
    (fact,) = (m.id for m in facts(store, "the pump is heavy"))
    assert scores(store, "What of the pump in May 2021?") == {may: 1, june: 0, fact: 0}
    assert scores(store, "What of the pump on the 8th of June?")[june] == 1
    assert scores(store, "What of the pump?") == {may: 0, june: 0, fact: 0}
