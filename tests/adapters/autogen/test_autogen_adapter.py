"""AutoGen's memory, model context and tools on a kit."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from autogen_core import CancellationToken, FunctionCall, Image
from autogen_core.memory import ListMemory, Memory, MemoryContent, MemoryMimeType
from autogen_core.model_context import ChatCompletionContext, UnboundedChatCompletionContext
from autogen_core.models import (
    AssistantMessage,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    RequestUsage,
    SystemMessage,
    UserMessage,
)  # fmt: skip
from PIL import Image as Pixels

import contextkit as ck
from contextkit.adapters.autogen import KitMemory, PacketContext, tools
from contextkit.errors import BudgetExceeded, InputError, KitClosed, ReadOnlyIndex
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, framing_for, message_tokens, tool_tokens

ANN = {"user": "ann"}
QUESTION = "Until when may leave be carried over?"
TEXT = MemoryMimeType.TEXT


def entry(text, mime=TEXT, **metadata):
    return MemoryContent(content=text, mime_type=mime, metadata=metadata or None)


def chat(messages):
    """What a model received, in chat form, spelled here once more."""
    out = []
    for message in messages:
        if isinstance(message, FunctionExecutionResultMessage):
            out += [{"role": "tool", "tool_call_id": r.call_id, "content": r.content} for r in message.content]
        elif isinstance(message, AssistantMessage) and not isinstance(message.content, str):
            calls = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.content
            ]
            out.append({"role": "assistant", "content": message.thought, "tool_calls": calls})
        else:
            role = {SystemMessage: "system", UserMessage: "user", AssistantMessage: "assistant"}[type(message)]
            out.append({"role": role, "content": message.content})
    return out


def same(messages, packet, offered=()):
    """The messages are the packet, byte for byte, and count what the receipt says."""
    assert json.dumps(chat(messages), ensure_ascii=False) == json.dumps(packet.messages("openai"), ensure_ascii=False)
    offer = sorted((t.name, t.description, dict(t.schema["parameters"])) for t in offered)
    counter, framing = counter_for(None), framing_for(None)
    assert (
        message_tokens(chat(messages), counter, framing) + tool_tokens(offer, counter, framing)[0]
        == packet.tokens
        == packet.receipt.tokens
    )


# ---------------------------------------------------------------------------------------------------------------------- memory


async def test_it_is_a_memory_of_autogen_and_finds_what_was_added(kit):
    memory = KitMemory(kit, scope=ANN)
    assert isinstance(memory, Memory)
    await memory.add(entry("Ann lives in Hamburg."))
    await memory.add(entry("Ann's dog is called Bello.", MemoryMimeType.MARKDOWN, topic="pets", tags=["a", 1, None]))
    await memory.add(entry({"city": "Köln", "years": [1, 2]}, MemoryMimeType.JSON, source="crm"))
    found = (await memory.query("What is Ann's dog called?")).results
    assert found[0].content == "Ann's dog is called Bello."
    assert found[0].mime_type == "text/markdown"
    assert {k: v for k, v in found[0].metadata.items() if k not in ("id", "score", "recorded_at")} == {
        "topic": "pets",
        "tags": ["a", 1, None],
    }
    assert kit.memory.get(found[0].metadata["id"]).text == found[0].content
    city = next(f for f in (await memory.query(entry("Köln city"))).results if f.mime_type == "application/json")
    assert city.content == {"city": "Köln", "years": [1, 2]}
    assert city.metadata["source"] == "crm"


async def test_metadata_says_how_a_fact_is_remembered(kit):
    memory = KitMemory(kit, scope=ANN)
    await memory.add(entry("Ann lives in Hamburg.", key="ann/city", valid_from="2024-01-01", importance=0.9))
    await memory.add(entry("Ann lives in Bremen.", key="ann/city", valid_from="2025-01-01"))
    assert [f.content for f in (await memory.query("Where does Ann live?")).results] == ["Ann lives in Bremen."]
    before = await memory.query("Where does Ann live?", as_of="2024-06-01")
    assert [f.content for f in before.results] == ["Ann lives in Hamburg."]


async def test_entries_outlive_the_process_and_scopes_are_apart(folder):
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        await KitMemory(kit, scope=ANN).add(entry("Ann lives in Hamburg."))
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        assert len((await KitMemory(kit, scope=ANN).query("Where does Ann live?")).results) == 1
        assert (await KitMemory(kit, scope={"user": "ben"}).query("Where does Ann live?")).results == []
        await KitMemory(kit, scope=ANN).close()  # the kit stays open
        assert kit.search("leave", k=1)


async def test_clear_erases_this_scope_alone(kit):
    ann, ben = KitMemory(kit, scope=ANN), KitMemory(kit, scope={"user": "ben"})
    await ann.add(entry("Ann lives in Hamburg.", topic="home"))
    await ben.add(entry("Ben lives in Bremen."))
    await ann.clear()
    await ann.clear()
    assert (await ann.query("Who lives where?")).results == []
    assert [f.content for f in (await ben.query("Who lives where?")).results] == ["Ben lives in Bremen."]
    assert kit.memory.states("autogen/") == []


@pytest.mark.parametrize("k", [0, 10_000, True, "3"])
async def test_a_k_out_of_range_is_refused(kit, k):
    with pytest.raises(InputError, match="k must be a whole number from 1 to 1,000"):
        KitMemory(kit, scope=ANN, k=k)
    with pytest.raises(InputError, match="k must be a whole number from 1 to 1,000"):
        await KitMemory(kit, scope=ANN).query("x", k=k)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (MemoryContent(content=b"x", mime_type=MemoryMimeType.BINARY), "not bytes of type 'application/octet-stream'"),
        (MemoryContent(content="{", mime_type=MemoryMimeType.JSON), "must be JSON"),
        (MemoryContent(content={"a": object()}, mime_type=MemoryMimeType.JSON), "must be JSON"),
        (MemoryContent(content="fine", mime_type=TEXT, metadata={"a": object()}), "the metadata of a memory must be JSON"),
        (MemoryContent(content="fine", mime_type=TEXT, metadata={"a": float("nan")}), "the metadata of a memory must be JSON"),
        (MemoryContent(content=" ", mime_type=TEXT), "nothing to remember"),
        (MemoryContent(content="fine", mime_type=TEXT, metadata={"kind": "dream"}), "dream"),
    ],
)
async def test_what_cannot_be_remembered_writes_nothing(kit, content, said):
    memory = KitMemory(kit, scope=ANN)
    with pytest.raises(InputError, match=said):
        await memory.add(content)
    assert (await memory.query("fine")).results == []
    assert kit.memory.states("autogen/") == []


async def test_a_query_that_cannot_work_is_refused(kit):
    with pytest.raises(InputError, match="is empty"):
        await KitMemory(kit, scope=ANN).query("")
    with pytest.raises(InputError, match="query does not know 'limit'"):
        await KitMemory(kit, scope=ANN).query("x", limit=3)
    with pytest.raises(InputError, match="names nobody"):
        KitMemory(kit, scope={})


async def test_a_cancelled_token_cancels(kit):
    token = CancellationToken()
    token.cancel()
    with pytest.raises(asyncio.CancelledError):
        await KitMemory(kit, scope=ANN).query("x", cancellation_token=token)


async def test_a_closed_kit_and_a_read_only_kit_say_so(folder):
    kit = ck.open(folder, embedder=TinyEmbedder())
    memory, context = KitMemory(kit, scope=ANN), PacketContext(kit, budget=500)
    await memory.add(entry("Ann lives in Hamburg."))
    await context.add_message(UserMessage(content=QUESTION, source="user"))
    kit.close()
    for calling in (memory.add(entry("x")), memory.query("x"), memory.clear(), context.get_messages()):
        with pytest.raises(KitClosed):
            await calling
    with ck.open(folder, embedder=TinyEmbedder(), read_only=True) as fixed:
        assert len((await KitMemory(fixed, scope=ANN).query("Where does Ann live?")).results) == 1
        with pytest.raises(ReadOnlyIndex):
            await KitMemory(fixed, scope=ANN).add(entry("Ann lives in Bremen."))


def test_several_threads_and_event_loops_write_side_by_side(kit):
    def write(who):
        async def run():
            for n in range(5):
                await KitMemory(kit, scope=ANN).add(entry(f"Fact {n} of {who}.", who=who))

        asyncio.run(run())

    threads = [threading.Thread(target=write, args=(who,)) for who in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = asyncio.run(KitMemory(kit, scope=ANN, k=50).query("Which facts are there?")).results
    assert sorted(f.content for f in found) == sorted(f"Fact {n} of {who}." for n in range(5) for who in ("one", "two", "three"))
    assert all(f.metadata["who"] in f.content for f in found)


async def test_update_context_adds_what_autogens_own_memory_would(kit):
    ours, theirs = KitMemory(kit, scope=ANN), ListMemory()
    mine, other = (UnboundedChatCompletionContext([UserMessage(content="Where does Ann live?", source="user")]) for _ in (1, 2))
    assert (await ours.update_context(mine)).memories.results == []
    assert len(await mine.get_messages()) == 1
    for memory in (ours, theirs):
        await memory.add(entry("Ann lives in Hamburg."))
    ours_gave, theirs_gave = await ours.update_context(mine), await theirs.update_context(other)
    assert [m.content for m in ours_gave.memories.results] == [m.content for m in theirs_gave.memories.results]
    added, like = (await mine.get_messages())[-1], (await other.get_messages())[-1]
    assert type(added) is type(like) is SystemMessage
    assert added.content == "From memory:\n- Ann lives in Hamburg."
    empty = UnboundedChatCompletionContext()
    assert (await ours.update_context(empty)).memories.results == []


# --------------------------------------------------------------------------------------------------------------------- context


async def steps(context, results=2):
    await context.add_message(UserMessage(content=QUESTION, source="user"))
    for n in range(results):
        calls = [FunctionCall(id=f"c{n}{i}", name="search", arguments='{"query": "leave"}') for i in (1, 2)]
        await context.add_message(AssistantMessage(content=calls, thought="I look." if n else None, source="desk"))
        got = [
            FunctionExecutionResult(content=f"Found {c.id}.", name="search", call_id=c.id, is_error=c.id == "c01") for c in calls
        ]
        await context.add_message(FunctionExecutionResultMessage(content=got))


async def test_messages_are_the_packets_byte_for_byte(kit):
    kit.memory.remember("Ann prefers trains.", scope=ANN)
    offer = tools(kit, scope=ANN)
    context = PacketContext(kit, budget=3000, system="Be brief.", tools=offer, scope=ANN, agent="desk", pinned=["Ann is new."])
    assert isinstance(context, ChatCompletionContext)
    await context.add_message(SystemMessage(content="Today is Monday."))
    await context.add_message(UserMessage(content=["Hello", "there"], source="user"))
    await context.add_message(AssistantMessage(content="Hi.", source="desk"))
    await steps(context)
    messages = await context.get_messages()
    same(messages, context.packet, offer)
    assert [type(m).__name__.removesuffix("Message") for m in messages] == [
        "System", "System", "User", "Assistant", "User", "Assistant", "FunctionExecutionResult", "Assistant", "FunctionExecutionResult",
    ]  # fmt: skip
    assert messages[0].content == "Be brief."
    assert messages[1].content.startswith("# Memory\n- Ann is new.\n- Today is Monday.")
    assert messages[2].content == "Hello\n\nthere"
    assert "end of March" in messages[4].content
    assert "Ann prefers trains." in json.dumps(chat(messages))
    assert [r.is_error for r in messages[6].content] == [True, False]
    assert messages[7].thought == "I look."
    assert kit.receipt().id == context.packet.receipt.id
    assert len(await context.all_messages()) == 8


async def test_a_history_that_outgrows_the_budget_is_cut_and_still_counted(kit):
    context = PacketContext(kit, budget=1500)
    for n in range(30):
        await context.add_message(UserMessage(content=f"Question {n}: " + "of leave and trains " * 20, source="user"))
        await context.add_message(AssistantMessage(content="Yes. " * 30, source="desk"))
    await steps(context)
    messages = await context.get_messages()
    same(messages, context.packet)
    assert context.packet.tokens <= 1500 - context.packet.receipt.reply_reserve
    assert context.packet.receipt.left_out


async def test_reported_usage_and_saved_states_come_back(kit):
    context = PacketContext(kit, budget=1500, conversation="chat", agent="desk")
    await context.add_message(UserMessage(content=QUESTION, source="user"))
    await context.get_messages()
    assert context.packet.receipt.anchored_tokens is None
    context.report(RequestUsage(prompt_tokens=417, completion_tokens=3))
    await context.add_message(AssistantMessage(content="March.", source="desk"))
    await context.add_message(UserMessage(content="How many days?", source="user"))
    await context.get_messages()
    assert context.packet.receipt.anchored_tokens > 417
    other = PacketContext(kit, budget=1500, conversation="chat", agent="desk")
    await other.load_state(json.loads(json.dumps(await context.save_state())))
    assert await other.get_messages() == await context.get_messages()
    await other.clear()
    with pytest.raises(InputError, match="there is no question"):
        await other.get_messages()


async def test_a_memory_adds_nothing_to_a_packet_context_that_has_it(kit):
    memory, context = KitMemory(kit, scope=ANN), PacketContext(kit, budget=2000, scope=ANN)
    other = PacketContext(kit, budget=2000)
    await memory.add(entry("Ann lives in Hamburg."))
    for one in (context, other):
        await one.add_message(UserMessage(content="Where does Ann live?", source="user"))
        assert len((await memory.update_context(one)).memories.results) == 1
        assert json.dumps(chat(await one.get_messages())).count("Ann lives in Hamburg.") == 1


async def test_images_are_carried_and_counted(kit):
    logo = Image(Pixels.new("RGB", (2, 2)))
    context = PacketContext(kit, budget=8000, model="gpt-4o")
    await context.add_message(UserMessage(content=["Our logo:", logo], source="user"))
    await context.add_message(AssistantMessage(content="Nice.", source="desk"))
    await context.add_message(UserMessage(content=[logo, QUESTION], source="user"))
    first, _, shown, asked = await context.get_messages()
    assert [type(part) for part in first.content] == [str, Image]
    assert [part.data_uri for part in (first.content[1], *shown.content)] == [logo.data_uri, logo.data_uri]
    assert asked.content.endswith(QUESTION)
    assert context.packet.receipt.sections["history"].tokens > 2 * 85
    assert (await KitMemory(kit, scope=ANN).update_context(context)).memories.results == []


async def test_what_no_packet_can_carry_is_refused(kit):
    context = PacketContext(kit, budget=500)
    await context.add_message(SystemMessage(content="Today is Monday."))
    with pytest.raises(InputError, match="there is no question"):
        await context.get_messages()
    with pytest.raises(InputError, match="'history' is decided by the running agent"):
        PacketContext(kit, budget=500, history=[])
    long = PacketContext(kit, budget=500, system="word " * 600)
    await long.add_message(UserMessage(content="Hi", source="user"))
    with pytest.raises(BudgetExceeded, match="system"):
        await long.get_messages()


# ------------------------------------------------------------------------------------------------------------------------ tools


async def test_tools_run_and_tell_mistakes(kit, folder):
    made = {tool.name: tool for tool in tools(kit, scope=ANN)}
    assert list(made) == ["search", "context", "recall", "remember"]
    for tool in made.values():
        assert tool.description
        assert all(field["description"] for field in tool.schema["parameters"]["properties"].values())
    token = CancellationToken()
    found = made["search"].return_value_as_string(await made["search"].run_json({"query": "leave", "count": 1}, token))
    assert found.startswith("[1] Leave, handbook/leave:0-")
    assert "five days" in await made["context"].run_json({"question": QUESTION}, token)
    assert (await made["remember"].run_json({"fact": "Ann lives in Hamburg.", "key": "ann/city"}, token)).startswith(
        "Remembered as m"
    )
    assert "Ann lives in Hamburg." in await made["recall"].run_json({"query": "Where does Ann live?"}, token)
    with pytest.raises(InputError, match="1 to 50, not 10000"):
        await made["search"].run_json({"query": "leave", "count": 10_000}, token)
    with ck.open(folder, embedder=TinyEmbedder(), read_only=True) as fixed:
        assert [tool.name for tool in tools(fixed, scope=ANN)] == ["search", "context", "recall"]
    assert [tool.name for tool in tools(kit)] == ["search", "context"]
