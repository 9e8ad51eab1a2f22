"""XML of no known family: its text by elements, with titles as headings, tables as tables and records as lines.

An element of mixed text is a paragraph; an element of elements that hold short values each is a record, its lines named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, one_line
from contextkit.documents.parsers.ooxml import attribute, child, find_all, local

if TYPE_CHECKING:
    from lxml.etree import _Element

_HEADINGS = frozenset({"title", "heading", "head", "caption", "h1", "h2", "h3", "h4", "h5", "h6", "headline", "subtitle"})
_PROSE = frozenset(
    {"p", "para", "paragraph", "para-num", "description", "abstract", "summary", "content", "text", "body", "note"}
)
_DEPTH = 150
_SHORT = 300


def add(builder: Builder, root: _Element) -> None:
    """Append the element's text."""
    stated = next((one_line(e.text) for e in root.iter() if local(e) in ("title", "headline") and (e.text or "").strip()), "")
    builder.title = builder.title or stated[:300]
    builder.language = builder.language or attribute(root, "lang")
    _walk(builder, root, 0)


def text_of(element: _Element, skipped: frozenset[str] = frozenset()) -> str:
    """All text of an element on one line, without that of the elements named."""
    parts: list[str] = []
    _collect(element, skipped, parts, 0)
    return one_line("".join(parts))


def _collect(element: _Element, skipped: frozenset[str], parts: list[str], depth: int) -> None:
    parts.append(element.text or "")
    for item in element:
        if local(item) and local(item) not in skipped and depth < _DEPTH:
            _collect(item, skipped, parts, depth + 1)
        parts.append(item.tail or "")


def rows_of(table: _Element) -> list[list[str]]:
    """The rows of a table in HTML's or CALS's elements; cells over several columns or rows are repeated in each."""
    rows: list[list[str]] = []
    down: dict[int, tuple[int, str]] = {}
    for row in table.iter():
        if local(row) not in ("tr", "row"):
            continue
        line: list[str] = []
        for cell in row:
            if local(cell) not in ("td", "th", "entry"):
                continue
            _carry(line, down)
            text = text_of(cell)
            high = _number(attribute(cell, "rowspan")) or _number(attribute(cell, "morerows")) + 1
            for _ in range(_width(cell)):
                if high > 1:
                    down[len(line)] = (high - 1, text)
                line.append(text)
        _carry(line, down)
        rows.append(line)
    return rows


def _width(cell: _Element) -> int:
    stated = _number(attribute(cell, "colspan"))
    first, last = (re.sub(r"\D", "", attribute(cell, name)) for name in ("namest", "nameend"))
    spanned = int(last) - int(first) + 1 if first and last and len(first) < 5 and len(last) < 5 else 1
    return max(1, min(stated or spanned, 200))


def _carry(line: list[str], down: dict[int, tuple[int, str]]) -> None:
    while len(line) in down:
        left, text = down.pop(len(line))
        if left > 1:
            down[len(line)] = (left - 1, text)
        line.append(text)


def _number(value: str) -> int:
    return int(value) if value.isdigit() and len(value) < 5 else 0


def _walk(builder: Builder, element: _Element, depth: int) -> None:
    name = local(element).lower()
    if not name:
        return
    elements = [e for e in element if local(e)]
    if (name in ("table", "tgroup") and any(True for e in find_all(element, "tr"))) or any(
        True for e in find_all(element, "row") if name == "tgroup"
    ):
        builder.table(rows_of(element))
    elif name in _HEADINGS and len(text_of(element)) < _SHORT:
        builder.heading(text_of(element), min(6, max(1, depth)))
    elif not elements:
        builder.paragraph(element.text or "")
    elif depth > _DEPTH or _is_prose(name, elements) or _mixed(element, elements):
        builder.paragraph(text_of(element))
    elif _is_record(elements):
        builder.paragraph("\n".join(f"{local(e)}: {text}" for e in elements if (text := text_of(e))))
    else:
        for item in elements:
            _walk(builder, item, depth + 1)


def _is_prose(name: str, elements: Sequence[_Element]) -> bool:
    """Whether an element is a paragraph by name, with no other one inside."""
    return name in _PROSE and not any(local(e).lower() in _PROSE for e in elements)


def _mixed(element: _Element, elements: Sequence[_Element]) -> bool:
    """Whether text stands between the elements."""
    return bool((element.text or "").strip()) or any((e.tail or "").strip() for e in elements)


def _is_record(elements: Sequence[_Element]) -> bool:
    """Whether the elements are fields: of different names, each with a short text and nothing inside."""
    names = [local(e) for e in elements]
    return (
        1 < len(elements) <= 60
        and len(set(names)) > 0.7 * len(names)
        and all(len(e) == 0 and len(e.text or "") < _SHORT for e in elements)
        and child(elements[0]) is not None
    )
