"""`KitRetriever`: an index as a LlamaIndex retriever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from contextkit.adapters.llamaindex.nodes import Filters, node_of_hit, where_of
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.kit import Kit
    from contextkit.types import Principal


class KitRetriever(BaseRetriever):
    """Finds the chunks that answer a question best: dense and lexical search of the index at once.

    A node has the chunk's exact place (`start_char_idx`, `end_char_idx`) in the document that is its source.

    Args:
        kit: an open kit; the caller closes it.
        similarity_top_k: how many, 1 to 10,000.
        filters: LlamaIndex's, or a `where`.
        principal: on whose behalf; None: only documents that everyone may see.
        fields: of `BaseRetriever`.

    Raises:
        InputError: similarity_top_k is out of range.
        FilterError: the filters are not understood.
    """

    def __init__(
        self,
        kit: Kit,
        *,
        similarity_top_k: int = 10,
        filters: Filters = None,
        principal: Principal | None = None,
        **fields: Any,  # noqa: ANN401 - the retriever's own
    ) -> None:
        from contextkit.catalog.filters import compiled

        if isinstance(similarity_top_k, bool) or not isinstance(similarity_top_k, int) or not 1 <= similarity_top_k <= 10_000:
            raise InputError(f"similarity_top_k must be a whole number from 1 to 10,000, not {similarity_top_k!r}")
        compiled(where_of(filters, kit.catalog))
        self._kit = kit
        self._k = similarity_top_k
        self._filters = filters
        self._principal = principal
        super().__init__(**fields)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        where = where_of(self._filters, self._kit.catalog)
        return [
            node_of_hit(hit)
            for hit in self._kit.search(query_bundle.query_str, k=self._k, where=where, principal=self._principal)
        ]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)
