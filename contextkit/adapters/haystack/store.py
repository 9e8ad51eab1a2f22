"""`KitDocumentStore`: an index folder as a Haystack document store."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haystack import default_from_dict, default_to_dict
from haystack.dataclasses import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy

from contextkit.adapters.haystack.documents import BATCH, dates_of, from_hit, from_kit, order, to_kit
from contextkit.adapters.haystack.filters import KEY, where_of
from contextkit.adapters.shared.writing import alone
from contextkit.errors import InputError
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.catalog import StoredDocument
    from contextkit.kit import Kit


class KitDocumentStore:
    """An index folder as a Haystack document store: written documents, and what connectors brought in beside them.

    A write is one generation of the index: all of it shows, or nothing does. Documents come back as they were written, with
    their own embeddings; searching is done with the index's own (see `KitRetriever`). Safe from several threads and event loops.

    Args:
        path: the index folder, opened (made, where there is none) with the first use; or None where `kit` is given.
        kit: an open kit; the caller closes it. A pipeline's file names its folder and `embedder`, by which it is opened again.
        embedder: a model's name or folder, as `contextkit.open` takes it; None: the packaged one.
        read_only: nothing is written.
        principal: on whose behalf: a name, or {"id": ..., "groups": [...]}; None: what everyone may see.
        access: who may see what is written, such as ["group:legal"]; None: everyone.

    Raises:
        InputError: neither or both of path and kit are given.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        kit: Kit | None = None,
        embedder: str | None = None,
        read_only: bool = False,
        principal: str | Mapping[str, Any] | None = None,
        access: Sequence[str] | None = None,
    ) -> None:
        if (path is None) == (kit is None):
            raise InputError("a document store needs either path=FOLDER or kit=an open kit")
        self.path = str(kit.catalog.folder if kit is not None else path)
        self.embedder = embedder
        self.read_only = read_only
        self.principal = {"id": principal} if isinstance(principal, str) else None if principal is None else dict(principal)
        self.access = None if access is None else list(access)
        self.as_principal = None if self.principal is None else Principal(self.principal["id"], self.principal.get("groups", ()))
        self._kit, self._given = kit, kit is not None
        self._lock = threading.Lock()

    # ----------------------------------------------------------------------------------------------------------------- life

    @property
    def kit(self) -> Kit:
        """The open kit; opened with the first use."""
        from contextkit.kit import open as open_kit

        with self._lock:
            if self._kit is None:
                self._kit = open_kit(self.path, embedder=self.embedder, read_only=self.read_only)
            return self._kit

    def warm_up(self) -> None:
        """Opens the index."""
        _ = self.kit

    def close(self) -> None:
        """Closes the index where this store opened it; the next use opens it again. A kit that was given stays open."""
        with self._lock:
            if self._kit is not None and not self._given:
                self._kit.close()
                self._kit = None

    def to_dict(self) -> dict[str, Any]:
        """The store for a pipeline's file: where the index is, not what it holds."""
        return default_to_dict(
            self, path=self.path, embedder=self.embedder, read_only=self.read_only, principal=self.principal, access=self.access
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> KitDocumentStore:
        """The store that `to_dict` described."""
        return default_from_dict(cls, data)

    # -------------------------------------------------------------------------------------------------------------- reading

    def _stored(self, filters: Mapping[str, Any] | None = None) -> list[StoredDocument]:
        catalog = self.kit.catalog
        return sorted(catalog.documents(catalog.visible(where_of(filters), self.as_principal)), key=order)

    def count_documents(self) -> int:
        """How many documents the principal may see."""
        return self.kit.catalog.visible(None, self.as_principal).n_documents

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that match, in the order in which they were written.

        Raises:
            KitFilterError: the filter is not understood (haystack.errors.FilterError).
        """
        catalog = self.kit.catalog
        return [from_kit(stored, catalog.content_text(stored.content_id)) for stored in self._stored(filters)]

    def search(self, query: str, *, filters: dict[str, Any] | None = None, top_k: int = 10) -> list[Document]:
        """The best chunks for a question, best first, with `score`; none for top_k=0.

        Raises:
            ValueError: top_k is negative or beyond 10,000, or the query is empty.
            KitFilterError: the filter is not understood.
        """
        if top_k == 0:
            where_of(filters)
            return []
        return [from_hit(hit) for hit in self.kit.search(query, k=top_k, where=where_of(filters), principal=self.as_principal)]

    # -------------------------------------------------------------------------------------------------------------- writing

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """How many documents were written: all that were asked for, or, on an error, none.

        Args:
            documents: to write.
            policy: what becomes of an id that is there already, also earlier in the list; NONE is FAIL.

        Raises:
            ValueError: something in the list is no document, or cannot be stored (metadata that is no JSON).
            DuplicateDocumentError: with FAIL, an id that is there; with any policy, one that the principal may not see.
        """
        given = _documents(documents)
        catalog = self.kit.catalog
        with alone(self.kit):
            visible = catalog.visible(None, self.as_principal)
            there = {d.id: found for d in given if (found := catalog.document(d.id)) is not None}
            chosen = _chosen(given, there, policy)
            for document in chosen:
                if document.id in there and catalog.document(document.id, visible) is None:
                    raise DuplicateDocumentError(f"the document {document.id!r} is there and {self.principal!r} may not see it")
            base = (catalog.generation() + 1) * BATCH
            known = {i: int(_parts(found).get("place", 0)) for i, found in there.items()}
            if chosen:
                self.kit.add([to_kit(d, known.get(d.id) or base + n, self.access) for n, d in enumerate(chosen)])
        return len(given) if policy is DuplicatePolicy.OVERWRITE else len(chosen)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Deletes those of the documents that are there and that the principal may see."""
        catalog = self.kit.catalog
        with alone(self.kit):
            visible = catalog.visible(None, self.as_principal)
            there = [i for i in dict.fromkeys(document_ids) if catalog.document(i, visible) is not None]
            if there:
                self.kit.remove(there)

    def delete_all_documents(self, recreate_index: bool = False) -> None:  # noqa: FBT001 - the name and form of the peer
        """Deletes all documents that the principal may see.

        Args:
            recreate_index: also drop the generations before, so that nothing can be rolled back.
        """
        with alone(self.kit):
            self.delete_documents([stored.id for stored in self._stored()])
        if recreate_index:
            self.kit.gc(1)

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents matched and were deleted. Raises KitFilterError where the filter is not understood."""
        with alone(self.kit):
            ids = [stored.id for stored in self._stored(filters)]
            self.delete_documents(ids)
        return len(ids)

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """How many documents matched and got `meta` over their own; their text is not embedded again.

        Raises:
            KitFilterError: the filter is not understood.
            ValueError: metadata that is no JSON, or a document of a connector, whose source says what it is.
        """
        if KEY in meta:
            raise InputError(f"the metadata field {KEY!r} is kept for the document store: rename it")
        catalog = self.kit.catalog
        with alone(self.kit):
            changed = []
            for stored in self._stored(filters):
                own = {**{key: value for key, value in stored.metadata.items() if key != KEY}, **meta}
                parts = {**_parts(stored), "dates": dates_of(own)}
                changed.append(replace(catalog.load(stored), metadata={**own, KEY: parts}))
            if changed:
                self.kit.add(changed)
        return len(changed)

    # ------------------------------------------------------------------------------------------------------------- metadata

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """How many documents match."""
        return self.kit.catalog.visible(where_of(filters), self.as_principal).n_documents

    def count_unique_metadata_by_filter(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """How many different values each field has among the documents that match."""
        stored = self._stored(filters)
        return {key: len(_distinct(stored, key)) for key in (name.removeprefix("meta.") for name in metadata_fields)}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """The fields of all documents with a type: "keyword", "int", "float" or "boolean"."""
        names = {bool: "boolean", int: "int", float: "float"}
        found = ((key, value) for stored in self._stored() for key, value in stored.metadata.items())
        return {key: {"type": names.get(type(value), "keyword")} for key, value in found if key != KEY and value is not None}

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """The least and the greatest value of a field; None for both where there is none, or numbers and texts are mixed."""
        key = metadata_field.removeprefix("meta.")
        values: list[Any] = [v for s in self._stored() if isinstance(v := s.metadata.get(key), (int, float, str))]
        if not values or len({isinstance(value, str) for value in values}) > 1:
            return {"min": None, "max": None}
        return {"min": min(values), "max": max(values)}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """(a page of the different values of a field, how many there are in all), sorted as texts.

        Args:
            metadata_field: with or without "meta.".
            search_term: only values that hold this, in any case.
            from_: where the page starts.
            size: of the page.
            filters: only of the documents that match.
        """
        values = list(_distinct(self._stored(filters), metadata_field.removeprefix("meta.")).values())
        if search_term:
            values = [value for value in values if search_term.lower() in str(value).lower()]
        values.sort(key=lambda value: (str(value), type(value).__name__))
        return values[from_ : from_ + size], len(values)

    # ---------------------------------------------------------------------------------------------------------------- async

    async def count_documents_async(self) -> int:
        """As `count_documents`."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """As `filter_documents`."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def search_async(self, query: str, *, filters: dict[str, Any] | None = None, top_k: int = 10) -> list[Document]:
        """As `search`."""
        return await asyncio.to_thread(self.search, query, filters=filters, top_k=top_k)

    async def write_documents_async(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """As `write_documents`."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As `delete_documents`."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    async def delete_all_documents_async(self, recreate_index: bool = False) -> None:  # noqa: FBT001 - the peer's form
        """As `delete_all_documents`."""
        await asyncio.to_thread(self.delete_all_documents, recreate_index)

    async def delete_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As `delete_by_filter`."""
        return await asyncio.to_thread(self.delete_by_filter, filters)

    async def update_by_filter_async(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """As `update_by_filter`."""
        return await asyncio.to_thread(self.update_by_filter, filters, meta)

    async def count_documents_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As `count_documents_by_filter`."""
        return await asyncio.to_thread(self.count_documents_by_filter, filters)

    async def count_unique_metadata_by_filter_async(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """As `count_unique_metadata_by_filter`."""
        return await asyncio.to_thread(self.count_unique_metadata_by_filter, filters, metadata_fields)

    async def get_metadata_fields_info_async(self) -> dict[str, dict[str, str]]:
        """As `get_metadata_fields_info`."""
        return await asyncio.to_thread(self.get_metadata_fields_info)

    async def get_metadata_field_min_max_async(self, metadata_field: str) -> dict[str, Any]:
        """As `get_metadata_field_min_max`."""
        return await asyncio.to_thread(self.get_metadata_field_min_max, metadata_field)

    async def get_metadata_field_unique_values_async(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """As `get_metadata_field_unique_values`."""
        return await asyncio.to_thread(self.get_metadata_field_unique_values, metadata_field, search_term, from_, size, filters)


def _documents(given: object) -> list[Document]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"write_documents takes a list of haystack Documents, not {type(given).__name__}")
    out = list(given)
    for one in out:
        if not isinstance(one, Document):
            raise InputError(f"write_documents takes a list of haystack Documents, not one with {one!r:.80}")
    return out


def _chosen(given: Sequence[Document], there: Mapping[str, object], policy: DuplicatePolicy) -> list[Document]:
    """What is written of a list, each id once."""
    chosen: dict[str, Document] = {}
    for document in given:
        known = document.id in there or document.id in chosen
        if known and policy in (DuplicatePolicy.NONE, DuplicatePolicy.FAIL):
            raise DuplicateDocumentError(f"a document with the id {document.id!r} is there already; nothing was written")
        if not (known and policy is DuplicatePolicy.SKIP):
            chosen[document.id] = document
    return list(chosen.values())


def _parts(stored: StoredDocument) -> dict[str, Any]:
    found = stored.metadata.get(KEY)
    return dict(found) if isinstance(found, Mapping) else {}


def _distinct(stored: Iterable[StoredDocument], key: str) -> dict[tuple[str, str], Any]:
    """The different values of a field; 1, 1.0, True and "1" are four."""
    values = (one.metadata.get(key) for one in stored)
    return {(type(v).__name__, json.dumps(v, sort_keys=True)): v for v in values if v is not None}
