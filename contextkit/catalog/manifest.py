"""The identity of an index: kept in the catalogue, and beside it as `manifest.json` for eyes and tools that do not open SQLite.

Where the two disagree the catalogue is right and the file is written again.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from contextkit.catalog.records import Identity
from contextkit.catalog.schema import FORMAT
from contextkit.errors import ContextkitError, IndexDamaged, IndexNotFound
from contextkit.types import EmbedderInfo

NAME = "manifest.json"


def store(connection: sqlite3.Connection, identity: Identity) -> None:
    """Puts the identity into the catalogue."""
    connection.execute("INSERT OR REPLACE INTO state VALUES ('identity', ?)", (json.dumps(asdict(identity), sort_keys=True),))


def load(connection: sqlite3.Connection, name: str) -> Identity:
    """The identity in the catalogue. Raises IndexDamaged where it is missing or broken."""
    row = connection.execute("SELECT value FROM state WHERE key = 'identity'").fetchone()
    try:
        return _identity(json.loads(row[0]))
    except (TypeError, ValueError, KeyError) as error:
        raise IndexDamaged(f"the catalogue of {name} does not say what it is ({error}): restore a copy of the folder") from error


def embedder(connection: sqlite3.Connection, row: int) -> EmbedderInfo:
    """The embedder of that row. Raises IndexDamaged where it is missing or broken."""
    found = connection.execute("SELECT info FROM embedders WHERE id = ?", (row,)).fetchone()
    try:
        return _embedder(json.loads(found[0]))
    except (TypeError, ValueError, KeyError) as error:
        raise IndexDamaged(f"the catalogue does not say what its embedder {row} is ({error}): restore a copy") from error


def write(folder: Path, identity: Identity) -> None:
    """Writes the file, whole or not at all."""
    text = json.dumps({"format": FORMAT, **asdict(identity)}, indent=2, ensure_ascii=False) + "\n"
    path = folder / NAME
    if path.exists() and path.read_text("utf-8", errors="replace") == text:
        return
    write_atomically(path, text.encode())


def read(folder: Path) -> Identity:
    """The identity by the file alone, without opening the catalogue.

    Raises:
        IndexNotFound: there is no such file.
        IndexDamaged: it cannot be read.
    """
    path = folder / NAME
    try:
        return _identity(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise IndexNotFound(f"no index in {folder}: there is no {NAME}") from None
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error}): open the index once for writing and it is made again") from error


def _identity(data: Mapping[str, Any]) -> Identity:
    known = {f.name for f in fields(Identity)}
    return Identity(**{k: v for k, v in data.items() if k in known and k != "embedder"}, embedder=_embedder(data["embedder"]))


def _embedder(data: Mapping[str, Any]) -> EmbedderInfo:
    known = {f.name for f in fields(EmbedderInfo)}
    return EmbedderInfo(**{k: v for k, v in data.items() if k in known})


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file so that a crash leaves the old one or the new one.

    Raises:
        ContextkitError: the disk is full or failed; the old file is as it was, or the new one is there whole.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise failure(error, path) from error
    finally:
        draft.unlink(missing_ok=True)


def failure(error: OSError, path: Path) -> ContextkitError:
    """An error of the disk in our words."""
    if error.errno == errno.ENOSPC:
        return ContextkitError(f"the disk of {path} is full: free space and run this again; what was committed is kept")
    return ContextkitError(f"{path} cannot be written ({error}): check the disk and run this again; what was committed is kept")


def sync_folder(folder: Path) -> None:
    """Makes a rename in a folder last, where the system has a way."""
    flags = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    handle = os.open(folder, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
