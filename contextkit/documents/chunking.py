"""Documents to chunks: windows that follow the structure, end at sentences and fit the embedder.

`StructureChunker` is the default of the seam `Chunker`. A chunk never crosses a heading; windows of a section are of about equal
size, so that no tiny rest is left. Headings, table headers and the title travel in the chunk's header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from contextkit.documents.sentences import sentences, strip
from contextkit.documents.structure import blocks_of, lines
from contextkit.errors import InputError
from contextkit.types import Block, BlockKind, Chunk, Document, Span

Count = Callable[[Sequence[str]], list[int]]
"""Gives the number of an embedder's pieces of each text, special ones not included."""

_SPECIAL = 2  # the pieces that a model puts around its input
_JOINT = 1  # between header and text
_WIDEST = 16  # characters that count as a piece at least: a tokenizer may give one piece for a word of a million letters
_NAME = 4_096  # characters of a heading or of a table's header row that could ever matter to a chunk's header


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, table row, code line or turn with the piece count of its text."""

    span: Span
    pieces: int
    kind: BlockKind


@dataclass(frozen=True, slots=True)
class _Section:
    """What stands under one heading: its units, and the path of headings above."""

    path: tuple[str, ...]
    units: list[_Unit]


@dataclass(frozen=True, slots=True)
class StructureChunker:
    """Cuts documents into windows of about `target` pieces along their structure (protocol `Chunker`).

    Attributes:
        count: the embedder's piece count.
        target: pieces that a chunk has at most, its header included, where its sentences allow. 180 measured best for
            all-MiniLM-L6-v2 among 60 to 254 (benchmarks/evidence.py).
        window: pieces that the embedder reads; no chunk with its header has more.
        header: the most pieces of a header.
    """

    count: Count
    target: int = 180
    window: int = 256
    header: int = 40

    def __post_init__(self) -> None:
        if not 16 <= self.target <= self.window - _SPECIAL:
            raise InputError(
                f"a chunk target of {self.target} pieces does not lie between 16 and the window's {self.window - _SPECIAL}"
            )

    @property
    def config(self) -> str:
        """A stable name of everything that changes the output."""
        return f"structure-5 target={self.target} window={self.window} header={self.header}"

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document in text order; [] for a text of white space alone."""
        out: list[Chunk] = []
        title = " ".join(document.title.split())
        tables = _table_headers(document)
        for section in self._sections(document):
            own = [_plain(document.text[u.span.start : u.span.end]) for u in section.units if u.kind is BlockKind.HEADING]
            above, full = self._header((title, *section.path)), self._header((title, *section.path, *own))
            room = self.target - self.count([full])[0] - _JOINT
            for units in _windows(section.units, room, self._hard_limit(full)):
                # the section's own heading stands in its first window; the later ones carry it in their header
                head = above if units[0].kind is BlockKind.HEADING else full
                out.append(self._make(document, units, head, tables))
        return out

    def _hard_limit(self, head: str) -> int:
        return self.window - _SPECIAL - self.count([head])[0] - _JOINT

    def _make(self, document: Document, units: list[_Unit], head: str, tables: dict[int, str]) -> Chunk:
        span = Span(units[0].span.start, units[-1].span.end)
        kinds = {u.kind for u in units if u.kind is not BlockKind.HEADING}
        table = tables.get(units[0].span.start, "")
        if table:  # the body rows of a long table mean little without its header row
            wide = f"{head} | {table}" if head else table
            spare = self.window - _SPECIAL - _JOINT - sum(u.pieces + 1 for u in units)
            head = self._trimmed(wide, min(spare, 2 * self.header)) or head
        return Chunk(
            start=span.start,
            end=span.end,
            text=document.text[span.start : span.end],
            header=head,
            sentences=tuple(u.span for u in units),
            pages=document.pages_of(span),
            kind=kinds.pop() if len(kinds) == 1 else BlockKind.PARAGRAPH,
        )

    def _header(self, path: tuple[str, ...]) -> str:
        """The title and the headings above, without repetition; the outer ones in the middle go first where it is too long."""
        parts = list(dict.fromkeys(p for p in path if p))
        parts = [*parts[:1], *parts[1:][-self.header :]]  # each takes a piece at least
        while len(parts) > 2 and self.count([" > ".join(parts)])[0] > self.header:
            del parts[1]
        return self._trimmed(" > ".join(parts), self.header)

    def _trimmed(self, text: str, limit: int) -> str:
        """The longest start of a text, in whole words, of at most `limit` pieces."""
        words = text[:_NAME].split(" ")[: max(0, limit)]
        while words and self.count([" ".join(words)])[0] > limit:
            words.pop()
        return " ".join(words)

    def _sections(self, document: Document) -> Iterator[_Section]:
        path: list[tuple[int, str]] = []
        units: list[_Unit] = []
        above: tuple[str, ...] = ()
        for block, spans in self._measured(document):
            if block.kind is BlockKind.HEADING:
                if units and units[-1].kind is not BlockKind.HEADING:
                    yield _Section(above, units)
                    units = []
                path = [p for p in path if p[0] < block.level]
                if not units:  # headings that follow each other stay together, under the first one's path
                    above = tuple(name for _, name in path)
                path.append((block.level, _plain(document.text[block.start : min(block.end, block.start + _NAME)])))
            units.extend(spans)
        if units:
            yield _Section(above, units)

    def _measured(self, document: Document) -> list[tuple[Block, list[_Unit]]]:
        """Each block with its units; all units are counted in one call."""
        limit = self.window - _SPECIAL - self.header - _JOINT
        per_block = [(block, _units(document.text, block)) for block in _covering(document)]
        counts = iter(self._sizes(document.text, [span for _, spans in per_block for span in spans]))
        out = []
        for block, spans in per_block:
            units: list[_Unit] = []
            for span in spans:
                pieces = next(counts)
                whole = pieces <= (self.target // 2 if block.kind is BlockKind.TURN else limit)
                units.extend([_Unit(span, pieces, block.kind)] if whole else self._split(document.text, span, block.kind))
            out.append((block, units))
        return out

    def _sizes(self, text: str, spans: Sequence[Span]) -> list[int]:
        """The pieces of each span, and no fewer than its length in characters calls for."""
        counts = self.count([text[s.start : s.end] for s in spans])
        return [max(pieces, len(span) // _WIDEST) for span, pieces in zip(spans, counts, strict=True)]

    def _split(self, text: str, span: Span, kind: BlockKind) -> list[_Unit]:
        """Units of at most half a target from a span that is too long for one: a long turn, a text without marks, a huge row."""
        longest = max(16, len(span) * (self.target // 2) // max(1, self._sizes(text, [span])[0]))
        out: list[_Unit] = []
        parts = sentences(text, span.start, span.end, longest)
        for part, pieces in zip(parts, self._sizes(text, parts), strict=True):
            if pieces > self.window - _SPECIAL - self.header - _JOINT:  # dense text: halve until it fits
                middle = (part.start + part.end) // 2
                halves = (strip(text, part.start, middle), strip(text, middle, part.end))
                out.extend(u for half in halves if half is not None for u in self._split(text, half, kind))
            else:
                out.append(_Unit(part, pieces, kind))
        return out


def _windows(units: list[_Unit], room: int, hard: int) -> Iterator[list[_Unit]]:
    """The units in runs of about equal size, each of at most `room` pieces where possible and never more than `hard`."""
    total = sum(u.pieces for u in units)
    share = total / max(1, ceil(total / max(1, room)))
    run: list[_Unit] = []
    size = 0
    for unit in units:
        # close the run where it ends nearer to its share without this unit than with it
        full = run and (size + unit.pieces > min(max(room, 1), hard) or size + unit.pieces / 2 > share)
        if (full and run[-1].kind is not BlockKind.HEADING) or (size + unit.pieces > hard and run):
            yield run
            run, size = [], 0
        run.append(unit)
        size += unit.pieces
    if run:
        yield run


def _units(text: str, block: Block) -> list[Span]:
    """The spans in a block that are selected and shown as one."""
    if block.kind is BlockKind.TABLE:
        head, *rows = lines(text, Span(block.start, block.end))
        if rows and not text[rows[0].start : rows[0].end].strip("|-: "):  # the `|---|` line says nothing without the header row
            return [Span(head.start, rows[0].end), *rows[1:]]
        return [head, *rows]
    if block.kind is BlockKind.CODE:
        return lines(text, Span(block.start, block.end))
    if block.kind in (BlockKind.HEADING, BlockKind.TURN):  # what one person said is read as a whole
        span = strip(text, block.start, block.end)
        return [] if span is None else [span]
    return sentences(text, block.start, block.end)


def _covering(document: Document) -> Iterator[Block]:
    """The blocks, with paragraphs for whatever text lies between them, so that no character is lost."""
    at = 0
    for block in blocks_of(document):
        gap = strip(document.text, at, block.start)
        if gap is not None:
            yield Block(BlockKind.PARAGRAPH, gap.start, gap.end)
        yield block
        at = max(at, block.end)
    gap = strip(document.text, at, len(document.text))
    if gap is not None:
        yield Block(BlockKind.PARAGRAPH, gap.start, gap.end)


def _table_headers(document: Document) -> dict[int, str]:
    """For each body row of the document's tables, by its start, the table's header row as plain words."""
    out: dict[int, str] = {}
    for block in blocks_of(document):
        if block.kind is BlockKind.TABLE:
            rows = lines(document.text, Span(block.start, block.end))
            head = document.text[rows[0].start : min(rows[0].end, rows[0].start + _NAME)]
            names = ", ".join(cell.strip() for cell in head.strip("|").split("|") if cell.strip())
            out.update((row.start, names) for row in rows[2:])
    return out


def _plain(heading: str) -> str:
    """A heading without its marks, on one line."""
    return " ".join(heading.strip().strip("#=*").split())
