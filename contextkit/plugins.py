"""Finding parts that are installed beside contextkit, by entry point; our own are listed like anybody else's.

The groups are `contextkit.connectors`, `contextkit.indexes`, `contextkit.embedders` and so on. What the plug-ins of a group must
be is in `contextkit.protocols`.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from contextkit.errors import PluginError


def names(group: str, *, check: bool = True) -> tuple[str, ...]:
    """The plug-ins of a group, sorted.

    Args:
        group: for example "contextkit.connectors".
        check: imports each, and leaves out those that do not load with a RuntimeWarning that names them. False: only reads the
            names, which is quick.
    """
    found = _entries(group)
    if not check:
        return tuple(sorted(found))
    sound = []
    for name in sorted(found):
        try:
            load(group, name)
        except PluginError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        else:
            sound.append(name)
    return tuple(sound)


def load(group: str, name: str) -> Any:  # noqa: ANN401  # what it is, is between the group and its caller
    """The object that a plug-in's entry point names, usually a class.

    Raises:
        PluginError: no plug-in of that name is installed, two packages claim the name, or it does not load; names the package.
    """
    entries = _entries(group).get(name, ())
    if not entries:
        known = ", ".join(names(group, check=False)) or "none"
        raise PluginError(f"no plug-in {name!r} in the group {group!r} (installed: {known}): install the package that has it")
    targets = {entry.value for entry in entries}
    if len(targets) > 1:
        owners = ", ".join(sorted(_owner(entry) for entry in entries))
        raise PluginError(f"several packages have a plug-in {name!r} in the group {group!r}: {owners}; uninstall all but one")
    entry = entries[0]
    try:
        return entry.load()
    except Exception as error:  # whatever a foreign module raises when imported
        reason = f"{type(error).__name__}: {error}"
        raise PluginError(f"the plug-in {name!r} of {_owner(entry)} ({entry.value}) does not load: {reason}") from error


def clear() -> None:
    """Forgets what was found, so that a package installed since is seen."""
    _entries.cache_clear()


@lru_cache(maxsize=32)
def _entries(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """The entry points of a group by name; more than one only where names collide."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in entry_points(group=group):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unnamed package"
