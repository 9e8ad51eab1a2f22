"""What a verb needs before it can work: the settings, an open index, and the user's words as values."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contextkit.errors import FilterError, InputError

if TYPE_CHECKING:
    from contextkit.config import Settings
    from contextkit.kit import Kit
    from contextkit.types import Principal


def settings(**flags: object) -> Settings:
    """The settings in force with these flags; None is a flag not given."""
    from contextkit.config import load

    return load(**flags)


@contextmanager
def opened(config: Settings, *, create: bool = False, read_only: bool = False) -> Iterator[Kit]:
    """An open kit for the length of a command. Raises what `contextkit.kit.open` raises."""
    from contextkit.kit import Limits
    from contextkit.kit import open as open_kit

    megabyte = 2**20
    limits = Limits(
        workers=config.workers, seconds=config.timeout, memory=config.memory_mb * megabyte, size=config.max_file_mb * megabyte
    )
    with open_kit(
        config.index, create=create, read_only=read_only, embedder=config.embedder, limits=limits, wait=config.wait,
        memory=config.memory, backend=config.backend, reranker=config.reranker, rerank_ms=config.rerank_ms,
    ) as kit:  # fmt: skip
        yield kit


def writable(config: Settings) -> bool:
    """Whether the index's folder can be written, so that a receipt can be kept; true of one that is not there."""
    return not Path(config.index).is_dir() or os.access(config.index, os.W_OK)


def question(text: str) -> str:
    """The question as given, or from stdin for "-". Raises InputError where it is empty."""
    from contextkit.retrieval.pasted import is_blank

    asked = sys.stdin.read() if text == "-" else text
    if is_blank(asked):
        raise InputError("the question is empty: give some words, or - to read them from stdin")
    return asked.strip()


def where(text: str | None) -> dict[str, Any] | None:
    """The filter of a `--where`; None where there is none. Raises FilterError where it is not a JSON object."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise FilterError(f'--where is not JSON ({error}): {text!r}; write it like \'{{"team": "sales"}}\'') from None
    if not isinstance(value, dict):
        raise FilterError(f'--where must be a JSON object like \'{{"team": "sales"}}\', not {text!r}')
    return value


def principal(user: str | None, groups: list[str] | None) -> Principal | None:
    """On whose behalf to ask; None where no user is named. Raises InputError for groups without a user."""
    from contextkit.types import Principal

    if user is None and groups:
        raise InputError("--group needs --user: rights are those of a user")
    return None if user is None else Principal(user, tuple(groups or ()))
