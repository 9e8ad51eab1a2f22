"""What an agent call may hold, and one clear error for each thing that it may not."""

from __future__ import annotations

import pytest

import contextkit as ck

CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "done"}
USER = {"role": "user", "content": "go on"}


def cyclic() -> dict:
    schema: dict = {"type": "object", "properties": {}}
    schema["properties"]["self"] = schema
    return schema


def deep() -> dict:
    schema: dict = {"type": "object"}
    for _ in range(60):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([USER, RESULT], r"history\[1\]: the result answers the call 'c1'"),
        ([CALLS, RESULT, RESULT], r"history\[2\]: the result answers the call 'c1'"),
        ([USER, CALLS], r"history\[1\]: the call 'c1' has no result"),
        ([CALLS, USER, RESULT], r"history\[1\]: the call 'c1' before it has no result yet"),
        ([{"role": "robot", "content": "x"}], r"history\[0\]: unknown role 'robot'"),
        ([{"content": "x"}], r"history\[0\]: unknown role None"),
        ([USER, {"role": "system", "content": "x"}], r"history\[1\]: a system message .* AgentCall\(system=\.\.\.\)"),
        (
            [USER, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            r"history\[1\]: an image's url must be https:// or data:",
        ),
        ([{"role": "user", "content": [{"type": "image", "source": {}}]}], r"history\[0\]: an image needs a source"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], r"history\[0\]: .* 'input_audio' cannot be carried"),
        ([{"role": "user", "content": [{"type": "document", "source": {}}]}], r"history\[0\]: .* 'document' cannot be"),
        ([{"role": "user", "content": ""}], r"history\[0\]: the message says nothing"),
        ([{"role": "user", "content": 3}], r"history\[0\]: content must be a list, not int"),
        ([{"role": "user", "content": "x", "mood": "good"}], r"history\[0\]: the field 'mood' cannot be carried"),
        ([{"role": "tool", "content": "x"}], r"history\[0\]: a tool's result needs the tool_call_id"),
        ([{"role": "user", "content": "x", "tool_calls": CALLS["tool_calls"]}], r"history\[0\]: a user does not call tools"),
        ([{**CALLS, "tool_calls": CALLS["tool_calls"] * 2}, RESULT], r"history\[0\]: two tool calls have the id 'c1'"),
        ([{"role": "assistant", "tool_calls": [{"id": "c1"}]}], r"history\[0\]: a tool call needs"),
        (["hello"], r"history\[0\] must be a mapping"),
        ("hello", "history must be a list"),
        (
            [{"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": cyclic()}]}],
            r"history\[0\]: .*cyclic",
        ),
    ],
)
def test_bad_histories_name_the_message(history, words):
    with pytest.raises(ck.InputError, match=words):
        ck.AgentCall(question="x", history=history)


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([{"name": "f", "parameters": cyclic()}], r"tools\[0\] \(f\): .* cyclic"),
        ([{"name": "f", "parameters": deep()}], r"tools\[0\] \(f\): .* deeper than 48"),
        ([{"name": "f", "parameters": {"description": "x" * 300_000}}], r"tools\[0\] \(f\): .* larger than 262,144"),
        ([{"name": "f", "parameters": {"default": float("nan")}}], r"tools\[0\] \(f\): nan is no JSON number"),
        ([{"name": "f", "parameters": {"default": object()}}], r"tools\[0\] \(f\): object is no JSON value"),
        ([{"name": "f", "parameters": [1]}], r"tools\[0\] \(f\): the parameters must be"),
        ([{"name": "f"}, {"name": "f"}], "two tools are called 'f'"),
        ([{"name": ""}], r"tools\[0\]: the name must be"),
        ([{"type": "web_search"}], r"tools\[0\] is no function definition"),
        ([7], r"tools\[0\] must be a mapping"),
        ({"name": "f"}, "tools must be a list"),
        ([{"name": f"f{i}"} for i in range(513)], "513 tools are too many"),
    ],
)
def test_bad_tools_name_the_tool(tools, words):
    with pytest.raises(ck.InputError, match=words):
        ck.AgentCall(question="x", tools=tools)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"question": "  "}, ck.InputError, "the question is empty"),
        ({"budget": 0}, ck.BudgetExceeded, "budget of 0"),
        ({"budget": -5}, ck.BudgetExceeded, "budget of -5"),
        ({"budget": "many"}, ck.InputError, "budget cannot be 'many'"),
        ({"reply_reserve": -1}, ck.InputError, "reply_reserve cannot be -1"),
        ({"sections": {"documents": {"share": -0.1}}}, ck.InputError, "sections.documents.share cannot be -0.1"),
        ({"sections": {"documents": {"share": float("nan")}}}, ck.InputError, "share"),
        ({"sections": {"documents": {"minimum": -1}}}, ck.InputError, "minimum"),
        ({"sections": {"answer": {}}}, ck.InputError, "no rule for the section 'answer'"),
        ({"compaction": {"low": 0}}, ck.InputError, "compaction.low"),
        ({"memory": "one text"}, ck.InputError, "memory must be a list of texts"),
        ({"format": "messages"}, ck.InputError, "not for documents inside a call"),
        ({"colour": "red"}, ck.InputError, "'colour' is not known"),
        ({"order": "random"}, ck.InputError, "order"),
    ],
)
def test_other_bad_values(changes, error, words):
    with pytest.raises(error, match=words):
        ck.AgentCall(**{"question": "x", **changes})


def test_both_providers_histories_are_one():
    openai = ck.AgentCall(question="x", history=[USER, CALLS, RESULT])
    anthropic = ck.AgentCall(
        question="x",
        history=[
            {"role": "user", "content": [{"type": "text", "text": "go on"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "done"}]}],
            },
        ],
    )
    assert openai.history == anthropic.history


def test_tools_of_every_form_are_one_and_sorted():
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
    forms = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
        {"type": "function", "name": "f", "description": "d", "parameters": schema},
        {"name": "f", "description": "d", "input_schema": schema},
    ]
    made = [ck.AgentCall(question="x", tools=[{"name": "z"}, form]).tools for form in forms]
    assert made[0] == made[1] == made[2]
    assert [t.name for t in made[0]] == ["f", "z"]


def test_a_call_that_cannot_have_a_budget(kit):
    with pytest.raises(ck.InputError, match="no model is named and there is no budget"):
        kit.build(ck.AgentCall(question="x"))
    with pytest.raises(ck.UnknownModel, match="gpt-4"):
        kit.build(ck.AgentCall(question="x", model="gpt-40"))
