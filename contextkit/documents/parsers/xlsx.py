"""Excel (.xlsx): a page a sheet, each table found in it as rows of cells, with formulas' stored values, chart data and comments.

Reads cell by cell and stops at the limits below, so that a sheet of a million empty or repeated rows stays small. Numbers, dates,
strings are read in `xlsx_values`, tables are told apart in `grids`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from contextkit.documents.archives import check_entities, read_member
from contextkit.documents.building import Builder, Source, one_line
from contextkit.documents.parsers.grids import MOST_CELLS, Cells, add_tables
from contextkit.documents.parsers.ooxml import Package, add_chart, attribute, child, children, core_properties, find_all, local
from contextkit.documents.parsers.xlsx_values import Formats, shared_strings, value_of
from contextkit.errors import ParseError
from contextkit.types import BlockKind, Document

if TYPE_CHECKING:
    from lxml.etree import _Element

_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_MERGED = 2_000
_MERGED_CELLS = 400


def read(source: Source) -> Document:
    """The sheets in their order, hidden ones left out, each under its name as a heading."""
    package = Package.open(source)
    part = package.main_part("xl/workbook.xml")
    root = package.root(part)
    builder = Builder()
    core_properties(package, builder)
    strings = shared_strings(package, part)
    formats = Formats.of(package, part, root)
    relations = package.relations(part)
    for sheet in children(child(root, "sheets"), "sheet"):
        if attribute(sheet, "state") in ("hidden", "veryHidden"):
            continue
        relation = next((relations[v] for k, v in sheet.attrib.items() if str(k).endswith("}id") and v in relations), None)
        with builder.page():
            builder.heading(attribute(sheet, "name"), 1)
            if relation is not None and not relation.external and relation.target in package.names:
                _sheet(package, relation.target, builder, strings, formats)
    return builder.build(source)


def _sheet(package: Package, part: str, builder: Builder, strings: list[str], formats: Formats) -> None:
    cells, merged, cut = _cells(package, part, strings, formats)
    _fill_merged(cells, merged)
    add_tables(builder, cells)
    if cut:
        builder.paragraph(f"(The sheet goes on: the first {MOST_CELLS:,} cells are read.)")
    for drawing in package.related(part, "drawing"):
        _drawing(package, drawing, builder)
    _comments(package, part, builder)


def _cells(package: Package, part: str, strings: list[str], formats: Formats) -> tuple[Cells, list[str], bool]:
    """The texts of the cells that hold any by row and column, the merged ranges, and whether the sheet was cut off."""
    from io import BytesIO

    from lxml import etree

    data = read_member(package.archive, part, package.what)
    check_entities(data, package.what)
    cells: Cells = {}
    merged: list[str] = []
    row = column = 0
    events = etree.iterparse(BytesIO(data), events=("start", "end"), resolve_entities=False, no_network=True)
    try:
        for event, element in events:
            name = local(element)
            if name == "row" and event == "start":
                row, column = _row(attribute(element, "r"), row + 1), 0
            elif name == "row":
                _forget(element)
            elif name == "c" and event == "end":
                column = _place(attribute(element, "r"), column + 1)
                if text := value_of(element, strings, formats):
                    cells[row, column] = text
                if len(cells) >= MOST_CELLS:
                    return cells, merged, True
            elif name == "mergeCell" and event == "end" and len(merged) < _MERGED:
                merged.append(attribute(element, "ref"))
    except etree.XMLSyntaxError as error:
        raise ParseError(f"{package.what}: the sheet {part!r} is malformed ({error})") from error
    return cells, merged, False


def _forget(row: _Element) -> None:
    """Free a row that was read, and those before it."""
    row.clear()
    parent = row.getparent()
    while parent is not None and row.getprevious() is not None:
        del parent[0]


def _row(stated: str, otherwise: int) -> int:
    return int(stated) if stated.isdigit() and len(stated) < 9 else otherwise


def _place(reference: str, otherwise: int) -> int:
    found = _REFERENCE.fullmatch(reference)
    return _column(found.group(1)) if found else otherwise


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _fill_merged(cells: Cells, ranges: list[str]) -> None:
    """Repeat the text of a merged range in its cells, as each row is read alone; very large ones stay one cell."""
    for reference in ranges:
        corners = _REFERENCE.findall(reference)
        if len(corners) != 2:
            continue
        (a, b), (c, d) = ((int(n), _column(letters)) for letters, n in corners)
        text = cells.get((a, b))
        if text and (c - a + 1) * (d - b + 1) <= _MERGED_CELLS:
            cells.update({(row, column): text for row in range(a, c + 1) for column in range(b, d + 1)})


def _drawing(package: Package, part: str, builder: Builder) -> None:
    root = package.optional(part)
    if root is None:
        return
    for body in find_all(root, "txBody"):
        builder.paragraph("\n".join("".join(t.text or "" for t in find_all(p, "t")) for p in children(body, "p")))
    for chart in package.related(part, "chart"):
        chart_root = package.optional(chart)
        if chart_root is not None:
            add_chart(builder, chart_root)


def _comments(package: Package, part: str, builder: Builder) -> None:
    """Append comments, each with its author and, of a thread, its time."""
    people = {
        attribute(p, "id"): attribute(p, "displayName")
        for name in package.names
        if name.startswith("xl/persons/")
        for p in children(package.optional(name), "person")
    }
    threaded = False
    for name in package.related(part, "threadedComment"):
        for item in children(package.optional(name), "threadedComment"):
            threaded = True
            text = child(item, "text")
            _comment(
                builder,
                people.get(attribute(item, "personId"), ""),
                attribute(item, "dT"),
                (text.text or "") if text is not None else "",
            )
    for name in package.related(part, "comments"):
        root = package.optional(name)
        authors = [a.text or "" for a in children(child(root, "authors"), "author")]
        for item in _plain_comments(root):
            number = attribute(item, "authorId")
            who = authors[int(number)] if number.isdigit() and int(number) < len(authors) else ""
            if not (threaded and who.startswith("tc=")):
                _comment(builder, who, "", "".join(t.text or "" for t in find_all(item, "t")))


def _plain_comments(root: _Element | None) -> Iterator[_Element]:
    yield from children(child(root, "commentList"), "comment")


def _comment(builder: Builder, who: str, when: str, text: str) -> None:
    facts = ", ".join(f"{k}: {v}" for k, v in (("author", who), ("time", when)) if v)
    if text.strip():
        builder.add(BlockKind.PARAGRAPH, one_line(f"[{facts}]: {text}"))
