"""HTML tables to rows of cells: spans filled out, tables that only lay out the page told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from contextkit.documents.building import one_line

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_CELLS = 200_000
_BREAKS_WORDS = "br p div li tr td th dd dt h1 h2 h3 h4 h5 h6 ul ol pre table img "
_BREAKS = frozenset(_BREAKS_WORDS.split())


def is_data_table(table: LexborNode) -> bool:
    """Whether a table holds data; one that holds long tables, sections or many headings lays out the page."""
    if table.attributes.get("role") in ("presentation", "none"):
        return False
    if table.css_first("th, caption, thead") is not None:
        return True
    if table.css_first("h1, h2, h3, form, article, section") is not None:
        return False
    inner = table.css("table")
    own_rows = len(table.css("tr")) - sum(len(t.css("tr")) for t in inner if t != table)
    return len(inner) <= 1 or own_rows > 1


def table_rows(table: LexborNode, hidden: Callable[[LexborNode], bool], skipped: frozenset[str]) -> list[list[str]]:
    """The rows of cells, top to bottom; a cell that spans columns or rows is repeated in each, as each row is read alone."""
    rows: list[list[str]] = []
    carried: dict[int, tuple[int, str]] = {}  # column -> rows still to fill, text
    cells = 0
    for row in _rows(table):
        if hidden(row):
            continue
        line: list[str] = []
        for cell in _children(row, ("td", "th")):
            if hidden(cell):
                continue
            _fill(line, carried)
            text = one_line("".join(_texts(cell, hidden, skipped, 0)))
            wide, high = _span(cell, "colspan"), _span(cell, "rowspan")
            for _ in range(wide):
                if high > 1:
                    carried[len(line)] = (high - 1, text)
                line.append(text)
        _fill(line, carried)
        rows.append(line)
        cells += len(line)
        if cells > _CELLS:
            break
    return rows


def _fill(line: list[str], carried: dict[int, tuple[int, str]]) -> None:
    """Put in the cells that reach down from rows above into the next columns."""
    while len(line) in carried:
        left, text = carried.pop(len(line))
        if left > 1:
            carried[len(line)] = (left - 1, text)
        line.append(text)


def _rows(table: LexborNode) -> Iterator[LexborNode]:
    for part in _children(table, ("tr", "thead", "tbody", "tfoot")):
        if part.tag == "tr":
            yield part
        else:
            yield from _children(part, ("tr",))


def _children(node: LexborNode, tags: tuple[str, ...]) -> Iterator[LexborNode]:
    child = node.child
    while child is not None:
        if child.tag in tags:
            yield child
        child = child.next


def _texts(node: LexborNode, hidden: Callable[[LexborNode], bool], skipped: frozenset[str], depth: int) -> Iterator[str]:
    child = node.child
    while child is not None:
        tag = child.tag or ""
        if tag == "-text":
            yield child.text(deep=False)
        elif not tag.startswith(("-", "!")) and tag not in skipped and depth < 150 and not hidden(child):
            gap = " " if tag in _BREAKS else ""
            yield gap
            if tag == "img":
                yield child.attributes.get("alt") or ""
            yield from _texts(child, hidden, skipped, depth + 1)
            yield gap
        child = child.next


def _span(cell: LexborNode, name: str) -> int:
    value = cell.attributes.get(name) or ""
    return max(1, min(int(value), 200)) if re.fullmatch(r"\s*\d{1,4}\s*", value) else 1
