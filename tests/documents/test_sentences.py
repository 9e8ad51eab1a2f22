"""Sentence boundaries and their offsets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.documents.sentences import sentences


def split(text, **kwargs):
    return [text[s.start : s.end] for s in sentences(text, **kwargs)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith et al. [3] saw 3.5 % in Fig. 2. It was low.", ["Dr. Smith et al. [3] saw 3.5 % in Fig. 2.", "It was low."]),
        ('What now? "Yes!" he said. Then left.', ["What now?", '"Yes!" he said.', "Then left."]),
        ("It closed at 5 p.m. The doors shut.", ["It closed at 5 p.m.", "The doors shut."]),
        ("The U.S. Army left. It rained.", ["The U.S. Army left.", "It rained."]),
        ("Use e.g. this one. Or not.", ["Use e.g. this one.", "Or not."]),
        ("1. First item. 2. Second.", ["1. First item.", "2. Second."]),
        ("Shown before [1] . And then [2, 3]. End", ["Shown before [1] .", "And then [2, 3].", "End"]),
        ("今日は晴れ。明日は雨！", ["今日は晴れ。", "明日は雨！"]),
        ("No mark at all", ["No mark at all"]),
        ("   ", []),
    ],
)
def test_known_boundaries(text, expected):
    assert split(text) == expected


@given(st.text(alphabet=st.sampled_from("ab .!?\n\t;:,([\"'1.é。"), max_size=300), st.integers(16, 80))
def test_nothing_is_lost_and_nothing_is_too_long(text, longest):
    spans = sentences(text, longest=longest)
    at = 0
    for s in spans:
        assert not text[at : s.start].strip()
        assert text[s.start : s.end] == text[s.start : s.end].strip()
        assert 0 < len(s) <= longest
        at = s.end
    assert not text[at:].strip()


def test_ten_megabytes_on_one_line_take_linear_time():
    small, large = "e.g. word " * 20_000, "e.g. word " * 200_000
    took = []
    for text in (small, large):
        start = time.perf_counter()
        sentences(text)
        took.append(time.perf_counter() - start)
    assert took[1] < 40 * max(took[0], 0.01)
