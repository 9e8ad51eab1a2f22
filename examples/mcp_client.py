"""An agent that reaches a contextkit index over MCP, with the official client.

    pip install 'contextkit[mcp]'
    python examples/mcp_client.py [FOLDER]

Two turns, each with a server process of its own (`contextkit mcp`, over stdio): the first one looks into the handbook, is given a
packet within a token budget and remembers something about the user; the second one recalls it. With a folder the index stays
there. The model is a script, so that this runs offline; a real one would be given the same tools and the same messages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from mcp import Client, StdioServerParameters

import contextkit as ck

HANDBOOK = Path(__file__).parent / "library" / "handbook"
SERVER = [sys.executable, "-m", "contextkit", "mcp"]

FIRST = [
    ("search", {"question": "carrying leave over", "k": 2}),
    ("context", {"question": "How many days of leave may be carried over?", "budget": 200}),
    ("remember", {"text": "Ann lives in Hamburg.", "key": "ann/city"}),
    "Up to five days. I keep in mind that you live in Hamburg.",
]
SECOND = [
    ("recall", {"question": "Where does Ann live?"}),
    ("explain", {}),
    "You told me that you live in Hamburg.",
]


class Script:
    """A model that asks for one tool after the other and then answers; keeps what it received."""

    def __init__(self, steps):
        self.steps = list(steps)
        self.received = []

    def __call__(self, messages, tools):
        self.received = [dict(message) for message in messages]
        step = self.steps.pop(0)
        if isinstance(step, str):
            return {"role": "assistant", "content": step}
        name, arguments = step
        assert name in [tool.name for tool in tools], f"the server offers no {name}"
        return {"role": "assistant", "call": {"name": name, "arguments": arguments}}


async def turn(index, question, model):
    """One turn with a server process of its own: the messages, and each tool's structured result by name."""
    server = StdioServerParameters(command=SERVER[0], args=[*SERVER[1:], "--index", str(index), "--write", "--principal", "ann"])
    messages, results = [{"role": "user", "content": question}], {}
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        while True:
            said = model(messages, tools)
            messages.append(said)
            if "call" not in said:
                return messages, results
            call = said["call"]
            result = await client.call_tool(call["name"], call["arguments"])
            messages.append({"role": "tool", "name": call["name"], "content": "".join(part.text for part in result.content)})
            results[call["name"]] = result.structured_content


async def conversation(index):
    """Both turns."""
    for question, steps in (("How much leave may I carry over? I live in Hamburg.", FIRST), ("Which city do I live in?", SECOND)):
        messages, results = await turn(index, question, Script(steps))
        for message in messages:
            shown = message.get("content") or json.dumps(message["call"])
            print(f"{message['role']:>9}: {' '.join(shown.split())[:120]}")
        if "context" in results:
            packet = results["context"]
            print(f"  receipt: {packet['receipt']}: {packet['tokens']} of 200 tokens, confidence {packet['confidence']:.2f}")
        print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="the index; made where there is none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        index = given.folder or Path(temporary) / "index"
        with ck.open(index) as kit:
            kit.sync(HANDBOOK)
        asyncio.run(conversation(index))


if __name__ == "__main__":
    main()
