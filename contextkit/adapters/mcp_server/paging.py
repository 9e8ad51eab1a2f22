"""Cursors of lists: opaque to clients, and an error of theirs where they are not one that we gave."""

from __future__ import annotations

import base64
import json
from typing import Any

from mcp import types
from mcp.shared.exceptions import MCPError

SIZE = 100
"""Entries of a page of any list."""


def encode(*place: str | int) -> str:
    """The cursor of a place."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode()


def decode(params: types.PaginatedRequestParams | None, *kinds: type) -> tuple[Any, ...] | None:
    """The place of a request's cursor, whose parts are of those types; None: from the start. Raises MCPError for any other."""
    cursor = None if params is None else params.cursor
    if cursor is None:
        return None
    try:
        place = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
    except ValueError:
        raise wrong(cursor) from None
    fits = isinstance(place, list) and len(place) == len(kinds)
    if not fits or not all(type(part) is kind for part, kind in zip(place, kinds, strict=True)):
        raise wrong(cursor)
    return tuple(place)


def wrong(cursor: str | None) -> MCPError:
    """The error for a cursor that was never given, or whose list is gone."""
    return MCPError(types.INVALID_PARAMS, f"the cursor {str(cursor)[:80]!r} is not known (any more): list again from the start")
