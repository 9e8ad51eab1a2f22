"""The store call by call beside LangGraph's own InMemoryStore, and what that one does not have: expiry, restarts, threads."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, MatchCondition, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

import contextkit as ck
from contextkit.adapters.langchain import KitEmbeddings
from contextkit.adapters.langgraph import KitStore
from contextkit.errors import FilterError, InputError, KitClosed
from contextkit.testing import TinyEmbedder

# --------------------------------------------------------------------------------------------------- beside the reference store

LABELS = ("a", "b", "a/b", "~", "a%2Fb", "é", " ")
NAMESPACES = [(x,) for x in LABELS] + [("a", "b"), ("a", "b", "c"), ("b", "a"), ("a/b", "c"), ("a", "b/c")]
KEYS = ("k", "b", "", "a/b", "x" * 600)
WORDS = ("the pump runs", "leave is carried over", "trips by train", "a new roof", "the pump was replaced")

numbers = st.integers(-3, 3) | st.sampled_from([0.5, 2.0])
leaves = st.none() | st.booleans() | numbers | st.sampled_from(["x", "y", ""])
values = st.fixed_dictionaries(
    {"text": st.sampled_from(WORDS)},
    optional={
        "n": numbers,
        "flag": leaves,
        "deep": st.dictionaries(st.sampled_from("pq"), leaves, max_size=2),
        "list": st.lists(leaves, max_size=2),
    },
)
conditions = st.one_of(
    st.fixed_dictionaries({"flag": leaves}),
    st.fixed_dictionaries({"deep": st.dictionaries(st.sampled_from("pq"), leaves, max_size=2)}),
    st.fixed_dictionaries({"list": st.lists(leaves, max_size=2)}),
    st.fixed_dictionaries({"n": st.dictionaries(st.sampled_from(["$eq", "$ne"]), numbers, min_size=1)}),
    st.fixed_dictionaries({"text": st.sampled_from(WORDS), "n": numbers}),
)
namespaces = st.sampled_from(NAMESPACES)
puts = st.builds(
    PutOp,
    namespaces,
    st.sampled_from(KEYS),
    st.none() | values,
    st.sampled_from([None, False, ["text"], ["deep.p", "text"]]),
    st.none(),
)
gets = st.builds(GetOp, namespaces, st.sampled_from(KEYS), st.booleans())
searches = st.builds(
    SearchOp,
    st.sampled_from([(), *NAMESPACES]),
    st.none() | conditions,
    st.integers(0, 6),
    st.integers(0, 3),
    st.none() | st.just(""),
    st.booleans(),
)
asked = st.builds(
    SearchOp,
    st.sampled_from([(), *NAMESPACES]),
    st.none() | conditions,
    st.integers(1, 30),
    st.just(0),
    st.sampled_from(WORDS),
    st.booleans(),
)
paths = st.lists(st.sampled_from([*LABELS, "c", "*"]), min_size=1, max_size=3).map(tuple)
matches = st.lists(st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), paths), max_size=2).map(tuple)
listings = st.builds(ListNamespacesOp, st.none() | matches, st.none() | st.integers(1, 3), st.integers(0, 8), st.integers(0, 3))
batches = st.lists(st.lists(puts | gets | searches | asked | listings, min_size=1, max_size=4), min_size=1, max_size=8)


def plain(result):
    """A result without its times and without the last digits of its scores."""
    if isinstance(result, list):
        return [plain(one) for one in result]
    if result is None or isinstance(result, tuple):
        return result
    score = getattr(result, "score", None)
    return result.namespace, result.key, result.value, None if score is None else round(score, 4)


def living(store):
    """A reference store that holds the same items and never held others: InMemoryStore lists namespaces that are empty."""
    again = InMemoryStore()
    for item in store.search((), limit=10_000):
        again.batch([PutOp(item.namespace, item.key, item.value)])
    return again


def reference(store, ops):
    """The results of a batch by the reference store.

    It embeds every text once, and refuses batches in which two items share one (its own count goes wrong), so those puts go one
    by one after the rest, as they would within the batch.
    """
    before = living(store)
    expected = []
    for op in ops:
        if isinstance(op, ListNamespacesOp):
            expected += before.batch([op])
        elif not isinstance(op, PutOp):
            expected += store.batch([op])
        else:
            expected.append(None)
    last = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
    for op in last.values():
        store.batch(
            [op._replace(value=None), op] if op.value is not None and store._data[op.namespace].get(op.key) is None else [op]
        )
        if op.value is not None:  # it keeps vectors of an old value that the new one has not
            vectors = InMemoryStore(index=store.index_config)
            vectors.batch([op])
            store._vectors[op.namespace][op.key] = vectors._vectors[op.namespace][op.key]
    return expected


@given(batches)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_calls_have_the_same_results(kit, calls):
    embedder = kit.embedder
    store = KitStore(kit, fields=["text"])
    theirs = InMemoryStore(index={"dims": embedder.dimension, "embed": KitEmbeddings(embedder), "fields": ["text"]})
    for namespace in sorted(NAMESPACES):
        theirs.get(namespace, "k") if "." not in "".join(namespace) else None  # puts them in the order in which we list
    try:
        for ops in calls:
            expected = [plain(r) for r in reference(theirs, ops)]
            got = [plain(r) for r in store.batch(ops)]
            for op, ours, reference_ in zip(ops, got, expected, strict=True):
                if isinstance(op, SearchOp) and op.query:  # equal vectors: the reference sorts by digits beyond the fourth
                    assert sorted(ours, key=repr) == sorted(reference_, key=repr) if op.limit >= 30 else True
                    assert [r[3] for r in ours] == [r[3] for r in reference_]
                else:
                    assert ours == reference_, op
    finally:
        kit.memory.put_states(dict.fromkeys(k.name for k in kit.memory.states("")))


# ------------------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ({"n": {"$gt": 1}}, "bc"),
        ({"n": {"$gte": 1, "$lt": 3}}, "ab"),
        ({"n": {"$lte": 1}}, "a"),
        ({"n": {"$ne": 1}}, "bcd"),
        ({"n": {"$gt": "1"}}, "bc"),
        ({"n": None}, "d"),
        ({"deep": {"p": {"$gt": 4}}}, "c"),
        ({}, "abcd"),
    ],
)
def test_filters(kit, condition, keys):
    store = KitStore(kit, fields=None)
    for key, value in {"a": {"n": 1}, "b": {"n": 2.0}, "c": {"n": 3, "deep": {"p": 5}}, "d": {"t": "x"}}.items():
        store.put(("f",), key, value)
    assert [i.key for i in store.search(("f",), filter=condition)] == list(keys)


def test_a_filter_of_another_dialect_is_a_value_error_as_in_the_reference(kit):
    for store in (KitStore(kit), InMemoryStore()):
        store.put(("f",), "a", {"n": 1})
        with pytest.raises(ValueError, match="operator"):
            store.search(("f",), filter={"n": {"$regex": "x"}})
    with pytest.raises(FilterError, match="compares numbers"):
        KitStore(kit).search(("f",), filter={"n": {"$gt": "many"}})


# -------------------------------------------------------------------------------------------------------------- search by meaning


def test_search_by_meaning_pages_through_scored_and_unscored_items(kit):
    store = KitStore(kit, fields=["text"])
    for n, text in enumerate(WORDS):
        store.put(("m", str(n % 2)), f"k{n}", {"text": text}, index=False if n == 3 else None)
    whole = store.search(("m",), query="the pump runs", limit=10)
    assert whole[0].value == {"text": "the pump runs"}
    assert whole[0].score == pytest.approx(1, abs=0.1)
    assert [i.score for i in whole[:-1]] == sorted((i.score for i in whole[:-1]), reverse=True)
    assert (whole[-1].key, whole[-1].score) == ("k3", None)
    pages = [item for n in range(5) for item in store.search(("m",), query="the pump runs", limit=1, offset=n)]
    assert [i.key for i in pages] == [i.key for i in whole]


def test_an_item_counts_with_its_best_field(kit):
    store = KitStore(kit, fields=["title", "notes[*].body"])
    store.put(("m",), "one", {"title": "trips", "notes": [{"body": "nothing"}, {"body": "the pump runs at 40 bar"}]})
    store.put(("m",), "two", {"title": "pumps"})
    assert store.search(("m",), query="the pump runs at 40 bar")[0].key == "one"
    assert store.search(("m",), query="trips")[0].score == pytest.approx(1, abs=0.1)


# ------------------------------------------------------------------------------------------------------------------------- expiry


@pytest.fixture
def clock(monkeypatch):
    now = [1_800_000_000.0]
    monkeypatch.setattr("contextkit.adapters.langgraph.store.time.time", lambda: now[0])
    return now


def test_an_item_expires_unless_it_is_read(kit, clock):
    store = KitStore(kit, ttl={"default_ttl": 10, "refresh_on_read": True})
    store.put(("t",), "kept", {"v": 1}, ttl=None)
    store.put(("t",), "read", {"v": 2})
    store.put(("t",), "left", {"v": 3})
    store.put(("t", "gone"), "short", {"v": 4}, ttl=1)
    clock[0] += 8 * 60
    assert store.get(("t",), "read").value == {"v": 2}
    assert store.get(("t",), "left", refresh_ttl=False).value == {"v": 3}
    clock[0] += 8 * 60
    assert [i.key for i in store.search(("t",), refresh_ttl=False)] == ["kept", "read"]
    assert store.list_namespaces() == [("t",)]
    assert store.get(("t",), "left") is None
    assert store.sweep_ttl() == 2
    assert store.sweep_ttl() == 0
    clock[0] += 11 * 60
    assert [i.key for i in store.search(("t",))] == ["kept"]
    store.put(("t",), "read", {"v": 5})
    assert store.get(("t",), "read").created_at == store.get(("t",), "read").updated_at, "an expired item is not brought back"


def test_search_prolongs_only_what_it_gives(kit, clock):
    store = KitStore(kit, ttl={"default_ttl": 10})
    for key in "ab":
        store.put(("t",), key, {"v": key})
    clock[0] += 8 * 60
    assert [i.key for i in store.search(("t",), limit=1)] == ["a"]
    clock[0] += 8 * 60
    assert [i.key for i in store.search(("t",))] == ["a"]


@pytest.mark.parametrize("ttl", [0, -1, math.nan])
def test_a_life_must_be_longer_than_nothing(kit, ttl):
    with pytest.raises(InputError, match="above 0"):
        KitStore(kit).put(("t",), "k", {"v": 1}, ttl=ttl)


# --------------------------------------------------------------------------------------------------------- bad input, restarts


@pytest.mark.parametrize("namespace", [("a.b",), ("",), ("a", ""), (1,), ("a\x00",)])
def test_a_bad_namespace_is_langgraphs_own_error_by_every_way_in(kit, namespace):
    store = KitStore(kit)
    for ops in ([PutOp(namespace, "k", {"v": 1})], [GetOp(namespace, "k")], [SearchOp(namespace)]):
        with pytest.raises(InvalidNamespaceError):
            store.batch(ops)
    with pytest.raises(InvalidNamespaceError):
        store.put(namespace, "k", {"v": 1})
    with pytest.raises(InvalidNamespaceError):
        store.put((), "k", {"v": 1})
    with pytest.raises(InvalidNamespaceError):
        store.put(("langgraph",), "k", {"v": 1})


@pytest.mark.parametrize("value", [{"a": {1}}, {"a": {1: 2}}, {"a": math.inf}, {"a": b"x"}, {"a": "\udfff"}, ["no", "mapping"]])
def test_a_value_that_is_no_json_is_refused_with_its_whole_batch(kit, value):
    store = KitStore(kit)
    store.put(("n",), "old", {"v": 1})
    with pytest.raises(InputError):
        store.batch([PutOp(("n",), "good", {"v": 2}), PutOp(("n",), "old", None), PutOp(("n",), "bad", value)])
    assert [(i.key, i.value) for i in store.search(("n",))] == [("old", {"v": 1})]


def test_a_value_over_a_million_characters_is_kept(kit):
    store = KitStore(kit, fields=None)
    store.put(("n",), "long", {"v": "x" * 3_000_000})
    assert len(store.get(("n",), "long").value["v"]) == 3_000_000
    store.delete(("n",), "long")
    assert kit.memory.states("") == []


def test_a_closed_kit_says_so(tmp_path):
    kit = ck.open(tmp_path / "index", embedder=TinyEmbedder())
    store = KitStore(kit)
    kit.close()
    with pytest.raises(KitClosed):
        store.get(("a",), "k")
    with pytest.raises(KitClosed):
        asyncio.run(store.aput(("a",), "k", {"v": 1}))


def test_items_outlive_the_process_and_are_forgotten_with_their_scope(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        KitStore(kit, scope={"user": "ann"}).put(("a",), "k", {"text": "the pump"})
        KitStore(kit).put(("b",), "k", {"text": "the roof"})
        created = KitStore(kit).get(("a",), "k").created_at
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        store = KitStore(kit)
        assert store.get(("a",), "k").created_at == created
        assert store.search((), query="the pump")[0].key == "k"
        kit.memory.forget(scope={"user": "ann"})
        assert store.list_namespaces() == [("b",)]


def test_a_read_only_kit_reads_without_prolonging(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        KitStore(kit).put(("a",), "k", {"v": 1}, ttl=60)
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), read_only=True) as kit:
        assert KitStore(kit).get(("a",), "k").value == {"v": 1}
        with pytest.raises(PermissionError):
            KitStore(kit).put(("a",), "k", {"v": 2})


def test_several_threads_and_event_loops(kit):
    store = KitStore(kit)

    def loop(worker):
        async def run():
            for n in range(4):
                await store.aput(("w", str(worker)), str(n), {"text": f"{worker} {n}"})
            return await asyncio.gather(*(store.aget(("w", str(worker)), str(n)) for n in range(4)))

        return [i.value["text"] for i in asyncio.run(run())]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(loop, range(4))) == [[f"{w} {n}" for n in range(4)] for w in range(4)]
    assert len(store.search(("w",), limit=100)) == 16
