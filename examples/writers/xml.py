"""Writes EPUB and ODT: a handful of XML files in an archive each, so no library is needed."""

from __future__ import annotations

import io
from html import escape
from pathlib import Path

from writers.source import Block, Source, marked, plain, slides_of, zip_members


def xhtml(blocks: list[Block]) -> str:
    """Blocks as the body of an XHTML page."""
    parts: list[str] = []
    for block in blocks:
        body = marked(block.runs, "strong", "em")
        if block.kind == "h":
            parts.append(f"<h{block.level}>{body}</h{block.level}>")
        elif block.kind == "t":
            head, *rest = ["".join(f"<TD>{marked(c, 'strong', 'em')}</TD>" for c in row) for row in block.rows]
            lines = [head.replace("TD>", "th>"), *(line.replace("TD>", "td>") for line in rest)]
            parts.append("<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>")
        elif block.kind == "li":
            tag = "ol" if block.number else "ul"
            if parts and parts[-1].endswith(f"</{tag}>") and block.number != 1:
                parts[-1] = parts[-1].removesuffix(f"</{tag}>") + f"<li>{body}</li></{tag}>"
            else:
                parts.append(f"<{tag}><li>{body}</li></{tag}>")
        else:
            parts.append(f"<blockquote><p>{body}</p></blockquote>" if block.kind == "q" else f"<p>{body}</p>")
    return "\n".join(parts)


def epub(source: Source) -> bytes:
    """The source as a book: one page for each chapter, with a table of contents."""
    chapters = slides_of(source)
    page = '<?xml version="1.0" encoding="utf-8"?>\n<html xmlns="http://www.w3.org/1999/xhtml"{0}><head><title>{1}</title></head>\n<body>{2}</body></html>\n'
    names = [f"chapter-{n:02}.xhtml" for n in range(1, len(chapters) + 1)]
    titles = [escape(plain(chapter[0].runs)) for chapter in chapters]
    toc = "".join(f'<li><a href="{name}">{title}</a></li>' for name, title in zip(names, titles, strict=True))
    nav = f'<nav epub:type="toc"><h1>Contents</h1><ol>{toc}</ol></nav>'
    items = "".join(f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(names))
    opf = f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:nimbrook:{Path(source.out).stem}</dc:identifier>
<dc:title>{escape(source.title)}</dc:title><dc:language>en</dc:language><dc:creator>{escape(source.author)}</dc:creator>
<dc:date>{source.date:%Y-%m-%d}</dc:date><meta property="dcterms:modified">{source.date:%Y-%m-%dT00:00:00Z}</meta></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>{items}</manifest>
<spine>{"".join(f'<itemref idref="c{n}"/>' for n in range(len(names)))}</spine></package>
"""
    container = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""
    texts = [
        ("mimetype", "application/epub+zip"),
        ("META-INF/container.xml", container),
        ("book/content.opf", opf),
        ("book/nav.xhtml", page.format(' xmlns:epub="http://www.idpf.org/2007/ops"', "Contents", nav)),
        *((f"book/{name}", page.format("", t, xhtml(c))) for name, t, c in zip(names, titles, chapters, strict=True)),
    ]
    out = io.BytesIO()
    zip_members(out, [(name, text.encode()) for name, text in texts])
    return out.getvalue()


ODF = (
    " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{uri}:1.0"'
        for name, uri in {
            "office": "office",
            "text": "text",
            "table": "table",
            "style": "style",
            "meta": "meta",
            "fo": "xsl-fo-compatible",
        }.items()
    )
    + ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
)


def odt_body(source: Source) -> str:
    """The blocks as the body of an OpenDocument text."""
    bold, italic = 'text:span text:style-name="Strong"', 'text:span text:style-name="Emphasis"'
    parts: list[str] = []
    for n, block in enumerate(source.blocks):
        body = marked(block.runs, bold, italic)
        if block.kind == "h":
            parts.append(f'<text:h text:style-name="Heading_20_{block.level}" text:outline-level="{block.level}">{body}</text:h>')
        elif block.kind == "t":
            rows = ""
            for row in block.rows:
                cells = (f"<text:p>{marked(runs, bold, italic)}</text:p>" for runs in row)
                cells = (f'<table:table-cell office:value-type="string">{cell}</table:table-cell>' for cell in cells)
                rows += f"<table:table-row>{''.join(cells)}</table:table-row>"
            columns = f'<table:table-column table:number-columns-repeated="{len(block.rows[0])}"/>'
            parts.append(f'<table:table table:name="Table{n}">{columns}{rows}</table:table>')
        elif block.kind == "li":
            start = f' text:start-value="{block.number}"' if block.number else ""
            style = "Numbers" if block.number else "Bullets"
            parts.append(
                f'<text:list text:style-name="{style}"><text:list-item{start}><text:p>{body}</text:p></text:list-item></text:list>'
            )
        else:
            parts.append(f"<text:p>{body}</text:p>")
    return "\n".join(parts)


def odt(source: Source) -> bytes:
    """The source as an OpenDocument text."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    span = '<style:style style:name="{0}" style:family="text"><style:text-properties {1}/></style:style>'
    headings = "".join(
        f'<style:style style:name="Heading_20_{n}" style:display-name="Heading {n}" style:family="paragraph" '
        f'style:default-outline-level="{n}"><style:text-properties fo:font-size="{20 - 3 * n}pt" fo:font-weight="bold"/></style:style>'
        for n in (1, 2, 3)
    )
    lists = (
        '<text:list-style style:name="Numbers"><text:list-level-style-number text:level="1" style:num-suffix="." style:num-format="1"/></text:list-style>'
        '<text:list-style style:name="Bullets"><text:list-level-style-bullet text:level="1" text:bullet-char="•"/></text:list-style>'
    )
    styles = headings + span.format("Strong", 'fo:font-weight="bold"') + span.format("Emphasis", 'fo:font-style="italic"') + lists
    day = f"{source.date:%Y-%m-%dT00:00:00}"
    meta = (
        f"<dc:title>{escape(source.title)}</dc:title><meta:initial-creator>{escape(source.author)}</meta:initial-creator>"
        f"<dc:creator>{escape(source.author)}</dc:creator><meta:creation-date>{day}</meta:creation-date><dc:date>{day}</dc:date>"
    )
    kind = "application/vnd.oasis.opendocument.text"
    files = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="{media}"/>'
        for name, media in [("/", kind), *((f"{part}.xml", "text/xml") for part in ("content", "styles", "meta"))]
    )
    version = 'office:version="1.3"'
    body = f"<office:body><office:text>{odt_body(source)}</office:text></office:body>"
    members = {
        "mimetype": kind,
        "content.xml": f"{head}<office:document-content {ODF} {version}>{body}</office:document-content>",
        "styles.xml": f"{head}<office:document-styles {ODF} {version}><office:styles>{styles}</office:styles></office:document-styles>",
        "meta.xml": f"{head}<office:document-meta {ODF} {version}><office:meta>{meta}</office:meta></office:document-meta>",
        "META-INF/manifest.xml": f'{head}<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" '
        f'manifest:version="1.3">{files}</manifest:manifest>',
    }
    out = io.BytesIO()
    zip_members(out, [(name, text.encode()) for name, text in members.items()])
    return out.getvalue()
