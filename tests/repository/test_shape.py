"""The shape of the source: sizes, module docstrings, and nothing that names somebody's machine."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess

import pytest
from package_source import ROOT, sources

FILE_LINES = 400
FUNCTION_LINES = 60
TYPICAL_LINES = 40
FOREIGN = re.compile(
    r"(?<![\w.~-])/(?:wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+|op[t]/\w+)/|pyp[i]\.org|pythonhoste[d]\.org|(?<!\w)/tm[p]/bash"
)


def functions(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_module_is_short_and_says_what_it_is(name):
    path = sources()[name]
    text = path.read_text("utf-8")
    assert text.count("\n") <= FILE_LINES
    assert ast.get_docstring(ast.parse(text)), "a module says what lives in it"
    assert [f"{function} has {lines} lines" for function, lines in functions(path) if lines > FUNCTION_LINES] == []


def test_functions_are_short():
    lines = [length for path in sources().values() for _, length in functions(path)]
    assert statistics.quantiles(lines, n=10)[-1] <= TYPICAL_LINES


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_file_names_a_machine_or_a_registry():
    found = []
    for path in tracked():
        if not path.is_file() or path.is_symlink():
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a binary document
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FOREIGN.finditer(text)]
    assert found == []


def test_no_file_is_large():
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked() if p.is_file() and p.stat().st_size > 2_000_000}
    assert large == {}


def test_ignores_carry_a_reason():
    bare = re.compile(r"#\s*(?:noqa|type:\s*ignore)(?::\s*[A-Z0-9, ]+|\[[\w, -]+\])?\s*$")
    found = [
        f"{name}:{number}"
        for name, path in sources().items()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []
