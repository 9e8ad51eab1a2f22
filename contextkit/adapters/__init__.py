"""contextkit inside other people's orchestrators: one package a peer, imported by name and only with its extra.

An adapter translates names, messages, filters and errors; what it does is done by the kit and its memory. A peer's public names
are in the `__init__.py` of its package; what several adapters need is `shared`, which knows no peer. Nothing here is imported by
the rest of the package, but for `cli`, which starts the MCP server.
"""
