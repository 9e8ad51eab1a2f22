"""LlamaIndex on an index: retriever, vector store, packer, memory, reader, embedder, agent, tools; its own parts in contextkit.

    retriever = KitRetriever(kit, similarity_top_k=20)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, node_postprocessors=[KitPacker(1024, embedder=kit.embedder)])

The other way round, any of LlamaIndex's embedding models and readers serve a kit:

    kit = contextkit.open("my-index", embedder=as_embedder(OpenAIEmbedding()))
    kit.sync(ReaderConnector(reader, "wiki"))

What is public is named here; a module of this package holds a part of it.
"""

from __future__ import annotations

from contextkit.adapters.shared.extras import missing

try:
    import llama_index.core as _peer  # noqa: F401 - is it there?
except ModuleNotFoundError as error:
    raise missing(error, "llama_index", "llama-index-core", "llamaindex") from error

from contextkit.adapters.llamaindex.agent import KitAgent, kit_tools
from contextkit.adapters.llamaindex.embedding import KitEmbedding, as_embedder
from contextkit.adapters.llamaindex.memory import KitChatStore, KitMemoryBlock, KitMessageQueue
from contextkit.adapters.llamaindex.nodes import where_of
from contextkit.adapters.llamaindex.pack import KitPacker
from contextkit.adapters.llamaindex.retriever import KitRetriever
from contextkit.adapters.llamaindex.sources import KitReader, NodeParserChunker, ReaderConnector
from contextkit.adapters.llamaindex.vectors import KitVectorStore

__all__ = [
    "KitAgent",
    "KitChatStore",
    "KitEmbedding",
    "KitMemoryBlock",
    "KitMessageQueue",
    "KitPacker",
    "KitReader",
    "KitRetriever",
    "KitVectorStore",
    "NodeParserChunker",
    "ReaderConnector",
    "as_embedder",
    "kit_tools",
    "where_of",
]
