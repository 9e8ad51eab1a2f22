"""The catalogue of an index: one folder, one SQLite file that is the truth. `Catalog` opens it and is all that other parts use.

How rows are read and written is in the modules beside; vectors in memory are in `contextkit.catalog.vectors`.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from contextkit.catalog import commit, database, doctor, lock, manifest, mending, staging
from contextkit.catalog.reader import NAME, CatalogReader
from contextkit.catalog.records import Collected, Committed, Identity
from contextkit.errors import IndexDamaged, IndexNotFound, InputError
from contextkit.types import JSON, EmbedderInfo

if TYPE_CHECKING:
    from contextkit.catalog.vectors import Vectors


class Catalog(CatalogReader):
    """An open index folder. Made by `Catalog.create` or `Catalog.open`.

    Reading is safe from any thread, and beside a writer in this or any other process. Writing needs `writing()`.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        super().__init__(folder, read_only=read_only)
        self._lock = FileLock(folder / lock.NAME)

    # ---------------------------------------------------------------------------------------------------------------------- open

    @classmethod
    def create(
        cls, folder: str | Path, embedder: EmbedderInfo, *, chunker: str = "", parser: str = "", terms: str = ""
    ) -> Catalog:
        """A new, empty index in `folder`, which is made where it does not exist.

        Raises:
            InputError: the folder holds other files, or is a file.
        """
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: an index is a folder; name another place")
        if exists(folder):
            raise InputError(f"{folder} is an index already: open it, or name another folder")
        strangers = sorted(p.name for p in folder.iterdir() if not _ours(p.name)) if folder.exists() else []
        if strangers:
            raise InputError(
                f"{folder} holds other files ({', '.join(strangers[:3])}{', ...' if len(strangers) > 3 else ''}): "
                "an index needs a folder of its own; name a new or an empty one"
            )
        with database.translated(folder / NAME):
            folder.mkdir(parents=True, exist_ok=True)
            identity = Identity(uuid.uuid4().hex, commit.now(), embedder, chunker, parser, terms)
            with lock.held(FileLock(folder / lock.NAME), 30.0, ""):
                if not exists(folder):  # another process may have been first
                    database.make(folder / NAME, identity)
                    manifest.sync_folder(folder)
        return cls(folder)

    @classmethod
    def open(cls, folder: str | Path, *, read_only: bool = False) -> Catalog:
        """The index in `folder`.

        Raises:
            IndexNotFound: there is none.
            IndexDamaged: it cannot be read.
            IndexMismatch: it was written by a newer contextkit.
        """
        folder = Path(folder)
        if not folder.is_dir():
            what = "it is a file" if folder.exists() else "the folder does not exist"
            raise IndexNotFound(f"no index in {folder}: {what}")
        if not exists(folder):
            if (folder / manifest.NAME).exists():
                raise IndexDamaged(
                    f"the index {folder} has lost its {NAME}: restore a copy of the folder, or remove it and build again"
                )
            raise IndexNotFound(f"no index in {folder}: there is no {NAME}; build one with `contextkit index build`")
        return cls(folder, read_only=read_only)

    # --------------------------------------------------------------------------------------------------------------- generations

    def rollback(self, generation: int, *, note: str = "", wait: float = 30.0) -> Committed:
        """Makes a new generation that shows what `generation` showed. Raises InputError where it is not kept."""
        with self.writing("rollback", wait=wait) as run, self._db.transaction() as c:
            done = commit.rollback(c, run, generation, note=note or f"rollback to {generation}")
        self._renewed()
        return done

    def reembed(
        self, run: int, embedder: EmbedderInfo, chunker: str, contents: Mapping[int, bytes], *, note: str = "re-embed"
    ) -> Committed:
        """Makes a generation of all living documents with contents of another embedder, which were staged before.

        Args:
            run: the run that commits.
            embedder: the new embedder.
            chunker: configuration of the chunker that cut the new contents.
            contents: for each living content (by id) the key of the one that takes its place.
            note: why the generation is made.
        """
        with self._db.transaction() as c:
            done = commit.reembed(c, run, staging.embedder_id(c, embedder), chunker, contents, note=note)
        self._renewed()
        return done

    def _renewed(self) -> None:
        self.refresh()
        manifest.write(self.folder, self.identity)

    def pin(self, generation: int, name: str | None, *, wait: float = 30.0) -> None:
        """Keeps a generation from gc under a name, or lets it go again (None)."""
        with self.writing("pin", wait=wait), self._db.transaction() as c:
            commit.pin(c, generation, name)

    def gc(self, keep: int = 5, *, wait: float = 30.0) -> Collected:
        """Drops all generations but the last `keep` and the pinned ones, and gives the space back."""
        with self.writing("gc", wait=wait) as run:
            self._db.checkpoint()
            before = self.size()
            with self._db.transaction() as c:
                gone = commit.collect(c, run, keep)
                if gone["chunks"]:  # before the end of the transaction: a file of chunks that are gone is never left
                    for path in self.folder.glob("vectors*"):
                        path.unlink()
            self._db.vacuum()
        return Collected(
            gone["generations"], gone["documents"], gone["contents"], gone["chunks"], gone["vectors"], before, self.size()
        )

    def examine(
        self,
        terms: staging.Terms,
        vectors: Vectors | None = None,
        *,
        terms_version: str = "",
        repair: bool = False,
        wait: float = 30.0,
    ) -> doctor.Health:
        """Looks at every promise of the index and mends what can be made again; an index opened for reading is only looked at.

        Args:
            terms: the lexical tokenisation.
            vectors: the vector index; None leaves it out.
            terms_version: of the tokenisation; a full text of another one is made again. "" is any.
            repair: take what is damaged in the truth out, after a copy of the catalogue was made.
            wait: seconds to wait for another writer.

        Raises:
            IndexLocked: another writer did not finish in time.
        """
        return doctor.examine(self, self._db, self._codecs, (terms, terms_version), vectors, repair=repair, wait=wait)

    # --------------------------------------------------------------------------------------------------------------------- write

    @contextmanager
    def writing(self, verb: str, source: str | None = None, *, wait: float = 30.0) -> Iterator[int]:
        """Holds the writer's lock during the block and notes the run, whose id it gives.

        Raises:
            IndexLocked: another writer did not finish within `wait` seconds.
            ReadOnlyIndex: the index was opened for reading.
        """
        with lock.held(self._lock, 0 if self.read_only else wait, self._owner()):
            with self._db.transaction() as c:
                run = lock.begin(c, None if source is None else self._source(c, source), verb)
            outcome = "failed"
            try:
                yield run
                outcome = "done"
            except KeyboardInterrupt:
                outcome = "interrupted"
                raise
            finally:
                with self._db.transaction() as c:
                    lock.end(c, run, outcome)

    def _owner(self) -> str:
        with self._db.reading() as c:
            return lock.owner(c)

    def _source(self, connection: sqlite3.Connection, name: str) -> int:
        connection.execute("INSERT INTO sources (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
        return int(connection.execute("SELECT id FROM sources WHERE name = ?", (name,)).fetchone()[0])

    def stage(
        self,
        source: str,
        contents: Sequence[staging.NewContent],
        vectors: Sequence[staging.NewVectors],
        documents: Sequence[staging.NewDocument],
        terms: staging.Terms,
        *,
        embedder: EmbedderInfo | None = None,
    ) -> None:
        """Stores contents, vectors and versions to come in one transaction; nothing shows before `commit`.

        The vectors are of `embedder`, or of the index's own.
        """
        with self._db.transaction() as c:
            row = None if embedder is None else staging.embedder_id(c, embedder)
            staging.contents(c, contents, vectors, terms, self._codecs, row)
            if documents:
                staging.documents(c, self._source(c, source), documents)

    def commit(
        self, run: int, source: str, retire: Sequence[str] = (), *, note: str = "", cursor: str | None = None
    ) -> Committed:
        """Makes a generation of what is staged for a source, without the documents in `retire`."""
        with self._db.transaction() as c:
            return commit.commit(c, run, (self._source(c, source), source), retire, note=note, cursor=cursor)

    def unstage(self, source: str, ids: Iterable[str]) -> None:
        """Forgets staged versions; their contents stay until gc."""
        with self._db.transaction() as c:
            row = self._source(c, source)
            c.executemany("DELETE FROM staged WHERE source_id = ? AND document_id = ?", ((row, i) for i in ids))

    def renew_terms(self, terms: staging.Terms, version: str, tell: Callable[[int, int], None] | None = None) -> bool:
        """Makes the lexical index again where it was made with terms of another version; returns whether it was. In `writing()`.

        All in one transaction: readers, and what is left when the process dies, have the old lists and their version, or the
        new ones.

        Args:
            terms: the lexical tokenisation.
            version: of the terms; "" is any, and changes nothing.
            tell: is told how many chunks are done, and of how many.
        """
        with self._db.reading() as c:
            if not mending.outdated(c, version):
                return False
        with self._db.transaction() as c:
            mending.full_text(c, terms, version, tell)
        self._renewed()
        return True

    def update_identity(
        self,
        *,
        chunker: str | None = None,
        parser: str | None = None,
        backend: Mapping[str, JSON] | None = None,
    ) -> None:
        """Notes the configuration of the run at hand; None leaves what is noted."""
        given = {"chunker": chunker, "parser": parser, "backend": backend}
        changed = replace(self.identity, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # as above
        if asdict(changed) != asdict(self.identity):
            with self._db.transaction() as c:
                manifest.store(c, changed)
            self.identity = changed
            manifest.write(self.folder, changed)


def exists(folder: str | Path) -> bool:
    """Whether there is an index in that folder."""
    return (Path(folder) / NAME).is_file()


def _ours(name: str) -> bool:
    return name == lock.NAME or name.startswith((f"{NAME}.new", f".{manifest.NAME}."))
