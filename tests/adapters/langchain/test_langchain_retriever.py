"""Passages and packets as LangChain's Documents."""

from __future__ import annotations

import asyncio

import pytest

import contextkit as ck
from contextkit.adapters.langchain import KitRetriever
from contextkit.errors import BudgetExceeded, FilterError, InputError, KitClosed, UnknownModel
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for

PUMP = "The pump was replaced in May 2024. It runs at 40 bar. Its filter is changed twice a year."


@pytest.fixture
def kit(kit):
    kit.add(
        [
            ck.Document(id="pump", text=PUMP, title="Pump", uri="https://x/pump", metadata={"team": "works", "n": 1}),
            ck.Document(id="leave", text="Up to five days of leave may be carried over.", metadata={"source": "handbook"}),
            ck.Document(id="code", text="The pump room has the code 4711.", access=["user:ann"]),
        ]
    )
    return kit


def test_passages_carry_their_place(kit):
    found = KitRetriever(kit=kit, k=2).invoke("When was the pump replaced?")
    best = found[0]
    own = best.metadata["contextkit"]
    assert PUMP[own["start"] : own["end"]] == best.page_content
    assert own["document_id"] == "pump"
    assert {k: best.metadata[k] for k in ("source", "team", "n")} == {"source": "https://x/pump", "team": "works", "n": 1}
    assert [d.metadata["source"] for d in found if d.metadata["contextkit"]["document_id"] == "leave"] == ["handbook"]


def test_a_packet_as_documents_is_the_packet_byte_for_byte(kit):
    found = KitRetriever(kit=kit, budget=200, model="gpt-4o").invoke("At what pressure does the pump run?")
    packet = kit.context("At what pressure does the pump run?", budget=200, model="gpt-4o")
    text = "\n\n".join(d.page_content for d in found)
    assert text == packet.text
    shared = found[0].metadata["contextkit"]
    assert counter_for("gpt-4o").count(text) == shared["tokens"] <= shared["budget"] == 200
    receipt = kit.receipt(shared["receipt"])
    assert receipt.tokens == shared["tokens"]
    for document in found:
        own = document.metadata["contextkit"]
        whole = kit.catalog.text(own["document_id"])
        assert all(whole[start:end] in document.page_content for start, end in own["spans"])
        assert document.page_content.startswith(f"[{own['citation']}]")


def test_settings_of_one_call(kit):
    retriever = KitRetriever(kit=kit)
    assert len(retriever.invoke("pump", k=1)) == 1
    assert [d.metadata["team"] for d in retriever.invoke("pump", where={"team": "works"})] == ["works"]
    ids = {d.metadata["contextkit"]["document_id"] for d in retriever.invoke("code", principal=ck.Principal("ann"))}
    assert "code" in ids
    assert "code" not in {d.metadata["contextkit"]["document_id"] for d in retriever.invoke("code")}
    assert retriever.invoke("pump", budget=100)[0].metadata["contextkit"]["budget"] == 100


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"k": 0}, InputError),
        ({"k": 10_001}, InputError),
        ({"where": {"n": {"gt": 1}, "$near": 2}}, FilterError),
        ({"where": "team = works"}, FilterError),
        ({"budget": 1}, BudgetExceeded),
        ({"budget": 100, "model": "nobody-knows-it"}, UnknownModel),
        ({"filter": {}}, TypeError),
    ],
)
def test_bad_settings(kit, given, error):
    with pytest.raises(error):
        KitRetriever(kit=kit).invoke("pump", **given)
    with pytest.raises(error):
        asyncio.run(KitRetriever(kit=kit).ainvoke("pump", **given))


def test_ten_thousand_and_an_empty_question(kit):
    assert len(KitRetriever(kit=kit, k=10_000).invoke("pump")) == 2
    with pytest.raises(InputError, match="empty"):
        KitRetriever(kit=kit).invoke("  ")
    with pytest.raises(ValueError, match="Extra inputs"):
        KitRetriever(kit=kit, top=3)


def test_a_closed_kit_says_so(tmp_path):
    kit = ck.open(tmp_path / "i", embedder=TinyEmbedder())
    kit.close()
    with pytest.raises(KitClosed):
        KitRetriever(kit=kit).invoke("pump")


def test_in_a_chain_with_many_calls_at_once(kit):
    retriever = KitRetriever(kit=kit, k=1)
    chain = retriever | (lambda found: found[0].metadata["contextkit"]["document_id"])
    assert chain.batch(["pump pressure", "leave carried over"] * 4) == ["pump", "leave"] * 4

    async def many():
        return await asyncio.gather(*(chain.ainvoke("pump pressure") for _ in range(8)))

    assert asyncio.run(many()) == ["pump"] * 8
