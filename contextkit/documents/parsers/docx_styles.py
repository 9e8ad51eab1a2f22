"""Word's styles and numbering: which paragraphs are headings, code, quotes or list items, and what their marks are."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.documents.parsers.ooxml import Package, attribute, child, children, find_all, local

if TYPE_CHECKING:
    from lxml.etree import _Element

_HEADING = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik|заголовок|标题|見出し)\s*(\d)", re.IGNORECASE)
_CODE = re.compile(r"\b(?:source\s*code|code|html preformatted|macro text|listing|verbatim)\b", re.IGNORECASE)
_MONOSPACED = re.compile(r"courier|consolas|mono|menlo|lucida console|monaco|typewriter", re.IGNORECASE)
_LIST = re.compile(r"list (?:bullet|number|paragraph bullet)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Style:
    """What a paragraph's style makes of it.

    Attributes:
        level: of a heading, from 1; else 0.
        is_title: whether it is the document's title.
        code: whether it is code.
        quote: whether it is a quotation.
        bullet: whether its style's name says that it is a list item.
        numbering: (list, depth) that the style gives, or None.
    """

    level: int = 0
    is_title: bool = False
    code: bool = False
    quote: bool = False
    bullet: bool = False
    numbering: tuple[str, int] | None = None


@dataclass(slots=True)
class Styles:
    """The styles of one document by id."""

    by_id: dict[str, Style] = field(default_factory=dict)
    default: str = ""

    @classmethod
    def of(cls, package: Package, part: str) -> Styles:
        """The styles of a package; none where they cannot be read."""
        elements: dict[str, _Element] = {}
        default = ""
        for name in package.related(part, "styles"):
            for element in children(package.optional(name), "style"):
                if attribute(element, "type") in ("paragraph", ""):
                    elements[attribute(element, "styleId")] = element
                    if attribute(element, "default") in ("1", "true"):
                        default = attribute(element, "styleId")
        return cls({key: _style(key, elements, 0) for key in elements}, default)

    def of_paragraph(self, paragraph: _Element) -> Style:
        """A paragraph's style, with what the paragraph itself says of its outline level and font."""
        properties = child(paragraph, "pPr")
        name = attribute(child(properties, "pStyle"), "val")
        style = self.by_id.get(name) or (_named(name) if name else self.by_id.get(self.default, Style()))
        if not style.level:
            outline = attribute(child(properties, "outlineLvl"), "val")
            if outline.isdigit() and int(outline) < 9:
                return Style(level=int(outline) + 1)
        if not (style.level or style.code) and _monospaced(paragraph):
            return Style(code=True)
        return style


def _style(key: str, elements: dict[str, _Element], depth: int) -> Style:
    element = elements[key]
    name = attribute(child(element, "name"), "val") or key
    own = _named(name)
    properties = child(element, "pPr")
    outline = attribute(child(properties, "outlineLvl"), "val")
    base = attribute(child(element, "basedOn"), "val")
    parent = _style(base, elements, depth + 1) if base in elements and base != key and depth < 20 else Style()
    level = (
        own.level or (int(outline) + 1 if outline.isdigit() and int(outline) < 9 else 0) or (0 if own.is_title else parent.level)
    )
    numbering = _reference(child(properties, "numPr")) or parent.numbering
    return Style(
        level,
        own.is_title or parent.is_title,
        own.code or parent.code,
        own.quote or parent.quote,
        own.bullet or parent.bullet,
        numbering,
    )


def _named(name: str) -> Style:
    plain = name.strip().lower()
    if plain == "title":
        return Style(level=1, is_title=True)
    if plain == "subtitle":
        return Style(level=2)
    found = _HEADING.match(plain)
    if found:
        return Style(level=max(1, int(found.group(1))))
    return Style(code=bool(_CODE.search(plain)), quote="quote" in plain, bullet=bool(_LIST.match(plain)))


def _monospaced(paragraph: _Element) -> bool:
    """Whether all runs with text have a typewriter font of their own."""
    runs = [r for r in children(paragraph, "r") if any((t.text or "").strip() for t in children(r, "t"))]
    fonts = [attribute(child(r, "rPr", "rFonts"), "ascii") for r in runs]
    return bool(fonts) and all(_MONOSPACED.search(font) for font in fonts)


def _reference(element: _Element | None) -> tuple[str, int] | None:
    if element is None:
        return None
    number = attribute(child(element, "numId"), "val")
    level = attribute(child(element, "ilvl"), "val")
    return (number, min(int(level), 8) if level.isdigit() else 0) if number else None


@dataclass(frozen=True, slots=True)
class Mark:
    """A list item's mark ("-", "2.", "1.3.") with its depth from 0."""

    text: str
    level: int
    ordered: bool


@dataclass(frozen=True, slots=True)
class _Level:
    kind: str = "bullet"
    text: str = ""
    start: int = 1


@dataclass(slots=True)
class Numbering:
    """The lists of one document; counts items as they come."""

    levels: dict[str, dict[int, _Level]] = field(default_factory=dict)
    abstract: dict[str, str] = field(default_factory=dict)
    counts: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    @classmethod
    def of(cls, package: Package, part: str) -> Numbering:
        """The numbering of a package; none where it cannot be read."""
        out = cls()
        for name in package.related(part, "numbering"):
            root = package.optional(name)
            if root is None:
                continue
            kinds = {attribute(a, "abstractNumId"): _levels(a) for a in children(root, "abstractNum")}
            for item in children(root, "num"):
                key, abstract = attribute(item, "numId"), attribute(child(item, "abstractNumId"), "val")
                levels = dict(kinds.get(abstract, {}))
                overrides = list(children(item, "lvlOverride"))
                for override in overrides:
                    levels.update(_levels(override))
                out.levels[key] = levels
                # instances of one list go on counting, unless one of them starts anew
                out.abstract[key] = f"num {key}" if overrides else f"list {abstract}"
        return out

    def of_paragraph(self, paragraph: _Element, by_style: tuple[str, int] | None) -> Mark | None:
        """A paragraph's mark, counted on; None where it is no list item."""
        reference = _reference(child(paragraph, "pPr", "numPr")) or by_style
        if reference is None or reference[0] == "0" or reference[0] not in self.levels:
            return None
        key, depth = reference
        levels = self.levels[key]
        level = levels.get(depth, _Level())
        if level.kind == "none":
            return None
        if level.kind == "bullet":
            return Mark("-", depth, ordered=False)
        counts = self.counts[self.abstract.get(key, key)]
        counts[depth] = counts.get(depth, level.start - 1) + 1
        for deeper in [d for d in counts if d > depth]:
            del counts[deeper]
        return Mark(_mark(level, levels, counts, depth), depth, ordered=True)


def _levels(element: _Element) -> dict[int, _Level]:
    out: dict[int, _Level] = {}
    for item in element:
        if local(item) == "lvl":
            index, start = attribute(item, "ilvl"), attribute(child(item, "start"), "val")
            kind = attribute(child(item, "numFmt"), "val") or next(
                (attribute(e, "val") for e in find_all(item, "numFmt")), "decimal"
            )
            text = attribute(child(item, "lvlText"), "val")
            if index.isdigit():
                out[int(index)] = _Level(kind, text, int(start) if start.isdigit() else 1)
    return out


def _mark(level: _Level, levels: dict[int, _Level], counts: dict[int, int], depth: int) -> str:
    def number(found: re.Match[str]) -> str:
        at = int(found.group(1)) - 1
        other = levels.get(at, level)
        return _count(counts.get(at, other.start), other.kind)

    text = re.sub(r"%([1-9])", number, level.text) if level.text else _count(counts[depth], level.kind) + "."
    return text.strip() or "-"


def _count(number: int, kind: str) -> str:
    if kind in ("lowerLetter", "upperLetter") and 1 <= number <= 26:
        letter = "abcdefghijklmnopqrstuvwxyz"[number - 1]
        return letter.upper() if kind == "upperLetter" else letter
    if kind in ("lowerRoman", "upperRoman") and 1 <= number < 4000:
        roman = ""
        for value, sign in zip(
            (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
            ("m", "cm", "d", "cd", "c", "xc", "l", "xl", "x", "ix", "v", "iv", "i"),
            strict=True,
        ):
            roman += sign * (number // value)
            number %= value
        return roman.upper() if kind == "upperRoman" else roman
    return str(number)
