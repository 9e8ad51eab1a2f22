"""Writes the PDFs of the example library with reportlab: pages with a running foot, bookmarks, and contents for long ones.

Only layout lives here; what the documents say is in `sources/pdf/`, and `source.py` reads it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import reportlab
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import BaseDocTemplate, Frame, PageBreak, PageTemplate, Paragraph, Spacer, Table
from reportlab.platypus.tableofcontents import TableOfContents

from writers.source import Block, Source, marked, plain

FONTS = {"Body": "Vera.ttf", "Body-Bold": "VeraBd.ttf", "Body-Italic": "VeraIt.ttf", "Body-BoldItalic": "VeraBI.ttf"}
BASE = ParagraphStyle("p", fontName="Body", fontSize=9.5, leading=13.5, spaceAfter=6)
STYLES = {
    "p": BASE,
    "li": ParagraphStyle("li", BASE, leftIndent=16, bulletIndent=4, spaceAfter=3),
    "q": ParagraphStyle(
        "q",
        BASE,
        leftIndent=8,
        borderPadding=6,
        borderWidth=0.8,
        borderColor=colors.HexColor("#b05000"),
        spaceBefore=10,
        spaceAfter=12,
    ),
    "cell": ParagraphStyle("cell", BASE, fontSize=8.5, leading=11, spaceAfter=0),
    "h1": ParagraphStyle("h1", BASE, fontName="Body-Bold", fontSize=19, leading=24, spaceAfter=14),
    "h2": ParagraphStyle("h2", BASE, fontName="Body-Bold", fontSize=14, leading=18, spaceBefore=14, spaceAfter=8, keepWithNext=1),
    "h3": ParagraphStyle("h3", BASE, fontName="Body-Bold", fontSize=11, leading=14, spaceBefore=10, spaceAfter=5, keepWithNext=1),
}
GRID = [
    ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
    ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#e6eef2")),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
]


class Template(BaseDocTemplate):
    """A page template that tells contents and bookmarks of each heading."""

    def afterFlowable(self, flowable: Any) -> None:  # noqa: N802 (reportlab's name)
        """Called by reportlab after each flowable was placed."""
        style = getattr(getattr(flowable, "style", None), "name", "")
        if style in {"h2", "h3"}:
            key = f"h-{self.seq.nextf('h')}"
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.getPlainText(), key, level=int(style[1]) - 2)
            if style == "h2":
                self.notify("TOCEntry", (0, flowable.getPlainText(), self.page, key))


def register_fonts() -> None:
    """Makes the fonts that come with reportlab known, so that all signs of the texts are there."""
    folder = Path(reportlab.__file__).parent / "fonts"
    for name, file in FONTS.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily("Body", "Body", "Body-Bold", "Body-Italic", "Body-BoldItalic")


def table(block: Block, width: float) -> Table:
    """A table whose columns share the width by the length of their longest cell, within bounds."""
    lengths = [min(max(max(len(plain(row[x])) for row in block.rows), 6), 44) for x in range(len(block.rows[0]))]
    cells = [[Paragraph(marked(runs, "b", "i"), STYLES["cell"]) for runs in row] for row in block.rows]
    return Table(cells, [width * n / sum(lengths) for n in lengths], style=GRID, repeatRows=1, spaceBefore=4, spaceAfter=12)


def flowables(source: Source, width: float) -> list[Any]:
    """The source as reportlab's flowables."""
    story: list[Any] = []
    chapter = 0
    for block in source.blocks:
        if block.kind == "t":
            story.append(table(block, width))
            continue
        style = STYLES[f"h{block.level}" if block.kind == "h" else block.kind]
        if style.name == "h2" and source.new_page:
            chapter += 1
            if chapter == 1:
                contents = TableOfContents(levelStyles=[BASE], dotsMinLevel=0)
                story += [Spacer(0, 10 * mm), Paragraph("Contents", STYLES["h1"]), contents]
            story.append(PageBreak())
        bullet = {"bulletText": f"{block.number}." if block.number else "•"} if block.kind == "li" else {}
        story.append(Paragraph(marked(block.runs, "b", "i"), style, **bullet))
    return story


def pdf(source: Source) -> bytes:
    """The source as a PDF."""
    register_fonts()
    out = io.BytesIO()
    margin = 22 * mm

    def foot(canvas: Any, document: Any) -> None:
        canvas.setFont("Body", 7.5)
        canvas.drawString(margin, 12 * mm, f"{source.title} · {source.date:%Y-%m-%d}")
        canvas.drawRightString(A4[0] - margin, 12 * mm, f"Page {document.page}")

    document = Template(out, pagesize=A4, title=source.title, author=source.author, lang="en", invariant=1)
    frame = Frame(margin, margin, A4[0] - 2 * margin, A4[1] - 2 * margin, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate(frames=[frame], onPage=foot)])
    document.multiBuild(flowables(source, frame.width))
    return out.getvalue()
