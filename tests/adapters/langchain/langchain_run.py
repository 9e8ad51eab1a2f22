"""One run of an agent in a process of its own: `python langchain_run.py FOLDER first|second`; prints what happened as JSON."""

from __future__ import annotations

import json
import sys

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, convert_to_openai_messages
from scripted import calls, scripted

import contextkit as ck
from contextkit.adapters.langchain import KitChatMessageHistory, KitMiddleware, kit_tools
from contextkit.adapters.langgraph import KitSaver
from contextkit.context.call import read_tools
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, framing_for, message_tokens, tool_tokens

SCOPE = {"user": "ann"}
SCRIPTS = {
    "first": (
        "I look after P-7: at what pressure does it run?",
        [
            calls("search", "c1", query="P-7 pressure"),
            calls("remember", "c2", fact="Ann looks after pump P-7.", key="ann/pump"),
            AIMessage("40 bar."),
        ],
    ),
    "second": (
        "When is the filter of my pump changed?",
        [calls("recall", "c3", query="Which pump does Ann look after?"), AIMessage("In March.")],
    ),
}


def main(folder, which):
    question, script = SCRIPTS[which]
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id="p", text="P-7 runs at 40 bar. Its filter is changed in March and September.", title="Pumps")])
        packets = []
        build = kit.build
        kit.build = lambda call: packets.append(build(call)) or packets[-1]
        model = scripted(*script)
        agent = create_agent(
            model,
            kit_tools(kit, scope=SCOPE),
            system_prompt="Answer from the documents.",
            middleware=[KitMiddleware(kit, scope=SCOPE, budget=3000, model="gpt-4o", observe=True)],
            checkpointer=KitSaver(kit),
        )
        found = agent.invoke({"messages": [HumanMessage(question)]}, {"configurable": {"thread_id": "t"}})
        history = KitChatMessageHistory(kit, "t", scope=SCOPE)
        history.add_messages(found["messages"][len(history.messages) :])
        counter, framing = counter_for("gpt-4o"), framing_for("gpt-4o")
        out = []
        for received, bound, packet in zip(model.received, model.bound, packets, strict=True):
            sent = [
                {k: v for k, v in m.items() if not (k == "name" and m["role"] == "tool")}
                for m in convert_to_openai_messages(received)
            ]
            expected = [{**m, "content": m["content"] or ""} for m in packet.messages()]
            tools = [(t.name, t.description, t.parameters) for t in read_tools(bound)]
            tokens = message_tokens(sent, counter, framing) + tool_tokens(tools, counter, framing)[0]
            stored = kit.receipt(packet.receipt.id)
            out.append({"sent": sent, "same": sent == expected, "tokens": tokens, "receipt": stored.tokens})
        print(json.dumps({"calls": out, "thread": [m.type for m in found["messages"]], "history": [m.type for m in history.messages],
                          "same_history": history.messages == found["messages"]}))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
