"""Abbreviations that texts explain: which are found, and that a question about either side finds both."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.retrieval.abbreviations import Abbreviation, abbreviations, found_with, long_form
from contextkit.retrieval.terms import content_terms, occurrences
from contextkit.testing import TinyEmbedder

TEXT = "Drugs were found by high-throughput screening (HTS) of a library."


@pytest.mark.parametrize(
    ("before", "short", "long"),
    [
        ("Drugs were found by high-throughput screening ", "HTS", "high-throughput screening"),
        ("the Middle East respiratory syndrome ", "MERS", "Middle East respiratory syndrome"),
        ("under a service level agreement ", "SLA", "service level agreement"),
        ("of the World Health Organization ", "WHO", "World Health Organization"),
        ("cells with interleukin 1 beta ", "IL-1", "interleukin 1 beta"),
        ("as was said before ", "HTS", ""),
        ("of the third kind ", "see", ""),
        ("", "HTS", ""),
    ],
)
def test_the_long_form_of_a_short_one(before, short, long):
    assert long_form(before, short) == long


def test_a_question_uses_either_side():
    short, long = content_terms("What is HTS?"), content_terms("What did the high-throughput screening find?")
    words = tuple(content_terms("high-throughput screening"))
    assert abbreviations([TEXT], short) == [Abbreviation("hts", words, True)]
    assert abbreviations([TEXT], long) == [Abbreviation("hts", words, False)]
    assert abbreviations([TEXT], content_terms("Which library was used?")) == []
    assert abbreviations(["(HTS) is used", "HTS (see there)"], short) == []
    assert abbreviations([], short) == []
    both = abbreviations([TEXT], content_terms("Is high-throughput screening (HTS) quick?"))
    assert {pair.asked for pair in both} == {True, False}


def test_only_the_most_explained_are_used():
    names = "bcdefghijklm"
    texts = [f"an alpha {letter}eta (A{letter.upper()})" for letter in names] + ["an alpha meta (AM)"]
    found = abbreviations(texts, [f"a{letter}" for letter in names])
    assert len(found) == 8
    assert found[0].short == "am"


def test_what_stands_for_a_word_counts_as_it():
    texts = [
        "The HTS ran twice.",
        "A screening at a high throughput ran twice.",
        "Screening. " + "x " * 90 + "high throughput.",
        "Nothing.",
    ]
    question = content_terms("What is HTS?")
    pairs = [Abbreviation("hts", ("high", "throughput", "screen"), True)]
    assert set(found_with(texts, question, pairs).text.tolist()) == {0, 1}
    asked = ["high", "throughput", "screen"]
    found = found_with(texts, asked, [Abbreviation("hts", tuple(asked), False)])
    assert sorted(found.term[found.text == 0].tolist()) == [0, 1, 2]
    assert all(a <= b for a, b in zip(found.text.tolist(), found.text.tolist()[1:], strict=False))
    plain = occurrences(texts, asked)
    assert [c.tolist() for c in found_with(texts, asked, [])] == [c.tolist() for c in plain]


def test_a_passage_with_the_long_form_answers_for_the_short(tmp_path):
    rest = "Nothing of the kind is said in this part of the text, which is about other things. " * 12
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document(id="terms", text=f"We promise much in the service level agreement (SLA).\n\n{rest}"),
                ck.Document(id="offer", text=f"The service level agreement grants a refund of ten per cent.\n\n{rest}"),
                ck.Document(id="other", text=f"The level of service was the subject of an agreement on a refund.\n\n{rest}"),
            ]
        )
        items = kit.context("Which refund does the SLA grant?", budget=120).items
    assert items[0].document_id == "offer"
    assert items[0].scores.coverage == pytest.approx(1)
