"""`contextkit receipts ...` and `contextkit handoff schema` on a real index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import contextkit as ck
from contextkit.cli.app import run
from contextkit.kit.info import _vectors
from contextkit.testing import TinyEmbedder


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "index"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("contextkit.kit.verbs.load_embedder", lambda *_, **__: TinyEmbedder())
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(str(i), f"Note {i} is about subject {i}.") for i in range(20)])
        ids = [
            kit.build(ck.AgentCall(agent="a", question=q, model="gpt-4o", budget=500, reply_reserve=0)).receipt.id
            for q in ("What is subject 7?", "What is subject 8?")
        ]

    def call(*arguments: str, code: int = 0):
        assert run([*arguments, "--index", str(folder)]) == code
        return capsys.readouterr()

    call.ids = ids
    return call


def test_listing_is_the_default(cli):
    assert cli("receipts", "list").out == cli("receipts").out
    assert [r["id"] for r in json.loads(cli("receipts", "list", "--json").out)] == cli.ids[::-1]


def test_diff(cli):
    a, b = cli.ids
    found = json.loads(cli("receipts", "diff", a, b, "--json").out)
    assert (found["a"], found["b"]) == (a, b)
    assert found["changed"]["question"] == ["What is subject 7?", "What is subject 8?"]
    assert "What is subject 8?" in cli("receipts", "diff", a[:6], b[:6]).out
    assert "no receipt 'zzz'" in cli("receipts", "diff", "zzz", a, code=2).err


def test_outcome_and_costs(cli):
    a, b = cli.ids
    made = json.loads(cli("receipts", "outcome", a, "--success", "--task", "answer", "--cost", "0.25", "--json").out)
    assert (made["success"], made["task"], made["cost"]) == (True, "answer", 0.25)
    assert "failure; task answer" in cli("receipts", "outcome", b, "--failure", "--task", "answer").out
    rows = json.loads(cli("receipts", "costs", "--by", "task", "--json").out)
    assert (rows[0]["name"], rows[0]["successes"], rows[0]["failures"]) == ("answer", 1, 1)
    assert "answer" in cli("receipts", "costs", "--by", "task").out
    assert "not by 'mood'" in cli("receipts", "costs", "--by", "mood", code=2).err
    assert "not both" in cli("receipts", "outcome", a, "--success", "--failure", code=2).err
    assert "nothing was given" in cli("receipts", "outcome", a, code=2).err


def test_prune(cli):
    assert json.loads(cli("receipts", "prune", "--older-than", "30d", "--json").out) == {"deleted": 0}
    assert cli("receipts", "prune", "--keep", "1").out == "1 receipts deleted\n"
    assert json.loads(cli("receipts", "prune", "--max-bytes", "0", "--json").out) == {"deleted": 1}
    assert "no receipts yet" in cli("receipts").err
    for wrong in (("--older-than", "soon"), ()):
        assert cli("receipts", "prune", *wrong, code=2).err


def test_the_schema_is_the_published_file(capsys):
    from contextkit.context import handoff

    assert run(["handoff", "schema"]) == 0
    made = capsys.readouterr().out
    published = Path(handoff.__file__).with_name(handoff.SCHEMA)
    assert published.read_text("utf-8") == made
    assert run(["handoff"]) == 0
    assert "schema" in capsys.readouterr().out


def test_explain_tells_how_it_was_searched_and_what_a_reranker_judged(cli, tmp_path, capsys):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), reranker="late-interaction") as kit:
        packet = kit.context("Which note is about subject 7? " + "Something else entirely. " * 1_000)
    name = packet.receipt.reranker
    assert packet.receipt.reranked > 0
    shown = " ".join(cli("explain", packet.receipt.id).out.split())
    assert f"reranked {packet.receipt.reranked} passages within the cap of time, by {name}" in shown
    assert "searched by the meaning of 16,000 of its" in shown
    assert "reranked" not in cli("explain", cli.ids[0]).out


def test_info_tells_what_kind_of_vector_index_is_searched(cli, tmp_path):
    shown = json.loads(cli("index", "info", "--json").out)
    assert shown["vectors"] == "exact (vectors 20)"
    assert "exact (vectors 20)" in cli("index", "info").out
    with ck.open(tmp_path / "other", embedder=TinyEmbedder()) as kit:
        assert kit.info().vectors == ""


def test_info_tells_how_lists_were_tuned():
    told = {"kind": "lists", "vectors": 200_000, "dimension": 384, "bytes": 9, "lists": 894, "probes": 40, "recall": 0.987}
    assert _vectors(told) == "lists (vectors 200,000; lists 894; looked into 40; recall@10 0.987)"
    assert _vectors({}) == ""
