"""Reading an open index: `CatalogReader` holds the connections and answers; the SQL is in `contextkit.catalog.reading`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.catalog import commit, database, manifest, postings, reading, staging
from contextkit.catalog.codec import codec
from contextkit.catalog.filters import compiled
from contextkit.catalog.kept import KeptLists
from contextkit.catalog.records import Counts, Difference, Generation, StoredChunk, StoredDocument
from contextkit.catalog.visibility import Visible, resolve
from contextkit.errors import IndexMismatch, InputError
from contextkit.types import JSON, Document, EmbedderInfo, Principal

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

NAME = "catalog.sqlite"
_KEPT_VISIBLE = 16


class CatalogReader:
    """What can be read of an open index folder, from any thread, beside a writer in this or any other process.

    Attributes:
        folder: the index's folder.
        identity: what the index is; its embedder may change while the index is open (`refresh`).
        embedder_id: the row of its embedder.
        read_only: whether it was opened for reading.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self.read_only = read_only
        self._db = database.Database(folder / NAME, read_only=read_only)
        try:
            with self._db.reading() as c:
                self.identity = manifest.load(c, str(folder))
                self.embedder_id = reading.embedder(c)
            self._codecs = codec(self.identity.passages), codec(self.identity.sentences)
            if not read_only:
                manifest.write(folder, self.identity)
        except BaseException:
            self._db.close()
            raise
        self._lengths: postings.Lengths | None = None
        self._kept = KeptLists()
        self._average: tuple[postings.Lengths, NDArray[np.bool_], postings.Average] | None = None
        self._visible: OrderedDict[tuple[object, ...], Visible] = OrderedDict()
        self._visible_lock = threading.Lock()

    def refresh(self) -> None:
        """Takes in what the index is now: another process may have given it another embedder."""
        with self._db.reading() as c:
            self.identity = manifest.load(c, str(self.folder))
            self.embedder_id = reading.embedder(c)

    def require(self, embedder: EmbedderInfo) -> None:
        """Checks that the index's vectors are comparable with an embedder's. Raises IndexMismatch where they are not."""
        self.refresh()
        own = self.identity.embedder
        names = ("digest", "dimension", "query_prefix", "passage_prefix", "sentences")
        different = [n for n in names if getattr(own, n) != getattr(embedder, n)]
        if different:
            what = ", ".join(f"{n} {_short(getattr(own, n))} against {_short(getattr(embedder, n))}" for n in different)
            raise IndexMismatch(
                f"the index {self.folder} was made with the embedder {own.name!r}, not {embedder.name!r} ({what}): "
                f"open it with its own embedder, or run `contextkit index reembed --embedder {embedder.name}`, which makes a new "
                "generation while this one keeps serving"
            )

    def close(self) -> None:
        """Closes all connections; a second call does nothing."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------------------- visible

    def generation(self) -> int:
        """The current generation; 0 before the first commit. Commits of other processes are seen at once."""
        with self._db.reading() as c:
            return reading.current(c)

    def visible(
        self, where: Mapping[str, object] | None = None, principal: Principal | None = None, generation: int | None = None
    ) -> Visible:
        """What a call may see: of one generation (the current one by default), by a filter, on behalf of a principal.

        Without a principal only documents that everyone may see. Recent answers are kept.

        Raises:
            FilterError: the filter is not understood.
            InputError: the generation is not kept.
        """
        condition = compiled(where)
        names = tuple(sorted(principal.names())) if principal is not None else ()
        with self._db.reading() as c:
            now = reading.current(c)
            if generation is not None:
                commit.kept(c, generation)
            wanted = now if generation is None else generation
            size = int(c.execute("SELECT value FROM state WHERE key = 'chunks'").fetchone()[0])
            key = (wanted, wanted == now, size, condition.sql, _typed(condition.values), names)
            with self._visible_lock:
                known = self._visible.get(key)
                if known is not None:
                    self._visible.move_to_end(key)
                    return known
            found = resolve(c, wanted, now, condition, names)
        with self._visible_lock:
            self._visible[key] = found
            while len(self._visible) > _KEPT_VISIBLE:
                self._visible.popitem(last=False)
        return found

    # -------------------------------------------------------------------------------------------------------------------- search

    def lexical(
        self, terms: Sequence[str], k: int, allowed: NDArray[np.bool_], *, header_weight: float = 1.0
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k best chunks by BM25 over header and text: int64 ids, float32 scores above 0, best first, ties by lower id.

        Args:
            terms: of the question, by the same function as the index's; repetitions count once.
            k: how many; fewer come back only where fewer permitted chunks have any of the terms.
            allowed: bool by chunk id (`Visible.allowed`).
            header_weight: what one occurrence in the header counts beside one in the text.
        """
        with self._db.reading() as c:
            self._lengths = known = postings.lengths(c, self._lengths)
            average = self._average_of(known, allowed)
            return postings.search(c, terms, k, allowed, known, header_weight, self._lists(known.epoch), average)

    def _average_of(self, known: postings.Lengths, allowed: NDArray[np.bool_]) -> postings.Average:
        """The last one is kept: most calls see the same documents as the one before."""
        kept = self._average
        if kept is None or kept[0] is not known or kept[1] is not allowed:
            kept = self._average = (known, allowed, postings.Average.of(known, allowed))
        return kept[2]

    def holding(self, terms: Sequence[str], chunks: Sequence[int]) -> NDArray[np.bool_]:
        """Which chunks have which terms, in header or text: bool (chunks, terms)."""
        with self._db.reading() as c:
            return postings.holding(c, terms, chunks, self._lists(postings.epoch(c)))

    def document_frequencies(self, terms: Sequence[str], allowed: NDArray[np.bool_]) -> dict[str, int]:
        """In how many of the allowed chunks each term is; 0 for unknown ones."""
        with self._db.reading() as c:
            return postings.document_frequencies(c, terms, allowed, self._lists(postings.epoch(c)))

    def _lists(self, epoch: int) -> postings.Lists:
        return lambda connection, term: self._kept.fetch(connection, epoch, term)

    # ---------------------------------------------------------------------------------------------------------------------- read

    def chunks(self, ids: Sequence[int]) -> list[StoredChunk]:
        """The chunks in the order of `ids`."""
        with self._db.reading() as c:
            return reading.chunks(c, [int(i) for i in ids])

    def neighbours(self, chunk: StoredChunk, before: int = 1, after: int = 1) -> list[StoredChunk]:
        """The chunk with those around it in its content, in order; fewer at the content's ends."""
        with self._db.reading() as c:
            return reading.chunks_between(c, chunk.content_id, chunk.ordinal - before, chunk.ordinal + after)

    def chunks_of(self, content_id: int) -> list[StoredChunk]:
        """All chunks of a content, in order."""
        with self._db.reading() as c:
            return reading.chunks_between(c, content_id, 0, 2**62)

    def passage_vectors(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 (n, dimension), unit length, in the order of `ids`."""
        with self._db.reading() as c:
            return reading.passages(c, [int(i) for i in ids], self._codecs[0], self.dimension)

    def passages_after(
        self, chunk_id: int, limit: int, embedder: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids (int64, ascending) and passage vectors (float32, (n, dimension)) of at most `limit` chunks above `chunk_id`, of the
        embedder of that row (None: the current one).
        """
        with self._db.reading() as c:
            row = self.embedder_id if embedder is None else embedder
            dimension = manifest.embedder(c, row).dimension
            return reading.passages_after(c, row, chunk_id, limit, self._codecs[0], dimension)

    def sentence_vectors(self, ids: Sequence[int]) -> list[NDArray[np.float32]]:
        """A float32 (sentences, dimension), unit length, a chunk in the order of `ids`; (0, dimension) where there are none."""
        with self._db.reading() as c:
            return reading.sentence_vectors(c, [int(i) for i in ids], self._codecs[1], self.dimension)

    def passage_cosines(self, ids: Sequence[int], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines (float32) of a unit vector with the chunks' passages, in the order of `ids`."""
        with self._db.reading() as c:
            return reading.passage_cosines(c, [int(i) for i in ids], query, self._codecs[0], len(query))

    def sentence_cosines(self, ids: Sequence[int], query: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Cosines (float32) of a unit vector with all sentences of the chunks, in the order of `ids`, and (int64) how many each
        chunk has vectors of: 0 where the embedder gave none.
        """
        with self._db.reading() as c:
            return reading.sentence_cosines(c, [int(i) for i in ids], query, self._codecs[1], len(query))

    def documents_of(self, content_ids: Iterable[int], visible: Visible) -> dict[int, list[StoredDocument]]:
        """The permitted documents of each content, ordered by id; twins share a content. Contents without one are left out."""
        out: dict[int, list[StoredDocument]] = {}
        with self._db.reading() as c:
            for document in reading.documents_by_row(c, visible.rows_of(list(dict.fromkeys(content_ids))).tolist()):
                out.setdefault(document.content_id, []).append(document)
        return out

    def documents(self, visible: Visible | None = None) -> list[StoredDocument]:
        """All permitted documents (by default all that everyone may see), ordered by id."""
        rows = (self.visible() if visible is None else visible).rows.tolist()
        with self._db.reading() as c:
            return reading.documents_by_row(c, rows)

    def document(self, document_id: str, visible: Visible | None = None) -> StoredDocument | None:
        """The document's version of the current generation, or of `visible`; None where there is none (or none permitted)."""
        with self._db.reading() as c:
            now = reading.current(c)
            found = reading.document(c, document_id, now if visible is None else visible.generation, now)
        if found is None or visible is None or found.row in visible.rows_of([found.content_id]):
            return found
        return None

    def text(self, document_id: str, visible: Visible | None = None) -> str:
        """The document's whole text. Raises InputError where there is no such document."""
        found = self.document(document_id, visible)
        if found is None:
            raise InputError(f"no document {document_id!r} in the index {self.folder}")
        return self.content_text(found.content_id)

    def content_text(self, content_id: int) -> str:
        """The whole text of a content."""
        with self._db.reading() as c:
            return reading.content_text(c, content_id)

    def load(self, document: StoredDocument) -> Document:
        """The document with its text and structure, as it was stored."""
        with self._db.reading() as c:
            text = reading.content_text(c, document.content_id)
            data = c.execute("SELECT structure FROM contents WHERE id = ?", (document.content_id,)).fetchone()[0]
        blocks, pages = reading.unpack_structure(data)
        return Document(
            id=document.id,
            text=text,
            title=document.title,
            uri=document.uri,
            metadata=document.metadata,
            access=document.access,
            media_type=document.media_type,
            language=document.language,
            blocks=blocks,
            pages=pages,
        )

    def counts(self, visible: Visible | None = None) -> Counts:
        """How much is permitted (by default: to everyone), and the size of the index's files."""
        seen = self.visible() if visible is None else visible
        with self._db.reading() as c:
            contents = dict(c.execute("SELECT id, n_characters FROM contents").fetchall())
        characters = sum(contents.get(i, 0) for i in seen.contents.tolist())
        return Counts(seen.n_documents, seen.n_chunks, characters, self.size())

    def size(self) -> int:
        """Bytes of all files of the index."""
        return sum(p.stat().st_size for p in self.folder.iterdir() if p.is_file())

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.identity.embedder.dimension

    @property
    def note(self) -> str:
        """What is unusual about how the index was opened, or ""."""
        return self._db.note

    def last_chunk(self) -> int:
        """The highest chunk id given so far; 0 in an empty index."""
        with self._db.reading() as c:
            return int(c.execute("SELECT value FROM state WHERE key = 'next_chunk'").fetchone()[0]) - 1

    def chunk_ids(self, last: int, embedder: int | None = None) -> NDArray[np.int64]:
        """int64: the ids of all stored chunks up to `last`, rising, of the embedder of that row (None: the current one)."""
        with self._db.reading() as c:
            return reading.chunk_ids(c, self.embedder_id if embedder is None else embedder, last)

    def everything(self) -> list[StoredDocument]:
        """All living documents of the current generation, whoever may see them, ordered by id."""
        with self._db.reading() as c:
            rows = [row[0] for row in c.execute("SELECT id FROM documents WHERE died IS NULL")]
            return reading.documents_by_row(c, rows)

    def generations(self) -> list[Generation]:
        """All kept generations, oldest first."""
        with self._db.reading() as c:
            return reading.generations(c)

    def difference(self, a: int, b: int) -> Difference:
        """What changed from generation a to b. Raises InputError where one is not kept."""
        with self._db.reading() as c:
            commit.kept(c, a)
            commit.kept(c, b)
            return reading.difference(c, a, b)

    def journal(self, limit: int = 100) -> list[dict[str, object]]:
        """The last events, newest first."""
        with self._db.reading() as c:
            rows = c.execute(
                "SELECT id, time, run_id, source, event, document_id, detail FROM journal ORDER BY id DESC LIMIT ?", (limit,)
            )
            names = [d[0] for d in rows.description]
            return [dict(zip(names, row, strict=True)) for row in rows]

    # ---------------------------------------------------------------------------------------------------- what runs look up

    def sources(self) -> dict[str, int]:
        """The sources by name, with the number of their living documents."""
        with self._db.reading() as c:
            rows = c.execute(
                "SELECT s.name, count(d.id) FROM sources s LEFT JOIN documents d ON d.source_id = s.id AND d.died IS NULL "
                "GROUP BY s.id ORDER BY s.name"
            )
            return {str(name): int(n) for name, n in rows}

    def owners(self) -> dict[str, str]:
        """The source of every living document, by id."""
        with self._db.reading() as c:
            rows = c.execute(
                "SELECT d.document_id, s.name FROM documents d JOIN sources s ON s.id = d.source_id WHERE d.died IS NULL"
            )
            return dict(rows.fetchall())

    def living(self, source: str) -> dict[str, bytes]:
        """What was observed of every living document of a source, by id; rights do not matter here."""
        with self._db.reading() as c:
            rows = c.execute(
                "SELECT d.document_id, d.observed FROM documents d JOIN sources s ON s.id = d.source_id "
                "WHERE d.died IS NULL AND s.name = ?",
                (source,),
            )
            return dict(rows.fetchall())

    def staged(self, source: str) -> dict[str, bytes]:
        """What was observed of each document that is staged for a source, by id."""
        with self._db.reading() as c:
            rows = c.execute(
                "SELECT g.document_id, g.observed FROM staged g JOIN sources s ON s.id = g.source_id WHERE s.name = ?", (source,)
            )
            return dict(rows.fetchall())

    def stored_versions(self, ids: Iterable[str]) -> dict[str, tuple[bytes, dict[str, JSON], str]]:
        """Content key, own metadata and media type of living documents, by id."""
        with self._db.reading() as c:
            return staging.versions_known(c, ids)

    def known_parse(self, key: bytes) -> tuple[bytes, dict[str, JSON], str] | None:
        """Content key, own metadata and media type of bytes that were parsed already; None where they were not."""
        with self._db.reading() as c:
            return staging.parse_known(c, key)

    def known_contents(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """The ids of those contents that are stored, by key."""
        with self._db.reading() as c:
            return staging.contents_known(c, keys)

    def known_vectors(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """The ids of those vectors that are stored, by key."""
        with self._db.reading() as c:
            return staging.vectors_known(c, keys)


def _short(value: object) -> str:
    text = str(value)
    return repr(f"{text[:12]}..." if len(text) > 12 else value)


def _typed(values: Sequence[object]) -> tuple[tuple[str, object], ...]:
    """Values with their types: 1 and True are equal to Python, but not to a filter."""
    return tuple((type(v).__name__, v) for v in values)
