"""The server put together, and its two ways out: stdio for a client that starts it, streamable HTTP for many clients."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.message import SessionMessage

from contextkit.adapters.mcp_server import prompts, resources, tools
from contextkit.adapters.mcp_server.rights import Tokens
from contextkit.adapters.mcp_server.work import Context, Work
from contextkit.errors import InputError

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream
    from mcp.server.streamable_http import EventStore
    from starlette.applications import Starlette

INSTRUCTIONS = (
    "Before you answer from these documents, call context with the user's question and cite its [n] marks. recall what is known "
    "of the user or the project first."
)
PATH = "/mcp"
log = logging.getLogger(__name__)
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_GRACE = 5  # seconds that open streams get when the server ends


def build_server(work: Work, *, more: Sequence[tools.Tool] = ()) -> Server[Any]:
    """The SDK's server over an open kit; any transport of the SDK can serve it, and `mcp.Client` takes it as it is.

    Args:
        work: the kit, the rights and the threads.
        more: further tools of the host, listed after ours.
    """
    served = tools.available(work, more)
    listed = types.ListToolsResult(tools=[tool.listed for tool in served.values()])

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return listed

    async def list_templates(_: Context, __: types.PaginatedRequestParams | None) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=resources.TEMPLATES)

    return Server(
        "contextkit",
        version=version("contextkit"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=partial(tools.call, work, served),
        on_list_resources=partial(resources.listing, work),
        on_list_resource_templates=list_templates,
        on_read_resource=partial(resources.read, work),
        on_list_prompts=partial(prompts.listing, work),
        on_get_prompt=partial(prompts.get, work),
    )


# ------------------------------------------------------------------------------------------------------------------------ stdio


async def serve_stdio(server: Server[Any], *, interrupted: Callable[[], NoReturn] | None = None) -> None:
    """Serves one client over this process's stdin and stdout until it closes them. Stray prints go to stderr meanwhile.

    Args:
        server: of `build_server`.
        interrupted: is called on Ctrl-C and has to end the process: whoever waits for a line of stdin cannot be woken.
    """
    try:
        async with stdio_server() as (read, write), anyio.create_task_group() as tasks:
            send, receive = anyio.create_memory_object_stream[SessionMessage | Exception](0)
            tasks.start_soon(_answer_broken, read, send, write)
            if interrupted is not None and sys.platform != "win32":
                tasks.start_soon(_on_interrupt, interrupted)
            await server.run(receive, write, server.create_initialization_options())
            tasks.cancel_scope.cancel()
    except* BrokenPipeError:
        log.info("the client has closed its end")  # it died, or does not wait for its answers: nothing is left to do


async def _on_interrupt(act: Callable[[], NoReturn]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT) as signals:
        async for _ in signals:
            act()


async def _answer_broken(read: Any, forward: MemoryObjectSendStream[SessionMessage | Exception], write: Any) -> None:  # noqa: ANN401 - the SDK's own streams
    """Hands messages on; a line that is none is answered as JSON-RPC asks, instead of with silence."""
    async with forward, read:
        async for item in read:
            if isinstance(item, Exception):
                error = types.ErrorData(code=types.PARSE_ERROR, message="Parse error: a line is one JSON-RPC message")
                await write.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=None, error=error)))
            else:
                await forward.send(item)


# ------------------------------------------------------------------------------------------------------------------------- HTTP


def http_app(
    server: Server[Any],
    *,
    host: str = "127.0.0.1",
    tokens: Tokens | None = None,
    names: Sequence[str] = (),
    events: EventStore | None = None,
    retry: int | None = None,
) -> Starlette:
    """The ASGI application that serves `PATH`, with DNS rebinding protection, and 401 for a missing or unknown token.

    Args:
        server: of `build_server`.
        host: the address that it will be bound to.
        tokens: who may call; None: everyone who reaches it, which is right only on the machine itself.
        names: further host names by which clients reach it.
        events: where the SDK keeps events so that a broken stream can be taken up again; None: a client asks again.
        retry: milliseconds after which a client may take it up.

    Raises:
        InputError: the address is reachable from elsewhere and there are no tokens, or no name says how clients reach it.
    """
    from mcp.server.auth.settings import AuthSettings
    from pydantic import AnyHttpUrl

    known = _names(host, names, tokens is not None)
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[entry for name in known for entry in (name, f"{name}:*")],
        allowed_origins=[
            entry for name in known for scheme in ("http", "https") for entry in (f"{scheme}://{name}", f"{scheme}://{name}:*")
        ],
    )
    # the SDK looks for tokens only where it is told of an issuer; ours come from a file, so nothing is ever sent there
    auth = None if tokens is None else AuthSettings(issuer_url=AnyHttpUrl(f"http://{known[0]}/"), resource_server_url=None)
    return server.streamable_http_app(
        streamable_http_path=PATH,
        transport_security=security,
        host=host,
        auth=auth,
        token_verifier=tokens,
        event_store=events,
        retry_interval=retry,
    )


def _names(host: str, more: Sequence[str], guarded: bool) -> list[str]:  # noqa: FBT001 - private
    """The host names of requests that are let in."""
    written = f"[{host}]" if ":" in host else host
    if is_loopback(host):
        return list(dict.fromkeys((*_LOOPBACK, written, *more)))
    if not guarded:
        raise InputError(
            f"{host} can be reached from other machines: give --tokens FILE so that only those with a token may ask, "
            "or bind 127.0.0.1"
        )
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - only compared
    if everywhere and not more:
        raise InputError(f"{host} is every address: say with --allow-host NAME by which name clients reach this server")
    return list(dict.fromkeys(([] if everywhere else [written]) + list(more)))


def is_loopback(host: str) -> bool:
    """Whether an address is reached from its own machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def serve_http(
    server: Server[Any], host: str, port: int, *, tokens: Tokens | None = None, names: Sequence[str] = ()
) -> None:
    """Serves clients over streamable HTTP until the process is told to end; says on stderr where.

    Raises:
        InputError: as `http_app`, or the address cannot be bound.
    """
    import uvicorn

    app = http_app(server, host=host, tokens=tokens, names=names)
    with bound(host, port) as listening:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, log_level="warning", timeout_graceful_shutdown=_GRACE, lifespan="on"
        )
        place = listening.getsockname()
        shown = f"[{place[0]}]" if ":" in place[0] else place[0]
        sys.stderr.write(f"contextkit: serving MCP on http://{shown}:{place[1]}{PATH}\n")
        sys.stderr.flush()
        await uvicorn.Server(config).serve(sockets=[listening])


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket for the block; port 0 takes a free one. Raises InputError where the address cannot be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise InputError(f"cannot listen on {host} port {port}: {error}; name another one, or 0 for a free port") from None
    with listening:
        yield listening
