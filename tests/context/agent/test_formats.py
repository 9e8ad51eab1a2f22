"""What is sent, held against the providers' own published types, and word for word against golden files.

`UPDATE_GOLDEN=1 pytest tests/context/agent` writes the files anew; look at the difference before committing it.
"""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import anthropic.types as a
import openai.types.chat as o
import openai.types.responses as r
import pytest
from agent_checks import check_all
from agent_random import call as random_call
from pydantic import TypeAdapter, ValidationError

import contextkit as ck
from contextkit.testing import TinyEmbedder

GOLDEN = Path(__file__).parent / "golden"
REQUESTS = {
    "openai": TypeAdapter(o.completion_create_params.CompletionCreateParamsNonStreaming),
    "responses": TypeAdapter(r.response_create_params.ResponseCreateParamsNonStreaming),
    "anthropic": TypeAdapter(a.message_create_params.MessageCreateParamsNonStreaming),
}
HISTORY = [
    {"role": "user", "content": "Which bees do we keep?", "name": "ann"},
    {
        "role": "assistant",
        "content": "I look it up.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"query": "bees"}'}},
            {"id": "c2", "type": "function", "function": {"name": "read", "arguments": '{"path": "bees.md"}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "c2", "content": "no such file"},
    {"role": "tool", "tool_call_id": "c1", "content": "Buckfast & Carnica"},
    {"role": "assistant", "content": "Buckfast and Carnica."},
]
STEPS = [
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c3", "name": "search", "input": {"query": "note 7"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c3", "content": "seven", "is_error": True}]},
]
TOOLS = [
    {
        "name": "search",
        "description": "Searches.",
        "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
    {"type": "function", "function": {"name": "read", "parameters": {"type": "object", "properties": {}}, "strict": True}},
]


def call(**changes) -> ck.AgentCall:
    given = {
        "question": "What is note 7 about?", "model": "gpt-4o", "system": "You know the notes.", "tools": TOOLS, "history": HISTORY,
        "steps": STEPS, "pinned": ["Ann is the keeper."], "memory": ["Ann likes short answers."], "budget": 900, "reply_reserve": 300,
    }  # fmt: skip
    return ck.AgentCall(**{**given, **changes})


def walk(value):
    """Everything in a validated value: pydantic checks what is declared as an iterable only when it is read."""
    if isinstance(value, dict):
        return {k: walk(v) for k, v in value.items()}
    if isinstance(value, (str, bytes, int, float, bool, type(None))):
        return value
    return [walk(v) for v in value]


def valid(provider: str, request: dict) -> None:
    plain = json.loads(json.dumps(request))
    assert walk(REQUESTS[provider].validate_python(request)) == plain  # nothing is unknown to the provider's type


@pytest.mark.parametrize("provider", sorted(REQUESTS))
@pytest.mark.parametrize(
    "changes", [{}, {"tools": [], "system": "", "pinned": []}, {"steps": [], "history": []}, {"budget": 560}]
)
def test_requests_are_what_the_providers_types_say(kit, provider, changes):
    valid(provider, kit.build(call(**changes)).request(provider))


@pytest.mark.parametrize("seed", range(12))
def test_random_requests_too(kit, seed):
    try:
        packet = kit.build(random_call(seed))
    except ck.BudgetExceeded:
        pytest.skip("a budget below what this call needs")
    for provider in REQUESTS:
        valid(provider, packet.request(provider))


def test_the_check_finds_what_is_wrong(kit):
    request = kit.build(call()).request("openai")
    request["messages"][1]["role"] = "robot"
    with pytest.raises(ValidationError):
        valid("openai", request)
    request = kit.build(call()).request("anthropic")
    request["messages"][0]["content"][0]["type"] = "noise"
    with pytest.raises(ValidationError):
        valid("anthropic", request)


@pytest.mark.parametrize("form", ["openai", "responses", "anthropic", "text", "markdown", "xml"])
def test_golden(tmp_path, form):
    note = ck.Document(
        "bees", "Note 7 is about <bees> & bread. It has a second sentence.", title="Note 7", uri="https://example.org/7"
    )
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:  # one document: ranking has no say here
        kit.add([note])
        packet = kit.build(call(format=form if form in ("markdown", "xml") else "text"))
    made = json.dumps(packet.request(form), indent=1, ensure_ascii=False) if form in REQUESTS else packet.text
    path = GOLDEN / f"{form}.{'json' if form in REQUESTS else 'txt'}"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(made + "\n", encoding="utf-8")
    assert made + "\n" == path.read_text(encoding="utf-8")


def test_anthropic_roles_alternate_and_results_follow_their_calls(kit):
    packet = kit.build(call(history=[{"role": "assistant", "content": "Hello."}, *HISTORY]))
    messages = packet.messages("anthropic")
    assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"] * (len(messages) % 2)
    for before, after in pairwise(messages):
        uses = [b["id"] for b in before["content"] if b["type"] == "tool_use"]
        assert sorted(uses) == sorted(b["tool_use_id"] for b in after["content"] if b["type"] == "tool_result")
    marks = [b for m in messages for b in m["content"] if "cache_control" in b]
    request = packet.request("anthropic")
    marks += [b for b in [*request["system"], *request["tools"]] if "cache_control" in b]
    assert 1 <= len(marks) <= 4  # the provider's limit


def test_arguments_that_are_no_object_go_along(kit):
    broken = [
        {"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{oops"}}]},
        {"role": "tool", "tool_call_id": "x", "content": "syntax error"},
    ]
    packet = kit.build(call(steps=broken))
    assert packet.messages("openai")[-2]["tool_calls"][0]["function"]["arguments"] == "{oops"
    assert packet.messages("anthropic")[-2]["content"][0]["input"] == {"arguments": "{oops"}


def test_unknown_providers(kit):
    packet = kit.build(call())
    check_all(kit, call(), packet)
    with pytest.raises(ck.InputError, match="'cohere'"):
        packet.messages("cohere")
    with pytest.raises(ck.InputError, match="'cohere'"):
        packet.request("cohere")
