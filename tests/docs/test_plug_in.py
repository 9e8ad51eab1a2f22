"""What docs/plug-in.md says beside its Python blocks: its commands serve, its names are there, its figures are those of the code.

The Python blocks of every page are run by `tests/repository/test_documentation.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import contextkit as ck
import contextkit.adapters

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "plug-in.md").read_text("utf-8")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
EXTRAS = sorted(set(re.findall(r"contextkit\[([a-z-]+)\]", TEXT)))


@pytest.fixture
def plugged(tmp_path):
    with ck.open(tmp_path / "plugged") as kit:
        kit.sync(ROOT / "examples" / "library" / "handbook")
    return tmp_path


def adapters():
    """Every adapter by name, or a reason why it cannot be imported."""
    for found in pkgutil.iter_modules(contextkit.adapters.__path__):
        if found.name != "shared":
            try:
                yield importlib.import_module(f"contextkit.adapters.{found.name}")
            except ImportError as error:
                pytest.skip(f"the peer of contextkit.adapters.{found.name} is not installed: {error}")


def program(command):
    return [sys.executable, "-m", "contextkit", *shlex.split(command)[1:]]


@contextmanager
def served(arguments, folder, port):
    """A server's process, once it listens."""
    running = subprocess.Popen(arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert running.poll() is None, running.stdout.read().decode()
            time.sleep(0.1)
        yield
    finally:
        running.terminate()
        running.wait(20)
        running.stdout.close()


async def answer(server):
    from mcp import Client

    async with Client(server) as client:
        found = await client.call_tool("context", {"question": "How long may I carry leave over?", "budget": 300})
        return {tool.name for tool in (await client.list_tools()).tools}, found.content[0].text


def test_the_page_has_the_commands_that_are_tried_here():
    assert [("--http" in c, "--write" in c) for c in COMMANDS] == [(False, False), (True, True)]
    assert all(c.startswith("contextkit mcp --index plugged") for c in COMMANDS)


async def test_the_command_over_stdio_answers_and_writes_nothing(plugged):
    mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    _, *arguments = program(COMMANDS[0])
    tools, text = await answer(mcp.StdioServerParameters(command=sys.executable, args=arguments, cwd=plugged))
    assert "March" in text
    assert "remember" not in tools
    assert len(tools) == 5


async def test_the_command_over_http_answers_and_remembers(plugged):
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ":8765" in COMMANDS[1]
    with served(program(COMMANDS[1].replace(":8765", f":{port}")), plugged, port):
        tools, text = await answer(f"http://127.0.0.1:{port}/mcp")
    assert "March" in text
    assert tools == set(named_tools())


def named_tools():
    return re.findall(r"`(\w+)`", re.search(r"^Six tools \(([^;]+);", TEXT, re.MULTILINE).group(1))


async def test_the_tokens_of_the_tools_are_as_stated(tmp_path):
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    from mcp import Client

    from contextkit.adapters.mcp_server import Work, build_server
    from contextkit.testing import TinyEmbedder
    from contextkit.tokens import counter_for

    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        async with Client(build_server(Work(kit, write=True))) as client:
            tools = (await client.list_tools()).tools
    assert len(tools) == len(named_tools()) == 6
    whole = [tool.model_dump_json(exclude_none=True, by_alias=True) for tool in tools]
    given = [tool.model_dump_json(include={"name", "description", "input_schema"}, by_alias=True) for tool in tools]
    whole_tokens, given_tokens = (sum(counter_for(None).count_many(texts)) for texts in (whole, given))
    assert f"{whole_tokens:,} tokens of schema together, {given_tokens:,} without what they give back" in TEXT


def test_every_class_and_function_that_the_page_names_is_in_an_adapter():
    offered = {name for module in adapters() for name in module.__all__}
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`((?:Kit|LangChain|Splitter|Loader|NodeParser|Reader|Packet)\w+|as_embedder)`", prose))
    assert len(named) >= 10
    assert named <= offered


def test_every_adapter_is_on_the_page_with_its_extra():
    assert {name for module in adapters() if (name := module.__name__.split(".")[2])} == set(
        re.findall(r"from contextkit\.adapters\.(\w+) import", TEXT)
    )
    stated = (ROOT / "pyproject.toml").read_text("utf-8")
    assert [extra for extra in EXTRAS if not re.search(rf"^{extra} = \[", stated, re.MULTILINE)] == []
