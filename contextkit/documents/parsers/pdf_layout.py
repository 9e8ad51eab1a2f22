"""Rows of a PDF page to blocks: tables by aligned cells, headings by size and weight, lists by marks, paragraphs by gaps.

Where the text stands is found in `pdf_page`; this looks only at rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from contextkit.documents.building import Builder
from contextkit.documents.parsers.pdf_page import HYPHEN, Piece, Row
from contextkit.types import BlockKind

_BULLET = re.compile(r"(?:[•●○▪■□◦‣⁃∙·–—*-]|[\uf0b7\uf0a7\uf0d8])\s*")
_NUMBER_MARK = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)](?=\s|$)\s*")
_MONEY = re.compile(r"[$€£¥₹]|US\$|[(\[]")
_TAIL = re.compile(r"[)%\]]+|\*+")
_VALUE = re.compile(r"[(\-–—$€£¥ ]*\d[\d,. ]*[)%]*|[—–-]|N/?[AM]|\d[\d,.]*\s?%")
_TRAILING_SIGN = re.compile(r"(?<=\S)\s+([$€£¥₹])$")
_YEAR = re.compile(r"(?:FY\s?)?(?:19|20)\d\d[A-Z*]?")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_SENTENCE_END = (".", "!", "?", ":", ";", "。", "؟", "…")


@dataclass(frozen=True, slots=True)
class Style:
    """What is usual in a document.

    Attributes:
        body: the line height of most text.
        bold: whether most text is bold, which then tells nothing.
        levels: heading level by rounded line height, of those above the body's.
        words: the document's words in lower case, hyphenated ones included, to tell a hyphen from a break.
    """

    body: float
    bold: bool
    levels: dict[float, int]
    words: frozenset[str]


def style_of(pages: Sequence[Sequence[Row]]) -> Style:
    """The usual sizes and words of all pages' rows."""
    sizes: Counter[float] = Counter()
    bold = total = 0
    words: set[str] = set()
    for row in (row for page in pages for row in page):
        for piece in row.pieces:
            sizes[_round(piece.size)] += len(piece.text)
            bold += len(piece.text) if piece.bold else 0
            total += len(piece.text)
            words.update(word.lower() for word in _WORD.findall(piece.text))
    body = sizes.most_common(1)[0][0] if sizes else 10.0
    larger = sorted((s for s in sizes if s > 1.12 * body), reverse=True)
    levels: dict[float, int] = {}
    level, last = 0, 0.0
    for size in larger:
        if not last or size < 0.93 * last:
            level, last = min(level + 1, 5), size
        levels[size] = level
    return Style(body, bold > 0.6 * total, levels, frozenset(words))


def add_rows(builder: Builder, rows: Sequence[Row], style: Style) -> None:
    """Append the blocks of one page's rows."""
    lines = [Row(_merged(row.pieces)) for row in rows]
    at = 0
    while at < len(lines):
        end = _table_end(lines, at)
        if end:
            builder.table(_grid(lines[at:end]))
            at = end
            continue
        end = at + 1
        while end < len(lines) and not _table_end(lines, end):
            end += 1
        _add_text(builder, lines[at:end], style)
        at = end


def _round(size: float) -> float:
    return round(size * 2) / 2


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Pieces with marks put back to what they belong to: a bullet, a currency sign, a closing bracket."""
    out: list[Piece] = []
    sign = ""
    for place, piece in enumerate(pieces):
        if sign:
            piece = replace(piece, text=f"{sign} {piece.text}")
        sign = ""
        trailing = _TRAILING_SIGN.search(piece.text) if place + 1 < len(pieces) else None
        if trailing and _VALUE.match(pieces[place + 1].text):  # it belongs to the number in the next column
            sign = trailing.group(1)
            piece = replace(piece, text=piece.text[: trailing.start()])
        text = out[-1].text if out else ""
        if out and (
            _MONEY.fullmatch(text)
            or _TAIL.fullmatch(piece.text)
            or (len(out) == 1 and (_BULLET.fullmatch(text) or _NUMBER_MARK.fullmatch(text)) and not _VALUE.fullmatch(piece.text))
        ):
            glue = "" if _TAIL.fullmatch(piece.text) or text in "([" else " "
            first = out.pop()
            piece = Piece(
                f"{first.text}{glue}{piece.text}",
                min(first.x0, piece.x0),
                min(first.y0, piece.y0),
                max(first.x1, piece.x1),
                max(first.y1, piece.y1),
                first.bold and piece.bold,
                first.order,
            )
        out.append(piece)
    return out


def _table_end(rows: Sequence[Row], at: int) -> int:
    """Where a table that begins at a row ends; 0 where none begins."""
    if len(rows[at].pieces) < 2:
        return 0
    end, last, cells = at + 1, at + 1, 1
    while end < len(rows) and end - last < 3 and rows[end - 1].y0 - rows[end].y1 < 2.2 * rows[end].size:
        if rows[end].y0 > rows[end - 1].y0 + rows[end].size:
            break  # a new column of the page
        if len(rows[end].pieces) > 1:
            last, cells = end + 1, cells + 1
        elif len(rows[end].text) > 90:
            break
        end += 1
    if cells < 2 or (cells == 2 and max(len(r.pieces) for r in rows[at:last]) < 3 and not _has_values(rows[at:last])):
        return 0
    long = sum(len(p.text) > 110 for row in rows[at:last] for p in row.pieces)
    return last if long <= 0.3 * (last - at) else 0


def _has_values(rows: Sequence[Row]) -> bool:
    return any(_VALUE.fullmatch(p.text) for row in rows for p in row.pieces[1:])


def _grid(rows: Sequence[Row]) -> list[list[str]]:
    """The cells of a table's rows, put into its columns; the header first, empty where the table has none."""
    columns = _columns(rows)
    body = next((i for i, row in enumerate(rows) if _is_body(row, columns)), 0)
    header = _header(rows[:body], columns) if body else [""] * len(columns)
    return [header, *(_placed(row, columns) for row in rows[body:])]


def _is_body(row: Row, columns: list[tuple[float, float]]) -> bool:
    """Whether a row holds values under a header: a label in the first column and something else than years beside it."""
    if len(row.pieces) < 2 or _column(row.pieces[0], columns) != 0:
        return False
    rest = [p.text for p in row.pieces[1:]]
    return any(_VALUE.fullmatch(t) for t in rest) and not all(_YEAR.fullmatch(t) for t in rest)


def _columns(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """The x ranges of the columns: the cells of the fullest rows, joined where they overlap."""
    most = max(len(row.pieces) for row in rows)
    spans = sorted((p.x0, p.x1) for row in rows if len(row.pieces) == most for p in row.pieces)
    columns: list[tuple[float, float]] = []
    for x0, x1 in spans:
        if columns and x0 < columns[-1][1] - 0.5:
            columns[-1] = (columns[-1][0], max(columns[-1][1], x1))
        else:
            columns.append((x0, x1))
    if len(columns) < most:  # ranges run into each other: the first full row decides
        row = next(row for row in rows if len(row.pieces) == most)
        columns = sorted((p.x0, p.x1) for p in row.pieces)
    return columns


def _column(piece: Piece, columns: list[tuple[float, float]]) -> int:
    """The column that a cell overlaps most, or the nearest."""

    def fit(i: int) -> float:
        x0, x1 = columns[i]
        return min(x1, piece.x1) - max(x0, piece.x0)

    return max(range(len(columns)), key=fit)


def _placed(row: Row, columns: list[tuple[float, float]]) -> list[str]:
    """A row's cells by column; two that fall into one column share it."""
    cells = [""] * len(columns)
    for piece in row.pieces:
        at = _column(piece, columns)
        cells[at] = f"{cells[at]} {_plain(piece.text)}".strip()
    return cells


def _header(rows: Sequence[Row], columns: list[tuple[float, float]]) -> list[str]:
    """The header rows as one: a cell that stands over several columns counts for each."""
    cells = [""] * len(columns)
    for row in rows:
        for piece in row.pieces:
            over = [i for i, (x0, x1) in enumerate(columns) if min(x1, piece.x1) - max(x0, piece.x0) > 0.4 * (x1 - x0)]
            for at in over or [_column(piece, columns)]:
                cells[at] = f"{cells[at]} {_plain(piece.text)}".strip()
    return cells


def _plain(text: str) -> str:
    return text.replace(HYPHEN, "-")


def _add_text(builder: Builder, rows: Sequence[Row], style: Style) -> None:
    for paragraph in _paragraphs(rows, style):
        text = joined([row.text for row in paragraph], style.words)
        level = _heading_level(paragraph, text, style)
        bullet = _BULLET.match(text)
        number = _NUMBER_MARK.match(text)
        if level:
            builder.heading(text, level)
        elif bullet and len(text) > bullet.end():
            builder.item(text[bullet.end() :])
        elif number and len(text) > number.end():
            builder.item(text[number.end() :], mark=number.group().strip())
        else:
            builder.add(BlockKind.PARAGRAPH, text)


def _paragraphs(rows: Sequence[Row], style: Style) -> Iterator[list[Row]]:
    if not rows:
        return
    right = max(row.x1 for row in rows)
    paragraph = [rows[0]]
    for row in rows[1:]:
        if _breaks(paragraph, row, right, style):
            yield paragraph
            paragraph = [row]
        else:
            paragraph.append(row)
    yield paragraph


def _breaks(paragraph: list[Row], row: Row, right: float, style: Style) -> bool:
    """Whether a new paragraph begins with a row."""
    last = paragraph[-1]
    if _starts_item(row.text):
        return True
    if abs(row.size - last.size) > 0.12 * max(row.size, last.size):
        return True
    if row.bold != last.bold and (last.bold or row.bold) and not style.bold and len(paragraph) == 1 and last.bold:
        return True
    gap = last.y0 - row.y1
    if gap < -3 * row.size:  # upwards: the next column; a sentence may go on there
        return last.text.rstrip().endswith(_SENTENCE_END)
    if gap > 0.75 * row.size:
        return True
    ended = last.text.rstrip().endswith(_SENTENCE_END) and last.x1 < right - 0.12 * max(1.0, right - last.x0)
    indented = row.x0 > last.x0 + 0.9 * row.size and not _starts_item(paragraph[0].text)
    short = len(row.pieces) > 1 or len(last.pieces) > 1
    return ended or short or (indented and last.text.rstrip().endswith(_SENTENCE_END))


def _starts_item(text: str) -> bool:
    bullet = _BULLET.match(text)
    if bullet and len(text) > bullet.end():
        return text[0] not in "–—*-·" or text[1:2].isspace()
    return bool(_NUMBER_MARK.match(text))


def _heading_level(rows: list[Row], text: str, style: Style) -> int:
    """The level of a paragraph that is a heading, from 1; 0 for one that is not."""
    if len(rows) > 3 or len(text) > 160 or not any(c.isalpha() for c in text) or len(rows[0].pieces) > 2:
        return 0
    size = _round(min(row.size for row in rows))
    if size in style.levels and len(text) > 1:
        return style.levels[size]
    bold = all(row.bold for row in rows) and not style.bold
    if bold and len(rows) <= 2 and len(text) <= 110 and size >= 0.9 * style.body and not text.endswith((".", ",", ";")):
        return max(style.levels.values(), default=0) + 1
    return 0


def joined(lines: Sequence[str], words: frozenset[str]) -> str:
    """Lines as one text: hyphens at line ends taken out where they only break a word."""
    out = ""
    for line in lines:
        if not out:
            out = line
        elif out.endswith((HYPHEN, "-", "\u2010")) and len(out) > 1 and out[-2].isalpha() and line[:1].isalpha():
            out = out[:-1] + _hyphen(out[:-1], line, words) + line
        else:
            out = f"{out.replace(HYPHEN, '-')} {line}"
    return out.replace(HYPHEN, "-")


def _hyphen(before: str, after: str, words: frozenset[str]) -> str:
    """What stands between the two halves of a word that a line end parts: a hyphen or nothing."""
    head, tail = re.search(r"[\w-]+\Z", before), re.match(r"[\w-]+", after)
    one, two = (head.group().lower() if head else ""), (tail.group().lower() if tail else "")
    if one + two in words:
        return ""
    if f"{one}-{two}" in words or not after[0].islower():
        return "-"
    return ""
