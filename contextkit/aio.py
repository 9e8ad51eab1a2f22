"""`AsyncKit`: a kit for asyncio services. Each call works in a thread; the event loop stays free."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from contextkit.kit import IndexInfo, Kit, Limits, Where
from contextkit.kit import open as open_kit
from contextkit.retrieval.reranking import MILLISECONDS

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from numpy.typing import ArrayLike

    from contextkit.catalog import Collected, Committed, Difference, Generation, Health
    from contextkit.context.account import AgentPacket
    from contextkit.context.call import AgentCall
    from contextkit.context.handoff import Handoff
    from contextkit.context.packet import Fill, Format, Packet, Receipt
    from contextkit.context.profiles import Profile
    from contextkit.context.route import Candidate, Route
    from contextkit.embedding.local import Wanted
    from contextkit.evaluation.questions import Judged
    from contextkit.evaluation.report import TuningReport
    from contextkit.exchange import Exported
    from contextkit.observe.costs import Cost, Outcome
    from contextkit.observe.difference import ReceiptDifference
    from contextkit.protocols import Chunker, Connector, Embedder, MemoryBackend, Reranker
    from contextkit.retrieval.hits import Hit
    from contextkit.sync import Pipeline, Progress, SyncReport
    from contextkit.types import Document, Principal

P = ParamSpec("P")
T = TypeVar("T")


class _Cancelled(BaseException):
    """Ends a long call from inside, at its next step, after its task was cancelled."""


class AsyncKit:
    """The verbs of `Kit` as coroutines, with the same arguments, results and errors.

    A cancelled `search` or `context` is abandoned: its thread finishes alone and its result is dropped. A cancelled `sync` or
    `add` stops at its next step, and the cancellation comes through once it has: the index is whole, what was staged is kept, and
    the next run goes on from there.

        async with await AsyncKit.open("my-index") as kit:
            packet = await kit.context("How long may I carry leave over?")
    """

    def __init__(self, kit: Kit, threads: int = 8) -> None:
        self.kit = kit
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="contextkit")

    @classmethod
    async def open(
        cls,
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
        threads: int = 8,
    ) -> AsyncKit:
        """As `contextkit.open`; `threads` calls run side by side."""
        kit = await asyncio.to_thread(
            open_kit, path, create=create, read_only=read_only, embedder=embedder, limits=limits, wait=wait, memory=memory,
            chunker=chunker, backend=backend, reranker=reranker, rerank_ms=rerank_ms,
        )  # fmt: skip
        return cls(kit, threads)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """As `Kit.close`, after the calls under way have ended."""
        await asyncio.to_thread(self._pool.shutdown)
        self.kit.close()

    async def sync(
        self,
        source: str | Path | Connector,
        *,
        retire: bool = True,
        glob: str | Iterable[str] | None = None,
        exclude: str | Iterable[str] | None = None,
        allow_mass_delete: bool = False,
        progress: Progress | None = None,
    ) -> SyncReport:
        """As `Kit.sync`."""
        return await self._stoppable(
            lambda tell: self.kit.sync(
                source, retire=retire, glob=glob, exclude=exclude, allow_mass_delete=allow_mass_delete, progress=tell
            ),
            progress,
        )

    async def add(
        self, documents: Iterable[Document], *, pipeline: Pipeline | None = None, progress: Progress | None = None
    ) -> SyncReport:
        """As `Kit.add`."""
        return await self._stoppable(lambda tell: self.kit.add(documents, pipeline=pipeline, progress=tell), progress)

    async def remove(self, ids: Iterable[str]) -> Committed:
        """As `Kit.remove`."""
        return await self._call(self.kit.remove, ids)

    async def generations(self) -> list[Generation]:
        """As `Kit.generations`."""
        return await self._call(self.kit.generations)

    async def diff(self, a: int, b: int) -> Difference:
        """As `Kit.diff`."""
        return await self._call(self.kit.diff, a, b)

    async def rollback(self, generation: int) -> Committed:
        """As `Kit.rollback`."""
        return await self._call(self.kit.rollback, generation)

    async def pin(self, generation: int, name: str | None) -> None:
        """As `Kit.pin`."""
        await self._call(self.kit.pin, generation, name)

    async def reembed(self, embedder: str | Path | Embedder, *, progress: Progress | None = None) -> SyncReport:
        """As `Kit.reembed`."""
        return await self._stoppable(lambda tell: self.kit.reembed(embedder, progress=tell), progress)

    async def gc(self, keep: int = 5) -> Collected:
        """As `Kit.gc`."""
        return await self._call(self.kit.gc, keep)

    async def doctor(self, repair: bool = False) -> Health:  # noqa: FBT001 - as Kit.doctor
        """As `Kit.doctor`."""
        return await self._call(self.kit.doctor, repair)

    async def export(self, folder: str | Path) -> Exported:
        """As `Kit.export`."""
        return await self._call(self.kit.export, folder)

    async def tune(
        self,
        questions: str | Path | Iterable[Judged] | None = None,
        *,
        from_receipts: bool = False,
        embedder: str | Path | None = None,
        budgets: Sequence[int] = (256, 512, 1024, 2048, 4096),
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> TuningReport:
        """As `Kit.tune`."""
        return await self._stoppable(
            lambda tell: self.kit.tune(
                questions, from_receipts=from_receipts, embedder=embedder, budgets=budgets, dry_run=dry_run, progress=tell
            ),
            progress,
        )

    async def search(
        self,
        question: str,
        *,
        k: int = 10,
        where: Where | None = None,
        principal: Principal | None = None,
        now: datetime | None = None,
    ) -> list[Hit]:
        """As `Kit.search`."""
        return await self._call(self.kit.search, question, k=k, where=where, principal=principal, now=now)

    async def nearest(
        self, vector: ArrayLike, *, k: int = 10, where: Where | None = None, principal: Principal | None = None
    ) -> list[Hit]:
        """As `Kit.nearest`."""
        return await self._call(self.kit.nearest, vector, k=k, where=where, principal=principal)

    async def context(
        self,
        question: str,
        *,
        budget: int = 1024,
        model: str | None = None,
        where: Where | None = None,
        principal: Principal | None = None,
        format: str | Format = "text",  # noqa: A002 - the word that users know
        fill: str | Fill = "full",
        now: datetime | None = None,
        progress: Progress | None = None,
    ) -> Packet:
        """As `Kit.context`."""
        return await self._call(
            self.kit.context, question, budget=budget, model=model, where=where, principal=principal, format=format,
            fill=fill, now=now, progress=progress,
        )  # fmt: skip

    async def build(self, call: AgentCall) -> AgentPacket:
        """As `Kit.build`."""
        return await self._call(self.kit.build, call)

    async def restore(self, ref: str) -> str:
        """As `Kit.restore`."""
        return await self._call(self.kit.restore, ref)

    async def report_outcome(
        self, receipt_id: str | None = None, *, success: bool | None = None, task: str | None = None, cost: float | None = None
    ) -> Outcome:
        """As `Kit.report_outcome`."""
        return await self._call(self.kit.report_outcome, receipt_id, success=success, task=task, cost=cost)

    async def costs(self, by: str = "agent") -> list[Cost]:
        """As `Kit.costs`."""
        return await self._call(self.kit.costs, by)

    async def diff_receipts(self, a: str, b: str) -> ReceiptDifference:
        """As `Kit.diff_receipts`."""
        return await self._call(self.kit.diff_receipts, a, b)

    async def prune_receipts(
        self, *, older_than: float | None = None, keep: int | None = None, max_bytes: int | None = None
    ) -> int:
        """As `Kit.prune_receipts`."""
        return await self._call(self.kit.prune_receipts, older_than=older_than, keep=keep, max_bytes=max_bytes)

    async def route(
        self,
        call: AgentCall,
        candidates: Sequence[str | Candidate] | None = None,
        *,
        tier: int | None = None,
        data_class: str | None = None,
        deadline: float | None = None,
        profile: Profile | None = None,
    ) -> Route:
        """As `Kit.route`."""
        return await self._call(
            self.kit.route, call, candidates, tier=tier, data_class=data_class, deadline=deadline, profile=profile
        )

    async def handoff(
        self,
        packet: Packet,
        to: str,
        *,
        goal: str = "",
        decisions: Sequence[str] = (),
        claims: Sequence[str] = (),
        open_items: Sequence[str] = (),
        remaining_budget: int | None = None,
        previous: Handoff | None = None,
        principal: Principal | None = None,
    ) -> Handoff:
        """As `Kit.handoff`."""
        return await self._call(
            self.kit.handoff, packet, to, goal=goal, decisions=decisions, claims=claims, open_items=open_items,
            remaining_budget=remaining_budget, previous=previous, principal=principal,
        )  # fmt: skip

    async def accept(self, handoff: Handoff | str, agent: str, *, principal: Principal | None = None) -> Handoff:
        """As `Kit.accept`."""
        return await self._call(self.kit.accept, handoff, agent, principal=principal)

    async def receipt(self, receipt_id: str | None = None) -> Receipt:
        """As `Kit.receipt`."""
        return await self._call(self.kit.receipt, receipt_id)

    async def receipts(self, limit: int = 20) -> list[Receipt]:
        """As `Kit.receipts`."""
        return await self._call(self.kit.receipts, limit)

    async def info(self) -> IndexInfo:
        """As `Kit.info`."""
        return await self._call(self.kit.info)

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *args, **kwargs))

    async def _stoppable(self, run: Callable[[Progress], T], progress: Progress | None) -> T:
        stop = threading.Event()

        def tell(stage: str, done: int, total: int | None) -> None:
            if stop.is_set():
                raise _Cancelled
            if progress is not None:
                progress(stage, done, total)

        task = asyncio.ensure_future(self._call(run, tell))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # ended by _Cancelled or just before the stop: either way the caller learns of the cancellation
            raise
