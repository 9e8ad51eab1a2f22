"""What a user knows of a model: it stands in the place of what the catalogue says, or for a model that no catalogue has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import Field

from contextkit.context.checked import Checked
from contextkit.errors import InputError, UnknownModel

if TYPE_CHECKING:
    from contextkit.tokens import ModelInfo


class ModelFacts(Checked):
    """Facts of one model; what is None is left to the catalogue.

    Attributes:
        encoding: whose tokens count: an encoding ("o200k_base"), a known model, or the path of a `tokenizer.json`.
        window: tokens of question and reply together.
        reply_limit: tokens of a reply.
        input_price: US dollars for a million tokens in.
        cached_input_price: the same for tokens read from the provider's prompt cache.
        output_price: the same for tokens out.
    """

    encoding: str | None = None
    window: int | None = Field(default=None, gt=0)
    reply_limit: int | None = Field(default=None, gt=0)
    input_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cached_input_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    output_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)


@lru_cache(maxsize=256)
def _listed(name: str) -> ModelInfo:
    from contextkit.tokens import model_info

    return model_info(name)


def counted_as(name: str | None, catalogue: Mapping[str, ModelFacts]) -> str | None:
    """The name whose counter counts a model's tokens."""
    facts = None if name is None else catalogue.get(name)
    return name if facts is None or facts.encoding is None else facts.encoding


def known_model(name: str, catalogue: Mapping[str, ModelFacts]) -> ModelInfo:
    """What is known of a model, the user's own facts first.

    Raises:
        UnknownModel: no catalogue knows the name, and no facts name its encoding.
    """
    from contextkit.tokens import ModelInfo, counter_for

    facts = catalogue.get(name)
    if facts is None:
        return _listed(name)
    try:
        info = _listed(name)
    except UnknownModel:
        if facts.encoding is None:
            raise InputError(
                f"the model {name!r} is in no catalogue, and the facts given of it do not name its encoding: add "
                'encoding="o200k_base", a known model whose tokens are like its own, or the path of its tokenizer.json'
            ) from None
        counter = counter_for(facts.encoding)
        info = ModelInfo(name=name, encoding=counter.name, exact=counter.exact)
    given = {key: value for key, value in facts.model_dump(exclude={"encoding"}).items() if value is not None}
    if facts.encoding is not None:
        counter = counter_for(facts.encoding)
        given |= {"encoding": counter.name, "exact": counter.exact}
    return info.model_copy(update=given)
