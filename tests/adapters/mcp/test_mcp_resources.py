"""Documents, receipts and prompts: listed in pages, read whole, and nothing for those who may not see it."""

from __future__ import annotations

import json

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_support import NOTES, said, serving, working

import contextkit as ck
from contextkit.adapters.mcp_server import build_server
from contextkit.adapters.mcp_server.paging import encode
from contextkit.adapters.mcp_server.resources import PAGE, document_uri, receipt_uri
from contextkit.context.templates import TemplateStore
from contextkit.types import Principal

ODD = ["a b/c?page=2#d", "100%", "ä/漢字 €", "..", "../../etc/passwd", "{id}", "https://x.example/a?b=c&d", " lead", "a\nb"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """For calls that change nothing: the notes, a document of two pages, a packet of Ann's."""
    documents = [*NOTES, ck.Document("big", "A sentence that is there. " * 3000)]
    with working(tmp_path_factory.mktemp("shared") / "index", documents) as work:
        work.kit.context("hotel", principal=Principal("ann"))
        yield work


def text_of(result):
    return result.contents[0].text


async def everything(client):
    """All resources, page by page."""
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = await client.list_resources(cursor=cursor, cache_mode="bypass")
        found, cursor, pages = [*found, *page.resources], page.next_cursor, pages + 1
    return found, pages


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_list_comes_in_pages_of_one_generation(tmp_path, mode):
    documents = [ck.Document(f"d{n:03}", f"Document {n} of the list.") for n in range(250)]
    with working(tmp_path / "index", documents) as work:
        receipt = work.kit.context("document", budget=40).receipt
        async with Client(build_server(work), mode=mode) as client:
            first = await client.list_resources()
            assert len(first.resources) == 100
            work.kit.add([ck.Document("late", "Came while the list was read.")])
            work.kit.remove(["d001"])
            second = await client.list_resources(cursor=first.next_cursor)
            third = await client.list_resources(cursor=second.next_cursor)
            assert third.next_cursor is None
            listed = [r.uri for page in (first, second, third) for r in page.resources]
            assert sorted(listed) == sorted([*(document_uri(d.id) for d in documents), receipt_uri(receipt.id)])
            again, pages = await everything(client)
            assert pages == 3
            assert document_uri("late") in [r.uri for r in again]
            assert document_uri("d001") not in [r.uri for r in again]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "e30=",
        encode("a", 1),
        encode(1),
        encode(1, -1),
        encode(1, 5),
        encode(99, 0),
        encode(1, 0, 0),
        "WzEsdHJ1ZV0=",
        "é",
    ],
)
async def test_a_cursor_that_we_never_gave_is_refused(shared, cursor):
    async with Client(build_server(shared)) as client:
        for ask in (client.list_resources, client.list_prompts):
            with pytest.raises(MCPError, match="cursor .* is not known") as caught:
                await ask(cursor=cursor)
            assert caught.value.code == -32602
        assert len((await client.list_resources()).resources) == 3


async def test_a_generation_that_was_collected_ends_its_list(tmp_path):
    with working(tmp_path / "index", [ck.Document(f"d{n}", f"Text {n}.") for n in range(150)]) as work:
        async with Client(build_server(work)) as client:
            page = await client.list_resources()
            for n in range(3):
                work.kit.add([ck.Document("more", f"More {n}.")])
            work.kit.gc(keep=1)
            with pytest.raises(MCPError, match="list again from the start"):
                await client.list_resources(cursor=page.next_cursor)


async def test_any_id_has_an_address_that_leads_back(tmp_path):
    documents = [ck.Document(name, f"The text of {name!r}.", title=f"T {name.strip()}") for name in ODD]
    with working(tmp_path / "index", documents) as work:
        async with Client(build_server(work)) as client:
            listed, _ = await everything(client)
            assert {r.name for r in listed} == set(ODD)
            for resource in listed:
                result = await client.read_resource(resource.uri)
                assert text_of(result) == f"The text of {resource.name!r}."
                assert result.contents[0].uri == resource.uri


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A server over one document of 5 MB: its URL and the text."""
    filler = "wörd🙂 " * 2000  # the same text is embedded once, so that this is quick; the marks tell the pages apart
    text = "".join(f"Mark {n}.\n\n{filler}.\n\n" for n in range(260))
    assert len(text.encode()) > 5_000_000
    with working(tmp_path_factory.mktemp("big") / "index", [ck.Document("big", text)]) as work, serving(work) as url:
        yield url, text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_five_megabytes_come_in_pages_character_for_character(big, mode):
    url, text = big
    async with Client(url, mode=mode) as client:
        first = await client.read_resource(document_uri("big"))
        assert first.contents[0].meta["contextkit/pages"] == -(-len(text) // PAGE) > 50
        assert "the text goes on in contextkit://documents/big?page=2" in first.contents[1].text
        uri, got = document_uri("big"), []
        while uri:
            result = await client.read_resource(uri)
            got.append(text_of(result))
            uri = result.contents[1].uri if len(result.contents) > 1 else None
        assert "".join(got) == text
        assert {len(page) for page in got[:-1]} == {PAGE}
        span = await client.call_tool("read_span", {"document": "big", "start": len(text) - 40_000, "end": len(text)})
        assert said(span) == text[-40_000:]


@pytest.mark.parametrize("page", ["0", "3", "-1", "x", "1.0", "99999999999999999999", "00000000019", "²", "%20"])
async def test_a_page_that_is_not_there_is_refused(shared, page):
    async with Client(build_server(shared)) as client:
        with pytest.raises(MCPError, match="has the pages 1 to 2"):
            await client.read_resource(f"contextkit://documents/big?page={page}")
        assert (await client.read_resource("contextkit://documents/big?page=2")).contents[0].text.endswith("is there. ")


@pytest.mark.parametrize(
    "uri",
    [
        "contextkit://documents/nothing", "contextkit://documents/", "contextkit://documents/a/b", "contextkit://other/x",
        "file:///etc/passwd", "contextkit://receipts/", "contextkit://receipts/feed", "contextkit://documents/ann", "x",
    ],
)  # fmt: skip
async def test_what_is_not_there_or_not_ones_own_looks_the_same(shared, uri):
    async with Client(build_server(shared)) as client:
        with pytest.raises(MCPError, match="no (document|receipt|resource) ") as caught:
            await client.read_resource(uri)
        assert caught.value.code == -32602


async def test_a_receipt_is_read_by_its_owner(tmp_path):
    with working(tmp_path / "index", principal=Principal("ann")) as work:
        own = work.kit.context("What is the salary?", principal=Principal("ann")).receipt
        other = work.kit.context("What is the salary?").receipt
        async with Client(build_server(work)) as client:
            assert json.loads(text_of(await client.read_resource(receipt_uri(own.id)))) == own.model_dump(mode="json")
            with pytest.raises(MCPError, match="of yours"):
                await client.read_resource(receipt_uri(other.id))
            assert (await client.call_tool("explain", {"receipt": other.id})).is_error
            assert (await client.call_tool("explain", {})).structured_content["receipt"] == own.id
            uris = [r.uri for r in (await client.list_resources()).resources]
            assert uris == [
                *(document_uri(i) for i in sorted(d.id for d in NOTES if d.id != "board minutes: 7/3")),
                receipt_uri(own.id),
            ]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_templates_are_prompts(tmp_path, mode):
    with working(tmp_path / "index") as work:
        store = TemplateStore(tmp_path / "index")
        store.put("helper", "You help {{ team }} in {{ place }}.", label="production")
        store.put("helper", "A draft for {{ team }}.")
        store.put("plain", "Answer briefly.")
        async with Client(build_server(work), mode=mode) as client:
            prompts = (await client.list_prompts()).prompts
            assert [(p.name, [(a.name, a.required) for a in p.arguments]) for p in prompts] == [
                ("helper", [("place", True), ("team", True)]), ("plain", []),
            ]  # fmt: skip
            got = await client.get_prompt("helper", {"team": "sales", "place": "Oslo"})
            assert [(m.role, m.content.text) for m in got.messages] == [("user", "You help sales in Oslo.")]
            assert "version 1 (production)" in got.description
            for name, arguments, message in (
                ("helper", {"team": "sales"}, "needs values for place"),
                ("plain", {"team": "sales"}, "does not use team"),
                ("nothing", {}, "no template 'nothing'"),
            ):
                with pytest.raises(MCPError, match=message):
                    await client.get_prompt(name, arguments)


async def test_prompts_come_in_pages(tmp_path):
    with working(tmp_path / "index") as work:
        store = TemplateStore(tmp_path / "index")
        for n in range(101):
            store.put(f"t{n:03}", "Text.")
        async with Client(build_server(work)) as client:
            first = await client.list_prompts()
            second = await client.list_prompts(cursor=first.next_cursor)
            assert [p.name for p in (*first.prompts, *second.prompts)] == [f"t{n:03}" for n in range(101)]
            assert second.next_cursor is None


async def test_a_reader_makes_no_template_file(tmp_path):
    with working(tmp_path / "index") as work:
        async with Client(build_server(work)) as client:
            assert (await client.list_prompts()).prompts == []
            with pytest.raises(MCPError, match="no templates"):
                await client.get_prompt("x")
        assert not (tmp_path / "index" / "templates.sqlite").exists()
