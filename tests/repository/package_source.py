"""The modules of the package and what they import, read from their source. Shared by the tests of this folder."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Import:
    """One import: of what, from where, and when it happens."""

    importer: str
    imported: str
    line: int
    lazy: bool  # inside a function
    typing: bool  # under TYPE_CHECKING


def module_name(path):
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    if parts[0] in ("connectors", "indexes"):
        parts.insert(0, "contextkit")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


@cache
def sources():
    """Every module's name and path; the two linked folders once."""
    found = {}
    for top in ("contextkit", "connectors", "indexes"):
        for path in sorted((ROOT / top).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if inside.parts[:2] in (("contextkit", "connectors"), ("contextkit", "indexes")) or "offline_models" in inside.parts:
                continue
            found[module_name(path)] = path
    return found


class _Walker(ast.NodeVisitor):
    def __init__(self, module, known):
        self.module, self.known = module, known
        self.found, self.lazy, self.typing = [], 0, 0

    def visit_FunctionDef(self, node):
        self.lazy += 1
        self.generic_visit(node)
        self.lazy -= 1

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast's name

    def visit_If(self, node):
        guarded = ast.unparse(node.test).endswith("TYPE_CHECKING")
        self.typing += guarded
        for child in node.body:
            self.visit(child)
        self.typing -= guarded
        for child in node.orelse:
            self.visit(child)

    def _add(self, name, line):
        self.found.append(Import(self.module, name, line, bool(self.lazy), bool(self.typing)))

    def visit_Import(self, node):
        for alias in node.names:
            self._add(alias.name, node.lineno)

    def visit_ImportFrom(self, node):
        assert node.level == 0, f"{self.module}:{node.lineno}: imports are absolute"
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            self._add(full if full in self.known else node.module, node.lineno)


@cache
def imports():
    """All imports of the package, of its own modules and of others'."""
    known = sources()
    found = []
    for name, path in known.items():
        walker = _Walker(name, known)
        walker.visit(ast.parse(path.read_text("utf-8")))
        found += walker.found
    return tuple(found)


def own_imports():
    return [i for i in imports() if i.imported.split(".")[0] == "contextkit"]


def room(module):
    """The part of the package that a module belongs to: its first name below contextkit; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""
