"""A small agent end to end over two processes, and the runnable examples."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples"


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_agent_remembers_over_a_restart_and_each_receipt_is_what_was_sent(tmp_path):
    first, second = (json.loads(run(HERE / "langchain_run.py", tmp_path / "index", which)) for which in ("first", "second"))
    for done in (first, second):
        for one in done["calls"]:
            assert one["same"], "byte for byte the packet's messages"
            assert one["tokens"] == one["receipt"]
        assert done["same_history"]
    assert first["thread"] == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert second["thread"] == [*first["thread"], "human", "ai", "tool", "ai"]
    assert second["history"] == second["thread"]
    assert "P-7 runs at 40 bar." in json.dumps(first["calls"][0]["sent"])
    before_the_recall = json.dumps(second["calls"][0]["sent"])
    assert "Ann looks after pump P-7." in before_the_recall, "pinned memory is there in the new process at once"
    recalled = [m["content"] for m in second["calls"][1]["sent"] if m["role"] == "tool" and m["tool_call_id"] == "c3"]
    assert "Ann looks after pump P-7." in recalled[0]


@pytest.mark.parametrize("name", ["langchain_agent", "langgraph_agent"])
def test_the_example_runs_twice(tmp_path, name):
    first, second = (run(EXAMPLES / f"{name}.py", tmp_path / "index") for _ in range(2))
    assert "P-7 runs at 40 bar" in first.rpartition("answer:")[2]
    assert "In September" in second.rpartition("answer:")[2]
    assert "Ann looks after pump P-7." in second
    for said in (first, second):
        assert "receipt " in said
        assert " tokens {" in said
