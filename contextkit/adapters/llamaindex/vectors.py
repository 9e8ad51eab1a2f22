"""`KitVectorStore`: an index as a LlamaIndex vector store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from contextkit.adapters.llamaindex.nodes import CONTENT, both, document_of, node_of, node_of_hit, where_of
from contextkit.adapters.shared.writing import alone
from contextkit.errors import EmbedderError, InputError
from contextkit.types import Chunk, Document, Embedded, EmbedderInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.catalog import StoredDocument
    from contextkit.kit import Kit
    from contextkit.retrieval.hits import Hit
    from contextkit.types import Principal

    Floats = NDArray[np.float32]

_BY_TEXT = (VectorStoreQueryMode.HYBRID, VectorStoreQueryMode.TEXT_SEARCH, VectorStoreQueryMode.SEMANTIC_HYBRID)


class KitVectorStore(BasePydanticVectorStore):
    """An index as a LlamaIndex vector store. Nodes go in with the vectors that they bring; each call is one generation.

    The vectors must be of the index's embedder: use `KitEmbedding(kit.embedder)` as LlamaIndex's model, or open the index with
    `embedder=as_embedder(your_model)`. They are kept rounded (cosines within 0.01). Nodes with the same text have one vector.
    Documents that connectors brought in are found beside the nodes.

    A query finds by its vector (mode "default"), or by vector and words of `query_str` ("hybrid", "text_search",
    "semantic_hybrid").

    Args:
        kit: an open kit; the caller closes it.
        principal: on whose behalf; None: what everyone may see.
        access: who may see what is added; None: everyone.
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    _kit: Kit = PrivateAttr()
    _principal: Principal | None = PrivateAttr()
    _access: Sequence[str] | None = PrivateAttr()

    def __init__(self, kit: Kit, *, principal: Principal | None = None, access: Sequence[str] | None = None) -> None:
        super().__init__(stores_text=True)
        self._kit = kit
        self._principal = principal
        self._access = access

    @classmethod
    def class_name(cls) -> str:
        """The class's name."""
        return "KitVectorStore"

    @property
    def client(self) -> Kit:
        """The kit."""
        return self._kit

    # ---------------------------------------------------------------------------------------------------------------- writing

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:  # noqa: ANN401 - the peer's form
        """The ids of the nodes, which are all added, or, on an error, none. A node with the same id is replaced.

        Raises:
            ValueError: a node without a vector, of another length than the index's, without text, or with metadata that is no
                JSON.
            IndexLocked: another process is writing.
        """
        from contextkit.retrieval.terms import TERMS_VERSION, terms
        from contextkit.sync import Pipeline

        latest = {node.node_id: node for node in nodes}
        if not latest:
            return []
        info = self._kit.embedder.info
        vectors = {node.get_content().strip(): _unit(node, info) for node in latest.values()}
        documents = [document_of(node, self._access) for node in latest.values()]
        pipeline = Pipeline(_no_parsing, "", _Whole(), _Given(info, vectors), terms, TERMS_VERSION)
        self._kit.add(documents, pipeline=pipeline)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **_: Any) -> None:  # noqa: ANN401 - the peer's form
        """Deletes the nodes that were made of that document; none is no error."""
        self._remove({"metadata.ref_doc_id": ref_doc_id})

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **_: Any,  # noqa: ANN401 - the peer's form
    ) -> None:
        """Deletes nodes by id, by filter, or by both at once.

        Raises:
            InputError: neither is given; `clear` deletes all.
            FilterError: the filters are not understood.
        """
        if node_ids is None and filters is None:
            raise InputError("delete_nodes needs node_ids or filters; clear() deletes all nodes")
        self._remove(both(_with_ids(node_ids), where_of(filters, self._kit.catalog)))

    def clear(self) -> None:
        """Deletes all that the principal may see."""
        self._remove(None)

    def _remove(self, where: Mapping[str, Any] | None) -> None:
        with alone(self._kit):
            ids = [one.id for one in self._stored(where)]
            if ids:
                self._kit.remove(ids)

    # ---------------------------------------------------------------------------------------------------------------- reading

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """The nodes with those ids that match, without their vectors; all where neither is given. Sorted by id."""
        catalog = self._kit.catalog
        found = self._stored(both(_with_ids(node_ids), where_of(filters, catalog)))
        return [node_of(one.id, catalog.content_text(one.content_id), one.metadata) for one in found]

    def query(self, query: VectorStoreQuery, **_: Any) -> VectorStoreQueryResult:  # noqa: ANN401 - the peer's form
        """The nodes nearest to the query's vector, best first, with cosines; or as `Kit.search` finds them, with its scores.

        Raises:
            ValueError: a mode that there is not, no vector or one of another length, or similarity_top_k out of range.
            FilterError: the filters are not understood.
        """
        k = query.similarity_top_k
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 10_000:
            raise InputError(f"similarity_top_k must be a whole number from 1 to 10,000, not {k!r}")
        # LlamaIndex's own retriever gives an empty list of ids for a store that keeps text: it means no restriction
        of_documents = {"metadata.ref_doc_id": {"$in": list(query.doc_ids)}} if query.doc_ids else None
        where = both(where_of(query.filters, self._kit.catalog), _with_ids(query.node_ids or None), of_documents)
        if query.mode in _BY_TEXT:
            hits = self._kit.search(query.query_str or "", k=k, where=where, principal=self._principal)
            return _result([(self._found(hit), hit.score) for hit in hits])
        if query.mode is not VectorStoreQueryMode.DEFAULT:
            modes = ", ".join(mode.value for mode in (VectorStoreQueryMode.DEFAULT, *_BY_TEXT))
            raise InputError(f"invalid query mode {query.mode.value!r}: there are {modes}")
        if query.query_embedding is None:
            raise InputError("the query has no query_embedding: give one, or use the mode 'hybrid' with query_str")
        vector = _checked(query.query_embedding, self._kit.embedder.info, "the query's vector")
        hits = self._kit.nearest(vector, k=k, where=where, principal=self._principal)
        return _result([(self._found(hit), hit.score) for hit in hits])

    def _found(self, hit: Hit) -> BaseNode:
        stored = self._kit.catalog.document(hit.document_id) if CONTENT in hit.metadata else None
        if stored is not None and stored.n_chunks == 1:  # the node as it was given, the white space at its ends included
            return node_of(stored.id, self._kit.catalog.content_text(stored.content_id), stored.metadata)
        return node_of_hit(hit).node

    def _stored(self, where: Mapping[str, Any] | None) -> list[StoredDocument]:
        catalog = self._kit.catalog
        return catalog.documents(catalog.visible(where, self._principal))

    # ------------------------------------------------------------------------------------------------------------------ async

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:  # noqa: ANN401 - the peer's form
        """As `add`."""
        return await asyncio.to_thread(self.add, nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **kwargs: Any) -> None:  # noqa: ANN401 - the peer's form
        """As `delete`."""
        await asyncio.to_thread(self.delete, ref_doc_id, **kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **kwargs: Any,  # noqa: ANN401 - the peer's form
    ) -> None:
        """As `delete_nodes`."""
        await asyncio.to_thread(self.delete_nodes, node_ids, filters, **kwargs)

    async def aget_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """As `get_nodes`."""
        return await asyncio.to_thread(self.get_nodes, node_ids, filters)

    async def aclear(self) -> None:
        """As `clear`."""
        await asyncio.to_thread(self.clear)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:  # noqa: ANN401 - the peer's form
        """As `query`."""
        return await asyncio.to_thread(self.query, query, **kwargs)


def _with_ids(ids: Sequence[str] | None) -> dict[str, Any] | None:
    return None if ids is None else {"id": {"$in": list(ids)}}


def _result(found: Sequence[tuple[BaseNode, float]]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[node for node, _ in found], similarities=[score for _, score in found], ids=[node.node_id for node, _ in found]
    )


def _unit(node: BaseNode, info: EmbedderInfo) -> Floats:
    return _checked(node.get_embedding(), info, f"the vector of node {node.node_id!r}")  # raises ValueError where there is none


def _checked(given: Sequence[float], info: EmbedderInfo, what: str) -> Floats:
    """float32 (dimension,), unit length."""
    vector = np.asarray(given, dtype=np.float32)
    if vector.shape != (info.dimension,):
        raise InputError(
            f"{what} has {vector.size} numbers, those of the index's embedder {info.name!r} have {info.dimension}: use "
            "KitEmbedding(kit.embedder), or open the index with embedder=as_embedder(MODEL)"
        )
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise InputError(f"{what} has no direction: its length is {length}")
    return np.asarray(vector / np.float32(length), dtype=np.float32)


def _no_parsing(_: Iterable[Any]) -> Iterator[Any]:
    return iter(())


class _Whole:
    """A node is one chunk (protocol `Chunker`): LlamaIndex has cut it already."""

    config = "llamaindex-node-1"

    def chunk(self, document: Document) -> list[Chunk]:
        from contextkit.documents.sentences import sentences, strip

        span = strip(document.text, 0, len(document.text))
        if span is None:
            return []
        text = document.text[span.start : span.end]
        return [Chunk(span.start, span.end, text, "", tuple(sentences(document.text, span.start, span.end)))]


class _Given:
    """The vectors that nodes brought (protocol `Embedder`, but for questions); a sentence has its passage's."""

    def __init__(self, info: EmbedderInfo, vectors: Mapping[str, Floats]) -> None:
        self.info = info
        self._vectors = vectors

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        if not chunks:
            empty = np.zeros((0, self.info.dimension), np.float32)
            return Embedded(empty, empty if self.info.sentences else None)
        passages = np.stack([self._vectors[chunk.text] for chunk in chunks])
        each = np.repeat(passages, [len(chunk.sentences) for chunk in chunks], axis=0) if self.info.sentences else None
        return Embedded(passages, each)

    def embed_queries(self, questions: Sequence[str]) -> Floats:
        raise EmbedderError(f"{len(questions)} questions were asked of the vectors of nodes")
