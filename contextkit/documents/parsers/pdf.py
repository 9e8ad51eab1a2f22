"""PDF: text by pages in reading order, with tables, headings, lists and paragraphs; running headers and footers left out.

This module opens the file, reads its facts and puts the document together; characters and rows are in `pdf_page`, blocks in
`pdf_layout`. There is no OCR: a file without a text layer is an error that says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from statistics import median
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, Source, clean, iso_date, one_line
from contextkit.documents.parsers.pdf_layout import add_rows, style_of
from contextkit.documents.parsers.pdf_page import Row, page_rows
from contextkit.errors import EncryptedDocument, ParseError
from contextkit.types import JSON, BlockKind, Document

if TYPE_CHECKING:
    import pypdfium2 as pdfium

_EDGE = 3  # rows at the top and at the bottom of a page that may be running ones
_DATE = re.compile(r"D?:?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(Z|[+-]\d\d'?\d\d)?")
_PAGE_NUMBER = re.compile(
    r"(?:page|seite|p\.?|página)?\s*[-–—|]?\s*(?:\d{1,4}|[ivxlc]{1,6}|[A-Z]-?\d{1,3})\s*[-–—|]?(?:\s*(?:of|/|von|de)\s*\d{1,4})?",
    re.IGNORECASE,
)
_NO_TITLE = re.compile(
    r"\.(?:docx?|pptx?|xlsx?|indd|qxd|tex|pdf|od[tpsg]|rtf|dvi|ps|html?)\b|^untitled|^microsoft|^powerpoint|^presentation\d*$|^document\d*$|^title$|[\\/]|^[\d_.\-]+$",
    re.IGNORECASE,
)


def read(source: Source) -> Document:
    """The document with one page span a page.

    Raises:
        EncryptedDocument: it needs a password.
        ParseError: pdfium cannot open it, no page can be read, or no page holds text.
    """
    import pypdfium2 as pdfium

    name = source.blob.name or source.blob.id
    try:
        file = pdfium.PdfDocument(source.data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise EncryptedDocument(f"{name!r} is a PDF with a password; save it without one") from error
        raise ParseError(f"{name!r} cannot be read as PDF: {_reason(error)}") from error
    try:
        return _document(source, file, name)
    finally:
        file.close()


def _reason(error: Exception) -> str:
    reason = one_line(str(error))
    return "the file is damaged or cut off" if "format error" in reason.lower() else reason


def _document(source: Source, file: pdfium.PdfDocument, name: str) -> Document:
    pages, broken = _pages(file)
    if not pages or len(broken) == len(pages):
        raise ParseError(f"{name!r} cannot be read as PDF: none of its {len(pages)} pages can be read; the file is damaged")
    if not any(pages):
        raise ParseError(
            f"{name!r} has no text layer on any of its {len(pages)} pages; run it through OCR first (for example ocrmypdf)"
        )
    builder = Builder(metadata=_facts(file))
    if broken:
        builder.metadata["unreadable_pages"] = broken
    style = style_of(pages)
    for rows in _without_running(pages):
        with builder.page():
            add_rows(builder, rows, style)
    document = builder.build(source)
    stated = _title(file)
    if stated:
        return document if document.title else _titled(document, stated)
    return _titled(document, _first_heading(document))


def _titled(document: Document, title: str) -> Document:
    from dataclasses import replace

    return replace(document, title=title) if title else document


def _pages(file: pdfium.PdfDocument) -> tuple[list[list[Row]], list[int]]:
    """The rows of each page, and the numbers of pages that cannot be read."""
    import pypdfium2 as pdfium

    pages: list[list[Row]] = []
    broken: list[int] = []
    for number in range(len(file)):
        try:
            page = file[number]
        except pdfium.PdfiumError:
            pages.append([])
            broken.append(number + 1)
            continue
        try:
            pages.append(page_rows(page))
        except pdfium.PdfiumError:
            pages.append([])
            broken.append(number + 1)
        finally:
            page.close()
    return pages, broken


def _without_running(pages: Sequence[list[Row]]) -> list[list[Row]]:
    """The pages without rows that repeat at the same height of many pages (numbers in them aside), and without page numbers."""
    seen: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    edges = [_edges(rows) for rows in pages]
    for number, rows in enumerate(edges):
        for row in rows:
            seen[_key(row)].append((number, row.y0))
    many = max(3, round(0.25 * len(pages)))
    running: dict[str, float] = {}
    for key, places in seen.items():
        height = median(y for _, y in places)
        near = {number for number, y in places if abs(y - height) < 8}
        if len(near) >= many or (key == "#" and len(near) >= 2):
            running[key] = height
    numbers = _page_numbers(edges)
    out: list[list[Row]] = []
    for rows, edge in zip(pages, edges, strict=True):
        drop = {id(row) for row in edge if _key(row) in running and abs(row.y0 - running[_key(row)]) < 8} | numbers
        kept = [row for row in rows if id(row) not in drop]
        out.append(kept if kept or len(pages) < 4 else rows)  # a page of nothing but running rows keeps them
    return out


def _page_numbers(edges: Sequence[list[Row]]) -> set[int]:
    """The rows, by identity, that are page numbers by counting up with the pages, wherever at the edge they stand."""
    by_offset: defaultdict[int, list[int]] = defaultdict(list)
    for number, rows in enumerate(edges):
        for row in (rows[0], rows[-1]) if rows else ():
            text = one_line(row.text)
            if _PAGE_NUMBER.fullmatch(text) and (digits := re.search(r"\d{1,4}", text)):
                by_offset[int(digits.group()) - number].append(id(row))
    return {row for rows in by_offset.values() if len(rows) >= 3 for row in rows}


def _edges(rows: list[Row]) -> list[Row]:
    if len(rows) <= 2:
        return []
    by_height = sorted(rows, key=lambda r: -r.y0)
    edge = min(_EDGE, len(rows) // 3 + 1)
    return [*by_height[:edge], *by_height[-edge:]]


def _key(row: Row) -> str:
    text = one_line(row.text).lower()
    return "#" if _PAGE_NUMBER.fullmatch(text) else re.sub(r"\d+", "#", text)


def _facts(file: pdfium.PdfDocument) -> dict[str, JSON]:
    stated = _metadata(file)
    return {
        "author": one_line(stated.get("Author", "")),
        "created": _date(stated.get("CreationDate", "")),
        "modified": _date(stated.get("ModDate", "")),
        "subject": one_line(stated.get("Subject", "")),
        "keywords": one_line(stated.get("Keywords", "")),
        "pages": len(file),
    }


def _metadata(file: pdfium.PdfDocument) -> dict[str, str]:
    return {key: clean(value) for key, value in file.get_metadata_dict(skip_empty=True).items()}


def _title(file: pdfium.PdfDocument) -> str:
    """The title that the file states, unless it is a file's name or a program's default."""
    title = one_line(_metadata(file).get("Title", ""))
    return "" if len(title) < 4 or _NO_TITLE.search(title) else title


def _first_heading(document: Document) -> str:
    """The highest heading of the first page that has any, the first of several."""
    end = document.pages[min(1, len(document.pages) - 1)].end
    headings = [b for b in document.blocks if b.kind is BlockKind.HEADING and b.start < end]
    best = min(headings, key=lambda b: b.level, default=None)
    return document.text[best.start : best.end] if best is not None else ""


def _date(value: str) -> str:
    """A PDF date (D:20240131120000+01'00') as ISO 8601, or ""."""
    found = _DATE.match(value.strip())
    if found is None:
        return iso_date(value)
    year, month, day, hour, minute, second, zone = found.groups()
    try:
        moment = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=_zone(zone)
        )
    except ValueError:
        return ""
    return moment.isoformat() if zone else moment.replace(tzinfo=None).isoformat()


def _zone(zone: str | None) -> timezone:
    if not zone or zone == "Z":
        return UTC
    digits = zone.replace("'", "")
    offset = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
    return timezone(-offset if digits[0] == "-" else offset)
