"""The verbs that change what an index holds: `sync` with a source, `add` ready documents, `remove` some.

    observed -> staged -> committed -> retired

A run lists its source (observed), reads, chunks and embeds what is new in many small transactions that show nothing (staged),
and makes one generation of it in one transaction (committed), in which the documents that are gone are no longer shown
(retired). A run that dies leaves the index as it was; the next one finds what is staged.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from contextkit.catalog import Catalog, Committed
from contextkit.catalog.staging import NewDocument, digest
from contextkit.errors import ContextkitError, InputError, ParseError
from contextkit.protocols import Connector
from contextkit.sync.pipeline import Keys, Pipeline, backend_used, hashed, own_access, state_of
from contextkit.sync.plan import Plan, Refs, brake, plan
from contextkit.sync.report import Failure, Progress, SyncReport, silent
from contextkit.sync.work import Work
from contextkit.types import JSON, Blob, Document, DocumentRef

KIT = "kit"
"""The source of documents that were added one by one."""

_FETCHERS = 8
_FETCH_AHEAD = 32
_BYTES_AHEAD = 32 * 2**20  # of documents fetched or being fetched, as far as their sizes are known; a larger one goes alone
_UNKNOWN_SIZE = 2**20


def sync(
    catalog: Catalog,
    connector: Connector,
    pipeline: Pipeline,
    *,
    retire: bool,
    allow_mass_delete: bool = False,
    progress: Progress | None = None,
    wait: float = 30.0,
    note: str = "",
) -> SyncReport:
    """Brings the index in step with a source, in one new generation (none where nothing changed).

    Args:
        catalog: open for writing.
        connector: the source.
        pipeline: what parses, chunks and embeds.
        retire: whether documents that are gone from the source are retired; only a complete listing retires what it does not
            name.
        allow_mass_delete: lets a run retire more than half of the source (and more than 20 documents).
        progress: is told how far it is.
        wait: seconds to wait for another writer.
        note: why; shown with the generation.

    Raises:
        SourceError: the source cannot be listed; nothing was changed.
        InputError: too much would be retired; nothing was changed.
        IndexLocked: another writer did not finish in time.
        IndexMismatch: the index holds another embedder's vectors.
    """
    started = time.monotonic()
    tell = progress or silent
    catalog.require(pipeline.embedder.info)
    keys = Keys.of(pipeline)
    with catalog.writing("sync", connector.source, wait=wait) as run:
        catalog.require(pipeline.embedder.info)  # again: the writer before may have given the index another one
        catalog.renew_terms(pipeline.terms, pipeline.terms_version, lambda done, total: tell("terms", done, total))
        found = plan(catalog, connector, keys, retire=retire, progress=tell)
        if not allow_mass_delete:
            brake(found, catalog.sources().get(found.source, 0))
        with Work(catalog, found.source, pipeline, keys, tell) as work:
            reader = _Reader(catalog, connector, pipeline, keys, work, found, tell)
            reader.rewrite(found.rewrite)
            reader.read(found.read)
        tell("commit", 0, 1)
        catalog.update_identity(
            chunker=pipeline.chunker.config,
            parser=pipeline.parser_version,
            backend=backend_used(pipeline.embedder) if work.embedded else None,
        )
        done = catalog.commit(run, found.source, found.retire, note=note or f"sync {found.source}", cursor=found.cursor)
        tell("commit", 1, 1)
    failed = len({f.id for f in found.failures if f.id})
    return _report(found, done, work, found.listed - failed - len(done.added) - len(done.changed), started)


def add(
    catalog: Catalog,
    documents: Sequence[Document],
    pipeline: Pipeline,
    *,
    progress: Progress | None = None,
    wait: float = 30.0,
    note: str = "",
) -> SyncReport:
    """Adds documents, or replaces those with the same ids, in one new generation.

    Raises:
        InputError: an id twice, an id of another source, or a document that cannot be stored; nothing was changed.
        IndexLocked: another writer did not finish in time.
        IndexMismatch: the index holds another embedder's vectors.
    """
    started = time.monotonic()
    tell = progress or silent
    twice = [i for i, n in Counter(d.id for d in documents).items() if n > 1]
    if twice:
        raise InputError(f"the id {twice[0]!r} is given to more than one document")
    catalog.require(pipeline.embedder.info)
    keys = Keys.of(pipeline)
    found = Plan(KIT, listed=len(documents), complete=True)
    with catalog.writing("add", KIT, wait=wait) as run:
        catalog.require(pipeline.embedder.info)
        catalog.renew_terms(pipeline.terms, pipeline.terms_version, lambda done, total: tell("terms", done, total))
        owners = catalog.owners()
        for document in documents:
            if owners.get(document.id, KIT) != KIT:
                raise InputError(f"the document {document.id!r} belongs to the source {owners[document.id]!r}: choose another id")
        catalog.unstage(KIT, list(catalog.staged(KIT)))
        with Work(catalog, KIT, pipeline, keys, tell) as work:
            for document in documents:
                version = NewDocument(
                    document.id, work.key(document), digest("added"), "", document.uri, document.media_type, document.metadata,
                    {}, document.access,
                )  # fmt: skip
                work.take(document, version)
        if work.embedded:
            catalog.update_identity(backend=backend_used(pipeline.embedder))
        done = catalog.commit(run, KIT, note=note or "add")
    return _report(found, done, work, len(documents) - len(done.added) - len(done.changed), started)


def remove(catalog: Catalog, ids: Sequence[str], *, wait: float = 30.0, note: str = "") -> Committed:
    """Retires documents of any source, in one new generation.

    A document that its source still has comes back with the next sync.

    Raises:
        InputError: naming ids that the index does not hold; nothing was changed.
    """
    with catalog.writing("remove", wait=wait) as run:
        living = catalog.owners()
        unknown = [i for i in dict.fromkeys(ids) if i not in living]
        if unknown:
            more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
            raise InputError(f"no document {', '.join(repr(i) for i in unknown[:3])}{more} in the index {catalog.folder}")
        catalog.unstage(KIT, list(catalog.staged(KIT)))
        return catalog.commit(run, KIT, list(ids), note=note or "remove")


def _report(found: Plan, done: Committed, work: Work, unchanged: int, started: float) -> SyncReport:
    return SyncReport(
        source=found.source,
        added=len(done.added),
        changed=len(done.changed),
        unchanged=unchanged,
        removed=len(done.removed),
        moved=len(done.moved),
        failed=len(found.failures),
        seconds=time.monotonic() - started,
        generation=done.generation,
        embedded=work.embedded,
        reused=work.reused,
        complete=found.complete,
        added_ids=done.added,
        changed_ids=done.changed,
        removed_ids=done.removed,
        moves=done.moved,
        failures=tuple(found.failures),
    )


@dataclass
class _Reader:
    """Reads what a plan names and hands it to the work."""

    catalog: Catalog
    connector: Connector
    pipeline: Pipeline
    keys: Keys
    work: Work
    plan: Plan
    progress: Progress
    parsing: deque[tuple[DocumentRef, bytes, tuple[int, int] | None]] = field(default_factory=deque)
    done: int = 0

    def rewrite(self, refs: Refs) -> None:
        """Gives documents their new metadata, address and rights; their content stays."""
        for part in refs.parts():
            stored = self.catalog.stored_versions(ref.id for ref in part)
            for ref in part:
                content, own, media_type = stored[ref.id]
                self._known(ref, content, own, media_type, None)

    def read(self, refs: Refs) -> None:
        """Fetches and parses; what the bytes are known to hold is not parsed again."""
        total = len(refs)
        for blob, outcome in self.pipeline.parse(self._unparsed(refs)):
            ref, key, state = self.parsing.popleft()
            if isinstance(outcome, ParseError):
                self._failed(ref, outcome)
            else:
                # a file that changed while it was parsed: these bytes are not those that the key names
                same = state == state_of(blob.path)
                self._take(ref, outcome, key if same else None)
            self._count(total)

    def _count(self, total: int) -> None:
        self.done += 1
        self.progress("read", self.done, total)

    def _unparsed(self, refs: Refs) -> Iterator[Blob]:
        """The blobs that must be parsed; whatever else was fetched is dealt with on the way."""
        for ref, fetched in self._fetched(refs):
            if isinstance(fetched, Document):
                self._take(ref, fetched, None)
            elif isinstance(fetched, OSError):
                self._failed(ref, fetched)
            else:
                state = state_of(fetched.path)
                try:
                    key = self.keys.parse(fetched, hashed(fetched))
                except OSError as error:
                    self._failed(ref, error)
                    self._count(len(refs))
                    continue
                known = self.catalog.known_parse(key)
                if known is None:
                    self.parsing.append((ref, key, state))
                    self.work.expect()
                    yield fetched
                    continue
                self._known(ref, *known, key)
            self._count(len(refs))

    def _fetched(self, refs: Iterable[DocumentRef]) -> Iterator[tuple[DocumentRef, Blob | Document | OSError]]:
        with ThreadPoolExecutor(_FETCHERS, thread_name_prefix="contextkit-fetch") as threads:
            waiting: deque[tuple[DocumentRef, Future[Blob | Document]]] = deque()
            source = iter(refs)
            held = 0
            try:
                while True:
                    while (
                        len(waiting) < _FETCH_AHEAD
                        and (held < _BYTES_AHEAD or not waiting)
                        and (ref := next(source, None)) is not None
                    ):
                        held += _size(ref)
                        waiting.append((ref, threads.submit(self.connector.fetch, ref)))
                    if not waiting:
                        return
                    ref, future = waiting.popleft()
                    held -= _size(ref)
                    try:
                        fetched = future.result()
                    except OSError as error:
                        yield ref, error
                    else:
                        yield ref, fetched
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _known(self, ref: DocumentRef, content: bytes, own: Mapping[str, JSON], media_type: str, parse_key: bytes | None) -> None:
        observed = b"".join(self.keys.observed(ref))
        metadata = {**own, **ref.metadata}
        try:
            self.work.known(
                NewDocument(ref.id, content, observed, ref.version, ref.uri, media_type, metadata, own, ref.access, parse_key)
            )
        except InputError as error:
            self._failed(ref, error)

    def _take(self, ref: DocumentRef, document: Document, parse_key: bytes | None) -> None:
        content, rest = self.keys.observed(ref)
        access = ref.access if document.access is None else document.access
        if document.access is not None and document.access != ref.access:
            content = own_access(content)
        # what the source states goes before what the content says of itself: a text must not choose its own tenant
        metadata = {**document.metadata, **ref.metadata}
        try:
            version = NewDocument(
                ref.id, self.work.key(document), content + rest, ref.version, ref.uri or document.uri, document.media_type,
                metadata, document.metadata, access, parse_key,
            )  # fmt: skip
            self.work.take(document, version)
        except InputError as error:
            self._failed(ref, error)

    def _failed(self, ref: DocumentRef, error: ContextkitError | OSError) -> None:
        self.plan.failures.append(
            Failure(id=ref.id, uri=ref.uri or ref.id, reason=" ".join(str(error).split()) or type(error).__name__)
        )


def _size(ref: DocumentRef) -> int:
    return ref.size if ref.size >= 0 else _UNKNOWN_SIZE
