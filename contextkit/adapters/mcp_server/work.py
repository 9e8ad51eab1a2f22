"""How a call works: in a thread, on behalf of its caller, telling its progress, and stopping where its client cancels it.

What a call does is the other modules'.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from mcp import types
from mcp.server import ServerRequestContext
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.shared.exceptions import MCPError

from contextkit.adapters.mcp_server.rights import principal_of
from contextkit.errors import ContextkitError, InputError
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.catalog.records import StoredDocument
    from contextkit.kit import Kit
    from contextkit.sync import Progress

T = TypeVar("T")
Context = ServerRequestContext[Any, Any]

THREADS = 8
_KEPT, _SHORT, _LONG = 4, 40_000, 20_000_000  # texts kept; characters of those that are worth it


class Cancelled(BaseException):
    """Ends a call from inside, at its next stage, after its client has cancelled it. No error: nothing may catch it by chance."""


class Work:
    """The open kit of a server and the threads in which its calls run.

    Args:
        kit: opened once for all clients.
        write: whether clients may remember.
        principal: on whose behalf calls without a token are made; None: they see what everyone may see.
        threads: calls that run side by side; others wait their turn.
    """

    def __init__(self, kit: Kit, *, write: bool = False, principal: Principal | None = None, threads: int = THREADS) -> None:
        self.kit = kit
        self.write = write
        self.principal = principal
        self._lock = threading.Lock()
        self._texts: OrderedDict[tuple[int, int, int], str] = OrderedDict()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="contextkit-mcp")

    def caller(self, context: Context) -> Principal | None:
        """On whose behalf a request is made: its token's principal, or else the server's; None: nobody in particular."""
        user = None if context.request is None else context.request.scope.get("user")
        return principal_of(user.access_token) if isinstance(user, AuthenticatedUser) else self.principal

    async def run(self, context: Context, function: Callable[[Work, Principal | None, Progress], T]) -> T:
        """What the function gives, called in a thread with this, the caller and a `tell` that reports progress to the client.

        Where the call is cancelled before its turn it never starts; later it ends with the next stage that it tells, or its
        result is dropped. The event loop stays free meanwhile.
        """
        loop = asyncio.get_running_loop()
        told: asyncio.Queue[tuple[str, int, int | None] | None] = asyncio.Queue()
        stop = threading.Event()

        def tell(stage: str, done: int, total: int | None) -> None:
            if stop.is_set():
                raise Cancelled
            loop.call_soon_threadsafe(told.put_nowait, (stage, done, total))

        future = loop.run_in_executor(self._pool, function, self, self.caller(context), tell)
        future.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (step := await told.get()) is not None:
                await context.session.report_progress(float(step[1]), None if step[2] is None else float(step[2]), step[0])
        except BaseException:  # cancelled, or nobody there any more to tell
            stop.set()
            future.cancel()
            raise
        return future.result()

    async def answer(self, context: Context, function: Callable[[Work, Principal | None, Progress], T], data: object = None) -> T:
        """As `run`, for requests whose errors are the protocol's: what the caller did wrong is -32602, the rest -32603."""
        try:
            return await self.run(context, function)
        except InputError as error:
            raise MCPError(types.INVALID_PARAMS, str(error), data) from None
        except ContextkitError as error:
            raise MCPError(types.INTERNAL_ERROR, str(error), data) from None

    def text(self, document: StoredDocument) -> str:
        """The document's whole text. The last long ones are kept: a client reads them page after page."""
        key = (document.content_id, document.born, document.n_characters)  # a content's number may be given again, but later
        with self._lock:
            if key in self._texts:
                self._texts.move_to_end(key)
                return self._texts[key]
        text = self.kit.catalog.content_text(document.content_id)
        if _SHORT < len(text) <= _LONG:
            with self._lock:
                self._texts[key] = text
                while len(self._texts) > _KEPT:
                    self._texts.popitem(last=False)
        return text

    def close(self) -> None:
        """Waits for the calls under way; those that have not started never do. The kit stays open: it is the caller's."""
        self._pool.shutdown(cancel_futures=True)
