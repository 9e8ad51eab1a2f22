"""The middleware in real agents with a scripted model: what the model received is what the receipt accounts for."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel
from scripted import calls, scripted

import contextkit as ck
from contextkit.adapters.langchain import KitMiddleware, kit_tools
from contextkit.adapters.langchain import messages as langchain_messages
from contextkit.adapters.langchain.middleware import RECEIPT
from contextkit.context.call import read_tools
from contextkit.errors import BudgetExceeded, InputError
from contextkit.tokens import counter_for, framing_for, message_tokens, tool_tokens

NOTES = {
    "pump": "The pump was replaced in May 2024. It runs at 40 bar. Its filter is changed twice a year.",
    "leave": "Up to five days of leave may be carried over to the next year, until the end of March.",
    "trip": "Trips by train are booked by the assistant; the ticket goes to the cost centre.",
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def kit(kit):
    kit.add([ck.Document(id=name, text=text, title=name) for name, text in NOTES.items()])
    kit.packets = []
    build = kit.build

    def noted(call):
        kit.packets.append(build(call))
        return kit.packets[-1]

    kit.build = noted
    return kit


def agrees(kit, model, which=-1, encoding="gpt-4o"):
    """The receipt of a call has the tokens and the bytes of what the model received."""
    received, packet = model.received[which], kit.packets[which]
    sent = convert_to_openai_messages(received)
    expected = packet.messages("openai")
    for message in expected:
        message["content"] = message["content"] or ""
    for one in sent:
        if one["role"] == "tool":
            one.pop("name", None)
    assert sent == expected
    assert json.dumps(sent, ensure_ascii=False, sort_keys=True) == json.dumps(expected, ensure_ascii=False, sort_keys=True)
    counter, framing = counter_for(encoding), framing_for(encoding)
    tools = read_tools(model.bound[which]) if model.bound else ()
    tool_cost, _ = tool_tokens([(t.name, t.description, t.parameters) for t in tools], counter, framing)
    # the kit counts a message without a name, and its calls, as `message_tokens` does
    assert packet.receipt.tokens == message_tokens(sent, counter, framing) + tool_cost
    assert packet.receipt.tokens == sum(use.tokens for name, use in packet.receipt.sections.items() if name != "reply")
    assert [t["function"]["name"] for t in model.bound[which]] == [t.name for t in tools] if model.bound else True
    return packet


def test_an_agent_receives_the_packet_and_the_receipt_accounts_for_it(kit):
    model = scripted(calls("search", query="pump pressure"), "It runs at 40 bar [1].")
    agent = create_agent(
        model,
        kit_tools(kit),
        system_prompt="Answer from the documents.",
        middleware=[KitMiddleware(kit, budget=4000, model="gpt-4o")],
    )
    found = agent.invoke({"messages": [HumanMessage("At what pressure does the pump run?")]})
    assert [type(m).__name__ for m in found["messages"]] == ["HumanMessage", "AIMessage", "ToolMessage", "AIMessage"]
    assert found["messages"][0].content == "At what pressure does the pump run?", "the state keeps what was said"
    assert "40 bar" in found["messages"][2].content
    assert len(model.received) == 2
    first, second = agrees(kit, model, 0), agrees(kit, model, 1)
    assert "It runs at 40 bar." in first.turn
    assert first.receipt.items
    assert all(item.text in model.received[0][1].content for item in first.receipt.items)
    assert "It runs at 40 bar." not in second.turn, "it stands in the tool's result, and is not said twice"
    answered = [m for m in found["messages"] if isinstance(m, AIMessage)]
    assert [m.response_metadata[RECEIPT] for m in answered] == [p.receipt.id for p in kit.packets]
    assert kit.receipt(answered[0].response_metadata[RECEIPT]).tokens == kit.packets[0].tokens


async def test_an_agent_that_runs_async_receives_the_same(kit):
    async def run(invoke):
        model = scripted(calls("context", question="What is carried over?"), "Five days.")
        agent = create_agent(model, kit_tools(kit), middleware=[KitMiddleware(kit, budget=3000)])
        await invoke(agent, {"messages": [HumanMessage("How much leave is carried over?")]})
        return convert_to_openai_messages(model.received[-1])

    async def sync(agent, given):
        return agent.invoke(given)

    async def later(agent, given):
        return await agent.ainvoke(given)

    first, second = await run(sync), await run(later)
    assert first == second
    assert any("five days" in m["content"] for m in first if m["role"] == "tool")


def test_a_long_conversation_is_shortened_for_the_model_and_kept_in_the_state(kit):
    model = scripted(*(f"answer {n} " + "and some words more " * 40 for n in range(12)))
    agent = create_agent(
        model,
        system_prompt="Be brief.",
        middleware=[KitMiddleware(kit, budget=1500, reply_reserve=200, model="gpt-4o")],
        checkpointer=InMemorySaver(),
    )
    config = {"configurable": {"thread_id": "t1"}}
    for n in range(12):
        agent.invoke({"messages": [HumanMessage(f"question {n}: what of the pump?")]}, config)
        packet = agrees(kit, model)
        assert packet.tokens <= 1300
    assert len(agent.get_state(config).values["messages"]) == 24
    assert len(model.received[-1]) < 20
    assert packet.receipt.conversation == "t1: agent"
    left = packet.receipt.left_out[0]
    assert "question" in kit.restore(left.ref) or "answer" in kit.restore(left.ref)
    # unchanged messages are the very messages of the state, with their ids
    ids = {m.id for m in agent.get_state(config).values["messages"]}
    assert any(m.id in ids for m in model.received[-1][:-1])


def test_a_question_asked_twice_in_the_same_words(kit):
    model = scripted("one", "two", "three")
    agent = create_agent(model, middleware=[KitMiddleware(kit, budget=3000)], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "again"}}
    for _ in range(3):
        agent.invoke({"messages": [HumanMessage("and now?")]}, config)
    last = model.received[-1]
    assert [m.content for m in last[:-1]] == ["and now?", "one", "and now?", "two"]
    assert last[-1].content.endswith("and now?")


def test_the_providers_usage_anchors_the_next_receipt(kit):
    used = {"input_tokens": 777, "output_tokens": 3, "total_tokens": 780}
    model = scripted(AIMessage("first", usage_metadata=used), AIMessage("second"))
    agent = create_agent(model, middleware=[KitMiddleware(kit, budget=3000)], checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "usage"}}
    for text in ("What of the pump?", "And of leave?"):
        agent.invoke({"messages": [HumanMessage(text)]}, config)
    first, second = (packet.receipt for packet in kit.packets)
    assert first.anchored_tokens is None
    assert second.anchored_tokens == 777 + second.tokens - first.tokens


def test_usage_of_an_answer_to_something_else_anchors_nothing(kit):
    used = {"input_tokens": 777, "output_tokens": 3, "total_tokens": 780}
    agent = create_agent(scripted("ok"), middleware=[KitMiddleware(kit, budget=3000)])
    before = [HumanMessage("hello"), AIMessage("hi", usage_metadata=used)]
    agent.invoke({"messages": [*before, HumanMessage("What of the pump?")]})
    assert kit.packets[-1].receipt.anchored_tokens is None


def test_memory_of_the_scope_stands_in_the_packet_and_turns_are_observed(kit):
    scope = {"user": "ann"}
    kit.memory.remember("Ann's office is in Bremen.", scope=scope)
    kit.memory.remember("Bob's office is in Kiel.", scope={"user": "bob"})
    model = scripted("In Bremen.", "Yes.")
    middleware = KitMiddleware(kit, scope=scope, observe=True, budget=3000, model="gpt-4o")
    agent = create_agent(model, middleware=[middleware])
    agent.invoke({"messages": [HumanMessage("Where is the office?")]})
    packet = agrees(kit, model)
    assert "Ann's office is in Bremen." in packet.turn
    assert "Kiel" not in packet.text
    observed = {m.text: m.source.role for m in kit.memory.recall("office", scope=scope, kinds=["episodic"])}
    assert observed == {"Where is the office?": "user", "In Bremen.": "assistant"}


def test_scope_and_principal_come_from_the_run(kit):
    @dataclass
    class Who:
        user: str

    kit.add([ck.Document(id="secret", text="The safe of the pump room has the code 4711.", access=["user:ann"])])
    kit.memory.remember("Ann likes short answers.", scope={"user": "ann"}, importance=0.9)
    middleware = KitMiddleware(
        kit,
        budget=3000,
        scope=lambda runtime: {"user": runtime.context.user},
        prepare=lambda call, request: call.replace(principal=ck.Principal(request.runtime.context.user)),
    )
    model = scripted("a", "b")
    agent = create_agent(model, middleware=[middleware], context_schema=Who)
    for name, sees in (("ann", True), ("bob", False)):
        agent.invoke({"messages": [HumanMessage("What is the code of the safe?")]}, context=Who(name))
        text = "\n".join(str(m.content) for m in model.received[-1])
        assert ("4711" in text) is sees
        assert ("short answers" in text) is sees


def test_the_form_of_the_answer_is_counted(kit):
    class Answer(BaseModel):
        """The answer."""

        pressure: int

    model = scripted(calls("Answer", pressure=40))
    agent = create_agent(
        model, response_format=ToolStrategy(Answer), middleware=[KitMiddleware(kit, budget=3000, model="gpt-4o")]
    )
    found = agent.invoke({"messages": [HumanMessage("At what pressure does the pump run?")]})
    assert found["structured_response"] == Answer(pressure=40)
    agrees(kit, model)
    assert kit.packets[0].receipt.sections["tools"].items == 1


def test_what_a_provider_put_into_a_message_goes_back_to_it(kit):
    thinking = {"type": "thinking", "thinking": "The pump...", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "call_1", "name": "search", "input": {"query": "pump"}}
    answer = AIMessage(
        [thinking, {"type": "text", "text": "I look."}, call],
        tool_calls=[{"name": "search", "args": {"query": "pump"}, "id": "call_1"}],
    )
    model = scripted(answer, "done")
    agent = create_agent(model, kit_tools(kit), middleware=[KitMiddleware(kit, budget=4000, model="claude-sonnet-4-5")])
    agent.invoke({"messages": [HumanMessage("What of the pump?")]})
    back = model.received[1][1]
    assert back.content == answer.content
    assert back.tool_calls == answer.tool_calls
    assert kit.packets[1].messages("anthropic")[1]["content"][0]["thinking"] == "The pump..."
    reasoning = AIMessage([{"type": "reasoning", "id": "r1", "summary": []}, {"type": "text", "text": "I see."}])
    model = scripted("done")
    agent = create_agent(model, middleware=[KitMiddleware(kit, budget=4000)])
    agent.invoke({"messages": [HumanMessage("a"), reasoning, HumanMessage("What of the pump?")]})
    assert model.received[0][1].content == reasoning.content


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
    ],
)
def test_an_image_with_the_question_goes_before_it(kit, block):
    model = scripted("A dot.")
    agent = create_agent(model, middleware=[KitMiddleware(kit, budget=4000, model="gpt-4o")])
    agent.invoke({"messages": [HumanMessage([{"type": "text", "text": "What is this?"}, block])]})
    shown, asked = model.received[0]
    assert [b["type"] for b in shown.content] == [block["type"]]
    assert PNG in json.dumps(shown.content)
    assert asked.content.endswith("What is this?")
    assert kit.packets[0].receipt.sections["history"].tokens > 50


def test_messages_in_and_out_again(kit):
    """What compaction changes is written anew; all kinds of messages are carried."""
    long = "a line of the log says nothing new at all\n" * 200
    history = [
        SystemMessage("You are terse."),
        HumanMessage("Read the log.", name="ann"),
        AIMessage(
            "",
            tool_calls=[{"name": "read", "args": {"path": "ü.log"}, "id": "c1"}],
            invalid_tool_calls=[{"name": "x", "args": "{", "id": "c2", "error": None}],
        ),
        ToolMessage(long, tool_call_id="c1", name="read"),
        ToolMessage("bad arguments", tool_call_id="c2", status="error"),
        AIMessage("It says nothing."),
        AIMessage(""),
        HumanMessage(["And ", {"type": "text", "text": "the pump?"}]),
    ]
    model = scripted("ok")
    agent = create_agent(
        model, system_prompt="Be kind.", middleware=[KitMiddleware(kit, budget=1200, reply_reserve=100, model="gpt-4o")]
    )
    agent.invoke({"messages": history})
    sent = model.received[0]
    assert sent[0].content == "Be kind.\n\nYou are terse."
    assert (sent[1].name, sent[1].content) == ("ann", "Read the log.")
    assert sent[2].tool_calls[0]["args"] == {"path": "ü.log"}
    assert sent[2].invalid_tool_calls[0]["args"] == "{"
    assert len(sent[3].content) < len(long)
    assert sent[3].tool_call_id == "c1"
    assert sent[4].status == "error"
    assert sent[-1].content.endswith("And \n\nthe pump?")
    assert kit.packets[0].tokens <= 1100


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([AIMessage("hello")], "no question"),
        ([HumanMessage("  ")], "empty"),
        ([ChatMessage("x", role="critic"), HumanMessage("q")], "ChatMessage"),
        ([HumanMessage("a"), calls("search"), HumanMessage("q")], "no result"),
        ([HumanMessage([{"type": "audio", "base64": "x", "mime_type": "audio/wav"}]), HumanMessage("q")], "audio"),
    ],
)
def test_what_cannot_be_carried_is_said_and_the_model_is_not_called(kit, messages, what):
    model = scripted("never")
    agent = create_agent(model, middleware=[KitMiddleware(kit, budget=3000)])
    with pytest.raises(InputError, match=what):
        agent.invoke({"messages": messages})
    assert model.received == []


def test_what_does_not_fit_is_said(kit):
    agent = create_agent(scripted("never"), system_prompt="word " * 4000, middleware=[KitMiddleware(kit, budget=1000)])
    with pytest.raises(BudgetExceeded, match="system"):
        agent.invoke({"messages": [HumanMessage("What of the pump?")]})


@pytest.mark.parametrize(
    "wrong", [{"question": "x"}, {"budgett": 3}, {"budget": "much"}, {"scope": {"town": "x"}}, {"observe": True}]
)
def test_wrong_settings_are_refused_at_once(kit, wrong):
    with pytest.raises(InputError):
        KitMiddleware(kit, **wrong)


def test_a_removed_message_is_no_message():
    with pytest.raises(InputError, match="RemoveMessage"):
        langchain_messages.plain([RemoveMessage(id="x")])
