"""LangChain on a kit, and LangChain's parts in ours. Each name is imported when it is first used.

* `KitRetriever`: passages, or one packet within a budget, as Documents.
* `KitVectorStore`, `KitEmbeddings`, `KitByteStore`, `KitChatMessageHistory`: LangChain's stores on the kit and its memory.
* `KitMiddleware`: builds the packet before each model call of an agent. `kit_tools`: search, context, recall and remember.
* `SplitterChunker`, `LoaderConnector`, `LangChainEmbedder`: LangChain's text splitters, loaders and embeddings for a kit.

LangGraph's store and checkpointer are in `contextkit.adapters.langgraph`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from contextkit.adapters.shared.extras import missing

try:
    import langchain_core  # noqa: F401 - asked for here, so that a missing package is named once
except ModuleNotFoundError as error:
    raise missing(error, "langchain_core", "langchain", "langchain") from None

if TYPE_CHECKING:
    from contextkit.adapters.langchain.embeddings import KitEmbeddings, LangChainEmbedder
    from contextkit.adapters.langchain.history import KitByteStore, KitChatMessageHistory
    from contextkit.adapters.langchain.middleware import KitMiddleware
    from contextkit.adapters.langchain.retriever import KitRetriever
    from contextkit.adapters.langchain.sources import LoaderConnector, SplitterChunker
    from contextkit.adapters.langchain.tools import kit_tools
    from contextkit.adapters.langchain.vectorstore import KitVectorStore

__all__ = [
    "KitByteStore",
    "KitChatMessageHistory",
    "KitEmbeddings",
    "KitMiddleware",
    "KitRetriever",
    "KitVectorStore",
    "LangChainEmbedder",
    "LoaderConnector",
    "SplitterChunker",
    "kit_tools",
]

_PEERS = ("langchain", "langchain_text_splitters", "langgraph")
_HOME = {
    "embeddings": ("KitEmbeddings", "LangChainEmbedder"),
    "history": ("KitByteStore", "KitChatMessageHistory"),
    "middleware": ("KitMiddleware",),
    "retriever": ("KitRetriever",),
    "sources": ("LoaderConnector", "SplitterChunker"),
    "tools": ("kit_tools",),
    "vectorstore": ("KitVectorStore",),
}
_MODULE_OF = {name: f"contextkit.adapters.langchain.{module}" for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'contextkit.adapters.langchain' has no attribute {name!r}")
    try:
        value = getattr(import_module(module), name)
    except ModuleNotFoundError as error:  # the core alone is installed, and this name needs more
        peer = (error.name or "").partition(".")[0]
        raise missing(error, peer if peer in _PEERS else "", peer.replace("_", "-"), "langchain") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
