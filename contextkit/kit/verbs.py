"""`Kit`: one open index folder with its parts wired; the same verbs as the command line."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from contextkit.catalog import Catalog, Counts, Vectors, exists
from contextkit.context.packet import Format, Packet, Receipt
from contextkit.embedding import load_embedder
from contextkit.errors import IndexNotFound, InputError, KitClosed
from contextkit.observe.receipts import ReceiptStore
from contextkit.protocols import Connector, Embedder
from contextkit.retrieval.hits import Hit
from contextkit.retrieval.scoring import Weights
from contextkit.retrieval.terms import TERMS_VERSION, terms
from contextkit.sync import Pipeline, Progress, SyncReport
from contextkit.types import Blob, Document, Principal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from contextkit.catalog import Committed
    from contextkit.context.build import Reader
    from contextkit.protocols import Chunker
    from contextkit.sync.pipeline import Parsed

Where = Mapping[str, object]


class Limits(BaseModel):
    """What parsing one document may take.

    Attributes:
        workers: processes that parse; None: as many as there are processors.
        seconds: wall time a document.
        memory: bytes a document.
        size: bytes of a file; a larger one is refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(default=None, ge=1)
    seconds: float = Field(default=60.0, gt=0)
    memory: int = Field(default=2 * 2**30, ge=2**26)
    size: int = Field(default=100 * 2**20, ge=1)


class IndexInfo(BaseModel):
    """What an index holds, as everyone sees it.

    Attributes:
        path: its folder.
        documents: living documents that everyone may see.
        chunks: distinct chunks of them.
        characters: of their texts.
        generation: the current one.
        embedder: name of the embedder.
        dimension: length of a vector.
        digest: of the embedder's weights.
        chunker: configuration of the last run.
        parser: version of the parsers of the last run.
        sources: living documents by source.
        bytes: size of all files.
        created: ISO 8601, UTC.
        uuid: names the index.
        format: how the vectors are stored.
        note: what is unusual about how it was opened, or "".
    """

    model_config = ConfigDict(frozen=True)

    path: str
    documents: int
    chunks: int
    characters: int
    generation: int
    embedder: str
    dimension: int
    digest: str
    chunker: str
    parser: str
    sources: dict[str, int]
    bytes: int
    created: str
    uuid: str
    format: str
    note: str


def open(  # noqa: A001 - `ck.open` reads like the builtin on purpose
    path: str | Path,
    *,
    create: bool = True,
    read_only: bool = False,
    embedder: str | Path | Embedder | None = None,
    limits: Limits | None = None,
    wait: float = 30.0,
) -> Kit:
    """The kit of an index folder, made where there is none.

    Args:
        path: the folder.
        create: whether a missing index is made; an index that is read only is never made.
        read_only: nothing is written; may be open beside a writer.
        embedder: a model's name or folder, "openai:MODEL@URL", or an embedder; None: the packaged all-MiniLM-L6-v2.
        limits: on parsing one document.
        wait: seconds that a write waits for another writer.

    Raises:
        IndexNotFound: there is none and none may be made.
        IndexMismatch: it was made with another embedder than the one given, or by a newer contextkit.
        IndexDamaged: it cannot be read.
        InputError: the folder holds other things.
    """
    folder = Path(path).expanduser()
    loaded = load_embedder(embedder)
    if exists(folder) or not create or read_only:
        try:
            catalog = Catalog.open(folder, read_only=read_only)
        except IndexNotFound as error:
            raise IndexNotFound(f"{error}; `contextkit index build SOURCE --index {folder}` makes one") from None
        if embedder is not None:
            try:
                catalog.require(loaded.info)
            except BaseException:
                catalog.close()
                raise
    else:
        catalog = Catalog.create(folder, loaded.info, terms=TERMS_VERSION)
    return Kit(catalog, loaded, limits=limits, wait=wait)


class Kit:
    """An open index: documents in, hits and packets out. Made by `contextkit.open`; a context manager.

    Safe to read from several threads, and while another process writes. One writer at a time; others wait.
    """

    def __init__(
        self,
        catalog: Catalog,
        embedder: Embedder,
        *,
        chunker: Chunker | None = None,
        weights: Weights | None = None,
        limits: Limits | None = None,
        wait: float = 30.0,
    ) -> None:
        self.catalog = catalog
        self.embedder = embedder
        self.weights = weights or Weights()
        self.limits = limits or Limits()
        self._wait = wait
        self._chunker = chunker
        self._vectors: Vectors | None = None
        self._receipts = ReceiptStore(catalog.folder, read_only=catalog.read_only)
        self._lock = threading.RLock()
        self._closed = False
        self._checked = False

    def __repr__(self) -> str:
        return f"<Kit {str(self.catalog.folder)!r}{' closed' if self._closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes all files; a second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._receipts.close()
                self.catalog.close()

    # -------------------------------------------------------------------------------------------------------------- documents in

    def sync(
        self,
        source: str | Path | Connector,
        *,
        retire: bool = True,
        glob: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        allow_mass_delete: bool = False,
        progress: Progress | None = None,
    ) -> SyncReport:
        """Brings the index in step with a source and says what it did.

        Args:
            source: a folder, a file, or any connector.
            retire: whether documents that are gone from the source leave the index too.
            glob: of a folder, only files that match one of these patterns.
            exclude: of a folder, no files that match one of these patterns.
            allow_mass_delete: lets a run retire more than half of the source (and more than 20 documents).
            progress: is told the stage, how many are done, and of how many.

        Raises:
            InputError: the path does not exist, or too much would be retired; nothing was changed.
            SourceError: the source cannot be listed; nothing was changed.
            IndexLocked: another process is writing.
        """
        from contextkit.sync import sync

        self._open_for_work()
        connector = _connector(source, glob, exclude)
        report = sync(
            self.catalog, connector, self._pipeline(),
            retire=retire, allow_mass_delete=allow_mass_delete, progress=progress, wait=self._wait,
        )  # fmt: skip
        self._fold()
        return report

    def add(self, documents: Iterable[Document], *, progress: Progress | None = None) -> SyncReport:
        """Adds documents, or replaces those with the same ids, in one commit.

        Raises:
            InputError: an id twice, or one that belongs to a synced source; nothing was changed.
        """
        from contextkit.sync import add

        self._open_for_work()
        given = [documents] if isinstance(documents, Document) else list(documents)
        for document in given:
            if not isinstance(document, Document):
                raise InputError(f"add takes contextkit.Document, not {type(document).__name__}: Document(id=..., text=...)")
        report = add(self.catalog, given, self._pipeline(), progress=progress, wait=self._wait)
        self._fold()
        return report

    def remove(self, ids: Iterable[str]) -> Committed:
        """Retires documents by id. One that its source still has comes back with the next sync.

        Raises:
            InputError: naming ids that the index does not hold; nothing was changed.
        """
        from contextkit.sync import remove

        self._open_for_work(check=False)
        return remove(self.catalog, [ids] if isinstance(ids, str) else list(ids), wait=self._wait)

    # ------------------------------------------------------------------------------------------------------------------ hits out

    def search(self, question: str, *, k: int = 10, where: Where | None = None, principal: Principal | None = None) -> list[Hit]:
        """The k best chunks for a question, best first; fewer only where fewer are permitted.

        Args:
            question: any text.
            k: 1 to 10,000.
            where: metadata filter: equality, {"$in": [...]}, $gt/$gte/$lt/$lte/$ne/$exists, $and/$or/$not.
            principal: on whose behalf; without one only what everyone may see.

        Raises:
            InputError: the question is empty, or k out of range.
            FilterError: the filter is not understood.
        """
        from contextkit.context.build import check_question
        from contextkit.retrieval.candidates import DEPTH, find
        from contextkit.retrieval.hits import hits

        check_question(question)
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 10_000:
            raise InputError(f"k must be a whole number from 1 to 10,000, not {k!r}")
        reader = self._reader()
        visible = self.catalog.visible(where, principal)
        found = find(reader.catalog, reader.vectors, reader.embedder, question, visible, max(DEPTH, k))
        return hits(found, k, self.weights)

    def context(
        self,
        question: str,
        *,
        budget: int = 1024,
        model: str | None = None,
        where: Where | None = None,
        principal: Principal | None = None,
        format: str | Format = Format.TEXT,  # noqa: A002 - the word that users know
    ) -> Packet:
        """The packet for a question: what the index holds of its answer, in at most `budget` tokens, with a receipt.

        Args:
            question: any text.
            budget: most tokens, everything delivered included.
            model: whose tokens count ("gpt-4o", an encoding, a tokenizer.json); None: cl100k_base.
            where: metadata filter, see `search`.
            principal: on whose behalf; without one only what everyone may see.
            format: "text", "markdown", "xml" or "messages".

        Raises:
            InputError: the question is empty.
            BudgetExceeded: the budget is below what one citation needs.
            UnknownModel: nobody knows the model's tokens.
        """
        from contextkit.context.build import Request, build, check_question
        from contextkit.tokens import counter_for

        check_question(question)
        try:
            wanted = Format(format)
        except ValueError:
            raise InputError(f"no format {format!r}: use one of {', '.join(Format)}") from None
        counter = counter_for(model)
        packet = build(self._reader(), Request(question, budget, model, where, principal, wanted), counter)
        self._receipts.put(packet.receipt)
        return packet

    def receipt(self, receipt_id: str | None = None) -> Receipt:
        """A stored receipt by its id (or a unique start of it); None: the last one. Raises InputError where there is none."""
        self._open_for_work(check=False)
        return self._receipts.get(receipt_id)

    def receipts(self, limit: int = 20) -> list[Receipt]:
        """The last receipts, newest first."""
        self._open_for_work(check=False)
        return self._receipts.latest(limit)

    def info(self) -> IndexInfo:
        """What the index holds. Does not load the model."""
        self._open_for_work(check=False)
        identity = self.catalog.identity
        counts: Counts = self.catalog.counts()
        return IndexInfo(
            path=str(self.catalog.folder),
            documents=counts.documents,
            chunks=counts.chunks,
            characters=counts.characters,
            generation=self.catalog.generation(),
            embedder=identity.embedder.name,
            dimension=identity.embedder.dimension,
            digest=identity.embedder.digest,
            chunker=identity.chunker,
            parser=identity.parser,
            sources=self.catalog.sources(),
            bytes=counts.bytes,
            created=identity.created,
            uuid=identity.uuid,
            format=f"passages {identity.passages}, sentences {identity.sentences}",
            note=self.catalog.note,
        )

    # --------------------------------------------------------------------------------------------------------------------- wiring

    def _open_for_work(self, *, check: bool = True) -> None:
        if self._closed:
            raise KitClosed(f"the kit of {self.catalog.folder} is closed: open it again with contextkit.open")
        if check and not self._checked:
            self.catalog.require(self.embedder.info)
            self._checked = True

    def _reader(self) -> Reader:
        from contextkit.context.build import Reader

        self._open_for_work()
        with self._lock:
            if self._vectors is None:
                from contextkit import plugins

                index = plugins.load("contextkit.indexes", "faiss")
                self._vectors = Vectors(self.catalog, index, index.load)
            for note in self._vectors.notes:
                warnings.warn(note, stacklevel=3)
            self._vectors.notes.clear()
            return Reader(self.catalog, self._vectors, self.embedder, self.weights)

    def _fold(self) -> None:
        """Writes the vector index where much is new, so that the next opening finds it ready."""
        self._reader().vectors.save()

    def _pipeline(self) -> Pipeline:
        from contextkit.documents import PARSER_VERSION

        if self._chunker is None:
            from contextkit.documents.chunking import StructureChunker

            window = self.embedder.info.window
            self._chunker = StructureChunker(self.embedder.count, target=min(180, window - 2), window=window)
        return Pipeline(self._parse, PARSER_VERSION, self._chunker, self.embedder, terms, TERMS_VERSION)

    def _parse(self, blobs: Iterable[Blob]) -> Iterator[Parsed]:
        """Parses in worker processes that start with the first document and end with the iteration."""
        from contextkit.documents import ParsePool

        limits = self.limits
        with ParsePool(limits.workers, limits.seconds, limits.memory, max_bytes=limits.size) as pool:
            yield from pool.run(blobs)


def _connector(
    source: str | Path | Connector, glob: str | Iterable[str] | None, exclude: str | Iterable[str] | None
) -> Connector:
    if isinstance(source, (str, Path)):
        from contextkit import plugins

        files = plugins.load("contextkit.connectors", "files")
        made: Connector = files(source, glob=glob, exclude=exclude)
        return made
    if glob is not None or exclude is not None:
        raise InputError("glob and exclude are for folders: tell the connector itself what to leave out")
    return source
