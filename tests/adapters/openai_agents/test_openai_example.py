"""The example: an agent that searches, remembers and recalls, in two processes; what its model received is the packet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import contextkit as ck
from contextkit.tokens import counter_for, framing_for, message_tokens, tool_tokens

EXAMPLE = Path(__file__).parents[3] / "examples" / "openai_agents_agent.py"


def turn(folder, trace):
    offline = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(EXAMPLE), str(folder), "--trace", str(trace)]
    run = subprocess.run(command, capture_output=True, text=True, env=offline, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout, json.loads(trace.read_text())


def chat(trace):
    return trace["received"]


def counted(items):
    """Items of OpenAI's responses in chat form, which is counted."""
    messages = []
    for item in items:
        if item.get("type") == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif item.get("type") == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
        else:
            messages.append(item)
    return messages


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    return folder / "index", [turn(folder / "index", folder / f"{n}.json") for n in (1, 2)]


def test_the_second_process_recalls_what_the_first_was_told(turns):
    _, ((first, _), (second, _)) = turns
    assert "A: Up to five days, until 31 March." in first
    assert "A: From what I found:" in second
    assert "Ann lives in Hamburg." in second


def test_the_receipt_counts_what_the_model_received_byte_for_byte(turns):
    folder, runs = turns
    with ck.open(folder, read_only=True) as kit:
        for printed, trace in runs:
            received = chat(trace)
            assert json.dumps(received, ensure_ascii=False) == json.dumps(trace["packet"], ensure_ascii=False)
            receipt = kit.receipt(trace["receipt"])
            offered = sorted((t["name"], t["description"], t["parameters"]) for t in trace["tools"])
            counter, framing = counter_for(None), framing_for(None)
            tokens = message_tokens(counted(received), counter, framing) + tool_tokens(offered, counter, framing)[0]
            assert tokens == receipt.tokens
            assert f"receipt {receipt.id}: {receipt.tokens} tokens of 2048" in printed
            assert "31 March" in json.dumps(received)
