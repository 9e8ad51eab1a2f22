"""The example runs offline, both turns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_example_answers_remembers_and_recalls(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "haystack_pipeline.py")]
    environment = {**os.environ, "HAYSTACK_TELEMETRY_ENABLED": "False", "HTTPS_PROXY": "http://127.0.0.1:9"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=250, env=environment).stdout
    assert "more than six hours" in said
    assert "tokens of 300" in said
    assert "31 March" in said
    assert "a tool gave: Remembered as m1." in said
    assert "lives in Hamburg" in said.partition("Which city do I live in?")[2]
    assert "A: In Hamburg." in said
