"""An agent with a scripted model over MCP: it searches, gets a packet, remembers and recalls over two server processes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mcp_support import TINY

import contextkit as ck
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for

EXAMPLE = Path(__file__).parents[3] / "examples" / "mcp_client.py"


@pytest.fixture
def example(monkeypatch):
    """The example as a module, its servers with the tiny embedder."""
    spec = importlib.util.spec_from_file_location("mcp_client_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SERVER", [sys.executable, str(TINY), "mcp"])
    return module


async def test_what_the_model_received_is_what_the_receipt_accounts_for(example, tmp_path):
    folder = tmp_path / "index"
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.sync(example.HANDBOOK)
    first, second = example.Script(example.FIRST), example.Script(example.SECOND)
    _, given = await example.turn(folder, "How much leave?", first)
    _, recalled = await example.turn(folder, "Which city?", second)

    received = {message["name"]: message["content"] for message in first.received if message["role"] == "tool"}
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        receipt = kit.receipt(given["context"]["receipt"])
        again = kit.context("How many days of leave may be carried over?", budget=200, principal=ck.Principal("ann"))
        remembered = kit.memory.recall("Where does Ann live?", scope={"user": "ann"})
        texts = {i: kit.catalog.text(i) for i in {item.document_id for item in receipt.items}}
    assert received["context"].encode() == given["context"]["text"].encode() == again.text.encode()
    assert counter_for(None).count(received["context"]) == receipt.tokens == given["context"]["tokens"]
    assert receipt.principal == "ann"
    assert receipt.items
    for item in receipt.items:
        assert texts[item.document_id][item.start : item.end] == item.text
        assert item.text in received["context"]
    assert [(m.text, m.key) for m in remembered] == [("Ann lives in Hamburg.", ("ann", "city"))]

    told = {message["name"]: message["content"] for message in second.received if message["role"] == "tool"}
    assert "Ann lives in Hamburg." in told["recall"]
    assert recalled["recall"]["memories"][0]["id"] == given["remember"]["id"]
    assert recalled["explain"]["receipt"] == receipt.id
    assert recalled["explain"]["tokens"] == receipt.tokens


def test_the_example_runs_offline():
    offline = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE], capture_output=True, text=True, env=offline, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "Up to **five days** may be carried" in run.stdout
    assert "Ann lives in Hamburg." in run.stdout.split("Which city do I live in?")[1]
