"""An agent of the OpenAI Agents SDK whose context, memory and conversation live in a contextkit index.

    pip install 'contextkit[openai-agents]'
    python examples/openai_agents_agent.py [FOLDER]

With a folder each run is one turn: the first asks the handbook and says something about the user; the next one, in a new process,
recalls it. Without a folder both turns run one after the other. The model is the SDK's own test double, so that this runs offline;
put a model's name in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from agents import Agent, RunConfig, Runner
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call

import contextkit as ck
from contextkit.adapters.openai_agents import KitSession, PacketFilter, tools

HANDBOOK = Path(__file__).parent / "library" / "handbook"
USER = {"user": "ann"}


def script(first: bool) -> tuple[str, ScriptedModel]:
    """The question of a turn, and a model that calls tools and answers with what they gave."""

    def answer(call):
        return [assistant_message(f"From what I found: {call.input[-1]['output']}")]

    if first:
        fact = {"fact": "Ann lives in Hamburg.", "key": "ann/city"}
        steps = [
            [function_call("search", {"query": "carrying leave over", "count": 1}, call_id="call_1")],
            [function_call("remember", fact, call_id="call_2")],
            [assistant_message("Up to five days, until 31 March. I keep in mind that you live in Hamburg.")],
        ]
        return "How many days of leave may I carry over? I live in Hamburg, by the way.", ScriptedModel(steps)
    steps = [[function_call("recall", {"query": "Where does Ann live?"}, call_id="call_3")], ModelStep.respond(answer)]
    return "Which city do I live in?", ScriptedModel(steps)


async def turn(folder: Path, trace: Path | None = None) -> None:
    """One turn of the conversation."""
    with ck.open(folder) as kit:
        kit.sync(HANDBOOK)
        session = KitSession(kit, "help-desk", scope=USER)
        question, model = script(first=not await session.get_items(limit=1))
        packets = PacketFilter(kit, budget=2048, scope=USER, conversation="help-desk")
        agent = Agent(name="help-desk", instructions="Answer from the handbook.", model=model, tools=tools(kit, scope=USER))
        config = RunConfig(call_model_input_filter=packets, tracing_disabled=True)
        result = await Runner.run(agent, question, session=session, hooks=packets.hooks, run_config=config)
        receipt = packets.packet.receipt
        print(f"Q: {question}\nA: {result.final_output}\n   receipt {receipt.id}: {receipt.tokens} tokens of {receipt.budget}\n")
        if trace is not None:
            call = model.last_call
            offered = [{"name": t.name, "description": t.description, "parameters": t.params_json_schema} for t in call.tools]
            received = [{"role": "system", "content": call.system_instructions}, *call.input]
            packet = packets.packet.request("responses")["input"]
            trace.write_text(json.dumps({"packet": packet, "received": received, "tools": offered, "receipt": receipt.id}))


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
