"""`contextkit mcp` over stdio, as a client starts it: a real process, the official client, and clients that misbehave."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys

import pytest
from mcp import Client
from mcp_support import NOTES, TINY, command, said

import contextkit as ck
from contextkit.testing import TinyEmbedder


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "index"
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add([*NOTES, *(ck.Document(f"d{n:03}", f"Document {n} of the list.") for n in range(120))])
    return folder


def message(method, id_=None, **params):
    made = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(made if id_ is None else {**made, "id": id_}).encode() + b"\n"


START = message(
    "initialize", 0, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "raw", "version": "0"}
) + message("notifications/initialized")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_over_stdio(index, mode):
    steps = []

    async def note(done, total, stage):
        steps.append(stage)

    async with Client(command(index, "--write", "--principal", "bob", "--group", "board"), mode=mode) as client:
        assert len((await client.list_tools()).tools) == 6
        page = await client.list_resources()
        assert len(page.resources) == 100
        assert len((await client.list_resources(cursor=page.next_cursor)).resources) == 23
        result = await client.call_tool("context", {"question": "Which office does the board close?"}, progress_callback=note)
        assert "Bergen" in said(result)
        assert steps == ["retrieve", "pack"]
        results = await asyncio.gather(*(client.call_tool("search", {"question": f"document {n}", "k": 2}) for n in range(20)))
        assert all(len(r.structured_content["passages"]) == 2 for r in results)
        call = asyncio.ensure_future(client.call_tool("search", {"question": "given up"}))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        await client.call_tool("remember", {"text": "Bob drinks coffee"})
        assert "coffee" in said(await client.call_tool("recall", {"question": "What does Bob drink?"}))
        assert "salary" not in said(await client.call_tool("search", {"question": "salary", "k": 100}))


def test_broken_lines_are_answered_and_nothing_but_protocol_is_on_stdout(index):
    broken = [
        b"{",
        b"not json",
        b"[]",
        b"\xff\xfe\x00",
        b'{"jsonrpc": "2.0", "id": 5}',
        b'{"id": 1}',
        b"null",
        b"\x00",
        b"{" * 100_000,
    ]
    lines = START + b"\n".join(broken) + b"\n"
    lines += message("tools/call", 1, name="search", arguments={"question": "hotel"})
    lines += message("tools/call", 2, name="search", arguments="hotel")
    lines += message("no/such/method", 3)
    lines += message("tools/call", 4, name="read_span", arguments={"document": "ann"})
    running = subprocess.Popen(
        [sys.executable, "-W", "error", TINY, "mcp", "--index", index],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    running.stdin.write(lines)
    running.stdin.flush()
    answers = {}
    unknown = 0
    while {0, 1, 2, 3, 4} - set(answers):
        answer = json.loads(running.stdout.readline())
        assert answer["jsonrpc"] == "2.0"
        if answer.get("id") is None:
            assert answer["error"]["code"] == -32700
            unknown += 1
        answers[answer.get("id")] = answer
    rest, errors = running.communicate(timeout=20)
    assert running.returncode == 0, errors.decode()
    assert rest == b""
    assert unknown == len(broken)
    assert answers[1]["result"]["structuredContent"]["passages"]
    assert answers[2]["error"]["code"] == -32602
    assert answers[3]["error"]["code"] == -32601
    assert answers[4]["result"]["isError"] is True
    assert b"Traceback" not in errors


@pytest.mark.parametrize("way", ["closes", "vanishes"])
def test_a_client_that_goes_during_its_call_takes_the_server_with_it(index, way):
    running = subprocess.Popen(
        [sys.executable, TINY, "mcp", "--index", index, "--write"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    calls = b"".join(message("tools/call", n, name="context", arguments={"question": f"document {n}"}) for n in range(1, 30))
    running.stdin.write(START + calls)
    running.stdin.flush()
    assert json.loads(running.stdout.readline())["id"] == 0
    running.stdin.close()
    if way == "vanishes":
        running.stdout.close()
    else:
        running.stdout.read()
    assert running.wait(20) is not None
    errors = running.stderr.read()
    running.stderr.close()
    running.stdout.close()
    assert b"Traceback" not in errors, errors.decode()
    with ck.open(index, embedder=TinyEmbedder()) as kit:  # nothing half-written, nobody holds a lock
        assert kit.doctor().sound
        kit.add([ck.Document("after", "All is well.")])


def test_an_interrupt_ends_a_server_that_waits_for_its_client(index):
    running = subprocess.Popen(
        [sys.executable, TINY, "mcp", "--index", index, "--write"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    running.stdin.write(START + message("tools/call", 1, name="remember", arguments={"text": "Ann likes tea"}))
    running.stdin.flush()
    assert [json.loads(running.stdout.readline())["id"] for _ in range(2)] == [0, 1]
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    out, err = running.communicate()
    assert (out, err) == (b"", b"contextkit: interrupted\n")
    with ck.open(index, embedder=TinyEmbedder()) as kit:
        assert [m.text for m in kit.memory.recall("tea", scope={"agent": "mcp"})] == ["Ann likes tea"]
