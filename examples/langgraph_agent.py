"""A LangGraph graph on a kit: its store and its checkpoints are in the kit's memory, and its model call gets a packet.

    python examples/langgraph_agent.py FOLDER     (twice: the second run is another process with the same memory)

The model is LangChain's own fake one with a script, so that nothing has to be reached; put any chat model in its place.
"""

from __future__ import annotations

import operator
import sys
import tempfile
from typing import Annotated, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore

import contextkit as ck
from contextkit.adapters.langgraph import KitSaver, KitStore

NOTES = {
    "pumps": "Pump P-7 was replaced in May 2024. It runs at 40 bar. Its filter is changed twice a year, in March and September.",
    "leave": "Up to five days of leave may be carried over to the next year. They lapse at the end of March.",
}


class State(TypedDict):
    messages: Annotated[list[dict[str, str]], operator.add]
    receipt: str


def build(kit: ck.Kit, model: GenericFakeChatModel):
    def answer(state: State, *, store: BaseStore) -> dict:
        *before, last = state["messages"]
        known = store.search(("facts", "ann"), query=last["content"], limit=3)
        call = ck.AgentCall(
            question=last["content"],
            history=before,
            memory=[item.value["text"] for item in known],
            system="Answer from the documents, and cite them.",
            budget=2000,
            model="gpt-4o",
        )
        packet = kit.build(call)
        print(packet.turn, "\n")
        said = model.invoke(packet.messages())
        return {"messages": [{"role": "assistant", "content": said.text}], "receipt": packet.receipt.id}

    def learn(state: State, *, store: BaseStore) -> dict:
        if "I look after" in state["messages"][-2]["content"]:
            store.put(("facts", "ann"), "pump", {"text": "Ann looks after pump P-7."})
        return {}

    graph = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_node("learn", learn)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "learn")
    graph.add_edge("learn", END)
    return graph.compile(checkpointer=KitSaver(kit), store=KitStore(kit, fields=["text"]))


def run(folder: str) -> None:
    with ck.open(folder) as kit:
        kit.add([ck.Document(id=name, text=text, title=name) for name, text in NOTES.items()])
        known = KitStore(kit).search(("facts",))
        script = ["In September [1]: you look after P-7."] if known else ["P-7 runs at 40 bar [1]."]
        question = "When is the filter of my pump changed next?" if known else "I look after P-7: at what pressure does it run?"
        graph = build(kit, GenericFakeChatModel(messages=iter(script)))
        found = graph.invoke({"messages": [{"role": "user", "content": question}]}, {"configurable": {"thread_id": "chat-1"}})
        receipt = kit.receipt(found["receipt"])
        print(f"{len(found['messages'])} messages in the thread; answer: {found['messages'][-1]['content']}")
        print(f"receipt {receipt.id}: {receipt.tokens} tokens", {name: use.tokens for name, use in receipt.sections.items()})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(folder)
            run(folder)
