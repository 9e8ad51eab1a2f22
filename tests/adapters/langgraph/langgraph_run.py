"""One run of a graph in a process of its own: `python langgraph_run.py FOLDER`; prints what happened as JSON."""

from __future__ import annotations

import asyncio
import json
import operator
import sys
from typing import Annotated

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import convert_to_openai_messages
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from typing_extensions import TypedDict

import contextkit as ck
from contextkit.adapters.langgraph import KitSaver, KitStore
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, framing_for, message_tokens


class State(TypedDict):
    messages: Annotated[list[dict[str, str]], operator.add]


async def main(folder):
    out = []

    class Model(GenericFakeChatModel):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            out.append(convert_to_openai_messages(messages))
            return super()._generate(messages, stop, run_manager, **kwargs)

    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id="p", text="P-7 runs at 40 bar. Its filter is changed in March and September.", title="Pumps")])
        model = Model(messages=iter(["noted"]))
        packets = []

        async def answer(state: State, *, store: BaseStore):
            *before, last = state["messages"]
            known = await store.asearch(("facts",), query=last["content"])
            await store.aput(("facts", "ann"), str(len(before)), {"text": f"Ann said: {last['content']}"})
            call = ck.AgentCall(
                question=last["content"], history=before, memory=[i.value["text"] for i in known], budget=2000, model="gpt-4o"
            )
            packets.append(await asyncio.to_thread(kit.build, call))
            said = await model.ainvoke(packets[-1].messages())
            return {"messages": [{"role": "assistant", "content": said.text}]}

        graph = StateGraph(State)
        graph.add_node("answer", answer)
        graph.add_edge(START, "answer")
        graph.add_edge("answer", END)
        app = graph.compile(checkpointer=KitSaver(kit), store=KitStore(kit, fields=["text"]))
        config = {"configurable": {"thread_id": "t"}}
        before = (await app.aget_state(config)).values.get("messages", [])
        question = "And its filter?" if before else "I look after P-7."
        found = await app.ainvoke({"messages": [{"role": "user", "content": question}]}, config)
        [packet], [sent] = packets, out
        counted = message_tokens(sent, counter_for("gpt-4o"), framing_for("gpt-4o"))
        print(
            json.dumps(
                {
                    "same": sent == packet.messages(),
                    "tokens": counted,
                    "receipt": kit.receipt().tokens,
                    "sent": sent,
                    "thread": found["messages"],
                }
            )
        )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
