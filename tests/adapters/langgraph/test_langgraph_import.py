"""What importing the adapter brings along."""

from __future__ import annotations

import subprocess
import sys


def test_it_brings_nothing_but_a_little_of_contextkit():
    code = (
        "import sys, langgraph.checkpoint.base, langgraph.store.base\n"
        "before = set(sys.modules); import contextkit.adapters.langgraph\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "['contextkit']"
