"""Lexical terms: identifiers stay whole, words meet their inflections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.retrieval.terms import content_terms, occurrences, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NB-1042", ["nb", "1042", "nb1042"]),
        ("snake_case", ["snake", "case", "snake_case"]),
        ("HttpClient", ["httpclient", "http", "client"]),
        ("DC-SIGNR's", ["dc", "signr", "s", "dc_signr"]),
        ("10,000 cities", ["10", "000", "10000", "citi"]),
        ("v2.13.0", ["v2", "13", "0", "v2_13_0"]),
        ("東京都", ["東", "京", "都", "東京", "京都"]),
        ("犬の予防接種", ["犬", "予", "防", "接", "種", "予防", "防接", "接種"]),
        ("データ", ["デー", "ータ"]),
        ("ﾃﾞｰﾀ", ["デー", "ータ"]),
        ("ＡＢＣ１", ["abc1"]),
        ("人々", ["人", "々", "人々"]),
        ("HIVガス", ["hiv", "ガス"]),
        ("हिन्दी में", ["हनद", "म"]),
        ("ร้อน", ["รอ", "อน"]),
        ("Zoë-b", ["zoe", "b", "zoe_b"]),
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


WORDS = (
    "city cities infection infected HIV-1 HttpClient client getHttpClient XMLHttpRequest2 snake_case nb-1042 1042 running état 東京 "
    "mother-tochild flies fly dying lie x2go b-c a-b-c it’s ’ Zoë-b U.S. İzmir ﬁnance HIVガス ' -- ? \n"
).split(" ")


def looked_up(texts, wanted):
    return [(n, wanted.index(t)) for n, text in enumerate(texts) for t in terms(text) if t in wanted]


@given(
    st.lists(st.one_of(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), st.text(max_size=30)), max_size=4),
    st.lists(st.sampled_from(WORDS), max_size=5),
)
def test_occurrences_are_what_terms_gives(texts, words):
    wanted = list(dict.fromkeys(t for w in words for t in terms(w)))
    found = occurrences(texts, wanted)
    assert list(zip(found.text.tolist(), found.term.tolist(), strict=True)) == looked_up(texts, wanted)


@given(st.text(alphabet="aB1_-.’é東\n ?", max_size=40), st.text(alphabet="aB1_-é", min_size=1, max_size=6))
def test_occurrences_of_parts_of_names(text, word):
    wanted = list(dict.fromkeys(terms(word)))
    found = occurrences([text], wanted)
    assert list(zip(found.text.tolist(), found.term.tolist(), strict=True)) == looked_up([text], wanted)


def test_no_word_reaches_over_two_texts():
    texts = ["The well-", "known", "", "end.Next"]
    found = occurrences(texts, ["well_known", "known", "next"])
    assert [places.tolist() for places in found] == [[1, 3], [1, 2], [0, 0]]
