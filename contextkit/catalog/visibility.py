"""Which document versions and chunks a call may see: its generation, its filter and its principal, resolved to ids in SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from contextkit.catalog.filters import Filter

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Visible:
    """What one call may see.

    Attributes:
        generation: the generation that it reads.
        allowed: bool by chunk id; ids beyond its end are not allowed. Shared: do not write to it.
        whole: True where every chunk of the index is allowed, so that searching needs no mask.
        n_documents: permitted documents.
        n_chunks: permitted chunks.
        contents: int64 (n_documents,), sorted: the content of each permitted document version.
        rows: int64 (n_documents,): the rows of those versions, in the same order.
        embedder: row of the embedder whose vectors the generation has.
    """

    generation: int
    allowed: NDArray[np.bool_] = field(repr=False, compare=False)
    whole: bool
    n_documents: int
    n_chunks: int
    contents: NDArray[np.int64] = field(repr=False, compare=False)
    rows: NDArray[np.int64] = field(repr=False, compare=False)
    embedder: int = 1

    def rows_of(self, content_ids: Sequence[int]) -> NDArray[np.int64]:
        """int64: the permitted document versions of those contents."""
        wanted = np.asarray(content_ids, dtype=np.int64)
        first = np.searchsorted(self.contents, wanted, side="left")
        last = np.searchsorted(self.contents, wanted, side="right")
        counts = last - first
        return self.rows[np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))]


def alive(generation: int, *, current: bool) -> tuple[str, tuple[int, ...]]:
    """The condition on documents d to be visible at a generation, and what to bind."""
    if current:
        return "d.died IS NULL", ()
    return "d.born <= ? AND (d.died IS NULL OR d.died > ?)", (generation, generation)


def permitted(names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The condition on documents d to be open to one of `names` (none: to everyone), and what to bind."""
    if not names:
        return "d.access_id IS NULL", ()
    marks = ", ".join("?" * len(names))
    lists = f"SELECT a.id FROM access_lists a WHERE EXISTS (SELECT 1 FROM json_each(a.names) n WHERE n.value IN ({marks}))"
    return f"(d.access_id IS NULL OR d.access_id IN ({lists}))", tuple(names)


def resolve(connection: sqlite3.Connection, generation: int, current: int, where: Filter, names: Sequence[str]) -> Visible:
    """The visible part of the index, read in the caller's transaction."""
    life, life_values = alive(generation, current=generation == current)
    rights, names_values = permitted(names)
    rows = connection.execute(
        "SELECT d.id, d.content_id, c.first_chunk, c.n_chunks FROM documents d JOIN contents c ON c.id = d.content_id "
        f"JOIN sources s ON s.id = d.source_id WHERE {life} AND {rights} AND {where.sql} ORDER BY d.content_id, d.document_id",
        (*life_values, *names_values, *where.values),
    ).fetchall()
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    size = int(connection.execute("SELECT value FROM state WHERE key = 'next_chunk'").fetchone()[0])
    living = int(connection.execute("SELECT value FROM state WHERE key = 'chunks'").fetchone()[0])
    marks = np.zeros(size + 1, dtype=np.int32)
    _, once = np.unique(table[:, 1], return_index=True)  # twins share their chunks
    first, count = table[once, 2], table[once, 3]
    np.add.at(marks, first, 1)
    np.add.at(marks, first + count, -1)
    allowed = np.cumsum(marks[:-1]) > 0
    n_chunks = int(count.sum())
    own = connection.execute("SELECT embedder_id FROM generations WHERE id = ?", (generation,)).fetchone()
    embedder = int(own[0]) if own else int(connection.execute("SELECT value FROM state WHERE key = 'embedder'").fetchone()[0])
    contents, versions = table[:, 1].copy(), table[:, 0].copy()
    return Visible(generation, allowed, n_chunks == living, len(table), n_chunks, contents, versions, embedder)
