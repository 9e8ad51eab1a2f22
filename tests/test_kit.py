"""The whole path by library: documents in, hits and packets out, errors in between."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import contextkit as ck
from contextkit.context.packet import user_turn
from contextkit.errors import KitClosed, ReadOnlyIndex
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, message_tokens


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        yield kit


TEAM = [
    ck.Document("a", "Ann keeps the bees. The hive stands on the roof.", title="Bees", metadata={"team": "x", "year": 2024}),
    ck.Document("b", "Bob bakes bread every Friday. The oven is old.", title="Bread", metadata={"team": "y", "year": 2025}),
    ck.Document("c", "Salaries are secret. Cleo earns the most.", access=["group:hr", "user:cleo"], metadata={"team": "x"}),
]


def test_added_documents_are_found_with_their_address(kit):
    report = kit.add(TEAM)
    assert (report.added, report.changed, report.failed) == (3, 0, 0)
    hits = kit.search("who bakes bread", k=2)
    assert hits[0].document_id == "b"
    assert TEAM[1].text[hits[0].span.start : hits[0].span.end] == hits[0].text
    assert hits[0].metadata == {"team": "y", "year": 2025}
    assert hits[0].score >= hits[1].score


def test_filters_and_rights_hold_for_search_and_context(kit):
    kit.add(TEAM)
    assert {h.document_id for h in kit.search("bees bread", where={"team": "x"})} == {"a"}
    assert {h.document_id for h in kit.search("bees", where={"year": {"$gte": 2025}})} == {"b"}
    assert "c" not in {h.document_id for h in kit.search("salaries")}
    hr = ck.Principal("dora", groups=["hr"])
    assert kit.search("salaries", principal=hr)[0].document_id == "c"
    assert "Cleo" not in kit.context("Who earns the most?").text
    assert "Cleo" in kit.context("Who earns the most?", principal=ck.Principal("cleo")).text


def test_a_changed_document_is_replaced_and_a_removed_one_is_gone(kit):
    kit.add(TEAM)
    report = kit.add([ck.Document("b", "Bob sails on Sundays.")])
    assert (report.added, report.changed) == (0, 1)
    assert "bakes" not in kit.context("What does Bob do?").text
    kit.remove(["b"])
    assert "b" not in {h.document_id for h in kit.search("Bob sails")}
    with pytest.raises(ck.InputError, match="'b'"):
        kit.remove(["b"])


def test_twins_are_two_documents_but_are_delivered_once(kit):
    kit.add([ck.Document("one", "The gate code is 4711."), ck.Document("two", "The gate code is 4711.")])
    assert {h.document_id for h in kit.search("gate code")} == {"one", "two"}
    packet = kit.context("What is the gate code?")
    assert packet.text.count("4711") == 1
    assert packet.citations[0].document_id == "one"
    assert packet.citations[0].same_text == ("two",)


def test_the_packet_says_what_it_is_and_its_receipt_is_kept(kit):
    kit.add(TEAM)
    packet = kit.context("Where does the hive stand?", budget=64, model="gpt-4o")
    assert packet.tokens == counter_for("gpt-4o").count(packet.text) <= 64
    assert packet.receipt.encoding == "o200k_base"
    assert packet.receipt.overhead + sum(i.tokens for i in packet.items) == packet.tokens
    assert kit.receipt() == packet.receipt == kit.receipt(packet.receipt.id[:6])
    assert json.loads(packet.model_dump_json())["receipt"]["id"] == packet.receipt.id
    with pytest.raises(ck.InputError, match="no receipt 'nope'"):
        kit.receipt("nope")


def test_every_item_and_citation_points_into_its_document(kit):
    kit.add(TEAM)
    texts = {d.id: d.text for d in TEAM}
    packet = kit.context("bees and bread and ovens", budget=100)
    assert packet.items
    for item in packet.items:
        assert texts[item.document_id][item.start : item.end] == item.text
        assert item.text in packet.text
        citation = packet.citations[item.citation - 1]
        assert citation.number == item.citation
        assert (item.start, item.end) in citation.spans


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 300), st.sampled_from(list(ck.Format)), st.sampled_from(["bees", "What of the oven <b>?", "Bob " * 30]))
def test_no_packet_is_ever_over_its_budget(filled, budget, format_, question):
    try:
        packet = filled.context(question, budget=budget, format=format_)
    except ck.BudgetExceeded as error:
        assert error.limit == budget < error.needed
        return
    counter = counter_for(None)
    if format_ == "messages":
        assert packet.tokens == message_tokens(packet.messages("openai"), counter)
    else:
        assert packet.tokens == counter.count(packet.text)
    assert packet.tokens <= budget


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("filled") / "index", embedder=TinyEmbedder()) as kit:
        kit.add([*TEAM, ck.Document("long", "The river rises. " * 200 + "It falls.", title="River")])
        yield kit


def test_formats_and_messages(kit):
    kit.add(TEAM)
    question = "Where does the hive stand?"
    text = kit.context(question)
    assert text.text.startswith("[1] Bees\nAnn keeps the bees.")
    assert text.messages("openai") == [{"role": "user", "content": user_turn(text.text, question)}]
    xml = kit.context(question, format="xml")
    assert xml.text.startswith('<documents>\n<document index="1" title="Bees" source="a">\nAnn keeps')
    assert kit.context(question, format="markdown").text.startswith("### [1] Bees\n\nAnn")
    messages = kit.context(question, format="messages").messages("anthropic")
    assert messages[0]["content"][0]["text"].endswith(f"Question: {question}")
    with pytest.raises(ck.InputError, match="no format 'yaml'"):
        kit.context(question, format="yaml")
    with pytest.raises(ck.InputError, match="'cohere'"):
        text.messages("cohere")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda k: k.context(""), ck.InputError, "question is empty"),
        (lambda k: k.search(" \n"), ck.InputError, "question is empty"),
        (lambda k: k.context("bees", budget=0), ck.BudgetExceeded, "budget of 0"),
        (lambda k: k.context("bees", budget=-3), ck.BudgetExceeded, "budget of -3"),
        (lambda k: k.context("bees", budget=3), ck.BudgetExceeded, "below what one citation needs"),
        (lambda k: k.context("bees", budget="many"), ck.InputError, "whole number of tokens"),
        (lambda k: k.context("bees", model="gpt-40"), ck.UnknownModel, "gpt-4"),
        (lambda k: k.search("bees", k=0), ck.InputError, "k must be"),
        (lambda k: k.search("bees", where={"team": {"$near": 1}}), ck.FilterError, "near"),
        (lambda k: k.sync("no/such/place"), ck.SourceError, "no/such/place"),
        (lambda k: k.add(["text"]), ck.InputError, "Document"),
        (lambda k: k.add([TEAM[0], TEAM[0]]), ck.InputError, "'a'"),
    ],
)
def test_bad_input_is_one_clear_error(kit, call, error, words):
    kit.add(TEAM)
    with pytest.raises(error, match=words):
        call(kit)
    assert kit.info().documents == 2


def test_an_empty_index_gives_an_empty_packet(kit):
    packet = kit.context("anything?")
    assert (packet.text, packet.tokens, packet.items, packet.confidence) == ("", 0, (), 0.0)
    assert kit.search("anything?") == []


def test_a_filter_that_matches_nothing_gives_an_empty_packet(kit):
    kit.add(TEAM)
    assert kit.context("bees?", where={"team": "nobody"}).citations == ()


def test_opening(tmp_path):
    with pytest.raises(ck.IndexNotFound, match="contextkit index build"):
        ck.open(tmp_path / "none", create=False)
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(TEAM)
    with pytest.raises(ck.IndexMismatch, match="'tiny'.*'other'"):
        ck.open(tmp_path / "index", embedder=TinyEmbedder("other"))
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), read_only=True) as kit:
        assert kit.search("bees")[0].document_id == "a"
        with pytest.raises(ReadOnlyIndex):
            kit.add(TEAM)
    with pytest.raises(KitClosed, match="closed"):
        kit.search("bees")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ck.InputError, match=r"thesis\.txt"):
        ck.open(tmp_path / "mine", embedder=TinyEmbedder())


def test_an_index_of_another_embedder_is_refused_at_first_use_when_none_was_named(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(TEAM)
    with ck.open(tmp_path / "index") as kit:
        assert kit.info().embedder == "tiny"
        with pytest.raises(ck.IndexMismatch, match="all-MiniLM-L6-v2"):
            kit.search("bees")


def test_the_vector_file_can_be_deleted_at_any_time(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(TEAM)
        before = kit.search("old oven")
    removed = [p for p in (tmp_path / "index").iterdir() if p.name.startswith("vectors.")]
    assert removed
    for path in removed:
        path.unlink()
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        assert kit.search("old oven") == before


def test_sync_of_a_folder_follows_what_changes_there(tmp_path, kit):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "one.md").write_text("# One\n\nThe ferry leaves at nine.")
    (docs / "two.txt").write_text("The museum is closed on Mondays.")
    first = kit.sync(docs)
    assert (first.added, first.failed) == (2, 0)
    (docs / "one.md").write_text("# One\n\nThe ferry leaves at ten.")
    (docs / "two.txt").unlink()
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    second = kit.sync(docs)
    assert (second.changed, second.removed, second.failed) == (1, 1, 1)
    assert "broken.pdf" in second.failures[0].id
    assert "ten" in kit.context("When does the ferry leave?").text
    third = kit.sync(docs, retire=False)
    assert (third.changed, third.removed, third.unchanged) == (0, 0, 1)


def test_a_copied_index_works_where_it_lies(tmp_path, kit):
    kit.add(TEAM)
    kit.close()
    shutil.copytree(tmp_path / "index", tmp_path / "copy")
    with ck.open(tmp_path / "copy", embedder=TinyEmbedder()) as copy:
        assert copy.search("hive")[0].document_id == "a"
