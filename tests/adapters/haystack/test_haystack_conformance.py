"""Haystack's own contract tests of document stores, all of them, on a store over an index."""

from __future__ import annotations

import pytest
from haystack.dataclasses import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.testing import document_store as sync_tests
from haystack.testing import document_store_async as async_tests

import contextkit as ck
from contextkit.adapters.haystack.store import KitDocumentStore
from contextkit.testing import TinyEmbedder


@pytest.fixture
def document_store(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        yield KitDocumentStore(kit=kit)


class TestSync(
    sync_tests.DocumentStoreBaseExtendedTests,
    sync_tests.CountDocumentsByFilterTest,
    sync_tests.CountUniqueMetadataByFilterTest,
    sync_tests.GetMetadataFieldsInfoTest,
    sync_tests.GetMetadataFieldMinMaxTest,
    sync_tests.GetMetadataFieldUniqueValuesTest,
    sync_tests.FilterableDocsFixtureMixin,
):
    @pytest.fixture
    def document_store(self, document_store):
        return document_store

    def test_write_documents(self, document_store):
        """The suite asks each store to say what it does without a policy: an id that is there is an error."""
        doc = Document(content="test doc")
        assert document_store.write_documents([doc]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([doc])
        assert document_store.filter_documents() == [doc]


class TestAsync(
    async_tests.CountDocumentsAsyncTest,
    async_tests.WriteDocumentsAsyncTest,
    async_tests.DeleteDocumentsAsyncTest,
    async_tests.FilterDocumentsAsyncTest,
    async_tests.DeleteAllAsyncTest,
    async_tests.DeleteByFilterAsyncTest,
    async_tests.UpdateByFilterAsyncTest,
    async_tests.CountDocumentsByFilterAsyncTest,
    async_tests.CountUniqueMetadataByFilterAsyncTest,
    async_tests.GetMetadataFieldsInfoAsyncTest,
    async_tests.GetMetadataFieldMinMaxAsyncTest,
    async_tests.GetMetadataFieldUniqueValuesAsyncTest,
):
    @pytest.fixture
    def document_store(self, document_store):
        return document_store

    async def test_write_documents_async(self, document_store):
        """As above."""
        doc = Document(content="test doc")
        assert await document_store.write_documents_async([doc]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([doc])
        assert await document_store.filter_documents_async() == [doc]


def test_every_class_of_the_suite_is_used():
    """A mixin that a later Haystack adds is one to take up."""
    for module, used in ((sync_tests, TestSync), (async_tests, TestAsync)):
        tests = {
            name
            for name, one in vars(module).items()
            if isinstance(one, type) and "Test" in name and one.__module__ == module.__name__
        }
        assert {name for name in tests if not issubclass(used, getattr(module, name))} == set()
