"""An index and its memory as a Model Context Protocol server, over stdio and streamable HTTP, on the official SDK (`mcp` 2.x).

`build_server` gives the SDK's own `Server`, which any of its transports serves; `http_app` is the ASGI application with tokens
and host checks; `serve_stdio` and `serve_http` run until the client, or the user, ends them. The command is `contextkit mcp`.

What is served: the tools of `tools.py`, documents and receipts as resources (`resources.py`), the templates of the index folder
as prompts (`prompts.py`). What each caller may see is decided by its principal (`rights.py`); how a call runs in a thread, tells
its progress and is cancelled is `work.py`. Nothing is searched, packed or remembered here: that is the kit's.
"""

from __future__ import annotations

from importlib.util import find_spec

from contextkit.errors import MissingExtra

if find_spec("mcp") is None:
    raise MissingExtra("mcp", "mcp", "the MCP server")

from contextkit.adapters.mcp_server.app import bound, build_server, http_app, serve_http, serve_stdio
from contextkit.adapters.mcp_server.rights import Tokens
from contextkit.adapters.mcp_server.tools import Tool
from contextkit.adapters.mcp_server.work import Work

__all__ = ["Tokens", "Tool", "Work", "bound", "build_server", "http_app", "serve_http", "serve_stdio"]
