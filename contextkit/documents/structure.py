"""Blocks of a plain text: paragraphs, headings, lists, tables, code fences and dialogue turns, found by its lines.

Parsers of formats with structure of their own give blocks themselves; this is for texts that come without any.
"""

from __future__ import annotations

import re

from contextkit.documents.sentences import strip
from contextkit.types import Block, BlockKind, Document, Span

_BLANK = re.compile(r"\n[ \t\r\f\v]*\n\s*")
# "Ann:", "[10:32] Ann Lee (Sales):", "Dr. Q.:"; a colon inside running text is no speaker
_TURN = re.compile(
    r"^(?:\[[^\]\n]{1,30}\]\s*|\(?\d{1,2}:\d{2}(?::\d{2})?\)?\s*)?"
    r"(?P<who>[^\W\d_][\w.'’\-]{0,24}(?: [\w.'’\-()]{1,24}){0,3}):(?=\s)"
)
_BULLET = re.compile(r"^(\s*)(?:[-*+•‣◦]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+\S")
_MARKDOWN_HEADING = re.compile(r"^(#{1,6})\s+\S")
_TABLE_RULE = re.compile(r"^\|?\s*:?-{3,}:?(?:\s*\|\s*:?-{3,}:?)*\s*\|?$")  # of a row without white space at its ends
_FENCE = re.compile(r"\s*(```|~~~)")
_LONGEST_FENCE = 200_000  # characters; a fence that is open for longer was never closed


def blocks_of(document: Document) -> tuple[Block, ...]:
    """The document's blocks: its own where it has any, else those found in its text, in order."""
    return document.blocks or tuple(find_blocks(document.text))


def find_blocks(text: str) -> list[Block]:
    """The blocks of a plain text in order; together they hold every character that is not white space. "" gives []."""
    out: list[Block] = []
    for paragraph in _paragraphs(text):
        _classify(text, paragraph, out)
    return out


def speaker(line: str) -> str:
    """Who speaks in a line of dialogue, without time and colon; "" where the line begins no turn."""
    found = _TURN.match(line)
    return found.group("who") if found else ""


def lines(text: str, span: Span) -> list[Span]:
    """The spans of the non-empty lines inside a span, white space at their ends left out."""
    out: list[Span] = []
    at = span.start
    while at < span.end:
        newline = text.find("\n", at, span.end)
        end = span.end if newline < 0 else newline
        line = strip(text, at, end)
        if line is not None:
            out.append(line)
        at = end + 1
    return out


def _paragraphs(text: str) -> list[Span]:
    """Runs of text between blank lines; a code fence is one run, whatever blank lines it holds."""
    out: list[Span] = []
    begin = counted = marks = 0
    fence = _fence(text, 0)
    for gap in _BLANK.finditer(text):
        if fence and gap.start() - begin < _LONGEST_FENCE:
            marks += text.count(fence, counted, gap.start())
            counted = gap.start()
            if marks % 2 == 0:
                continue
        span = strip(text, begin, gap.start())
        if span is not None:
            out.append(span)
        begin = counted = gap.end()
        fence, marks = _fence(text, begin), 0
    span = strip(text, begin, len(text))
    return [*out, span] if span is not None else out


def _fence(text: str, at: int) -> str:
    """A line break with the mark that closes the code fence which opens here; "" where none does."""
    found = _FENCE.match(text, at)
    return f"\n{found.group(1)}" if found else ""


def _classify(text: str, paragraph: Span, out: list[Block]) -> None:
    """The headings that a paragraph begins with, and the rest as one kind."""
    rows = lines(text, paragraph)
    at = 0
    while at < len(rows) and (heading := _MARKDOWN_HEADING.match(text[rows[at].start : rows[at].end])):
        out.append(Block(BlockKind.HEADING, rows[at].start, rows[at].end, len(heading.group(1))))
        at += 1
    if at < len(rows):
        _classify_body(text, rows[at:], paragraph.end, out)


def _classify_body(text: str, rows: list[Span], end: int, out: list[Block]) -> None:
    start, first = rows[0].start, text[rows[0].start : rows[0].end]
    if _FENCE.match(first):
        out.append(Block(BlockKind.CODE, start, end))
    elif len(rows) > 1 and _TABLE_RULE.match(text[rows[1].start : rows[1].end]) and "|" in first:
        out.append(Block(BlockKind.TABLE, start, end))
    elif _is_dialogue(text, rows):
        out.extend(_grouped(text, rows, _TURN, BlockKind.TURN))
    elif sum(bool(_BULLET.match(text[r.start : r.end])) for r in rows) > max(1, 0.3 * len(rows)):
        out.extend(_grouped(text, rows, _BULLET, BlockKind.LIST_ITEM))
    elif len(rows) > 1 and _one_paragraph_a_line(rows):
        out.extend(Block(BlockKind.PARAGRAPH, r.start, r.end) for r in rows)
    else:
        out.append(Block(BlockKind.PARAGRAPH, start, end))


def _is_dialogue(text: str, rows: list[Span]) -> bool:
    """Whether most lines are turns of at least two of few speakers."""
    names = [m.group() for r in rows if (m := _TURN.match(text[r.start : r.end]))]
    return len(rows) > 1 and len(names) >= 0.6 * len(rows) and len(set(names)) <= max(2, len(names) // 2)


def _one_paragraph_a_line(rows: list[Span]) -> bool:
    """Whether lines are whole paragraphs (of very unlike lengths, many long), not wrapped at a column."""
    longest = max(len(r) for r in rows)
    return longest > 160 or (longest > 120 and sum(len(r) < 0.6 * longest for r in rows) > 0.4 * len(rows))


def _grouped(text: str, rows: list[Span], begins: re.Pattern[str], kind: BlockKind) -> list[Block]:
    """One block for each line that matches `begins`, with the lines after it up to the next such line."""
    out: list[Block] = []
    for row in rows:
        if begins.match(text[row.start : row.end]):
            out.append(Block(kind, row.start, row.end))
        elif out:
            out[-1] = Block(out[-1].kind, out[-1].start, row.end)
        else:
            out.append(Block(BlockKind.PARAGRAPH, row.start, row.end))
    return out
