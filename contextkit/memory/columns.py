"""The store's rows as columns in memory, brought up to date from what changed since: what a recall filters and scores.

An array's index is the record's id. Texts stay in the file; vectors are read when first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from contextkit.catalog import postings
from contextkit.catalog.codec import PASSAGES, codec
from contextkit.memory.validity import Fact

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.protocols import Rows, VectorIndex

_INTEGERS = (
    "scope",
    "kind",
    "key",
    "valid_from",
    "valid_to",
    "recorded_at",
    "wrong_at",
    "last_used",
    "thread",
    "place",
    "source",
    "uses",
)
_QUERY = """SELECT id, seq, scope_id, kind, key_id, valid_from, valid_to, recorded_at, CASE WHEN void = 1 THEN superseded_at END,
    last_used, thread_id, place, source_id, uses, status, trust, importance, hash, length(text),
    substr(text, length(text) - 1), vector FROM records WHERE seq > ? ORDER BY seq"""
_NEVER = 2**62
_KEPT = 5_000_000  # postings, of 9 bytes each


class Columns:
    """All records by id. Not safe for two threads at once: the store holds a lock.

    Attributes:
        size: one more than the largest id.
        data: int64 arrays by name (times in microseconds, missing ids 0, missing moments 2**62).
        status: int8; -1 where no record has that id.
        trust, importance: float32.
        length: int32, characters of the text.
        asks: bool, whether the text ends with a question.
        before, after: int64, id of the turn before and after in the same thread, 0 where there is none.
        vectors: float32 (capacity, dimension), unit length.
        lengths: what BM25 needs of all records.
        keyed: ids by key.
        says: content hash by id, of records with a key.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._codec = codec(PASSAGES)
        self._erasures = -1
        self._clear()

    def _clear(self) -> None:
        self.size = 1
        self._seq = -1
        self.data: dict[str, NDArray[np.int64]] = {name: np.zeros(64, np.int64) for name in (*_INTEGERS, "before", "after")}
        self.status = np.full(64, -1, np.int8)
        self.trust = np.ones(64, np.float32)
        self.importance = np.zeros(64, np.float32)
        self.length = np.zeros(64, np.int32)
        self.asks = np.zeros(64, np.bool_)
        self.vectors = np.zeros((64, self._dimension), np.float32)
        self.lengths: postings.Lengths | None = None
        self.keyed: dict[int, list[int]] = {}
        self.says: dict[int, bytes] = {}
        self._places: dict[tuple[int, int], int] = {}
        self._index: VectorIndex | None = None
        self._indexed = 0
        self._lists: dict[str, tuple[NDArray[np.int64], NDArray[np.uint8]]] = {}
        self._held = 0

    def refresh(self, rows: Rows) -> None:
        """Reads what changed. What was erased leaves no trace here either: then everything is read again."""
        state = dict(rows.execute("SELECT key, value FROM state WHERE key IN ('erasures', 'next_id', 'seq')").fetchall())
        if state["erasures"] != self._erasures:
            self._clear()
            self._erasures = int(state["erasures"])
        before = self.lengths
        self.lengths = postings.lengths(rows, before)  # type: ignore[arg-type]  # the same few methods
        if self.lengths is not before:
            self._lists, self._held = {}, 0
        if state["seq"] == self._seq:
            return
        self._grow(int(state["next_id"]))
        found = rows.execute(_QUERY, (self._seq,))
        while part := found.fetchmany(4096):
            self._take(part)
        self._seq = int(state["seq"])

    def _grow(self, size: int) -> None:
        capacity = len(self.status)
        if size > capacity:
            more = max(size, capacity * 3 // 2) - capacity
            self.data = {name: np.concatenate([a, np.zeros(more, np.int64)]) for name, a in self.data.items()}
            self.status = np.concatenate([self.status, np.full(more, -1, np.int8)])
            for name in ("trust", "importance", "length", "asks"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros(more, old.dtype)]))
            self.vectors = np.concatenate([self.vectors, np.zeros((more, self._dimension), np.float32)])
        self.size = max(self.size, size)

    def _take(self, part: Sequence[Sequence[Any]]) -> None:
        columns = list(zip(*part, strict=True))
        ids = np.array(columns[0], np.int64)
        for name, values in zip(_INTEGERS, (*columns[2:13], columns[13]), strict=True):
            missing = _NEVER if name == "wrong_at" else 0
            self.data[name][ids] = [missing if v is None else v for v in values]
        self.status[ids] = columns[14]
        self.trust[ids] = columns[15]
        self.importance[ids] = columns[16]
        self.length[ids] = columns[18]
        self.asks[ids] = ["?" in end for end in columns[19]]
        with_vector = [i for i, v in enumerate(columns[20]) if v is not None]
        if with_vector:
            data = b"".join(columns[20][i] for i in with_vector)
            self.vectors[ids[with_vector]] = self._codec.decode(data, self._dimension)
        for number, key, says in zip(columns[0], columns[4], columns[17], strict=True):
            if key is not None and number not in self.says:
                self.keyed.setdefault(key, []).append(number)
                self.says[number] = says
        self._link(columns[0], columns[10], columns[11])

    def _link(self, ids: Sequence[int], threads: Sequence[int | None], places: Sequence[int]) -> None:
        """Notes which turns stand side by side."""
        before, after = self.data["before"], self.data["after"]
        for number, thread, place in zip(ids, threads, places, strict=True):
            if thread is None:
                continue
            self._places[thread, place] = number
            left, right = self._places.get((thread, place - 1), 0), self._places.get((thread, place + 1), 0)
            before[number], after[number] = left, right
            if left:
                after[left] = number
            if right:
                before[right] = number

    def having(self, rows: Rows, term: str) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The records that have a term, int64, and their count bytes; kept until something is written, if there is room."""
        found = self._lists.get(term)
        if found is None:
            found = postings.fetch(rows, term)  # type: ignore[arg-type]  # the same few methods
            if self._held + len(found[0]) <= _KEPT:
                self._lists[term] = found
                self._held += len(found[0])
        return found

    def nearest(self, query: NDArray[np.float32], k: int, seen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Ids of about the k nearest of the records seen, in no order.

        For many records, of whom only few need exact scores: the index scans one byte a coordinate, a quarter of what the vectors
        have, and is right but among near equals.

        Args:
            query: float32 (dimension,).
            k: how many.
            seen: bool (size,).
        """
        if self._index is None:
            from contextkit import plugins

            self._index = plugins.load("contextkit.indexes", "faiss")(self._dimension)
            self._indexed = 0
        fresh = np.flatnonzero(self.status[self._indexed : self.size] >= 0) + self._indexed
        for start in range(0, len(fresh), 4096):  # parts that stay in the processor's cache
            part = fresh[start : start + 4096]
            self._index.add(part, self.vectors[part])
        self._indexed = self.size
        share = np.count_nonzero(seen) / max(1, len(self._index))
        if share > 0.5:  # a scan without a selector is faster: take more, and leave out what is not seen
            found = self._index.search(query[None], int(k / share) + 1)[0][0]
            return np.asarray(found[(found >= 0) & seen[found]])
        found = self._index.search(query[None], k, seen)[0][0]
        return np.asarray(found[found >= 0])

    def facts(self, ids: Sequence[int]) -> list[Fact]:
        """What decides between records of one key."""
        d = self.data
        return [
            Fact(
                i, int(d["valid_from"][i]), int(d["valid_to"][i]), int(d["recorded_at"][i]),
                None if d["wrong_at"][i] == _NEVER else int(d["wrong_at"][i]), float(self.trust[i]),
                int(d["source"][i]), self.says[i],
            )
            for i in ids
        ]  # fmt: skip

    def visible(
        self, scopes: Sequence[int], statuses: Sequence[int], kinds: Sequence[int] | None, at: int | None, known: int
    ) -> NDArray[np.bool_]:
        """Which records those scopes see: bool (size,). `at` None: whatever its validity."""
        n, d = self.size, self.data
        reach = np.zeros(max(int(d["scope"][:n].max(initial=0)), max(scopes, default=0)) + 1, np.bool_)
        reach[list(scopes)] = True
        held = np.zeros(128, np.bool_)
        held[list(statuses)] = True  # a missing record has the status -1, which is the last place
        seen: NDArray[np.bool_] = reach[d["scope"][:n]] & held[self.status[:n]]
        seen &= (d["recorded_at"][:n] <= known) & (d["wrong_at"][:n] > known)
        if at is not None:
            seen &= (d["valid_from"][:n] <= at) & (at < d["valid_to"][:n])
        if kinds is not None:
            seen &= np.isin(d["kind"][:n], np.array(kinds, np.int64))
        return seen
