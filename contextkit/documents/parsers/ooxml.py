"""What Word, PowerPoint and Excel files share: the package of XML parts, its relations, its properties, and charts.

Elements are matched by local name, so that the strict and the transitional namespaces are read alike.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contextkit.documents.archives import open_zip, read_member, xml_root
from contextkit.documents.building import Builder, Source, iso_date, one_line
from contextkit.errors import ParseError

if TYPE_CHECKING:
    from lxml.etree import _Element

_DEFAULT_TITLES = ("powerpoint presentation", "presentation", "document", "word document", "microsoft word", "untitled")


def local(element: _Element) -> str:
    """An element's name without its namespace; "" for comments and instructions."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: _Element | None, name: str) -> str:
    """An attribute's value by its name without namespace, or ""."""
    if element is None:
        return ""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return ""


def child(element: _Element | None, *path: str) -> _Element | None:
    """The first element down a path of local names, or None."""
    for name in path:
        element = next((e for e in element if local(e) == name), None) if element is not None else None
    return element


def children(element: _Element | None, name: str) -> Iterator[_Element]:
    """The child elements with a local name."""
    if element is not None:
        yield from (e for e in element if local(e) == name)


def find_all(element: _Element, name: str) -> Iterator[_Element]:
    """The elements with a local name at any depth, in order."""
    yield from (e for e in element.iter() if local(e) == name)


@dataclass(frozen=True, slots=True)
class Relation:
    """A link from one part of a package to another."""

    kind: str
    target: str
    external: bool


@dataclass(slots=True)
class Package:
    """An Office file's parts.

    Attributes:
        archive: the zip.
        what: the file's name in messages.
    """

    archive: zipfile.ZipFile
    what: str
    names: frozenset[str] = frozenset()
    _roots: dict[str, _Element] = field(default_factory=dict)

    @classmethod
    def open(cls, source: Source) -> Package:
        """The package of a source's bytes. Raises ParseError where it is no sound archive."""
        what = repr(source.blob.name or source.blob.id)
        archive = open_zip(source.data, what)
        return cls(archive, what, frozenset(archive.namelist()))

    def root(self, name: str) -> _Element:
        """A part's root element. Raises ParseError where it is missing or malformed."""
        if name not in self._roots:
            self._roots[name] = xml_root(read_member(self.archive, name, self.what), f"{self.what} ({name})")
        return self._roots[name]

    def optional(self, name: str) -> _Element | None:
        """A part's root element, or None where the package has none or it cannot be read."""
        try:
            return self.root(name) if name in self.names else None
        except ParseError:
            return None

    def relations(self, part: str) -> dict[str, Relation]:
        """A part's relations by id."""
        folder, name = posixpath.split(part)
        root = self.optional(posixpath.join(folder, "_rels", name + ".rels"))
        out: dict[str, Relation] = {}
        for item in root if root is not None else ():
            target = attribute(item, "Target")
            external = attribute(item, "TargetMode").lower() == "external"
            if not external:
                target = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            out[attribute(item, "Id")] = Relation(attribute(item, "Type").rpartition("/")[2], target, external)
        return out

    def main_part(self, otherwise: str) -> str:
        """The name of the part that the package begins with."""
        for relation in self.relations("").values():
            if relation.kind == "officeDocument" and relation.target in self.names:
                return relation.target
        return otherwise

    def related(self, part: str, kind: str) -> list[str]:
        """The names of the parts that a part relates to in a certain way, in the order of their ids."""
        found = [r.target for r in self.relations(part).values() if r.kind == kind and not r.external and r.target in self.names]
        return sorted(found)


def core_properties(package: Package, builder: Builder) -> None:
    """Take title, author, dates and language from the package's core properties."""
    root = package.optional("docProps/core.xml")
    if root is None:
        return
    values = {local(e): one_line(e.text or "") for e in root}
    title = values.get("title", "")
    builder.title = "" if title.lower() in _DEFAULT_TITLES else title
    builder.language = values.get("language", "")
    builder.metadata.update(
        author=values.get("creator", ""),
        created=iso_date(values.get("created", "")),
        modified=iso_date(values.get("modified", "")),
        subject=values.get("subject", ""),
        keywords=values.get("keywords", ""),
        description=values.get("description", "")[:1000],
    )


def add_chart(builder: Builder, root: _Element) -> None:
    """Append a chart's title and its data as a table: a row a category, a column a series."""
    title = next(find_all(root, "title"), None)
    if title is not None:
        builder.paragraph(" ".join(one_line(t.text or "") for t in find_all(title, "t")))
    series = list(find_all(root, "ser"))[:50]
    if not series:
        return
    names = [_cached(child(s, "tx")) for s in series]
    categories: dict[int, str] = {}
    columns: list[dict[int, str]] = []
    for item in series:
        for axis in ("cat", "xVal"):
            categories.update({k: v for k, v in _points(child(item, axis)).items() if k not in categories})
        columns.append(_points(child(item, "val")) or _points(child(item, "yVal")))
    keys = sorted(set(categories).union(*columns))[:2000]
    header = ["", *("".join(name.values()) for name in names)]
    builder.table([header, *([categories.get(k, ""), *(column.get(k, "") for column in columns)] for k in keys)])


def _cached(element: _Element | None) -> dict[int, str]:
    points = _points(element)
    if points or element is None:
        return points
    return {0: "".join(v.text or "" for v in find_all(element, "v"))}


def _points(element: _Element | None) -> dict[int, str]:
    """The cached values of a chart's reference, by index."""
    if element is None:
        return {}
    out: dict[int, str] = {}
    for point in find_all(element, "pt"):
        index = attribute(point, "idx")
        value = child(point, "v")
        if index.isdigit() and value is not None and value.text:
            out.setdefault(int(index), short_number(value.text))
    return out


def short_number(text: str) -> str:
    """A number as people write it: no trailing zeros of binary fractions, no ".0"; other text unchanged."""
    try:
        number = float(text)
    except ValueError:
        return text
    if "e" in text.lower() or "." in text:
        return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.10g}"
    return text
