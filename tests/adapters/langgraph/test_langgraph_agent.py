"""A small graph end to end over two processes: checkpoints, store, packet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def run(folder):
    script = Path(__file__).with_name("langgraph_run.py")
    done = subprocess.run([sys.executable, "-W", "error", str(script), str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_graph_goes_on_after_a_restart_and_its_receipt_is_what_was_sent(tmp_path):
    first, second = run(tmp_path / "index"), run(tmp_path / "index")
    for done in (first, second):
        assert done["same"]
        assert done["tokens"] == done["receipt"]
    assert second["thread"][:2] == first["thread"]
    assert len(second["thread"]) == 4
    assert "Ann said: I look after P-7." in second["sent"][-1]["content"]
    assert "Its filter is changed in March and September." in second["sent"][-1]["content"]
