"""The six tools: what is listed, what a call gives, and what a wrong one is told. In process, in both eras of the protocol."""

from __future__ import annotations

import json
import logging
import re

import jsonschema
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_support import NOTES, held, said, working

from contextkit.adapters.mcp_server import build_server
from contextkit.tokens import counter_for
from contextkit.types import Principal

TEXTS = {d.id: d.text for d in NOTES}


@pytest.fixture(params=["auto", "legacy"])
def mode(request):
    """By direct dispatch in the newest version, or by the handshake and streams of the versions before."""
    return request.param


@pytest.fixture
def work(tmp_path):
    with working(tmp_path / "index", write=True) as work:
        yield work


@pytest.fixture
async def client(work, mode):
    async with held(Client(build_server(work), mode=mode)) as client:
        yield client


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """For calls that change nothing."""
    with working(tmp_path_factory.mktemp("shared") / "index", write=True) as work:
        yield work


async def test_six_tools_in_fewer_than_1500_tokens(client):
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["search", "context", "remember", "recall", "read_span", "explain"]
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert counter_for("cl100k_base").count(json.dumps(wire, separators=(",", ":"))) < 1500
    for tool in tools:
        jsonschema.Draft202012Validator.check_schema(tool.input_schema)
        jsonschema.Draft202012Validator.check_schema(tool.output_schema)
        assert tool.input_schema["additionalProperties"] is False
        assert len(tool.description) > 30
        assert tool.annotations.read_only_hint is (tool.name != "remember")


async def test_every_result_is_as_its_schema_says_and_as_the_kit_says(client, work):
    schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
    calls = {
        "search": {"question": "hotel", "k": 3},
        "context": {"question": "What may a hotel cost?", "budget": 100},
        "remember": {"text": "Ann prefers trains", "key": "ann/travel"},
        "recall": {"question": "How does Ann travel?"},
        "read_span": {"document": "handbook/leave.md", "start": 5, "end": 9},
        "explain": {},
    }
    results = {}
    for name, arguments in calls.items():
        results[name] = await client.call_tool(name, arguments)
        assert not results[name].is_error, said(results[name])
        jsonschema.validate(results[name].structured_content, schemas[name])

    hits = work.kit.search("hotel", k=3)
    found = results["search"].structured_content["passages"]
    assert [(p["document"], p["start"], p["end"], p["text"]) for p in found] == [
        (h.document_id, h.span.start, h.span.end, h.text) for h in hits
    ]
    assert all(TEXTS[p["document"]][p["start"] : p["end"]] == p["text"] for p in found)
    packet = work.kit.context("What may a hotel cost?", budget=100)
    assert said(results["context"]) == results["context"].structured_content["text"] == packet.text
    assert "Ann prefers trains" in said(results["recall"])
    assert said(results["read_span"]) == TEXTS["handbook/leave.md"][5:9]
    assert results["explain"].structured_content["receipt"] == results["context"].structured_content["receipt"]


async def test_the_receipt_counts_the_very_text_that_the_client_got(client, work):
    result = await client.call_tool(
        "context", {"question": "How much leave may be carried over?", "budget": 60, "model": "gpt-4o"}
    )
    got = result.structured_content
    receipt = work.kit.receipt(got["receipt"])
    assert counter_for("gpt-4o").count(said(result)) == got["tokens"] == receipt.tokens <= 60
    assert receipt.items
    assert all(item.text in said(result) for item in receipt.items)
    explained = (await client.call_tool("explain", {"receipt": got["receipt"]})).structured_content
    assert explained["tokens"] == got["tokens"]
    assert [(i["document"], i["start"], i["end"]) for i in explained["items"]] == [
        (i.document_id, i.start, i.end) for i in receipt.items
    ]


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search", {}, "question: Field required"),
        ("search", {"question": "  "}, "question is empty"),
        ("search", {"question": "x", "k": 0}, "k: "),
        ("search", {"question": "x", "k": 10_000}, "k: "),
        ("search", {"question": "x", "query": "y"}, "it takes question, k, where"),
        ("search", {"question": "x", "where": "team = hr"}, "where: "),
        ("search", {"question": "x", "where": {"team": {"$near": 3}}}, r"\$near"),
        ("search", {"question": ["x"]}, "question: "),
        ("context", {"question": "x", "budget": 1}, "budget"),
        ("context", {"question": "x", "budget": -5}, "budget: "),
        ("context", {"question": "x", "model": "no-such-model"}, "no-such-model"),
        ("remember", {"text": ""}, "nothing to remember"),
        ("remember", {"text": "the key is sk-" + "a1B2" * 12}, "secret"),
        ("remember", {"text": "x", "valid_from": "soon"}, "valid_from"),
        ("remember", {"text": "x", "key": "no slash"}, "key"),
        ("remember", {"text": "x", "session": ""}, "session"),
        ("recall", {"question": "x", "as_of": "yesterday-ish"}, "as_of"),
        ("recall", {"question": ""}, "empty"),
        ("read_span", {"document": "nothing"}, "no document 'nothing'"),
        ("read_span", {"document": "handbook/leave.md", "start": 61}, "60 characters"),
        ("read_span", {"document": "handbook/leave.md", "start": 9, "end": 3}, "start=9 and end=3"),
        ("read_span", {"document": "handbook/leave.md", "start": -1}, "start: "),
        ("read_span", {"document": "handbook/leave.md", "end": 50_000}, "40000 at once"),
        ("explain", {}, "no receipts yet"),
        ("explain", {"receipt": "feed"}, "no receipt 'feed'"),
        ("explain", {"receipt": ""}, "no receipt ''"),
    ],
)
async def test_a_wrong_call_is_told_what_to_mend(shared, tool, arguments, message):
    async with Client(build_server(shared)) as client:
        result = await client.call_tool(tool, arguments)
        then = await client.call_tool("search", {"question": "hotel"})
    assert result.is_error
    assert re.search(message, said(result)), said(result)
    assert "Traceback" not in said(result)
    assert not then.is_error


async def test_a_span_ends_with_its_document(client):
    got = (await client.call_tool("read_span", {"document": "handbook/leave.md", "start": 55, "end": 400})).structured_content
    assert got == {"text": TEXTS["handbook/leave.md"][55:], "start": 55, "end": 60, "length": 60, "title": "Leave"}


async def test_nothing_found_is_said_and_counts_nothing(client):
    nothing = await client.call_tool("search", {"question": "hotel", "where": {"team": "none"}})
    assert (said(nothing), nothing.structured_content) == ("Nothing found.", {"passages": []})
    empty = await client.call_tool("context", {"question": "hotel", "where": {"team": "none"}})
    assert (empty.structured_content["text"], empty.structured_content["tokens"], empty.structured_content["confidence"]) == (
        "",
        0,
        0,
    )
    unknown = await client.call_tool("recall", {"question": "anything?"})
    assert (said(unknown), unknown.structured_content) == ("Nothing is known.", {"text": "", "tokens": 0, "memories": []})


async def test_an_unknown_tool_is_a_protocol_error(client):
    with pytest.raises(MCPError, match="unknown tool 'forget': there are search, "):
        await client.call_tool("forget", {})


async def test_a_server_that_only_reads_does_not_remember(tmp_path, mode):
    with working(tmp_path / "index") as work:
        async with Client(build_server(work), mode=mode) as client:
            assert "remember" not in [tool.name for tool in (await client.list_tools()).tools]
            with pytest.raises(MCPError, match="only reads: start it with --write"):
                await client.call_tool("remember", {"text": "Ann likes tea"})
        assert not (tmp_path / "index" / "memory.sqlite").exists()


async def test_a_newer_fact_takes_the_place_of_an_older_one(client):
    for text, since in (("Ann lives in Oslo", "2024-01-01"), ("Ann lives in Bergen", "2025-01-01")):
        await client.call_tool("remember", {"text": text, "key": "ann/city", "valid_from": since})
    now = (await client.call_tool("recall", {"question": "Where does Ann live?"})).structured_content
    then = (await client.call_tool("recall", {"question": "Where does Ann live?", "as_of": "2024-06-01"})).structured_content
    assert [m["text"] for m in now["memories"]] == ["Ann lives in Bergen"]
    assert [m["text"] for m in then["memories"]] == ["Ann lives in Oslo"]
    assert counter_for(None).count(now["text"]) == now["tokens"]


async def test_what_one_conversation_knows_another_does_not(client, work):
    await client.call_tool("remember", {"text": "The code word is heron", "session": "s1"})
    recalled = {
        session: (await client.call_tool("recall", {"question": "What is the code word?", "session": session})).structured_content
        for session in ("s1", "s2")
    }
    assert [m["text"] for m in recalled["s1"]["memories"]] == ["The code word is heron"]
    assert recalled["s2"]["memories"] == []
    (memory,) = work.kit.memory.recall("code word", scope={"agent": "mcp"})
    assert memory.scope == {"agent": "mcp", "session": "s1"}


async def test_a_principal_sees_its_own(tmp_path, mode):
    with working(tmp_path / "index", write=True, principal=Principal("bob", ("board",))) as work:
        async with Client(build_server(work), mode=mode) as client:
            found = (await client.call_tool("search", {"question": "Bergen office salary", "k": 50})).structured_content[
                "passages"
            ]
            assert {p["document"] for p in found} == {d.id for d in NOTES} - {"ann"}
            assert (await client.call_tool("read_span", {"document": "ann"})).is_error
            await client.call_tool("remember", {"text": "Bob drinks coffee"})
        assert [m.scope for m in work.kit.memory.recall("coffee", scope={"user": "bob"})] == [{"user": "bob"}]


async def test_a_closed_kit_and_a_fault_of_ours_are_told_apart(client, work, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise RuntimeError("inner detail")

    monkeypatch.setattr(work.kit, "search", broken)
    with caplog.at_level(logging.ERROR):
        result = await client.call_tool("search", {"question": "hotel"})
    assert result.is_error
    assert said(result) == "search failed inside the server: RuntimeError; its log says more"
    assert "inner detail" in caplog.text
    work.kit.close()
    closed = await client.call_tool("context", {"question": "hotel"})
    assert closed.is_error
    assert "closed" in said(closed)
    with pytest.raises(MCPError, match="closed") as caught:
        await client.read_resource("contextkit://documents/ann")
    assert caught.value.code == -32603
