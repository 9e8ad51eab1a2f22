"""Every seam on one screen: what contextkit asks of a part that can be replaced.

A part needs no base class: it has these attributes and keeps these numbered rules, and `contextkit.testing` has the contract
tests that hold it to them. Records that cross the seams are in `contextkit.types`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from contextkit.types import Blob, Chunk, Document, DocumentRef, Embedded, EmbedderInfo, Extraction, ListingPage, Said, Summary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@runtime_checkable
class Connector(Protocol):
    """A source of documents.

    1. `source` names the source, is the same every time, and is unlike that of any other source ("files:/srv/docs").
    2. Ids are stable: the same document has the same id in every listing, also after its content changed.
    3. `list` yields the parts of one listing in a stable order. It resumes after `cursor` where one is given.
    4. `complete` is set on the last part only, and only when every living document was named. A listing that fails
       raises SourceError, or ends without `complete`.
    5. `fetch` is called for a ref of a listing, from any thread. It returns the bytes (Blob) or, where the source has text with
       structure, a Document with the same id. It raises SourceError where it cannot.
    """

    @property
    def source(self) -> str: ...

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]: ...

    def fetch(self, ref: DocumentRef) -> Blob | Document: ...


@runtime_checkable
class Parser(Protocol):
    """Turns the bytes of some media types into a document.

    1. `media_types` are those it reads, in lower case; `version` changes whenever its output may.
    2. `parse` returns a Document with the blob's id and uri whose blocks and pages are exact: ordered, inside the text.
    3. The same bytes give the same document. No network, no files left behind.
    4. It raises ParseError (or a leaf of it) for bytes that it cannot read, never anything else on purpose.
    """

    @property
    def media_types(self) -> frozenset[str]: ...

    @property
    def version(self) -> str: ...

    def parse(self, blob: Blob) -> Document: ...


@runtime_checkable
class Chunker(Protocol):
    """Cuts a document into windows.

    1. `config` names everything that changes its output, as a stable string.
    2. Chunks are in text order, do not overlap, and together hold every character that is not white space.
    3. `document.text[c.start:c.end] == c.text`, and each chunk's sentences lie inside it, in order.
    4. A chunk with its header has no more pieces than the embedder's window.
    """

    @property
    def config(self) -> str: ...

    def chunk(self, document: Document) -> list[Chunk]: ...


@runtime_checkable
class Embedder(Protocol):
    """Turns text into unit vectors.

    1. `info` never changes during the embedder's life, but for `backend`, which the first large text may settle. Reading it may
       load the model.
    2. `count` gives the number of pieces of each text, special ones not included.
    3. `embed` gives one passage vector a chunk and, where `info.sentences`, one vector a sentence (see Embedded). A chunk longer
       than the window is an error, never cut silently.
    4. `embed_queries` gives float32 (n, dimension), unit length.
    5. An empty list gives arrays of shape (0, dimension). Calls from several threads are safe.
    """

    @property
    def info(self) -> EmbedderInfo: ...

    def count(self, texts: Sequence[str]) -> list[int]: ...

    def embed(self, chunks: Sequence[Chunk]) -> Embedded: ...

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]: ...


@runtime_checkable
class VectorIndex(Protocol):
    """Finds the nearest of many unit vectors by inner product. Derived data: the catalogue can always fill it again.

    1. `add` takes int64 ids (n,), all larger than those it has, and float32 vectors (n, dimension).
    2. `search` takes float32 (q, dimension) and gives int64 ids (q, k) and float32 scores (q, k), best first, ties by lower id;
       missing places have id -1 and score -inf.
    3. `allowed`, where given, is a bool array by id: only ids with True are found, and k are found whenever k are allowed. Ids
       beyond its end are not allowed.
    4. `save` writes one file, whole or not at all; `load` of the class reads it and raises IndexDamaged where it cannot.
    """

    def __len__(self) -> int: ...

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None: ...

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...

    def save(self, path: Path) -> None: ...


@runtime_checkable
class Reranker(Protocol):
    """Judges how well passages answer a question: better than the search that found them, and slower.

    1. `name` names it in receipts, and changes whenever its scores may.
    2. `score` gives float32 (n,), one number for each text, higher is better, all finite. They are compared within one question
       only, so their scale is free; a text's score does not depend on the texts that are given with it, up to rounding.
    3. An empty list gives shape (0,), and what is needed is loaded then: no cap of time counts that call.
    4. A text or a question that is too long to be read whole is judged by what can be read.
    5. Calls from several threads are safe.
    """

    @property
    def name(self) -> str: ...

    def score(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]: ...


@runtime_checkable
class TokenCounter(Protocol):
    """Counts the tokens that a model will see.

    1. `name` names the encoding; `exact` is False where the count is an upper bound.
    2. `count` of a text is what the model is billed for that text, without message framing; "" is 0.
    3. `count_many` equals `count` of each.
    """

    @property
    def name(self) -> str: ...

    @property
    def exact(self) -> bool: ...

    def count(self, text: str) -> int: ...

    def count_many(self, texts: Sequence[str]) -> list[int]: ...


@runtime_checkable
class Extractor(Protocol):
    """Finds facts in what people say, where rules do not reach: a language model, or anything else.

    1. `name` names it, such as by its model.
    2. `need` gives an upper bound of the tokens that one `extract` of these turns reads and writes; nothing is sent for it.
    3. `extract` is one call. Each claim points at the turn and at the words in it that say so; what they do not say is not
       believed. It raises ExtractorError where there is no good answer within its time, never anything else on purpose.
    """

    @property
    def name(self) -> str: ...

    def need(self, turns: Sequence[Said]) -> int: ...

    def extract(self, turns: Sequence[Said]) -> Extraction: ...


class Rows(Protocol):
    """A connection to a relational database inside a transaction, as Python's DB-API has it; parameters are written `?`."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...  # noqa: ANN401 - a DB-API cursor

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...  # noqa: ANN401 - a DB-API cursor


@runtime_checkable
class MemoryBackend(Protocol):
    """Where a memory keeps its rows: the tables of `contextkit.memory.schema` in a relational database.

    1. `reading` gives rows that all show one committed state, whatever is written meanwhile.
    2. `writing` gives rows in a transaction: committed at the end of the block, undone whole by an error or a crash. One
       writer at a time; another one waits, then raises IndexLocked and has written nothing.
    3. `purge` makes what was deleted unreadable in every file, log and free page, and names what then makes up the store.
    """

    def reading(self) -> AbstractContextManager[Rows]: ...

    def writing(self) -> AbstractContextManager[Rows]: ...

    def purge(self) -> Sequence[str]: ...


@runtime_checkable
class Summarizer(Protocol):
    """Tells a long text in few words, by a model: the optional last rung of the compaction ladder.

    1. `name` names what makes the summaries, and changes whenever they may.
    2. `window` is the most tokens of text, by `counter`, that one request may hold.
    3. `summarize` gives a summary of about `tokens` tokens with what it took. It makes one request and never tries again itself;
       it raises ContextkitError where no summary came of it.
    """

    @property
    def name(self) -> str: ...

    @property
    def window(self) -> int: ...

    @property
    def counter(self) -> TokenCounter: ...

    def summarize(self, text: str, tokens: int) -> Summary: ...


@runtime_checkable
class Screen(Protocol):
    """Looks over what is about to be sent.

    1. `name` names it in receipts.
    2. `findings` says in words what is wrong in a text of a section ("system", "documents", "memory", ...), () for nothing. The
       same text gives the same findings; no network.
    3. It raises InputError where the packet must not be sent at all; that ends the call.
    """

    @property
    def name(self) -> str: ...

    def findings(self, text: str, section: str) -> Sequence[str]: ...
