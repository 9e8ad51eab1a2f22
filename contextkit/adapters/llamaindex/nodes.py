"""LlamaIndex nodes as contextkit's documents and back, and its metadata filters as `where`.

Filters mean what `SimpleVectorStore` makes of them on plain values, with three differences:
1. A list in the metadata matches where one of its values does; `contains`, `any` and `all` look into lists, never into texts.
2. A range beside a value of another type is no match rather than a TypeError.
3. Filters may be nested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from llama_index.core.schema import BaseNode, NodeRelationship, NodeWithScore, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from contextkit import types
from contextkit.errors import FilterError, InputError

if TYPE_CHECKING:
    from contextkit.catalog import Catalog
    from contextkit.retrieval.hits import Hit

CONTENT = "_node_content"
"""The metadata field in which LlamaIndex keeps a node beside its text."""

_ADDED = (CONTENT, "_node_type", "document_id", "doc_id", "ref_doc_id")
_NOTHING: dict[str, Any] = {"$or": []}
_RANGES = {FilterOperator.GT: "$gt", FilterOperator.GTE: "$gte", FilterOperator.LT: "$lt", FilterOperator.LTE: "$lte"}
_DEEPEST = 24
Filters = MetadataFilters | Mapping[str, Any] | None
"""LlamaIndex's filters, or contextkit's `where`."""


# ----------------------------------------------------------------------------------------------------------------------- nodes


def document_of(node: BaseNode, access: Sequence[str] | None) -> types.Document:
    """The document that keeps a node; its metadata stays open to filters.

    Raises:
        InputError: the node has no text, or metadata that is no JSON.
    """
    text = node.get_content()
    if not text.strip():
        raise InputError(f"node {node.node_id!r} has no text: only nodes with text can be kept and found")
    try:
        json.dumps(node.metadata, allow_nan=False, default=_date)
        metadata = node_to_metadata_dict(node, remove_text=True, flat_metadata=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"node {node.node_id!r}: its metadata is no JSON: {error}") from error
    return types.Document(node.node_id, text, metadata=metadata, access=access)


def _date(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def node_of(document_id: str, text: str, metadata: Mapping[str, Any]) -> BaseNode:
    """The node that was added; for a document of another source a node with its text and metadata."""
    if CONTENT in metadata:
        return metadata_dict_to_node(dict(metadata), text=text)
    return TextNode(id_=document_id, text=text, metadata=dict(metadata))


def node_of_hit(hit: Hit) -> NodeWithScore:
    """A found chunk with its score: the node that was added where it is that, else a node with the chunk's exact place."""
    metadata: dict[str, Any] = dict(hit.metadata)
    if CONTENT in metadata:
        whole = metadata_dict_to_node(metadata, text=hit.text)
        if hit.span.start == 0 or not isinstance(whole, TextNode):
            return NodeWithScore(node=whole, score=hit.score)
    named = {"title": hit.title, "uri": hit.uri, "page_label": str(hit.pages[0]) if hit.pages else ""}
    shown = {key: value for key, value in metadata.items() if key not in _ADDED}
    node = TextNode(
        id_=f"{hit.document_id}[{hit.span.start}:{hit.span.end}]",
        text=hit.text,
        metadata={**{key: value for key, value in named.items() if value}, **shown},
        start_char_idx=hit.span.start,
        end_char_idx=hit.span.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document_id)},
    )
    return NodeWithScore(node=node, score=hit.score)


# --------------------------------------------------------------------------------------------------------------------- filters


def where_of(filters: Filters, catalog: Catalog | None = None) -> dict[str, Any] | None:
    """The `where` of LlamaIndex's filters; a `where` comes back as it is, None and no filters give None.

    Args:
        filters: of either kind.
        catalog: looked into for the filters that no `where` has: texts within texts, and empty lists; None: they are refused.

    Raises:
        FilterError: an operator or a value that is not understood.
    """
    if filters is None:
        return None
    if not isinstance(filters, MetadataFilters):
        if not isinstance(filters, Mapping):
            raise FilterError(
                f"filters must be MetadataFilters or a where mapping, not {type(filters).__name__}: {filters!r:.80}"
            )
        return dict(filters)
    return _group(filters, catalog, 0) if filters.filters else None


def both(*wheres: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The `where` of all that are given."""
    given = [dict(where) for where in wheres if where]
    return None if not given else given[0] if len(given) == 1 else {"$and": given}


def _group(filters: MetadataFilters, catalog: Catalog | None, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise FilterError(f"filters may be nested at most {_DEEPEST} deep")
    parts = [
        _group(one, catalog, depth + 1) if isinstance(one, MetadataFilters) else _leaf(one, catalog) for one in filters.filters
    ]
    if filters.condition is FilterCondition.OR:
        return {"$or": parts}
    return {"$not": {"$or": parts}} if filters.condition is FilterCondition.NOT else {"$and": parts}


def _leaf(leaf: MetadataFilter, catalog: Catalog | None) -> dict[str, Any]:
    path, operator, value = f"metadata.{leaf.key}", leaf.operator, leaf.value
    if operator in (FilterOperator.EQ, FilterOperator.NE):
        found = _equals(path, leaf, value)
        return found if operator is FilterOperator.EQ else {"$not": found}
    if operator in (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY):
        found = {"$or": [_equals(path, leaf, one) for one in _listed(leaf)]}
        return {"$not": found} if operator is FilterOperator.NIN else found
    if operator is FilterOperator.ALL:
        return {"$and": [{path: {"$exists": True}}, *(_equals(path, leaf, one) for one in _listed(leaf))]}
    if operator is FilterOperator.CONTAINS:
        return _equals(path, leaf, value)
    if operator in _RANGES:
        if value is None or isinstance(value, list):
            raise FilterError(f"{operator.value!r} of {leaf.key!r} takes a number or a text, not {value!r}")
        return {path: {_RANGES[operator]: value}}
    if operator is FilterOperator.IS_EMPTY:
        empty = _scanned(leaf, catalog, lambda found: found == [])
        return {"$or": [{path: {"$in": [None, ""]}}, empty]} if empty else {path: {"$in": [None, ""]}}
    if operator in (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE):
        return _matched(leaf, catalog)
    raise FilterError(f"the operator {operator!r} of {leaf.key!r} is not understood")


def _equals(path: str, leaf: MetadataFilter, value: object) -> dict[str, Any]:
    if isinstance(value, list):
        raise FilterError(f"{leaf.operator.value!r} of {leaf.key!r} takes one value, not {value!r}: use 'in', 'any' or 'all'")
    if value is None:  # as SimpleVectorStore has it: None is equal to nothing, not even to a missing field
        return _NOTHING
    if isinstance(value, (int, float)) and value in (0, 1):  # as in Python, true is 1
        return {path: {"$in": [value, bool(value)]}}
    return {path: {"$eq": value}}


def _listed(leaf: MetadataFilter) -> list[Any]:
    if not isinstance(leaf.value, list):
        raise FilterError(f"{leaf.operator.value!r} of {leaf.key!r} takes a list, not {leaf.value!r}")
    return leaf.value


def _matched(leaf: MetadataFilter, catalog: Catalog | None) -> dict[str, Any]:
    wanted = leaf.value
    if not isinstance(wanted, str):
        raise FilterError(f"{leaf.operator.value!r} of {leaf.key!r} takes a text, not {wanted!r}")
    if leaf.operator is FilterOperator.TEXT_MATCH:
        return _scanned(leaf, catalog, lambda found: isinstance(found, str) and wanted in found) or _NOTHING
    low = wanted.lower()
    return _scanned(leaf, catalog, lambda found: isinstance(found, str) and low in found.lower()) or _NOTHING


def _scanned(leaf: MetadataFilter, catalog: Catalog | None, test: Callable[[object], bool]) -> dict[str, Any]:
    """The documents whose own value passes a test, by id; {} for none."""
    if catalog is None:
        raise FilterError(f"{leaf.operator.value!r} of {leaf.key!r} needs an open index to look into")
    having = catalog.everything()
    ids = [one.id for one in having if leaf.key in one.metadata and test(one.metadata[leaf.key])]
    return {"id": {"$in": ids}} if ids else {}
