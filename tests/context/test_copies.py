"""Near copies: what is the same sentence in another spelling, what only looks so, and what they cost in packets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit as ck
from contextkit.context.copies import key
from contextkit.testing import TinyEmbedder

SAME = [
    ("Employees may carry over up to five days of leave.", "Employees may carry over up to 5 days of leave"),
    ("The limit is exactly forty euros a day.", "the limit is, exactly, forty euros a day;"),
    ("- Don’t share your password.", "Do not share your password."),
    ("**Note:** the colour of the labels is grey", "Note: the color of the label is gray."),
    ("3. All staff can't travel first class.", "All staff cannot travel first class"),
    ("The pump's maxi-\nmum load is 1,000 kg.", "The pump's maximum load is 1000 kg."),
    ("See [the manual](http://example.org/m?a=1) for details.", "See the manual for details."),
    ("> > The outage lasted 84 minutes.", "The outage lasted 84 minutes."),
    (
        "> after three months I have decided\n> that we change to Kinmar",
        "after three months I have decided that we change\nto Kinmar.",
    ),
    ("We organise it & cancelled the labelling.", "We organize it and canceled the labeling."),
    ("However, the valve also closes very slowly.", "The valve closes slowly."),
    ("A follow-up is due in 30 days.", "A follow up is due in 30 days."),
    ("It’s “open” until 10:30.", 'It is "open" until 10:30.'),
    ("The ﬁlter costs 1\u202f200 €.", "The filter costs 1200 €."),
    ("Each site\u00a0manager signs the report.", "Each site manager signs a report."),
    ("La válvula está abierta.", "la válvula está abierta"),
]
OTHER = [
    ("The allowance is 40 euros a day.", "The allowance is 45 euros a day."),
    ("It costs 1.5 million euros.", "It costs 1-5 million euros."),
    ("It grew by 5 %.", "It grew by 5 €."),
    ("The limit is -5 degrees.", "The limit is 5 degrees."),
    ("Loads > 5 kg are lifted by two.", "Loads < 5 kg are lifted by two."),
    ("He may travel first class.", "He may not travel first class."),
    ("Staff can travel first class.", "Staff can't travel first class."),
    ("The limit was 40 euros.", "The limit is 40 euros."),
    ("Staff may sign.", "Staff must sign."),
    ("Reports are due monthly.", "Reports are due weekly."),
    ("Ann leads the plant.", "Bob leads the plant."),
    ("It ends before May.", "It ends after May."),
    ("Only managers sign contracts.", "Managers sign contracts."),
    ("Managers sign contracts.", "Managers sign contracts with Bob."),
    ("Annex A applies to all sites.", "Annex B applies to all sites."),
    ("Annex A applies to all sites.", "The annex applies to all sites."),
    ("Use C++ for the driver.", "Use C for the driver."),
    ("All of it is paid.", "Some of it is paid."),
    ("It is open today.", "Is it open today?"),
    ("It is open today?", "It is open today."),
    ("The KE-36A, > 5 V, is in the T1.", "The KE-36, > 5 V, is in the T1."),
    ("NB-1042 fails at night.", "NB-1043 fails at night."),
    ("The filed form is kept.", "The filled form is kept."),
    ("It starts at 10:30.", "It starts at 10.30."),
    ("Section 3.1 applies here.", "Section 31 applies here."),
    ("Bob pays Ann.", "Ann pays Bob."),
    ("It rose in 2024.", "It rose in 2025."),
    ("Ann: I will pay it.", "Bob: I will pay it."),
    ("The increase is planned.", "The decrease is planned."),
    ("2.5 litres are added.", "25 litres are added."),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_near_copies_have_one_key(one, other):
    assert key(one) == key(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_differs_in_meaning_is_another_sentence(one, other):
    assert key(one) != key(other)


def test_texts_without_words_of_their_own():
    assert key("") == ""
    assert key("The") == "the"
    assert key("—") == ""
    assert key("?").strip() == "?"
    assert key("Ann's pump isn't here.") == "ann s pump is not here"


@given(st.text(max_size=80), st.sampled_from(["", ".", " ", "!"]))
def test_marks_at_the_end_and_case_of_ascii_do_not_matter(text, mark):
    assert key(f"x{text}{mark}".upper()) == key(f"x{text}".upper())


@given(
    st.lists(
        st.sampled_from(
            [
                "pump",
                "not",
                "5",
                "1.5",
                "the",
                "Ann",
                "-",
                "%",
                "isn't",
                "it's",
                "'so'",
                "Ann's",
                "[b]",
                "*c*",
                "colour",
                "€",
                "(a)",
                "A",
            ]
        ),
        max_size=12,
    )
)
def test_the_quick_way_and_the_close_look_agree(words):
    text = " ".join(["Pumps", *words])
    assert key(text) == key(f"\u200b{text}")  # a sign that is not seen asks for the close look


def test_a_long_text_takes_no_longer_than_reading_it():
    def spent(n):
        begin = time.process_time()
        key("pump-\n1,000 isn't [a](b) " * n)
        return time.process_time() - begin

    spent(10)
    assert spent(40_000) < 40 * max(spent(4_000), 1e-3)


POLICY = """The travel policy holds for all staff of the company. A hotel night may cost up to {cap} euros in any city.
Trips of more than three hours are made by train. {flight} are booked by the office in Lindau. Receipts are handed in within
30 days of the trip. {colour} forms are kept for ten years. Taxis are paid {not_}when the last train has gone.
"""
VERSIONS = {
    "policy-2024": POLICY.format(cap=120, flight="Flights", colour="Grey", not_=""),
    "policy-2025": POLICY.format(cap=140, flight="Flights", colour="Gray", not_="").replace("euros in", "euros, in"),
    "policy-2026": POLICY.format(cap=160, flight="Flights", colour="Grey", not_="only ").replace("30 days", "thirty days")
    .replace("more than three", "more than 3"),
}  # fmt: skip


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("copies") / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id=name, text=text) for name, text in VERSIONS.items()])
        yield kit


def test_versions_of_one_policy_bring_each_statement_once(kit):
    packet = kit.context("What does the travel policy say of hotels, trains, flights, receipts, forms and taxis?", budget=2000)
    said = packet.text
    for once in ("holds for all staff", "are booked by the office", "forms are kept", "are made by train"):
        assert said.count(once) == 1, once
    for each in ("120 euros", "140 euros", "160 euros", "paid when", "paid only when", "30 days", "thirty days"):
        assert each in said, each
    assert packet.receipt.dropped_total["duplicate"] >= 8
    whole = sum(len(text) for text in VERSIONS.values())
    assert sum(len(item.text) for item in packet.items) < 0.65 * whole


def test_a_copy_that_was_left_out_for_its_original_stays_out_when_room_is_left(kit):
    packet = kit.context("Who books the flights?", budget=400)
    assert packet.text.count("are booked by the office") == 1
