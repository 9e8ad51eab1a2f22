"""EPUB: the chapters in their reading order, each as HTML; title, author, language and date from the package."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from contextkit.documents.archives import open_zip, read_member, xml_root
from contextkit.documents.building import Builder, Source, clean, iso_date, one_line
from contextkit.documents.charset import decode
from contextkit.documents.parsers.html import add_html
from contextkit.documents.parsers.ooxml import attribute, child, children, find_all
from contextkit.errors import EncryptedDocument, ParseError
from contextkit.types import Document

if TYPE_CHECKING:
    from lxml.etree import _Element

_HTML = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})


def read(source: Source) -> Document:
    """The book. Raises EncryptedDocument where its chapters are under rights management."""
    what = repr(source.blob.name or source.blob.id)
    archive = open_zip(source.data, what)
    names = frozenset(archive.namelist())
    container = xml_root(read_member(archive, "META-INF/container.xml", what), what)
    path = next((attribute(e, "full-path") for e in find_all(container, "rootfile")), "")
    package = xml_root(read_member(archive, path, what), what)
    builder = Builder()
    _facts(builder, child(package, "metadata"))
    chapters = [posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(href))) for href in _spine(package)]
    if "META-INF/rights.xml" in names or _encrypted(
        read_member(archive, "META-INF/encryption.xml", what) if "META-INF/encryption.xml" in names else b""
    ):
        raise EncryptedDocument(f"{what} is a book under rights management; only books without it are read")
    found = [name for name in chapters if name in names]
    if not found:
        raise ParseError(f"{what}: the book's package names no chapter that the archive holds; the file is damaged")
    title, language = builder.title, builder.language
    for name in found:
        add_html(builder, clean(decode(read_member(archive, name, what))))
    builder.title, builder.language = title or builder.title, language
    return builder.build(source)


def _encrypted(listing: bytes) -> bool:
    """Whether more than fonts is encrypted."""
    return b"EncryptedData" in listing and any(end in listing.lower() for end in (b".xhtml", b".html", b'.htm"', b".opf"))


def _facts(builder: Builder, metadata: _Element | None) -> None:
    def every(name: str) -> list[str]:
        return [text for e in children(metadata, name) if (text := one_line(e.text or ""))]

    builder.title = next(iter(every("title")), "")
    builder.language = next(iter(every("language")), "")
    modified = [e.text or "" for e in children(metadata, "meta") if attribute(e, "property") == "dcterms:modified"]
    builder.metadata.update(
        author=", ".join(every("creator")),
        created=iso_date(next(iter(every("date")), "")),
        modified=iso_date(next(iter(modified), "")),
        publisher=", ".join(every("publisher")),
        description=next(iter(every("description")), "")[:1000],
    )


def _spine(package: _Element) -> list[str]:
    """The chapters' addresses in reading order, the table of contents left out."""
    items = {attribute(i, "id"): i for i in children(child(package, "manifest"), "item")}
    out: list[str] = []
    for reference in children(child(package, "spine"), "itemref"):
        item = items.get(attribute(reference, "idref"))
        if item is not None and attribute(item, "media-type") in _HTML and "nav" not in attribute(item, "properties").split():
            out.append(attribute(item, "href"))
    return out
