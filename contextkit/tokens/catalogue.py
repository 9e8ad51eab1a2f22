"""What is known of language models: context window, reply limit and prices.

Windows and prices come from the data inside the package genai-prices (read when asked, never fetched); a small table of our own
adds what it lacks. Counters are in `models.py`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from contextkit.tokens.models import base_name, counter_for

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo as PricedModel
    from genai_prices.types import Provider

_FIRST_HAND = ("openai", "anthropic", "google", "mistral", "cohere", "deepseek", "x-ai", "meta", "groq", "together")

# By prefix, the longest that fits: (window, reply limit); 0 where it is left to genai-prices or not known.
_LIMITS: dict[str, tuple[int, int]] = {
    "gpt-3.5-turbo": (16_385, 4_096),
    "gpt-4": (8_192, 8_192),
    "gpt-4-32k": (32_768, 32_768),
    "gpt-4-turbo": (128_000, 4_096),
    "gpt-4.1": (1_047_576, 32_768),
    "gpt-4.5": (128_000, 16_384),
    "gpt-4o": (128_000, 16_384),
    "gpt-4o-2024-05-13": (128_000, 4_096),
    "gpt-5": (400_000, 128_000),
    "gpt-5-chat": (128_000, 16_384),
    "gpt-oss": (131_072, 131_072),
    "o1": (200_000, 100_000),
    "o1-mini": (128_000, 65_536),
    "o1-preview": (128_000, 32_768),
    "o3": (200_000, 100_000),
    "o4-mini": (200_000, 100_000),
    "text-embedding-3": (8_191, 0),
    "text-embedding-ada-002": (8_191, 0),
    "claude-2": (0, 4_096),
    "claude-3": (200_000, 4_096),
    "claude-3-5": (200_000, 8_192),
    "claude-3-7": (200_000, 64_000),
    "claude-haiku-4": (200_000, 64_000),
    "claude-opus-4": (0, 32_000),
    "claude-opus-4-5": (200_000, 64_000),
    "claude-sonnet-4": (0, 64_000),
    "gemini-1.5-flash": (1_048_576, 8_192),
    "gemini-1.5-pro": (2_097_152, 8_192),
    "gemini-2.0-flash": (1_048_576, 8_192),
    "gemini-2.5-flash": (1_048_576, 65_536),
    "gemini-2.5-pro": (1_048_576, 65_536),
    "gemini-3-pro": (1_048_576, 65_536),
    "gemini-3-flash": (1_048_576, 65_536),
}


class ModelInfo(BaseModel):
    """What is known of a language model.

    Attributes:
        name: as asked for.
        provider: who serves it, by genai-prices' id, or "" where unknown.
        encoding: the name of its counter (see TokenCounter.name).
        exact: whether counts are exact or upper bounds.
        window: tokens of question and reply together, or None where unknown.
        reply_limit: tokens of a reply, or None where unknown.
        input_price: US dollars for a million tokens in, at the standard rate and the lowest tier, or None where unknown.
        cached_input_price: the same for tokens read from the provider's prompt cache.
        output_price: the same for tokens out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    provider: str = ""
    encoding: str
    exact: bool
    window: int | None = None
    reply_limit: int | None = None
    input_price: float | None = None
    cached_input_price: float | None = None
    output_price: float | None = None


def model_info(name: str) -> ModelInfo:
    """What is known of a model.

    Raises:
        UnknownModel: no catalogue knows the name; the message offers near names.
    """
    counter = counter_for(name)
    base = base_name(name)
    window, reply_limit = _limits(base)
    found = priced(base)
    if found is None:
        return ModelInfo(name=name, encoding=counter.name, exact=counter.exact, window=window, reply_limit=reply_limit)
    provider, model = found
    prices = model.get_prices(datetime.now(UTC))
    return ModelInfo(
        name=name,
        provider=provider.id,
        encoding=counter.name,
        exact=counter.exact,
        window=window or model.context_window,
        reply_limit=reply_limit,
        input_price=_dollars(prices.input_mtok),
        cached_input_price=_dollars(prices.cache_read_mtok),
        output_price=_dollars(prices.output_mtok),
    )


def model_names() -> tuple[str, ...]:
    """The names that the catalogue lists, sorted; many dated or prefixed variants of them are known too."""
    return tuple(sorted({model.id for provider in _providers() for model in provider.models} | set(_LIMITS)))


def _limits(base: str) -> tuple[int | None, int | None]:
    fitting = [prefix for prefix in _LIMITS if re.match(rf"{re.escape(prefix)}(?![a-z0-9])", base)]
    if not fitting:
        return None, None
    window, reply = _LIMITS[max(fitting, key=len)]
    return window or None, reply or None


def _providers() -> list[Provider]:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot().providers


def priced(base: str) -> tuple[Provider, PricedModel] | None:
    """The catalogue's entry, of whoever makes the model rather than of who resells it."""
    if not base:
        return None
    order = {name: rank for rank, name in enumerate(_FIRST_HAND)}
    providers = sorted(_providers(), key=lambda provider: order.get(provider.id, len(order)))
    for provider in providers:
        model = provider.find_model(base)
        if model is not None:
            return provider, model
    for provider in providers:
        for model in provider.models:
            if base_name(model.id) == base:
                return provider, model
    return None


def _dollars(price: object) -> float | None:
    """A price of genai-prices, of the lowest tier where it has tiers."""
    base = getattr(price, "base", price)
    return None if base is None else float(base)  # type: ignore[arg-type]  # Decimal
