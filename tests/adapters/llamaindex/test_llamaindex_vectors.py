"""The vector store beside LlamaIndex's own `SimpleVectorStore`, the retriever, and the embedders in both directions."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

import contextkit as ck
from contextkit.adapters.llamaindex import KitEmbedding, KitRetriever, KitVectorStore, as_embedder, where_of
from contextkit.errors import EmbedderError, KitClosed
from contextkit.testing import EmbedderContract, TinyEmbedder

DIMENSION = 32
VALUES = st.one_of(st.integers(-2, 2), st.sampled_from([0.5, 1.0, "red", "blue", "", "Redder", "2024-05-01"]))
METAS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.one_of(st.integers(-2, 2), st.sampled_from([0.5, 1.0])),
        "s": st.sampled_from(["red", "blue", "", "Redder"]),
        "tags": st.lists(st.sampled_from(["a", "b", "c"]), max_size=3),
        "x": st.one_of(VALUES, st.none(), st.booleans()),
    },
)
OPS = FilterOperator


def leaf(key, operator, value):
    return MetadataFilter(key=key, operator=operator, value=value)


LEAVES = st.one_of(
    st.builds(leaf, st.sampled_from(["n", "s", "x", "gone"]), st.sampled_from([OPS.EQ, OPS.NE]), st.one_of(VALUES, st.none())),
    st.builds(
        leaf, st.just("n"), st.sampled_from([OPS.GT, OPS.GTE, OPS.LT, OPS.LTE]), st.one_of(st.integers(-2, 2), st.floats(-2, 2))
    ),
    st.builds(leaf, st.just("s"), st.sampled_from([OPS.GT, OPS.LTE]), st.sampled_from(["red", "Z", ""])),
    st.builds(
        leaf,
        st.sampled_from(["s", "x"]),
        st.sampled_from([OPS.IN, OPS.NIN]),
        st.lists(st.sampled_from(["red", "blue", ""]), max_size=3),
    ),
    st.builds(leaf, st.just("n"), st.sampled_from([OPS.IN, OPS.NIN]), st.lists(st.integers(-2, 2), max_size=3)),
    st.builds(leaf, st.just("tags"), st.sampled_from([OPS.ANY, OPS.ALL]), st.lists(st.sampled_from(["a", "b", "z"]), max_size=2)),
    st.builds(leaf, st.just("tags"), st.just(OPS.CONTAINS), st.sampled_from(["a", "z"])),
    st.builds(
        leaf,
        st.just("s"),
        st.sampled_from([OPS.TEXT_MATCH, OPS.TEXT_MATCH_INSENSITIVE]),
        st.sampled_from(["red", "RED", "e", ""]),
    ),
    st.builds(leaf, st.sampled_from(["n", "s", "tags", "x", "gone"]), st.just(OPS.IS_EMPTY), st.none()),
)
FILTERS = st.builds(
    lambda parts, condition: MetadataFilters(filters=parts, condition=condition),
    st.lists(LEAVES, max_size=3),
    st.sampled_from([*FilterCondition, None]),
)


def node(n, meta, ref=None):
    vector = np.random.default_rng(n).standard_normal(DIMENSION)
    relationships = {} if ref is None else {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=ref)}
    return TextNode(id_=f"n{n}", text=f"Text number {n}.", metadata=meta, embedding=vector.tolist(), relationships=relationships)


def vector(seed):
    return np.random.default_rng(1000 + seed).standard_normal(DIMENSION).tolist()


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(dimension=DIMENSION)) as kit:
        yield kit


CORPUS = [
    {}, {"n": 1, "s": "red", "tags": ["a", "b"]}, {"n": 1.0, "s": "Redder", "x": True}, {"n": 0, "s": "", "tags": []},
    {"n": -2, "x": None}, {"n": 0.5, "x": "red"}, {"s": "blue", "tags": ["b"], "x": 1}, {"x": ""}, {"n": 2, "s": "red", "x": "2024-05-01"},
]  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same nodes in LlamaIndex's own store and in ours."""
    nodes = [node(n, meta, ref=f"doc{n % 3}") for n, meta in enumerate(CORPUS)]
    theirs = SimpleVectorStore()
    theirs.add(nodes)
    with ck.open(tmp_path_factory.mktemp("both") / "index", embedder=TinyEmbedder(dimension=DIMENSION)) as kit:
        ours = KitVectorStore(kit)
        ours.add(nodes)
        yield theirs, ours, nodes


@settings(max_examples=120, deadline=None)
@given(
    FILTERS,
    st.integers(1, 12),
    st.integers(0, 5),
    st.none() | st.lists(st.sampled_from([f"n{n}" for n in range(10)]), min_size=1, max_size=6),
)
def test_queries_find_what_the_simple_store_finds(both, filters, k, seed, ids):
    theirs, ours, nodes = both
    query = VectorStoreQuery(query_embedding=vector(seed), similarity_top_k=k, filters=filters, node_ids=ids)
    expected, found = theirs.query(query), ours.query(query)
    assert len(found.ids) == len(expected.ids)
    assert np.allclose(found.similarities, expected.similarities, atol=0.01)
    cosines = dict(zip(expected.ids, expected.similarities, strict=True))
    close = min(np.diff(sorted(expected.similarities)), default=1) > 0.02
    assert found.ids == expected.ids if close else set(found.ids) <= set(cosines) | {n.node_id for n in nodes}
    by_id = {one.node_id: one for one in nodes}
    for got in found.nodes:
        given_node = by_id[got.node_id]
        assert (got.text, got.metadata, got.ref_doc_id) == (given_node.text, given_node.metadata, given_node.ref_doc_id)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("add"), st.lists(st.tuples(st.integers(0, 5), METAS), min_size=1, max_size=3, unique_by=lambda p: p[0])
            ),
            st.tuples(st.just("delete"), st.sampled_from(["doc0", "doc1", "None", "nobody"])),
            st.tuples(st.just("delete_nodes"), st.lists(st.sampled_from(["n0", "n1", "n9"]), max_size=2)),
            st.tuples(st.just("delete_where"), FILTERS),
            st.tuples(st.just("clear"), st.none()),
        ),
        max_size=5,
    )
)
def test_the_same_calls_leave_the_same_nodes(tmp_path_factory, calls):
    theirs = SimpleVectorStore()
    with ck.open(tmp_path_factory.mktemp("calls") / "index", embedder=TinyEmbedder(dimension=DIMENSION)) as kit:
        ours = KitVectorStore(kit)
        for call, argument in calls:
            for store in (theirs, ours):
                if call == "add":
                    nodes = [node(n, dict(meta), ref=f"doc{n % 2}" if n else None) for n, meta in argument]
                    assert store.add(nodes) == [one.node_id for one in nodes]
                elif call == "delete":
                    store.delete(argument)
                elif call == "delete_nodes":
                    store.delete_nodes(argument)
                elif call == "delete_where":
                    store.delete_nodes(filters=argument)
                else:
                    store.clear()
            assert sorted(one.node_id for one in ours.get_nodes()) == sorted(theirs.data.embedding_dict)
        wanted = VectorStoreQuery(query_embedding=vector(0), similarity_top_k=10)
        assert np.allclose(ours.query(wanted).similarities, theirs.query(wanted).similarities, atol=0.01)


def test_nodes_come_back_as_they_were(kit):
    store = KitVectorStore(kit)
    given_node = TextNode(
        id_="x", text="  A line.\n", metadata={"a": [1, {"b": None}], "title": "T"}, embedding=vector(1), start_char_idx=7,
        end_char_idx=17, excluded_llm_metadata_keys=["a"], metadata_template="{key}={value}",
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc", metadata={"k": 1}), NodeRelationship.NEXT: RelatedNodeInfo(node_id="y")},
    )  # fmt: skip
    store.add([given_node])
    plain = given_node.model_copy(update={"embedding": None})
    assert store.get_nodes(["x"]) == [plain]
    assert store.query(VectorStoreQuery(query_embedding=vector(1))).nodes == [plain]
    assert store.query(VectorStoreQuery(query_str="a line", mode=VectorStoreQueryMode.HYBRID)).nodes == [plain]
    assert kit.doctor().sound


def test_the_given_vectors_are_in_the_index_and_nothing_is_embedded_again(tmp_path):
    embedder = TinyEmbedder(dimension=DIMENSION)
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        KitVectorStore(kit).add([node(n, {}) for n in range(5)])
        assert embedder.embedded == 0
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        found = KitVectorStore(kit).query(VectorStoreQuery(query_embedding=node(3, {}).embedding))
        assert found.ids == ["n3"]
        assert found.similarities[0] > 0.99


def test_a_whole_vector_index_works_on_it(kit):
    store, model = KitVectorStore(kit), KitEmbedding(kit.embedder)
    index = VectorStoreIndex(nodes=[], storage_context=StorageContext.from_defaults(vector_store=store), embed_model=model)
    index.insert_nodes([TextNode(id_="hive", text="Ann keeps the bees."), TextNode(id_="pump", text="The pump runs at 40 bar.")])
    (best, *_) = index.as_retriever(similarity_top_k=2).retrieve("Who keeps the bees?")
    assert (best.node.node_id, best.node.text) == ("hive", "Ann keeps the bees.")
    assert kit.search("pump")[0].document_id == "pump"
    index.delete_nodes(["hive"])
    assert [one.node_id for one in store.get_nodes()] == ["pump"]


def test_documents_of_connectors_are_found_beside_nodes(kit, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "ferry.md").write_text("# Ferry\n\nThe ferry leaves at nine. " + "It is blue and slow. " * 80)
    kit.sync(docs)
    store = KitVectorStore(kit)
    store.add([node(1, {})])
    found = store.query(
        VectorStoreQuery(query_embedding=kit.embedder.embed_queries(["ferry at nine"])[0].tolist(), similarity_top_k=10)
    )
    assert "n1" in found.ids
    parts = [one for one in found.nodes if one.node_id != "n1"]
    text = kit.catalog.text(parts[0].ref_doc_id)
    assert len(parts) > 1
    assert all(text[one.start_char_idx : one.end_char_idx] == one.text for one in parts)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda s: s.add([TextNode(text="No vector.")]), ValueError, "embedding not set"),
        (
            lambda s: s.add([node(1, {}), TextNode(id_="w", text="Wrong.", embedding=[1.0, 2.0])]),
            ck.InputError,
            "2 numbers.*have 32",
        ),
        (
            lambda s: s.add([node(1, {}), TextNode(id_="z", text="Zero.", embedding=[0.0] * DIMENSION)]),
            ck.InputError,
            "no direction",
        ),
        (lambda s: s.add([node(1, {}), TextNode(id_="e", text=" ", embedding=vector(1))]), ck.InputError, "has no text"),
        (lambda s: s.add([node(1, {}), node(2, {"a": object()})]), ck.InputError, "n2.*no JSON"),
        (lambda s: s.add([node(1, {}), node(2, {"a": math.nan})]), ck.InputError, "n2"),
        (lambda s: s.query(VectorStoreQuery(query_embedding=vector(1), similarity_top_k=0)), ck.InputError, "1 to 10,000"),
        (lambda s: s.query(VectorStoreQuery(query_embedding=vector(1), similarity_top_k=10_001)), ck.InputError, "1 to 10,000"),
        (lambda s: s.query(VectorStoreQuery(query_embedding=[1.0])), ck.InputError, "the query's vector has 1 numbers"),
        (lambda s: s.query(VectorStoreQuery(query_str="words")), ck.InputError, "no query_embedding"),
        (
            lambda s: s.query(VectorStoreQuery(query_embedding=vector(1), mode=VectorStoreQueryMode.SVM)),
            ValueError,
            "(?i)invalid query mode",
        ),
        (lambda s: s.query(VectorStoreQuery(mode=VectorStoreQueryMode.HYBRID)), ck.InputError, "empty"),
        (lambda s: s.delete_nodes(), ck.InputError, "clear"),
        (lambda s: s.get_nodes(filters={"team": {"$near": 1}}), ck.FilterError, "near"),
        (lambda s: s.get_nodes(filters="team"), ck.FilterError, "MetadataFilters or a where"),
        (lambda s: s.get_nodes(filters=MetadataFilters(filters=[leaf("a", OPS.IN, "red")])), ck.FilterError, "takes a list"),
        (lambda s: s.get_nodes(filters=MetadataFilters(filters=[leaf("a", OPS.EQ, ["red"])])), ck.FilterError, "one value"),
        (lambda s: s.get_nodes(filters=MetadataFilters(filters=[leaf("a", OPS.GT, None)])), ck.FilterError, "number or a text"),
        (lambda s: s.get_nodes(filters=MetadataFilters(filters=[leaf("a", OPS.TEXT_MATCH, 3)])), ck.FilterError, "takes a text"),
    ],
)
def test_bad_input_is_one_error_and_nothing_is_written(kit, call, error, words):
    store = KitVectorStore(kit)
    generation = kit.catalog.generation()
    with pytest.raises(error, match=words):
        call(store)
    assert store.get_nodes() == []
    assert kit.catalog.generation() == generation
    store.delete("nobody")
    assert len(store.query(VectorStoreQuery(query_embedding=vector(1), similarity_top_k=10_000)).ids) == 0


def test_filters_without_an_index_say_what_they_need():
    assert where_of(None) is None
    assert where_of(MetadataFilters(filters=[])) is None
    nested = MetadataFilters(filters=[MetadataFilters(filters=[leaf("a", OPS.GT, 1)], condition="or")], condition="not")
    assert where_of(nested) == {"$not": {"$or": [{"$or": [{"metadata.a": {"$gt": 1}}]}]}}
    with pytest.raises(ck.FilterError, match="open index"):
        where_of(MetadataFilters(filters=[leaf("a", OPS.TEXT_MATCH, "x")]))


def test_principals_and_closed_kits(kit):
    mine = KitVectorStore(kit, principal=ck.Principal("ann"), access=["user:ann"])
    mine.add([node(1, {})])
    assert KitVectorStore(kit).query(VectorStoreQuery(query_embedding=vector(1))).ids == []
    KitVectorStore(kit).clear()
    assert mine.query(VectorStoreQuery(query_embedding=vector(1))).ids == ["n1"]
    kit.close()
    for call in (
        mine.get_nodes,
        mine.clear,
        lambda: mine.add([node(2, {})]),
        lambda: mine.query(VectorStoreQuery(query_embedding=vector(1))),
    ):
        with pytest.raises(KitClosed):
            call()


def test_threads_and_event_loops(kit):
    store = KitVectorStore(kit)
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda n: asyncio.run(store.async_add([node(n, {})])), range(8)))
        found = list(
            pool.map(lambda n: asyncio.run(store.aquery(VectorStoreQuery(query_embedding=node(n, {}).embedding))).ids, range(8))
        )
    assert added == found == [[f"n{n}"] for n in range(8)]
    asyncio.run(store.adelete_nodes(["n1"]))
    assert len(asyncio.run(store.aget_nodes())) == 7
    asyncio.run(store.adelete("None"))
    asyncio.run(store.aclear())


# ----------------------------------------------------------------------------------------------------------------- the retriever


def test_the_retriever_gives_exact_places_and_keeps_to_filters(kit):
    kit.add([
        ck.Document("hive", "Ann keeps the bees. The hive stands east.", title="Bees", uri="file:///bees.md", metadata={"team": "garden"}),
        ck.Document("pump", "The pump runs at 40 bar.", metadata={"team": "plant"}),
    ])  # fmt: skip
    best = KitRetriever(kit).retrieve("Where does the hive stand?")[0]
    assert best.node.ref_doc_id == "hive"
    assert kit.catalog.text("hive")[best.node.start_char_idx : best.node.end_char_idx] == best.text
    assert best.node.metadata == {"team": "garden", "title": "Bees", "uri": "file:///bees.md"}
    wanted = MetadataFilters(filters=[leaf("team", OPS.EQ, "plant")])
    assert [one.node.ref_doc_id for one in KitRetriever(kit, filters=wanted).retrieve("hive")] == ["pump"]
    assert [one.node.ref_doc_id for one in asyncio.run(KitRetriever(kit, filters={"team": "plant"}).aretrieve("hive"))] == [
        "pump"
    ]
    assert len(KitRetriever(kit, similarity_top_k=10_000).retrieve("hive")) == 2
    for bad in ({"similarity_top_k": 0}, {"similarity_top_k": 10_001}, {"filters": {"a": {"$near": 1}}}, {"filters": ["a"]}):
        with pytest.raises(ck.InputError):
            KitRetriever(kit, **bad)
    with pytest.raises(ck.InputError, match="empty"):
        KitRetriever(kit).retrieve(" ")


# -------------------------------------------------------------------------------------------------------------------- embedders


class Trigrams(MockEmbedding):
    """LlamaIndex's double, but with vectors that tell texts apart."""

    def _get_text_embedding(self, text):
        return (3 * TinyEmbedder(dimension=16).embed_queries([text])[0]).tolist()

    _get_query_embedding = _get_text_embedding


class TestAsEmbedder(EmbedderContract):
    def embedder(self):
        return as_embedder(Trigrams(embed_dim=16), name="trigrams")


def test_an_index_on_a_model_of_llamaindex(tmp_path):
    model = Trigrams(embed_dim=16, model_name="trigrams-1")
    with ck.open(tmp_path / "index", embedder=as_embedder(model)) as kit:
        kit.add([ck.Document("hive", "Ann keeps the bees."), ck.Document("pump", "The pump runs at 40 bar.")])
        assert kit.info().embedder == "trigrams-1"
        assert kit.search("the bees")[0].document_id == "hive"
        assert "40 bar" in kit.context("What pressure has the pump?").text
        store = KitVectorStore(kit)
        store.add([TextNode(id_="n", text="New.", embedding=model.get_text_embedding("New."))])
        assert store.query(VectorStoreQuery(query_embedding=model.get_query_embedding("New."))).ids == ["n"]
    with pytest.raises(ck.IndexMismatch):
        ck.open(tmp_path / "index", embedder=as_embedder(model, name="another"))
    with pytest.raises(ck.InputError, match="BaseEmbedding"):
        as_embedder("bge-small")
    with pytest.raises(EmbedderError, match="without direction"):
        as_embedder(MockEmbedding(embed_dim=4), name="m").__class__(_Zero(embed_dim=4), "zero", 64).embed_queries(["x"])


class _Zero(MockEmbedding):
    def _get_query_embedding(self, query):
        return [0.0] * self.embed_dim


def test_our_embedder_in_llamaindex():
    tiny = TinyEmbedder(window=32)
    model = KitEmbedding(tiny)
    assert model.model_name == "tiny"
    assert np.allclose(model.get_query_embedding("bees"), tiny.embed_queries(["bees"])[0])
    long = "One more sentence here. " * 40
    made = model.get_text_embedding_batch(["short", long, ""])
    assert [len(one) for one in made] == [32] * 3
    assert np.allclose([np.linalg.norm(one) for one in made], 1, atol=1e-3)
    assert np.allclose(asyncio.run(model.aget_text_embedding("short")), made[0], atol=1e-6)
    assert np.allclose(asyncio.run(model.aget_query_embedding("bees")), model.get_query_embedding("bees"))
    assert model.get_text_embedding_batch([]) == []
