"""LlamaIndex on an index: retriever, vector store, packer, memory, reader, embedder, agent, tools; its own parts in contextkit.

retriever = KitRetriever(kit, similarity_top_k=20)
engine = RetrieverQueryEngine.from_args(retriever, llm=llm, node_postprocessors=[KitPacker(1024, embedder=kit.embedder)])

kit = contextkit.open("my-index", embedder=as_embedder(OpenAIEmbedding()))  # any of LlamaIndex's models
kit.sync(ReaderConnector(reader, "wiki"))  # any of its readers
"""

from __future__ import annotations

from contextkit.adapters.agent_calls import missing

try:
    import llama_index.core as _peer  # noqa: F401 - is it there?
except ModuleNotFoundError as error:
    raise missing(error, "llama_index", "llama-index-core", "llamaindex") from error

from contextkit.adapters.llamaindex_agent import KitAgent, kit_tools
from contextkit.adapters.llamaindex_embedding import KitEmbedding, as_embedder
from contextkit.adapters.llamaindex_memory import KitChatStore, KitMemoryBlock, KitMessageQueue
from contextkit.adapters.llamaindex_nodes import where_of
from contextkit.adapters.llamaindex_pack import KitPacker
from contextkit.adapters.llamaindex_retriever import KitRetriever
from contextkit.adapters.llamaindex_sources import KitReader, NodeParserChunker, ReaderConnector
from contextkit.adapters.llamaindex_vectors import KitVectorStore

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
