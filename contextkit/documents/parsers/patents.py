"""Patents of the USPTO in its three XML formats (since 2001): title, abstract, description with headings and tables, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, iso_date, one_line
from contextkit.documents.parsers.ooxml import attribute, find_all, local
from contextkit.documents.parsers.xml_generic import rows_of, text_of

if TYPE_CHECKING:
    from lxml.etree import _Element

_TITLES = ("invention-title", "title-of-invention", "B540")
_ABSTRACTS = ("abstract", "subdoc-abstract", "SDOAB")
_DESCRIPTIONS = ("description", "subdoc-description", "SDODE")
_CLAIMS = ("claims", "subdoc-claims", "SDOCL")
_CLAIM = frozenset({"claim", "CLM"})
_HEADINGS = frozenset({"heading", "H", "title"})
_TABLES = frozenset({"tables", "table-cwu", "TABLE-CWU", "TABLE-US", "table"})
_PARAGRAPHS = frozenset({"p", "paragraph", "PARA"})
_SKIPPED = frozenset(
    {
        "number",
        "img",
        "EMI",
        "maths",
        "MATH-US",
        "chemistry",
        "image",
        "tables",
        "table-cwu",
        "TABLE-CWU",
        "TABLE-US",
        "math",
        "in-line-formula",
    }
)
_DEPTH = 60


def add(builder: Builder, root: _Element) -> None:
    """Append the patent's parts in their order: title, abstract, description, claims."""
    title = _first(root, _TITLES)
    builder.title = text_of(title) if title is not None else ""
    builder.language = attribute(root, "lang")
    builder.metadata.update(author=", ".join(_inventors(root)), created=_date(root), number=_number(root))
    builder.heading(builder.title, 1)
    abstract = _first(root, _ABSTRACTS)
    if abstract is not None:
        builder.heading("Abstract", 2)
        _walk(builder, abstract, 0)
    description = _first(root, _DESCRIPTIONS)
    if description is not None:
        _walk(builder, description, 0)
    claims = _first(root, _CLAIMS)
    if claims is not None:
        builder.heading("Claims", 2)
        for number, claim in enumerate((e for e in claims.iter() if local(e) in _CLAIM), 1):
            text = text_of(claim, frozenset({"number"}))
            builder.item(text, mark="" if text[:3].split(".")[0].strip().isdigit() else f"{number}.")


def _first(root: _Element, names: tuple[str, ...]) -> _Element | None:
    return next((e for e in root.iter() if local(e) in names), None)


def _walk(builder: Builder, element: _Element, depth: int) -> None:
    for item in element:
        name = local(item)
        if name in _HEADINGS:
            builder.heading(text_of(item), 3)
        elif name in _PARAGRAPHS:
            builder.paragraph(text_of(item, _SKIPPED))
            for table in item.iter():
                if local(table) in _TABLES and not any(local(a) in _TABLES for a in table.iterancestors()):
                    builder.table(rows_of(table))
        elif name in _TABLES:
            builder.table(rows_of(item))
        elif name and depth < _DEPTH and name not in _SKIPPED:
            _walk(builder, item, depth + 1)


def _inventors(root: _Element) -> list[str]:
    out: list[str] = []
    for holder in root.iter():
        if local(holder) in ("inventor", "first-named-inventor", "B721"):
            first = _first(holder, ("first-name", "given-name", "FNM"))
            last = _first(holder, ("last-name", "family-name", "SNM"))
            name = " ".join(text_of(e) for e in (first, last) if e is not None)
            if name and name not in out:
                out.append(name)
    return out


def _date(root: _Element) -> str:
    stated = iso_date(attribute(root, "date-publ"))
    if stated:
        return stated
    holder = _first(root, ("document-id", "B140"))
    text = (
        one_line(" ".join(t.text or "" for n in ("document-date", "date", "PDAT") for t in find_all(holder, n)))
        if holder is not None
        else ""
    )
    return iso_date(text.split(" ")[0]) if text else ""


def _number(root: _Element) -> str:
    holder = _first(root, ("doc-number", "B110"))
    return text_of(holder) if holder is not None else ""
