"""What every parser shares: the source it is handed, and the builder that puts text, blocks and pages together exactly.

Here is no knowledge of any format. Parsers append blocks in reading order; the builder keeps the offsets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from contextkit.documents.charset import decode
from contextkit.documents.language import normal_tag, of_text
from contextkit.types import JSON, Blob, Block, BlockKind, Document, Span

_NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# what no text needs and databases, terminals and models trip over: C0 and C1 controls, lone surrogates, non-characters; and soft
# hyphens, which nobody sees and which part words for every search
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
# A word that a line end parts, and what stands there: a hyphen that only a program sets. The one that authors type is left
# alone, as it ends the lines of tables and lists of options too.
_PARTED = re.compile(r"(?<![^\W\d_])([^\W\d_]++)([\u2010\xad])([ \t]*\n[ \t]*)([^\W\d_]+)([^\s\u2010\xad]*)([ \t]*\n|[ \t]|$)?")
_COMPOUND = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_SPACES = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_BLANK_LINES = re.compile(r"\n\s*\n\s*")
_WHITE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Source:
    """One document's bytes on the way into a parser.

    Attributes:
        blob: where they came from.
        data: the bytes.
        media_type: what the content is, in lower case, without parameters.
        charset: the encoding that the source states, or "".
        nested: parses a document inside this one (a mail's attachment); raises ParseError, also where the nesting is too deep.
    """

    blob: Blob
    data: bytes
    media_type: str
    charset: str = ""
    nested: Callable[[Blob], Document] | None = None

    def text(self) -> str:
        """The bytes decoded, with line feeds for all newlines and without control characters."""
        return clean(decode(self.data, self.charset))


def clean(text: str) -> str:
    """The text with line feeds for all newlines and without control characters, lone surrogates, byte order marks, soft hyphens.

    A word that a typesetting program parted at a line end (with U+2010 or a soft hyphen) stands whole on the first line.
    """
    text = _NEWLINES.sub("\n", text) if not text.isascii() or any(c in text for c in "\r\x0b\x0c") else text
    if "\u2010" in text or "\xad" in text:
        text = _whole_words(text)
    return _CONTROL.sub("", text)


def _whole_words(text: str) -> str:
    """The text with the rest of each parted word drawn up to the line where it begins; the hyphens of compounds stay."""
    words: frozenset[str] = frozenset()

    def whole(found: re.Match[str]) -> str:
        nonlocal words
        head, hyphen, gap, tail, rest, after = found.groups()
        words = words or frozenset(w.replace("\u2010", "-") for w in _COMPOUND.findall(text.lower().replace("\xad", "")))
        one, two = head.lower(), tail.lower()
        compound = hyphen == "\u2010" and one + two not in words and (f"{one}-{two}" in words or not tail[0].islower())
        # the line's end goes behind the word; where the word is all that the next line holds, that line's own end is enough
        end = "" if after is None else after if not after or after[-1] == "\n" else gap
        return f"{head}{hyphen if compound else ''}{tail}{rest}{end}"

    return _PARTED.sub(whole, text)


def one_line(text: str) -> str:
    """The text on one line, white space collapsed and trimmed."""
    return _WHITE.sub(" ", clean(text)).strip()


def flowing(text: str) -> str:
    """The text with runs of spaces collapsed, blank lines dropped and each line trimmed."""
    text = _SPACES.sub(" ", clean(text))
    return "\n".join(line for line in (part.strip() for part in text.split("\n")) if line)


def iso_date(value: object) -> str:
    """A date or time as ISO 8601, to the second and with its offset where known; "" where it is none."""
    if isinstance(value, datetime):
        return value.replace(microsecond=0).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str) or not value.strip():
        return ""
    text = value.strip()
    try:
        if len(text) == 4 and text.isdigit():
            return text
        if re.fullmatch(r"\d{8}", text):
            return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date().isoformat()
        if re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", text):
            return text
        return datetime.fromisoformat(text).replace(microsecond=0).isoformat()
    except ValueError:
        return ""


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """Markdown rows of a table, its first row as the header; "" where no cell holds anything.

    Cells are put on one line, `|` is escaped, rows are filled up to the widest; empty rows and empty outer columns go.
    """
    cells = [[one_line(cell).replace("|", "\\|") for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    if not cells:
        return ""
    width = max(len(row) for row in cells)
    cells = [row + [""] * (width - len(row)) for row in cells]
    used = [i for i in range(width) if any(row[i] for row in cells)]
    lines = ["| " + " | ".join(row[i] for i in range(used[0], used[-1] + 1)) + " |" for row in cells]
    rule = "|" + "---|" * (used[-1] - used[0] + 1)
    return "\n".join([lines[0], rule, *lines[1:]])


@dataclass(slots=True)
class Builder:
    """Puts a document together, block by block, in reading order.

    Every character of the text that is not white space lies in a block; blocks stand apart by an empty line, the items of a list
    and the turns of a dialogue by a line break. Empty blocks are left out.
    """

    title: str = ""
    language: str = ""
    metadata: dict[str, JSON] = field(default_factory=dict)
    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _blocks: list[Block] = field(default_factory=list)
    _pages: list[Span] = field(default_factory=list)

    def add(self, kind: BlockKind, text: str, level: int = 0) -> None:
        """Append a block; its text is used as it is, but trimmed of empty lines and white space at its ends."""
        text = clean(text)
        text = text.strip("\n").rstrip() if kind is BlockKind.CODE else text.strip()
        if kind is BlockKind.CODE and text:  # an indented first line keeps its indentation, a block starts at a character
            lead = len(text) - len(text.lstrip())
            self._separate(kind, 0)
            self._append(text[:lead])
            text = text[lead:]
        elif text:
            self._separate(kind, level if kind is BlockKind.LIST_ITEM else 0)
        if not text:
            return
        start = self._length
        self._append(text)
        self._blocks.append(Block(kind, start, self._length, level))

    def heading(self, text: str, level: int = 1) -> None:
        """Append a heading, put on one line."""
        self.add(BlockKind.HEADING, one_line(text), max(1, level))

    def paragraph(self, text: str) -> None:
        """Append a paragraph; its line breaks stay, runs of spaces do not."""
        self.add(BlockKind.PARAGRAPH, flowing(text))

    def item(self, text: str, level: int = 0, mark: str = "-") -> None:
        """Append a list item with its mark ("-", "3.")."""
        text = flowing(text)
        if text:
            self.add(BlockKind.LIST_ITEM, f"{mark} {text}" if mark else text, max(0, level))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Append a table given as rows of cells, the header first."""
        self.add(BlockKind.TABLE, table_text(rows))

    @contextmanager
    def page(self) -> Iterator[None]:
        """What is appended inside makes one page; an empty page is kept, as an empty span, so that numbers stay right."""
        blocks = len(self._blocks)
        yield
        if len(self._blocks) > blocks:
            self._pages.append(Span(self._blocks[blocks].start, self._length))
        else:
            self._pages.append(Span(self._length, self._length))

    def extend(self, document: Document, deeper: int = 0) -> None:
        """Append the blocks of another document, its headings `deeper` levels down; what lies between its blocks goes."""
        for block in document.blocks:
            level = block.level + deeper if block.kind is BlockKind.HEADING else block.level
            self.add(block.kind, document.text[block.start : block.end], level)

    def parts(self) -> Iterator[tuple[BlockKind, str, int]]:
        """The blocks so far: kind, text, level."""
        text = "".join(self._parts)
        yield from ((b.kind, text[b.start : b.end], b.level) for b in self._blocks)

    def take(self, other: Builder) -> None:
        """Have another builder's blocks in place of those so far."""
        self._parts, self._length, self._blocks = other._parts, other._length, other._blocks

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    @property
    def empty(self) -> bool:
        """Whether nothing was appended yet."""
        return not self._blocks

    def build(self, source: Source, media_type: str = "") -> Document:
        """The document, with the blob's id and uri."""
        text = "".join(self._parts)
        return finished(
            source, text, self._blocks, self._pages, self.title, self.language, self.metadata, media_type or source.media_type
        )

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)

    def _separate(self, kind: BlockKind, indent: int) -> None:
        if self._blocks:
            close = kind in (BlockKind.LIST_ITEM, BlockKind.TURN) and self._blocks[-1].kind is kind
            self._append("\n" + "  " * min(indent, 8) if close else "\n\n")


def finished(
    source: Source,
    text: str,
    blocks: Iterable[Block],
    pages: Iterable[Span] = (),
    title: str = "",
    language: str = "",
    metadata: Mapping[str, JSON] | None = None,
    media_type: str = "",
) -> Document:
    """A document of finished parts: empty metadata left out, the language found from the text where it is not stated."""
    return Document(
        id=source.blob.id,
        text=text,
        title=one_line(title)[:500],
        uri=source.blob.uri,
        metadata={k: v for k, v in (metadata or {}).items() if v not in (None, "", [], {})},
        media_type=media_type or source.media_type,
        language=normal_tag(language) or of_text(text),
        blocks=tuple(blocks),
        pages=tuple(pages),
    )


def text_paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a plain text: what stands between blank lines."""
    yield from (part for part in _BLANK_LINES.split(text) if part.strip())
