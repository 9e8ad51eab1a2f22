"""A life of an index with a kill, a torn write or a failing disk at some of its points; `make faults` does it at many more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def test_no_fault_loses_anything(tmp_path):
    done = subprocess.run(
        [sys.executable, str(HERE / "driver.py"), str(tmp_path / "work"), "2"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["points"] >= 80
    assert result["to_the_end"] >= 10
    assert all(n >= 4 for n in (sum(modes.values()) for modes in result["steps"].values()))
    if result["sqlite"]:  # SQLite's own writes were among them
        assert result["kinds"]["sqlite write"] >= 20


def test_the_driver_sees_a_loss(tmp_path):
    """A driver that could not fail would prove nothing: here a step loses a document when it is killed."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import driver, life\n"
        "from pathlib import Path\n"
        "from contextkit.catalog import Catalog\n"
        "def careless(root):\n"
        "    with Catalog.open(root / 'index') as catalog:\n"
        "        gone = [i for i in catalog.owners() if i == 's-d02']\n"
        "        if gone: life.remove(catalog, gone)\n"
        "    life.STEPS[1][1](root)\n"
        "life.STEPS[2:] = [('careless', careless)]\n"
        "run = driver.Run(Path(sys.argv[2]), 8); run.go(); print(len(run.wrong))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(HERE), str(tmp_path / "work")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
