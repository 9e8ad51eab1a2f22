"""LangChain's own conformance suites, unmodified: vector store, retriever, embeddings, key-value store."""

from __future__ import annotations

import pytest
from langchain_tests.integration_tests import (
    BaseStoreAsyncTests,
    BaseStoreSyncTests,
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)

import contextkit as ck
from contextkit.adapters.langchain import KitByteStore, KitEmbeddings, KitRetriever, KitVectorStore, LangChainEmbedder
from contextkit.testing import TinyEmbedder

NOTES = {
    "pump": "The pump was replaced in May 2024. It runs at 40 bar.",
    "leave": "Up to five days of leave may be carried over to the next year.",
    "trip": "Trips by train are booked by the assistant; the ticket goes to the cost centre.",
    "house": "The house in Bremen has a new roof since March.",
}


class TestVectorStoreWithItsOwnEmbedder(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, kit):
        return KitVectorStore(kit)


class TestVectorStoreWithTheSuitesEmbedder(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path):
        with ck.open(tmp_path / "index", embedder=LangChainEmbedder(self.get_embeddings())) as kit:
            yield KitVectorStore(kit)


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("notes") / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id=name, text=text, title=name) for name, text in NOTES.items()])
        yield kit


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _opened(self, notes):
        self.notes = notes

    @property
    def retriever_constructor(self):
        return KitRetriever

    @property
    def retriever_constructor_params(self):
        return {"kit": self.notes}

    @property
    def retriever_query_example(self):
        return "At what pressure does the pump run?"


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return KitEmbeddings

    @property
    def embedding_model_params(self):
        return {"embedder": TinyEmbedder()}


class TestByteStore(BaseStoreSyncTests[bytes]):
    @pytest.fixture
    def kv_store(self, kit):
        return KitByteStore(kit)

    @pytest.fixture
    def three_values(self):
        return b"foo", b"bar", b"buzz"


class TestByteStoreAsync(BaseStoreAsyncTests[bytes]):
    @pytest.fixture
    async def kv_store(self, kit):
        return KitByteStore(kit)

    @pytest.fixture
    def three_values(self):
        return b"foo", b"bar", b"buzz"
