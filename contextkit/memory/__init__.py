"""The memory store: what an agent knows, since when, from whom, and how it forgets.

Records (`records.py`) of a scope (`scopes.py`) with validity in time (`validity.py`) live in the tables of `schema.py` behind the
protocol `MemoryBackend`; `store.py` has the verbs. No LLM and no graph database is needed for any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextkit.memory.chat import ChatExtractor
    from contextkit.memory.records import Decision, Kind, Memory, Period, Recall, Source, Status
    from contextkit.memory.store import MemoryStore

__all__ = ["ChatExtractor", "Decision", "Kind", "Memory", "MemoryStore", "Period", "Recall", "Source", "Status"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes are of any type
    if name == "MemoryStore":
        from contextkit.memory.store import MemoryStore

        return MemoryStore
    if name == "ChatExtractor":
        from contextkit.memory.chat import ChatExtractor

        return ChatExtractor
    if name in __all__:
        from contextkit.memory import records

        return getattr(records, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
