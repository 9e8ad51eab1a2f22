"""The time in a question: by a date, or by an event that is remembered; and what it narrows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.memory import times
from contextkit.memory.anchors import clause, named

ANN = {"user": "ann"}
NOW = times.micros("2026-05-28T10:00:00Z")


@pytest.mark.parametrize(
    ("query", "begin", "until"),
    [
        ("What did we decide last month?", "2026-04-01", "2026-05-01"),
        ("Who joined since March?", "2026-03-01", None),
        ("Where did she live before 2023?", None, "2023-01-01"),
        ("What happened after last summer?", "2025-09-01", None),
        ("What was open until March?", None, "2026-03-01"),
        ("What is due by next Friday?", None, "2026-05-30"),
        ("Where was Tim in the week before 16 November 2023?", "2023-11-09", "2023-11-16"),
        ("What came the day after 3 May 2024?", "2024-05-04", "2024-05-05"),
        ("What did he do two weeks before August 11, 2023?", "2023-07-21", "2023-08-03"),
        ("What did they do between May 2023 and July 2023?", "2023-05-01", "2023-08-01"),
        ("What was it last week, as mentioned on 6 November 2023?", "2023-10-30", "2023-11-07"),
        ("What did he get from Ann in May 2023?", "2023-05-01", "2023-06-01"),
        ("What did we say over the past two weeks?", "2026-05-15", "2026-05-29"),
    ],
)
def test_a_time_in_a_question(query, begin, until):
    found = named(query, NOW)
    if query.startswith("What did he do two"):
        assert abs((found.begin - times.moment(times.micros(begin))).days) <= 3
        assert abs((found.until - times.moment(times.micros(until))).days) <= 4
        return
    day = [None if t is None else times.shown(t)[:10] for t in (found.begin, found.until)]
    assert day == [begin, until]
    assert found.anchor is None
    assert found.phrase in query


@pytest.mark.parametrize(
    ("query", "relation", "event"),
    [
        ("Where did Ann live before the move?", "before", "move"),
        ("What happened right after the launch of the shop?", "after", "launch of the shop"),
        ("When did she move before the launch?", "before", "launch"),
        ("Before the move, what did Ann eat?", "before", "move"),
        ("Before the move what did Ann eat?", "before", "move"),
        ("When she lived in Oslo, what did she drink?", "during", "lived in Oslo"),
        ("Who has joined since the merger happened?", "since", "merger"),
        ("How was the weather during our trip to Rome?", "during", "trip to Rome"),
        ("When did she move?", None, None),
        ("When is the launch?", None, None),
        ("What does she do while she writes?", None, None),
        ("What does he want when he goes over to the shop?", None, None),
        ("Where was she during the summer?", None, None),
        ("What was it like before then?", None, None),
        ("Where is the key?", None, None),
    ],
)
def test_an_event_in_a_question(query, relation, event):
    found = clause(query)
    assert (found and found.relation, found and found.event) == (relation, event)


@pytest.fixture
def life(store):
    store.remember("Ann lives in Oslo", scope=ANN, key="ann/city", valid_from="2020-01-01")
    store.remember("Ann lives in Rome", scope=ANN, key="ann/city", valid_from="2023-06-01")
    store.remember("Ann drinks milk", scope=ANN, key="ann/drink", valid_from="2020-01-01")
    store.remember("Ann drinks wine", scope=ANN, key="ann/drink", valid_from="2023-08-01")
    store.remember("The office is in hall 3", scope=ANN, valid_from="2021-01-01", valid_to="2023-01-01")
    store.remember("The office is in hall 9", scope=ANN, valid_from="2023-01-01")
    store.observe(
        [{"role": "user", "name": "Ann", "content": "We launched the new shop yesterday, what a party!", "time": "2022-05-06"}],
        scope={**ANN, "session": "s1"},
    )
    return store


def texts(store, query, **more):
    return [m.text for m in store.recall(query, scope=ANN, **more)]


@pytest.mark.parametrize(
    ("query", "there", "gone", "anchor"),
    [
        ("Where did Ann live before the move?", "Ann lives in Oslo", "Ann lives in Rome", "Ann lives in Rome"),
        ("What did Ann drink before the move?", "Ann drinks milk", "Ann drinks wine", "Ann lives in Rome"),
        ("What did Ann drink after the move?", "Ann drinks wine", "Ann drinks milk", "Ann lives in Rome"),
        ("What did Ann drink when she lived in Oslo?", "Ann drinks milk", "Ann drinks wine", "Ann lives in Oslo"),
        ("What did Ann drink after she lived in Oslo?", "Ann drinks wine", "Ann drinks milk", "Ann lives in Oslo"),
        ("Where was the office before the launch of the shop?", "The office is in hall 3", "The office is in hall 9", "We launched the new shop yesterday, what a party!"),
        ("Where was the office during the launch?", "The office is in hall 3", "The office is in hall 9", "We launched the new shop yesterday, what a party!"),
        ("Where has the office been since the move?", "The office is in hall 9", "The office is in hall 3", "Ann lives in Rome"),
        ("Where did Ann live last year?", "Ann lives in Rome", "Ann lives in Oslo", None),
    ],
)  # fmt: skip
def test_the_time_of_an_event_narrows(life, query, there, gone, anchor):
    found = texts(life, query, k=20)
    assert there in found
    assert gone not in found
    packed = life.recall_packed(query, scope=ANN)
    assert packed.period == life.period(query, scope=ANN)
    assert packed.period.narrows
    assert (None if packed.period.anchor is None else life.get(packed.period.anchor).text) == anchor
    if anchor:
        assert packed.period.anchor in packed.period.told


def test_the_day_is_that_of_the_event_and_not_of_the_telling(life):
    found = life.period("What was before the launch?", scope=ANN)
    assert times.shown(found.until) == "2022-05-05"


def test_an_event_that_nothing_tells_of_narrows_nothing_and_says_so(life):
    query = "What did Ann drink before the earthquake?"
    assert set(texts(life, query, k=20)) == set(texts(life, "What did Ann drink? earthquake", k=20))
    found = life.recall_packed(query, scope=ANN).period
    assert (found.anchor, found.begin, found.until, found.narrows) == (None, None, None, False)
    assert "nothing known tells of 'earthquake'" in found.told


def test_what_is_asked_for_outright_beats_the_event(life):
    assert "Ann lives in Rome" in texts(life, "Where did Ann live before the move?", as_of="2024-01-01", k=20)


def test_an_event_of_another_is_not_an_anchor(life):
    life.remember("Bob launched a rocket", scope={"user": "bob"}, valid_from="2010-01-01")
    assert life.period("before the rocket", scope=ANN).anchor is None
    assert life.period("before the rocket", scope={"user": "bob"}).anchor is not None
    assert life.period("before the launch", scope={"tenant": "x"}).anchor is None


def test_what_was_not_known_yet_is_no_anchor(life):
    moment = life.history(key="ann/city")[1].recorded_at
    known = moment.replace(microsecond=max(0, moment.microsecond - 1))
    assert life.period("before the move", scope=ANN, known_at=known).anchor is None


def test_who_is_asked_about_decides_whose_event_it_is(life):
    life.remember("Leo lives in Turku", scope=ANN, key="leo/city", valid_from="2010-01-01")
    life.remember("Leo lives in Vaasa", scope=ANN, key="leo/city", valid_from="2015-01-01")
    assert times.shown(life.period("Where did Leo live before the move?", scope=ANN).until) == "2015-01-01"
    assert times.shown(life.period("Where did Ann live before the move?", scope=ANN).until) == "2023-06-01"


words = st.sampled_from(
    "before after since when until the move launch in May 2023 last week she lived , ? during Ann two weeks".split()
)


@given(st.text(max_size=80) | st.lists(words, max_size=12).map(" ".join))
@settings(deadline=None, max_examples=300)
def test_no_question_breaks_the_reading(query):
    found = named(query, NOW)
    if found is not None and found.begin is not None and found.until is not None:
        assert found.begin < found.until
    clause(query)
