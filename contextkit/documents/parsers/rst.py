"""reStructuredText: kept verbatim, with blocks by its lines: underlined headings, lists, literal blocks, tables, paragraphs.

Comments are left out. Nothing is included or executed; directives stay as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from contextkit.documents.building import Source, finished, iso_date, one_line
from contextkit.types import JSON, Block, BlockKind, Document

_RULE = re.compile(r"([=\-`:'\"~^_*+#<>.])\1{2,}\s*")
_BULLET = re.compile(r"(\s*)(?:[-*+•]|(?:\d{1,3}|#|[a-zA-Z])[.)]|\((?:\d{1,3}|[a-zA-Z])\))\s+\S")
_GRID = re.compile(r"\s*(?:\+[-=+]{3,}\+|={2,}(?:\s+={2,})+)\s*")
_COMMENT = re.compile(r"\.\.(?:\s+(?![\w-]+::|\[|_|\|)\S.*)?$")
_FIELD = re.compile(r":([A-Za-z][\w ]*):\s*(.*)")
_CODE = re.compile(r"\.\.\s+(?:code-block|code|sourcecode|parsed-literal|literalinclude|highlight|math)::")


def read(source: Source) -> Document:
    """The text with its blocks; the title is the first heading."""
    lines = _without_comments(source.text().expandtabs(8).split("\n"))
    metadata: dict[str, JSON] = {}
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    text = "\n".join(lines)
    blocks: list[Block] = []
    title = ""
    for kind, first, last, level in _runs(lines):
        piece = text[offsets[first] : min(offsets[last], len(text))]
        lead = len(piece) - len(piece.lstrip())
        if lead == len(piece):
            continue
        blocks.append(Block(kind, offsets[first] + lead, offsets[first] + len(piece.rstrip()), level))
        if kind is BlockKind.HEADING and not title:
            title = one_line(" ".join(ln for ln in lines[first:last] if not _RULE.fullmatch(ln)))
        elif not metadata:
            metadata = _fields(lines[first:last])
    return finished(source, text, blocks, title=title, metadata=metadata)


def _fields(lines: list[str]) -> dict[str, JSON]:
    """The document's field list (:Author: ..., :Date: ...), where a block is one."""
    found = [_FIELD.fullmatch(line.strip()) for line in lines]
    fields = {m.group(1).strip().lower(): m.group(2).strip() for m in found if m}
    if not fields or not all(found):
        return {}
    return {"author": fields.get("author") or fields.get("authors", ""), "created": iso_date(fields.get("date", ""))}


def _without_comments(lines: list[str]) -> list[str]:
    out: list[str] = []
    skipping = -1
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if skipping >= 0 and line.strip() and indent <= skipping:
            skipping = -1
        if skipping < 0 and _COMMENT.fullmatch(line.strip()):
            skipping = indent
        out.append("" if skipping >= 0 else line)
    return out


def _runs(lines: list[str]) -> Iterator[tuple[BlockKind, int, int, int]]:
    """(kind, first line, one past the last, level) of each block."""
    levels: list[str] = []
    at = 0
    literal = -1  # the indentation above which lines are literal
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        indent = len(lines[at]) - len(lines[at].lstrip())
        if literal >= 0 and indent > literal:
            end = _indented(lines, at, literal)
            yield BlockKind.CODE, at, end, 0
            at, literal = end, -1
            continue
        literal = -1
        heading = _heading(lines, at, levels)
        if heading:
            yield BlockKind.HEADING, at, at + heading[0], heading[1]
            at += heading[0]
            continue
        end = at + 1
        while end < len(lines) and lines[end].strip() and not (end > at and _heading(lines, end, list(levels))):
            end += 1
        yield from _block(lines, at, end)
        last = lines[end - 1].rstrip()
        if last.endswith("::") or _CODE.match(lines[at].strip()):
            literal = indent
        at = end


def _heading(lines: list[str], at: int, levels: list[str]) -> tuple[int, int] | None:
    """(lines taken, level) of a heading that begins at a line; its style is noted in `levels`."""
    line = lines[at]
    if _RULE.fullmatch(line) and at + 2 < len(lines) and lines[at + 1].strip() and lines[at + 2].rstrip() == line.rstrip():
        style, taken = line[0] * 2, 3
    elif line.strip() and not line[0].isspace() and at + 1 < len(lines) and _RULE.fullmatch(lines[at + 1]):
        if _RULE.fullmatch(line) or len(lines[at + 1].rstrip()) < min(len(line.rstrip()), 4):
            return None
        style, taken = lines[at + 1][0], 2
    else:
        return None
    if style not in levels:
        levels.append(style)
    return taken, levels.index(style) + 1


def _indented(lines: list[str], at: int, literal: int) -> int:
    end = at
    for number in range(at, len(lines)):
        if lines[number].strip():
            if len(lines[number]) - len(lines[number].lstrip()) <= literal:
                break
            end = number + 1
    return end


def _block(lines: list[str], at: int, end: int) -> Iterator[tuple[BlockKind, int, int, int]]:
    """A run of lines without an empty one as one block, or as several list items."""
    if _GRID.fullmatch(lines[at]) or _CODE.match(lines[at].strip()):
        yield BlockKind.CODE, at, end, 0  # a drawn table keeps its lines
        return
    if not _BULLET.match(lines[at]):
        yield BlockKind.PARAGRAPH, at, end, 0
        return
    begins = [n for n in range(at, end) if _BULLET.match(lines[n])]
    for first, last in zip(begins, [*begins[1:], end], strict=True):
        yield BlockKind.LIST_ITEM, first, last, (len(lines[first]) - len(lines[first].lstrip())) // 2
