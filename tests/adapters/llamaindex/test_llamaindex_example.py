"""The example runs offline, both turns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_example_answers_remembers_and_recalls(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "llamaindex_agent.py")]
    environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "NLTK_DATA": str(tmp_path), "TMPDIR": str(tmp_path)}
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=250, env=environment).stdout
    assert "travel-and-expenses.md" in said
    assert "31 March" in said
    assert "a tool gave: Remembered as m1." in said
    assert "lives in Hamburg" in said.partition("Which city do I live in?")[2]
    assert "A: In Hamburg." in said
    assert list(tmp_path.iterdir()) == [], "no data was fetched for nltk, and nothing is left behind"
