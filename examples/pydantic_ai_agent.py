"""A pydantic-ai agent whose context and memory live in a contextkit index.

    pip install 'contextkit[pydantic-ai]'
    python examples/pydantic_ai_agent.py [FOLDER]

With a folder each run is one turn: the first asks the handbook and says something about the user; the next one, in a new process,
recalls it. Without a folder both turns run one after the other. The model is the library's own test double, so that this runs
offline; put a model's name in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from pydantic_ai import Agent, ModelMessagesTypeAdapter
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

import contextkit as ck
from contextkit.adapters.pydantic_ai import PacketCapability, toolset

HANDBOOK = Path(__file__).parent / "library" / "handbook"
USER = {"user": "ann"}


class Script:
    """A model that calls tools and answers with what they gave; keeps what it received."""

    def __init__(self, first: bool) -> None:
        self.received = []
        if first:
            self.question = "How many days of leave may I carry over? I live in Hamburg, by the way."
            self.steps = [
                ToolCallPart("search", {"query": "carrying leave over", "count": 1}, "call_1"),
                ToolCallPart("remember", {"fact": "Ann lives in Hamburg.", "key": "ann/city"}, "call_2"),
                TextPart("Up to five days, until 31 March. I keep in mind that you live in Hamburg."),
            ]
        else:
            self.question = "Which city do I live in?"
            self.steps = [ToolCallPart("recall", {"query": "Where does Ann live?"}, "call_3"), None]

    def __call__(self, messages, info):
        self.received.append((messages, info))
        step = self.steps[len(self.received) - 1]
        return ModelResponse(parts=[step or TextPart(f"From what I found: {messages[-1].parts[-1].content}")])


async def turn(folder: Path, trace: Path | None = None) -> None:
    """One turn of the conversation."""
    with ck.open(folder) as kit:
        kit.sync(HANDBOOK)
        kept = kit.memory.state("pydantic-ai/help-desk", scope=USER)
        history = ModelMessagesTypeAdapter.validate_python(kept.get() or [])
        model = Script(first=not history)
        packets = PacketCapability(kit, budget=2048, scope=USER, conversation="help-desk")
        agent = Agent(
            FunctionModel(model), name="help-desk", instructions="Answer from the handbook.",
            capabilities=[packets], toolsets=[toolset(kit, scope=USER)],
        )  # fmt: skip
        result = await agent.run(model.question, message_history=history)
        kept.put(ModelMessagesTypeAdapter.dump_python(result.all_messages(), mode="json"))
        receipt = packets.packet.receipt
        print(f"Q: {model.question}\nA: {result.output}\n   receipt {receipt.id}: {receipt.tokens} tokens of {receipt.budget}\n")
        if trace is not None:
            messages, info = model.received[-1]
            told = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
            tools = [
                {"name": t.name, "description": t.description, "parameters": t.parameters_json_schema}
                for t in info.function_tools
            ]
            saved = {"packet": packets.packet.messages(), "received": told, "instructions": info.instructions, "tools": tools}
            trace.write_text(json.dumps({**saved, "receipt": receipt.id}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="the index; made where there is none")
    parser.add_argument("--trace", type=Path, help="write what the model received last into this file")
    given = parser.parse_args()
    if given.folder is not None:
        asyncio.run(turn(given.folder, given.trace))
        return
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            asyncio.run(turn(Path(folder) / "index"))


if __name__ == "__main__":
    main()
