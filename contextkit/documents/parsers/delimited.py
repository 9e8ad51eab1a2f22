"""CSV and TSV: one table, its delimiter found by which one cuts the lines most evenly."""

from __future__ import annotations

import csv
import io
from collections import Counter

from contextkit.documents.building import Builder, Source
from contextkit.types import BlockKind, Document

_DELIMITERS = ",;\t|"
_SAMPLE = 200
_FIELD = 1 << 24


def read(source: Source) -> Document:
    """The rows as one table with the first row as its header; text that no delimiter cuts is a table of one column."""
    text = source.text()
    builder = Builder()
    rows = _rows(text, "\t" if source.media_type == "text/tab-separated-values" and "\t" in text else delimiter_of(text))
    lead = 0
    while lead < len(rows) - 1 and len(rows[lead]) == 1 and len(rows[lead + 1]) != 1 and lead < 5:
        lead += 1  # a title above the header
    for row in rows[:lead]:
        builder.paragraph(row[0])
    if len(rows) - lead == 1 and len(rows[lead]) == 1:
        builder.add(BlockKind.PARAGRAPH, rows[lead][0])
    else:
        builder.table(rows[lead:])
    return builder.build(source)


def delimiter_of(text: str) -> str:
    """The character that cuts the first lines into the same number of more than one field most often; a comma where none does."""
    sample = "\n".join(text.split("\n", _SAMPLE)[:_SAMPLE])
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in _rows(sample, delimiter) if row]
        if not widths:
            continue
        width, count = Counter(widths).most_common(1)[0]
        score = (count / len(widths)) * (1 + min(width, 20) / 100) if width > 1 else 0.0
        if score > best_score + 1e-9:
            best, best_score = delimiter, score
    return best


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """The rows that hold anything. A quote that is never closed does not swallow the rest: then quotes are plain characters."""
    csv.field_size_limit(_FIELD)
    rows = [
        row
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        if any(c.strip() for c in row)
    ]
    lines = text.count("\n")
    if lines > 3 and len(rows) < 0.3 * lines and any(cell.count("\n") > 50 for row in rows for cell in row):
        plain = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
        rows = [row for row in plain if any(c.strip() for c in row)]
    return rows
