"""Lexical terms: identifiers stay whole, words meet their inflections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.retrieval.terms import content_terms, finder, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NB-1042", ["nb", "1042", "nb_1042"]),
        ("snake_case", ["snake", "case", "snake_case"]),
        ("HttpClient", ["httpclient", "http", "client"]),
        ("DC-SIGNR's", ["dc", "signr", "s", "dc_signr"]),
        ("10,000 cities", ["10", "000", "citi"]),
        ("v2.13.0", ["v2", "13", "0", "v2_13_0"]),
        ("東京都", ["東京", "京都"]),
        ("État", ["etat"]),
        ("", []),
    ],
)
def test_terms_of_known_texts(text, expected):
    assert terms(text) == expected


@given(st.text(max_size=200))
def test_terms_are_letters_digits_and_underscores_only(text):
    assert all(t and t.replace("_", "a").isalnum() for t in terms(text))


def test_function_words_are_left_out_unless_there_is_nothing_else():
    assert content_terms("What is the main cause of it?") == ["main", "caus"]
    assert content_terms("Who are the who?") == ["who", "are", "the"]


WORDS = "city cities infection infected HIV-1 HttpClient client getHttpClient snake_case nb-1042 1042 running état 東京 mother-tochild flies fly".split()


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), st.sets(st.sampled_from(WORDS), max_size=4))
def test_the_finder_finds_what_terms_finds(text, wanted):
    names = {t for w in wanted for t in terms(w)}
    assert finder(names)(text) == [t for t in terms(text) if t in names]
