"""HTML: what a reader of the page sees, in its structure. Nothing is fetched and no script is run.

Left out: scripts, styles, navigation, hidden elements, form controls. EPUB chapters and mail bodies come through here too
(`add_html`). The tables are in `html_tables`, what is hidden in `html_hidden`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, Source, clean, flowing, iso_date, one_line
from contextkit.documents.charset import decode
from contextkit.documents.parsers.html_hidden import Hidden, hidden_rules
from contextkit.documents.parsers.html_tables import is_data_table, table_rows
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
_LITTLE = 200  # characters
_DEPTH = 180


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

    tree = LexborHTMLParser(text)
    body = tree.body or tree.root
    _head(builder, tree)
    if body is None:
        return
    hidden = hidden_rules(tree)
    before = builder.length
    _walk(builder, body if whole else _main(tree, body), hidden, links=False)
    if builder.length - before < _LITTLE and before == 0:  # a page of little but navigation: then that is what it says
        everything = Builder()
        _walk(everything, body, hidden, links=True)
        if everything.length > 2 * builder.length:
            builder.take(everything)
    _improve_title(builder, tree)


def _walk(builder: Builder, node: LexborNode, hidden: Hidden, *, links: bool) -> None:
    walker = _Walker(builder, hidden, links)
    walker.children(node, 0)
    walker.flush()


def _main(tree: LexborHTMLParser, body: LexborNode) -> LexborNode:
    found = tree.css("main, [role=main]")
    if len(found) == 1 and len(found[0].text()) > 0.3 * len(body.text()):
        return found[0]
    return body


@dataclass(slots=True)
class _Walker:
    """Goes through the elements in order; inline text gathers until a block begins or ends."""

    builder: Builder
    hidden: Hidden
    links: bool
    inline: list[str] = field(default_factory=list)
    kind: BlockKind = BlockKind.PARAGRAPH
    lists: int = 0
    mark: str = ""
    level: int = 0

    def children(self, node: LexborNode, depth: int) -> None:
        child = node.child
        while child is not None:
            self.node(child, depth + 1)
            child = child.next

    def node(self, node: LexborNode, depth: int) -> None:
        tag = node.tag or ""
        if tag == "-text":
            self.inline.append(node.text(deep=False))
            return
        if tag.startswith(("-", "!", "_")) or tag in SKIPPED or self.hidden(node):
            return
        if not self.links and (tag in _NAVIGATION or node.attributes.get("role") in _ROLES):
            return
        if depth > _DEPTH:  # deeper than anyone writes: its text, without structure
            self.inline.append(node.text(separator=" "))
        elif tag in _BLOCKS:
            self.flush()
            self.block(node, tag, depth)
            self.flush()
        else:
            self.span(node, tag, depth)

    def span(self, node: LexborNode, tag: str, depth: int) -> None:
        if tag == "br":
            self.inline.append("\0")
        elif tag == "img":
            alt = one_line(node.attributes.get("alt") or "")
            if alt and not (node.attributes.get("src") or "").startswith("data:image/gif"):
                self.inline.append(f" {alt} ")
        elif tag == "math":
            self.inline.append(f" {_formula(node)} ")
        else:
            self.children(node, depth)

    def block(self, node: LexborNode, tag: str, depth: int) -> None:
        heading = _HEADING.fullmatch(tag)
        if heading or node.attributes.get("role") == "heading":
            level = int(heading.group(1)) if heading else _number(node.attributes.get("aria-level"), 2)
            if self._holds_blocks(node):  # a heading wrapped around a layout
                self.children(node, depth)
            else:
                self._within(BlockKind.HEADING, node, depth, level)
        elif tag == "pre":
            self.builder.add(BlockKind.CODE, _preformatted(node))
        elif tag == "blockquote":
            self._within(BlockKind.QUOTE, node, depth)
        elif tag in ("ul", "ol", "dl", "menu"):
            self._list(node, tag, depth)
        elif tag == "li":
            self._item(node, "-", depth)
        elif tag == "table" and is_data_table(node):
            self._table(node)
        else:
            self.children(node, depth)

    def _holds_blocks(self, node: LexborNode) -> bool:
        return node.css_first("h1, h2, h3, h4, h5, h6, table, ul, ol, pre, p + p") not in (None, node)

    def _within(self, kind: BlockKind, node: LexborNode, depth: int, level: int = 0) -> None:
        before = self.kind, self.level
        self.kind, self.level = kind, level
        self.children(node, depth)
        self.flush()
        self.kind, self.level = before

    def _list(self, node: LexborNode, tag: str, depth: int) -> None:
        number = _number(node.attributes.get("start"), 1)
        self.lists += 1
        child = node.child
        while child is not None:
            name = child.tag or ""
            if name in ("li", "dt", "dd") and not self.hidden(child):
                number = _number(child.attributes.get("value"), number)
                self.lists += name == "dd"
                self._item(child, f"{number}." if tag == "ol" else "-", depth + 1)
                self.lists -= name == "dd"
                number += 1
            elif name != "-text":
                self.node(child, depth + 1)
            child = child.next
        self.flush()
        self.lists -= 1

    def _item(self, node: LexborNode, mark: str, depth: int) -> None:
        before = self.kind, self.level, self.mark
        self.flush()
        self.kind, self.level, self.mark = BlockKind.LIST_ITEM, max(0, self.lists - 1), mark
        self.children(node, depth)
        self.flush()
        self.kind, self.level, self.mark = before

    def _table(self, node: LexborNode) -> None:
        caption = node.css_first("caption")
        if caption is not None and not self.hidden(caption):
            self.builder.paragraph(one_line(caption.text()))
        rows = table_rows(node, self.hidden, SKIPPED)
        if len(rows) == 1 and len(rows[0]) == 1:
            self.builder.paragraph(rows[0][0])
        else:
            self.builder.table(rows)

    def flush(self) -> None:
        """Close the inline text gathered so far as a block of the kind at hand."""
        if not self.inline:
            return
        text = flowing(re.sub(r"\s+", " ", "".join(self.inline)).replace("\0", "\n"))
        self.inline.clear()
        if not text:
            return
        if self.kind is BlockKind.HEADING:
            self.builder.heading(text, self.level)
        elif self.kind is BlockKind.LIST_ITEM:
            self.builder.item(text, self.level, self.mark)
            self.mark = ""  # what follows inside the same item goes on without a mark
        else:
            self.builder.add(self.kind, text)


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


def _improve_title(builder: Builder, tree: LexborHTMLParser) -> None:
    """The page's one main heading is a better title than none, or than one that wraps it into the site's name."""
    mains = [text for node in tree.css("h1") if (text := one_line(node.text()))]
    if mains and (not builder.title or (len(mains) == 1 and mains[0] in builder.title)):
        builder.title = mains[0]
