"""Source code: the whole text as it is, in blocks of whole functions and classes where the language shows where they begin.

Python is cut by its own syntax tree, other languages by lines that begin at the left margin with a definition.
"""

from __future__ import annotations

import ast
import re
from itertools import pairwise

from contextkit.documents.building import Source, finished, one_line
from contextkit.documents.detection import code_language
from contextkit.types import Block, BlockKind, Document

_DEFINITION = re.compile(
    r"(?:export\s+|default\s+|public\s+|private\s+|protected\s+|internal\s+|static\s+|final\s+|abstract\s+|async\s+|pub(?:\([^)]*\))?\s+"
    r"|unsafe\s+|extern\s+|inline\s+|open\s+|override\s+|data\s+|sealed\s+)*"
    r"(?:def|class|interface|struct|enum|trait|impl|fn|func|function|module|namespace|object|record|protocol|extension|mod|type|macro_rules!"
    r"|message|service|resource|provider|create\s+(?:or\s+replace\s+)?(?:table|view|function|procedure|index|trigger))\b"
    r"|(?:[A-Za-z_][\w:<>,*&\[\]]*[ \t*&]+)+[A-Za-z_~][\w:]*\s*\([^;]*\)\s*(?:const\s*)?\{?\s*$"
    r"|\[[\w.\-\"]+\]\s*$|(?:const|let|var)\s+\w+\s*=\s*(?:async\s*)?(?:function\b|\([^)]*\)\s*=>)|[A-Za-z_][\w./%-]*:(?:\s|$)|FROM\s",
    re.IGNORECASE,
)
_LEADING = re.compile(r"\s*(?:#|//|/\*|\*|--|;|@|\"\"\"|'''|\[)")
_SMALL = 6


def read(source: Source) -> Document:
    """The code verbatim; its language and the first line of its docstring in the metadata."""
    text = source.text().rstrip()
    language = code_language(source.blob.name)
    docstring = ""
    starts: list[int] = []
    if language == "python":
        starts, docstring = _python(text)
    lines = text.split("\n")
    starts = starts or _by_definitions(lines)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    cuts = sorted({0, *(s for s in starts if 0 < s < len(lines)), len(lines)})
    blocks: list[Block] = []
    for first, last in pairwise(cuts):
        piece = text[offsets[first] : min(offsets[last], len(text))]
        lead = len(piece) - len(piece.lstrip())
        if lead < len(piece):
            blocks.append(Block(BlockKind.CODE, offsets[first] + lead, offsets[first] + len(piece.rstrip())))
    metadata = {"programming_language": language, "description": docstring}
    return finished(source, text, blocks, metadata=metadata)


def _python(text: str) -> tuple[list[int], str]:
    """The first lines (from 0) of functions and classes and of large classes' methods, and the docstring's first line."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], ""
    starts: list[int] = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            starts.append(_first_line(node))
            starts.append(node.end_lineno or node.lineno)
            if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno > 30:
                starts.extend(_first_line(n) for n in node.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return starts, one_line((ast.get_docstring(tree) or "").split("\n\n")[0])[:500]


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1


def _by_definitions(lines: list[str]) -> list[int]:
    """The lines at the margin that begin a definition, with the comments right above; tiny blocks stay with the one before."""
    starts: list[int] = []
    for number, line in enumerate(lines):
        if line[:1].isspace() or not line or not _DEFINITION.match(line):
            continue
        first = number
        while first > 0 and lines[first - 1].strip() and _LEADING.match(lines[first - 1]):
            first -= 1
        if not starts or first - starts[-1] >= _SMALL:
            starts.append(first)
    return starts
