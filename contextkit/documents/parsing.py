"""Bytes to a document: finds out what they are, picks the parser, and turns whatever goes wrong into a ParseError.

The parsers themselves are in `contextkit.documents.parsers`, one module a family, imported when first needed; other people's are
found through the entry-point group `contextkit.parsers` and win over ours for the media types they name.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from contextkit.documents.building import Source
from contextkit.documents.detection import DOCX, ODF, PPTX, XLSX, media_type
from contextkit.documents.naming import title_from_name
from contextkit.errors import (
    DocumentTooLarge,
    EncryptedDocument,
    MissingExtra,
    ParseError,
    ParseLimit,
    PluginError,
    UnsupportedFormat,
)
from contextkit.protocols import Parser
from contextkit.types import Blob, Document

PARSER_VERSION = "2"
"""Changes whenever the output of any of contextkit's own parsers may."""

MAX_BYTES = 100 * 2**20
_GROUP = "contextkit.parsers"
_NESTING = 3
_PACKAGE = "contextkit.documents.parsers."


@dataclass(frozen=True, slots=True)
class BuiltinParser:
    """One of contextkit's own parsers (protocol `Parser`); its module is imported by the first parse.

    Attributes:
        name: of the format, for people.
        media_types: those it reads.
        module: in `contextkit.documents.parsers`; its function `read(Source) -> Document` does the work.
    """

    name: str
    media_types: frozenset[str]
    module: str

    @property
    def version(self) -> str:
        """All of contextkit's own parsers share one version."""
        return PARSER_VERSION

    def parse(self, blob: Blob) -> Document:
        """The document; raises ParseError, also for what the library underneath throws."""
        return self.read(_source(blob, next(iter(sorted(self.media_types))), MAX_BYTES, _NESTING))

    def read(self, source: Source) -> Document:
        """The same for bytes already read; where the content states no title, the file's name gives it."""
        function: Callable[[Source], Document] = import_module(_PACKAGE + self.module).read
        document = guarded(lambda: function(source), self.name, source.blob)
        if document.title or not document.text:
            return document
        return replace(document, title=title_from_name(source.blob, ending=self.module in _NAMED_WITH_ENDING))


_NAMED_WITH_ENDING = frozenset({"code", "delimited", "jsontext", "xml"})
"""Modules that read code and data: people speak of "ingest.toml", not of "ingest"."""

_OWN: tuple[tuple[str, str, str], ...] = (
    ("plain text", "text", "text/plain text/org text/x-log"),
    ("Markdown", "markdown", "text/markdown text/x-markdown"),
    ("reStructuredText", "rst", "text/x-rst text/prs.fallenstein.rst"),
    ("HTML", "html", "text/html application/xhtml+xml"),
    ("PDF", "pdf", "application/pdf"),
    ("Word", "docx", DOCX),
    ("PowerPoint", "pptx", PPTX),
    ("Excel", "xlsx", XLSX),
    ("OpenDocument", "odf", f"{ODF}text {ODF}presentation {ODF}spreadsheet"),
    ("EPUB", "epub", "application/epub+zip"),
    ("delimited text", "delimited", "text/csv text/tab-separated-values"),
    ("JSON", "jsontext", "application/json application/x-ndjson"),
    ("XML", "xml", "application/xml text/xml"),
    ("mail", "mail", "message/rfc822"),
    ("Outlook message", "msg", "application/vnd.ms-outlook"),
    ("captions", "captions", "text/vtt application/x-subrip"),
    ("Jupyter notebook", "notebook", "application/x-ipynb+json"),
    ("source code", "code", "text/x-source"),
    ("RTF", "rtf", "application/rtf text/rtf"),
    ("old Office", "fallback", "application/msword application/vnd.ms-excel application/vnd.ms-powerpoint"),
)


def parse(blob: Blob, *, max_bytes: int = MAX_BYTES) -> Document:
    """The blob's document, with its text, blocks, pages, title, language and metadata.

    Runs in this process and takes the time it takes; `ParsePool` bounds time and memory. The same bytes and name give the same
    document. Empty bytes give a document without text.

    Args:
        blob: the bytes or the file, with its name as a hint; the content decides what it is.
        max_bytes: a larger blob is refused before it is read.

    Raises:
        UnsupportedFormat: nobody reads this type.
        EncryptedDocument: a password is needed.
        DocumentTooLarge: over `max_bytes`, or inflating beyond all reason.
        ParseError: anything else that keeps it from being read; the message names the format and the reason.
    """
    return _parse(blob, max_bytes, _NESTING)


def parsers() -> dict[str, Parser]:
    """The parser of each media type that can be read, other people's before our own.

    A plug-in that does not load is warned of by name and left out.
    """
    found: dict[str, Parser] = dict(_own())
    for parser in _plugins():
        found.update(dict.fromkeys(parser.media_types, parser))
    return found


@cache
def _own() -> dict[str, BuiltinParser]:
    every = [BuiltinParser(name, frozenset(types.split()), module) for name, module, types in _OWN]
    return {kind: parser for parser in every for kind in parser.media_types}


@cache
def _plugins() -> tuple[Parser, ...]:
    loaded: list[Parser] = []
    for point in entry_points(group=_GROUP):
        try:
            made = point.load()
            parser = made() if isinstance(made, type) else made
            if not isinstance(parser, Parser):
                raise PluginError(f"{made!r} is no Parser: it lacks media_types, version or parse")
            loaded.append(parser)
        except Exception as error:  # noqa: BLE001 a plug-in may fail in any way, and it is reported by name
            warnings.warn(
                f"the parser plug-in {point.name!r} ({point.value}) does not load: {error}", RuntimeWarning, stacklevel=4
            )
    return tuple(loaded)


def _parse(blob: Blob, max_bytes: int, depth: int) -> Document:
    source = _source(blob, "", max_bytes, depth)
    kind = source.media_type
    parser = parsers().get(kind)
    if isinstance(parser, BuiltinParser):
        return parser.read(source)
    if parser is not None:
        return guarded(lambda: parser.parse(blob), kind, blob)
    if kind == "application/x-ole-encrypted":
        raise EncryptedDocument(f"{_name(blob)} is an Office document with a password; save it without one")
    if kind.startswith("text/") or kind.endswith(("+xml", "+json")):
        return _own()[_text_like(kind)].read(source)
    raise UnsupportedFormat(
        f"{_name(blob)} is {kind}, which no parser reads; convert it, or install a parser under the entry-point group {_GROUP!r}"
    )


def _text_like(kind: str) -> str:
    if kind.endswith("+xml"):
        return "application/xml"
    return "application/json" if kind.endswith("+json") else "text/plain"


def _source(blob: Blob, kind: str, max_bytes: int, depth: int) -> Source:
    data = _read(blob, max_bytes)
    charset = ""
    for parameter in blob.media_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        charset = value.strip(" \"'") if name.strip().lower() == "charset" else charset

    def nested(inner: Blob) -> Document:
        if depth <= 0:
            raise ParseError(f"{_name(inner)} is nested more than {_NESTING} documents deep")
        return _parse(inner, max_bytes, depth - 1)

    return Source(blob, data, kind or media_type(blob, data), charset, nested)


def _read(blob: Blob, max_bytes: int) -> bytes:
    """The bytes, after a look at how many there are. Raises ParseError."""
    try:
        size = len(blob.data) if blob.data is not None else blob.path.stat().st_size if blob.path is not None else 0
        if size > max_bytes:
            raise DocumentTooLarge(
                f"{_name(blob)} has {size:,} bytes, the limit is {max_bytes:,}; split it, or raise the limit (max_bytes)"
            )
        return blob.read()
    except OSError as error:
        raise ParseError(f"{_name(blob)} cannot be read: {error}") from error


def guarded(work: Callable[[], Document], what: str, blob: Blob) -> Document:
    """What `work` returns; anything but a ParseError that it raises becomes one, naming the format and the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    except ParseError:
        raise
    except MemoryError as error:
        raise ParseLimit(f"{_name(blob)}: reading it as {what} takes more memory than there is") from error
    except RecursionError as error:
        raise ParseError(f"{_name(blob)} cannot be read as {what}: it is nested too deeply") from error
    except MissingExtra as error:
        raise UnsupportedFormat(f"{_name(blob)} cannot be read: {error}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ParseError(f"{_name(blob)} cannot be read as {what}: {reason}") from error


def _name(blob: Blob) -> str:
    return repr(blob.name or (blob.path.name if blob.path else "") or blob.id)


def supported() -> Iterable[str]:
    """The media types that can be read, sorted."""
    return sorted(parsers())
