"""Work in threads for peers that live in an event loop. No peer is imported here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finished(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives, run in a thread; a task that is cancelled meanwhile waits for its end first.

    So whoever goes on after a cancelled write finds it done or undone, never under way.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                continue  # asked twice: the write still has to end first
        if not task.cancelled():
            task.exception()  # is seen: what counts is that it was cancelled
        raise
