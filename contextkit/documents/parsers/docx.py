"""Word (.docx): paragraphs, headings by style, numbered and bulleted lists, tables, text boxes, notes, formulas, chart data.

Deleted and hidden text is left out, inserted text is in; headers, footers and reviewers' comments are not part of the text.
Styles and numbering are read in `docx_styles`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, Source, one_line
from contextkit.documents.parsers.docx_styles import Numbering, Styles
from contextkit.documents.parsers.omml import formula
from contextkit.documents.parsers.ooxml import (
    Package,
    Relation,
    add_chart,
    attribute,
    child,
    children,
    core_properties,
    find_all,
    local,
)
from contextkit.types import BlockKind, Document

if TYPE_CHECKING:
    from lxml.etree import _Element

_CONTAINERS = frozenset({"sdt", "sdtContent", "customXml", "smartTag", "ins", "moveTo", "body", "AlternateContent"})
_IGNORED = frozenset(
    {"del", "moveFrom", "rPr", "pPr", "instrText", "delText", "sdtPr", "proofErr", "bookmarkStart", "bookmarkEnd"}
)


def read(source: Source) -> Document:
    """The document; its title is the stated one, else that of style Title, else the first heading."""
    package = Package.open(source)
    part = package.main_part("word/document.xml")
    builder = Builder()
    core_properties(package, builder)
    walker = _Walker(package, part, builder, Styles.of(package, part), Numbering.of(package, part), package.relations(part))
    body = child(package.root(part), "body")
    if body is not None:
        walker.blocks(body)
    walker.notes()
    builder.title = builder.title or walker.title or walker.first_heading
    return builder.build(source)


@dataclass(slots=True)
class _Walker:
    package: Package
    part: str
    builder: Builder
    styles: Styles
    numbering: Numbering
    relations: dict[str, Relation]
    title: str = ""
    first_heading: str = ""
    code: list[str] = field(default_factory=list)
    boxes: list[_Element] = field(default_factory=list)

    def blocks(self, element: _Element) -> None:
        for item in element:
            name = local(item)
            if name == "p":
                self.paragraph(item)
            elif name == "tbl":
                self._end_code()
                self.table(item)
            elif name == "AlternateContent":
                self.blocks(_chosen(item))
            elif name in _CONTAINERS:
                self.blocks(item)
        self._end_code()

    def paragraph(self, element: _Element) -> None:
        text = "".join(self._inline(element)).strip("\n")
        style = self.styles.of_paragraph(element)
        if style.code and text.strip():
            self.code.append(text)
        else:
            self._end_code()
            self._text_block(element, text)
        boxes, self.boxes = self.boxes, []
        for box in boxes:
            self.blocks(box)
        self._charts(element)

    def _text_block(self, element: _Element, text: str) -> None:
        style = self.styles.of_paragraph(element)
        number = self.numbering.of_paragraph(element, style.numbering) if text.strip() else None
        text = text.replace("\t", " ")
        if style.level:
            mark = number.text if number is not None and number.ordered else ""
            heading = one_line(f"{mark} {text}")
            self.builder.heading(heading, style.level)
            self.title = self.title or (one_line(text) if style.is_title else "")
            self.first_heading = self.first_heading or heading
        elif number is not None:
            self.builder.item(text, number.level, number.text)
        elif style.quote:
            self.builder.add(BlockKind.QUOTE, one_line(text))
        elif style.bullet:
            self.builder.item(text)
        else:
            self.builder.paragraph(text)

    def _end_code(self) -> None:
        if self.code:
            self.builder.add(BlockKind.CODE, "\n".join(self.code))
            self.code.clear()

    def _inline(self, element: _Element) -> Iterator[str]:
        """The visible text of runs in order; text boxes are kept for after the paragraph."""
        for item in element:
            name = local(item)
            if name in _LEAVES:
                yield _LEAVES[name](item)
            elif name == "AlternateContent":
                yield from self._inline(_chosen(item))
            elif name == "txbxContent":
                self.boxes.append(item)
            elif name == "sdt" and (box := next(find_all(item, "checkbox"), None)) is not None:
                yield _checkbox(box)
            elif name not in _IGNORED and not (name == "r" and _hidden(item)):
                yield from self._inline(item)

    def _charts(self, element: _Element) -> None:
        for chart in find_all(element, "chart"):
            relation = self.relations.get(attribute(chart, "id"))
            root = self.package.optional(relation.target) if relation is not None and not relation.external else None
            if root is not None:
                add_chart(self.builder, root)

    def table(self, element: _Element) -> None:
        rows = self._rows(element)
        cells = [cell for row in rows for cell in row]
        if len(cells) == 1 or (rows and all(len(row) == 1 for row in rows) and len(rows) == 1):
            self.builder.paragraph(cells[0])
        else:
            self.builder.table(rows)

    def _rows(self, element: _Element) -> list[list[str]]:
        rows: list[list[str]] = []
        for row in _through(element, "tr"):
            line: list[str] = [""] * _count(child(row, "trPr", "gridBefore"), 0)
            for cell in _through(row, "tc"):
                properties = child(cell, "tcPr")
                merge = child(properties, "vMerge")
                above = rows[-1][len(line)] if rows and len(rows[-1]) > len(line) else ""
                goes_on = merge is not None and attribute(merge, "val") != "restart"
                text = above if goes_on else self._cell(cell)
                line.extend([text] * min(_count(child(properties, "gridSpan"), 1), 200))
            rows.append(line)
        return rows

    def _cell(self, cell: _Element) -> str:
        """A cell's text on one line: paragraphs, list items with their marks, nested tables."""
        parts: list[str] = []
        for item in cell:
            name = local(item)
            if name == "p":
                text = one_line("".join(self._inline(item)))
                number = self.numbering.of_paragraph(item, self.styles.of_paragraph(item).numbering) if text else None
                parts.append(f"{number.text} {text}" if number is not None else text)
                boxes, self.boxes = self.boxes, []
                parts.extend(self._cell(box) for box in boxes)
            elif name == "tbl":
                parts.extend(text for row in self._rows(item) for text in row)
            elif name in _CONTAINERS:
                parts.append(self._cell(item))
        return " ".join(part for part in parts if part)

    def notes(self) -> None:
        """Append foot- and endnotes with the marks that the text has for them."""
        for kind, name in (("footnotes", "footnote"), ("endnotes", "endnote")):
            for part in self.package.related(self.part, kind):
                root = self.package.optional(part)
                for note in children(root, name):
                    if attribute(note, "type") in ("", "normal"):
                        text = one_line(" ".join("".join(self._inline(p)) for p in children(note, "p")))
                        if text:
                            self.builder.paragraph(f"[{attribute(note, 'id')}] {text}")


def _chosen(element: _Element) -> _Element:
    """The one of several alternatives that is read: the fallback where it has text, as it is the simpler one."""
    fallback = child(element, "Fallback")
    choice = child(element, "Choice")
    if choice is not None and (
        fallback is None or any(True for _ in find_all(choice, "t")) or any(True for _ in find_all(choice, "chart"))
    ):
        return choice
    return fallback if fallback is not None else element


def _through(element: _Element, name: str) -> Iterator[_Element]:
    """Child elements with a name, also inside content controls."""
    for item in element:
        if local(item) == name:
            yield item
        elif local(item) in _CONTAINERS:
            yield from _through(item, name)


def _hidden(run: _Element) -> bool:
    vanish = child(run, "rPr", "vanish")
    return vanish is not None and attribute(vanish, "val") not in ("0", "false", "off")


def _symbol(element: _Element) -> str:
    code = attribute(element, "char")
    try:
        char = chr(int(code, 16))
    except (ValueError, OverflowError):
        return ""
    return {"\uf0fe": "[x]", "\uf0a8": "[ ]", "\uf06f": "[ ]", "\uf0b7": "•"}.get(
        char, "" if "\ue000" <= char <= "\uf8ff" else char
    )


def _checkbox(element: _Element) -> str:
    state = child(element, "checked")
    if state is None:
        state = child(element, "default")
    return "[x] " if state is not None and attribute(state, "val") not in ("0", "false", "off") else "[ ] "


def _count(element: _Element | None, otherwise: int) -> int:
    value = attribute(element, "val")
    return int(value) if value.isdigit() and len(value) < 5 else otherwise


def _reference(element: _Element) -> str:
    return f"[{attribute(element, 'id')}]"


_LEAVES: dict[str, Callable[[_Element], str]] = {
    "t": lambda e: e.text or "",
    "tab": lambda e: "\t",  # noqa: ARG005 one signature for all
    "br": lambda e: "\n",  # noqa: ARG005 one signature for all
    "cr": lambda e: "\n",  # noqa: ARG005 one signature for all
    "noBreakHyphen": lambda e: "-",  # noqa: ARG005 one signature for all
    "oMath": lambda e: f" {formula(e)} ",
    "oMathPara": lambda e: f" {' '.join(formula(m) for m in children(e, 'oMath'))} ",
    "sym": _symbol,
    "checkBox": _checkbox,
    "checkbox": _checkbox,
    "footnoteReference": _reference,
    "endnoteReference": _reference,
}
