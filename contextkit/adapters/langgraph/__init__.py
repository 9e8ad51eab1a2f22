"""LangGraph on a kit: `KitStore` (long-term store) and `KitSaver` (checkpointer), both in the memory of the index folder.

    kit = contextkit.open("my-index")
    graph = builder.compile(checkpointer=KitSaver(kit), store=KitStore(kit))

Retrieval, agent middleware, tools and chat history are in `contextkit.adapters.langchain`.
"""

from __future__ import annotations

from contextkit.adapters.shared.extras import missing

try:
    import langgraph.checkpoint.base
    import langgraph.store.base  # noqa: F401 - asked for here, so that a missing package is named once
except ModuleNotFoundError as error:
    raise missing(error, "langgraph", "langgraph", "langgraph") from None

from contextkit.adapters.langgraph.saver import KitSaver
from contextkit.adapters.langgraph.store import KitStore

__all__ = ["KitSaver", "KitStore"]
