"""What the words for a source mean: a path, or an address whose scheme names an installed connector.

The connectors themselves are found through the entry-point group `contextkit.connectors`; ours are listed there like anybody
else's. A plug-in may have a class method `from_url(url, *, glob, exclude)`; otherwise its class is called with the whole address
("crm://host/x") or with what follows the name ("crm:x"), and with glob and exclude as keywords.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from contextkit import plugins
from contextkit.errors import InputError
from contextkit.protocols import Connector

GROUP = "contextkit.connectors"

_ADDRESS = re.compile(r"([a-z][a-z0-9.+-]+):(?!:)(//)?", re.IGNORECASE)  # two letters at least: C:\docs is a path


def connector_for(
    source: str | Path | Connector, glob: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> Connector:
    """The connector for a path ("docs"), an address ("s3://bucket/docs", "git:repo@main"), or the connector that was given.

    What exists as a path is one, whatever it looks like. "NAME:..." is an address where a connector of that name is installed,
    "NAME://..." always: a name that no connector has is left to fsspec (connector "objects").

    Args:
        source: a path, an address or a connector.
        glob: only documents whose path matches one of these patterns; None: all.
        exclude: no documents whose path matches one of these patterns.

    Raises:
        SourceError: there is no such path, or what the connector says.
        InputError: glob or exclude for a connector that is made already, or an address that nobody knows.
        MissingExtra: a package is needed for that address.
        PluginError: the connector of that name does not load.
    """
    if not isinstance(source, (str, Path)):
        if glob is not None or exclude is not None:
            raise InputError("glob and exclude are for paths and addresses: tell the connector itself what to leave out")
        return source
    patterns = {"glob": _patterns(glob), "exclude": _patterns(exclude) or ()}
    name, target = _named(source)
    made = plugins.load(GROUP, name)
    maker = getattr(made, "from_url", None)
    connector: Connector = made(target, **patterns) if maker is None else maker(str(source), **patterns)
    return connector


def is_path(source: str) -> bool:
    """Whether the words mean a path of this machine."""
    return _named(source)[0] == "files"


def _named(source: str | Path) -> tuple[str, str | Path]:
    """The connector's name, and what it is given where it takes no urls."""
    if isinstance(source, Path) or os.path.lexists(Path(source).expanduser()):
        return "files", source
    found = _ADDRESS.match(source)
    if found is None:
        return "files", source
    scheme, slashes = found[1].lower(), bool(found[2])
    if scheme == "file" and slashes and "::" not in source:
        return "files", unquote(source[found.end() :])
    installed = plugins.names(GROUP, check=False)
    for name in (scheme, scheme.partition("+")[0]):  # git+file:// is for git
        if name in installed:
            return name, source if slashes else source[found.end() :]
    return ("objects", source) if slashes else ("files", source)


def _patterns(given: str | Iterable[str] | None) -> str | list[str] | None:
    return given if given is None or isinstance(given, str) else list(given)
