"""OpenDocument (.odt, .odp, .ods): text, slides and sheets, with headings, lists, tables and notes.

Slides and sheets are pages. Tracked deletions, headers and footers are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.documents.archives import open_zip, read_member, xml_root
from contextkit.documents.building import Builder, Source, iso_date, one_line
from contextkit.documents.parsers.grids import MOST_CELLS, Cells, add_tables
from contextkit.documents.parsers.ooxml import attribute, child, children, find_all, local
from contextkit.errors import EncryptedDocument
from contextkit.types import BlockKind, Document

if TYPE_CHECKING:
    from lxml.etree import _Element

_SKIPPED = frozenset(
    {
        "tracked-changes",
        "sequence-decls",
        "forms",
        "annotation",
        "annotation-end",
        "binary-data",
        "variable-decls",
        "desc",
        "title",
    }
)
_REPEATS = 200


def read(source: Source) -> Document:
    """The document; its title is the stated one, else the paragraph of style Title, else the first heading."""
    what = repr(source.blob.name or source.blob.id)
    archive = open_zip(source.data, what)
    if "META-INF/manifest.xml" in archive.namelist() and b"encryption-data" in read_member(
        archive, "META-INF/manifest.xml", what
    ):
        raise EncryptedDocument(f"{what} is an OpenDocument file with a password; save it without one")
    root = xml_root(read_member(archive, "content.xml", what), what)
    builder = Builder()
    if "meta.xml" in archive.namelist():
        _facts(builder, xml_root(read_member(archive, "meta.xml", what), what, recover=True))
    styles = _paragraph_styles(root)
    if "styles.xml" in archive.namelist():
        other = xml_root(read_member(archive, "styles.xml", what), what, recover=True)
        styles = {**_paragraph_styles(other), **styles}
        numbered = _numbered_lists(other) | _numbered_lists(root)
    else:
        numbered = _numbered_lists(root)
    walker = _Walker(builder, styles, numbered)
    body = child(root, "body")
    for part in body if body is not None else ():
        walker.part(part)
    builder.title = builder.title or walker.title
    return builder.build(source)


def _facts(builder: Builder, root: _Element) -> None:
    values = {local(e): one_line(e.text or "") for holder in root for e in holder}
    builder.title, builder.language = values.get("title", ""), values.get("language", "")
    builder.metadata.update(
        author=values.get("initial-creator") or values.get("creator", ""),
        created=iso_date(values.get("creation-date", "")),
        modified=iso_date(values.get("date", "")),
        subject=values.get("subject", ""),
        description=values.get("description", "")[:1000],
    )


def _paragraph_styles(root: _Element) -> dict[str, str]:
    """The display name or parent of each paragraph style, which tells titles, headings, code and quotes."""
    return {
        attribute(s, "name"): f"{attribute(s, 'display-name')} {attribute(s, 'parent-style-name')}"
        for s in find_all(root, "style")
    }


def _numbered_lists(root: _Element) -> frozenset[tuple[str, int]]:
    """(list style, depth from 0) of the numbered ones."""
    out: set[tuple[str, int]] = set()
    for style in find_all(root, "list-style"):
        for level in children(style, "list-level-style-number"):
            depth = attribute(level, "level")
            if depth.isdigit() and attribute(level, "num-format"):
                out.add((attribute(style, "name"), int(depth) - 1))
    return frozenset(out)


@dataclass(slots=True)
class _Walker:
    builder: Builder
    styles: dict[str, str]
    numbered: frozenset[tuple[str, int]]
    title: str = ""
    notes: list[str] = field(default_factory=list)

    def part(self, part: _Element) -> None:
        kind = local(part)
        if kind == "spreadsheet":
            for table in children(part, "table"):
                with self.builder.page():
                    self.builder.heading(attribute(table, "name"), 1)
                    add_tables(self.builder, _sheet_cells(table))
        elif kind == "presentation":
            for page in children(part, "page"):
                with self.builder.page():
                    self.slide(page)
        else:
            self.blocks(part, 0)
            for note in self.notes:
                self.builder.paragraph(note)

    def slide(self, page: _Element) -> None:
        frames = [f for f in page if local(f) not in ("notes", "forms", "animations")]
        titles = [f for f in frames if attribute(f, "class") == "title"]
        for frame in titles:
            text = one_line(" ".join(_text(p) for p in find_all(frame, "p")))
            self.builder.heading(text, 1)
            self.title = self.title or text
        for frame in frames:
            if frame not in titles:
                self.blocks([frame], 0)
        notes = child(page, "notes")
        text = "\n".join(_text(p) for p in find_all(notes, "p")).strip() if notes is not None else ""
        if text:
            self.builder.paragraph(f"Notes: {text}")

    def blocks(self, elements: Iterable[_Element], depth: int) -> None:
        for item in elements:
            name = local(item)
            if name == "h":
                self.heading(item)
            elif name == "p":
                self.paragraph(item)
            elif name == "list":
                self.list(item, 0, "")
            elif name == "table":
                self.table(item)
            elif name not in _SKIPPED and name and depth < 60:
                self.blocks(item, depth + 1)

    def heading(self, item: _Element) -> None:
        level = attribute(item, "outline-level")
        text = one_line(self.inline(item))
        self.builder.heading(text, int(level) if level.isdigit() else 1)
        self.title = self.title or text

    def paragraph(self, item: _Element) -> None:
        text = self.inline(item)
        name = attribute(item, "style-name")
        style = f"{name} {self.styles.get(name, '')}".lower()
        if "subtitle" in style.split() or "title" in style.split():
            level = 2 if "subtitle" in style.split() else 1
            self.builder.heading(text, level)
            self.title = self.title or one_line(text)
        elif "preformatted" in style or "source" in style.split():
            self.builder.add(BlockKind.CODE, text)
        elif "quotations" in style:
            self.builder.add(BlockKind.QUOTE, one_line(text))
        else:
            self.builder.paragraph(text)
        for box in find_all(item, "text-box"):
            self.blocks(box, 1)

    def list(self, element: _Element, depth: int, style: str) -> None:
        style = attribute(element, "style-name") or style
        ordered = (style, depth) in self.numbered
        number = 0
        for item in element:
            if local(item) not in ("list-item", "list-header"):
                continue
            number += 1
            start = attribute(item, "start-value")
            number = int(start) if start.isdigit() and len(start) < 7 else number
            mark = f"{number}." if ordered else "-"
            for part in item:
                name = local(part)
                if name == "list" and depth < 40:
                    self.list(part, depth + 1, style)
                elif name == "h":
                    self.heading(part)
                elif name == "p":
                    self.builder.item(self.inline(part), depth, mark)
                    mark = ""

    def table(self, element: _Element) -> None:
        rows = [[cell for cell, _ in row] for row in _table_rows(element, self)]
        if len(rows) == 1 and len(rows[0]) == 1:
            self.builder.paragraph(rows[0][0])
        else:
            self.builder.table(rows)

    def inline(self, element: _Element) -> str:
        """A paragraph's text; notes are kept for the end, under their marks."""
        for note in find_all(element, "note"):
            mark, body = child(note, "note-citation"), child(note, "note-body")
            text = one_line(" ".join(_text(p) for p in find_all(body, "p"))) if body is not None else ""
            self.notes.append(f"[{mark.text if mark is not None else ''}] {text}")
        return _text(element)


def _text(element: _Element) -> str:
    """The text of a paragraph; tabs, spaces and line breaks are elements of their own."""
    parts = [element.text or ""]
    for item in element:
        name = local(item)
        if name == "s":
            count = attribute(item, "c")
            parts.append(" " * (min(int(count), 100) if count.isdigit() else 1))
        elif name == "tab":
            parts.append(" ")
        elif name == "line-break":
            parts.append("\n")
        elif name == "note":
            mark = child(item, "note-citation")
            parts.append(f"[{mark.text or ''}]" if mark is not None else "")
        elif name == "frame":
            parts.extend(one_line(e.text or "") for e in item if local(e) in ("title", "desc"))
            parts.append(" ")
        elif name and name not in _SKIPPED:
            parts.append(_text(item))
        parts.append(item.tail or "")
    return "".join(parts)


def _repeat(element: _Element, name: str, most: int) -> int:
    value = attribute(element, name)
    return max(1, min(int(value), most)) if value.isdigit() else 1


def _through(element: _Element, names: frozenset[str]) -> Iterator[_Element]:
    for item in element:
        if local(item) in names:
            yield item
        elif local(item) in ("table-header-rows", "table-rows", "table-row-group", "table-header-columns"):
            yield from _through(item, names)


_ROW = frozenset({"table-row"})
_CELL = frozenset({"table-cell", "covered-table-cell"})


def _table_rows(element: _Element, walker: _Walker) -> Iterator[list[tuple[str, int]]]:
    """A text table's rows; a cell over several columns or rows is repeated in each."""
    down: dict[int, tuple[int, str]] = {}
    for row in _through(element, _ROW):
        line: list[tuple[str, int]] = []
        for cell in _through(row, _CELL):
            column = len(line)
            if local(cell) == "covered-table-cell":
                left, text = down.get(column, (0, line[-1][0] if line else ""))
                if left:
                    down[column] = (left - 1, text)
                line.extend([(text, 0)] * _repeat(cell, "number-columns-repeated", _REPEATS))
                continue
            text = _cell_text(cell, walker)
            high, wide = _repeat(cell, "number-rows-spanned", 10_000), _repeat(cell, "number-columns-spanned", _REPEATS)
            for at in range(column, column + wide):
                down[at] = (high - 1, text)
            line.extend([(text, 0)] * _repeat(cell, "number-columns-repeated", _REPEATS))
        yield line


def _cell_text(cell: _Element, walker: _Walker) -> str:
    parts: list[str] = []
    for item in cell:
        name = local(item)
        if name in ("p", "h"):
            parts.append(walker.inline(item))
        elif name == "list":
            ordered = (attribute(item, "style-name"), 0) in walker.numbered
            for number, paragraph in enumerate(find_all(item, "p"), 1):
                parts.append(f"{number}. {_text(paragraph)}" if ordered else f"- {_text(paragraph)}")
        elif name == "table":
            parts.extend(text for row in _table_rows(item, walker) for text, _ in row)
    return one_line(" ".join(parts))


def _sheet_cells(table: _Element) -> Cells:
    cells: Cells = {}
    row = 0
    for line in _through(table, _ROW):
        column = 0
        found: dict[int, str] = {}
        for cell in _through(line, _CELL):
            text = one_line(" ".join(_text(p) for p in children(cell, "p")))
            stated = attribute(cell, "number-columns-repeated")
            count = int(stated) if stated.isdigit() else 1
            if text:
                found.update({column + i: text for i in range(min(count, _REPEATS))})
            column += count
        stated = attribute(line, "number-rows-repeated")
        count = int(stated) if stated.isdigit() else 1
        for i in range(min(count, _REPEATS) if found else 0):
            cells.update({(row + i, at): text for at, text in found.items()})
        row += count
        if len(cells) > MOST_CELLS:
            break
    return cells
