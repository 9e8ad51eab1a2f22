"""Coroutine functions for callers that do not wait: what the sync forms of the peers' tools share. No peer is imported here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def blocking(function: Callable[..., Awaitable[T]]) -> Callable[..., T]:
    """The function as one that returns its result; it may be called from a running event loop, which it then keeps waiting."""

    def call(**arguments: Any) -> T:  # noqa: ANN401 - what the function takes
        async def one() -> T:
            return await function(**arguments)

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(one())
        with ThreadPoolExecutor(1) as thread:  # a loop runs in this thread: it cannot be run again
            return thread.submit(asyncio.run, one()).result()

    return call
