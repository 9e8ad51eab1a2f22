"""`contextkit mcp`: the index and its memory for MCP clients, over stdio or streamable HTTP."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from contextkit.cli import options, output, session
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.adapters.mcp_server import Tokens, Work

_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Adds the verb of this module."""
    app.command()(mcp)


def mcp(
    *,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Serve streamable HTTP there, not stdio; port 0 takes a free one."),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Let clients remember; without it they only read.")] = False,
    tokens: Annotated[
        Path | None, typer.Option("--tokens", metavar="FILE", help="JSON file of bearer tokens and their principals, for --http.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A further host name by which clients reach --http; may be repeated."),
    ] = None,
    principal: Annotated[
        str | None,
        typer.Option("--principal", metavar="ID", help="On whose behalf all calls are made; unset: what everyone may see."),
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="NAME", help="A group that the principal is in; may be repeated.")
    ] = None,
    index: options.Index = None,
    embedder: options.Embedder = None,
) -> None:
    """Serve the index and its memory to MCP clients: tools, documents, receipts and prompts."""
    from contextkit.adapters.mcp_server import Work
    from contextkit.types import Principal

    if group and principal is None:
        raise InputError("--group needs --principal: rights are those of somebody")
    if http is None and (tokens is not None or allow_host):
        raise InputError("--tokens and --allow-host are for --http HOST:PORT: over stdio the one client is whoever started it")
    if tokens is not None and principal is not None:
        raise InputError("--tokens says on whose behalf each call is made: leave --principal out")
    caller = None if principal is None else Principal(principal, tuple(group or ()))
    address = None if http is None else _address(http)
    holders = _tokens(tokens)
    with session.opened(session.settings(index=index, embedder=embedder)) as kit:
        work = Work(kit, write=write, principal=caller)
        try:
            _serve(work, address, holders, allow_host or [])
        finally:
            work.close()


def _serve(work: Work, address: tuple[str, int] | None, tokens: Tokens | None, names: list[str]) -> None:
    import anyio

    from contextkit.adapters.mcp_server import build_server, serve_http, serve_stdio

    server = build_server(work)
    if address is None:
        output.note("serving MCP over stdio: this is for a client to start; Ctrl-C ends it")
        anyio.run(partial(serve_stdio, server, interrupted=partial(_interrupted, work)))
    else:
        anyio.run(partial(serve_http, server, *address, tokens=tokens, names=names))


def _interrupted(work: Work) -> NoReturn:
    """Ends the process as Ctrl-C ends every verb."""
    work.close()
    work.kit.close()
    sys.stderr.write("contextkit: interrupted\n")
    sys.stderr.flush()
    os._exit(_INTERRUPTED)


def _tokens(path: Path | None) -> Tokens | None:
    from contextkit.adapters.mcp_server import Tokens

    return None if path is None else Tokens.from_file(path)


def _address(text: str) -> tuple[str, int]:
    """The host and port of HOST:PORT; an IPv6 address stands in brackets. Raises InputError where it is none."""
    host, colon, port = text.rpartition(":")
    if (
        not colon
        or not host
        or not (port.isascii() and port.isdigit())
        or int(port) > 65_535
        or (":" in host) != host.startswith("[")
    ):
        raise InputError(f"--http takes HOST:PORT such as 127.0.0.1:8765 or [::1]:8765, not {text!r}")
    return host.strip("[]"), int(port)
