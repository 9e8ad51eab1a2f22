"""What importing the adapter needs and brings along."""

from __future__ import annotations

import subprocess
import sys


def printed(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_without_its_peer_one_line_names_the_extra():
    code = (
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "from contextkit.errors import MissingExtra\n"
        "try:\n    import contextkit.adapters.pydantic_ai\n"
        "except MissingExtra as error:\n    print(error.extra); print(error)\n"
    )
    extra, said = printed(code).splitlines()
    assert extra == "pydantic-ai"
    assert said.endswith("which is not installed: pip install 'contextkit[pydantic-ai]'")


def test_it_brings_nothing_but_a_little_of_contextkit():
    code = (
        "import sys, pydantic_ai, pydantic_ai.capabilities, pydantic_ai.messages\n"
        "before = set(sys.modules); import contextkit.adapters.pydantic_ai\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
        "print(sorted({'contextkit.kit', 'contextkit.catalog', 'contextkit.memory', 'numpy', 'torch', 'faiss'} & (set(sys.modules) - before)))\n"
    )
    assert printed(code).splitlines() == ["['contextkit']", "[]"]
