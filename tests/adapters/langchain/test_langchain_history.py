"""Chat history and bytes in the memory: exact, in order, at the same cost however long."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

import contextkit as ck
from contextkit.adapters.langchain import KitByteStore, KitChatMessageHistory
from contextkit.errors import InputError, KitClosed
from contextkit.testing import TinyEmbedder

SAID = [
    SystemMessage("Be brief."),
    HumanMessage("Wie spät?", id="m1", name="ann", additional_kwargs={"lang": "de"}),
    HumanMessage([{"type": "text", "text": "and this?"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
    AIMessage(
        [{"type": "thinking", "thinking": "…", "signature": "c2ln"}, {"type": "text", "text": "I look."}],
        tool_calls=[{"name": "clock", "args": {"zone": "CET", "deep": {"a": [1, None, 2.5]}}, "id": "c1", "type": "tool_call"}],
        invalid_tool_calls=[{"name": "x", "args": "{", "id": "c2", "error": "bad", "type": "invalid_tool_call"}],
        usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        response_metadata={"model_name": "m", "logprobs": None},
    ),
    ToolMessage("12:00", tool_call_id="c1", artifact={"exact": "12:00:01"}, status="success"),
    ToolMessage("no such tool", tool_call_id="c2", status="error"),
    AIMessageChunk("12", id="run-1"),
    ChatMessage("hm", role="critic"),
    FunctionMessage("old", name="f"),
]


@pytest.fixture
def history(kit):
    return KitChatMessageHistory(kit, "chat/1")


def test_messages_come_back_as_they_were_given(history):
    history.add_messages(SAID[:4])
    history.add_messages([])
    for message in SAID[4:]:
        history.add_message(message)
    assert history.messages == SAID
    assert [type(m) for m in history.messages] == [type(m) for m in SAID]
    assert asyncio.run(history.aget_messages()) == SAID
    history.clear()
    assert history.messages == []
    history.add_user_message("again")
    assert [m.content for m in history.messages] == ["again"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=2)
    ),
    max_leaves=5,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
arguments = st.dictionaries(texts, json_values, max_size=2)
messages = st.one_of(
    st.builds(HumanMessage, texts, name=st.none() | texts, additional_kwargs=arguments),
    st.builds(
        AIMessage,
        texts,
        tool_calls=st.lists(
            st.fixed_dictionaries({"name": texts, "args": arguments, "id": texts, "type": st.just("tool_call")}), max_size=2
        ),
    ),
    st.builds(ToolMessage, texts, tool_call_id=texts, artifact=json_values),
)


@given(st.lists(messages, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_messages_come_back(kit, said):
    history = KitChatMessageHistory(kit, "any")
    history.clear()
    history.add_messages(said)
    assert history.messages == said


class Own(HumanMessage):
    """A class that nothing could rebuild."""


@pytest.mark.parametrize(
    "message",
    [
        Own("x"),
        ToolMessage("x", tool_call_id="c", artifact=object()),
        HumanMessage("x", additional_kwargs={"a": (1, 2)}),
        HumanMessage("x", additional_kwargs={"a": float("nan")}),
        HumanMessage("x", additional_kwargs={"a": {1: 2}}),
        HumanMessage("\ud800"),
        "text",
    ],
)
def test_what_would_not_come_back_is_refused_with_its_whole_list(kit, message):
    history = KitChatMessageHistory(kit, "c", scope={"user": "ann"}, observe=True)
    with pytest.raises(InputError):
        history.add_messages([HumanMessage("good"), message])
    assert history.messages == []
    assert kit.memory.recall("good", scope={"user": "ann"}) == []


def test_a_message_of_any_length(history):
    long = HumanMessage("ä\n" * 800_000)
    history.add_messages([long, AIMessage("ok")])
    assert history.messages == [long, AIMessage("ok")]


def test_conversations_do_not_mix(kit):
    names = ["a", "a/", "a/b", "a%2Fb", "A", "x" * 1000, "x" * 1001, " ", "sha256:a"]
    for name in names:
        KitChatMessageHistory(kit, name).add_user_message(name)
    KitChatMessageHistory(kit, "a", scope={"user": "ann"}).add_user_message("ann's")
    for name in names:
        assert [m.content for m in KitChatMessageHistory(kit, name).messages] == [name]
    kit.memory.forget(scope={"user": "ann"})
    assert KitChatMessageHistory(kit, "a", scope={"user": "ann"}).messages == []
    assert [m.content for m in KitChatMessageHistory(kit, "a").messages] == ["a"]


def test_observed_turns_are_recalled_in_other_conversations(kit):
    scope = {"user": "ann"}
    history = KitChatMessageHistory(kit, "c1", scope=scope, observe=True)
    history.add_messages(
        [HumanMessage("My office is in Bremen."), AIMessage("Noted."), ToolMessage("tool says", tool_call_id="c")]
    )
    found = {m.text for m in kit.memory.recall("Where is the office?", scope=scope, kinds=["episodic"])}
    assert "My office is in Bremen." in found
    assert "tool says" not in found
    history.clear()
    assert "My office is in Bremen." in {m.text for m in kit.memory.recall("office", scope=scope)}
    with pytest.raises(InputError, match="100,000"):
        history.add_user_message("x" * 100_001)
    assert history.messages == []


@pytest.mark.parametrize(("id_", "more"), [("", {}), (3, {}), ("c", {"scope": {"town": "x"}}), ("c", {"observe": True})])
def test_wrong_settings(kit, id_, more):
    with pytest.raises(InputError):
        KitChatMessageHistory(kit, id_, **more)


def test_history_outlives_the_process_and_a_closed_kit_says_so(tmp_path):
    with ck.open(tmp_path / "i", embedder=TinyEmbedder()) as kit:
        old = KitChatMessageHistory(kit, "c")
        old.add_messages(SAID)
    with ck.open(tmp_path / "i", embedder=TinyEmbedder()) as kit:
        assert KitChatMessageHistory(kit, "c").messages == SAID
    with pytest.raises(KitClosed):
        old.messages  # noqa: B018
    with pytest.raises(KitClosed):
        asyncio.run(old.aadd_messages([HumanMessage("x")]))


def test_several_threads_lose_nothing(kit):
    history = KitChatMessageHistory(kit, "c")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: asyncio.run(history.aadd_messages([HumanMessage(f"{n}"), AIMessage(f"re {n}")])), range(12)))
    said = [m.content for m in history.messages]
    assert sorted(said[::2], key=int) == [str(n) for n in range(12)]
    assert [f"re {m}" for m in said[::2]] == said[1::2]


def test_appending_costs_the_same_in_a_long_conversation(kit):
    """By the rows that are read: the last message alone is looked at."""
    history = KitChatMessageHistory(kit, "c")
    history.add_messages([HumanMessage(str(n)) for n in range(500)])
    read = []
    change = kit.memory.change_states
    kit.memory.change_states = lambda prefix, f, **k: read.append(change(prefix, f, **k))
    kit.memory.states = None
    history.add_user_message("last")
    assert len(read) == 1


# -------------------------------------------------------------------------------------------------------------------------- bytes


def test_bytes_of_any_key_and_size(kit):
    store = KitByteStore(kit, "n")
    pairs = [
        ("a/b", b"\x00\xff"),
        ("", b""),
        ("x" * 900, b"y"),
        ("x" * 901, b"z"),
        ("big", bytes(2_000_000)),
        ("a", memoryview(b"view")),
    ]
    store.mset(pairs)
    assert store.mget([k for k, _ in pairs] + ["none"]) == [*(bytes(v) for _, v in pairs), None]
    assert sorted(store.yield_keys()) == sorted(k for k, _ in pairs)
    assert sorted(store.yield_keys(prefix="a")) == ["a", "a/b"]
    assert KitByteStore(kit).mget(["a"]) == [None]
    for wrong in ([("a", "text")], [(3, b"x")], [("\ud800", b"x")]):
        with pytest.raises(InputError):
            store.mset([("new", b"1"), *wrong])
    assert store.mget(["new"]) == [None]
    store.mdelete([k for k, _ in pairs])
    assert kit.memory.states("") == []


def test_many_keys_are_paged(kit):
    store = KitByteStore(kit)
    store.mset([(f"{n:04d}", b"x") for n in range(600)])
    assert sorted(store.yield_keys()) == [f"{n:04d}" for n in range(600)]
