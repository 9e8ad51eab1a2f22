"""The quick lower bound of a count: proven on the vocabularies, tried on texts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.tokens import TiktokenCounter, encoding_names, remembered
from contextkit.tokens.vocabulary import ranks

WORDS = st.sampled_from(["self.foo", "It's", "U.S.", "//\n//", "a", " ", "x_y", "42", "naïve", "\n\n", "  ", ")", "don't"])


@pytest.mark.parametrize("name", encoding_names())
def test_no_token_has_the_beginnings_of_two_words(name):
    beginning = re.compile(rb"(?:^| )[A-Za-z0-9]")
    assert not [token for token in ranks(name) if len(beginning.findall(token)) > 1]


@pytest.mark.parametrize("name", encoding_names())
@given(text=st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=60)))
def test_is_never_above_the_count(name, text):
    counter = TiktokenCounter(name)
    assert counter.at_least(f" {text}") <= counter.count(f" {text}")
    assert remembered(counter).at_least(text) == counter.at_least(text)
