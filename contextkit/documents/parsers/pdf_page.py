"""One PDF page to rows of text pieces in reading order: from pdfium's characters and their boxes.

Coordinates are points in the page as shown, x to the right, y upwards. What the rows are (tables, headings, text) is decided
in `pdf_layout`.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pypdfium2 as pdfium

_CELL_GAP = 0.9  # of a line's height: a wider gap parts two cells or columns
_PROSE = 28  # characters of a column's middle row from which on it is running text
_MOST_RUNS = 80
_SOFT_HYPHENS = "\x02\xad\ufffe"
_RTL = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")
_FORMS = re.compile(r"[\ufb00-\ufb06\ufb1d-\ufdff\ufe70-\ufefc\u2126\u212b]")
_MIXED = re.compile(r"(?<=[\u0620-\u064a\u066e-\u06d3])(?=[A-Za-z])|(?<=[A-Za-z])(?=[\u0620-\u064a\u066e-\u06d3])")
HYPHEN = "\x02"
"""Ends a piece whose last word goes on in the next row."""

Box = tuple[float, float, float, float]


@dataclass(slots=True)
class Piece:
    """Characters that stand together on one line: a line of a paragraph, a table's cell.

    Attributes:
        text: in logical order.
        x0: left edge.
        y0: lower edge.
        x1: right edge.
        y1: upper edge.
        bold: whether its font is.
        order: its place in the file.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    bold: bool = False
    order: int = 0

    @property
    def size(self) -> float:
        """The height of its line, in points: ascent and descent of the font."""
        return self.y1 - self.y0


@dataclass(slots=True)
class Row:
    """Pieces on one line, in reading direction."""

    pieces: list[Piece]

    @property
    def text(self) -> str:
        """The pieces' texts with spaces between."""
        return " ".join(p.text for p in self.pieces)

    @property
    def x0(self) -> float:
        """Left edge."""
        return min(p.x0 for p in self.pieces)

    @property
    def x1(self) -> float:
        """Right edge."""
        return max(p.x1 for p in self.pieces)

    @property
    def y0(self) -> float:
        """Lower edge of the largest piece."""
        return max(self.pieces, key=lambda p: p.size).y0

    @property
    def y1(self) -> float:
        """Upper edge of the largest piece."""
        return max(self.pieces, key=lambda p: p.size).y1

    @property
    def size(self) -> float:
        """Height of the largest piece that holds a good part of the text."""
        most = max(len(p.text) for p in self.pieces)
        return max(p.size for p in self.pieces if 2 * len(p.text) >= most)

    @property
    def bold(self) -> bool:
        """Whether all pieces are."""
        return all(p.bold for p in self.pieces)


@dataclass(slots=True)
class _Run:
    """Rows that follow each other downwards in the file."""

    rows: list[Row] = field(default_factory=list)

    def box(self) -> Box:
        return (
            min(r.x0 for r in self.rows),
            min(r.y0 for r in self.rows),
            max(r.x1 for r in self.rows),
            max(r.y1 for r in self.rows),
        )

    def prose(self) -> bool:
        return len(self.rows) > 1 and median(len(r.text) for r in self.rows) >= _PROSE


def page_rows(page: pdfium.PdfPage) -> list[Row]:
    """The page's rows in reading order; [] for a page without text."""
    textpage = page.get_textpage()
    try:
        pieces = list(_pieces(textpage.raw, textpage.count_chars(), _turned(page)))
    finally:
        textpage.close()
    upright = [p for p in pieces if p.size > 0]
    rtl = sum(len(_RTL.findall(p.text)) for p in upright) > 0.3 * sum(len(p.text) for p in upright)
    return _in_order(_stream_rows(upright, rtl=rtl), rtl=rtl)


def _turned(page: pdfium.PdfPage) -> Callable[[float, float, float, float], Box] | None:
    """How boxes move where the page is shown turned; None where it is not."""
    rotation = page.get_rotation()
    if rotation == 90:
        return lambda l, b, r, t: (b, -r, t, -l)  # noqa: E741 left, bottom, right, top
    if rotation == 180:
        return lambda l, b, r, t: (-r, -t, -l, -b)  # noqa: E741 left, bottom, right, top
    if rotation == 270:
        return lambda l, b, r, t: (-t, l, -b, r)  # noqa: E741 left, bottom, right, top
    return None


@dataclass(slots=True)
class _Open:
    """The piece being read: its characters, their boxes and the last one's."""

    chars: list[str]
    boxes: list[Box]
    first: int
    space: bool = False

    def add(self, char: str, box: Box) -> None:
        """Append a character, with a space before it where the file has one or the gap is as wide as one."""
        wide = self.boxes and 0.2 * (box[3] - box[1]) < box[0] - self.boxes[-1][2] and char < "\u0590"
        if self.boxes and (self.space or wide):
            self.chars.append(" ")
            self.boxes.append(self.boxes[-1])
        self.space = False
        self.chars.append(char)
        self.boxes.append(box)


def _pieces(raw: Any, count: int, turned: Callable[[float, float, float, float], Box] | None) -> Iterator[Piece]:  # noqa: ANN401 a ctypes handle
    import pypdfium2.raw as c

    now: _Open | None = None
    order = 0
    for index, char, box in _characters(c, raw, count):
        if box is None:
            if now is not None and char == " ":
                now.space = True
                continue
        elif turned is not None:
            box = turned(*box)
        if now is not None and (box is None or _apart(now.boxes[-1], box)):
            yield from _closed(c, raw, now, order)
            order += 1
            now = None
        if box is not None:
            now = now or _Open([], [], index)
            now.add(char, box)
    if now is not None:
        yield from _closed(c, raw, now, order)


def _characters(c: Any, raw: Any, count: int) -> Iterator[tuple[int, str, Box | None]]:  # noqa: ANN401 ctypes
    """Each character with its index and box; white space without one, as a space or, where a line ends, a line feed."""
    unicode_at, box_at = c.FPDFText_GetUnicode, c.FPDFText_GetLooseCharBox
    rect = c.FS_RECTF()
    reference = ctypes.byref(rect)
    for index in range(count):
        code = unicode_at(raw, index)
        char = chr(code) if code < 0x110000 else "\ufffd"
        if char in "\r\n":
            yield index, "\n", None
        elif char.isspace():
            yield index, " ", None
        elif box_at(raw, index, reference):
            yield index, char, (rect.left, rect.bottom, rect.right, rect.top)


def _apart(last: Box, box: Box) -> bool:
    """Whether two characters that follow each other stand in different pieces."""
    height = max(last[3] - last[1], box[3] - box[1])
    if max(box[0] - last[2], last[0] - box[2]) > _CELL_GAP * height:
        return True
    overlap = min(last[3], box[3]) - max(last[1], box[1])
    return overlap < 0.25 * min(last[3] - last[1], box[3] - box[1])


def _closed(c: Any, raw: Any, now: _Open, order: int) -> Iterator[Piece]:  # noqa: ANN401 ctypes
    text = _logical(now)
    boxes = [b for b in now.boxes if b[2] > b[0] and b[3] > b[1]] or now.boxes
    text = _MIXED.sub(" ", _FORMS.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text))
    soft = text[-1:] in _SOFT_HYPHENS
    text = "".join(ch for ch in text if ch not in _SOFT_HYPHENS and ch.isprintable()).strip()
    if not text:
        return
    heights = [b[3] - b[1] for b in boxes]
    middle = median(heights)
    tall = [b for b in boxes if b[3] - b[1] >= 0.9 * middle]
    yield Piece(
        text + HYPHEN if soft else text,
        min(b[0] for b in boxes),
        median(b[1] for b in tall),
        max(b[2] for b in boxes),
        median(b[3] for b in tall),
        _bold(c, raw, now.first + len(now.chars) // 2),
        order,
    )


def _logical(now: _Open) -> str:
    """The characters in logical order. pdfium turns right-to-left runs, and with them the letters of a ligature: turned back."""
    text = "".join(now.chars)
    if not _RTL.search(text):
        return _paired(text)
    chars = now.chars
    out: list[str] = []
    at = 0
    while at < len(chars):
        end = at + 1
        while end < len(chars) and now.boxes[end] == now.boxes[at] and _RTL.match(chars[end]) and _RTL.match(chars[at]):
            end += 1
        out.extend(reversed(chars[at:end]))
        at = end
    return _paired("".join(out))


def _paired(text: str) -> str:
    """Surrogate pairs as one character, single ones as U+FFFD."""
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _bold(c: Any, raw: Any, index: int) -> bool:  # noqa: ANN401 ctypes
    weight = c.FPDFText_GetFontWeight(raw, index)
    if weight >= 600:
        return True
    buffer = ctypes.create_string_buffer(128)
    flags = ctypes.c_int()
    size = c.FPDFText_GetFontInfo(raw, index, buffer, 128, ctypes.byref(flags))
    name = buffer.value.decode("utf-8", "replace").lower() if 0 < size <= 128 else ""
    return any(word in name for word in ("bold", "black", "heavy", "semibold")) or bool(flags.value & (1 << 18))


def _stream_rows(pieces: Iterable[Piece], *, rtl: bool) -> list[Row]:
    """Pieces joined to rows while they follow each other on one line of the file."""
    rows: list[Row] = []
    for piece in pieces:
        if rows and _same_line(rows[-1].pieces, piece):
            rows[-1].pieces.append(piece)
        else:
            rows.append(Row([piece]))
    for row in rows:
        row.pieces.sort(key=lambda p: -p.x1 if rtl else p.x0)
    return rows


def _same_line(pieces: list[Piece], piece: Piece) -> bool:
    """Whether a piece stands on the line of others: by the tallest one, and beside them, not on top."""
    tallest = max(pieces, key=lambda p: p.size)
    overlap = min(tallest.y1, piece.y1) - max(tallest.y0, piece.y0)
    if overlap < 0.5 * min(tallest.size, piece.size):
        return False
    return all(min(p.x1, piece.x1) - max(p.x0, piece.x0) < 0.5 * min(p.x1 - p.x0, piece.x1 - piece.x0) + 0.1 for p in pieces)


def _in_order(rows: list[Row], *, rtl: bool) -> list[Row]:
    """Rows in reading order: runs of the file's order, joined where they are columns of one table, sorted where they are not."""
    runs: list[_Run] = []
    for row in rows:
        if not runs or row.y0 > runs[-1].rows[-1].y0 + 0.3 * row.size:
            runs.append(_Run())
        runs[-1].rows.append(row)
    if len(runs) > _MOST_RUNS:
        return _by_height([p for row in rows for p in row.pieces], rtl=rtl)
    runs = _joined(runs, rtl=rtl)
    return [row for run in _sorted(runs, rtl=rtl) for row in _uncolumned(run.rows)]


def _joined(runs: list[_Run], *, rtl: bool) -> list[_Run]:
    """Runs that stand beside each other on the same lines, and are not both running text, as one: the columns of a table."""
    out: list[_Run] = []
    for run in runs:
        for other in out:
            if _aligned(other, run) and not (other.prose() and run.prose()):
                pieces = [p for row in (*other.rows, *run.rows) for p in row.pieces]
                other.rows = _by_height(pieces, rtl=rtl)
                break
        else:
            out.append(run)
    return out


def _aligned(one: _Run, two: _Run) -> bool:
    a, b = one.box(), two.box()
    if min(a[3], b[3]) - max(a[1], b[1]) <= 0:
        return False
    small, large = (one, two) if len(one.rows) <= len(two.rows) else (two, one)
    on_line = sum(any(_same_line(other.pieces, row.pieces[0]) for other in large.rows) for row in small.rows)
    return on_line >= 0.6 * len(small.rows)


def _by_height(pieces: list[Piece], *, rtl: bool) -> list[Row]:
    """Rows of pieces by where they stand alone, from the top down."""
    rows: list[Row] = []
    for piece in sorted(pieces, key=lambda p: (-(p.y0 + p.y1), p.x0)):
        near = next((row for row in rows[-4:] if _same_line(row.pieces, piece)), None)
        if near is None:
            rows.append(Row([piece]))
        else:
            near.pieces.append(piece)
    for row in rows:
        row.pieces.sort(key=lambda p: -p.x1 if rtl else p.x0)
    return sorted(rows, key=lambda r: -(r.y0 + r.y1))


def _sorted(runs: list[_Run], *, rtl: bool) -> list[_Run]:
    """Runs so that what is above comes before what is below it, and the first column before the second; else as in the file."""
    boxes = [run.box() for run in runs]
    left = set(range(len(runs)))
    out: list[_Run] = []
    while left:
        free = (i for i in sorted(left) if not any(_before(boxes[j], boxes[i], rtl=rtl) for j in left if j != i))
        chosen = next(free, min(left))
        left.discard(chosen)
        out.append(runs[chosen])
    return out


def _before(a: Box, b: Box, *, rtl: bool) -> bool:
    """Whether what stands in box a is read before what stands in box b, as far as their places tell."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide > 0.1 * min(a[2] - a[0], b[2] - b[0]):
        return high <= 0.3 * min(a[3] - a[1], b[3] - b[1]) and a[1] + a[3] > b[1] + b[3]
    if high > 0.1 * min(a[3] - a[1], b[3] - b[1]):
        return a[0] > b[0] if rtl else a[0] < b[0]
    return False


def _uncolumned(rows: list[Row]) -> list[Row]:
    """Rows in which two columns of running text were written line by line across both, taken apart again."""
    out: list[Row] = []
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and _two_columns(rows[end]) and (end == at or _one_gutter(rows[at], rows[end])):
            end += 1
        if end - at >= 5:
            for side in (0, 1):
                out.extend(Row([row.pieces[side]]) for row in rows[at:end])
            at = end
        else:
            out.append(rows[at])
            at += 1
    return out


def _two_columns(row: Row) -> bool:
    return len(row.pieces) == 2 and all(len(p.text) >= _PROSE for p in row.pieces)


def _one_gutter(first: Row, row: Row) -> bool:
    (a, b), (c, d) = sorted(first.pieces, key=lambda p: p.x0), sorted(row.pieces, key=lambda p: p.x0)
    return max(a.x1, c.x1) < min(b.x0, d.x0)
