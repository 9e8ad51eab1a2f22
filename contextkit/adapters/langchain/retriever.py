"""`KitRetriever`: LangChain's retriever over a kit, as single passages or as one packet within a budget.

The vector store, to which documents can be added too, is `vectorstore.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, model_validator

from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    from contextkit.context.packet import Packet
    from contextkit.kit import Kit
    from contextkit.retrieval.hits import Hit
    from contextkit.types import Principal


class KitRetriever(BaseRetriever):
    """The passages of a kit for a question, best first; or, with a budget, the parts of one packet.

    A passage is a Document with the chunk's text; its metadata is that of the document, with what contextkit knows of it under
    "contextkit": `document_id`, `start`, `end`, `pages`, `title`, `uri`, `score`.

    With a budget the Documents are the parts of a packet in its order: their texts joined by an empty line are the packet's text,
    mark, title and all, within the budget by the model's own count. "contextkit" then holds the `citation`'s number,
    `document_id`, `spans`, `pages`, `title`, `uri`, and the packet's `tokens`, `budget`, `confidence` and `receipt` (for
    `kit.receipt`).

    "source" is added to the metadata, where the document has none: its address, else its id.

    Attributes:
        kit: an open kit.
        k: most passages, 1 to 10,000; not used with a budget.
        budget: most tokens of the whole packet; None: passages.
        model: whose tokens count; None: cl100k_base.
        where: metadata filter, see `Kit.search`.
        principal: on whose behalf; without one only documents that everyone may see.

    `invoke` takes `k`, `budget`, `model`, `where` and `principal` too, for one call.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    if TYPE_CHECKING:
        kit: Kit
        principal: Principal | None = None
    else:  # their own modules are loaded with the first retriever, not with this one
        kit: Any = Field(repr=False)
        principal: Any = None
    k: int = 10
    budget: int | None = None
    model: str | None = None
    where: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _of_a_kit(self) -> Self:
        from contextkit.kit import Kit
        from contextkit.types import Principal

        if not isinstance(self.kit, Kit):
            raise InputError(f"kit must be an open contextkit.Kit, not {type(self.kit).__name__}")
        if self.principal is not None and not isinstance(self.principal, Principal):
            raise InputError(f"principal must be a contextkit.Principal, not {type(self.principal).__name__}")
        return self

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's own signature
        **given: Any,  # noqa: ANN401 - one call's own settings
    ) -> list[Document]:
        return self._documents(query, given)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's own signature
        **given: Any,  # noqa: ANN401 - one call's own settings
    ) -> list[Document]:
        return await finished(self._documents, query, given)

    def _documents(self, query: str, given: Mapping[str, Any]) -> list[Document]:
        names = ("k", "budget", "model", "where", "principal")
        unknown = [name for name in given if name not in names]
        if unknown:
            raise TypeError(f"invoke() got an unexpected argument {unknown[0]!r}: a kit's retriever takes {', '.join(names)}")
        k, budget, model, where, principal = (given.get(name, getattr(self, name)) for name in names)
        if budget is None:
            return [from_hit(hit) for hit in self.kit.search(query, k=k, where=where, principal=principal)]
        return from_packet(self.kit.context(query, budget=budget, model=model, where=where, principal=principal))


def from_hit(hit: Hit) -> Document:
    """A hit as a Document."""
    own = {
        "document_id": hit.document_id, "start": hit.span.start, "end": hit.span.end, "pages": hit.pages, "title": hit.title,
        "uri": hit.uri, "score": hit.score,
    }  # fmt: skip
    return Document(page_content=hit.text, metadata=described(hit.metadata, hit.uri or hit.document_id, own))


def from_packet(packet: Packet) -> list[Document]:
    """A packet of the format "text" as Documents, one a citation, in its order; joined by an empty line they are its text."""
    from contextkit.context.packet import Format
    from contextkit.context.render import Section, Source, renderer

    write = renderer(Format.TEXT, packet.question)
    runs: dict[int, list[str]] = {}
    for item in packet.items:
        runs.setdefault(item.citation, []).append(item.text)
    cited = {citation.number: citation for citation in packet.citations}
    shared = {
        "tokens": packet.tokens, "budget": packet.budget, "confidence": packet.confidence, "receipt": packet.receipt.id,
    }  # fmt: skip
    out = []
    for number, texts in runs.items():
        citation = cited[number]
        source = Source(number, citation.document_id, citation.title, citation.uri, citation.pages)
        own = {
            "citation": number, "document_id": citation.document_id, "spans": [list(span) for span in citation.spans],
            "pages": citation.pages, "title": citation.title, "uri": citation.uri, **shared,
        }  # fmt: skip
        text = write([Section(source, tuple(texts))])
        metadata = described(citation.metadata, citation.uri or citation.document_id, own)
        out.append(Document(page_content=text, metadata=metadata))
    return out


def described(metadata: Mapping[str, Any], source: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """A document's metadata with its source, where it names none, and with what contextkit knows of it."""
    return {"source": source, **metadata, "contextkit": {k: list(v) if isinstance(v, tuple) else v for k, v in own.items()}}
