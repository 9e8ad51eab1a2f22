"""Evidence against its definition, and what counts as a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.evaluation.metric import RUN, evidence, holder, words

TEXTS = st.text(alphabet="ab ", max_size=30).map(lambda text: " ".join(text))


def by_definition(gold, text):
    """Word for word: is it inside a run of RUN words of its gold (or the whole gold) that stands in the text?"""
    have = words(text)
    held = total = 0
    for one in gold:
        want = words(one)
        size = min(RUN, len(want))
        total += len(want)
        for place in range(len(want)):
            starts = range(max(0, place - size + 1), min(place, len(want) - size) + 1)
            runs = [want[s : s + size] for s in starts]
            held += any(have[i : i + size] == run for run in runs for i in range(len(have)))
    return held / total if total else 0.0


@given(st.lists(TEXTS, max_size=3), TEXTS)
def test_it_is_what_it_says(gold, text):
    assert evidence(gold, text) == pytest.approx(by_definition(gold, text))


@pytest.mark.parametrize(
    ("gold", "text", "share"),
    [
        (["The cap is 135 euros a night."], "... the CAP is 135 euros, a night!", 1.0),
        (["thirty days"], "days thirty", 0.0),
        (["thirty days"], "he has thirty days", 1.0),
        (["one two three four five six seven eight nine ten"], "one two three four five", 0.5),
        (["one two three four five six"], "one two three four", 0.0),
        (["alpha beta", "gamma delta epsilon zeta eta theta"], "alpha beta", 0.25),
        ([], "anything", 0.0),
        (["...", ""], "...", 0.0),
        (["a text"], "", 0.0),
    ],
)
def test_examples(gold, text, share):
    assert evidence(gold, text) == pytest.approx(share)
    assert holder(gold)(text) == pytest.approx(share)
