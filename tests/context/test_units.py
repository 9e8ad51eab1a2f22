"""Which sentences are offered to the packer, and what those before a word that points back are worth."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.context.build import Request, retrieve
from contextkit.context.units import units
from contextkit.testing import TinyEmbedder

POINTING = [
    "It closes at 5 bar.",
    "This keeps the tank from bursting.",
    "However, they are oiled by hand.",
    "These last ten years.",
]
STANDING = [
    "It is known that water boils.",
    "This manual is kept in the office.",
    "Valves are oiled by hand.",
]


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("units") / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document(id=f"p{n}", text=f"Mara chose the blue model. {text} Nobody knows more.")
                for n, text in enumerate(POINTING)
            ]
            + [
                ck.Document(id=f"s{n}", text=f"Mara chose the blue model. {text} Nobody knows more.")
                for n, text in enumerate(STANDING)
            ]
            + [ck.Document(id="talk", text="Ann: Mara chose the blue model.\nBob: It closes at 5 bar.\nAnn: Nobody knows more.")]
        )
        yield kit


def scores(kit, document, question):
    """(scores of the sentences as found, as units) of a document."""
    got = retrieve(kit._reader(), Request(question, 2000))
    found, sentences = got.found, got.sentences
    content = next(c for c, known in found.documents.items() if known[0].id == document)
    chosen = [u for u in units(found, sentences, 2000) if u.document == content]
    return [float(sentences.score[u.row]) for u in chosen], [u.score for u in chosen]


@pytest.mark.parametrize("n", range(len(POINTING)))
def test_what_a_pronoun_points_back_to_scores_nearly_as_much(kit, n):
    found, offered = scores(kit, f"p{n}", POINTING[n])
    assert found[0] < 0.95 * found[1]
    assert offered == pytest.approx([0.95 * found[1], found[1], found[2]])


@pytest.mark.parametrize(("document", "question"), [*((f"s{n}", text) for n, text in enumerate(STANDING)), ("talk", POINTING[0])])
def test_what_points_to_nothing_leaves_the_sentence_before_it_as_it_is(kit, document, question):
    found, offered = scores(kit, document, question)
    assert found[0] < found[1]
    assert offered == found


def test_the_sentence_before_is_in_the_packet_where_both_fit(kit):
    packet = kit.context("What do these last, ten years?", budget=20)
    assert packet.items[0].document_id == "p3"
    assert packet.items[0].text == "Mara chose the blue model. These last ten years."
