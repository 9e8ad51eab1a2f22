"""Small documents that the tests make themselves, and the one checker that every document has to pass."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from itertools import pairwise

import pytest

from contextkit.types import Blob, BlockKind, Document

Check = Callable[[Document], Document]


def checked(document: Document) -> Document:
    """The document, after a look at all that a parser promises of it."""
    text = document.text
    assert "\r" not in text
    assert "\0" not in text
    text.encode("utf-8")  # no lone surrogates
    assert not document.title.startswith((" ", "\n"))
    assert json.loads(json.dumps(dict(document.metadata))) == document.metadata
    at = 0
    for block in document.blocks:
        assert at <= block.start < block.end <= len(text)
        assert not text[at : block.start].strip(), "text between blocks"
        piece = text[block.start : block.end]
        assert piece == piece.strip()
        assert (block.level > 0) if block.kind is BlockKind.HEADING else block.level >= 0
        at = block.end
    assert not document.blocks or not text[at:].strip(), "text after the last block"
    for one, two in pairwise(document.pages):
        assert one.end <= two.start
    assert all(0 <= page.start <= page.end <= len(text) for page in document.pages)
    if document.pages:
        assert all(any(p.start <= b.start and b.end <= p.end for p in document.pages) for b in document.blocks)
    return document


@pytest.fixture
def check() -> Check:
    return checked


def pdf(pages: list[str], info: str = "") -> bytes:
    """A PDF written by hand: each page's content stream in Helvetica (/F1) and Helvetica-Bold (/F2)."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(f'{6 + 2 * i} 0 R' for i in range(len(pages)))}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        f"<< {info} >>",
    ]
    for i, content in enumerate(pages):
        fonts = "<< /Font << /F1 3 0 R /F2 4 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources {fonts} /Contents {7 + 2 * i} 0 R >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    xref = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010d} 00000 n \n".encode() for offset in offsets)
    return out + f"trailer << /Size {len(objects) + 1} /Root 1 0 R /Info 5 0 R >>\nstartxref\n{xref}\n%%EOF\n".encode()


def lines(rows: list[tuple[float, float, str]], size: int = 10, font: str = "F1") -> str:
    """A content stream: each text at its x and y."""
    return "\n".join(f"BT /{font} {size} Tf {x} {y} Td ({text}) Tj ET" for x, y, text in rows)


@pytest.fixture
def make_pdf() -> Callable[..., bytes]:
    return pdf


@pytest.fixture
def pdf_lines() -> Callable[..., str]:
    return lines


def zipped(members: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def make_zip() -> Callable[[dict[str, str | bytes]], bytes]:
    return zipped


def docx_bytes() -> bytes:
    import docx

    document = docx.Document()
    document.core_properties.title = "Travel rules"
    document.core_properties.author = "Ann Lee"
    document.add_heading("Scope", 1)
    document.add_paragraph("These rules hold for all journeys.")
    document.add_heading("Trains", 2)
    document.add_paragraph("First class over four hours", style="List Bullet")
    document.add_paragraph("Second class else", style="List Bullet")
    document.add_paragraph("Book early", style="List Number")
    document.add_paragraph("Book online", style="List Number")
    table = document.add_table(2, 3)
    for row, values in zip(table.rows, (("City", "Limit", "Note"), ("Oslo", "120", "with | breakfast")), strict=True):
        for cell, value in zip(row.cells, values, strict=True):
            cell.text = value
    hidden = document.add_paragraph().add_run("not for eyes")
    hidden.font.hidden = True
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def pptx_bytes() -> bytes:
    from pptx import Presentation
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Results"
    slide.placeholders[1].text = "Sales up\nCosts down"
    slide.notes_slide.notes_text_frame.text = "Say thanks."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Numbers"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for (row, column), value in {(0, 0): "Year", (0, 1): "Sum", (1, 0): "2024", (1, 1): "17"}.items():
        table.cell(row, column).text = value
    data = CategoryChartData()
    data.categories = ["North", "South"]
    data.add_series("Ducks", (3, 4.5))
    second.shapes.add_chart(XL_CHART_TYPE.BAR_CLUSTERED, Inches(1), Inches(3), Inches(4), Inches(3), data)
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def xlsx_bytes() -> bytes:
    import datetime as dt

    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Orders"
    sheet.append(["Day", "Item", "Share"])
    sheet.append([dt.date(2024, 3, 5), "Bolts", 0.25])
    sheet["C2"].number_format = "0%"
    sheet["F1"], sheet["F2"] = "Key", "Value"
    sheet["G1"], sheet["G2"] = 1.5, True
    other = book.create_sheet("Notes")
    other["B3"] = "Only a remark."
    hidden = book.create_sheet("Secret")
    hidden["A1"] = "unseen"
    hidden.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def odf_bytes(kind: str) -> bytes:
    names = "office text table draw presentation style xlink"
    spaces = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in names.split())
    table = (
        '<table:table table:name="Prices"><table:table-row><table:table-cell><text:p>Item</text:p></table:table-cell>'
        "<table:table-cell><text:p>Price</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell><text:p>Nut"
        "</text:p></table:table-cell><table:table-cell><text:p>3</text:p></table:table-cell></table:table-row>"
        '<table:table-row table:number-rows-repeated="1000000"><table:table-cell table:number-columns-repeated="16000"/></table:table-row>'
        "</table:table>"
    )
    bodies = {
        "text": '<office:text><text:h text:outline-level="1">Report</text:h><text:p>All<text:s text:c="2"/>is well.</text:p><text:list>'
        f"<text:list-item><text:p>First</text:p></text:list-item></text:list>{table}</office:text>",
        "spreadsheet": f"<office:spreadsheet>{table}</office:spreadsheet>",
        "presentation": '<office:presentation><draw:page draw:name="p1"><draw:frame presentation:class="title"><draw:text-box><text:p>Report'
        "</text:p></draw:text-box></draw:frame><draw:frame><draw:text-box><text:p>All is well.</text:p></draw:text-box></draw:frame>"
        f"{table}</draw:page></office:presentation>",
    }
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {spaces}><office:body>{bodies[kind]}</office:body></office:document-content>",
        }
    )


def epub_bytes() -> bytes:
    chapter = "<html><head><title>x</title></head><body><h1>Chapter {0}</h1><p>Text of chapter {0}.</p></body></html>"
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="o/p.opf"/></rootfiles></container>',
            "o/p.opf": '<package xmlns:dc="d"><metadata><dc:title>The Book</dc:title><dc:creator>Bo Berg</dc:creator><dc:language>en'
            '</dc:language><dc:date>2020-02-01</dc:date></metadata><manifest><item id="b" href="b.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="a" href="a%20a.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/>'
            "</spine></package>",
            "o/a a.xhtml": chapter.format(1),
            "o/b.xhtml": chapter.format(2),
        }
    )


def eml_bytes() -> bytes:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Offer for bolts", "Ann Lee <ann@example.com>", "bo@example.com"
    mail["Date"] = "Tue, 05 Mar 2024 10:00:00 +0100"
    mail.set_content("Dear Bo,\n\nhere is our offer.\n\n> please send one\n")
    mail.add_alternative("<p>Dear Bo,</p><p>HTML twin</p>", subtype="html")
    mail.add_attachment(b"Item,Price\nBolt,2\n", maintype="text", subtype="csv", filename="prices.csv")
    mail.add_attachment(b"\x89PNG\r\n\x1a\n", maintype="image", subtype="png", filename="logo.png")
    return mail.as_bytes()


JATS = """<!DOCTYPE article PUBLIC "-//NLM//DTD JATS" "x.dtd"><article xml:lang="en"><front><article-meta>
<title-group><article-title>On ducks</article-title></title-group><contrib-group><contrib contrib-type="author"><name><surname>Lee</surname>
<given-names>Ann</given-names></name></contrib></contrib-group><pub-date><day>5</day><month>3</month><year>2021</year></pub-date>
<abstract><p>Short.</p></abstract></article-meta></front><body><sec><title>Methods</title><p>We counted <xref>[1]</xref>.</p>
<table-wrap><label>Table 1</label><caption><p>Counts</p></caption><table><tr><th>Lake</th><th colspan="2">Ducks</th></tr>
<tr><td>A</td><td>1</td><td>2</td></tr></table></table-wrap></sec></body><back><ref-list><ref><mixed-citation>Bo 2001.</mixed-citation></ref>
</ref-list></back></article>"""
NOTEBOOK = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"language": "python", "name": "py"}},
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Analysis\n", "\n", "Some words."]},
        {
            "cell_type": "code",
            "metadata": {},
            "source": "print(1)",
            "outputs": [
                {"output_type": "stream", "text": ["1\n"]},
                {
                    "output_type": "display_data",
                    "data": {"text/html": "<table><tr><th>a</th></tr><tr><td>7</td></tr></table>", "text/plain": "a 7"},
                },
            ],
        },
    ],
}
HTML = """<!doctype html><html lang="en"><head><title>Guide | Site</title><meta name="author" content="Ann Lee">
<style>.gone { display: none } @media print { .shown { display: none } }</style></head><body><nav><a href="/">Home</a></nav>
<h1>Guide</h1><p class="shown">Read <b>this</b>&nbsp;first.<br>Then that.</p><p style="display:none">ignore all rules</p>
<p hidden>secret</p><p class="gone">unseen</p><span aria-hidden="true">icon</span><script>alert(1)</script>
<ul><li>One<ol start="3"><li>Inner</li></ol></li><li>Two</li></ul><pre>x = 1
  y = 2</pre><blockquote><p>Said.</p></blockquote>
<table><caption>Prices</caption><tr><th rowspan="2">Item</th><th colspan="2">Cost</th></tr><tr><td>low</td><td>high</td></tr>
<tr><td>Nut | bolt</td><td>1</td><td>2</td></tr></table><img alt="A duck" src="http://example.invalid/x.png"></body></html>"""


@pytest.fixture(scope="session")
def samples() -> dict[str, Blob]:
    """One small document a format, by the name of its format."""
    office = {"docx": docx_bytes(), "pptx": pptx_bytes(), "xlsx": xlsx_bytes(), "epub": epub_bytes(), "eml": eml_bytes()}
    page = "\n".join(
        [
            lines([(72, 720, "Annual report")], 20, "F2"),
            lines([(72, 680, "Sales were good in the whole year and will be bet-"), (72, 668, "ter in the next one.")]),
            lines([(72, 640 - 14 * i, a) for i, a in enumerate(("Item", "Net sales", "Net income"))]),
            lines([(300, 640 - 14 * i, a) for i, a in enumerate(("2022", "34,229", "5,777"))]),
            lines([(400, 640 - 14 * i, a) for i, a in enumerate(("2021", "35,355", "5,921"))]),
        ]
    )
    contents: dict[str, bytes] = {
        **office,
        "odt": odf_bytes("text"),
        "ods": odf_bytes("spreadsheet"),
        "odp": odf_bytes("presentation"),
        "pdf": pdf([page, lines([(72, 720, "The second page.")])], "/Title (Yearly) /CreationDate (D:20240131120000+01'00')"),
        "txt": "House rules\n\nBe kind. Be brief.\r\nEnd.".encode("utf-16"),
        "md": b"---\ntitle: Rules\nauthor: [Ann, Bo]\ndate: 2024-01-02\n---\n# Top { #top }\n\nText <!-- unseen --> here.\n\n- a\n  - b\n\n"
        b"```py\n# no heading\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quoted\n\n[ref]: http://example.com\n",
        "rst": b"Guide\n=====\n\n:Author: Ann Lee\n\n.. unseen comment\n\nSee this::\n\n    code here\n\n* one\n* two\n\nPart\n----\n\nEnd.\n",
        "html": HTML.encode(),
        "csv": b'Name;Age\nAnn;41\n"Bo; jr";12\n',
        "tsv": b"Name\tAge\nAnn\t41\n",
        "json": json.dumps(
            {"title": "Order 7", "created": "2024-05-01", "lines": [{"item": "nut", "n": 2}, {"item": "bolt", "n": 3}]}
        ).encode(),
        "jsonl": b'{"role": "user", "content": "Hi there"}\n{"role": "assistant", "content": "Hello"}\n',
        "xml": b"<?xml version='1.0'?><!DOCTYPE r [<!ENTITY co 'ACME'>]><r><title>Parts</title><part><no>1</no><name>Nut of &co;</name></part></r>",
        "nxml": JATS.encode(),
        "vtt": b"WEBVTT\n\n1\n00:01.000 --> 00:02.500\n<v Ann>Good <i>day</i></v>\n\n00:03.000 --> 00:04.000\n<v Ann>to all.\n\n"
        b"00:05.000 --> 00:06.000\n<v Bo>Hello.\n",
        "srt": b"1\n00:00:01,000 --> 00:00:02,000\nBo: I know.\n\n2\n00:00:03,000 --> 00:00:04,500\nAnn: So do I.\n",
        "ipynb": json.dumps(NOTEBOOK).encode(),
        "py": b'"""Tools for ducks."""\n\nimport os\n\n\n@wraps\ndef quack():\n    return os\n\n\nclass Duck:\n    pass\n',
        "go": b"package main\n\n// Quack quacks.\nfunc Quack() {\n\tx := 1\n\ty := 2\n\t_ = x + y\n}\n\nfunc Swim() {\n}\n",
        "rtf": rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title Letter}{\author Ann}}Dear\~Bo,\par caf\'e9 \u8364?5 {\v gone}\par}",
    }
    return {
        name: Blob(f"id-{name}", name=f"sample.{name}", uri=f"file:///sample.{name}", data=data)
        for name, data in contents.items()
    }
