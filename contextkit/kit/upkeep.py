"""The verbs that look after an index: generations, gc, doctor, another embedder, export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.embedding import load_embedder
from contextkit.kit.wiring import Wiring
from contextkit.protocols import Embedder
from contextkit.retrieval.terms import TERMS_VERSION, terms
from contextkit.sync import Progress, SyncReport

if TYPE_CHECKING:
    from contextkit.catalog import Collected, Committed, Difference, Generation, Health
    from contextkit.exchange import Exported


class Upkeep(Wiring):
    """Generations, gc, doctor, another embedder, export."""

    def generations(self) -> list[Generation]:
        """All kept generations, oldest first; the last one is what calls see."""
        self._open_for_work(check=False)
        return self.catalog.generations()

    def diff(self, a: int, b: int) -> Difference:
        """What changed from generation a to b, as document ids. Raises InputError where one is not kept."""
        self._open_for_work(check=False)
        return self.catalog.difference(a, b)

    def rollback(self, generation: int) -> Committed:
        """Makes a new generation that shows what an earlier one showed. Raises InputError where that is not kept."""
        self._open_for_work(check=False)
        return self.catalog.rollback(generation, wait=self._wait)

    def pin(self, generation: int, name: str | None) -> None:
        """Keeps a generation from gc under a name; None lets it go again. Raises InputError where it is not kept."""
        self._open_for_work(check=False)
        self.catalog.pin(generation, name, wait=self._wait)

    def reembed(self, embedder: str | Path | Embedder, *, progress: Progress | None = None) -> SyncReport:
        """Gives all documents vectors of another embedder in one new generation, which the kit uses from then on.

        Until that is made everyone goes on with the old one; a rollback brings it back.

        Raises:
            EmbedderError: the embedder does not load.
        """
        from contextkit.sync import reembed

        self._open_for_work(check=False)
        before, self.embedder = self.embedder, load_embedder(embedder)
        chunker, self._chunker = self._chunker, None
        try:
            report = reembed(self.catalog, self._pipeline(), progress=progress, wait=self._wait)
        except BaseException:
            self.embedder, self._chunker = before, chunker
            raise
        self._fold()
        return report

    def gc(self, keep: int = 5) -> Collected:
        """Drops all generations but the last `keep` (at least 1) and the pinned ones, and gives their space back."""
        self._open_for_work(check=False)
        done = self.catalog.gc(keep, wait=self._wait)
        if done.chunks:
            vectors = self._made_vectors()
            vectors.drop()
            vectors.save(force=True)
        return replace(done, bytes_after=self.catalog.size())

    def doctor(self, repair: bool = False) -> Health:  # noqa: FBT001 - reads as a question that is asked alone
        """Looks at every promise of the index, mends what can be made again, and reports; read only, it only looks.

        Args:
            repair: also take damaged documents out, after a copy of the catalogue was made; the next sync brings them back.
        """
        self._open_for_work(check=False)
        return self.catalog.examine(terms, self._made_vectors(), terms_version=TERMS_VERSION, repair=repair, wait=self._wait)

    def export(self, folder: str | Path) -> Exported:
        """Writes what the index holds, rights included, as Parquet files; `contextkit.exchange.import_index` reads them.

        Args:
            folder: is made; it may exist if it is empty.

        Raises:
            InputError: the folder holds something.
            MissingExtra: pyarrow is needed.
        """
        from contextkit.exchange import export_index

        self._open_for_work(check=False)
        return export_index(self.catalog, folder)
