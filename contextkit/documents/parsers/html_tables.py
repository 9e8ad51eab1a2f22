"""HTML tables to rows of cells: spans filled out, tables that only lay out the page told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from contextkit.documents.building import one_line
from contextkit.documents.parsers.html_tree import Holding, children, inner_text

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

# what a cell that spans others may add, in characters: so much in each table, and more for each row and each letter of it
_REPEATS, _REPEATS_A_ROW = 5_000, 200
_LETTERS_A_LETTER = 30
_RAGGED = 10_000, 20  # cells, and cells for each real one, that filling up all rows to the widest may make


def is_data_table(table: LexborNode, holding: Holding) -> bool:
    """Whether a table holds data; one that holds long tables, sections or many headings lays out the page."""
    if table.attributes.get("role") in ("presentation", "none"):
        return False
    if holding("th, caption, thead", table) and _has_header(table):
        return True
    if holding("h1, h2, h3, form, article, section", table):
        return False
    return not holding("table", table) or sum(1 for _ in _rows(table)) > 1


def _has_header(table: LexborNode) -> bool:
    if next(children(table, ("caption", "thead")), None) is not None:
        return True
    return any(next(children(row, ("th",)), None) is not None for row in _rows(table))


def table_rows(table: LexborNode, unseen: Callable[[LexborNode], bool]) -> list[list[str]]:
    """The rows of cells, top to bottom; a cell that spans columns or rows is repeated in each, as each row is read alone.

    A table that would grow out of all proportion by that is not filled further: each cell then stands once.
    """
    rows: list[list[str]] = []
    carried: dict[int, tuple[int, str]] = {}  # column -> rows still to fill, text
    seen = [row for row in _rows(table) if not unseen(row)]
    spare = _REPEATS + _REPEATS_A_ROW * len(seen)
    for number, row in enumerate(seen):
        line: list[str] = []
        for cell in children(row, ("td", "th")):
            if unseen(cell):
                continue
            _fill(line, carried)
            text = one_line(inner_text(cell, unseen))
            spare += _LETTERS_A_LETTER * len(text)
            wide, high = _span(cell, "colspan"), min(_span(cell, "rowspan"), len(seen) - number)
            cost = (wide * high - 1) * (len(text) + 3)
            if cost > spare:
                wide, high, cost = 1, 1, 0
            spare -= cost
            for _ in range(wide):
                if high > 1:
                    carried[len(line)] = (high - 1, text)
                line.append(text)
        _fill(line, carried)
        rows.append(line)
    return rows


def ragged(rows: list[list[str]]) -> bool:
    """Whether the rows are of lengths so different that a table with as many columns in each would be all but empty."""
    free, each = _RAGGED
    return len(rows) * max(map(len, rows), default=0) > free + each * sum(map(len, rows))


def _fill(line: list[str], carried: dict[int, tuple[int, str]]) -> None:
    """Put in the cells that reach down from rows above into the next columns."""
    while len(line) in carried:
        left, text = carried.pop(len(line))
        if left > 1:
            carried[len(line)] = (left - 1, text)
        line.append(text)


def _rows(table: LexborNode) -> Iterator[LexborNode]:
    for part in children(table, ("tr", "thead", "tbody", "tfoot")):
        if part.tag == "tr":
            yield part
        else:
            yield from children(part, ("tr",))


def _span(cell: LexborNode, name: str) -> int:
    value = cell.attributes.get(name) or ""
    return max(1, min(int(value), 200)) if re.fullmatch(r"\s*\d{1,4}\s*", value) else 1
