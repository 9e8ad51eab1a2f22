"""Work in a thread of its own while the caller goes on: the two searches of a question wait for different libraries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

_T = TypeVar("_T")


@contextmanager
def beside(work: Callable[[], _T]) -> Iterator[Callable[[], _T]]:
    """Starts some work and gives a function that waits for its result, or raises what it raised.

    The work is over when the block is. Where no thread can be had it is done before the block begins.
    """
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread, which asks for the result
            done.set_exception(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), name="contextkit-beside", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        run()
        yield done.result
        return
    try:
        yield done.result
    finally:
        thread.join()
