"""Reads the Markdown sources of the example library: front matter, then headings, paragraphs, lists, quotations and tables.

Also here is what the writers share: text with marks, and archives with fixed times. The formats are in the modules beside it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Run:
    """A piece of a line in one style."""

    text: str
    bold: bool = False
    italic: bool = False


@dataclass(frozen=True)
class Block:
    """A heading ("h"), a paragraph ("p"), a list item ("li"), a quotation ("q") or a table ("t")."""

    kind: str
    runs: tuple[Run, ...] = ()
    level: int = 0
    number: int = 0
    rows: tuple[tuple[tuple[Run, ...], ...], ...] = ()


@dataclass(frozen=True)
class Source:
    """A source file: its front matter and its blocks."""

    title: str
    author: str
    date: datetime
    out: str
    new_page: bool
    blocks: tuple[Block, ...]


def plain(runs: tuple[Run, ...]) -> str:
    """The text of runs without their style."""
    return "".join(run.text for run in runs)


def marked(runs: tuple[Run, ...], bold: str, italic: str) -> str:
    """Runs as XML, with the given element for bold and for italic text."""
    parts = []
    for run in runs:
        text = escape(run.text, quote=False)
        text = f"<{bold}>{text}</{bold.split()[0]}>" if run.bold else text
        parts.append(f"<{italic}>{text}</{italic.split()[0]}>" if run.italic else text)
    return "".join(parts)


def inline(token: Token) -> tuple[Run, ...]:
    """The runs of an inline token."""
    runs, bold, italic = [], False, False
    for child in token.children or ():
        if child.type in {"strong_open", "strong_close"}:
            bold = child.type == "strong_open"
        elif child.type in {"em_open", "em_close"}:
            italic = child.type == "em_open"
        elif child.type in {"softbreak", "hardbreak"}:
            runs.append(Run(" ", bold, italic))
        elif child.content:
            runs.append(Run(child.content, bold, italic))
    return tuple(runs)


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a Markdown text, in order."""
    tokens = iter(MarkdownIt("commonmark").enable("table").parse(text))
    numbers: list[int] = []
    quoted = False
    for token in tokens:
        if token.type == "ordered_list_open":
            numbers.append(int(token.attrs.get("start", 1)))
        elif token.type == "bullet_list_open":
            numbers.append(0)
        elif token.type in {"ordered_list_close", "bullet_list_close"}:
            numbers.pop()
        elif token.type in {"blockquote_open", "blockquote_close"}:
            quoted = token.type == "blockquote_open"
        elif token.type == "heading_open":
            yield Block("h", inline(next(tokens)), level=int(token.tag[1]))
        elif token.type == "table_open":
            yield Block("t", rows=tuple(table_rows(tokens)))
        elif token.type == "inline" and numbers:
            yield Block("li", inline(token), number=numbers[-1])
            numbers[-1] += numbers[-1] > 0
        elif token.type == "inline":
            yield Block("q" if quoted else "p", inline(token))


def table_rows(tokens: Iterator[Token]) -> Iterator[tuple[tuple[Run, ...], ...]]:
    """The rows of a table whose opening token was just read."""
    row: list[tuple[Run, ...]] = []
    for token in tokens:
        if token.type == "tr_open":
            row = []
        elif token.type == "inline":
            row.append(inline(token))
        elif token.type == "tr_close":
            yield tuple(row)
        elif token.type == "table_close":
            return


def read(path: Path) -> Source:
    """The source in a file."""
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    meta = dict(line.split(": ", 1) for line in head.strip().splitlines())
    date = datetime.fromisoformat(meta["date"]).replace(tzinfo=UTC)
    return Source(meta["title"], meta["author"], date, meta["out"], meta.get("chapters") == "new-page", tuple(blocks_of(body)))


def slides_of(source: Source) -> list[list[Block]]:
    """The blocks of each slide; the first of each is its title."""
    slides: list[list[Block]] = []
    for block in source.blocks:
        if block.kind == "h":
            slides.append([])
        slides[-1].append(block)
    return slides


def repack(data: bytes, change: Callable[[str, bytes], bytes] = lambda _, content: content) -> bytes:
    """A zip archive with the same members but fixed times."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        zip_members(out, [(info.filename, change(info.filename, old.read(info))) for info in old.infolist()])
    return out.getvalue()


def zip_members(out: io.BytesIO, members: list[tuple[str, bytes]]) -> None:
    """Writes members with fixed times; a member `mimetype` is stored without compression."""
    with zipfile.ZipFile(out, "w") as new:
        for name, content in members:
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            new.writestr(info, content)
