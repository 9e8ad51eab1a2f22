"""`Kit` and `open`: documents in, hits and packets out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from contextkit.catalog import Catalog, exists
from contextkit.context.packet import Fill, Format, Packet, Receipt
from contextkit.embedding import load_embedder
from contextkit.errors import IndexNotFound, InputError
from contextkit.kit.calls import AgentCalls
from contextkit.kit.info import IndexInfo, index_info
from contextkit.kit.tuning import Tuning
from contextkit.kit.upkeep import Upkeep
from contextkit.kit.wiring import Limits, Where
from contextkit.protocols import Chunker, Connector, Embedder, MemoryBackend, Reranker
from contextkit.retrieval.hits import Hit
from contextkit.retrieval.reranking import MILLISECONDS, Reranking, load_reranker
from contextkit.retrieval.terms import TERMS_VERSION
from contextkit.sources import connector_for
from contextkit.sync import Pipeline, Progress, SyncReport
from contextkit.types import Document, Principal

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from contextkit.catalog import Committed
    from contextkit.embedding.local import Wanted
    from contextkit.memory import MemoryStore


def open(  # noqa: A001 - `ck.open` reads like the builtin on purpose
    path: str | Path,
    *,
    create: bool = True,
    read_only: bool = False,
    embedder: str | Path | Embedder | None = None,
    limits: Limits | None = None,
    wait: float = 30.0,
    memory: str | Path | MemoryBackend | None = None,
    chunker: Chunker | None = None,
    backend: Wanted = "auto",
    reranker: str | Path | Reranker | None = None,
    rerank_ms: float = MILLISECONDS,
) -> Kit:
    """The kit of an index folder, made where there is none.

    Args:
        path: the folder.
        create: whether a missing index is made; an index that is read only is never made.
        read_only: nothing is written; may be open beside a writer.
        embedder: a model's name or folder, "instant", "openai:MODEL@URL", or an embedder; None: the packaged all-MiniLM-L6-v2.
        limits: on parsing one document.
        wait: seconds that a write waits for another writer.
        memory: where `kit.memory` is kept: "postgresql://user@host/database?schema=name" for one that several machines share,
            another folder, or a backend, which the kit closes; None: in the index's folder. Opened with its first use.
        chunker: cuts documents; the same one every time, since another one cuts all of them anew. None: by their structure.
        backend: what computes a local model: "openvino", "torch", or "auto" for the fastest that is installed. An index works
            with all of them.
        reranker: judges the passages that were found: a cross-encoder's folder, "late-interaction", a plug-in's name, or a
            reranker; None: none does.
        rerank_ms: milliseconds that it may take for one question; `math.inf`: as many as it needs.

    Raises:
        IndexNotFound: there is none and none may be made.
        IndexMismatch: it was made with another embedder than the one given, or by a newer contextkit.
        IndexDamaged: it cannot be read.
        InputError: the folder holds other things, or an argument cannot work.
        RerankerError: the reranker's folder holds no cross-encoder.
    """
    folder = Path(path).expanduser()
    loaded = load_embedder(embedder, backend=backend)
    judge = load_reranker(reranker, loaded)
    if judge is not None:
        Reranking(judge, rerank_ms)  # before anything is opened or made: raises where the cap cannot work
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
    return Kit(catalog, loaded, chunker=chunker, limits=limits, wait=wait, memory=memory, reranker=judge, rerank_ms=rerank_ms)


class Kit(AgentCalls, Tuning, Upkeep):
    """An open index: documents in, hits and packets out. Made by `contextkit.open`; a context manager.

    Safe to read from several threads, and while another process writes. One writer at a time; others wait.
    """

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
            source: a folder, a file, an address ("s3://bucket/docs", "git:repository@main"), or any connector.
            retire: whether documents that are gone from the source leave the index too.
            glob: only documents whose path matches one of these patterns.
            exclude: no documents whose path matches one of these patterns.
            allow_mass_delete: lets a run retire more than half of the source (and more than 20 documents).
            progress: is told the stage, how many are done, and of how many.

        Raises:
            InputError: the path does not exist, or too much would be retired; nothing was changed.
            SourceError: the source cannot be listed; nothing was changed.
            IndexLocked: another process is writing.
        """
        from contextkit.sync import sync

        self._open_for_work()
        connector = connector_for(source, glob, exclude)
        report = sync(
            self.catalog, connector, self._pipeline(),
            retire=retire, allow_mass_delete=allow_mass_delete, progress=progress, wait=self._wait,
        )  # fmt: skip
        self._fold()
        return report

    def add(
        self, documents: Iterable[Document], *, pipeline: Pipeline | None = None, progress: Progress | None = None
    ) -> SyncReport:
        """Adds documents, or replaces those with the same ids, in one commit.

        Args:
            documents: the documents.
            pipeline: what cuts and embeds them, for vectors that come from elsewhere; None: what the index does.
            progress: is told the stage, how many are done, and of how many.

        Raises:
            InputError: an id twice, or one that belongs to a synced source; nothing was changed.
        """
        from contextkit.sync import add

        self._open_for_work()
        given = [documents] if isinstance(documents, Document) else list(documents)
        for document in given:
            if not isinstance(document, Document):
                raise InputError(f"add takes contextkit.Document, not {type(document).__name__}: Document(id=..., text=...)")
        report = add(self.catalog, given, pipeline or self._pipeline(), progress=progress, wait=self._wait)
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

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        where: Where | None = None,
        principal: Principal | None = None,
        now: datetime | None = None,
    ) -> list[Hit]:
        """The k best chunks for a question, best first; fewer only where fewer are permitted.

        Args:
            question: any text.
            k: 1 to 10,000.
            where: metadata filter: equality, {"$in": [...]}, $gt/$gte/$lt/$lte/$ne/$exists, $and/$or/$not.
            principal: on whose behalf; without one only what everyone may see.
            now: the moment that "last week" is read as of; None: this one.

        Raises:
            InputError: the question is empty, or k out of range.
            FilterError: the filter is not understood.
        """
        from contextkit.context.build import check_question, moment
        from contextkit.retrieval.aspects import combined, rerank
        from contextkit.retrieval.aspects import search as find
        from contextkit.retrieval.candidates import DEPTH
        from contextkit.retrieval.hits import hits

        check_question(question)
        _check_k(k)
        reader = self._reader()
        visible = self.catalog.visible(where, principal)
        found = find(reader.catalog, reader.vectors, reader.embedder, question, visible, max(DEPTH, k), moment(now))
        return hits(*combined(rerank(found, question, reader.reranking, self.weights), self.weights), k)

    def nearest(
        self, vector: ArrayLike, *, k: int = 10, where: Where | None = None, principal: Principal | None = None
    ) -> list[Hit]:
        """The k chunks nearest to a vector, best first, with their cosines as scores; fewer only where fewer are permitted.

        For vectors that come from elsewhere. A question in words is better served by `search`, which reads its words too.

        Args:
            vector: of the index's embedder, shape (dimension,), of any length above 0.
            k: 1 to 10,000.
            where: metadata filter, see `search`.
            principal: on whose behalf; without one only what everyone may see.

        Raises:
            InputError: the vector has another dimension or no direction, or k is out of range.
            FilterError: the filter is not understood.
        """
        from contextkit.retrieval.nearest import nearest, unit

        _check_k(k)
        reader = self._reader()
        query = unit(vector, self.catalog.dimension)
        return nearest(reader.catalog, reader.vectors, query, self.catalog.visible(where, principal), k)

    def context(
        self,
        question: str,
        *,
        budget: int = 1024,
        model: str | None = None,
        where: Where | None = None,
        principal: Principal | None = None,
        format: str | Format = Format.TEXT,  # noqa: A002 - the word that users know
        fill: str | Fill = Fill.FULL,
        now: datetime | None = None,
        progress: Progress | None = None,
    ) -> Packet:
        """The packet for a question: what the index holds of its answer, in at most `budget` tokens, with a receipt.

        Args:
            question: any text.
            budget: most tokens, everything delivered included.
            model: whose tokens count ("gpt-4o", an encoding, a tokenizer.json); None: cl100k_base.
            where: metadata filter, see `search`.
            principal: on whose behalf; without one only what everyone may see.
            format: "text", "markdown", "xml" or "messages".
            fill: "full" takes the budget as far as anything was found; "enough" only what comes near the best sentence.
            now: the moment that words such as "last week" are read as of; None: this one. A receipt says which it was.
            progress: is told each stage before it begins; what it raises ends the call, and no receipt is kept.

        Raises:
            InputError: the question is empty.
            BudgetExceeded: the budget is below what one citation needs.
            UnknownModel: nobody knows the model's tokens.
        """
        from contextkit.context.build import Request, build, check_question
        from contextkit.tokens import counter_for

        check_question(question)
        wanted, filled = _one_of(Format, format, "format"), _one_of(Fill, fill, "fill")
        counter = counter_for(model)
        asked = Request(question, budget, model, where, principal, wanted, fill=filled, now=now)
        packet = build(self._reader(), asked, counter, progress)
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
        return index_info(self.catalog, self._made_vectors().describe())

    @property
    def memory(self) -> MemoryStore:
        """What an agent knows, since when, from whom: in the index's folder or where `open` was told."""
        from contextkit.memory import MemoryStore
        from contextkit.memory.given import Given

        self._open_for_work(check=False)
        with self._lock:
            if self._memory is None:
                given = Given(self.search, self._receipts.latest)
                at, fixed = self._memory_at or self.catalog.folder, self.catalog.read_only
                self._memory = MemoryStore(at, self.embedder, read_only=fixed, wait=self._wait, given=given)
            return self._memory


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 10_000:
        raise InputError(f"k must be a whole number from 1 to 10,000, not {k!r}")


_Policy = TypeVar("_Policy", bound=StrEnum)


def _one_of(kind: type[_Policy], given: str, what: str) -> _Policy:
    try:
        return kind(given)
    except ValueError:
        raise InputError(f"no {what} {given!r}: use one of {', '.join(kind)}") from None
