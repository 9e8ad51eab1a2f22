"""`contextkit index generations | diff | rollback | pin | gc | doctor` against a real index."""

from __future__ import annotations

import sqlite3

import pytest

import contextkit as ck
from contextkit.testing import TinyEmbedder


@pytest.fixture
def index(tmp_path):
    """Three generations: a and b, then b changed and c, then a gone."""
    folder = tmp_path / "index"
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document("a", "The pump runs.\n" * 30), ck.Document("b", "The valve is shut.")])
        kit.add([ck.Document("b", "The valve is open."), ck.Document("c", "The tank is new.")])
        kit.remove(["a"])
    return folder


def ids(index):
    with ck.open(index, embedder=TinyEmbedder(), read_only=True) as kit:
        return [d.id for d in kit.catalog.documents()]


def test_generations_are_listed_newest_first(cli, index):
    found = cli("index", "generations", "--index", index, "--json").json
    assert [(g["id"], g["added"], g["changed"], g["removed"]) for g in found] == [(3, 0, 0, 1), (2, 1, 1, 0), (1, 2, 0, 0)]
    assert "removed" in cli("index", "generations", "--index", index).out


def test_diff_names_documents(cli, index):
    assert cli("index", "diff", 1, 3, "--index", index).out == "+ c\n~ b\n- a\n1 added, 1 changed, 1 removed\n"
    assert cli("index", "diff", 2, "--index", index, "--json").json == {"added": [], "changed": [], "removed": ["a"]}
    refused = cli("index", "diff", 1, 9, "--index", index)
    assert refused.code == 2
    assert refused.err == "contextkit: there is no generation 9; kept are 1-3\n"


def test_rollback_and_back(cli, index):
    done = cli("index", "rollback", 1, "--index", index)
    assert done.out == "generation 4 shows what 1 showed: 1 added, 1 changed, 1 removed\n"
    assert ids(index) == ["a", "b"]
    assert cli("index", "rollback", 1, "--index", index).out == "generation 4 shows the same already\n"
    assert cli("index", "rollback", 3, "--index", index, "--json").json["generation"] == 5
    assert ids(index) == ["b", "c"]
    assert cli("index", "rollback", 77, "--index", index).code == 2


def test_gc_keeps_what_is_pinned_and_says_what_came_back(cli, index):
    assert cli("index", "pin", 1, "first", "--index", index).out == "generation 1 is kept as first\n"
    done = cli("index", "gc", "--keep", 1, "--index", index, "--json").json
    assert done["generations"] == 1
    assert [g["id"] for g in cli("index", "generations", "--index", index, "--json").json] == [3, 1]
    cli("index", "rollback", 1, "--index", index)
    assert ids(index) == ["a", "b"]
    assert cli("index", "pin", 1, "--index", index).out == "generation 1 is no longer kept\n"
    text = cli("index", "gc", "--keep", 1, "--index", index).out
    assert "came back" in text
    assert ids(index) == ["a", "b"]
    refused = cli("index", "gc", "--keep", 0, "--index", index)
    assert refused.code == 2
    assert "at least 1" in refused.err


def test_doctor_finds_mends_and_repairs(cli, index):
    sound = cli("index", "doctor", "--index", index, "--json")
    assert sound.code == 0
    assert sound.json["sound"]
    connection = sqlite3.connect(index / "catalog.sqlite", isolation_level=None)
    connection.execute("DELETE FROM postings WHERE term LIKE 'val%'")
    assert cli("index", "doctor", "--check", "--index", index).code == 1
    mended = cli("index", "doctor", "--index", index)
    assert (mended.code, "mended" in mended.out) == (0, True)
    connection.execute("UPDATE chunks SET text = replace(text, 'tank', 'TANK')")
    connection.close()
    broken = cli("index", "doctor", "--index", index)
    assert broken.code == 1
    assert "--repair" in broken.out
    repaired = cli("index", "doctor", "--repair", "--index", index)
    assert repaired.code == 0
    assert "taken out: c\n" in repaired.out
    assert "backup" in repaired.out
    assert ids(index) == ["b"]
    assert cli("index", "doctor", "--check", "--repair", "--index", index).code == 2


def test_doctor_of_what_cannot_be_opened(cli, index):
    path = index / "catalog.sqlite"
    path.write_bytes(path.read_bytes()[:5000])
    found = cli("index", "doctor", "--index", index, "--json")
    assert found.code == 1
    assert not found.json["sound"]
    assert "restore a copy" in found.json["findings"][0]["detail"]
    missing = cli("index", "doctor", "--index", index.parent / "nowhere")
    assert missing.code == 2
    assert "no index" in missing.err


def test_reembed_makes_a_generation_of_another_embedder(cli, index):
    refused = cli("index", "reembed", "--embedder", "no/such/model", "--index", index)
    assert refused.code == 2
    assert ids(index) == ["b", "c"]
    asked = cli("search", "valve", "--index", index)
    assert asked.code == 2
    assert "contextkit index reembed --embedder all-MiniLM-L6-v2" in asked.err
    done = cli("index", "reembed", "--embedder", "all-MiniLM-L6-v2", "--index", index, "--json").json
    assert (done["changed"], done["generation"]) == (2, 4)
    hits = cli("search", "Is the valve open?", "--index", index, "--json").json["hits"]
    assert hits[0]["document_id"] == "b"
    assert cli("index", "doctor", "--index", index).code == 0
    assert cli("index", "rollback", 3, "--index", index).code == 0
    assert ids(index) == ["b", "c"]
