"""Jupyter notebooks: Markdown cells as Markdown, code cells as code, text outputs and table outputs after them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from contextkit.documents.building import Builder, Source
from contextkit.documents.parsers.markdown import plain_heading, structured
from contextkit.errors import ParseError
from contextkit.types import JSON, BlockKind, Document

_OUTPUT = 4_000
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def read(source: Source) -> Document:
    """The cells in order. Raises ParseError where the JSON is no notebook."""
    name = source.blob.name or source.blob.id
    try:
        book = json.loads(source.text())
    except ValueError as error:
        raise ParseError(f"{name!r} is not a valid notebook: {error}") from error
    if not isinstance(book, Mapping):
        raise ParseError(f"{name!r} is not a valid notebook: it is a {type(book).__name__}, not an object with cells")
    cells = book.get("cells")
    if cells is None:  # the format before version 4
        sheets = book.get("worksheets")
        cells = [c for s in sheets if isinstance(s, Mapping) for c in s.get("cells", ())] if isinstance(sheets, list) else None
    if not isinstance(cells, list):
        raise ParseError(f"{name!r} is not a valid notebook: it has no list of cells")
    builder = Builder()
    _facts(builder, book.get("metadata"))
    for cell in cells:
        if isinstance(cell, Mapping):
            _cell(builder, cell)
    return builder.build(source)


def _facts(builder: Builder, metadata: JSON) -> None:
    if not isinstance(metadata, Mapping):
        return
    title = metadata.get("title")
    builder.title = title if isinstance(title, str) else ""
    authors = metadata.get("authors")
    if isinstance(authors, list):
        builder.metadata["author"] = ", ".join(str(a.get("name", "")) if isinstance(a, Mapping) else str(a) for a in authors)
    kernel = metadata.get("kernelspec")
    if isinstance(kernel, Mapping):
        builder.metadata["programming_language"] = str(kernel.get("language") or kernel.get("name") or "")


def _cell(builder: Builder, cell: Mapping[str, JSON]) -> None:
    text = _joined(cell.get("source", cell.get("input")))
    match cell.get("cell_type"):
        case "markdown":
            _markdown(builder, text)
        case "code":
            builder.add(BlockKind.CODE, text)
            outputs = cell.get("outputs")
            for output in outputs if isinstance(outputs, list) else ():
                if isinstance(output, Mapping):
                    _output(builder, output)
        case "heading":
            level = cell.get("level")
            builder.heading(text, level if isinstance(level, int) else 1)
        case _:
            builder.paragraph(text)


def _markdown(builder: Builder, text: str) -> None:
    body, blocks = structured(text)
    for block in blocks:
        piece = body[block.start : block.end]
        if block.kind is BlockKind.HEADING:
            builder.title = builder.title or plain_heading(piece)
            builder.heading(plain_heading(piece), block.level)
        else:
            builder.add(block.kind, piece, block.level)


def _output(builder: Builder, output: Mapping[str, JSON]) -> None:
    """Append an output's text; images and errors' stack traces are left out."""
    data = output.get("data")
    text = _joined(output.get("text"))
    if isinstance(data, Mapping):
        text = _joined(data.get("text/markdown")) or _joined(data.get("text/plain"))
        page = _joined(data.get("text/html"))
        if "<table" in page:
            from contextkit.documents.parsers.html import add_html

            inner = Builder(title="-", language="-")
            add_html(inner, page)
            for kind, part, level in inner.parts():
                builder.add(kind, part, level)
            return
    if output.get("output_type") == "error":
        text = f"{output.get('ename', '')}: {output.get('evalue', '')}"
    text = _ANSI.sub("", text)
    builder.add(BlockKind.CODE, text if len(text) <= _OUTPUT else text[:_OUTPUT].rsplit("\n", 1)[0] + "\n...")


def _joined(value: JSON) -> str:
    if isinstance(value, list):
        return "".join(str(v) for v in value)
    return value if isinstance(value, str) else ""
