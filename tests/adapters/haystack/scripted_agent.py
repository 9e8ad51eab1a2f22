"""One run of a small Haystack agent with a scripted model, as its own process: `python scripted_agent.py INDEX first|second`.

Prints what the model received, what the receipt says, and the answer.
"""

from __future__ import annotations

import json
import os
import sys

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, Document, ToolCall

import contextkit as ck
from contextkit.adapters.haystack import KitDocumentStore, KitMemoryHook, KitPacketHook, KitToolset
from contextkit.testing import TinyEmbedder

SCOPE = {"user": "ann"}
SYSTEM = "Answer from the documents."
SCRIPT = {
    "first": [
        ChatMessage.from_assistant(tool_calls=[ToolCall("search", {"query": "ferry timetable"}, id="c1")]),
        ChatMessage.from_assistant(
            tool_calls=[ToolCall("remember", {"fact": "Ann's boat is called Heron.", "key": "ann/boat"}, id="c2")]
        ),
        "At nine; and I noted the boat.",
    ],
    "second": [
        ChatMessage.from_assistant(tool_calls=[ToolCall("recall", {"query": "What is Ann's boat called?"}, id="c3")]),
        "Heron.",
    ],
}
QUESTIONS = {"first": "When does the ferry leave? My boat is Heron.", "second": "What is my boat called?"}


def main(folder, run):
    received = []
    script = iter(SCRIPT[run])

    def model(messages, tools):
        received.append({"messages": [m.to_openai_dict_format() for m in messages], "tools": [t.tool_spec for t in tools]})
        return next(script)

    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        store = KitDocumentStore(kit=kit)
        if run == "first":
            store.write_documents(
                [
                    Document(id="ferry", content="The ferry leaves at nine. It is blue.", meta={"kind": "timetable"}),
                    Document(id="oven", content="The oven runs at 230 degrees."),
                ]
            )
        hook = KitPacketHook(store, budget=1600, scope=SCOPE)
        receipts = []

        class Noting(KitPacketHook):
            def run(self, state):
                hook.run(state)
                receipts.append(kit.receipt(hook.last.receipt.id).model_dump(mode="json"))

        agent = Agent(
            chat_generator=MockChatGenerator(response_fn=model),
            tools=KitToolset(store, scope=SCOPE),
            system_prompt=SYSTEM,
            hooks={"before_llm": [Noting(store)], "after_run": [KitMemoryHook(store, scope=SCOPE)]},
        )
        result = agent.run(messages=[ChatMessage.from_user(QUESTIONS[run])])
        results = [r.result for m in result["messages"] for r in m.tool_call_results]
        json.dump(
            {"received": received, "receipts": receipts, "answer": result["last_message"].text, "results": results}, sys.stdout
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
