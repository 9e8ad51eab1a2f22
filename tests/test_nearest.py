"""Search by a given vector: cosines, ties, filters, rights, and what is refused."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import contextkit as ck
from contextkit.errors import KitClosed
from contextkit.testing import TinyEmbedder

TEXTS = {"pump": "The pump runs at 40 bar.", "hive": "The hive stands in the east.", "ferry": "The ferry leaves at nine."}


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(name, text, metadata={"first": name[0]}) for name, text in TEXTS.items()])
        kit.add([ck.Document("board", "The director earns 900 a day.", access=["user:boss"])])
        yield kit


def vector(kit, text):
    return kit.embedder.embed_queries([text])[0]


def test_scores_are_cosines_and_of_any_length(kit):
    given = vector(kit, "The pump leaves at nine.")
    stored = {i: vector(kit, text) for i, text in TEXTS.items()}
    expected = sorted(TEXTS, key=lambda i: -float(stored[i] @ given))
    for scaled in (given, given * 7, (given * 0.01).tolist()):
        hits = kit.nearest(scaled, k=10)
        assert [hit.document_id for hit in hits] == expected
        # passages are stored in 8 bits
        np.testing.assert_allclose([hit.score for hit in hits], [float(stored[i] @ given) for i in expected], atol=0.02)
        assert all(TEXTS[hit.document_id][hit.span.start : hit.span.end] == hit.text for hit in hits)


def test_k_filters_and_rights_hold(kit):
    given = vector(kit, "The director earns 900 a day.")
    assert "board" not in {hit.document_id for hit in kit.nearest(given)}
    assert kit.nearest(given, k=1, principal=ck.Principal("boss"))[0].document_id == "board"
    assert [hit.document_id for hit in kit.nearest(given, where={"first": "h"})] == ["hive"]
    assert kit.nearest(given, where={"first": "z"}) == []
    assert len(kit.nearest(given, k=2)) == 2


def test_twins_each_give_theirs(kit):
    kit.add([ck.Document("pump two", TEXTS["pump"])])
    given = vector(kit, TEXTS["pump"])
    assert {hit.document_id for hit in kit.nearest(given, k=2)} == {"pump", "pump two"}
    assert len(kit.nearest(given, k=1)) == 1


@pytest.mark.parametrize("given", [[0.0] * 32, [1.0] * 31, [float("nan")] * 32, [], [[1.0] * 32], "words", None])
def test_what_is_no_vector_is_refused(kit, given):
    with pytest.raises(ck.InputError, match="32 numbers"):
        kit.nearest(given)


@pytest.mark.parametrize("k", [0, 10_001, True, 2.0])
def test_k_is_checked(kit, k):
    with pytest.raises(ck.InputError, match="from 1 to 10,000"):
        kit.nearest(vector(kit, "x"), k=k)


def test_the_asyncio_mirror_and_a_closed_kit(kit):
    given = vector(kit, TEXTS["hive"])
    assert asyncio.run(ck.AsyncKit(kit).nearest(given, k=1))[0].document_id == "hive"
    kit.close()
    with pytest.raises(KitClosed):
        kit.nearest(given)


def test_an_empty_index_gives_nothing(tmp_path):
    with ck.open(tmp_path / "empty", embedder=TinyEmbedder()) as kit:
        assert kit.nearest([1.0] * kit.catalog.dimension) == []
