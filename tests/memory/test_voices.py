"""Whom a question names of those who speak, and whose words it asks for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.memory import Kind, times
from contextkit.memory.ranking import Weights
from contextkit.memory.records import Source
from contextkit.memory.rows import Draft
from contextkit.memory.voices import asked_of, named, without

TEAM = ["Ann Lee", "Bob Ray", "Bob Stone", "Will Hope", "U77", ""]


@pytest.mark.parametrize(
    ("question", "authors"),
    [
        ("Where does Ann Lee live?", ["Ann Lee"]),
        ("where does ann lee live?", ["Ann Lee"]),
        ("Where is Ann's key?", ["Ann Lee"]),
        ("Is the key with Ann or with Stone?", ["Ann Lee", "Bob Stone"]),
        ("What did Bob say?", []),  # two have that name
        ("What did Bob Ray say to Bob Stone?", ["Bob Ray", "Bob Stone"]),
        ("What did u77 write?", ["U77"]),
        ("Will there be hope? Where will Will go?", []),  # a function word, and a common one that is written small
        ("Hope is where?", []),  # written large as every first word is
        ("Is there Hope?", ["Will Hope"]),
        ("What did Annabel say?", []),
        ("the annual leed", []),
        ("", []),
    ],
)
def test_who_is_named(question, authors):
    assert [one.author for one in named(question, TEAM)] == authors


@pytest.mark.parametrize(
    ("question", "author"),
    [
        ("What did Ann say?", "Ann"),
        ("What did Ann give to Bob?", "Ann"),
        ("What does Bob think about Ann's decision?", "Bob"),
        ("Did Ann ever tell Bob what Ann thinks?", "Ann"),
        ("What do Ann and Bob both like?", ""),
        ("Is it Ann's or Bob's turn?", ""),
        ("What did Ann, Bob and Carl eat?", ""),
        ("What did Ann say to Bob and Carl?", "Ann"),
        ("What was said?", ""),
    ],
)
def test_whose_words_are_asked_for(question, author):
    assert asked_of(question, named(question, ["Ann", "Bob", "Carl"])) == author


def test_a_question_without_its_names():
    question = "What did Ann Lee's brother  give to Stone?"
    assert without(question, named(question, TEAM)) == "What did brother give to ?"
    assert without("No one", []) == "No one"


@given(st.text(max_size=60), st.lists(st.text(max_size=8), max_size=5))
def test_any_text_and_any_names(question, authors):
    found = named(question, authors)
    assert all(one.author in authors for one in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert asked_of(question, found) in {"", *authors}
    assert len(without(question, found)) <= len(question)


def test_what_the_one_asked_for_said_comes_first(opened, tmp_path):
    talk = [("Ann Lee", "the ladder is red"), ("Bob Ray", "the ladder is new"), ("Ann Lee", "yes"), ("Bob Ray", "good")]
    drafts = [
        Draft(text, Kind.EPISODIC, (("user", "ann"),), times.micros("2024-01-01"), source=Source(author=who), thread="t")
        for who, text in talk
    ]
    store = opened(tmp_path, weights=Weights(meaning=0.0, meaning_around=0.0))
    store.write(drafts)

    def best(question):
        return store.recall(question, scope={"user": "ann"}, k=1)[0].source.author

    assert best("What did Ann tell Bob about the ladder?") == "Ann Lee"
    assert best("What did Bob tell Ann about the ladder?") == "Bob Ray"
