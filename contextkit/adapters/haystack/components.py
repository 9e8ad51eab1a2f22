"""Components: `KitRetriever` (query -> documents) and `KitContextBuilder` (question -> messages within a token budget)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from haystack import component, default_to_dict
from haystack.dataclasses import ChatMessage, Document
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from contextkit.adapters.haystack.filters import where_of
from contextkit.adapters.haystack.messages import from_packet, split, to_openai
from contextkit.adapters.haystack.parts import OnStore, store_of
from contextkit.adapters.haystack.store import KitDocumentStore
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.packet import Packet


@component
class KitRetriever(OnStore):
    """Finds the chunks that answer a query best: dense and lexical search of the index at once.

    Args:
        document_store: where to search.
        filters: Haystack filters; what is given at run time replaces them, or is merged, as `filter_policy` says.
        top_k: how many chunks, 1 to 10,000.
        filter_policy: what becomes of the filters above where filters are given at run time.

    Raises:
        ValueError: top_k is out of range, or the store is none.
    """

    def __init__(
        self,
        document_store: KitDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: str | FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        self.document_store = store_of(document_store, "KitRetriever")
        if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= 10_000:
            raise InputError(f"top_k must be a whole number from 1 to 10,000, not {top_k!r}")
        where_of(filters)
        self.filters = filters
        self.top_k = top_k
        self.filter_policy = FilterPolicy.from_str(filter_policy) if isinstance(filter_policy, str) else filter_policy

    def to_dict(self) -> dict[str, Any]:
        """The component for a pipeline's file."""
        return default_to_dict(
            self, document_store=self.document_store.to_dict(), filters=self.filters, top_k=self.top_k,
            filter_policy=self.filter_policy.value,
        )  # fmt: skip

    @component.output_types(documents=list[Document])
    def run(self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None) -> dict[str, list[Document]]:
        """{"documents": the best chunks, best first}; see `contextkit.adapters.haystack.documents.from_hit` for their metadata.

        Args:
            query: any text.
            filters: see `filter_policy`.
            top_k: instead of the component's own; 0 gives none.

        Raises:
            ValueError: the query is empty, or top_k is out of range.
            KitFilterError: the filters are not understood.
        """
        applied = apply_filter_policy(self.filter_policy, self.filters, filters)
        return {"documents": self.document_store.search(query, filters=applied, top_k=self.top_k if top_k is None else top_k)}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """As `run`."""
        return await asyncio.to_thread(self.run, query, filters, top_k)


@component
class KitContextBuilder(OnStore):
    """Builds what a chat generator is to be sent: the sentences that answer a question, within an exact token budget.

    With a question alone the budget is that of one user's message with its framing. With a history, a system prompt or memory it
    holds everything that is sent, and `reply_reserve` too.

    Args:
        document_store: where the documents are.
        budget: most tokens.
        model: whose tokens count; None: cl100k_base.
        filters: Haystack filters; those of a run take their place.
        system: the system prompt; "" for none.
        reply_reserve: tokens of the budget that are left free for the reply where there is more than the question.
        scope: whose memory goes into the packet; None: none.

    Raises:
        ValueError: the budget cannot work, or the store is none.
    """

    def __init__(
        self,
        document_store: KitDocumentStore,
        budget: int = 1024,
        model: str | None = None,
        filters: dict[str, Any] | None = None,
        system: str = "",
        reply_reserve: int = 0,
        scope: dict[str, str] | None = None,
    ) -> None:
        self.document_store = store_of(document_store, "KitContextBuilder")
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            raise InputError(f"budget must be a whole number of tokens above 0, not {budget!r}")
        where_of(filters)
        self.budget = budget
        self.model = model
        self.filters = filters
        self.system = system
        self.reply_reserve = reply_reserve
        self.scope = scope

    def to_dict(self) -> dict[str, Any]:
        """The component for a pipeline's file."""
        return default_to_dict(
            self, document_store=self.document_store.to_dict(), budget=self.budget, model=self.model, filters=self.filters,
            system=self.system, reply_reserve=self.reply_reserve, scope=self.scope,
        )  # fmt: skip

    @component.output_types(
        messages=list[ChatMessage], text=str, tokens=int, receipt_id=str, confidence=float, documents=list[Document]
    )
    def run(
        self,
        question: str,
        budget: int | None = None,
        filters: dict[str, Any] | None = None,
        history: list[ChatMessage] | None = None,
        memory: list[str] | None = None,
    ) -> dict[str, Any]:
        """The packet.

        Args:
            question: what is asked.
            budget: instead of the component's own.
            filters: instead of the component's own.
            history: earlier messages, oldest first; their system messages come after the component's own.
            memory: texts that are known of this, best first; those that do not fit are left out.

        Returns:
            "messages" to be sent as they are; "text", the last user's message; "tokens" of all messages with their framing;
            "receipt_id" for `kit.receipt`; "confidence" 0 to 1 that the answer is in; "documents", the delivered runs of text
            with `source_id`, `split_idx_start` and `citation`.

        Raises:
            ValueError: the question is empty, or something of the history cannot be carried.
            BudgetExceeded: what may not be left out does not fit.
            KitFilterError: the filters are not understood.
        """
        where = where_of(filters or self.filters)
        most = self.budget if budget is None else budget
        kit, principal = self.document_store.kit, self.document_store.as_principal
        if history or self.system or memory or self.scope:
            return self._agent_call(question, most, where, history or [], memory or [])
        packet = kit.context(question, budget=most, model=self.model, where=where, principal=principal, format="messages")
        return _outputs(packet, [ChatMessage.from_user(packet.text)], packet.text)

    def _agent_call(
        self, question: str, budget: int, where: dict[str, Any] | None, history: list[ChatMessage], memory: list[str]
    ) -> dict[str, Any]:
        from contextkit.context.call import AgentCall

        store = self.document_store
        systems, spoken = split(history)
        fields: dict[str, Any] = {"history": to_openai(spoken), "memory": memory, "scope": self.scope or {}}
        call = AgentCall(
            question=question, budget=budget, model=self.model, where=where, principal=store.as_principal,
            system="\n\n".join([*([self.system] if self.system else []), *systems]), reply_reserve=self.reply_reserve, **fields,
        )  # fmt: skip
        packet = store.kit.build(call)
        return _outputs(packet, from_packet(packet, history), packet.turn)

    @component.output_types(
        messages=list[ChatMessage], text=str, tokens=int, receipt_id=str, confidence=float, documents=list[Document]
    )
    async def run_async(
        self,
        question: str,
        budget: int | None = None,
        filters: dict[str, Any] | None = None,
        history: list[ChatMessage] | None = None,
        memory: list[str] | None = None,
    ) -> dict[str, Any]:
        """As `run`."""
        return await asyncio.to_thread(self.run, question, budget, filters, history, memory)


def _outputs(packet: Packet, messages: list[ChatMessage], text: str) -> dict[str, Any]:
    runs = [
        Document(
            id=f"{item.document_id}[{item.start}:{item.end}]",
            content=item.text,
            meta={"source_id": item.document_id, "split_idx_start": item.start, "citation": item.citation},
            score=item.scores.total,
        )
        for item in packet.items
    ]
    return {
        "messages": messages, "text": text, "tokens": packet.tokens, "receipt_id": packet.receipt.id,
        "confidence": packet.confidence, "documents": runs,
    }  # fmt: skip
