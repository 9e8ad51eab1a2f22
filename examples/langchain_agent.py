"""A LangChain agent on a kit: it searches, each model call gets a packet, and a later run knows what an earlier one remembered.

    python examples/langchain_agent.py FOLDER     (twice: the second run is another process with the same memory)

The model is LangChain's own fake one with a script, so that nothing has to be reached; put any chat model in its place.
"""

from __future__ import annotations

import sys
import tempfile

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

import contextkit as ck
from contextkit.adapters.langchain import KitMiddleware, kit_tools
from contextkit.adapters.langgraph import KitSaver

SCOPE = {"user": "ann"}
NOTES = {
    "pumps": "Pump P-7 was replaced in May 2024. It runs at 40 bar. Its filter is changed twice a year, in March and September.",
    "leave": "Up to five days of leave may be carried over to the next year. They lapse at the end of March.",
    "travel": "Trips by train are booked by the assistant. The ticket goes to the cost centre of the traveller.",
}


class Scripted(GenericFakeChatModel):
    """LangChain's fake model; it takes tools, and shows what it was sent."""

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        print("\n".join(f"  {m.type:>6}: {m.text[:200]!r}" for m in messages), "\n")
        return super()._generate(messages, stop, run_manager, **kwargs)


def call(name, **arguments):
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"{name}-1", "type": "tool_call"}])


FIRST = [
    call("search", query="P-7 pressure"),
    call("remember", fact="Ann looks after pump P-7.", key="ann/pump"),
    AIMessage("P-7 runs at 40 bar. I noted that you look after it."),
]
SECOND = [call("recall", query="Which pump does Ann look after?"), AIMessage("In September: you look after P-7.")]


def run(folder: str) -> None:
    with ck.open(folder) as kit:
        kit.add([ck.Document(id=name, text=text, title=name) for name, text in NOTES.items()])
        known = kit.memory.recall("pump", scope=SCOPE)
        agent = create_agent(
            Scripted(messages=iter(SECOND if known else FIRST)),
            kit_tools(kit, scope=SCOPE),
            system_prompt="Answer from the documents, and cite them.",
            middleware=[KitMiddleware(kit, scope=SCOPE, budget=3000, model="gpt-4o")],
            checkpointer=KitSaver(kit),
        )
        question = "When is the filter of my pump changed next?" if known else "I look after P-7: at what pressure does it run?"
        found = agent.invoke({"messages": [("user", question)]}, {"configurable": {"thread_id": "chat-1"}})
        answer = found["messages"][-1]
        receipt = kit.receipt(answer.response_metadata["contextkit_receipt"])
        print(f"{len(found['messages'])} messages in the thread; answer: {answer.text}")
        print(f"receipt {receipt.id}: {receipt.tokens} tokens", {name: use.tokens for name, use in receipt.sections.items()})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(folder)
            run(folder)
