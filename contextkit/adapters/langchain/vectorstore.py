"""`KitVectorStore`: LangChain's vector store over a kit. Passages and packets are the retriever's: `retriever.py`."""

from __future__ import annotations

import tempfile
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance

from contextkit.adapters.langchain.embeddings import KitEmbeddings, LangChainEmbedder
from contextkit.adapters.shared.states import check_keys
from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.catalog import StoredDocument
    from contextkit.kit import Kit, Where
    from contextkit.retrieval.hits import Hit
    from contextkit.retrieval.scoring import Floats
    from contextkit.types import Document as Ours
    from contextkit.types import Principal

_MOST = 10_000


class KitVectorStore(VectorStore):
    """LangChain's vector store over a kit; documents that were added come back as they were added.

    A long document is cut and embedded in passages; its best passage decides its score, and it comes back whole, once. Of
    documents that a connector synced into the same kit the best passage comes back, under the document's id.

    `similarity_search` is contextkit's own: meaning and words side by side, the score (cosine, plus up to 0.5 for the words)
    larger for better. The searches by vector are by cosine alone. `filter` is contextkit's `where` (see `Kit.search`).

    Args:
        kit: an open kit.
        principal: on whose behalf is searched; without one only documents that everyone may see.
        access: who may see what is added, as "user:NAME" and "group:NAME"; None: everyone.
    """

    def __init__(self, kit: Kit, *, principal: Principal | None = None, access: Sequence[str] | None = None) -> None:
        self.kit = kit
        self._principal = principal
        self._access = access

    @property
    def embeddings(self) -> Embeddings:
        """The kit's embedder."""
        return KitEmbeddings(self.kit)

    # -------------------------------------------------------------------------------------------------------------------- writing

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:  # noqa: ANN401 - LangChain's own signature
        """Adds documents in one commit, or replaces those of the same ids; gives their ids.

        Args:
            documents: any; the ones given are not changed.
            **kwargs: `ids`, one a document; a document without one keeps its own, or gets a new one.

        Raises:
            InputError: (a ValueError) other numbers of ids and documents, an id twice, an id of a synced source, or metadata that
                is no JSON; nothing was changed.
        """
        ids = kwargs.pop("ids", None)
        _none_left("add_documents", kwargs, "ids")
        given = list(documents)
        other = [document for document in given if not isinstance(document, Document)]
        if other:
            raise InputError(f"add_documents takes langchain_core.documents.Document, not {type(other[0]).__name__}")
        wanted = [None] * len(given) if ids is None else list(ids)
        if len(wanted) != len(given):
            raise InputError(f"{len(wanted)} ids were given for {len(given)} documents")
        named = [id_ or document.id or str(uuid.uuid4()) for id_, document in zip(wanted, given, strict=True)]
        self.kit.add([self._ours(id_, document) for id_, document in zip(named, given, strict=True)])
        return named

    async def aadd_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:  # noqa: ANN401 - as LangChain has it
        """As `add_documents`."""
        return await finished(lambda: self.add_documents(documents, **kwargs))

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> list[str]:
        """As `add_documents`, of texts with their metadata. Raises InputError where the numbers differ."""
        given = list(texts)
        about = [{}] * len(given) if not metadatas else list(metadatas)
        if len(about) != len(given):
            raise InputError(f"{len(about)} metadatas were given for {len(given)} texts")
        documents = [Document(page_content=text, metadata=data) for text, data in zip(given, about, strict=True)]
        return self.add_documents(documents, ids=ids, **kwargs)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> list[str]:
        """As `add_texts`."""
        return await finished(lambda: self.add_texts(texts, metadatas, ids=ids, **kwargs))

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:  # noqa: ANN401 - LangChain's own signature
        """Removes documents in one commit; those that are not there are passed over.

        Args:
            ids: of the documents; None: all that were added, by whatever means. Documents of synced sources stay then.
            **kwargs: none are known.
        """
        from contextkit.sync.runs import KIT

        _none_left("delete", kwargs)
        owners = self.kit.catalog.owners()
        if ids is None:
            gone = [id_ for id_, owner in owners.items() if owner == KIT]
        else:
            gone = [id_ for id_ in dict.fromkeys(ids) if id_ in owners]
        if gone:
            self.kit.remove(gone)
        return True

    async def adelete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:  # noqa: ANN401 - as LangChain has it
        """As `delete`."""
        return await finished(lambda: self.delete(ids, **kwargs))

    def _ours(self, id_: str, document: Document) -> Ours:
        from contextkit.types import Document as Ours

        check_keys(document.metadata, f"the metadata of document {id_!r}")
        return Ours(id=id_, text=document.page_content, metadata=document.metadata, access=self._access)

    # -------------------------------------------------------------------------------------------------------------------- reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of those ids, whole, in the order of the ids; without those that are not there."""
        self.kit.info()  # says that a kit was closed
        visible = self.kit.catalog.visible(None, self._principal)
        found = [self.kit.catalog.document(id_, visible) for id_ in dict.fromkeys(ids)]
        return [self._whole(document) for document in found if document is not None]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """As `get_by_ids`."""
        return await finished(self.get_by_ids, ids)

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:  # noqa: ANN401 - LangChain's signature
        """The k best documents for a question, best first. See `similarity_search_with_score`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, **kwargs)]

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:  # noqa: ANN401 - as above
        """As `similarity_search`."""
        return await finished(lambda: self.similarity_search(query, k, **kwargs))

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        *,
        filter: Where | None = None,  # noqa: A002 - LangChain's own name
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> list[tuple[Document, float]]:
        """The k best documents with their scores, best first; fewer only where fewer are permitted.

        Args:
            query: any text.
            k: 1 to 10,000.
            filter: contextkit's `where`.
            **kwargs: none are known.

        Raises:
            InputError: (a ValueError) the question is empty, or k out of range.
            FilterError: (a ValueError) the filter is not understood.
        """
        _none_left("similarity_search", kwargs, "k, filter")
        _check_k(k)
        hits = self._best(lambda depth: self.kit.search(query, k=depth, where=filter, principal=self._principal), k)
        return self._documents(hits.values(), filter)

    async def asimilarity_search_with_score(self, *args: Any, **kwargs: Any) -> list[tuple[Document, float]]:  # noqa: ANN401 - as LangChain has it
        """As `similarity_search_with_score`."""
        return await finished(lambda: self.similarity_search_with_score(*args, **kwargs))

    def similarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:  # noqa: ANN401 - as LangChain has it
        """The k documents nearest to a vector by cosine, best first; `filter` as in `similarity_search_with_score`."""
        where = kwargs.pop("filter", None)
        _none_left("similarity_search_by_vector", kwargs, "k, filter")
        _check_k(k)
        return [document for document, _ in self._documents(self._near(embedding, k, where).values(), where)]

    async def asimilarity_search_by_vector(self, embedding: list[float], k: int = 4, **kwargs: Any) -> list[Document]:  # noqa: ANN401 - as above
        """As `similarity_search_by_vector`."""
        return await finished(lambda: self.similarity_search_by_vector(embedding, k, **kwargs))

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> list[Document]:
        """At most k of the documents nearest to a question, unlike each other; see `max_marginal_relevance_search_by_vector`."""
        from contextkit.context.build import check_question

        check_question(query)
        vector = self.embeddings.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(vector, k, fetch_k, lambda_mult, **kwargs)

    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> list[Document]:
        """As `max_marginal_relevance_search`."""
        return await finished(lambda: self.max_marginal_relevance_search(query, k, fetch_k, lambda_mult, **kwargs))

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> list[Document]:
        """At most k of the fetch_k documents nearest to a vector, chosen by LangChain's own maximal marginal relevance.

        Args:
            embedding: of the kit's embedder.
            k: 1 to 10,000.
            fetch_k: how many are chosen from.
            lambda_mult: 0 for most unlike, 1 for nearest.
            **kwargs: `filter`.
        """
        where = kwargs.pop("filter", None)
        _none_left("max_marginal_relevance_search", kwargs, "k, fetch_k, lambda_mult, filter")
        _check_k(k)
        near = self._with_vectors(self._near(embedding, max(k, fetch_k), where).values())
        query, vectors = np.asarray(embedding, np.float32), [vector.tolist() for _, vector in near]
        chosen = maximal_marginal_relevance(query, vectors, lambda_mult, k) if near else []
        return [document for document, _ in self._documents([near[n][0] for n in chosen], where)]

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> list[Document]:
        """As `max_marginal_relevance_search_by_vector`."""
        return await finished(lambda: self.max_marginal_relevance_search_by_vector(embedding, k, fetch_k, lambda_mult, **kwargs))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """A score as a relevance of 0 to 1: its share of what cosine and words can give."""
        weights = self.kit.weights
        return lambda score: min(1.0, max(0.0, score / (weights.passage + weights.coverage + weights.document)))

    # --------------------------------------------------------------------------------------------------------------------- inside

    def _best(self, search: Callable[[int], list[Hit]], k: int) -> dict[str, Hit]:
        """The best passage of each document that a search finds, best first: of k, fewer only where fewer are permitted.

        Args:
            search: gives that many passages. Those of one document count once, so that more may have to be looked at.
            k: how many documents.
        """
        found: dict[str, Hit] = {}
        depth = k
        while True:
            hits = search(depth)
            for hit in hits:
                found.setdefault(hit.document_id, hit)
            if len(found) >= k or len(hits) < depth or depth >= _MOST:
                return dict(list(found.items())[:k])
            depth = min(_MOST, depth * 4)

    def _near(self, embedding: Sequence[float], k: int, where: Where | None) -> dict[str, Hit]:
        """The passage nearest to a vector of each of the k nearest documents."""
        return self._best(lambda depth: self.kit.nearest(embedding, k=depth, where=where, principal=self._principal), k)

    def _with_vectors(self, hits: Iterable[Hit]) -> list[tuple[Hit, Floats]]:
        """Passages with their vectors; one that vanished meanwhile is left out."""
        catalog = self.kit.catalog
        out = []
        for hit in hits:
            document = catalog.document(hit.document_id)
            chunks = [] if document is None else catalog.chunks_of(document.content_id)
            known = [chunk.id for chunk in chunks if chunk.start == hit.span.start and chunk.end == hit.span.end]
            if known:
                out.append((hit, catalog.passage_vectors(known[:1])[0]))
        return out

    def _documents(self, hits: Iterable[Hit], where: Where | None) -> list[tuple[Document, float]]:
        """(document, score) of the best passages of documents; a document that vanished meanwhile is left out."""
        from contextkit.sync.runs import KIT

        visible = self.kit.catalog.visible(where, self._principal)
        out = []
        for hit in hits:
            document = self.kit.catalog.document(hit.document_id, visible)
            if document is not None:
                text = None if document.source == KIT else hit.text
                out.append((self._whole(document, text), hit.score))
        return out

    def _whole(self, document: StoredDocument, text: str | None = None) -> Document:
        body = self.kit.catalog.content_text(document.content_id) if text is None else text
        return Document(id=document.id, page_content=body, metadata=dict(document.metadata))

    # --------------------------------------------------------------------------------------------------------------------- making

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,  # noqa: ANN401 - LangChain's own signature
    ) -> Self:
        """A store with those texts in it.

        Args:
            texts: what is added.
            embedding: makes the vectors, for this store and its later openings.
            metadatas: one a text.
            ids: one a text.
            **kwargs: `kit`, an open kit to add to, whose own embedder `embedding` then has to be; or `folder`, where the index
                is kept. Without either it is kept in a folder that is removed with the store.

        Raises:
            InputError: both are given, or the embedding is another one than the kit's.
        """
        kit, folder = kwargs.pop("kit", None), kwargs.pop("folder", None)
        if kit is not None and folder is not None:
            raise InputError("give either kit= or folder=: the index of a kit has its folder")
        if kit is not None:
            _check_same(kit, embedding)
            store = cls(kit, **kwargs)
        else:
            store = cls._opened(folder, embedding, kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    def _opened(cls, folder: str | Path | None, embedding: Embeddings, options: Mapping[str, Any]) -> Self:
        from contextkit.kit import open as open_kit

        held = None if folder is not None else tempfile.TemporaryDirectory(prefix="contextkit-")
        place = Path(folder) if folder is not None else Path(held.name if held else "") / "index"
        kit = open_kit(
            place, embedder=embedding.embedder if isinstance(embedding, KitEmbeddings) else LangChainEmbedder(embedding)
        )
        store = cls(kit, **options)
        weakref.finalize(store, _closed, kit, held)
        return store


def _closed(kit: Kit, held: tempfile.TemporaryDirectory[str] | None) -> None:
    kit.close()
    if held is not None:
        held.cleanup()


def _check_same(kit: Kit, embedding: Embeddings | None) -> None:
    if embedding is None:
        return
    theirs = embedding.embedder if isinstance(embedding, KitEmbeddings) else LangChainEmbedder(embedding)
    if theirs.info.digest != kit.embedder.info.digest:
        raise InputError(
            f"the kit of {kit.catalog.folder} has the embedder {kit.embedder.info.name!r}, not {theirs.info.name!r}: give "
            "embedding=KitEmbeddings(kit)"
        )


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _MOST:
        raise InputError(f"k must be a whole number from 1 to 10,000, not {k!r}")


def _none_left(call: str, left: Mapping[str, Any], known: str = "") -> None:
    if left:
        hint = f": it takes {known}" if known else ""
        raise TypeError(f"{call}() got an unexpected argument {next(iter(left))!r}{hint}")
