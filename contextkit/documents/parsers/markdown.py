"""Markdown: kept verbatim, with blocks from markdown-it's line maps.

Only what no reader sees is taken out: front matter (it becomes metadata), HTML comments, rules, lines of bare HTML tags, scripts,
styles, and the anchors that generators append to headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from contextkit.documents.building import Source, clean, finished, iso_date, one_line
from contextkit.types import JSON, Block, BlockKind, Document

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_FRONT = re.compile(r"\A---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r"[ >]*(?:[-*+]|\d+[.)])?\s*(`{3,}|~{3,})")
_TAGS_ALONE = re.compile(r"\s*(?:</?[a-zA-Z][^<>]*>\s*)+")
_ANCHOR = re.compile(r"[ \t]*\{:?[ \t]*#[\w.:\-]+[^{}\n]*\}[ \t]*$")
_MARKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[*`]{1,3}|(?<!\w)_{1,3}(?=\w)|(?<=\w)_{1,3}(?!\w)|</?[a-zA-Z][^<>]*>")
_HIDDEN = re.compile(r"\s*<(script|style|template)\b", re.IGNORECASE)
_AUTHOR = ("author", "authors", "by")
_CREATED = ("date", "created", "published", "pubdate")
_MODIFIED = ("modified", "updated", "last_modified", "lastmod", "last_updated")


@dataclass(frozen=True, slots=True)
class _Leaf:
    kind: BlockKind
    first: int
    last: int
    level: int = 0


def read(source: Source) -> Document:
    """The Markdown text with its blocks; title and dates from the front matter, else the title from the first heading."""
    body, metadata = _front_matter(source.text())
    text, blocks = structured(body)
    title = str(metadata.pop("title", "") or "") or _first_heading(text, blocks)
    language = str(metadata.get("lang") or metadata.get("language") or "")
    return finished(source, text, blocks, title=title, language=language, metadata=_renamed(metadata))


def structured(text: str) -> tuple[str, list[Block]]:
    """The text without what no reader sees, and its blocks in order; they hold every character that is not white space."""
    text = clean(_without_comments(text))
    lines = text.split("\n")
    leaves = sorted(_leaves(_parser().parse(text), lines), key=lambda leaf: (leaf.first, leaf.last))
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    text = "\n".join(lines)
    return text, list(_covering(text, leaves, starts))


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])  # the structure alone: inline marks stay in the text
    return parser


def _leaves(tokens: list[Token], lines: list[str]) -> Iterator[_Leaf]:
    """The blocks without children, by lines. Blanks lines that are rules, bare tags, scripts or heading anchors in `lines`."""
    lists = quotes = 0
    table: _Leaf | None = None
    for token in tokens:
        name = token.type
        if name in ("bullet_list_open", "ordered_list_open"):
            lists += 1
        elif name in ("bullet_list_close", "ordered_list_close"):
            lists -= 1
        elif name == "blockquote_open":
            quotes += 1
        elif name == "blockquote_close":
            quotes -= 1
        elif name == "table_close":
            table = None
        elif token.map is not None and token.map[1] > token.map[0] and table is None:
            leaf = _leaf(token, lists, quotes, lines)
            if leaf is not None:
                yield leaf
            table = leaf if name == "table_open" else None


def _leaf(token: Token, lists: int, quotes: int, lines: list[str]) -> _Leaf | None:
    assert token.map is not None
    first, last = token.map
    match token.type:
        case "heading_open":
            lines[first] = _ANCHOR.sub("", lines[first])
            return _Leaf(BlockKind.HEADING, first, last, int(token.tag[1]))
        case "paragraph_open":
            if lists:
                return _Leaf(BlockKind.LIST_ITEM, first, last, lists - 1)
            return _Leaf(BlockKind.QUOTE if quotes else BlockKind.PARAGRAPH, first, last)
        case "fence" | "code_block":
            return _Leaf(BlockKind.CODE, first, last)
        case "table_open":
            return _Leaf(BlockKind.TABLE, first, last)
        case "hr":
            lines[first] = ""
        case "html_block":
            hidden = _HIDDEN.match(token.content) is not None
            for number in range(first, min(last, len(lines))):
                if hidden or _TAGS_ALONE.fullmatch(lines[number]):
                    lines[number] = ""
            return None if hidden else _Leaf(BlockKind.PARAGRAPH, first, last)
    return None


def _covering(text: str, leaves: list[_Leaf], starts: list[int]) -> Iterator[Block]:
    """The leaves as blocks trimmed of white space, with paragraphs for text between them (link definitions, stray marks)."""
    at = 0
    for leaf in leaves:
        start, end = max(at, starts[leaf.first]), min(starts[min(leaf.last, len(starts) - 1)], len(text))
        if start >= end:
            continue
        yield from _block(text, BlockKind.PARAGRAPH, at, start, 0)
        yield from _block(text, leaf.kind, start, end, leaf.level)
        at = end
    yield from _block(text, BlockKind.PARAGRAPH, at, len(text), 0)


def _block(text: str, kind: BlockKind, start: int, end: int, level: int) -> Iterator[Block]:
    piece = text[start:end]
    lead = len(piece) - len(piece.lstrip())
    if lead < len(piece):
        yield Block(kind, start + lead, start + len(piece.rstrip()), level)


def _without_comments(text: str) -> str:
    """The text without HTML comments outside code; line breaks inside them stay."""
    if "<!--" not in text:
        return text
    out: list[str] = []
    fence = ""
    inside = False
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark.group(1).startswith(fence) else fence
        elif not inside and mark:
            fence = mark.group(1)
        elif inside or "<!--" in line:
            line, inside = _line_without_comments(line, inside=inside)
        out.append(line)
    return "\n".join(out)


def _line_without_comments(line: str, *, inside: bool) -> tuple[str, bool]:
    kept = ""
    while line:
        if inside:
            _, closed, line = line.partition("-->")
            inside = not closed
            continue
        before, opened, rest = line.partition("<!--")
        kept += before
        if opened and (kept.count("`") % 2 or kept.startswith("    ")):
            kept += opened  # it stands in code
            line = rest
            continue
        line, inside = rest, bool(opened)
    return kept.rstrip(), inside


def _front_matter(text: str) -> tuple[str, dict[str, JSON]]:
    """The text after the YAML front matter, and what that says; text that is no YAML mapping stays text."""
    found = _FRONT.match(text)
    if found is None:
        return text, {}
    import yaml

    try:
        data = yaml.safe_load(found.group(1) or "")
    except yaml.YAMLError:
        return text, {}
    if data is not None and not isinstance(data, dict):
        return text, {}
    return text[found.end() :], {str(key): _json(value) for key, value in (data or {}).items()}


def _json(value: object, depth: int = 0) -> JSON:
    """A YAML value as JSON; dates as ISO 8601."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, list) and depth < 5:
        return [_json(v, depth + 1) for v in value[:1000]]
    if isinstance(value, dict) and depth < 5:
        return {str(k): _json(v, depth + 1) for k, v in value.items()}
    return iso_date(value) or str(value)


def _renamed(metadata: dict[str, JSON]) -> dict[str, JSON]:
    """Metadata with the names that all parsers use, where the value fits them."""
    out = dict(metadata)
    for name, others in (("author", _AUTHOR), ("created", _CREATED), ("modified", _MODIFIED)):
        value = next((metadata[k] for k in others if metadata.get(k)), None)
        if name == "author" and isinstance(value, (str, list)):
            out[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
        elif name != "author" and (date := iso_date(value)):
            out[name] = date
    return out


def _first_heading(text: str, blocks: list[Block]) -> str:
    for block in blocks:
        if block.kind is BlockKind.HEADING:
            return plain_heading(text[block.start : block.end])
    return ""


def plain_heading(heading: str) -> str:
    """A heading's words without Markdown marks, on one line."""
    lines = heading.split("\n")
    if len(lines) > 1 and re.fullmatch(r"[ >]*(?:=+|-+)\s*", lines[-1]):
        lines.pop()
    words = re.sub(r"^[ >]*(?:[-*+]\s+)?#{1,6}(?:\s+|$)|\s+#+\s*$", "", " ".join(lines))
    return one_line(_MARKS.sub(lambda m: m.group(1) or "", words))
