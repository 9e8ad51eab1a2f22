"""Texts taken apart into questions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.retrieval.questions import MOST, parts
from contextkit.retrieval.terms import terms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pumps",
        "What is X-ray crystallography",
        "How and why did the plant close?",
        "What are the side effects and risks of the drug?",
        "Is it true that Ann and Bob are friends?",
        "Tell me about leave and pay",
        "Please answer: who is the owner?",
        "Wie viele Pumpen wurden verkauft?",
        "What is 3; 4",
    ],
)
def test_one_question_stays_as_it_is(text):
    assert parts(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How many pumps are sold? Which plant makes valves?", ["How many pumps are sold?", "Which plant makes valves?"]),
        ("Who leads Norbert and when was Acme founded?", ["Who leads Norbert", "when was Acme founded?"]),
        ("Who leads Norbert and when was it founded?", ["Who leads Norbert", "when was it founded? (Who leads Norbert)"]),
        ("1. What is the notice period?\n2. Who signs contracts?", ["What is the notice period?", "Who signs contracts?"]),
        ("I moved in May. What is the rent, and who is the owner of the hall?",
         ["I moved in May. What is the rent", "who is the owner of the hall?"]),
        ("Was kostet die Pumpe? Wo wird das Ventil gebaut?", ["Was kostet die Pumpe?", "Wo wird das Ventil gebaut?"]),
    ],
)  # fmt: skip
def test_several_are_taken_apart(text, expected):
    assert parts(text) == expected


def test_there_are_never_too_many():
    found = parts(" ".join(f"Where is the number{n} pump?" for n in range(20)))
    assert len(found) == MOST
    assert "number19" in found[-1]


@given(st.text(st.sampled_from("abc who what it ?;,\n1.-and "), max_size=120))
def test_no_word_is_lost(text):
    found = parts(text)
    assert 1 <= len(found) <= MOST
    have = {t for part in found for t in terms(part)}
    lost = {t for t in terms(text) if t not in have}
    assert not {t for t in lost if not t.isdigit() and "_" not in t and t not in ("and", "1", "a", "b", "c")}
