"""Who may call and what each sees: tokens, principals, host names. Over HTTP by a real uvicorn."""

from __future__ import annotations

import hashlib
import json

import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_support import NOTES, said, serving, with_token, working

from contextkit.adapters.mcp_server import Tokens, bound, build_server, http_app
from contextkit.errors import InputError
from contextkit.types import Principal

ANN, BOB = "ann-0123456789abcdef", "bob-0123456789abcdef"
INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}  # fmt: skip
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """A file with Ann's token and the digest of Bob's, who is on the board."""
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    digest = "sha256:" + hashlib.sha256(BOB.encode()).hexdigest()
    path.write_text(json.dumps({ANN: {"principal": "ann"}, digest: {"principal": "bob", "groups": ["board"]}}))
    path.chmod(0o600)
    return Tokens.from_file(path)


@pytest.fixture
def guarded(tmp_path, tokens):
    with working(tmp_path / "index", write=True) as work, serving(work, tokens=tokens) as url:
        yield work, url


@pytest.fixture(scope="module")
def shared(tmp_path_factory, tokens):
    """The URLs of a server with tokens and of one without, for requests that change nothing."""
    with (
        working(tmp_path_factory.mktemp("shared") / "index") as work,
        serving(work, tokens=tokens) as guarded,
        serving(work) as open_to_all,
    ):
        yield guarded, open_to_all


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong-0123456789abcdef", f"Basic {ANN}", ANN, f"Bearer {ANN}x", "Bearer é"]
)
async def test_a_missing_or_wrong_token_is_401(shared, header):
    url, _ = shared
    headers = ACCEPT if header is None else {**ACCEPT, "Authorization": header.encode()}
    async with httpx2.AsyncClient() as raw:
        for answer in (await raw.post(url, json=INITIALIZE, headers=headers), await raw.get(url, headers=headers)):
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer ")
            assert "contextkit" not in answer.text
        assert (await raw.post(url, json=INITIALIZE, headers={**ACCEPT, "Authorization": f"bearer {ANN}"})).status_code == 200


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_token_sees_and_remembers_as_its_principal(guarded, mode):
    work, url = guarded
    async with Client(with_token(url, ANN), mode=mode) as ann, Client(with_token(url, BOB), mode=mode) as bob:
        seen = {}
        for name, client in (("ann", ann), ("bob", bob)):
            found = await client.call_tool("search", {"question": "salary Bergen office hotel", "k": 50})
            seen[name] = {p["document"] for p in found.structured_content["passages"]}
            assert {r.name for r in (await client.list_resources()).resources} == seen[name]
        everyone = {d.id for d in NOTES if d.access is None}
        assert seen == {"ann": everyone | {"ann"}, "bob": everyone | {"board minutes: 7/3"}}

        assert (await bob.call_tool("read_span", {"document": "ann"})).is_error
        with pytest.raises(MCPError, match="no document"):
            await bob.read_resource("contextkit://documents/ann")
        receipt = (await ann.call_tool("context", {"question": "What is the salary?"})).structured_content["receipt"]
        assert work.kit.receipt(receipt).principal == "ann"
        assert (await bob.call_tool("explain", {"receipt": receipt})).is_error
        with pytest.raises(MCPError, match="no receipt"):
            await bob.read_resource(f"contextkit://receipts/{receipt}")

        await ann.call_tool("remember", {"text": "Ann has a cat"})
        assert "cat" in said(await ann.call_tool("recall", {"question": "Which pet?"}))
        assert said(await bob.call_tool("recall", {"question": "Which pet?"})) == "Nothing is known."
        assert [m.scope for m in work.kit.memory.recall("pet", scope={"user": "ann"})] == [{"user": "ann"}]


async def test_a_session_belongs_to_the_token_that_opened_it(shared):
    url, _ = shared
    async with httpx2.AsyncClient() as raw:
        opened = await raw.post(url, json=INITIALIZE, headers={**ACCEPT, "Authorization": f"Bearer {ANN}"})
        session = {**ACCEPT, "mcp-session-id": opened.headers["mcp-session-id"]}
        ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert (await raw.post(url, json=ask, headers={**session, "Authorization": f"Bearer {BOB}"})).status_code == 404
        assert (await raw.post(url, json=ask, headers={**session, "Authorization": f"Bearer {ANN}"})).status_code == 200


def test_no_token_stays_in_memory(tokens):
    assert ANN not in repr(vars(tokens))
    assert BOB not in repr(vars(tokens))


async def test_the_verifier_gives_the_principal_and_never_the_token(tokens):
    access = await tokens.verify_token(BOB)
    assert (access.client_id, access.claims) == ("bob", {"groups": ["board"]})
    assert BOB not in repr(access)
    assert await tokens.verify_token(hashlib.sha256(BOB.encode()).hexdigest()) is None
    assert await tokens.verify_token("\ud800") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[1]", "must be a JSON object"),
        ("{}", "there is no token"),
        ('{"short": {"principal": "ann"}}', "token 1 has 5 characters: it needs at least 16"),
        ('{"with a space in it": {"principal": "ann"}}', "none white space"),
        ('{"sha256:123": {"principal": "ann"}}', "64 hex digits"),
        ('{"secret-0123456789": {}}', "token 1: principal: Field required"),
        ('{"secret-0123456789": {"principal": " "}}', "token 1: principal"),
        ('{"secret-0123456789": {"principal": "ann", "group": ["x"]}}', "token 1: group: Extra inputs"),
        ('{"secret-0123456789": {"principal": "ann", "groups": "board"}}', "token 1: groups"),
        ('{"secret-0123456789": "ann"}', "token 1: the value"),
    ],
)
def test_a_token_file_that_is_none_is_told_without_its_secrets(tmp_path, content, message):
    path = tmp_path / "tokens.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(InputError, match=message) as caught:
        Tokens.from_file(path)
    assert "secret" not in str(caught.value)
    assert "space in" not in str(caught.value)


def test_a_token_file_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({ANN: {"principal": "ann"}}))
    path.chmod(0o644)
    with pytest.warns(UserWarning, match="can be read by others"):
        Tokens.from_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        Tokens.from_file(tmp_path / "missing.json")


def test_one_token_is_one_principal():
    digest = "sha256:" + hashlib.sha256(ANN.encode()).hexdigest()
    with pytest.raises(InputError, match="token 2 stands there twice"):
        Tokens({ANN: Principal("ann"), digest: Principal("bob")})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example.com"}, 421),
        ({"Host": "127.0.0.1.evil.example.com"}, 421),
        ({"Origin": "http://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
async def test_a_page_elsewhere_cannot_reach_a_local_server(shared, headers, status):
    _, url = shared
    async with httpx2.AsyncClient() as raw:
        answer = await raw.post(url, json=INITIALIZE, headers={**ACCEPT, **headers})
    assert answer.status_code == status


async def test_other_addresses_need_tokens_and_a_name(tmp_path, tokens):
    with working(tmp_path / "index", []) as work:
        server = build_server(work)
        for host in ("0.0.0.0", "192.0.2.7", "::", "example.com"):
            with pytest.raises(InputError, match="give --tokens FILE"):
                http_app(server, host=host)
        for host in ("0.0.0.0", "::"):
            with pytest.raises(InputError, match="--allow-host NAME"):
                http_app(server, host=host, tokens=tokens)
        for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
            assert http_app(server, host=host)
        # served on loopback here, with the checks of a server on every address
        with serving(work, host="0.0.0.0", tokens=tokens, names=["kit.example.com"]) as url:
            async with httpx2.AsyncClient() as raw:
                allowed = {**ACCEPT, "Authorization": f"Bearer {ANN}"}
                assert (await raw.post(url, json=INITIALIZE, headers={**allowed, "Host": "kit.example.com"})).status_code == 200
                assert (
                    await raw.post(url, json=INITIALIZE, headers={**allowed, "Host": "kit.example.com:8443"})
                ).status_code == 200
                assert (await raw.post(url, json=INITIALIZE, headers=allowed)).status_code == 421


def test_an_address_in_use_is_said():
    with (
        bound("127.0.0.1", 0) as first,
        pytest.raises(InputError, match="cannot listen on 127.0.0.1 port"),
        bound("127.0.0.1", first.getsockname()[1]),
    ):
        pass
    with bound("::1", 0) as listening:
        assert listening.getsockname()[0] == "::1"


async def test_broken_bodies_are_refused_and_the_server_lives_on(shared):
    _, url = shared
    async with httpx2.AsyncClient() as raw:
        for body in (b"{", b"[]", b"\xff\xfe", b"null", b'{"jsonrpc":"1.0"}', b"{}" * 10):
            answer = await raw.post(url, content=body, headers={**ACCEPT, "Content-Type": "application/json"})
            assert answer.status_code == 400, body
        huge = await raw.post(url, content=b" " * (4 * 2**20 + 1), headers={**ACCEPT, "Content-Type": "application/json"})
        assert huge.status_code == 413
    async with Client(url) as client:
        assert (await client.call_tool("search", {"question": "hotel"})).structured_content["passages"]
