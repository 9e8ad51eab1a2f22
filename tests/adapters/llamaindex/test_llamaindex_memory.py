"""The chat stores beside LlamaIndex's own, call by call; the memory block; `Memory` and chat buffers on them."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

import contextkit as ck
from contextkit.adapters.llamaindex import KitChatStore, KitMemoryBlock, KitMessageQueue
from contextkit.errors import KitClosed
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for

MESSAGES = st.builds(
    lambda role, text, extra: ChatMessage(role=role, content=text, additional_kwargs=extra),
    st.sampled_from(["user", "assistant", "system", "tool"]),
    st.sampled_from(["Hi.", "", "Grüße 😀", "line\nline", "x" * 200]),
    st.sampled_from([{}, {"tool_call_id": "c1"}, {"a": [1, None]}]),
)
KEYS = st.sampled_from(["a", "b", "a/b", "ü ñ/../%2F", "a%2Fb"])
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("add_message"), KEYS, MESSAGES),
        st.tuples(st.just("insert"), KEYS, MESSAGES, st.integers(-3, 4)),
        st.tuples(st.just("set_messages"), KEYS, st.lists(MESSAGES, max_size=4)),
        st.tuples(st.just("delete_message"), KEYS, st.integers(0, 4)),
        st.tuples(st.just("delete_last_message"), KEYS),
        st.tuples(st.just("delete_messages"), KEYS),
    ),
    max_size=12,
)


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        yield kit


def told(store, name, *arguments):
    if name == "insert":
        return store.add_message(arguments[0], arguments[1], idx=arguments[2])
    try:
        return getattr(store, name)(*arguments)
    except IndexError:  # LlamaIndex's own store pops from an empty list
        return None


@settings(max_examples=15, deadline=None)
@given(CALLS)
def test_the_chat_store_answers_as_the_simple_one(tmp_path_factory, calls):
    theirs = SimpleChatStore()
    with ck.open(tmp_path_factory.mktemp("chat") / "index", embedder=TinyEmbedder()) as kit:
        ours = KitChatStore(kit)
        for name, *arguments in calls:
            copied = [list(one) if isinstance(one, list) else one for one in arguments]
            assert told(ours, name, *arguments) == told(theirs, name, *copied)
            assert sorted(ours.get_keys()) == sorted(theirs.get_keys())
            for key in ("a", "b", "a/b", "ü ñ/../%2F", "a%2Fb"):
                assert ours.get_messages(key) == theirs.get_messages(key)


QUEUE_CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("add_message"), MESSAGES, st.sampled_from(MessageStatus)),
        st.tuples(st.just("add_messages"), st.lists(MESSAGES, min_size=1, max_size=3)),
        st.tuples(st.just("archive_oldest_messages"), st.integers(0, 3)),
        st.tuples(st.just("delete_oldest_messages"), st.integers(0, 3)),
        st.tuples(st.just("delete_message"), st.integers(1, 5)),
        st.tuples(
            st.just("get_messages"),
            st.sampled_from([None, *MessageStatus]),
            st.none() | st.integers(0, 3),
            st.none() | st.integers(0, 3),
        ),
        st.tuples(st.just("count_messages"), st.sampled_from([None, *MessageStatus])),
        st.tuples(st.just("delete_messages"), st.just(MessageStatus.ARCHIVED)),
    ),
    max_size=10,
)


@settings(max_examples=12, deadline=None)
@given(QUEUE_CALLS)
def test_the_queue_answers_as_the_one_on_sql(tmp_path_factory, calls):
    async def compared(kit):
        theirs, ours = (
            SQLAlchemyChatStore(table_name="chat", async_database_uri="sqlite+aiosqlite:///:memory:"),
            KitMessageQueue(kit),
        )
        for name, *arguments in calls:
            assert await getattr(ours, name)("k", *arguments) == await getattr(theirs, name)("k", *arguments)
            for status in (None, *MessageStatus):
                assert await ours.get_messages("k", status) == await theirs.get_messages("k", status)
            assert await ours.get_keys() == await theirs.get_keys()
        await ours.set_messages("k", [ChatMessage("new")])
        await theirs.set_messages("k", [ChatMessage("new")])
        assert await ours.get_messages("k", None) == await theirs.get_messages("k", None)
        await theirs._async_engine.dispose()

    with ck.open(tmp_path_factory.mktemp("queue") / "index", embedder=TinyEmbedder()) as kit:
        asyncio.run(compared(kit))


def test_every_kind_of_block_comes_back(kit):
    store = KitChatStore(kit)
    message = ChatMessage(
        role="assistant",
        blocks=[
            TextBlock(text="See."),
            ImageBlock(image=b"\x89PNG"),
            ToolCallBlock(tool_call_id="c", tool_name="t", tool_kwargs={"a": 1}),
        ],
    )
    store.add_message("k", message)
    assert store.get_messages("k") == [message]


def test_writers_that_meet_lose_nothing(kit):
    store = KitChatStore(kit)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: asyncio.run(store.async_add_message("k", ChatMessage(str(n)))), range(24)))
    assert sorted(int(m.content) for m in store.get_messages("k")) == list(range(24))


def test_a_scope_is_forgotten_with_its_chats(kit):
    KitChatStore(kit, scope={"user": "ann"}).add_message("k", ChatMessage("mine"))
    KitChatStore(kit, scope={"user": "bo"}).add_message("other", ChatMessage("bo's"))
    kit.memory.forget(scope={"user": "ann"})
    assert KitChatStore(kit).get_messages("k") == []
    assert [m.content for m in KitChatStore(kit).get_messages("other")] == ["bo's"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.set_messages("k", [ChatMessage("fine"), "text"]), "ChatMessage, not str"),
        (lambda s: s.set_messages("k", [ChatMessage("fine"), ChatMessage("x", additional_kwargs={"a": object()})]), "JSON"),
        (lambda s: s.set_messages("k", [ChatMessage("fine"), ChatMessage("x", additional_kwargs={"a": math.nan})]), "JSON"),
        (lambda s: s.add_message("", ChatMessage("x")), "key must be a text"),
        (lambda s: s.add_message(None, ChatMessage("x")), "key must be a text"),
        (lambda s: s.add_message("k" * 600, ChatMessage("x")), "512"),
    ],
)
def test_bad_messages_leave_nothing_half_written(kit, call, words):
    store = KitChatStore(kit)
    store.add_message("k", ChatMessage("before"))
    with pytest.raises(ck.InputError, match=words):
        call(store)
    assert [m.content for m in store.get_messages("k")] == ["before"]
    assert store.get_keys() == ["k"]


def test_a_chat_buffer_goes_on_after_a_restart(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        buffer = ChatMemoryBuffer.from_defaults(token_limit=1000, chat_store=KitChatStore(kit), chat_store_key="ann")
        buffer.put(ChatMessage("Hello."))
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        buffer = ChatMemoryBuffer.from_defaults(token_limit=1000, chat_store=KitChatStore(kit), chat_store_key="ann")
        assert [m.content for m in buffer.get()] == ["Hello."]
        store = KitChatStore(kit)
    for call in (lambda: store.get_messages("ann"), lambda: store.add_message("ann", ChatMessage("x")), store.get_keys):
        with pytest.raises(KitClosed):
            call()


async def test_memory_waterfalls_into_the_block_and_recalls_from_it(kit):
    block = KitMemoryBlock(kit, scope={"user": "ann"}, budget=120, priority=1)
    memory = Memory.from_defaults(
        session_id="s",
        token_limit=120,
        chat_history_token_ratio=0.4,
        token_flush_size=20,
        chat_store=KitMessageQueue(kit),
        memory_blocks=[block],
    )
    await memory.aput(ChatMessage("My boat is called Heron and lies in Kiel."))
    await memory.aput(ChatMessage(role="assistant", content="Noted: Heron, in Kiel."))
    for n in range(6):
        await memory.aput(ChatMessage(f"Unrelated remark number {n} about the weather in the hills."))
        await memory.aput(ChatMessage(role="assistant", content=f"Fine, remark {n}."))
    await memory.aput(ChatMessage("What is my boat called?"))
    assert "Heron" not in " ".join(m.content for m in await memory.sql_store.get_messages("s"))
    messages = await memory.aget()
    assert "Heron" in messages[0].content
    assert messages[0].role == "system"


async def test_the_block_keeps_to_its_budget_and_can_be_shortened(kit):
    block = KitMemoryBlock(kit, scope={"user": "ann"}, budget=60)
    assert await block.aget([]) == ""
    assert await block.aget([ChatMessage("?")]) == ""
    await block.aput([ChatMessage(f"The pump number {n} runs at {n} bar in hall {n}.") for n in range(12)])
    counter = counter_for(None)
    text = await block.aget([ChatMessage("What do the pumps run at?"), ChatMessage(role="assistant", content="Which?")])
    assert 0 < counter.count(text) <= 60
    shorter = await block.atruncate(text, 20)
    assert counter.count(shorter) <= counter.count(text) - 20
    assert await block.atruncate(text, 10_000) is None
    for bad in ({"budget": 0}, {"scope": {}}, {"scope": {"planet": "x"}}):
        with pytest.raises(ck.InputError):
            KitMemoryBlock(kit, **{"scope": {"user": "ann"}, **bad})
