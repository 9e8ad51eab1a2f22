"""XML: scientific articles (JATS), patents (USPTO), financial reports (XBRL), and anything else by its text.

This module decides which it is; each family has its module. Entities are not expanded, DTDs not read, nothing is fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contextkit.documents.archives import check_entities, xml_root
from contextkit.documents.building import Builder, Source
from contextkit.documents.parsers import jats, patents, xbrl, xml_generic
from contextkit.documents.parsers.ooxml import local
from contextkit.errors import ParseError
from contextkit.types import Document

if TYPE_CHECKING:
    from lxml.etree import _Element

_PATENTS = frozenset({"us-patent-application", "us-patent-grant", "patent-application-publication", "PATDOC"})


def read(source: Source) -> Document:
    """The document; XML that is cut off or malformed is read as far as it goes where that is far enough to hold text."""
    name = repr(source.blob.name or source.blob.id)
    entities = check_entities(source.data, name)
    try:
        root = xml_root(source.data, name)
    except ParseError:
        root = xml_root(source.data, name, recover=True)
        if len(root) == 0 and not (root.text or "").strip():
            raise
    _write_out(root, entities)
    builder = Builder()
    kind = local(root)
    if kind in ("article", "pmc-articleset", "book-part") and any(local(e) in ("front", "body", "article") for e in root):
        jats.add(builder, root)
    elif kind in _PATENTS:
        patents.add(builder, root)
    elif kind == "xbrl":
        xbrl.add(builder, root)
    if builder.empty:
        xml_generic.add(builder, root)
    return builder.build(source)


def _write_out(root: _Element, entities: dict[str, str]) -> None:
    """Put the text of simple entities where they stand; unknown ones become nothing."""
    from html import unescape

    from lxml import etree

    for node in list(root.iter(etree.Entity)):
        written = entities.get(node.name or "")
        text = written if written is not None else unescape(node.text or "")
        text = (text if not text.startswith("&") else "") + (node.tail or "")
        before, parent = node.getprevious(), node.getparent()
        if parent is None:
            continue
        if before is not None:
            before.tail = (before.tail or "") + text
        else:
            parent.text = (parent.text or "") + text
        node.tail = None
        parent.remove(node)
