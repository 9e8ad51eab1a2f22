"""Haystack on an index: document store, retriever, context builder, and hooks and tools for its agents.

    store = KitDocumentStore("my-index")
    pipeline = Pipeline()
    pipeline.add_component("context", KitContextBuilder(store, budget=1024))
    pipeline.add_component("llm", generator)
    pipeline.connect("context.messages", "llm.messages")

To load a pipeline's file Haystack must be told whom to trust: `Pipeline.loads(text, allowed_modules=["contextkit"])`.
"""

from __future__ import annotations

from contextkit.adapters.shared.extras import missing

try:
    import haystack as _peer  # noqa: F401 - is it there?
except ModuleNotFoundError as error:
    raise missing(error, "haystack", "haystack-ai", "haystack") from error

from contextkit.adapters.haystack.agent import KitMemoryHook, KitPacketHook, KitToolset
from contextkit.adapters.haystack.components import KitContextBuilder, KitRetriever
from contextkit.adapters.haystack.filters import KitFilterError, where_of
from contextkit.adapters.haystack.store import KitDocumentStore

__all__ = [
    "KitContextBuilder",
    "KitDocumentStore",
    "KitFilterError",
    "KitMemoryHook",
    "KitPacketHook",
    "KitRetriever",
    "KitToolset",
    "where_of",
]
