"""Random agent calls made from a seed: the material of the property tests."""

from __future__ import annotations

import json
import random

import contextkit as ck

MODELS = (
    "gpt-4o", "gpt-4o-mini", "gpt-4", "gpt-3.5-turbo", "gpt-4.1", "o3", "gpt-5", "claude-sonnet-4-5", "claude-3-5-haiku",
    "gemini-2.5-pro", "llama-3.1-70b", "mistral-large",
)  # fmt: skip
WORDS = (
    "bees bread subject number alpha beta error failed total def return class 42 3.14 foo_bar src/main.py naïve 東京 🐝 \n "
    'the of and is was with Ticket-77 https://example.org/x?y=1 {"a":1} \t <tag> & \u200b'
).split(" ")


def text(rng: random.Random, most: int) -> str:
    size = int(most ** rng.random())
    return " ".join(rng.choice(WORDS) for _ in range(max(1, size))).strip() or "x"


def tool(rng: random.Random, n: int) -> dict:
    properties = {
        f"p{i}": rng.choice(
            [
                {"type": "string", "description": text(rng, 10)},
                {"type": "string", "description": "One of.", "enum": ["a", "b"]},
                {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
            ]
        )
        for i in range(rng.randint(0, 4))
    }
    inner = {"name": f"tool_{n}", "description": text(rng, 15), "parameters": {"type": "object", "properties": properties}}
    if rng.random() < 0.5:
        return {"type": "function", "function": inner}
    return {"name": inner["name"], "description": inner["description"], "input_schema": inner["parameters"]}


def steps(rng: random.Random, n: int) -> list[dict]:
    """One assistant message with one to three calls, and their results, in OpenAI's or Anthropic's form."""
    ids = [f"call_{n}_{i}" for i in range(rng.randint(1, 3))]
    results = {i: text(rng, 900) if rng.random() < 0.9 else "same old result " * 30 for i in ids}
    if rng.random() < 0.5:
        calls = [
            {"id": i, "type": "function", "function": {"name": "tool_0", "arguments": json.dumps({"q": text(rng, 8)})}}
            for i in ids
        ]
        return [
            {"role": "assistant", "content": rng.choice([None, text(rng, 20)]), "tool_calls": calls},
            *({"role": "tool", "tool_call_id": i, "content": r} for i, r in results.items()),
        ]
    return [
        {"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": "tool_0", "input": {"q": "x"}} for i in ids]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": r} for i, r in results.items()]},
    ]


def history(rng: random.Random, turns: int) -> list[dict]:
    out: list[dict] = []
    for n in range(turns):
        if rng.random() < 0.95:
            out.append({"role": "user", "content": text(rng, 200)})
        for k in range(rng.randint(0, 2)):
            out += steps(rng, 10 * n + k)
        if rng.random() < 0.9:
            out.append({"role": "assistant", "content": text(rng, 120)})
    return out


def arguments(seed: int) -> dict:
    """Keyword arguments of an AgentCall."""
    rng = random.Random(seed)
    return {
        "question": text(rng, 30),
        "model": MODELS[seed % len(MODELS)],
        "system": text(rng, 120) if rng.random() < 0.8 else "",
        "tools": [tool(rng, n) for n in range(rng.randint(0, 4))],
        "history": history(rng, rng.choice([0, 1, 3, 8, 20])),
        "steps": [s for n in range(rng.choice([0, 0, 1, 3])) for s in steps(rng, 1000 + n)],
        "pinned": [text(rng, 12) for _ in range(rng.randint(0, 2))],
        "memory": [text(rng, 25) for _ in range(rng.randint(0, 6))],
        "budget": int(64 * (200_000 / 64) ** rng.random()),
        "reply_reserve": rng.choice([None, 0, 16, 500]),
        "format": rng.choice(["text", "markdown", "xml"]),
        "order": rng.choice(["best_first", "best_last", "edges", "source"]),
        "sections": rng.choice(
            [
                {},
                {"documents": {"share": 0}},
                {"documents": {"minimum": 100, "share": 1, "priority": 5}},
                {"history": {"minimum": 50, "share": 0.2, "priority": 9}, "memory": {"share": 0}},
            ]
        ),
        "conversation": f"random {seed % 7}",
    }


def call(seed: int) -> ck.AgentCall:
    return ck.AgentCall(**arguments(seed))
