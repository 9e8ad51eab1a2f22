"""What the vector store does beyond LangChain's own suite: filters, vectors, long documents, bad input."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

import contextkit as ck
from contextkit.adapters.langchain import KitEmbeddings, KitVectorStore, LangChainEmbedder
from contextkit.errors import EmbedderError, FilterError, InputError, KitClosed, ReadOnlyIndex
from contextkit.testing import EmbedderContract, TinyEmbedder

LONG = "\n\n".join(
    f"Paragraph {n} of the manual says that valve {n} has to be opened before the start of pump {n}." for n in range(200)
)


@pytest.fixture
def store(kit):
    store = KitVectorStore(kit)
    texts = ["The pump runs at 40 bar.", "The pump runs at 41 bar.", "Leave may be carried over.", "Trips go by train."]
    store.add_texts(texts, [{"n": n, "tags": ["t", f"t{n}"]} for n in range(4)], ids=list("abcd"))
    return store


def ids(documents):
    return [d.id for d in documents]


def test_filters_are_contextkits_where(store):
    assert set(ids(store.similarity_search("pump", k=4, filter={"n": {"$gte": 1}}))) == set("bcd")
    assert ids(store.similarity_search("pump", k=4, filter={"tags": "t2"})) == ["c"]
    assert ids(store.similarity_search("pump", k=4, filter={"$or": [{"id": "a"}, {"n": 3}]}))[0] == "a"
    assert ids(store.as_retriever(search_kwargs={"k": 1, "filter": {"n": 3}}).invoke("pump")) == ["d"]
    assert store.similarity_search("pump", filter={"n": 99}) == []


@pytest.mark.parametrize("wrong", [{"n": {"gte": {"$x": 1}}}, {"n": {"$regex": "x"}}, "n > 1", lambda d: True, {"n": [1, 2]}])
def test_a_filter_of_another_dialect_is_refused(store, wrong):
    vector = store.embeddings.embed_query("pump")
    for search in (
        lambda: store.similarity_search("pump", filter=wrong),
        lambda: store.similarity_search_by_vector(vector, filter=wrong),
        lambda: store.max_marginal_relevance_search("pump", filter=wrong),
    ):
        with pytest.raises(FilterError):
            search()


@pytest.mark.parametrize("k", [0, -1, 10_001, 2.5, True, "4"])
def test_k_is_one_to_ten_thousand(store, k):
    for search in (store.similarity_search, store.max_marginal_relevance_search, store.similarity_search_with_score):
        with pytest.raises(ValueError, match="k must be"):
            search("pump", k=k)
    assert len(store.similarity_search("pump", k=10_000)) == 4


def test_scores_fall_and_relevance_lies_in_its_range(store):
    found = store.similarity_search_with_score("The pump runs at 40 bar.", k=4)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert found[0][0].id == "a"
    relevant = store.similarity_search_with_relevance_scores("The pump runs at 40 bar.", k=4)
    assert all(0 <= score <= 1 for _, score in relevant)
    assert relevant[0][1] > 0.9
    threshold = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9})
    assert ids(threshold.invoke("The pump runs at 40 bar.")) == ["a"]


def test_search_by_vector_is_by_cosine(store):
    vector = store.embeddings.embed_documents(["Leave may be carried over."])[0]
    assert ids(store.similarity_search_by_vector(vector, k=2))[0] == "c"
    assert ids(asyncio.run(store.asimilarity_search_by_vector(vector, k=1))) == ["c"]
    texts = {d.id: d.page_content for d in store.get_by_ids(list("abcd"))}
    cosines = {i: float(np.dot(store.embeddings.embed_documents([t])[0], vector)) for i, t in texts.items()}
    assert ids(store.similarity_search_by_vector(vector, k=4)) == sorted(cosines, key=lambda i: -cosines[i])


@pytest.mark.parametrize("vector", [[0.0] * 32, [1.0] * 31, [float("nan")] * 32, []])
def test_a_vector_that_is_none_is_refused(store, vector):
    with pytest.raises(InputError, match="32 numbers"):
        store.similarity_search_by_vector(vector)


def test_marginal_relevance_prefers_what_is_unlike(store):
    near = ids(store.similarity_search_by_vector(store.embeddings.embed_query("The pump runs at 40 bar."), k=2))
    assert set(near) == {"a", "b"}
    apart = ids(store.max_marginal_relevance_search("The pump runs at 40 bar.", k=2, lambda_mult=0.1))
    assert apart[0] == "a"
    assert apart[1] not in ("a", "b")
    assert ids(asyncio.run(store.amax_marginal_relevance_search("pump", k=4))) != []
    assert ids(store.as_retriever(search_type="mmr", search_kwargs={"k": 2}).invoke("The pump runs at 40 bar."))[0] == "a"


def test_a_long_document_comes_back_whole_and_once(kit):
    store = KitVectorStore(kit)
    store.add_texts([LONG, "Something else."], ids=["long", "short"])
    assert kit.info().chunks > 10
    assert [d.page_content == LONG for d in store.similarity_search("valve 77 pump 77", k=1)] == [True]
    assert sorted(ids(store.similarity_search("valve pump manual", k=2))) == ["long", "short"]
    vector = store.embeddings.embed_query("valve 77")
    assert sorted(ids(store.similarity_search_by_vector(vector, k=2))) == ["long", "short"]


def test_documents_of_a_synced_source_come_as_passages(kit, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "manual.txt").write_text(LONG)
    kit.sync(folder)
    store = KitVectorStore(kit)
    [found] = store.similarity_search("valve 77 pump 77", k=1)
    assert found.page_content in LONG
    assert len(found.page_content) < len(LONG)
    assert store.get_by_ids([found.id])[0].page_content.strip() == LONG
    store.add_texts(["own"], ids=["mine"])
    store.delete()
    assert store.get_by_ids(["mine"]) == []
    assert ids(store.similarity_search("valve", k=1)) == [found.id]
    with pytest.raises(InputError, match="belongs to the source"):
        store.add_texts(["x"], ids=[found.id])


@pytest.mark.parametrize(
    ("documents", "given"),
    [
        ([Document(page_content="x", metadata={"a": object()})], None),
        ([Document(page_content="x", metadata={"a": float("nan")})], None),
        ([Document(page_content="x", metadata={1: "a"})], None),
        ([Document(page_content="x", metadata={"deep": [{2: 3}]})], None),
        ([Document(page_content="\ud800")], None),
        ([Document(page_content="x"), Document(page_content="y")], ["1", "1"]),
        ([Document(page_content="x")], ["1", "2"]),
        ([Document(page_content="x")], ["  "]),
        (["text"], None),
    ],
)
def test_what_cannot_be_stored_is_a_value_error_and_nothing_is_written(kit, documents, given):
    store = KitVectorStore(kit)
    store.add_texts(["old"], ids=["1"])
    with pytest.raises(ValueError):
        store.add_documents(
            [Document(page_content="good", id="good"), *documents], ids=None if given is None else ["good", *given]
        )
    assert [d.page_content for d in store.get_by_ids(["1", "good"])] == ["old"]
    assert ids(store.similarity_search("old", k=10)) == ["1"]


def test_numbers_that_differ_and_words_that_are_not_known(store):
    with pytest.raises(ValueError, match="2 metadatas"):
        store.add_texts(["x"], [{}, {}])
    for call in (
        lambda: store.similarity_search("x", namespace="y"),
        lambda: store.add_texts(["x"], batch=3),
        lambda: store.delete(["x"], soft=1),
    ):
        with pytest.raises(TypeError, match="unexpected"):
            call()
    with pytest.raises(InputError, match="empty"):
        store.similarity_search(" ")


def test_missing_ids(store):
    assert store.delete(["nope", "a"]) is True
    assert store.delete([]) is True
    assert ids(store.get_by_ids(["d", "nope", "a", "b", "d"])) == ["d", "b"]


def test_principals_and_access(kit):
    KitVectorStore(kit, access=["user:ann"]).add_texts(["the code is 4711"], ids=["code"])
    assert KitVectorStore(kit).similarity_search("code") == []
    assert KitVectorStore(kit).get_by_ids(["code"]) == []
    assert ids(KitVectorStore(kit, principal=ck.Principal("ann")).similarity_search("code")) == ["code"]


def test_from_texts_keeps_its_index_where_it_is_told(tmp_path):
    embedding = DeterministicFakeEmbedding(size=8)
    store = KitVectorStore.from_texts(["foo", "bar"], embedding, [{"n": 1}, {"n": 2}], ids=["1", "2"], folder=tmp_path / "index")
    assert ids(store.similarity_search("foo", k=1)) == ["1"]
    store.kit.close()
    with ck.open(tmp_path / "index", embedder=LangChainEmbedder(embedding)) as kit:
        assert ids(KitVectorStore(kit).similarity_search("bar", k=1)) == ["2"]
        more = KitVectorStore.from_documents([Document(page_content="baz", id="3")], embedding, kit=kit)
        assert ids(more.similarity_search("baz", k=1)) == ["3"]
        with pytest.raises(InputError, match="has the embedder"):
            KitVectorStore.from_texts(["x"], KitEmbeddings(TinyEmbedder()), kit=kit)
        with pytest.raises(InputError, match="either"):
            KitVectorStore.from_texts(["x"], embedding, kit=kit, folder="y")


def test_from_texts_without_a_place_leaves_nothing_behind():
    store = asyncio.run(KitVectorStore.afrom_texts(["foo"], DeterministicFakeEmbedding(size=8)))
    folder = Path(store.kit.catalog.folder)
    assert folder.exists()
    del store
    gc.collect()
    assert not folder.exists()


def test_a_closed_or_read_only_kit(tmp_path):
    with ck.open(tmp_path / "i", embedder=TinyEmbedder()) as kit:
        KitVectorStore(kit).add_texts(["foo"], ids=["1"])
    with ck.open(tmp_path / "i", embedder=TinyEmbedder(), read_only=True) as kit:
        store = KitVectorStore(kit)
        assert ids(store.similarity_search("foo")) == ["1"]
        with pytest.raises(ReadOnlyIndex):
            store.add_texts(["bar"])
    for call in (
        lambda: store.similarity_search("foo"),
        lambda: store.get_by_ids(["1"]),
        lambda: store.delete(["1"]),
        lambda: store.add_texts(["x"]),
        lambda: store.similarity_search_by_vector([1.0] * 32),
        lambda: asyncio.run(store.aadd_texts(["x"])),
    ):
        with pytest.raises(KitClosed):
            call()


def test_several_threads_and_loops(kit):
    store = KitVectorStore(kit)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: asyncio.run(store.aadd_texts([f"text {n}"], ids=[str(n)])), range(8)))
    assert made == [[str(n)] for n in range(8)]
    assert sorted(ids(store.similarity_search("text", k=100))) == [str(n) for n in range(8)]


# ---------------------------------------------------------------------------------------------------------------------- embedders


class TestLangChainEmbedderContract(EmbedderContract):
    def embedder(self):
        return LangChainEmbedder(KitEmbeddings(TinyEmbedder()), name="tiny")


class Broken(Embeddings):
    def __init__(self, vectors):
        self.vectors = vectors

    def embed_documents(self, texts):
        return self.vectors

    def embed_query(self, text):
        return [1.0, 0.0]


@pytest.mark.parametrize("vectors", [[], [[1.0]], [[0.0, 0.0]], [[float("nan"), 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
def test_vectors_that_are_none_are_refused(tmp_path, vectors):
    with ck.open(tmp_path / "i", embedder=LangChainEmbedder(Broken(vectors))) as kit:
        with pytest.raises(EmbedderError):
            kit.add([ck.Document(id="a", text="x")])
        assert kit.info().documents == 0


def test_two_embeddings_are_two_embedders(tmp_path):
    with ck.open(tmp_path / "i", embedder=LangChainEmbedder(DeterministicFakeEmbedding(size=4))):
        pass
    with pytest.raises(ck.IndexMismatch):
        ck.open(tmp_path / "i", embedder=LangChainEmbedder(DeterministicFakeEmbedding(size=4), name="other"))
    with pytest.raises(InputError, match="embeddings"):
        LangChainEmbedder("openai")
    with pytest.raises(InputError, match="at least 1"):
        LangChainEmbedder(DeterministicFakeEmbedding(size=4), window=0)
    with pytest.raises(InputError, match="embedder or a kit"):
        KitEmbeddings("all-MiniLM-L6-v2")


def test_embeddings_of_long_and_wrong_texts():
    own = KitEmbeddings(TinyEmbedder(window=16))
    assert np.isclose(np.linalg.norm(own.embed_documents(["word " * 500, ""])[0]), 1)
    for wrong in (["a", 3], "text"):
        with pytest.raises(InputError, match="list of texts"):
            own.embed_documents(wrong)
    with pytest.raises(InputError, match="list of texts"):
        own.embed_query(None)
