"""Facts in mails and chats as people write them: what is taken, since when, and what must be left alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.memory import Kind, Source, times, when
from contextkit.memory.extract import MOST, extract, weighty
from contextkit.memory.rows import Draft

SAID = "2024-03-13T15:00:00Z"  # a Wednesday


def facts(text, author="Ann", said=SAID):
    turn = Draft(text, Kind.EPISODIC, (("user", "ann"),), times.micros(said), source=Source(author=author, role="user"))
    return extract(turn, turn.scope)


TOLD = [
    ("We moved to Bergen in May.", {}),  # who "we" are is not told
    ("I moved to Rome in May.", {"ann/city": "Ann lives in Rome"}),
    ("Quick update: I've just moved to São Paulo with the kids!", {"ann/city": "Ann lives in São Paulo"}),
    (
        "I'm originally from Lisbon, but I live in Oslo now.",
        {"ann/origin": "Ann comes from Lisbon", "ann/city": "Ann lives in Oslo"},
    ),
    ("I grew up in Graz.", {"ann/origin": "Ann comes from Graz"}),
    ("I was born on 5 May 1990.", {"ann/birthday": "Ann was born on 5 May 1990"}),
    ("I just turned 40, can you believe it!", {"ann/age": "Ann is 40 years old"}),
    ("Leo is 7 years old.", {"leo/age": "Leo is 7 years old"}),
    ("We have news: I got engaged last weekend!", {"ann/marital status": "Ann is engaged"}),
    ("I have two kids and no time.", {"ann/kids": "Ann has two kids"}),
    ("My brother Tom lives in Leeds.", {"ann/brother: tom": "Ann has a brother named Tom", "tom/city": "Tom lives in Leeds"}),
    ("I'm a nurse at the clinic.", {"ann/job": "Ann is a nurse"}),
    ("Kim is our new account manager.", {"kim/job": "Kim is a account manager"}),
    ("I speak German and some French.", {"ann/languages": "Ann speaks German and some French"}),
    ("I am lactose intolerant.", {"ann/health: lactose intolerant": "Ann is lactose intolerant"}),
    ("I finally quit smoking.", {"ann/habit: smoking": "Ann stopped: smoking"}),
    ("You can reach me at +49 7541 555 01 99.", {"ann/phone": "Ann's phone is +49 7541 555 01 99"}),
    ("Please send invoices to billing@example.org from now on.", {"ann/email": "Ann's email is billing@example.org"}),
    ("I prefer aisle seats.", {"ann/prefers: aisle seats": "Ann prefers aisle seats"}),
    ("I can't stand coriander.", {"ann/opinion of coriander": "Ann dislikes coriander"}),
    ("The lead time for the gearbox is now 12 weeks.", {"gearbox/lead time": "the lead time for the gearbox is 12 weeks"}),
    ("The rent went up from 900 EUR to 950 EUR.", {"it/rent": "the rent is 950 EUR"}),
    ("The monthly fee was raised to 12.50 € a month.", {"monthly/fee": "the monthly fee is 12.50 € a month"}),
    ("The new pump weighs 38 kg.", {"new pump/weight": "the new pump weighs 38 kg"}),
    ("Our big meeting room holds 24 people.", {"big meeting room/capacity": "the big meeting room holds 24 people"}),
    ("The oven is set to 180 °C.", {"oven/setting": "the oven is set to 180 °C"}),
    ("The canteen closes at 14:30 on Fridays.", {"canteen/closes": "the canteen closes at 14:30"}),
]


@pytest.mark.parametrize(("text", "wanted"), TOLD, ids=[t[0] for t in TOLD])
def test_what_is_told(text, wanted):
    assert {"/".join(f.key): f.text for f in facts(text) if f.key} == wanted


@pytest.mark.parametrize(
    "text",
    [
        "Would you like me to move to Rome?",
        "If I moved to Rome I might work at Acme Corp.",
        "I used to live in Oslo.",
        "I almost moved to Rome.",
        "I wish I lived in Oslo.",
        "She said I work at Acme Corp.",
        "I think the price is 40 EUR.",
        "> I live in Oslo.\nfunny, that quote.",
        "Fine with me.\n\nOn Monday, 3 March 2024, Bob Lee wrote:\n> I work at Acme Corp.\n> I live in Rome.",
        "See below.\n---- Original Message ----\nFrom: Bob\nI live in Rome.",
        "I'm a bit tired.",
        "I'm from now on available again.",
        "I'm a big fan of Vienna.",
        "Is my brother Tom there?",
        "The train was late again, it took ages.",
        "It costs a fortune.",
        "My brother Monday evening was tired.",
        "I have two questions.",
        "I turned 180 degrees.",
        "He is married to his job.",
        "I stopped at the shop.",
        "I gave up in the end.",
        "I like that.",
        "I love how you did this.",
        "Call me when you are there.",
        "I am from time to time in Paris.",
        "Maybe I will quit smoking.",
        "The meeting is about the price.",
        "I play the fool.",
    ],
)
def test_what_is_left_alone(text):
    assert facts(text) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("I'll send you the drawings by Friday.", "Ann: I'll send you the drawings by Friday (2024-03-15)."),
        ("I will call Keller tomorrow.", "Ann: I will call Keller tomorrow (2024-03-14)."),
        ("I promise to be back before 20 March 2024.", "Ann: I promise to be back before 20 March 2024."),
        (
            "We have to return the crane in two weeks.",
            "Ann: We have to return the crane in two weeks (2024-03-24 to 2024-03-30).",
        ),
        (
            "We decided to keep the old pump until June.",
            "Ann: We decided to keep the old pump until June (2023-06-01 to 2023-06-30).",
        ),
        ("The offer of Keller was approved yesterday.", "Ann: The offer of Keller was approved yesterday (2024-03-12)."),
        ("We're switching from Slack to Matrix.", "Ann: We're switching from Slack to Matrix."),
        ("I'll tell you some day.", None),
        ("The trade fair was cancelled.", "Ann: The trade fair was cancelled."),
    ],
)
def test_decisions_and_commitments_keep_their_day(text, wanted):
    found = [f.text for f in facts(text) if f.key is None]
    assert found == ([] if wanted is None else [wanted])


def test_a_whole_mail():
    mail = """Hi Bob,

thanks for the nice evening! Some news from here: I now work at Globex, and my new phone number is 0471 555 0199.
The price of the second pump dropped to 1,250 EUR. We decided to order it in April.

Could you send me the drawings?

Best
Ann

On Tuesday, 12 March 2024, Bob Lee wrote:
> I live in Lindau now. The price of the pump is 1,400 EUR.
"""
    found = facts(mail)
    assert {"/".join(f.key): f.text for f in found if f.key} == {
        "ann/employer": "Ann works at Globex",
        "ann/new phone number": "Ann's new phone number is 0471 555 0199",
        "second pump/price": "the price of the second pump is 1,250 EUR",
    }
    for fact in found:
        assert mail[fact.source.start : fact.source.end].strip()
    assert len([f for f in found if f.key is None]) == 1


@given(st.text(max_size=400) | st.lists(st.sampled_from([t for t, _ in TOLD]), max_size=20).map(" ".join))
@settings(deadline=None, max_examples=150)
def test_no_text_breaks_it(text):
    found = facts(text)
    assert len(found) <= MOST
    for fact in found:
        assert 0 <= fact.source.start < fact.source.end <= len(text)
        assert fact.text.strip()
    weighty(text)


@pytest.mark.parametrize(
    ("text", "begin", "until"),
    [
        ("the day before yesterday", "2024-03-11", "2024-03-12"),
        ("the day after tomorrow", "2024-03-15", "2024-03-16"),
        ("in three days", "2024-03-16", "2024-03-17"),
        ("in two weeks", "2024-03-24", "2024-03-31"),
        ("a month from now", "2024-04-01", "2024-05-01"),
        ("in the last two weeks", "2024-02-29", "2024-03-14"),
        ("over the past year", "2023-03-14", "2024-03-14"),
        ("for the past 3 days", "2024-03-11", "2024-03-14"),
        ("at the beginning of May 2023", "2023-05-01", "2023-05-11"),
        ("in mid-June 2023", "2023-06-11", "2023-06-21"),
        ("late in August 2023", "2023-08-21", "2023-09-01"),
        ("at the end of February 2024", "2024-02-21", "2024-03-01"),
        ("in Q2 2023", "2023-04-01", "2023-07-01"),
        ("in the fourth quarter of 2023", "2023-10-01", "2024-01-01"),
        ("on 05.02.2024", "2024-02-05", "2024-02-06"),
        ("at Christmas", "2023-12-25", "2023-12-26"),
        ("on New Year's Eve", "2023-12-31", "2024-01-01"),
        ("before May", "2023-05-01", "2023-06-01"),
        ("after 2021", "2021-01-01", "2022-01-01"),
        ("this afternoon", "2024-03-13", "2024-03-14"),
    ],
)
def test_times_as_people_write_them(text, begin, until):
    found = when.find(f"It was {text}.", times.micros(SAID))
    assert [(times.shown(w.begin)[:10], times.shown(w.until)[:10]) for w in found] == [(begin, until)]


@pytest.mark.parametrize(
    "text",
    [
        "may I come in?",
        "march on!",
        "in a second",
        "31.02.2024",
        "version 1.2.2024.5",
        "the last day",
        "some time ago",
        "Q5 2023",
    ],
)
def test_what_is_no_time(text):
    assert when.find(text, times.micros(SAID)) == []
