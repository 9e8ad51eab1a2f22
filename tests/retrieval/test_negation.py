"""Questions that deny something: what they deny, and that sentences which deny it too come first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit as ck
from contextkit.embedding import LocalEmbedder
from contextkit.retrieval.negation import denial, denied, without_denials
from contextkit.retrieval.scoring import Weights
from contextkit.retrieval.terms import content_terms, occurrences

DENIED = "denied: what denies it too comes before what says the opposite"


@pytest.mark.parametrize(
    ("question", "said", "terms"),
    [
        ("Which plans do NOT include parking?", "NOT include parking", {"includ", "park"}),
        ("Which rooms are without a window?", "without a window", {"window"}),
        ("Who never attended a meeting?", "never attended a meeting", {"attend", "meet"}),
        ("Why can't I log in?", "can't I log in", {"log"}),
        ("What doesn’t the warranty cover?", "doesn’t the warranty cover", {"warranti", "cover"}),
        ("How can I pay without a card, and when is it due?", "without a card", {"card"}),
        ("Which rooms lack a desk?", "lack a desk", {"desk"}),
        ("Welche Tarife enthalten kein Frühstück?", "kein Frühstück", {"fruhstuck"}),
    ],
)
def test_what_a_question_denies(question, said, terms):
    found = denial(question)
    assert (found.denied, found.terms, found.excepted) == ((said,), terms, ())
    assert found.understood() == {said: DENIED}


@pytest.mark.parametrize(
    "question",
    [
        "What is the price?",
        "Isn't the pump rated for 5 bar?",
        "Couldn't you tell me the price?",
        "You may fly, mayn't you? It is dear, isn't it?",
        'Who wrote "Nothing is impossible"?',
        "Tell me whether or not it rains",
        "What is not only cheap but good?",
        "Is No. 5 the best?",
        "Would she work there if she hadn't studied?",
        "What does Jon tell Gina he won't do?",
        "Why not?",
        "not",
        "",
    ],
)
def test_what_denies_nothing(question):
    assert denial(question) is None


def test_what_is_only_excepted_is_told_apart():
    found = denial("What sports does John like besides basketball, and who does not play?")
    assert found.excepted == ("besides basketball",)
    assert found.denied == ("not play",)
    assert found.terms == {"play"}
    assert found.understood() == {"besides basketball": "an exception", "not play": DENIED}


@given(st.text(st.sampled_from("abc not except n't without, no? \n"), max_size=120))
def test_no_text_breaks_it(text):
    found = denial(text)
    if found is not None:
        assert found.denied or found.excepted
        assert bool(found.terms) == bool(found.denied)
    assert denial("It was not there. " * 500) is None


def test_the_words_that_only_deny_are_not_looked_for():
    assert without_denials(content_terms("Which rooms are never without a window?")) == ["room", "window"]
    assert without_denials(["without"]) == ["without"]


def test_a_text_denies_a_word_that_stands_near_a_denial():
    question = "Which plans do not include parking?"
    words = without_denials(content_terms(question))
    texts = [
        "The Basic plan does not include parking.",
        "Parking is excluded from the Basic plan.",
        "The Plus plan includes parking.",
        "No refunds are given after the first of the month, and it is our pleasure to say that all plans include free parking.",
        "| Basic | parking: no |",
        "",
    ]
    rarity = np.array([1.0, 1.0, 2.0])
    assert words == ["plan", "includ", "park"]
    got = denied(denial(question), texts, occurrences(texts, words), words, rarity)
    np.testing.assert_allclose(got, [1, 2 / 3, -1, -1, 2 / 3, 0], atol=1e-6)
    assert denied(denial(question), texts, occurrences(texts, ["plan"]), ["plan"], rarity[:1]).tolist() == [0] * 6
    assert denied(denial(question), [], occurrences([], words), words, rarity).shape == (0,)


# question, the sentences that answer it
ASKED = {
    "Which plans do not include parking?": ("The Basic plan has no parking.", "Parking is excluded from the Weekend plan."),
    "Who has never visited the plant in Lindau?": ("Mara has never been to the plant in Lindau.",),
    "Which rooms are without a window?": ("Room 12 has no window.", "Room 15 lacks a window."),
    "What isn't covered by the warranty of the pump?": ("Seals are excluded from the warranty of the pump.",),
    "Which employees may not work from home?": ("Drivers may not work from home.",),
    "Which orders can't be returned?": ("Orders of cut cable cannot be returned.",),
}
SAID = [
    "The Plus plan includes parking and breakfast.", "The Family plan includes parking.", "The Office plan includes parking for two.",
    "Jonas visited the plant in Lindau in March.", "Ida visited the plant in Lindau twice.", "Ole visited the plant in Lindau in May.",
    "Room 11 has a window to the yard.", "Room 13 has a large window.", "Room 14 has a window and a desk.",
    "The motor of the pump is covered by the warranty.", "The housing is covered by the warranty of the pump.",
    "Engineers may work from home on two days.", "Accountants may work from home on three days.",
    "Orders of pumps can be returned within 30 days.", "Orders of valves can be returned within 14 days.",
]  # fmt: skip


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("negation") / "index", embedder=LocalEmbedder(precision="float32")) as kit:
        said = [*SAID, *(text for texts in ASKED.values() for text in texts)]
        kit.add([ck.Document(id=f"note-{n:02}", text=text) for n, text in enumerate(sorted(said))])
        yield kit


def answers_first(kit, question, wanted):
    found = [item.text for item in kit.context(question, budget=1024).items][: len(wanted)]
    return set(found) == set(wanted)


def test_a_denied_question_finds_what_denies_it(kit):
    kit.weights = None
    first = [q for q, wanted in ASKED.items() if answers_first(kit, q, wanted)]
    assert first == list(ASKED)
    kit.weights = Weights(negation=0.0)
    assert len([q for q, wanted in ASKED.items() if answers_first(kit, q, wanted)]) < len(ASKED)
    kit.weights = None


def test_without_a_denial_what_says_yes_stays_first(kit):
    best = kit.context("Which plans include parking?", budget=1024).items[0]
    assert "includes parking" in best.text
    assert best.scores.negation == 0


def test_the_receipt_says_what_was_understood(kit):
    packet = kit.context("Which plans do not include parking?", budget=200)
    assert packet.receipt.understood == {"not include parking": DENIED}
    assert packet.items[0].scores.negation > 0
    assert packet.receipt.weights["negation"] == Weights().negation
    assert kit.context("Which plans include parking?", budget=200).receipt.understood == {}
