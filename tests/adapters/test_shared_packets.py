"""What a provider's account of a call says of its input, in the forms in which peers hand it on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from anthropic.types import Usage
from openai.types import CompletionUsage
from openai.types.responses import ResponseUsage

from contextkit.adapters.shared.packets import input_tokens

DETAILS = {
    "input_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
CHAT = CompletionUsage(prompt_tokens=417, completion_tokens=3, total_tokens=420, prompt_tokens_details={"cached_tokens": 300})
RESPONSES = ResponseUsage.model_validate({"input_tokens": 417, "output_tokens": 3, "total_tokens": 420, **DETAILS})
ANTHROPIC = Usage(input_tokens=17, output_tokens=3, cache_read_input_tokens=300, cache_creation_input_tokens=100)


@pytest.mark.parametrize("usage", [CHAT, RESPONSES, ANTHROPIC], ids=lambda usage: type(usage).__name__)
def test_cached_tokens_are_input_once_in_every_providers_account(usage):
    assert input_tokens(usage) == 417
    assert input_tokens(usage.model_dump()) == 417


def test_googles_names_are_known():
    assert input_tokens(SimpleNamespace(prompt_token_count=417, cached_content_token_count=300, total_token_count=420)) == 417


@pytest.mark.parametrize("usage", [None, {}, "417", {"prompt_tokens": None}, {"prompt_tokens": -1}, {"prompt_tokens": True}])
def test_what_says_nothing_is_0(usage):
    assert input_tokens(usage) == 0
