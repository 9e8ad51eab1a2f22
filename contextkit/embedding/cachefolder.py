"""Files that can be made again, in the user's cache folder: `$XDG_CACHE_HOME/contextkit`, or the system's usual place.

Whatever goes wrong with them costs time, never an answer: a file that cannot be read or written is as one that is not there.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Where such files lie; the folder may not exist yet."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if given and Path(given).is_absolute():  # a relative one is to be ignored, by the XDG rules
        return Path(given) / "contextkit"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / "contextkit" / "cache"
    home = os.environ.get("HOME", "")
    base = Path(home) if home else Path(tempfile.gettempdir())
    return base / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "contextkit"


def read_bytes(name: str) -> bytes | None:
    """What is kept under a name; None where nothing is, or where it cannot be read."""
    try:
        return (cache_folder() / name).read_bytes()
    except OSError:
        return None


def write_bytes(name: str, data: bytes) -> bool:
    """Keeps data under a name, whole or not at all; False where there is no place for it."""
    path = cache_folder() / name
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        return False
    return True
