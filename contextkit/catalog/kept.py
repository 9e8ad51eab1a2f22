"""Posting lists that were read lately, kept in memory: one call needs each twice, and questions of a kind share their words.

Reading and scoring them is `contextkit.catalog.postings`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from contextkit.catalog import postings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 32 * 2**20
"""Bytes of lists that are kept; a list of more than a quarter of that is read each time."""


class KeptLists:
    """The lists that were used last, of one state of the lexical index. Safe from any thread.

    Args:
        most: bytes that are kept.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lists: OrderedDict[tuple[int, str], tuple[NDArray[np.int64], NDArray[np.uint8]]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes that are kept now."""
        return self._held

    def fetch(self, connection: sqlite3.Connection, epoch: int, term: str) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """`postings.fetch` at a state of the lexical index, which the connection's transaction sees. Not to be written to."""
        key = (epoch, term)
        with self._lock:
            found = self._lists.get(key)
            if found is not None:
                self._lists.move_to_end(key)
                return found
        found = postings.fetch(connection, term)
        size = _size(found)
        if size <= self._most // 4:
            with self._lock:
                if key not in self._lists:
                    self._lists[key] = found
                    self._held += size
                while self._held > self._most:
                    self._held -= _size(self._lists.popitem(last=False)[1])
        return found


def _size(found: tuple[NDArray[np.int64], NDArray[np.uint8]]) -> int:
    return found[0].nbytes + found[1].nbytes
