"""A whole agent over two processes, and the hooks and tools it is made of."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from haystack.components.agents import Agent
from haystack.components.agents.state.state import State
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, Document, ReasoningContent, ToolCall

import contextkit as ck
from contextkit.adapters.haystack import KitDocumentStore, KitMemoryHook, KitPacketHook, KitToolset
from contextkit.adapters.haystack.messages import original
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, message_tokens, tool_tokens
from contextkit.tokens.framing import framing_for

HERE = Path(__file__).parent


def run(folder, which):
    command = [sys.executable, str(HERE / "scripted_agent.py"), str(folder), which]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def tokens_of(received):
    counter, framing = counter_for(None), framing_for(None)
    tools = sorted((t["name"], t["description"], t["parameters"]) for t in received["tools"])
    return message_tokens(received["messages"], counter, framing) + tool_tokens(tools, counter, framing)[0]


def test_an_agent_searches_gets_packets_remembers_and_recalls_after_a_restart(tmp_path):
    first = run(tmp_path / "index", "first")
    second = run(tmp_path / "index", "second")
    for part in (first, second):
        assert len(part["received"]) == len(part["receipts"]) >= 2
        for received, receipt in zip(part["received"], part["receipts"], strict=True):
            assert tokens_of(received) == receipt["tokens"]
            turn = next(m["content"] for m in reversed(received["messages"]) if m["role"] == "user")
            for item in receipt["items"]:
                assert item["text"] in turn
        steps = [m for m in part["received"][-1]["messages"] if m["role"] in ("assistant", "tool")]
        assert [m["role"] for m in steps[:2]] == ["assistant", "tool"]
    assert "The ferry leaves at nine." in first["received"][0]["messages"][-1]["content"]
    assert "The ferry leaves at nine." in first["results"][0]
    assert first["results"][1].startswith("Remembered as m")
    assert "Ann's boat is called Heron." in second["results"][0]
    turn = second["received"][0]["messages"][-1]["content"]
    assert turn.startswith("From memory:"), "the hook recalls without a tool"
    assert "Heron" in turn
    assert (first["answer"], second["answer"]) == ("At nine; and I noted the boat.", "Heron.")


@pytest.fixture
def store(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [ck.Document("hive", "Ann keeps the bees. The hive stands east."), ck.Document("pump", "The pump runs at 40 bar.")]
        )
        yield KitDocumentStore(kit=kit)


def packed(hook, *messages):
    state = State({}, {"messages": list(messages)})
    hook.run(state)
    return state.data["messages"]


def test_the_hook_keeps_given_messages_and_can_be_asked_again(store):
    hook = KitPacketHook(store, budget=800)
    thought = ChatMessage.from_assistant(
        "It does.", meta={"model": "m"}, reasoning=ReasoningContent("thinking"), tool_calls=[ToolCall("t", {"a": 1}, id="x")]
    )
    result = ChatMessage.from_tool("fine", origin=ToolCall("t", {"a": 1}, id="x"))
    question = ChatMessage.from_user("Where does the hive stand?", meta={"channel": "mail"})
    given = [ChatMessage.from_system("Be brief."), ChatMessage.from_user("Does it run?"), thought, result, question]
    first = packed(hook, *given)
    assert first[:4] == given[:4]
    assert all(a is b for a, b in zip(first[1:4], given[1:4], strict=True))
    assert "The hive stands east." in first[4].text
    assert first[4].meta["channel"] == "mail"
    assert first[4].meta["contextkit"]["receipt"] == hook.last.receipt.id
    assert original(first) == given
    again = packed(hook, *first)
    assert [m.text for m in again] == [m.text for m in first]
    later = packed(hook, *first, ChatMessage.from_assistant("East."), ChatMessage.from_user("And the pump?"))
    assert later[4] == question, "an earlier question is sent as it was asked"
    assert "40 bar" in later[-1].text


def test_a_long_history_is_shortened_and_can_be_restored(store):
    hook = KitPacketHook(store, budget=700, reply_reserve=0)
    calls = [ToolCall("log", {"n": n}, id=f"c{n}") for n in range(6)]
    steps = []
    for call in calls:
        steps += [ChatMessage.from_assistant(tool_calls=[call]), ChatMessage.from_tool(f"line {call.id} " * 120, origin=call)]
    sent = packed(hook, ChatMessage.from_user("Read the log."), *steps, ChatMessage.from_user("Where does the hive stand?"))
    assert hook.last.tokens <= 700
    left = hook.last.receipt.left_out
    assert left
    texts = {m.tool_call_result.result for m in steps if m.tool_call_result}
    assert any(store.kit.restore(one.ref) in texts for one in left)
    for message in sent:
        if message.tool_call_result:
            assert message.tool_call_result.origin in calls


async def test_the_same_in_an_event_loop(store):
    seen = []

    def model(messages, tools):
        seen.append(messages)
        return (
            ChatMessage.from_assistant(tool_calls=[ToolCall("search", {"query": "hive"}, id="s")]) if len(seen) == 1 else "East."
        )

    agent = Agent(
        chat_generator=MockChatGenerator(response_fn=model),
        tools=KitToolset(store, scope={"user": "bo"}),
        hooks={"before_llm": [KitPacketHook(store, budget=800)], "after_run": [KitMemoryHook(store, scope={"user": "bo"})]},
    )
    result = await agent.run_async(messages=[ChatMessage.from_user("Where does the hive stand?")])
    assert "stands east" in seen[1][-1].tool_call_result.result
    assert result["last_message"].text == "East."
    kept = store.kit.memory.recall("hive", scope={"user": "bo"})
    assert "Where does the hive stand?" in [m.text for m in kept]
    assert not any("Question:" in m.text for m in kept), "what was asked is kept, not the packet"


def test_tools_work_called_from_a_running_loop(store):
    toolset = KitToolset(store)
    toolset.warm_up()
    tools = {tool.name: tool for tool in toolset}
    assert sorted(tools) == ["context", "search"]

    async def inside():
        return tools["search"].invoke(query="hive", count=1)

    assert "hive" in asyncio.run(inside())
    assert "40 bar" in asyncio.run(tools["context"].invoke_async(question="What pressure has the pump?"))
    assert tools["search"].parameters["properties"]["query"]["type"] == "string"


def test_parts_come_back_from_their_dictionaries(tmp_path):
    store = KitDocumentStore(tmp_path / "index", principal={"id": "ann", "groups": ["staff"]}, access=["group:staff"])
    agent = Agent(
        chat_generator=MockChatGenerator("Done."),
        tools=KitToolset(store, scope={"user": "ann"}, budget=300),
        hooks={
            "before_llm": [
                KitPacketHook(
                    store, budget=1500, scope={"user": "ann"}, filters={"field": "meta.a", "operator": "==", "value": 1}
                )
            ],
            "after_run": [KitMemoryHook(store, scope={"user": "ann"})],
        },
    )
    from haystack import Pipeline

    pipeline = Pipeline()
    pipeline.add_component("agent", agent)
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["contextkit"])
    assert again.to_dict() == pipeline.to_dict()
    assert not (tmp_path / "index").exists(), "nothing is opened before it is used"
    store.write_documents([Document(content="The gate is open.", meta={"a": 1})])
    result = again.run({"agent": {"messages": [ChatMessage.from_user("Is the gate open?")]}})
    assert "The gate is open." in result["agent"]["messages"][0].text
    loaded = again.get_component("agent")
    loaded.close()
    store.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda s: KitPacketHook("no store"), "KitPacketHook needs a KitDocumentStore"),
        (lambda s: KitMemoryHook(s, scope={}), "names nobody"),
        (lambda s: KitPacketHook(s, filters={"team": "x"}), "operator"),
        (lambda s: packed(KitPacketHook(s, budget=100, scope={"nobody": "x"}), ChatMessage.from_user("?")), "unknown level"),
        (lambda s: packed(KitPacketHook(s, budget=500), ChatMessage.from_system("only")), "question"),
        (lambda s: packed(KitPacketHook(s, budget=20), ChatMessage.from_user("a long question " * 20)), "question"),
        (lambda s: packed(KitPacketHook(s), ChatMessage.from_user("Why?")), "budget"),
    ],
)
def test_bad_input_is_one_clear_error(store, make, words):
    with pytest.raises(ck.InputError, match=words):
        make(store)


def spoken_by(tokens):
    """A model that searches and then answers; each reply reports so many input tokens."""
    replies = iter(
        [ChatMessage.from_assistant(tool_calls=[ToolCall("search", {"query": "hive"}, id="s")]), "East.", "At 40 bar."]
    )
    counts = iter(tokens)

    def model(messages, tools):
        reply = next(replies)
        usage = {"prompt_tokens": next(counts), "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 100}}
        made = ChatMessage.from_assistant(reply) if isinstance(reply, str) else reply
        made.meta["usage"] = {**usage, "total_tokens": usage["prompt_tokens"] + 3}
        return made

    return MockChatGenerator(response_fn=model)


def test_reported_usage_comes_back_in_the_next_receipt(store):
    hook, packets = KitPacketHook(store, budget=800), []

    class Noting(KitPacketHook):
        def run(self, state):
            hook.run(state)
            packets.append(hook.last)

    agent = Agent(chat_generator=spoken_by([417, 500, 600]), tools=KitToolset(store), hooks={"before_llm": [Noting(store)]})
    result = agent.run(messages=[ChatMessage.from_user("Where does the hive stand?")])
    agent.run(messages=[*result["messages"], ChatMessage.from_user("At what pressure does the pump run?")])
    first, second, third = (packet.receipt.anchored_tokens for packet in packets)
    assert first is None
    assert second > 417
    assert third > 500


def test_usage_of_calls_that_were_not_packets_anchors_nothing(store):
    hook = KitPacketHook(store, budget=800)
    packed(hook, ChatMessage.from_user("Where does the hive stand?"))
    told = ChatMessage.from_assistant("Hello.", meta={"usage": {"prompt_tokens": 417, "total_tokens": 420}})
    packed(hook, ChatMessage.from_user("Hi."), told, ChatMessage.from_user("Where does the hive stand?"))
    assert hook.last.receipt.anchored_tokens is None


def test_a_packet_that_added_nothing_is_anchored_too(store):
    hook = KitPacketHook(store, budget=800, filters={"field": "meta.kind", "operator": "==", "value": "none"})
    sent = packed(hook, ChatMessage.from_user("Where does the hive stand?"))
    assert not any("contextkit" in message.meta for message in sent)
    told = ChatMessage.from_assistant("Hello.", meta={"usage": {"prompt_tokens": 417, "total_tokens": 420}})
    packed(hook, *sent, told, ChatMessage.from_user("And the pump?"))
    assert hook.last.receipt.anchored_tokens > 417
