"""`KitSession` does what the SDK's own SQLiteSession does, call by call; and what a kit's conversation has to do beyond it."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from agents import Session, SessionSettings, SQLiteSession
from agents.memory.session import SessionABC
from hypothesis import given, settings
from hypothesis import strategies as st

import contextkit as ck
from contextkit.adapters.openai_agents import KitSession
from contextkit.errors import InputError, KitClosed, ReadOnlyIndex
from contextkit.testing import TinyEmbedder

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=20)
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.dictionaries(st.sampled_from(["role", "content", "type", "call_id", "output"]), JSONS, max_size=4)
LIMITS = st.none() | st.integers(-2, 12) | st.just(10_000)
CALLS = st.lists(
    st.tuples(st.just("add_items"), st.lists(ITEMS, max_size=4))
    | st.tuples(st.just("get_items"), LIMITS)
    | st.tuples(st.sampled_from(["pop_item", "pop_item", "clear_session"])),
    max_size=14,
)


def plain(value):
    return json.dumps(value)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("sessions") / "index", embedder=TinyEmbedder()) as kit:
        yield kit


@pytest.fixture(scope="module")
def numbers():
    return iter(range(10**9))


@settings(max_examples=60)
@given(calls=CALLS, limit=st.none() | st.integers(0, 5))
def test_random_calls_give_what_the_sdks_own_session_gives(lasting, numbers, calls, limit):
    name = f"random {next(numbers)}"

    async def run():
        theirs = SQLiteSession(name, session_settings=SessionSettings(limit=limit))
        ours = KitSession(lasting, name, session_settings=SessionSettings(limit=limit))
        try:
            for verb, *arguments in [*calls, ("get_items", None), ("get_items", -1)]:
                expected = await getattr(theirs, verb)(*arguments)
                assert plain(await getattr(ours, verb)(*arguments)) == plain(expected), (verb, arguments)
        finally:
            theirs.close()

    asyncio.run(run())


async def test_it_is_a_session_of_the_sdk(kit):
    session = KitSession(kit, "chat")
    assert isinstance(session, SessionABC)
    assert isinstance(session, Session)
    assert session.session_id == "chat"
    assert session.session_settings == SessionSettings()


async def test_items_outlive_the_kit(folder):
    items = [
        {"role": "user", "content": "Grüße \ud800 \u0000 😀"},
        {"type": "function_call", "arguments": '{"a": NaN}', "n": float("inf")},
    ]
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        await KitSession(kit, "chat").add_items(items)
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        assert await KitSession(kit, "chat").get_items() == items


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "a/b"),
        ("a", "a/"),
        ("a/item", "a"),
        ("%2F", "/"),
        ("ä", "a\u0308"),
        ("x" * 300, "x" * 301),
        ("a ", "a"),
        ("\ud800", "\ud801"),
    ],
)
async def test_sessions_with_separators_in_their_names_are_apart(kit, one, other):
    await KitSession(kit, one).add_items([{"of": 1}])
    await KitSession(kit, other).add_items([{"of": 2}])
    await KitSession(kit, other).clear_session()
    assert await KitSession(kit, one).get_items() == [{"of": 1}]
    assert await KitSession(kit, other).get_items() == []


async def test_a_scope_keeps_its_own_and_takes_it_along(kit):
    ann, ben = KitSession(kit, "chat", scope={"user": "ann"}), KitSession(kit, "chat", scope={"user": "ben"})
    await ann.add_items([{"who": "ann"}])
    await ben.add_items([{"who": "ben"}])
    kit.memory.remember("Ann lives in Hamburg.", scope={"user": "ann"})
    kit.memory.forget(scope={"user": "ann"})
    assert await ann.get_items() == []
    assert await ben.get_items() == [{"who": "ben"}]


async def test_a_long_item_comes_back_whole_and_goes_whole(kit):
    long = {"type": "function_call_output", "output": 'ä"\\' * 900_000}
    session = KitSession(kit, "chat")
    await session.add_items([{"n": 1}, long, {"n": 3}])
    assert await session.get_items(2) == [long, {"n": 3}]
    assert await session.pop_item() == {"n": 3}
    assert await session.pop_item() == long
    assert await session.get_items() == [{"n": 1}]
    await session.add_items([long])
    await session.clear_session()
    assert kit.memory.states("openai-agents/") == []


@pytest.mark.parametrize("bad", [{"a": object()}, {"a": {1, 2}}, {"a": b"x"}])
async def test_an_item_that_json_cannot_hold_adds_nothing(kit, bad):
    session = KitSession(kit, "chat")
    with pytest.raises(InputError, match="item 1 of dict cannot be kept as JSON"):
        await session.add_items([{"fine": 1}, bad])
    assert await session.get_items() == []


@pytest.mark.parametrize("bad", ["", None, 7])
def test_an_id_that_names_nothing_is_refused(kit, bad):
    with pytest.raises(InputError, match="a session needs a text as its id"):
        KitSession(kit, bad)


def test_a_scope_that_is_none_is_refused(kit):
    with pytest.raises(InputError, match="unknown level 'person'"):
        KitSession(kit, "chat", scope={"person": "ann"})


async def test_a_closed_kit_says_so(folder):
    kit = ck.open(folder, embedder=TinyEmbedder())
    session = KitSession(kit, "chat")
    await session.add_items([{"n": 1}])
    kit.close()
    for call in (session.get_items(), session.add_items([{"n": 2}]), session.pop_item(), session.clear_session()):
        with pytest.raises(KitClosed):
            await call


async def test_a_read_only_kit_reads_and_does_not_write(folder):
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        await KitSession(kit, "chat").add_items([{"n": 1}])
    with ck.open(folder, embedder=TinyEmbedder(), read_only=True) as kit:
        assert await KitSession(kit, "chat").get_items() == [{"n": 1}]
        with pytest.raises(ReadOnlyIndex):
            await KitSession(kit, "chat").add_items([{"n": 2}])


def test_threads_with_event_loops_of_their_own_lose_nothing(kit):
    def write(who):
        async def run():
            for n in range(8):
                await KitSession(kit, "chat").add_items([{"who": who, "n": n, "half": 1}, {"who": who, "n": n, "half": 2}])

        asyncio.run(run())

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    items = asyncio.run(KitSession(kit, "chat").get_items())
    assert len(items) == 64
    for who in range(4):
        assert [item["n"] for item in items if item["who"] == who] == [n for n in range(8) for _ in (1, 2)]
    for first, second in zip(items[::2], items[1::2], strict=True):  # what was added together stands together
        assert (first["who"], first["n"], first["half"], second["half"]) == (second["who"], second["n"], 1, 2)


async def test_tasks_that_pop_at_once_get_each_item_once(kit):
    session = KitSession(kit, "chat")
    await session.add_items([{"n": n} for n in range(20)])
    got = await asyncio.gather(*(session.pop_item() for _ in range(25)))
    assert sorted(item["n"] for item in got if item is not None) == list(range(20))
    assert got.count(None) == 5


async def test_a_cancelled_write_is_done_before_the_cancellation_comes_through(kit):
    session = KitSession(kit, "chat")
    for n in range(5):
        task = asyncio.create_task(session.add_items([{"n": n}]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await session.get_items(1)) == [{"n": n}]


async def test_adding_costs_the_same_in_a_long_conversation(kit):
    session = KitSession(kit, "chat")
    await session.add_items([{"role": "user", "content": "x" * 50}] * 3000)
    steps = []
    with kit.memory.writing() as rows:  # the store's one writing connection
        rows.set_progress_handler(lambda: steps.append(1) and None, 1)
    await session.add_items([{"n": 1}])
    with kit.memory.writing() as rows:
        rows.set_progress_handler(None, 1)
    assert 0 < len(steps) < 2000  # virtual machine steps of SQLite: no scan of 3,000 items
    assert await session.get_items(1) == [{"n": 1}]


def test_a_change_of_states_that_fails_changes_nothing(kit):
    memory = kit.memory
    memory.put_states({"list/1": "a", "list/2": "b"})
    assert memory.change_states("list/", lambda last: {"list/3": last.value, "list/1": None}).name == "list/2"
    assert [(kept.name, kept.value) for kept in memory.states("list/")] == [("list/2", "b"), ("list/3", "b")]
    with pytest.raises(InputError, match="cannot be kept as JSON"):
        memory.change_states("list/", lambda _: {"list/2": None, "list/4": float("nan")})
    with pytest.raises(ZeroDivisionError):
        memory.change_states("list/", lambda _: {"list/2": 1 // 0})
    assert [kept.name for kept in memory.states("list/")] == ["list/2", "list/3"]
    assert memory.change_states("none/", lambda last: {}) is None
