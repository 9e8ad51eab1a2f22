"""The tables in the README and in the documentation are those of the committed results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "docs/memory.md", "docs/retrieval.md"])
def test_tables_are_those_of_the_results(page):
    done = subprocess.run(
        [sys.executable, "benchmarks/tables.py", "--check", page], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
