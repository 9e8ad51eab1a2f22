"""Without the peer: one line that names the extra. With it: names are imported when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import contextkit.adapters.langchain as langchain

BLOCK = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
try:
    {statement}
except ImportError as error:
    print(type(error).__name__, error)
    assert isinstance(error.__context__, ModuleNotFoundError)
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("blocked", "statement", "extra"),
    [
        (["langchain_core"], "import contextkit.adapters.langchain", "langchain"),
        (["langchain"], "from contextkit.adapters.langchain import KitMiddleware", "langchain"),
        (["langchain_text_splitters"], "from contextkit.adapters.langchain import SplitterChunker", "langchain"),
        (["langgraph"], "import contextkit.adapters.langgraph", "langgraph"),
        (["langgraph"], "from contextkit.adapters.langchain import KitMiddleware", "langchain"),
    ],
)
def test_a_missing_peer_is_one_line_that_names_the_extra(blocked, statement, extra):
    said = run(BLOCK.format(blocked=blocked, statement=statement))
    assert said.startswith("MissingExtra ")
    assert f"pip install 'contextkit[{extra}]'" in said
    assert "\n" not in said


def test_the_core_of_langchain_is_enough_for_most():
    blocked = ["langchain", "langgraph", "langchain_text_splitters"]
    names = [n for n in langchain.__all__ if n not in ("KitMiddleware", "SplitterChunker", "LoaderConnector")]
    assert (
        run(BLOCK.format(blocked=blocked, statement=f"from contextkit.adapters.langchain import {', '.join(names)}; print('ok')"))
        == "ok"
    )


def test_names():
    for name in langchain.__all__:
        assert getattr(langchain, name).__module__.startswith("contextkit.adapters.langchain.")
        assert name in dir(langchain)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        langchain.Nothing  # noqa: B018


def test_importing_contextkit_imports_no_peer():
    heavy = "{'langchain', 'langchain_core', 'langgraph'}"
    assert run(f"import sys, contextkit; contextkit.Kit; print({heavy} & set(sys.modules))") == "set()"


def test_importing_the_adapter_loads_no_agents():
    code = "import sys; from contextkit.adapters.langchain import KitRetriever, KitVectorStore; print('langchain' in sys.modules)"
    assert run(code) == "False"
