"""contextkit inside other people's orchestrators: one thin module (or two) for each, imported by name and only with its extra.

An adapter translates names, messages, filters and errors; what it does is done by the kit and its memory. Nothing here is
imported by the rest of the package, but for `cli`, which starts the MCP server.
"""
