"""`contextkit mcp` as a command: what it refuses, what it says, and what it costs to import."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from mcp import Client
from mcp_support import NOTES, TINY, said, with_token

import contextkit as ck
from contextkit.cli.app import run
from contextkit.testing import TinyEmbedder


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "index"
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add(NOTES)
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--http", "8000"], "--http takes HOST:PORT"),
        (["--http", ":8000"], "--http takes HOST:PORT"),
        (["--http", "127.0.0.1:99999"], "--http takes HOST:PORT"),
        (["--http", "::1:8000"], "--http takes HOST:PORT"),
        (["--http", "127.0.0.1:x"], "--http takes HOST:PORT"),
        (["--tokens", "missing.json"], "are for --http HOST:PORT"),
        (["--allow-host", "x.example.com"], "are for --http HOST:PORT"),
        (["--http", "127.0.0.1:0", "--tokens", "missing.json"], "token file 'missing.json' cannot be read"),
        (["--http", "127.0.0.1:0", "--tokens", "t.json", "--principal", "ann"], "leave --principal out"),
        (["--group", "board"], "--group needs --principal"),
        (["--http", "0.0.0.0:0"], "0.0.0.0 can be reached from other machines: give --tokens FILE"),
        (["--http", "192.0.2.7:0"], "give --tokens FILE"),
        (["--index", "nowhere"], "no index in nowhere"),
    ],
)
def test_what_cannot_work_is_one_line_and_exits_2(index, options, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("contextkit.kit.verbs.load_embedder", lambda *_, **__: TinyEmbedder())
    assert run(["mcp", "--index", str(index), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_without_the_sdk_one_line_names_the_extra():
    code = "import sys; sys.modules['mcp'] = None; from contextkit.cli import main; main(['mcp', '--index', 'nowhere'])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "pip install 'contextkit[mcp]'" in found.stderr


def test_the_other_verbs_never_load_the_sdk():
    code = "import sys; from contextkit.cli.app import run; run(['mcp', '--help']); print('mcp.server' in sys.modules, 'numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.splitlines()[-1] == "False False"


async def test_http_from_the_command_to_the_client_and_its_end(index, tmp_path):
    token = "ann-0123456789abcdef"
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps({token: {"principal": "ann"}}))
    tokens.chmod(0o644)
    running = subprocess.Popen(
        [sys.executable, TINY, "mcp", "--index", index, "--http", "127.0.0.1:0", "--tokens", tokens],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert "can be read by others: chmod 600 it" in running.stderr.readline()
        line = running.stderr.readline()
        assert line.startswith("contextkit: serving MCP on http://127.0.0.1:")
        url = line.split()[-1]
        async with Client(with_token(url, token)) as client:
            assert "salary" in said(await client.call_tool("search", {"question": "salary"}))
            running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    finally:
        running.kill()
        running.communicate()
    assert (out, err) == ("", "contextkit: interrupted\n")
    assert running.returncode == 130
