"""LangChain's parts in a kit: `SplitterChunker` for its text splitters, `LoaderConnector` for its document loaders.

Either is given to the kit: `contextkit.open("my-index", embedder=own, chunker=SplitterChunker(splitter, own))`, and
`kit.sync(LoaderConnector(loader, "web:handbook"))`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from langchain_core.document_loaders import BaseLoader
from langchain_text_splitters import TextSplitter

from contextkit.documents.sentences import sentences, strip
from contextkit.errors import ContextkitError, InputError, SourceError
from contextkit.types import Chunk, Document, DocumentRef, ListingPage, Span

if TYPE_CHECKING:
    from langchain_core.documents import Document as Theirs

    from contextkit.protocols import Embedder

_SPECIAL = 4  # tokens that a model puts around a text, and between header and text
_SHORTEST = 16  # characters below which a sentence is not cut again
_PAGE = 500


class SplitterChunker:
    """A text splitter of LangChain's as a chunker of ours, with the exact place of every chunk (protocol `Chunker`).

    The splitter decides where chunks begin. Its overlap is left out (neighbours are found by their place), and what it drops
    between two pieces stands at the end of the first, so that the chunks hold all of the text. A piece that is longer than the
    embedder reads is cut at its sentences.

    Args:
        splitter: any that gives pieces of the text as they stand in it.
        embedder: the one of the kit: its window and its count of tokens.
        name: everything that changes the output, stored with the index; None: the splitter's class, version and settings.

    Raises:
        InputError: it is no TextSplitter.
    """

    def __init__(self, splitter: TextSplitter, embedder: Embedder, *, name: str | None = None) -> None:
        if not isinstance(splitter, TextSplitter):
            raise InputError(f"SplitterChunker takes a langchain_text_splitters.TextSplitter, not {type(splitter).__name__}")
        self._splitter = splitter
        self._embedder = embedder
        self._name = name or _settings(splitter)

    @property
    def config(self) -> str:
        """A stable name of everything that changes the output."""
        return f"{self._name} window={self._embedder.info.window}"

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks of a document in text order; [] for a text of white space alone.

        Raises:
            InputError: the splitter gave a piece that does not stand in the text after the one before; names it.
        """
        room = self._embedder.info.window - _SPECIAL
        title = " ".join(document.title.split())
        out: list[Chunk] = []
        for piece in self._whole(document):
            for group in self._fitting(document.text, piece, room):
                span = Span(group[0].start, group[-1].end)
                text = document.text[span.start : span.end]
                fits = title and sum(self._embedder.count([title, text])) <= room
                out.append(Chunk(span.start, span.end, text, title if fits else "", tuple(group), document.pages_of(span)))
        return out

    def _whole(self, document: Document) -> Iterator[Span]:
        """The places of the pieces, without overlap, together holding all that is not white space."""
        found = list(self._places(document))
        if not found:
            return iter(() if strip(document.text, 0, len(document.text)) is None else [Span(0, len(document.text))])
        starts = [0, *(max(after.start, before.end) for before, after in pairwise(found))]
        ends = [*starts[1:], len(document.text)]
        spans = (strip(document.text, start, end) for start, end in zip(starts, ends, strict=True))
        return iter([span for span in spans if span is not None])

    def _places(self, document: Document) -> Iterator[Span]:
        """Where each piece stands: after the start of the one before, and reaching beyond its end.

        White space counts for nothing: splitters leave it out at the ends of pieces, and some where they join their parts.
        """
        inked = [n for n, character in enumerate(document.text) if not character.isspace()]
        text = "".join(document.text[n] for n in inked)
        start, end = -1, 0
        for number, piece in enumerate(self._splitter.split_text(document.text)):
            wanted = "".join(piece.split())
            if not wanted:
                continue
            place = text.find(wanted, start + 1)
            while place >= 0 and place + len(wanted) <= end:
                place = text.find(wanted, place + 1)
            if place < 0:
                raise InputError(
                    f"document {document.id!r}: piece {number} of {type(self._splitter).__name__} does not stand in the text "
                    f"after the piece before it: {piece[:60]!r}; a splitter has to give the text's own words: one that rewrites "
                    "them (changes words, strips markup, drops marks between parts that it joins) cannot be used"
                )
            start, end = place, place + len(wanted)
            yield Span(inked[start], inked[end - 1] + 1)

    def _fitting(self, text: str, piece: Span, room: int) -> Iterator[list[Span]]:
        """The sentences of a piece in groups that the embedder reads whole; most often one."""
        units = list(self._units(text, piece.start, piece.end, room, 600))
        if self._embedder.count([text[piece.start : piece.end]])[0] <= room:
            yield units
            return
        group: list[Span] = []
        for unit in units:
            if group and self._embedder.count([text[group[0].start : unit.end]])[0] > room:
                yield group
                group = []
            group.append(unit)
        yield group

    def _units(self, text: str, start: int, end: int, room: int, longest: int) -> Iterator[Span]:
        """Sentences, each cut until the embedder reads it."""
        found = sentences(text, start, end, longest)
        for span, count in zip(found, self._embedder.count([text[s.start : s.end] for s in found]), strict=True):
            if count > room and longest > _SHORTEST:
                yield from self._units(text, span.start, span.end, room, longest // 2)
            else:
                yield span


def _settings(splitter: TextSplitter) -> str:
    """Class, version and plain settings of a splitter as one text."""
    kind = type(splitter)
    plain = {key: _plain(value) for key, value in sorted(vars(splitter).items())}
    given = json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return f"langchain-text-splitters {version('langchain-text-splitters')} {kind.__module__}.{kind.__qualname__} {given}"


def _plain(value: Any) -> Any:  # noqa: ANN401 - a setting of any type
    """A setting as it is, or what names it where it is no plain value."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    return getattr(value, "__qualname__", type(value).__qualname__)


@dataclass(frozen=True, slots=True)
class _Held:
    """What a loader gave for one document."""

    document: Document
    version: str


class LoaderConnector:
    """A document loader of LangChain's as a connector of ours (protocol `Connector`).

    A document's id is its own, or the "source" of its metadata with the page, where there is one; several of the same are
    numbered in their order. What the loader gave is held in memory between listing and reading.

    Args:
        loader: any loader. Each listing runs it once.
        source: names the source, unlike any other, for example "web:handbook".

    Raises:
        InputError: it is no BaseLoader, or the name is empty.
    """

    def __init__(self, loader: BaseLoader, source: str) -> None:
        if not isinstance(loader, BaseLoader):
            raise InputError(f"LoaderConnector takes a langchain_core.document_loaders.BaseLoader, not {type(loader).__name__}")
        if not isinstance(source, str) or not source.strip():
            raise InputError(f"a source needs a name such as 'web:handbook', not {source!r}")
        self._loader = loader
        self._source = source
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    @property
    def source(self) -> str:
        """The name of the source."""
        return self._source

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:  # noqa: ARG002 - a loader always starts anew
        """The parts of a listing, the last one complete: a loader gives every document.

        Raises:
            SourceError: the loader failed; nothing is known then of what it would have given.
        """
        held = {ref.id: (ref, document) for ref, document in self._loaded()}
        with self._lock:
            self._held = {id_: _Held(document, ref.version) for id_, (ref, document) in held.items()}
        refs = [ref for ref, _ in held.values()]
        pages = [tuple(refs[n : n + _PAGE]) for n in range(0, len(refs), _PAGE)] or [()]
        for number, page in enumerate(pages, 1):
            yield ListingPage(page, complete=number == len(pages))

    def fetch(self, ref: DocumentRef) -> Document:
        """The document of a listing. Raises SourceError where the last listing did not name it."""
        with self._lock:
            held = self._held.get(ref.id)
        if held is None:
            found = {listed.id: document for listed, document in self._loaded()}
            if ref.id not in found:
                raise SourceError(f"the loader of {self._source} gives no document {ref.id!r}")
            return found[ref.id]
        return held.document

    def _loaded(self) -> Iterator[tuple[DocumentRef, Document]]:
        seen: dict[str, int] = {}
        try:
            for number, given in enumerate(self._loader.lazy_load()):
                id_ = _identity(given, number)
                seen[id_] = seen.get(id_, 0) + 1
                if seen[id_] > 1:
                    id_ = f"{id_}#{seen[id_]}"
                yield _listed(given, id_)
        except ContextkitError:
            raise
        except Exception as error:  # a loader may raise anything: it is what this source could not list
            raise SourceError(f"the loader of {self._source} ({type(self._loader).__name__}) failed: {error}") from error


def _identity(given: Theirs, number: int) -> str:
    if given.id:
        return given.id
    name, page = given.metadata.get("source"), given.metadata.get("page")
    if not isinstance(name, str) or not name:
        return f"document-{number + 1}"
    return name if page is None else f"{name}#page={page}"


def _listed(given: Theirs, id_: str) -> tuple[DocumentRef, Document]:
    metadata = given.metadata
    title, uri = metadata.get("title"), metadata.get("source")
    address = uri if isinstance(uri, str) else ""
    try:
        body = json.dumps([given.page_content, metadata], sort_keys=True, default=str)
    except (TypeError, ValueError) as error:
        raise InputError(f"document {id_!r}: the metadata cannot be stored as JSON ({error})") from None
    ref = DocumentRef(id_, version=hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:32], uri=address)
    text = title if isinstance(title, str) else ""
    return ref, Document(id=id_, text=given.page_content, title=text, uri=address, metadata=metadata)
