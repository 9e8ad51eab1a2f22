"""Writes DOCX, PPTX and XLSX with the usual libraries, with fixed dates so that the same sources give the same bytes."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from pathlib import Path

from writers.source import Source, plain, repack, slides_of


def docx(source: Source) -> bytes:
    """The source as a Word document."""
    import docx as word
    from docx.shared import Pt

    document = word.Document()
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(10.5)
    properties = document.core_properties
    properties.title, properties.author, properties.last_modified_by = source.title, source.author, source.author
    properties.created = properties.modified = source.date.replace(tzinfo=None)
    document.sections[0].footer.paragraphs[0].text = source.title
    for block in source.blocks:
        if block.kind == "h":
            document.add_heading(plain(block.runs), block.level - 1)
        elif block.kind == "t":
            table = document.add_table(len(block.rows), len(block.rows[0]), "Light Grid Accent 1")
            for cells, row in zip(table.rows, block.rows, strict=True):
                for cell, runs in zip(cells.cells, row, strict=True):
                    cell.text = plain(runs)
        else:
            style = {"li": "List Number" if block.number else "List Bullet", "q": "Intense Quote"}.get(block.kind)
            paragraph = document.add_paragraph(style=style)
            for run in block.runs:
                written = paragraph.add_run(run.text)
                written.bold, written.italic = run.bold or None, run.italic or None
    out = io.BytesIO()
    document.save(out)
    return repack(out.getvalue())


def pptx(source: Source) -> bytes:
    """The source as slides: one for each heading, quotations as speaker notes."""
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    properties = deck.core_properties
    properties.title, properties.author, properties.last_modified_by = source.title, source.author, source.author
    properties.created = properties.modified = source.date.replace(tzinfo=None)
    for number, (title, *rest) in enumerate(slides_of(source)):
        table = next((block for block in rest if block.kind == "t"), None)
        slide = deck.slides.add_slide(deck.slide_layouts[0 if number == 0 else 5 if table else 1])
        slide.shapes.title.text = plain(title.runs)
        lines = [plain(block.runs) for block in rest if block.kind in {"p", "li"}]
        if lines:
            slide.placeholders[1].text_frame.text = "\n".join(lines)
        if table:
            size = (len(table.rows), len(table.rows[0]))
            grid = slide.shapes.add_table(*size, Inches(0.6), Inches(1.8), Inches(8.8), Inches(0.5 * size[0])).table
            for y, row in enumerate(table.rows):
                for x, runs in enumerate(row):
                    grid.cell(y, x).text = plain(runs)
        notes = [plain(block.runs) for block in rest if block.kind == "q"]
        if notes:
            slide.notes_slide.notes_text_frame.text = "\n".join(notes)
    out = io.BytesIO()
    deck.save(out)
    return repack(out.getvalue())


def cell_value(text: str) -> str | int | float | datetime | None:
    """What a cell holds: a number, a date, a text, or nothing."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"-?\d+\.\d+", text):
        return float(text)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return datetime.fromisoformat(text)  # spreadsheets have no time zones
    return text or None


def xlsx(folder: Path, name: str, title: str, author: str, date: str) -> bytes:
    """The workbook of all CSV sources that begin with a name, one sheet each, in the order of their names."""
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    book.remove(book.active)
    book.properties.title, book.properties.creator = title, author
    book.properties.created = datetime.fromisoformat(date)
    for path in sorted(folder.glob(f"{name}.*.csv")):
        sheet = book.create_sheet(path.stem.removeprefix(f"{name}."))
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        for row in rows:
            sheet.append([cell_value(text) for text in row])
        for x, column in enumerate(zip(*rows, strict=True), 1):
            sheet.column_dimensions[get_column_letter(x)].width = max(map(len, column)) + 2
            sheet.cell(1, x).font = Font(bold=True)
        for cell in (cell for row in sheet.iter_rows(min_row=2) for cell in row if cell.value is not None):
            cell.number_format = {float: "0.00", datetime: "yyyy-mm-dd"}.get(type(cell.value), cell.number_format)
        sheet.freeze_panes = "B2"
    out = io.BytesIO()
    book.save(out)
    stamp = f"{date}T00:00:00Z".encode()  # the library writes the time of saving
    return repack(out.getvalue(), lambda _, content: re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>" + stamp, content))
