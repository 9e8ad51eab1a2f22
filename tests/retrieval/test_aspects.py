"""Several questions in one: each gets its share of the hits and of the budget."""

from __future__ import annotations

import numpy as np
import pytest

import contextkit as ck
from contextkit.context.build import Request, retrieve
from contextkit.embedding import LocalEmbedder

TOWNS = ("Oslo", "Lima", "Quito", "Accra", "Hanoi", "Perth", "Turin", "Dakar")


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("aspects") / "index", embedder=LocalEmbedder(precision="float32")) as kit:
        kit.add(
            [ck.Document(id=f"leave-{n}", text=f"In {town} staff may carry {n + 3} days of leave into the next year.")
             for n, town in enumerate(TOWNS)]
            + [ck.Document(id="pump", text="The NB-1042 pump weighs 31 kilograms. Its motor is oiled every spring.")]
            + [ck.Document(id="rent", text="The rent of the hall is due on the third working day.")]
        )  # fmt: skip
        yield kit


def test_each_question_gets_its_share(kit):
    both = kit.context("How many days of leave may staff carry over, and what does the NB-1042 pump weigh?", budget=128)
    assert "31 kilograms" in both.text
    assert "days of leave" in both.text
    assert {hit.document_id for hit in kit.search("How much leave is carried over? When is the rent due?", k=3)} >= {"rent"}


def test_all_are_judged_over_the_same_chunks(kit):
    found = retrieve(kit._reader(), Request("Who oils the pump? When is the rent due?", 500)).found
    assert set(found.terms) >= {"oil", "pump", "rent", "due"}
    assert len(found.passage) == len(found.coverage) == len(found.chunks) == 10
    assert set(found.documents) == {c.content_id for c in found.chunks}
    part = retrieve(kit._reader(), Request("Who oils the pump?", 500)).found
    pump = next(n for n, c in enumerate(found.chunks) if "pump" in c.text)
    assert found.passage[pump] == pytest.approx(part.passage[pump], abs=1e-5)


def test_an_index_without_documents(tmp_path):
    with ck.open(tmp_path / "index", embedder=LocalEmbedder(precision="float32")) as empty:
        assert empty.search("Who is Ann? Where is Bob?") == []
        assert empty.context("Who is Ann? Where is Bob?").text == ""


def test_enough_leaves_out_what_is_far_from_the_best(kit):
    question = "What does the NB-1042 pump weigh?"
    full, enough = kit.context(question, budget=512), kit.context(question, budget=512, fill="enough")
    assert "31 kilograms" in enough.text
    assert enough.tokens < full.tokens / 2
    low = [d for d in enough.receipt.dropped if d.reason == "relevance"]
    assert len(low) == enough.receipt.dropped_total["relevance"] > 0
    best = max(item.scores.total for item in enough.items)
    assert all(d.score < best / 2 for d in low)
    assert np.all(np.diff([d.score for d in low]) <= 0)
    assert sum(enough.receipt.dropped_total.values()) + 1 <= enough.receipt.candidates
    with pytest.raises(ck.InputError, match="no fill 'most': use one of full, enough"):
        kit.context(question, fill="most")
