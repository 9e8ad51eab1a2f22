"""One run of a small LlamaIndex agent with a scripted model, as its own process: `python scripted_agent.py INDEX first|second`.

Prints what the model received, what the receipts say, and the answer.
"""

from __future__ import annotations

import asyncio
import json
import sys

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import Memory

import contextkit as ck
from contextkit.adapters.llamaindex import KitAgent, KitMemoryBlock, KitMessageQueue, kit_tools
from contextkit.adapters.llamaindex.agent import to_openai
from contextkit.testing import TinyEmbedder

SCOPE = {"user": "ann"}


def call(id_, name, **arguments):
    return ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id=id_, tool_name=name, tool_kwargs=arguments)])


SCRIPT = {
    "first": [
        call("c1", "search", query="ferry timetable"),
        call("c2", "remember", fact="Ann's boat is called Heron.", key="ann/boat"),
        ChatMessage(role="assistant", content="At nine; and I noted the boat."),
    ],
    "second": [call("c3", "recall", query="What is Ann's boat called?"), ChatMessage(role="assistant", content="Heron.")],
}
QUESTIONS = {"first": "When does the ferry leave? My boat is Heron.", "second": "What is my boat called?"}


async def main(folder, run):
    received, receipts = [], []
    script = iter(SCRIPT[run])
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        if run == "first":
            kit.add(
                [
                    ck.Document("ferry", "The ferry leaves at nine. It is blue."),
                    ck.Document("oven", "The oven runs at 230 degrees."),
                ]
            )

        def model(messages, **kwargs):
            tools = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in kwargs.get("tools") or ()]
            received.append({"messages": [to_openai(m, n) for n, m in enumerate(messages)], "tools": tools})
            receipts.append(kit.receipt(agent.last_packet.receipt.id).model_dump(mode="json"))
            return next(script)

        agent = KitAgent(
            kit,
            scope=SCOPE,
            budget=1600,
            name="desk",
            system_prompt="Answer from the documents.",
            tools=kit_tools(kit, scope=SCOPE),
            llm=MockFunctionCallingLLM(response_generator=model),
            streaming=run == "first",
        )
        block = KitMemoryBlock(kit, scope=SCOPE)
        memory = Memory.from_defaults(session_id="ann", chat_store=KitMessageQueue(kit))
        answer = await agent.run(QUESTIONS[run], memory=memory)
        await block.aput(await memory.aget_all())
        kept = [m.content for m in await memory.aget_all()]
    json.dump({"received": received, "receipts": receipts, "answer": str(answer), "kept": kept}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
