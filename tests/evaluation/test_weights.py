"""The weights: what ships, what an index has of its own, and files that cannot be used."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import pytest

import contextkit as ck
from contextkit.errors import ContextkitError, IndexMismatch, InputError
from contextkit.retrieval import weights as files
from contextkit.retrieval.scoring import Weights
from contextkit.testing import TinyEmbedder


def provenance(digest, *names):
    return files.Provenance(
        of=names or ("passage",), how="by hand", objective="none", questions=40, date="2026-01-31", embedder="tiny", digest=digest
    )


@pytest.fixture
def digest(kit):
    return kit.embedder.info.digest


def test_what_ships_names_every_number_with_its_meaning_and_origin():
    shipped = files.shipped()
    names = [f.name for f in fields(Weights)]
    assert list(shipped.numbers) == names
    assert all(number.means for number in shipped.numbers.values())
    assert sorted(name for entry in shipped.provenance for name in entry.of) == sorted(names)
    assert asdict(Weights()) == {name: number.value for name, number in shipped.numbers.items()}
    assert shipped.weights() == Weights()
    from contextkit.embedding.folder import DEFAULT_DIGEST

    assert {entry.digest for entry in shipped.provenance} == {DEFAULT_DIGEST}


def test_an_index_uses_its_own_until_the_file_is_gone(kit, folder, digest):
    assert kit.info().weights == "shipped"
    path = files.adopt(folder, Weights(passage=0.125, neighbour=0.9), provenance(digest, "passage"))
    assert path == folder / files.file_name(digest)
    assert set(json.loads(path.read_text())["numbers"]) == {"passage"}
    with ck.open(folder, embedder=TinyEmbedder(dimension=4), read_only=True) as again:
        assert again.weights == Weights(passage=0.125)  # what was not fitted is as shipped
        packet = again.context("How heavy is the pump K000?", budget=100)
        assert packet.receipt.weights == asdict(again.weights)
        assert again.info().weights == f"tuned 2026-01-31 on 40 questions ({path.name})"
        again.weights = Weights(passage=7.0)
        assert again.context("How heavy?", budget=100).receipt.weights["passage"] == 7.0
    path.unlink()
    with ck.open(folder, embedder=TinyEmbedder(dimension=4)) as again:
        assert again.weights == Weights()


def test_another_embedder_has_other_weights_and_a_rollback_finds_the_old(kit, folder, digest):
    files.adopt(folder, Weights(passage=0.125), provenance(digest))
    kit.weights = None
    before = kit.catalog.generation()
    assert kit.weights.passage == 0.125
    kit.reembed(TinyEmbedder("other", dimension=4))
    assert kit.weights == Weights()
    kit.rollback(before)
    kit.embedder = TinyEmbedder(dimension=4)
    assert kit.weights.passage == 0.125


def number(value):
    return {"value": value, "means": "x"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": {"speed": number(1)}}, "unknown numbers speed; known: .*coverage"),
        ({"numbers": {"passage": number("nan")}}, "numbers.passage.value: Input should be a finite number"),
        ({"numbers": {"passage": number(float("inf"))}}, "numbers.passage.value: Input should be a finite number"),
        ({"numbers": {"passage": number(-0.5)}}, "numbers below 0: passage"),
        ({"numbers": {"passage": 1.0}}, "numbers.passage"),
        ({"format": 2}, "format: Input should be 1"),
        ({"provenance": []}, "provenance: "),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_error(kit, folder, digest, change, message):
    path = files.adopt(folder, Weights(), provenance(digest))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for ask in (lambda: kit.search("pump"), lambda: kit.context("pump"), kit.info):
        with pytest.raises(InputError, match=f"the index's weights .*weights-.*{message}.*; mend or remove it"):
            ask()
    path.unlink()
    assert kit.search("pump")


def test_a_file_that_is_no_text(kit, folder, digest):
    path = folder / files.file_name(digest)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read .*: remove it to use the shipped ones"):
        kit.search("pump")
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be used: the file: Invalid JSON"):
        kit.search("pump")


def test_weights_of_another_embedder_are_refused(kit, folder, digest):
    made = files.adopt(folder, Weights(), provenance("0" * 64))
    made.rename(folder / files.file_name(digest))
    with pytest.raises(
        IndexMismatch, match=f"were fitted with the embedder tiny \\(000000000000\\).* {digest[:12]}: run `contextkit tune`"
    ):
        kit.search("pump")


def test_a_negative_base_of_the_confidence_is_fine(folder, digest):
    files.adopt(folder, Weights(confidence_base=-3.5), provenance(digest, "confidence_base"))
    assert files.own(folder, digest).weights().confidence_base == -3.5


def test_a_full_disk_leaves_what_was_there(folder, digest, monkeypatch):
    path = files.adopt(folder, Weights(passage=2.0), provenance(digest))
    before = path.read_text()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ContextkitError, match="the disk of .* is full"):
        files.adopt(folder, Weights(passage=3.0), provenance(digest))
    assert path.read_text() == before
    assert list(folder.glob(".weights*")) == []


def test_several_questions_in_one_use_the_share_of_the_whole(kit):
    kit.weights = Weights(whole=0.0)
    asked = "How heavy is the pump K000? In which box are the spare parts of K001?"
    without = kit.context(asked, budget=200).receipt.items
    kit.weights = Weights(whole=2.0)
    assert [i.scores.total for i in kit.context(asked, budget=200).receipt.items] != [i.scores.total for i in without]


def test_enough_and_confidence_are_weights_too(kit):
    kit.weights = Weights(enough=0.99)
    few = kit.context("How heavy is the pump K000?", budget=500, fill="enough")
    kit.weights = Weights(enough=0.1)
    assert kit.context("How heavy is the pump K000?", budget=500, fill="enough").tokens > few.tokens
    kit.weights = Weights(confidence_base=0.0, confidence_passage=0.0, confidence_sentence=0.0, confidence_covered=0.0)
    assert kit.context("How heavy is the pump K000?").confidence == 0.5
