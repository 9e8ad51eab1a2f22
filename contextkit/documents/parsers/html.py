"""HTML: what a reader of the page sees, in its structure. Nothing is fetched and no script is run.

Left out: scripts, styles, navigation, hidden elements, form controls. EPUB chapters and mail bodies come through here too
(`add_html`). The tables are in `html_tables`, what is hidden in `html_hidden`, nesting without end in `html_depth`. Time is
linear in the page, whatever it holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from contextkit.documents.building import Builder, Source, clean, flowing, iso_date, one_line
from contextkit.documents.charset import decode
from contextkit.documents.parsers.html_depth import shallow
from contextkit.documents.parsers.html_hidden import Hidden, hidden_rules
from contextkit.documents.parsers.html_tables import is_data_table, ragged, table_rows
from contextkit.documents.parsers.html_tree import Holding, children, inner_text
from contextkit.types import BlockKind, Document

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_SKIPPED_WORDS = (
    "script style noscript template svg canvas iframe object embed audio video map head link meta base select "
    "option datalist input textarea button dialog annotation annotation-xml "
)
SKIPPED = frozenset(_SKIPPED_WORDS.split())
_BLOCKS_WORDS = (
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 "
    "h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary table tbody thead tfoot tr "
    "td th ul caption "
)
_BLOCKS = frozenset(_BLOCKS_WORDS.split())
_HEADING = re.compile(r"h([1-6])")
_ROLES = frozenset({"navigation", "search", "menu", "menubar", "tablist", "dialog", "alertdialog"})
_NAVIGATION = frozenset({"nav", "menu"})
_IN_LAYOUT = "h1, h2, h3, h4, h5, h6, table, ul, ol, pre, p + p"
_LITTLE = 200  # characters


def read(source: Source) -> Document:
    """The page's main content; title, language, author and dates from its head."""
    text = clean(decode(source.data, source.charset))
    builder = Builder()
    add_html(builder, text, whole=False)
    return builder.build(source)


def add_html(builder: Builder, text: str, *, whole: bool = True) -> None:
    """Append an HTML text's visible blocks, and take title, language and metadata where the builder has none yet.

    `whole` takes all of the body; otherwise a page's `<main>` alone where it has one that holds most of the text.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(shallow(text))
    body = tree.body or tree.root
    _head(builder, tree)
    if body is None:
        return
    hidden, holding = hidden_rules(tree), Holding(tree)
    before, main = builder.length, _main(tree, body)
    _Walker(builder, hidden, holding, links=False).walk(body if whole else main)
    if builder.length - before < _LITTLE and before == 0:  # a page of little but navigation: then that is what it says
        everything = Builder()
        _Walker(everything, hidden, holding, links=True).walk(body)
        if everything.length > 2 * builder.length:
            builder.take(everything)
    _improve_title(builder, main if builder.title or main.css_first("h1") is not None else body)


def _main(tree: LexborHTMLParser, body: LexborNode) -> LexborNode:
    found = tree.css("main, [role=main]")
    if len(found) == 1 and len(found[0].text()) > 0.3 * len(body.text()):
        return found[0]
    return body


class _State(NamedTuple):
    """What text at a place of the page becomes.

    Attributes:
        kind: kind of its block.
        level: level of its block.
        mark: of a list's item, until its first text is written; what follows inside the item goes on without one.
        lists: how many lists it is in.
        inside: directly inside a list the list's tag; otherwise "".
        number: of that list's next item.
    """

    kind: BlockKind = BlockKind.PARAGRAPH
    level: int = 0
    mark: str = ""
    lists: int = 0
    inside: str = ""
    number: int = 1


class _Left(NamedTuple):
    """What is to be done at the end of an element: close its block, go back to the state before it."""

    block: bool
    before: _State | None


_INLINE, _BLOCK = _Left(block=False, before=None), _Left(block=True, before=None)


@dataclass(slots=True)
class _Walker:
    """Goes through the elements in order, however deep; inline text gathers until a block begins or ends."""

    builder: Builder
    hidden: Hidden
    holding: Holding
    links: bool
    inline: list[str] = field(default_factory=list)
    state: _State = field(default_factory=_State)

    def walk(self, root: LexborNode) -> None:
        """Write what a reader sees inside a node."""
        around: list[tuple[LexborNode, _Left]] = []
        node = root.child
        while node is not None or around:
            if node is None:
                node, left = around.pop()
                if left.block:
                    self.flush()
                self.state = left.before or self.state
                node = node.next
                continue
            entered = self.enter(node)
            if entered is None:
                node = node.next
            else:
                around.append((node, entered))
                node = node.child
        self.flush()

    def enter(self, node: LexborNode) -> _Left | None:
        """Write a node; None: all of it is written, otherwise what is inside it comes next."""
        tag = node.tag or ""
        if tag == "-text":
            self.inline.append(node.text(deep=False))
            return None
        if tag.startswith(("-", "!", "_")) or tag in SKIPPED or self.hidden(node):
            return None
        if not self.links and (tag in _NAVIGATION or node.attributes.get("role") in _ROLES):
            return None
        if tag not in _BLOCKS:
            return self.span(node, tag)
        self.flush()
        return self.block(node, tag)

    def span(self, node: LexborNode, tag: str) -> _Left | None:
        if tag == "br":
            self.inline.append("\0")
        elif tag == "img":
            alt = one_line(node.attributes.get("alt") or "")
            if alt and not (node.attributes.get("src") or "").startswith("data:image/gif"):
                self.inline.append(f" {alt} ")
        elif tag == "math":
            self.inline.append(f" {_formula(node)} ")
        else:
            return _INLINE
        return None

    def block(self, node: LexborNode, tag: str) -> _Left | None:
        before = self.state
        inside = before.inside
        if inside:
            self.state = before._replace(inside="")
        heading = _HEADING.fullmatch(tag)
        if heading or node.attributes.get("role") == "heading":
            level = int(heading.group(1)) if heading else _number(node.attributes.get("aria-level"), 2)
            if self.holding(_IN_LAYOUT, node):  # a heading wrapped around a layout
                return _Left(block=True, before=before)
            self.state = self.state._replace(kind=BlockKind.HEADING, level=level)
        elif tag == "pre":
            self.builder.add(BlockKind.CODE, _preformatted(node))
            self.state = before
            return None
        elif tag == "blockquote":
            self.state = self.state._replace(kind=BlockKind.QUOTE, level=0)
        elif tag in ("ul", "ol", "dl", "menu"):
            number = _number(node.attributes.get("start"), 1)
            self.state = self.state._replace(lists=before.lists + 1, inside=tag, number=number)
        elif tag == "li" or (inside and tag in ("dt", "dd")):
            return self._item(node, tag, before)
        elif tag == "table" and is_data_table(node, self.holding):
            self._table(node)
            self.state = before
            return None
        elif not inside:
            return _BLOCK
        return _Left(block=True, before=before)

    def _item(self, node: LexborNode, tag: str, before: _State) -> _Left:
        number = before.number
        if before.inside:
            number = _number(node.attributes.get("value"), number)
        lists = before.lists + (tag == "dd")
        mark = f"{number}." if before.inside == "ol" else "-"
        self.state = _State(BlockKind.LIST_ITEM, max(0, lists - 1), mark, lists)
        return _Left(block=True, before=before._replace(number=number + 1))

    def _table(self, node: LexborNode) -> None:
        for caption in children(node, ("caption",)):
            if not self.hidden(caption):
                self.builder.paragraph(one_line(inner_text(caption, self._unseen)))
        rows = table_rows(node, self._unseen)
        if len(rows) == 1 and len(rows[0]) == 1:
            self.builder.paragraph(rows[0][0])
        elif ragged(rows):
            for row in rows:
                self.builder.paragraph(" | ".join(row))
        else:
            self.builder.table(rows)

    def _unseen(self, node: LexborNode) -> bool:
        return node.tag in SKIPPED or self.hidden(node)

    def flush(self) -> None:
        """Close the inline text gathered so far as a block of the kind at hand."""
        if not self.inline:
            return
        text = flowing(re.sub(r"\s+", " ", "".join(self.inline)).replace("\0", "\n"))
        self.inline.clear()
        if not text:
            return
        if self.state.kind is BlockKind.HEADING:
            self.builder.heading(text, self.state.level)
        elif self.state.kind is BlockKind.LIST_ITEM:
            self.builder.item(text, self.state.level, self.state.mark)
            self.state = self.state._replace(mark="")
        else:
            self.builder.add(self.state.kind, text)


def _preformatted(node: LexborNode) -> str:
    for line_break in node.css("br"):
        line_break.replace_with("\n")
    return (node.text() or "").expandtabs(4)


def _formula(node: LexborNode) -> str:
    stated = node.css_first("annotation")
    if stated is not None and "tex" in (stated.attributes.get("encoding") or ""):
        return one_line(stated.text())
    return one_line(node.attributes.get("alttext") or node.text())


def _number(value: str | None, otherwise: int) -> int:
    return int(value) if value and re.fullmatch(r"\d{1,6}", value.strip()) else otherwise


_META = {
    "author": ("meta[name=author]", "meta[property='article:author']", "meta[name='dc.creator' i]", "meta[name=citation_author]"),
    "created": (
        "meta[property='article:published_time']",
        "meta[name='dc.date' i]",
        "meta[name='dcterms.created' i]",
        "meta[name=date]",
        "meta[name=citation_publication_date]",
        "meta[itemprop=datePublished]",
    ),
    "modified": ("meta[property='article:modified_time']", "meta[name='dcterms.modified' i]", "meta[itemprop=dateModified]"),
    "description": ("meta[name=description]", "meta[property='og:description']"),
}


def _head(builder: Builder, tree: LexborHTMLParser) -> None:
    root = tree.root
    if not builder.language and root is not None:
        builder.language = root.attributes.get("lang") or root.attributes.get("xml:lang") or ""
    for name, selectors in _META.items():
        for selector in selectors:
            found = tree.css_first(selector)
            value = one_line(found.attributes.get("content") or "") if found is not None else ""
            value = iso_date(value) if name in ("created", "modified") else value
            if value and name not in builder.metadata:
                builder.metadata[name] = value[:1000]
    if not builder.title:
        stated = tree.css_first("head > title")
        builder.title = one_line(stated.text()) if stated is not None else ""


def _improve_title(builder: Builder, main: LexborNode) -> None:
    """The one heading of the page's content is a better title than none, or than one that wraps it into the site's name.

    What stands outside the content is the site's own: many set its name as a heading above every page.
    """
    mains = list(islice((text for node in main.css("h1") if (text := one_line(node.text()))), 2))
    if mains and (not builder.title or (len(mains) == 1 and mains[0] in builder.title)):
        builder.title = mains[0]
