"""What components, hooks and toolsets have in common: they stand on a document store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from haystack import default_from_dict

from contextkit.adapters.haystack.store import KitDocumentStore
from contextkit.errors import InputError


def store_of(given: object, user: str) -> KitDocumentStore:
    """The store; raises InputError, naming who needs it, where it is none."""
    if not isinstance(given, KitDocumentStore):
        raise InputError(f"{user} needs a KitDocumentStore, not {type(given).__name__}")
    return given


class OnStore:
    """What stands on a document store, and is opened, closed and loaded with it."""

    document_store: KitDocumentStore

    def warm_up(self) -> None:
        """Opens the index."""
        self.document_store.warm_up()

    def close(self) -> None:
        """Closes the store."""
        self.document_store.close()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """What `to_dict` described; its store is made here, so that Haystack's allowlist of modules need not name it."""
        parameters = dict(data.get("init_parameters", {}))
        if isinstance(parameters.get("document_store"), Mapping):
            parameters["document_store"] = KitDocumentStore.from_dict(dict(parameters["document_store"]))
        return default_from_dict(cls, {**data, "init_parameters": parameters})
