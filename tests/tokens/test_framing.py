"""Counting whole requests, held against the figures that were published from the API."""

from __future__ import annotations

import pytest

from contextkit.errors import InputError
from contextkit.tokens import counter_for, framing_for, message_tokens, remembered, tool_tokens
from contextkit.tokens.framing import ANTHROPIC, GENERIC, OPENAI_CL100K, OPENAI_O200K

WEATHER = (
    "get_current_weather",
    "Get the current weather in a given location",
    {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location"],
    },
)


def test_message_framing_is_openais() -> None:
    """The example of OpenAI's cookbook: 129 tokens for cl100k models, 124 for o200k models."""
    messages = [
        {
            "role": "system",
            "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
        },
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
        {
            "role": "system",
            "name": "example_user",
            "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        },
        {
            "role": "system",
            "name": "example_assistant",
            "content": "Let's talk later when we're less busy about how to do better.",
        },
        {
            "role": "user",
            "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
        },
    ]
    assert message_tokens(messages, counter_for("gpt-4")) == 129
    assert message_tokens(messages, counter_for("gpt-4o")) == 124


def test_message_content_in_parts_and_what_cannot_be_counted() -> None:
    counter = counter_for()
    assert message_tokens([], counter) == 3
    plain = message_tokens([{"role": "user", "content": "hello world"}], counter)
    assert plain == 3 + 3 + 1 + 2
    assert message_tokens([{"role": "user", "content": [{"type": "text", "text": "hello world"}]}], counter) == plain
    assert message_tokens([{"role": "assistant", "content": None}], counter) == 3 + 3 + 1
    with pytest.raises(InputError, match="message 0: cannot count the field 'audio'"):
        message_tokens([{"role": "assistant", "audio": {}}], counter)
    with pytest.raises(InputError, match="content part that is not text"):
        message_tokens([{"role": "user", "content": [{"type": "file"}]}], counter)
    with pytest.raises(InputError, match="needs image_url with a url"):
        message_tokens([{"role": "user", "content": [{"type": "image_url"}]}], counter)
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}}
    with pytest.raises(InputError, match="no rule is public for how this model counts images"):
        message_tokens([{"role": "user", "content": [picture]}], counter)
    assert message_tokens([{"role": "user", "content": [picture]}], counter, framing_for("gpt-4o")) == 3 + 3 + 1 + 85
    with pytest.raises(InputError, match="role must be text"):
        message_tokens([{"role": 3, "content": "x"}], counter)


@pytest.mark.parametrize(("model", "tokens"), [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)])
def test_tool_definitions_are_openais(model: str, tokens: int) -> None:
    """The example of OpenAI's cookbook with the prompt tokens that its API reports."""
    messages = [
        {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
        {"role": "user", "content": "What's the weather like in San Francisco?"},
    ]
    counter, framing = counter_for(model), framing_for(model)
    tools, exact = tool_tokens([WEATHER], counter, framing)
    assert exact
    assert message_tokens(messages, counter, framing) + tools == tokens


def _schema(**properties: object) -> dict:
    return {"type": "object", "properties": properties}


RECIPE = _schema(
    ingredients={
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name", "unit", "amount"],
            "properties": {
                "name": {"type": "string"},
                "unit": {"enum": ["grams", "ml", "cups", "pieces", "teaspoons"], "type": "string"},
                "amount": {"type": "number"},
            },
        },
    },
    instructions={"type": "array", "items": {"type": "string"}, "description": "Steps to prepare the recipe (no numbering)"},
    time_to_cook={"type": "number", "description": "Total time to prepare the recipe in minutes"},
)


@pytest.mark.parametrize(
    ("name", "description", "parameters", "tokens"),
    [
        ("foo", "", _schema(), 31),
        ("bing_bong", "Do a bing bong", _schema(foo={"type": "string"}), 49),
        ("bing_bong", "Do a bing bong", _schema(foo={"type": "string"}, bar={"type": "number", "description": "A number"}), 57),
        (
            "bing_bong",
            "Do a bing bong",
            _schema(foo=_schema(bar={"type": "string", "enum": ["a", "b", "c"]}, baz={"type": "boolean"})),
            68,
        ),
        ("get_recipe", "", RECIPE, 106),
    ],
)
def test_other_tools_are_bounded_by_what_was_measured(name: str, description: str, parameters: dict, tokens: int) -> None:
    """Prompt tokens of gpt-3.5-turbo's API for the message "hello" with one function, as the project openai-chat-tokens publishes them."""
    counter = counter_for("gpt-3.5-turbo")
    counted, exact = tool_tokens([(name, description, parameters)], counter, OPENAI_CL100K)
    assert not exact
    assert tokens <= message_tokens([{"role": "user", "content": "hello"}], counter) + counted <= 3 * tokens


@pytest.mark.parametrize(("arguments", "tokens"), [('{"foo": "bar", "baz": 1.5}', 26), ('{"foo":"bar", "baz":\n\n 1.5}', 25)])
def test_tool_calls_are_bounded_by_what_was_measured(arguments: str, tokens: int) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "do_stuff", "arguments": arguments}}
    counted = message_tokens([{"role": "assistant", "content": "", "tool_calls": [call]}], counter_for("gpt-3.5-turbo"))
    assert tokens <= counted <= tokens + 12


@pytest.mark.parametrize(
    "calls",
    [
        "x",
        [3],
        [{"id": "c1"}],
        [{"id": "c1", "function": {"name": "f", "arguments": {}}}],
        [{"function": {"name": "f", "arguments": ""}}],
    ],
)
def test_tool_calls_that_are_none(calls: object) -> None:
    with pytest.raises(InputError, match="message 0: "):
        message_tokens([{"role": "assistant", "tool_calls": calls}], counter_for())


def test_framings() -> None:
    assert framing_for(None) == framing_for("gpt-4") == framing_for("cl100k_base") == OPENAI_CL100K
    assert framing_for("openai/gpt-4o") == framing_for("o200k_base") == framing_for("ft:gpt-4o:me") == OPENAI_O200K
    assert framing_for("claude-sonnet-4-5") == framing_for("anthropic/claude-3-opus") == ANTHROPIC
    assert framing_for("gemini-2.5-pro") is framing_for("llama-3.1-70b") is GENERIC
    assert tool_tokens([], counter_for(), ANTHROPIC) == (0, True)
    assert tool_tokens([WEATHER], counter_for(), ANTHROPIC)[0] > 530


def test_a_text_is_counted_once() -> None:
    class Counted:
        name, exact, asked = "x", True, 0

        def count(self, text: str) -> int:
            self.asked += 1
            return len(text)

        def count_many(self, texts: list[str]) -> list[int]:
            return [self.count(t) for t in texts]

    counter = Counted()
    memory = remembered(counter)
    assert remembered(counter) is memory is remembered(memory)
    assert memory.count_many(["abc" * 1000, "abc" * 1000, "\ud800"]) == [3000, 3000, 1]
    assert counter.asked == 2
