from __future__ import annotations

import pytest
from pydantic import ValidationError

from contextkit.errors import UnknownModel
from contextkit.tokens import BoundCounter, counter_for, model_info, model_names

pytestmark = pytest.mark.usefixtures("socket_disabled")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (None, "cl100k_base"),
        ("cl100k_base", "cl100k_base"),
        ("o200k_base", "o200k_base"),
        ("gpt-4o", "o200k_base"),
        ("GPT-4o", "o200k_base"),
        ("gpt-4o-2024-08-06", "o200k_base"),
        ("openai/gpt-4o-mini", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-4.5-preview", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("gpt-5.2-pro", "o200k_base"),
        ("gpt-oss-120b", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("ft:gpt-4o-mini:acme::x", "o200k_base"),
        ("ft:gpt-3.5-turbo:acme::x", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("text-embedding-ada-002", "cl100k_base"),
    ],
)
def test_exact_counters(model: str | None, name: str) -> None:
    counter = counter_for(model)
    assert (counter.name, counter.exact) == (name, True)
    assert counter_for(model) is counter


def test_exact_counters_agree_with_tiktokens_own_table() -> None:
    from tiktoken.model import MODEL_TO_ENCODING

    for model, encoding in MODEL_TO_ENCODING.items():
        if encoding in ("cl100k_base", "o200k_base"):
            assert counter_for(model).name == encoding, model


@pytest.mark.parametrize(
    "model",
    [
        "claude-sonnet-4-5",
        "anthropic/claude-3-5-haiku-20241022",
        "gemini-2.5-pro",
        "meta-llama/Llama-3.3-70B-Instruct",
        "mistral-large-latest",
        "grok-4",
    ],
)
def test_other_models_get_a_bound_that_says_so(model: str) -> None:
    counter = counter_for(model)
    assert isinstance(counter, BoundCounter)
    assert not counter.exact
    assert "bound" in counter.name
    text = "The filter is changed every 400 hours."
    assert counter.count(text) > counter_for("gpt-4o").count(text)


@pytest.mark.parametrize("model", ["gpt4o", "gtp-4o", "o200k", "claud-opus-4", "text-davinci-003-x"])
def test_unknown_models_offer_near_names(model: str) -> None:
    with pytest.raises(UnknownModel, match=f"unknown model '{model}': .*did you mean '"):
        counter_for(model)


@pytest.mark.parametrize("model", ["", "xyzzy-quux", "/", "no/such/thing", "~nobody-here/x", "x" * 5000, "zero\0"])
def test_unknown_models_without_near_names(model: str) -> None:
    with pytest.raises(UnknownModel, match="an encoding"):
        counter_for(model)
    with pytest.raises(UnknownModel):
        model_info(model)


def test_what_is_known_of_a_model() -> None:
    info = model_info("gpt-4o")
    assert (info.provider, info.encoding, info.exact) == ("openai", "o200k_base", True)
    assert (info.window, info.reply_limit) == (128_000, 16_384)
    assert (info.input_price, info.cached_input_price, info.output_price) == (2.5, 1.25, 10.0)
    assert model_info("gpt-4o-2024-05-13").reply_limit == 4_096
    claude = model_info("claude-sonnet-4-5")
    assert (claude.provider, claude.exact, claude.window, claude.reply_limit) == ("anthropic", False, 200_000, 64_000)
    assert claude.input_price == 3.0
    assert model_info("gemini-2.5-pro").window == 1_048_576
    assert model_info("meta-llama/Llama-3.3-70B-Instruct").input_price is not None
    bare = model_info("o200k_base")
    assert (bare.provider, bare.window, bare.input_price) == ("", None, None)


def test_the_record_is_frozen() -> None:
    info = model_info("gpt-4o")
    with pytest.raises(ValidationError):
        info.window = 3  # type: ignore[misc]
    assert type(info).model_validate_json(info.model_dump_json()) == info


def test_every_listed_name_is_known() -> None:
    names = model_names()
    assert len(names) > 1000
    assert list(names) == sorted(set(names))
    unknown = []
    for name in names:
        try:
            counter_for(name)
        except UnknownModel:
            unknown.append(name)
    assert unknown == []
