"""Packing: never over budget, exact addresses, the best first."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.context.pack import Packer, Unit
from contextkit.context.packet import Format
from contextkit.context.render import Source, renderer
from contextkit.errors import BudgetExceeded


class Words:
    """One token a word or mark: exact, additive, and quick to reason about."""

    name = "words"
    exact = True

    def count(self, text):
        return len(re.findall(r"\w+|[^\w\s]", text))

    def count_many(self, texts):
        return [self.count(t) for t in texts]


class Merging(Words):
    """A count that is not additive: joined texts may take more tokens than their parts."""

    name = "merging"

    def count(self, text):
        return super().count(text) + text.count("…") * 3 + len(text) // 50


def make(texts, scores, counter=None, documents=None):
    """Units over documents of given sentences, joined by one blank."""
    documents = documents or [0] * len(texts)
    whole: dict[int, str] = {}
    units = []
    for row, (text, score, document) in enumerate(zip(texts, scores, documents, strict=True)):
        before = whole.get(document)
        start = 0 if before is None else len(before) + 1
        whole[document] = text if before is None else f"{before} {text}"
        follows = row > 0 and documents[row - 1] == document
        units.append(Unit(row, document, start, start + len(text), score, follows))
    sources = {d: Source(0, f"doc{d}", f"Title {d}", "", None) for d in whole}
    packer = Packer(counter or Words(), renderer(Format.TEXT, "q"), sources, lambda d, a, z: whole[d][a:z])
    return packer, units, whole


SENTENCES = [f"Sentence {i} says something about topic {i % 7}." for i in range(40)]


@given(
    st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=40),
    st.integers(16, 400),
    st.sampled_from([Words(), Merging()]),
    st.sampled_from(list(Format)),
    st.randoms(use_true_random=False),
)
def test_never_over_budget_and_every_run_is_verbatim(scores, budget, counter, format_, random):
    documents = sorted(random.randrange(4) for _ in scores)
    packer, units, whole = make(SENTENCES[: len(scores)], scores, counter, documents)
    packer.renderer = renderer(format_, "what?")
    try:
        packed = packer.pack(units, budget)
    except BudgetExceeded:
        if budget < 60:  # below one citation; larger budgets always hold one
            return
        raise
    assert counter.count(packed.text) == packed.tokens <= budget
    assert packed.runs
    for run in packed.runs:
        assert whole[run.document][run.start : run.end] == run.text
    chosen = {u.row for r in packed.runs for u in r.units}
    left = {u.row for u, _ in packed.dropped}
    assert not chosen & left
    assert chosen | left == {u.row for u in units} or len(packed.runs) == 1


def test_a_large_budget_takes_everything_in_order_without_elisions():
    packer, units, whole = make(SENTENCES, [1.0] * 40)
    packed = packer.pack(units, 10_000)
    assert packed.text == f"[1] Title 0\n{whole[0]}"
    assert len(packed.runs) == 1


def test_the_best_sentences_win_and_gaps_are_marked():
    scores = [0.1] * 10
    scores[2] = scores[7] = 2.0
    packer, units, _ = make(SENTENCES[:10], scores)
    packed = packer.pack(units, 5 + 2 * 9 + 3)
    assert packed.text == f"[1] Title 0\n{SENTENCES[2]} … {SENTENCES[7]}"


def test_documents_come_by_their_best_sentence():
    packer, units, _ = make(SENTENCES[:4], [0.1, 0.2, 0.3, 3.0], documents=[0, 0, 1, 1])
    packed = packer.pack(units, 1000)
    assert packed.documents == (1, 0)
    assert packed.text.startswith("[1] Title 1\n")


def test_a_repeated_sentence_is_delivered_once():
    text = "The limit is exactly forty euros a day."
    packer, units, _ = make([text, "Something else is here too.", text], [2.0, 1.0, 1.9], documents=[0, 0, 1])
    packed = packer.pack(units, 1000)
    assert packed.text.count(text) == 1
    assert [(u.row, why) for u, why in packed.dropped] == [(2, "duplicate")]


def test_a_table_row_brings_its_header():
    packer, units, _ = make(["| City | Rate |", "| --- | --- |", "| Oslo | 95 |", "| Rome | 80 |"], [0.1, 0.0, 0.2, 2.0])
    units = [units[0], units[1], *(replace(u, needs=0) for u in units[2:])]
    packed = packer.pack(units, 22)
    assert "| City | Rate |" in packed.text
    assert "Rome" in packed.text
    assert "Oslo" not in packed.text


def test_a_budget_smaller_than_any_sentence_cuts_the_best_one_at_a_word():
    long = "word " * 60 + "end."
    packer, units, whole = make([long], [1.0])
    packed = packer.pack(units, 30)
    assert packed.tokens <= 30
    (run,) = packed.runs
    assert whole[0][run.start : run.end] == run.text
    assert len(run.text.split()) > 20


def test_below_one_citation_is_an_error_that_says_what_is_needed():
    packer, units, _ = make(SENTENCES[:3], [1.0, 1.0, 1.0])
    with pytest.raises(BudgetExceeded, match="below what one citation needs") as caught:
        packer.pack(units, 4)
    assert caught.value.section == "documents"
    assert caught.value.needed > caught.value.limit == 4


def test_a_question_over_the_budget_is_named():
    packer, units, _ = make(SENTENCES[:3], [1.0, 1.0, 1.0])
    packer.renderer = renderer(Format.MESSAGES, "why " * 50)
    with pytest.raises(BudgetExceeded) as caught:
        packer.pack(units, 40)
    assert caught.value.section == "question"


def test_no_units_give_an_empty_text():
    packer, _, _ = make(["x"], [1.0])
    packed = packer.pack([], 100)
    assert (packed.text, packed.tokens, packed.runs) == ("", 0, ())


def test_a_heading_comes_with_its_sentence_and_never_alone():
    packer, units, _ = make(["Leave", "Five days carry over until March.", "Another thing is said here."], [3.0, 1.0, 0.9])
    units = [replace(units[0], alone=False), replace(units[1], needs=0), units[2]]
    assert packer.pack(units, 20).text == "[1] Title 0\nLeave Five days carry over until March."
    packer, *_ = make(["Leave", "Five days carry over until March.", "Another thing is said here."], [3.0, 1.0, 0.9])
    only = packer.pack([units[0], units[2]], 100)
    assert only.text == "[1] Title 0\nAnother thing is said here."
