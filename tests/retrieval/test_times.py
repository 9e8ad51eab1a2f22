"""Relative words of time in questions: which days they mean, which documents are of them, and what a receipt says of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit as ck
from contextkit.errors import InputError
from contextkit.retrieval.dates import Date
from contextkit.retrieval.times import Period, Times, named
from contextkit.testing import TinyEmbedder

NOW = datetime(2026, 11, 21, 11, 30, tzinfo=UTC)  # a Saturday


@pytest.mark.parametrize(
    ("question", "said", "begin", "last"),
    [
        ("What did we decide last week?", "last week", "2026-11-09", "2026-11-15"),
        ("Which tickets came in yesterday?", "yesterday", "2026-11-20", "2026-11-20"),
        ("What changed two months ago?", "two months ago", "2026-09-01", "2026-09-30"),
        ("What were the sales this year?", "this year", "2026-01-01", "2026-12-31"),
        ("Outages in the past 30 days?", "in the past 30 days", "2026-10-23", "2026-11-21"),
        ("Show the last 7 days of tickets", "the last 7 days", "2026-11-15", "2026-11-21"),
        ("What failed in the last 24 hours?", "in the last 24 hours", "2026-11-20", "2026-11-21"),
        ("What did Ann say last May?", "last may", "2026-05-01", "2026-05-31"),
        ("How were sales last quarter?", "last quarter", "2026-07-01", "2026-09-30"),
        ("Mails since last month", "since last month", "2026-10-01", "2026-11-21"),
        ("Reports after last week", "after last week", "2026-11-16", "2026-11-21"),
        ("What did we decide on Monday?", "on monday", "2026-11-16", "2026-11-16"),
        ("What is due on Monday?", "on monday", "2026-11-23", "2026-11-23"),
    ],
)
def test_relative_words_are_days_as_of_now(question, said, begin, last):
    (period,) = named(question, NOW).periods
    end = date.fromisoformat(last)
    assert period == Period(said, date.fromisoformat(begin), end + timedelta(days=1))
    shown = begin if begin == last else f"{begin} to {last}"
    assert named(question, NOW).understood() == {said: shown}
    assert named(question, None).periods == ()


def test_before_has_no_beginning():
    found = named("What was the limit before last year?", NOW)
    assert found.understood() == {"before last year": "until 2024-12-31"}


@pytest.mark.parametrize(
    "question",
    [
        "What is Ann's last name?",
        "Is this the last page?",
        "How much can I earn in three months?",
        "What did Tim do recently?",
        "",
    ],
)
def test_what_names_no_time(question):
    assert not named(question, NOW)


def test_beside_a_date_with_its_year_relative_words_are_meant_as_of_that():
    found = named("What was the issue last week, as mentioned on November 6, 2023?", NOW)
    assert found == Times(frozenset({Date(2023, 11, 6)}), (), "", NOW.date())
    beside = named("What did Ann say yesterday about the trip in June?", NOW)
    assert beside.dates == {Date(None, 6, None)}
    assert [p.said for p in beside.periods] == ["yesterday"]


def test_a_long_text_names_nothing_of_its_own():
    assert named("We met last week. " * 200, NOW).periods == ()


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is the latest travel policy?", "latest"),
        ("Who signed the most recent audit?", "most recent"),
        ("Give me the newest price list", "newest"),
        ("When must it be paid at the latest?", ""),
        ("Which is later?", ""),
    ],
)
def test_what_is_newest_is_asked_for(question, said):
    assert named(question, NOW).latest == said


@given(st.text(max_size=200), st.datetimes(timezones=st.just(UTC)))
def test_no_question_breaks_it(text, now):
    found = named(text, now)
    assert len(found.understood()) <= len(found.periods) + 1
    assert all(p.said in found.understood() for p in found.periods)


TALK = "Ann: We {} for the whole day.\nBob: That was a fine day for all of us."


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("times") / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document(id="old", text=TALK.format("rode"), metadata={"time": "9:10 am on 12 November, 2025"}),
                ck.Document(id="week", text=TALK.format("sailed"), metadata={"time": "9:10 am on 12 November, 2026"}),
                ck.Document(id="month", text=TALK.format("skied"), metadata={"time": "2026-10-05"}),
                ck.Document(id="none", text=TALK.format("swam")),
            ]
        )
        yield kit


@pytest.mark.parametrize(
    ("question", "document"), [("What did Ann do last week?", "week"), ("What did Ann do last month?", "month"),
                               ("What did Ann do last year?", "old")]
)  # fmt: skip
def test_the_document_of_those_days_comes_first(talks, question, document):
    packet = talks.context(question, budget=60, now=NOW)
    assert packet.items[0].document_id == document
    assert packet.items[0].scores.date == 1
    assert talks.search(question, k=1, now=NOW)[0].document_id == document
    assert all(i.scores.date == 0 for i in packet.items if i.document_id != document)


def test_a_receipt_says_what_was_understood_and_makes_the_packet_again(talks):
    packet = talks.context("What did Ann do last week?", budget=60, now=NOW)
    assert packet.receipt.understood == {"last week": "2026-11-09 to 2026-11-15"}
    assert packet.receipt.now == NOW.isoformat()
    again = talks.context(packet.question, budget=60, now=datetime.fromisoformat(packet.receipt.now))
    assert (again.text, again.items) == (packet.text, packet.items)
    later = talks.context(packet.question, budget=60, now=datetime(2026, 10, 14, tzinfo=UTC))
    assert later.receipt.understood == {"last week": "2026-10-05 to 2026-10-11"}
    assert later.items[0].document_id == "month"
    assert talks.receipt(packet.receipt.id).understood == packet.receipt.understood


def test_several_questions_are_each_understood(talks):
    packet = talks.context("What did Ann do last week? And what did Bob say last month?", budget=200, now=NOW)
    assert set(packet.receipt.understood) == {"last week", "last month"}


def test_now_is_a_moment(talks):
    berlin = datetime(2026, 11, 16, 0, 30, tzinfo=timezone(timedelta(hours=1)))  # still Sunday in UTC
    assert talks.context("What was said last week?", now=berlin).receipt.understood == {"last week": "2026-11-02 to 2026-11-08"}
    naive = talks.context("What was said last week?", now=datetime(2026, 11, 21)).receipt  # noqa: DTZ001 - without a zone on purpose
    assert naive.now == "2026-11-21T00:00:00+00:00"
    with pytest.raises(InputError, match="now must be a datetime, not '2026'"):
        talks.context("What was said last week?", now="2026")
    made = talks.context("What was said last week?").receipt
    assert abs((datetime.fromisoformat(made.now) - datetime.fromisoformat(made.created)).total_seconds()) < 600


def test_an_agent_call_has_its_moment_too(talks):
    packet = talks.build(ck.AgentCall(question="What did Ann do last week?", budget=600, reply_reserve=100, now=NOW))
    assert packet.receipt.understood == {"last week": "2026-11-09 to 2026-11-15"}
    assert packet.receipt.now == NOW.isoformat()


POLICY = "The travel policy says that a hotel night may cost {} euros. It holds for all staff."


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("latest") / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document(id=f"policy-{y}", text=POLICY.format(y - 1900), metadata={"date": f"{y}-01-01"})
                for y in range(2020, 2028)
            ]
            + [ck.Document(id="menu", text="Soup and bread are served at noon.", metadata={"date": "2026-11-20"})]
            + [ck.Document(id="undated", text=POLICY.format(99))]
        )
        yield kit


def test_the_latest_is_the_newest_of_what_answers_and_not_of_the_future(policies):
    packet = policies.context("What does the latest travel policy say of a hotel night?", budget=60, now=NOW)
    assert packet.items[0].document_id == "policy-2026"
    assert packet.items[0].scores.date == 1
    earlier = policies.context(packet.question, budget=60, now=datetime(2023, 5, 1, tzinfo=UTC))
    assert earlier.items[0].document_id == "policy-2023"
    whole = policies.context(packet.question, budget=2000, now=NOW)
    dates = {i.document_id: i.scores.date for i in whole.items}
    assert dates["undated"] == 0
    assert dates.get("menu", 0) == 0
    assert 0 < dates["policy-2022"] < dates["policy-2025"] < 1
