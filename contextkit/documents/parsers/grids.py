"""Sheets of cells to tables: what empty rows and columns part is told apart. Used for Excel and OpenDocument sheets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from contextkit.documents.building import Builder

MOST_CELLS = 300_000
"""Cells with text that are read of one sheet."""

Cells = dict[tuple[int, int], str]
"""The texts of the cells that hold any, by row and column."""


def add_tables(builder: Builder, cells: Cells) -> None:
    """Append the tables of a sheet from the top down; a single cell, or one column of long texts, becomes paragraphs."""
    for table in _islands(cells, 0):
        rows = sorted({row for row, _ in table})
        columns = sorted({column for _, column in table})
        if len(columns) == 1 and (len(rows) == 1 or max(len(text) for text in table.values()) > 80):
            for row in rows:
                builder.paragraph(table[row, columns[0]])
        else:
            _add(builder, [[table.get((row, column), "") for column in columns] for row in rows])


def _add(builder: Builder, rows: list[list[str]]) -> None:
    """Append a table; what was merged over all its width is a title above the header, and one cell below it."""
    lead = 0
    while lead < len(rows) - 1 and len(rows[lead]) > 2 and len(set(rows[lead])) == 1:
        builder.paragraph(rows[lead][0])
        lead += 1
    builder.table([row[:1] if len(row) > 2 and len(set(row)) == 1 and row[0] else row for row in rows[lead:]])


def _islands(cells: Cells, depth: int) -> Iterator[Cells]:
    """The parts of a sheet that empty rows, then empty columns, part, again and again."""
    if not cells:
        return
    axis = depth % 2
    parts = list(_bands(cells, axis))
    if len(parts) == 1 and depth > 0:
        yield cells
        return
    for part in parts:
        yield from _islands(part, depth + 1)


def _bands(cells: Cells, axis: int) -> Iterator[Cells]:
    taken = sorted({place[axis] for place in cells})
    band_of: dict[int, int] = {}
    for band, (_, members) in enumerate(groupby(enumerate(taken), key=lambda pair: pair[1] - pair[0])):
        band_of.update({position: band for _, position in members})
    bands: dict[int, Cells] = {}
    for place, text in cells.items():
        bands.setdefault(band_of[place[axis]], {})[place] = text
    yield from (bands[key] for key in sorted(bands))
