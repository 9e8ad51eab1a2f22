"""PowerPoint (.pptx): a page a slide, with its title, text, tables, chart data, notes and comments, in reading order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, Source, one_line
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

_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = frozenset({"dt", "ftr", "sldNum", "hdr", "sldImg"})
_BULLETED = frozenset({"", "body", "obj", "subTitle"})


def read(source: Source) -> Document:
    """The slides in their order, hidden ones left out; the title is the stated one, else that of the first slide."""
    package = Package.open(source)
    part = package.main_part("ppt/presentation.xml")
    builder = Builder()
    core_properties(package, builder)
    relations = package.relations(part)
    authors = _authors(package, part)
    first = ""
    for item in find_all(package.root(part), "sldId"):
        relation = relations.get(_relation_id(item))
        root = package.optional(relation.target) if relation is not None else None
        with builder.page():
            if relation is not None and root is not None and attribute(root, "show") != "0":
                slide = _Slide(package, relation.target, builder, package.relations(relation.target))
                slide.add(root)
                _notes(package, relation.target, builder)
                _comments(package, relation.target, builder, authors)
                first = first or slide.title
    builder.title = builder.title or first
    return builder.build(source)


def _relation_id(element: _Element) -> str:
    for key, value in element.attrib.items():
        if str(key).endswith("}id"):
            return str(value)
    return ""


@dataclass(slots=True)
class _Slide:
    package: Package
    part: str
    builder: Builder
    relations: dict[str, Relation]
    title: str = ""
    counts: dict[int, int] = field(default_factory=dict)

    def add(self, root: _Element) -> None:
        tree = child(root, "cSld", "spTree")
        if tree is None:
            return
        shapes = list(_shapes(tree))
        titles = [s for s in shapes if _placeholder(s) in _TITLES]
        for shape in [*titles, *(s for s in shapes if s not in titles)]:
            self._shape(shape)

    def _shape(self, shape: _Element) -> None:
        kind = _placeholder(shape)
        if kind in _FURNITURE:
            return
        for table in find_all(shape, "tbl"):
            self.builder.table(_rows(table))
        for chart in find_all(shape, "chart"):
            relation = self.relations.get(_relation_id(chart))
            root = self.package.optional(relation.target) if relation is not None else None
            if root is not None:
                add_chart(self.builder, root)
        for diagram in find_all(shape, "relIds"):
            self._diagram(diagram)
        body = child(shape, "txBody")
        if body is None:
            return
        if kind in _TITLES:
            text = one_line(" ".join(_text(p) for p in children(body, "p")))
            self.title = self.title or text
            self.builder.heading(text, 1)
        else:
            self._paragraphs(body, bulleted=kind is not None and kind in _BULLETED)

    def _diagram(self, element: _Element) -> None:
        relation = self.relations.get(attribute(element, "dm"))
        root = self.package.optional(relation.target) if relation is not None else None
        for point in find_all(root, "pt") if root is not None else ():
            text = one_line(" ".join(t.text or "" for t in find_all(point, "t")))
            self.builder.item(text)

    def _paragraphs(self, body: _Element, *, bulleted: bool) -> None:
        self.counts.clear()
        for paragraph in children(body, "p"):
            text = _text(paragraph)
            properties = child(paragraph, "pPr")
            level = attribute(properties, "lvl")
            depth = int(level) if level.isdigit() else 0
            numbered = child(properties, "buAutoNum")
            if not text.strip():
                continue
            if numbered is not None:
                start = attribute(numbered, "startAt")
                self.counts[depth] = self.counts.get(depth, (int(start) if start.isdigit() else 1) - 1) + 1
                self.builder.item(text, depth, f"{self.counts[depth]}.")
                continue
            self.counts.pop(depth, None)
            if child(properties, "buChar") is not None or (bulleted and child(properties, "buNone") is None):
                self.builder.item(text, depth)
            else:
                self.builder.paragraph(text)


def _shapes(tree: _Element) -> Iterator[_Element]:
    """The shapes in order, those of groups and alternatives too."""
    for item in tree:
        name = local(item)
        if name == "grpSp":
            yield from _shapes(item)
        elif name == "AlternateContent":
            chosen = child(item, "Choice")
            chosen = chosen if chosen is not None else child(item, "Fallback")
            if chosen is not None:
                yield from _shapes(chosen)
        elif name in ("sp", "graphicFrame", "pic", "cxnSp", "contentPart") and not _hidden(item):
            yield item


def _hidden(shape: _Element) -> bool:
    for holder in shape:
        if local(holder).startswith("nv"):
            return attribute(child(holder, "cNvPr"), "hidden") in ("1", "true")
    return False


def _placeholder(shape: _Element) -> str | None:
    """The kind of placeholder that a shape is, "" where it is one of no stated kind, None where it is none."""
    for holder in shape:
        if local(holder).startswith("nv"):
            mark = child(holder, "nvPr", "ph")
            return attribute(mark, "type") if mark is not None else None
    return None


def _text(paragraph: _Element) -> str:
    parts: list[str] = []
    for item in paragraph:
        name = local(item)
        if name in ("r", "fld"):
            parts.extend(t.text or "" for t in children(item, "t"))
        elif name == "br":
            parts.append("\n")
        else:
            parts.extend(f" {formula(m)} " for m in find_all(item, "oMath"))
    return "".join(parts).replace("\x0b", "\n")


def _rows(table: _Element) -> list[list[str]]:
    rows: list[list[str]] = []
    for row in children(table, "tr"):
        line: list[str] = []
        for cell in children(row, "tc"):
            if attribute(cell, "hMerge") in ("1", "true") and line:
                line.append(line[-1])
            elif attribute(cell, "vMerge") in ("1", "true") and rows and len(rows[-1]) > len(line):
                line.append(rows[-1][len(line)])
            else:
                body = child(cell, "txBody")
                line.append(one_line(" ".join(_text(p) for p in children(body, "p"))))
        rows.append(line)
    return rows


def _notes(package: Package, slide: str, builder: Builder) -> None:
    """Append the speaker's notes of a slide."""
    for name in package.related(slide, "notesSlide"):
        root = package.optional(name)
        tree = child(root, "cSld", "spTree")
        for shape in _shapes(tree) if tree is not None else ():
            body = child(shape, "txBody")
            if body is not None and _placeholder(shape) == "body":
                text = "\n".join(t for p in children(body, "p") if (t := _text(p).strip()))
                if text:
                    builder.paragraph(f"Notes: {text}")


def _authors(package: Package, part: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for kind in ("commentAuthors", "authors"):
        for name in package.related(part, kind):
            root = package.optional(name)
            for author in root if root is not None else ():
                initials = attribute(author, "initials")
                out[attribute(author, "id")] = attribute(author, "name") + (f" ({initials})" if initials else "")
    return out


def _comments(package: Package, slide: str, builder: Builder, authors: dict[str, str]) -> None:
    """Append reviewers' comments, each with its author and time."""
    for name in package.related(slide, "comments"):
        root = package.optional(name)
        for item in root.iter() if root is not None else ():
            if local(item) not in ("cm", "reply"):
                continue
            body = child(item, "txBody")
            plain = child(item, "text")
            text = (
                " ".join(_text(p) for p in children(body, "p"))
                if body is not None
                else (plain.text or "" if plain is not None else "")
            )
            if text.strip():
                who = authors.get(attribute(item, "authorId"), "")
                when = attribute(item, "dt") or attribute(item, "created")
                facts = ", ".join(f"{k}: {v}" for k, v in (("author", who), ("time", when)) if v)
                builder.add(BlockKind.PARAGRAPH, one_line(f"[{facts}]: {text}"))
