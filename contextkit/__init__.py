"""contextkit: the smallest context that holds what an agent call needs, with a receipt for every token.

    import contextkit as ck

    with ck.open("my-index") as kit:
        kit.sync("docs/")
        packet = kit.context("How long may I carry leave over?", budget=1024)
        print(packet.text)

Every name below is imported when it is first used, so that importing contextkit costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextkit.aio import AsyncKit
    from contextkit.context.call import AgentCall
    from contextkit.context.packet import Citation, Format, Item, Packet, Receipt
    from contextkit.errors import (
        BudgetExceeded,
        ContextkitError,
        FilterError,
        IndexLocked,
        IndexMismatch,
        IndexNotFound,
        InputError,
        SourceError,
        UnknownModel,
    )
    from contextkit.kit import IndexInfo, Kit, Limits, open  # noqa: A004 - `ck.open` reads like the builtin on purpose
    from contextkit.retrieval.hits import Hit
    from contextkit.sync import SyncReport
    from contextkit.types import Document, Principal, Span

__all__ = [
    "AgentCall",
    "AsyncKit",
    "BudgetExceeded",
    "Citation",
    "ContextkitError",
    "Document",
    "FilterError",
    "Format",
    "Hit",
    "IndexInfo",
    "IndexLocked",
    "IndexMismatch",
    "IndexNotFound",
    "InputError",
    "Item",
    "Kit",
    "Limits",
    "Packet",
    "Principal",
    "Receipt",
    "SourceError",
    "Span",
    "SyncReport",
    "UnknownModel",
    "open",
]

_HOME = {
    "contextkit.aio": ("AsyncKit",),
    "contextkit.context.call": ("AgentCall",),
    "contextkit.context.packet": ("Citation", "Format", "Item", "Packet", "Receipt"),
    "contextkit.errors": (
        "BudgetExceeded", "ContextkitError", "FilterError", "IndexLocked", "IndexMismatch", "IndexNotFound", "InputError",
        "SourceError", "UnknownModel",
    ),
    "contextkit.kit": ("IndexInfo", "Kit", "Limits", "open"),
    "contextkit.retrieval.hits": ("Hit",),
    "contextkit.sync": ("SyncReport",),
    "contextkit.types": ("Document", "Principal", "Span"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'contextkit' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
