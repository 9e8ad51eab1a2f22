"""Scientific articles in JATS (.nxml): title, authors, abstract, sections, tables, figures' captions, references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, iso_date, one_line
from contextkit.documents.parsers.ooxml import attribute, child, children, find_all, local
from contextkit.documents.parsers.xml_generic import rows_of, text_of
from contextkit.types import BlockKind

if TYPE_CHECKING:
    from lxml.etree import _Element

# a formula is written once in TeX or plain text and again as markup; contents of the second are not text
_FORMULAS = frozenset({"tex-math"})
_ASIDE = frozenset({"label", "title", "sec-meta"})
_DEPTH = 40


def add(builder: Builder, root: _Element) -> None:
    """Append the article; where several are in one file, one after the other."""
    articles = [root] if local(root) != "pmc-articleset" else list(children(root, "article"))
    for article in articles:
        _article(builder, article)


def _article(builder: Builder, article: _Element) -> None:
    meta = child(article, "front", "article-meta")
    builder.language = builder.language or attribute(article, "lang")
    if meta is not None:
        _front(builder, meta)
    body = child(article, "body")
    if body is not None:
        _section(builder, body, 1)
    back = child(article, "back")
    if back is not None:
        _back(builder, back)
    floats = child(article, "floats-group")
    if floats is not None:
        _section(builder, floats, 1)


def _front(builder: Builder, meta: _Element) -> None:
    stated = child(meta, "title-group", "article-title")
    title = text_of(stated, frozenset({"xref", "fn"})) if stated is not None else ""
    authors = [n for n in (_name(c) for c in _contributors(meta)) if n]
    builder.title = builder.title or title
    dates = list(find_all(meta, "pub-date"))
    doi = next((one_line(e.text or "") for e in children(meta, "article-id") if attribute(e, "pub-id-type") == "doi"), "")
    if "doi" not in builder.metadata:
        keywords = [text_of(k) for k in find_all(meta, "kwd")]
        builder.metadata.update(author=", ".join(authors), created=_date(dates), doi=doi, keywords=", ".join(keywords))
    builder.heading(title, 1)
    builder.paragraph(", ".join(authors))
    builder.paragraph("; ".join(dict.fromkeys(_affiliations(meta))))
    for abstract in children(meta, "abstract"):
        heading = child(abstract, "title")
        builder.heading(text_of(heading) if heading is not None else "Abstract", 2)
        _section(builder, abstract, 2)


def _contributors(meta: _Element) -> Iterator[_Element]:
    for group in children(meta, "contrib-group"):
        for person in children(group, "contrib"):
            if attribute(person, "contrib-type") in ("author", ""):
                yield person


def _name(person: _Element) -> str:
    name = next(find_all(person, "name"), None)
    if name is None:
        other = next((e for e in person if local(e) in ("collab", "string-name")), None)
        return text_of(other) if other is not None else ""
    parts = [child(name, "given-names"), child(name, "surname")]
    return " ".join(text_of(p) for p in parts if p is not None)


def _affiliations(meta: _Element) -> Iterator[str]:
    for place in find_all(meta, "aff"):
        inner = [e for e in place if local(e) in ("institution", "institution-wrap", "addr-line", "city", "country")]
        text = ", ".join(t for e in inner if (t := text_of(e, frozenset({"institution-id"}))))
        text = text or text_of(place, frozenset({"label", "sup", "institution-id"}))
        if text:
            yield text.strip(" ,;")


def _date(dates: list[_Element]) -> str:
    found: list[str] = []
    for date in dates:
        parts = [one_line(e.text or "") if (e := child(date, name)) is not None else "" for name in ("year", "month", "day")]
        if parts[0].isdigit():
            kept = [parts[0]]
            for part in parts[1:]:
                if not part.isdigit():
                    break
                kept.append(part.zfill(2))
            found.append(iso_date("-".join(kept)))
    return min((f for f in found if f), default="")


def _section(builder: Builder, element: _Element, level: int) -> None:
    for item in element:
        name = local(item)
        if name == "sec" and level < _DEPTH:
            heading, label = child(item, "title"), child(item, "label")
            words = [text_of(e) for e in (label, heading) if e is not None]
            builder.heading(" ".join(words), level + 1)
            _section(builder, item, level + 1)
        elif name == "p":
            _paragraph(builder, item, level)
        elif name in _BLOCKS:
            _block(builder, item, level)
        elif name and name not in _ASIDE and level < _DEPTH:
            if len(item) and any(local(e) in ("p", "sec", "list", "table-wrap", "fig") for e in item.iter()):
                _section(builder, item, level)
            else:
                builder.paragraph(text_of(item, _skipped(item)))


_BLOCKS = frozenset(
    {"table-wrap", "fig", "list", "disp-quote", "disp-formula", "preformat", "code", "table", "def-list", "boxed-text"}
)


def _skipped(element: _Element) -> frozenset[str]:
    """What is said twice inside a formula: the TeX document where there is markup beside it."""
    return _FORMULAS if any(local(e) == "math" for e in element.iter()) else frozenset()


def _paragraph(builder: Builder, item: _Element, level: int) -> None:
    """A paragraph; tables, figures and lists inside it come after its text."""
    inner = [e for e in item if local(e) in _BLOCKS and local(e) != "disp-formula"]
    builder.paragraph(text_of(item, _skipped(item) | (_BLOCKS - {"disp-formula"})))
    for block in inner:
        _block(builder, block, level)


def _block(builder: Builder, item: _Element, level: int) -> None:
    name = local(item)
    if name in ("table-wrap", "fig"):
        _floating(builder, item)
    elif name == "table":
        builder.table(rows_of(item))
    elif name in ("list", "def-list"):
        _list(builder, item, 0)
    elif name == "disp-quote":
        builder.add(BlockKind.QUOTE, text_of(item))
    elif name in ("preformat", "code"):
        builder.add(BlockKind.CODE, "".join(str(t) for t in item.itertext()))
    elif name == "boxed-text":
        _section(builder, item, level)
    else:
        builder.paragraph(text_of(item, _skipped(item)))


def _floating(builder: Builder, item: _Element) -> None:
    label, caption = child(item, "label"), child(item, "caption")
    words = [text_of(label)] if label is not None else []
    words += [text_of(e) for e in caption if local(e) in ("title", "p")] if caption is not None else []
    builder.paragraph(" ".join(words))
    for table in find_all(item, "table"):
        builder.table(rows_of(table))
    for note in find_all(item, "table-wrap-foot"):
        builder.paragraph(text_of(note))


def _list(builder: Builder, item: _Element, depth: int) -> None:
    ordered = attribute(item, "list-type") in ("order", "alpha-lower", "alpha-upper", "roman-lower", "roman-upper")
    number = 0
    for entry in item:
        if local(entry) not in ("list-item", "def-item"):
            continue
        number += 1
        inner = frozenset({"list", "label"})
        label = child(entry, "label")
        mark = text_of(label) if label is not None else (f"{number}." if ordered else "-")
        builder.item(text_of(entry, inner), depth, mark or "-")
        for deeper in children(entry, "list"):
            if depth < _DEPTH:
                _list(builder, deeper, depth + 1)


def _back(builder: Builder, back: _Element) -> None:
    for item in back:
        name = local(item)
        if name == "ref-list":
            heading = child(item, "title")
            builder.heading(text_of(heading) if heading is not None else "References", 2)
            for reference in find_all(item, "ref"):
                builder.item(_reference(reference))
        elif name in ("ack", "app-group", "sec", "glossary", "fn-group", "notes", "bio", "app"):
            heading = child(item, "title")
            builder.heading(text_of(heading) if heading is not None else ("Acknowledgments" if name == "ack" else ""), 2)
            _section(builder, item, 2)


def _reference(reference: _Element) -> str:
    for item in reference:
        if local(item) in ("mixed-citation", "nlm-citation", "citation"):
            return text_of(item)
        if local(item) == "element-citation":
            people = ", ".join(" ".join(text_of(p) for p in name) for name in find_all(item, "name"))
            rest = [text_of(e) for e in item if local(e) not in ("person-group", "name")]
            return ". ".join(t for t in (people, *rest) if t)
    return text_of(reference, frozenset({"label"}))
