"""Counting tokens and knowing models. Nothing heavy is imported before it is needed, and nothing is ever downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contextkit.tokens.counters import BoundCounter, TiktokenCounter, TokenizerCounter
from contextkit.tokens.framing import Framing, framing_for, message_tokens, remembered, tool_tokens
from contextkit.tokens.models import counter_for
from contextkit.tokens.vocabulary import encoding, encoding_names

if TYPE_CHECKING:
    from contextkit.tokens.catalogue import ModelInfo, model_info, model_names

__all__ = [
    "BoundCounter",
    "Framing",
    "ModelInfo",
    "TiktokenCounter",
    "TokenizerCounter",
    "counter_for",
    "encoding",
    "encoding_names",
    "framing_for",
    "message_tokens",
    "model_info",
    "model_names",
    "remembered",
    "tool_tokens",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes are of any type
    if name in ("ModelInfo", "model_info", "model_names"):  # pydantic is a tenth of a second, counting does not need it
        from contextkit.tokens import catalogue

        return getattr(catalogue, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
