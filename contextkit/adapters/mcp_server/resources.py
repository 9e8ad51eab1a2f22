"""Documents and receipts as resources: `contextkit://documents/{id}{?page}` and `contextkit://receipts/{id}`.

A long document comes in pages of `PAGE` characters; the pages in order are its text, character for character. A caller sees the
documents that its principal may see, and the receipts that were made for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mcp import types
from mcp.shared.uri_template import UriTemplate

from contextkit.adapters.mcp_server import paging
from contextkit.adapters.mcp_server.work import Context, Work
from contextkit.errors import InputError
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.catalog.records import StoredDocument
    from contextkit.context.packet import Receipt
    from contextkit.kit import Kit
    from contextkit.sync import Progress

PAGE = 40_000
"""Characters of one page, some 10,000 tokens."""
LISTED = 100
"""Of a caller's receipts, those among the last so many are listed; older ones are read by their id."""

_DOCUMENT = UriTemplate.parse("contextkit://documents/{id}{?page}")
_RECEIPT = UriTemplate.parse("contextkit://receipts/{id}")

TEMPLATES = [
    types.ResourceTemplate(
        name="document",
        uri_template="contextkit://documents/{id}{?page}",
        description=f"A document's text. Long ones come in pages of {PAGE} characters, from page=1 on.",
        mime_type="text/plain",
    ),
    types.ResourceTemplate(
        name="receipt",
        uri_template="contextkit://receipts/{id}",
        description="The full account of a packet that the context tool gave: each item, its place and score, what was left out.",
        mime_type="application/json",
    ),
]


def document_uri(document_id: str, page: int | None = None) -> str:
    """The URI of a document, or of one of its pages."""
    return _DOCUMENT.expand({"id": document_id} if page is None else {"id": document_id, "page": str(page)})


def receipt_uri(receipt_id: str) -> str:
    """The URI of a receipt."""
    return _RECEIPT.expand({"id": receipt_id})


async def listing(work: Work, context: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    """A page of the resources: the documents of one generation in the order in which they came, then the last receipts.

    Raises:
        MCPError: the cursor is none, or its generation is no longer kept.
    """
    place = paging.decode(params, int, int)
    cursor = "" if params is None else params.cursor or ""
    return await work.answer(context, lambda work, caller, tell: _listed(work, caller, tell, place, cursor))


def _listed(
    work: Work, caller: Principal | None, tell: Progress, place: tuple[Any, ...] | None, cursor: str
) -> types.ListResourcesResult:
    tell("list", 0, 1)
    generation, done = place if place is not None else (work.kit.catalog.generation(), 0)
    try:
        visible = work.kit.catalog.visible(None, caller, generation=generation)
    except InputError:  # it was collected meanwhile, or never there
        raise paging.wrong(cursor) from None
    if not 0 <= done <= visible.n_documents:
        raise paging.wrong(cursor)
    part = visible.rows[done : done + paging.SIZE]
    found = [_document(d) for d in work.kit.catalog.documents(replace(visible, rows=part))]
    done += len(part)
    if done < visible.n_documents:
        return types.ListResourcesResult(resources=found, next_cursor=paging.encode(generation, done))
    receipts = [_receipt(r) for r in own_receipts(work.kit, caller, LISTED)]
    return types.ListResourcesResult(resources=[*found, *receipts])


def _document(document: StoredDocument) -> types.Resource:
    pages = _pages(document.n_characters)
    said = f"{document.n_characters} characters{f' in {pages} pages: ?page=1 to ?page={pages}' if pages > 1 else ''}"
    return types.Resource(
        uri=document_uri(document.id), name=document.id, title=document.title or None, description=said,
        mime_type=_media_type(document),
    )  # fmt: skip


def _receipt(receipt: Receipt) -> types.Resource:
    said = f"{receipt.tokens} of {receipt.budget} tokens for: {receipt.question[:200]}"
    return types.Resource(
        uri=receipt_uri(receipt.id), name=f"receipt {receipt.id}", description=said, mime_type="application/json"
    )


def _media_type(document: StoredDocument) -> str:
    """What the text is: that of a PDF is no PDF."""
    return document.media_type if document.media_type.startswith("text/") else "text/plain"


def _pages(characters: int) -> int:
    return max(1, -(-characters // PAGE))


async def read(work: Work, context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    """The contents of a resource.

    Raises:
        MCPError: there is none of that URI, or the caller may not see it.
    """
    uri = str(params.uri)
    return await work.answer(context, lambda work, caller, tell: _read(work, caller, tell, uri), {"uri": uri})


def _read(work: Work, caller: Principal | None, tell: Progress, uri: str) -> types.ReadResourceResult:
    tell("read", 0, 1)
    found = _DOCUMENT.match(uri)
    if found is not None:
        return types.ReadResourceResult(contents=_read_document(work, caller, str(found["id"]), str(found.get("page", "1"))))
    found = _RECEIPT.match(uri)
    if found is None:
        raise InputError(f"no resource {uri[:200]!r}: there are contextkit://documents/ID and contextkit://receipts/ID")
    body = own_receipt(work.kit, caller, str(found["id"])).model_dump_json()
    return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, text=body, mime_type="application/json")])


def _read_document(
    work: Work, caller: Principal | None, document_id: str, page: str
) -> list[types.TextResourceContents | types.BlobResourceContents]:
    """One page, and after it a line that says where the text goes on, so that no client takes a part for the whole."""
    document = work.kit.catalog.document(document_id, work.kit.catalog.visible(None, caller))
    if document is None:
        raise InputError(f"no document {document_id!r}: resources/list and the search tool name those there are")
    pages = _pages(document.n_characters)
    if not (page.isascii() and page.isdigit() and len(page) < 10 and 1 <= int(page) <= pages):
        raise InputError(f"document {document_id!r} has the pages 1 to {pages}, not {page[:40]!r}")
    number = int(page)
    start = (number - 1) * PAGE
    text = work.text(document)[start : start + PAGE]
    place: dict[str, object] = {"page": number, "pages": pages, "start": start, "characters": document.n_characters}
    contents: list[types.TextResourceContents | types.BlobResourceContents] = [
        types.TextResourceContents(
            uri=document_uri(document_id, number if pages > 1 else None), text=text, mime_type=_media_type(document),
            _meta={f"contextkit/{key}": value for key, value in place.items()},
        )
    ]  # fmt: skip
    if number < pages:
        following = document_uri(document_id, number + 1)
        said = f"[page {number} of {pages}; the text goes on in {following}]"
        contents.append(types.TextResourceContents(uri=following, text=said, mime_type="text/plain"))
    return contents


# --------------------------------------------------------------------------------------------------------------------- receipts


def own_receipt(kit: Kit, caller: Principal | None, receipt_id: str) -> Receipt:
    """A receipt that was made for the caller. Raises InputError where there is none, or it is somebody else's."""
    try:
        receipt = kit.receipt(receipt_id)
    except InputError:
        receipt = None
    if receipt is None or not receipt_id or not _owns(caller, receipt):
        raise InputError(f"no receipt {receipt_id[:80]!r} of yours: the context tool gives their ids")
    return receipt


def own_receipts(kit: Kit, caller: Principal | None, most: int) -> list[Receipt]:
    """Of the last `most` receipts those that were made for the caller, newest first."""
    return [receipt for receipt in kit.receipts(most) if _owns(caller, receipt)]


def _owns(caller: Principal | None, receipt: Receipt) -> bool:
    return receipt.principal == (None if caller is None else caller.id)
