"""An AutoGen agent (autogen-core) whose context and memory live in a contextkit index.

    pip install 'contextkit[autogen]'
    python examples/autogen_agent.py [FOLDER]

With a folder each run is one turn: the first asks the handbook and says something about the user; the next one, in a new process,
recalls it. Without a folder both turns run one after the other. The model client is scripted, so that this runs offline; put a
real one in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from autogen_core import (
    AgentId, CancellationToken, FunctionCall, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler,
)  # fmt: skip
from autogen_core.memory import MemoryContent, MemoryMimeType
from autogen_core.models import (
    AssistantMessage, ChatCompletionClient, CreateResult, FunctionExecutionResult, FunctionExecutionResultMessage, ModelFamily,
    RequestUsage, UserMessage,
)  # fmt: skip

import contextkit as ck
from contextkit.adapters.autogen import KitMemory, PacketContext, tools

HANDBOOK = Path(__file__).parent / "library" / "handbook"
USER = {"user": "ann"}


class ScriptedClient(ChatCompletionClient):
    """A model that calls tools and answers with what they gave; keeps what it received."""

    def __init__(self, steps) -> None:
        self.steps = list(steps)
        self.received = []
        self.used = RequestUsage(0, 0)

    async def create(
        self, messages, *, tools=(), tool_choice="auto", json_output=None, extra_create_args=None, cancellation_token=None
    ):
        self.received.append((list(messages), list(tools)))
        step = self.steps.pop(0)
        if step is None:
            step = f"From what I found: {messages[-1].content[0].content}"
        reason = "stop" if isinstance(step, str) else "function_calls"
        return CreateResult(finish_reason=reason, content=step, usage=RequestUsage(0, 0), cached=False)

    async def create_stream(self, messages, **options):
        yield await self.create(messages, **options)

    async def close(self) -> None:
        pass

    def actual_usage(self):
        return self.used

    def total_usage(self):
        return self.used

    def count_tokens(self, messages, *, tools=()):
        return 0

    def remaining_tokens(self, messages, *, tools=()):
        return 0

    @property
    def capabilities(self):
        return self.model_info

    @property
    def model_info(self):
        return {
            "vision": False,
            "function_calling": True,
            "json_output": False,
            "structured_output": False,
            "family": ModelFamily.UNKNOWN,
        }


def script(first: bool):
    """The question of a turn, and the model's steps."""
    if first:
        call = FunctionCall(id="call_1", name="search", arguments=json.dumps({"query": "carrying leave over", "count": 1}))
        return "How many days of leave may I carry over? I live in Hamburg, by the way.", [
            [call],
            "Up to five days, until 31 March.",
        ]
    call = FunctionCall(id="call_2", name="recall", arguments=json.dumps({"query": "Where does Ann live?"}))
    return "Which city do I live in?", [[call], None]


@dataclass
class Asked:
    text: str


@dataclass
class Answered:
    text: str


class HelpDesk(RoutedAgent):
    """Answers with the packet of each step as its context, until the model calls no more tools."""

    def __init__(self, client: ChatCompletionClient, context: PacketContext, offered) -> None:
        super().__init__("Answers from the handbook.")
        self.client, self.context, self.offered = client, context, {tool.name: tool for tool in offered}

    @message_handler
    async def answer(self, message: Asked, ctx: MessageContext) -> Answered:
        await self.context.add_message(UserMessage(content=message.text, source="user"))
        while True:
            result = await self.client.create(await self.context.get_messages(), tools=list(self.offered.values()))
            self.context.report(result.usage)
            await self.context.add_message(AssistantMessage(content=result.content, source="help-desk"))
            if isinstance(result.content, str):
                return Answered(result.content)
            done = [await self.call(call, ctx.cancellation_token) for call in result.content]
            await self.context.add_message(FunctionExecutionResultMessage(content=done))

    async def call(self, call: FunctionCall, token: CancellationToken) -> FunctionExecutionResult:
        tool = self.offered[call.name]
        try:
            text, failed = tool.return_value_as_string(await tool.run_json(json.loads(call.arguments), token)), False
        except ck.InputError as error:
            text, failed = str(error), True
        return FunctionExecutionResult(content=text, name=call.name, call_id=call.id, is_error=failed)


async def turn(folder: Path, trace: Path | None = None) -> None:
    """One turn of the conversation."""
    with ck.open(folder) as kit:
        kit.sync(HANDBOOK)
        offered = tools(kit, scope=USER)
        context = PacketContext(
            kit,
            budget=2048,
            system="Answer from the handbook.",
            tools=offered,
            scope=USER,
            agent="help-desk",
            conversation="help-desk",
        )
        kept = kit.memory.state("autogen/help-desk", scope=USER)
        await context.load_state(kept.get() or {"messages": []})
        first = not await context.all_messages()
        question, steps = script(first)
        client = ScriptedClient(steps)
        runtime = SingleThreadedAgentRuntime()
        await HelpDesk.register(runtime, "help-desk", lambda: HelpDesk(client, context, offered))
        runtime.start()
        answered = await runtime.send_message(Asked(question), AgentId("help-desk", "ann"))
        await runtime.stop_when_idle()
        if first:  # AutoGen's memory protocol, beside the tools that the model calls itself
            fact = MemoryContent(content="Ann lives in Hamburg.", mime_type=MemoryMimeType.TEXT, metadata={"key": "ann/city"})
            await KitMemory(kit, scope=USER).add(fact)
        kept.put(json.loads(json.dumps(await context.save_state())))
        receipt = context.packet.receipt
        print(f"Q: {question}\nA: {answered.text}\n   receipt {receipt.id}: {receipt.tokens} tokens of {receipt.budget}\n")
        if trace is not None:
            messages, given = client.received[-1]
            saved = {"packet": context.packet.messages(), "received": [message.model_dump() for message in messages]}
            trace.write_text(json.dumps({**saved, "tools": [tool.schema for tool in given], "receipt": receipt.id}))


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
