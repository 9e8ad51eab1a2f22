import json
import re
from types import SimpleNamespace

import peer_systems
import peers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.tokens.vocabulary import encoding

TOKENS = encoding("cl100k_base")


def words(text):
    return re.findall(r"\w+", text.lower())


def coverage(gold, text):
    want = [w for g in gold for w in words(g)]
    return sum(w in words(text) for w in want) / len(want)


SCORE = SimpleNamespace(words=words, coverage=coverage)


def test_passages_are_packed_whole_in_rank_order_and_the_last_one_is_cut():
    first, second = "The parcel waits in room nine.", "It was brought on Monday by a courier from Leeds."
    size = len(TOKENS.encode(first))
    packed = peers.pack([first, second], size + 6, TOKENS)
    head, tail = packed.split("\n")
    assert head == first
    assert second.startswith(tail)
    assert 0 < len(tail) < len(second)


def test_nothing_follows_a_passage_that_was_cut():
    packed = peers.pack(["one two three four five six seven eight", "nine"], 4, TOKENS)
    assert "nine" not in packed


def test_a_passage_that_fits_exactly_is_whole():
    text = "A short passage."
    assert peers.pack([text], len(TOKENS.encode(text)) + 1, TOKENS) == text


def test_no_passages_pack_to_nothing():
    assert peers.pack([], 256, TOKENS) == ""


@given(st.lists(st.text(alphabet=st.characters(codec="ascii"), max_size=200), max_size=8), st.integers(1, 80))
def test_a_packed_context_of_plain_text_is_never_over_its_budget(passages, budget):
    assert len(TOKENS.encode(peers.pack(passages, budget, TOKENS), disallowed_special=())) <= budget


def test_a_text_is_scored_by_what_it_holds_and_by_what_else_it_sends():
    assert peers.scored(["blue door"], "the blue door opens", SCORE) == (1.0, 0.5)
    assert peers.scored(["blue door"], "", SCORE) == (0.0, 0.0)


def test_the_summary_is_in_percent_and_counts_what_is_over():
    rows = [(1.0, 0.5, False), (0.5, 0.1, True)]
    assert peers.summarised(rows) == {"evidence": 75.0, "complete": 50.0, "precision": 30.0, "over": 1}


def test_every_peer_has_settings_and_packages_to_be_told_of():
    assert set(peer_systems.SYSTEMS) == set(peer_systems.SETTINGS) == set(peer_systems.PACKAGES)


def test_paragraphs_are_what_blank_lines_part_or_lines_where_there_are_none():
    assert peer_systems.paragraphs("a\nb\n\n\n\nc") == ["a\nb", "c"]
    assert peer_systems.paragraphs("a\n\t\nb") == ["a", "b"]
    assert peer_systems.paragraphs("") == []


def test_metadata_is_told_where_there_is_any():
    document = {"id": "1", "text": "x", "title": "", "scope": "26", "time": "May"}
    assert peer_systems.metadata(document) == {"scope": "26", "time": "May"}


def test_a_peer_answers_through_its_files(tmp_path, monkeypatch):
    def load(model):
        assert model == "weights"

        def index(documents):
            return lambda question, scope: [d["text"] for d in documents if not scope or d["scope"] == scope]

        return index

    monkeypatch.setitem(peer_systems.SYSTEMS, "txtai", load)
    monkeypatch.setattr(peer_systems, "version", lambda name: f"{name}-1")
    documents = [{"id": "a", "text": "one", "scope": "x"}, {"id": "b", "text": "two", "scope": "y"}]
    questions = [{"id": "q1", "question": "?", "scope": "y"}, {"id": "q2", "question": "?"}]
    task, out = tmp_path / "task.json", tmp_path / "out.jsonl"
    task.write_text(json.dumps({"model": "weights", "documents": documents, "questions": questions}))
    peer_systems.answer("txtai", task, out)
    head, *lines = map(json.loads, out.read_text().splitlines())
    assert head["system"] == "txtai"
    assert head["versions"]["txtai"] == "txtai-1"
    assert lines == [{"id": "q1", "passages": ["two"]}, {"id": "q2", "passages": ["one", "two"]}]


def test_a_peer_that_fails_ends_the_run_with_its_message(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named peer >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(SystemExit, match="langchain does not run(.|\n)*no module named peer"):
        peers.answers(broken, "langchain", [], [])


def test_what_ran_is_told_once_a_system():
    one = {"system": "txtai", "settings": "hybrid", "versions": {"txtai": "9", "torch": "2"}}
    assert list(peers.told({"a": [one], "b": [one]})) == [("txtai", "hybrid", "txtai 9, torch 2")]


def test_one_side_is_measured_anew_beside_the_other_in_the_same_order():
    before = [{"system": name, "questions": 9, "of": "before"} for name in ("contextkit", "langchain", "txtai")]
    rows = peers.beside("covidqa", [{"system": "txtai", "questions": 9, "of": "now"}], before)
    assert [(row["system"], row["of"]) for row in rows] == [("contextkit", "before"), ("langchain", "before"), ("txtai", "now")]


def test_rows_of_other_questions_do_not_stand_in_one_table():
    with pytest.raises(SystemExit, match="covidqa: rows of 9 and 100 questions"):
        peers.beside("covidqa", [{"system": "contextkit", "questions": 9}], [{"system": "txtai", "questions": 100}])
