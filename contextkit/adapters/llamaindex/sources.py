"""Documents across the border: a reader over our connectors, and LlamaIndex readers and node parsers as parts of contextkit."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core.node_parser.interface import NodeParser
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.schema import MetadataMode, TextNode

from contextkit.errors import InputError, SourceError
from contextkit.types import Blob, Chunk, Document, DocumentRef, ListingPage, Span

if TYPE_CHECKING:
    from contextkit.protocols import Connector, Embedder

_VISIBLE = re.compile(r"\S")
_NAMES = ("file_path", "url", "source", "file_name")
"""The metadata fields in which LlamaIndex's readers say where a document is, the most telling first."""


class KitReader(BaseReader):
    """Reads a source by contextkit's connectors and parsers: `KitReader("s3://bucket/docs").load_data()`.

    Args:
        source: a folder, a file, an address, or a connector, as `Kit.sync` takes it.
        glob: only documents whose path matches one of these patterns.
        exclude: no documents whose path matches one of these patterns.
        skip_unreadable: leave documents out that cannot be read, instead of raising at the first one.

    Raises:
        SourceError: there is no such source.
        InputError: an address that nobody knows.
    """

    def __init__(
        self,
        source: str | Path | Connector,
        *,
        glob: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        skip_unreadable: bool = False,
    ) -> None:
        from contextkit.sources import connector_for

        self._connector = connector_for(source, glob, exclude)
        self._skip = skip_unreadable

    def lazy_load_data(self, *_: Any, **__: Any) -> Iterable[LlamaDocument]:  # noqa: ANN401 - the peer's form
        """The documents, one by one, in the order of the source's listing; parsed in this process.

        Raises:
            SourceError: the source cannot be listed, or a document not be fetched.
            ParseError: a document cannot be read (see `skip_unreadable`).
        """
        for page in self._connector.list():
            if page.problems and not self._skip:
                uri, reason = page.problems[0]
                raise SourceError(f"{uri} cannot be listed: {reason}")
            for ref in page.refs:
                found = self._read(ref)
                if found is not None:
                    yield found

    def _read(self, ref: DocumentRef) -> LlamaDocument | None:
        from contextkit.documents import parse
        from contextkit.errors import ParseError

        try:
            fetched = self._connector.fetch(ref)
            document = parse(fetched) if isinstance(fetched, Blob) else fetched
        except (ParseError, SourceError):
            if self._skip:
                return None
            raise
        named = {"title": document.title, "uri": ref.uri or document.uri, "media_type": document.media_type}
        metadata = {**{key: value for key, value in named.items() if value}, **document.metadata, **ref.metadata}
        return LlamaDocument(id_=ref.id, text=document.text, metadata=metadata)


class ReaderConnector:
    """A LlamaIndex reader as a source (protocol `Connector`): `kit.sync(ReaderConnector(reader, "wiki"))`.

    A reader gives all documents at once and names no versions: each listing loads them all, and what changed is found by
    content. An id is made of where a document says it is (file_path, url ..., with its page), since readers make ids anew with
    each load; a document that says nothing is known by its content.

    Args:
        reader: any of LlamaIndex's.
        source: names the source, unlike that of any other.
        id_of: gives a document's id where the rule above does not fit.
        access: who may see the documents; None: everyone.
        load: arguments of `load_data`.

    Raises:
        InputError: it is no reader, or the source has no name.
    """

    def __init__(
        self,
        reader: BaseReader,
        source: str,
        *,
        id_of: Callable[[LlamaDocument], str] | None = None,
        access: Sequence[str] | None = None,
        **load: Any,  # noqa: ANN401 - what the reader takes
    ) -> None:
        if not isinstance(reader, BaseReader):
            raise InputError(f"ReaderConnector takes a LlamaIndex BaseReader, not {type(reader).__name__}")
        if not isinstance(source, str) or not source.strip():
            raise InputError(f"the source needs a name, not {source!r}")
        self._reader = reader
        self._name = source
        self._id_of = id_of or _place_of
        self._access = None if access is None else tuple(access)
        self._load = load
        self._found: dict[str, Document] = {}
        self._lock = threading.Lock()

    @property
    def source(self) -> str:
        """The source's name."""
        return f"llamaindex:{self._name}"

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:
        """One page with all documents; loads them. Raises SourceError where the reader fails."""
        del cursor  # a reader knows no place to go on from
        found = self._loaded()
        with self._lock:
            self._found = found
        refs = tuple(
            DocumentRef(one.id, _version(one), uri=one.uri, metadata=one.metadata, access=self._access, size=len(one.text))
            for one in found.values()
        )
        yield ListingPage(refs, complete=True)

    def fetch(self, ref: DocumentRef) -> Document:
        """The document of the last listing; loads where there was none. Raises SourceError where it is not there any more."""
        with self._lock:
            known = self._found.get(ref.id)
        if known is None or _version(known) != ref.version:
            found = self._loaded()
            with self._lock:
                self._found = found
            known = found.get(ref.id)
        if known is None:
            raise SourceError(f"{self.source} has no document {ref.id!r} any more")
        return known

    def _loaded(self) -> dict[str, Document]:
        try:
            loaded = list(self._reader.load_data(**self._load))
        except Exception as error:
            raise SourceError(f"{self.source} cannot be read: {type(error).__name__}: {error}") from error
        out: dict[str, Document] = {}
        for one in loaded:
            wanted = f"{self.source}/{self._id_of(one)}"
            name, n = wanted, 1
            while name in out:
                n += 1
                name = f"{wanted}#{n}"
            uri = next((str(one.metadata[key]) for key in _NAMES if one.metadata.get(key)), "")
            metadata = json.loads(json.dumps(one.metadata, default=str))
            out[name] = Document(name, one.get_content(MetadataMode.NONE), uri=uri, metadata=metadata, access=self._access)
        return out


def _place_of(document: LlamaDocument) -> str:
    place = next((str(document.metadata[key]) for key in _NAMES if document.metadata.get(key)), "")
    if not place:
        return hashlib.sha256(document.get_content(MetadataMode.NONE).encode("utf-8", "surrogatepass")).hexdigest()[:24]
    page = document.metadata.get("page_label")
    return f"{place}#page={page}" if page else place


def _version(document: Document) -> str:
    told = json.dumps([document.text, dict(document.metadata)], sort_keys=True, default=str)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:24]


class NodeParserChunker:
    """A LlamaIndex node parser as a chunker (protocol `Chunker`), with exact spans: `contextkit.open(path, chunker=...)`.

    Where nodes overlap, a chunk ends where its node does and the next one begins there. Text that the parser left out belongs to
    the chunk after it; a node whose text is not in the document is passed over. A chunk that the embedder cannot read is cut at
    sentences.

    Args:
        parser: any that cuts text, such as `SentenceSplitter(chunk_size=200)`.
        embedder: whose window bounds a chunk.
        config: names the parser's settings; "": they are read from the parser.

    Raises:
        InputError: it is no node parser.
    """

    def __init__(self, parser: NodeParser, embedder: Embedder, *, config: str = "") -> None:
        if not isinstance(parser, NodeParser):
            raise InputError(f"NodeParserChunker takes a LlamaIndex NodeParser, not {type(parser).__name__}")
        self._parser = parser
        self._embedder = embedder
        self._config = config

    @property
    def config(self) -> str:
        """The parser's class and settings."""
        if not self._config:
            settings = self._parser.model_dump(mode="json", exclude={"callback_manager", "id_func"}, fallback=_class_of)
            self._config = f"llamaindex {self._parser.class_name()} {json.dumps(settings, sort_keys=True)}"
        return f"{self._config} window={self._embedder.info.window}"

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document in text order; [] for a text of white space alone."""
        from contextkit.documents.sentences import sentences, strip

        out: list[Chunk] = []
        at = 0
        for end in self._ends(document):
            span = strip(document.text, at, end)
            at = end
            if span is None:
                continue
            spans = sentences(document.text, span.start, span.end)
            for part in self._fitting(document, spans):
                start, stop = part[0].start, part[-1].end
                text = document.text[start:stop]
                out.append(Chunk(start, stop, text, self._header(document), tuple(part), document.pages_of(Span(start, stop))))
        return out

    def _ends(self, document: Document) -> list[int]:
        """Where the chunks end: rising, the last one at the end of the text."""
        given = LlamaDocument(id_="document", text=document.text, metadata={})
        text = document.text
        ends: list[int] = []
        start = end = 0
        for node in self._parser.get_nodes_from_documents([given]) if text.strip() else []:
            cut = node.get_content(MetadataMode.NONE)
            found = _found(text, cut, start, end) if cut.strip() and isinstance(node, TextNode) else -1
            if found >= 0:
                start, end = found, found + len(cut)
                ends.append(end)
        rising = sorted({end for end in ends if end < len(text)})
        if rising and not text[rising[-1] :].strip():
            rising.pop()
        return [*rising, len(text)]

    def _header(self, document: Document) -> str:
        """The title, where it leaves most of the window to the text."""
        title = " ".join(document.title.split())
        return title if title and self._embedder.count([title])[0] <= self._embedder.info.window // 6 else ""

    def _fitting(self, document: Document, spans: Sequence[Span]) -> Iterator[list[Span]]:
        """The sentences in runs that the embedder can read with their header."""
        window = self._embedder.info.window - 2 - self._embedder.count([self._header(document)])[0] - 1
        run: list[Span] = []
        for span in self._short(document, spans, window):
            if run and self._embedder.count([document.text[run[0].start : span.end]])[0] > window:
                yield run
                run = []
            run.append(span)
        if run:
            yield run

    def _short(self, document: Document, spans: Sequence[Span], window: int) -> Iterator[Span]:
        """The sentences, those that are too long for the window cut in halves at white space where there is some."""
        from contextkit.documents.sentences import strip

        for span in spans:
            if self._embedder.count([document.text[span.start : span.end]])[0] <= window or len(span) < 2:
                yield span
                continue
            middle = (span.start + span.end) // 2
            space = document.text.rfind(" ", span.start + 1, middle)
            cut = space if space > 0 else middle
            halves = (strip(document.text, span.start, cut), strip(document.text, cut, span.end))
            yield from self._short(document, [half for half in halves if half is not None], window)


def _found(text: str, cut: str, start: int, end: int) -> int:
    """Where a node's text begins, after one from `start` to `end`; -1 where it is not there.

    Nodes may overlap, and what a text repeats is there more than once: the last place that leaves no gap is taken, else the
    first one after the gap.
    """
    visible = _VISIBLE.search(text, end)
    ahead = len(text) if visible is None else visible.start()
    place = text.rfind(cut, start + 1 if end else 0, ahead + len(cut))
    return place if place >= 0 else text.find(cut, ahead)


def _class_of(value: object) -> str:
    """What stands for a part that JSON has no form of: its class."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
