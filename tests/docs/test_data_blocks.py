"""What the pages show besides programs: data in their blocks can be read, and every generated table is that of the results."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = {"python", "bash", "console", "text", "xml", "sql", "mermaid"}  # python and bash by tests/repository/test_documentation.py


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_blocks_of_data_can_be_read(page):
    for language, block in BLOCK.findall(page.read_text("utf-8")):
        if language in ("json", "jsonl"):
            one_a_line = block.startswith("{") and block.splitlines()[0].endswith("}")
            assert [json.loads(line) for line in (block.splitlines() if one_a_line else [block])]
        elif language == "toml":
            tomllib.loads(block)
        else:
            assert language in RUN, f"{page.name} has a block of {language!r}, which nothing tests"


@pytest.mark.parametrize("page", [p for p in PAGES if "<!-- table:" in p.read_text("utf-8")], ids=lambda p: p.name)
def test_tables_are_those_of_the_results(page):
    done = subprocess.run(
        [sys.executable, "benchmarks/tables.py", "--check", str(page)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
