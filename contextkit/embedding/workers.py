"""Threads that each compute with one core.

A back-end's own way, several threads within each operation, meets at a barrier after every one of them: as soon as another
process wants a core too, all wait for the slowest, which costs a factor of three to five. Independent batches on independent
threads have no barrier.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_setting = threading.Lock()


class Workers:
    """A pool of `count` threads.

    Args:
        count: threads.
        one_torch_thread: has torch use one thread in each of them, whatever it uses elsewhere.
    """

    def __init__(self, count: int, *, one_torch_thread: bool = False) -> None:
        self.count = count
        start = _use_one_thread if one_torch_thread else None
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="contextkit-embed", initializer=start)

    def each(self, run: Callable[[T], None], parts: Iterable[T]) -> None:
        """Calls `run` with every part and returns when all are done; the first error stops what has not begun."""
        for _ in self._pool.map(run, parts):
            pass


def _use_one_thread() -> None:
    """Has torch use one thread in the calling thread, and leaves its setting for the process as it was.

    `set_num_threads` sets both; the second call, in a thread of its own, puts the process's setting back.
    """
    import torch

    with _setting:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        restore = threading.Thread(target=torch.set_num_threads, args=(before,))
        restore.start()
        restore.join()
