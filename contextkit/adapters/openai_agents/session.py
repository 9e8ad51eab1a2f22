"""`KitSession`: a conversation of the OpenAI Agents SDK in a kit's memory.

Each item is one state of the memory under a name that sorts by its place, so that adding and taking the last one cost the same in
a long conversation as in a short one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from agents.memory import SessionSettings
from agents.memory.session import SessionABC
from agents.memory.session_settings import resolve_session_limit

from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from agents.items import TResponseInputItem

    from contextkit.kit import Kit
    from contextkit.memory.state import Kept
    from contextkit.types import JSON

_PART = 400_000  # characters; a state holds a million, and each may be written as two
_LONGEST = 200  # characters of a name within a state's name


class KitSession(SessionABC):
    """A conversation in the memory of a kit (protocol `agents.Session`), in order, item by item, as it was given.

    Lives as long as the index folder; several threads, event loops and processes may write to one conversation. Items are
    anything that JSON can hold, of any size.

    Args:
        kit: an open kit.
        session_id: names the conversation; any text.
        scope: whose conversation it is, for example {"user": "ann"}: the same name in another scope is another conversation, and
            to forget the scope is to forget it too. None: nobody's.
        session_settings: the SDK's; `limit` is how many items `get_items` gives where it is not told.

    Raises:
        InputError: the id is empty, or the scope is none.
    """

    def __init__(
        self,
        kit: Kit,
        session_id: str,
        *,
        scope: Mapping[str, str] | None = None,
        session_settings: SessionSettings | None = None,
    ) -> None:
        from contextkit.memory import scopes

        if not isinstance(session_id, str) or not session_id:
            raise InputError(f"a session needs a text as its id, not {session_id!r}")
        self.session_id = session_id
        self.session_settings = session_settings or SessionSettings()
        self._kit = kit
        pairs = None if scope is None else scopes.checked(scope)
        self._scope = None if pairs is None else dict(pairs)
        whose = "" if pairs is None else scopes.name_of(pairs)
        self._prefix = f"openai-agents/{_folded(whose)}/{_folded(session_id)}/"
        self._items = f"{self._prefix}item/"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The items in order; with a limit only the last so many, none for 0, all for a negative one."""
        most = resolve_session_limit(limit, self.session_settings)
        return await finished(self._read, most)

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Adds items at the end, all or none.

        Raises:
            InputError: an item that JSON cannot hold; nothing was added.
        """
        bodies = [_spelled(number, item) for number, item in enumerate(items)]
        if bodies:
            await finished(self._append, bodies)

    async def pop_item(self) -> TResponseInputItem | None:
        """The last item, which is gone then; None where there is none."""
        return await finished(self._take)

    async def clear_session(self) -> None:
        """Removes all items."""
        await finished(self._clear)

    # ------------------------------------------------------------------------------------------------------------------- inside

    def _read(self, limit: int | None) -> list[TResponseInputItem]:
        kept = self._kit.memory.states(self._items, newest=True, limit=limit)
        return [item for one in reversed(kept) if (item := self._item(one)) is not None]

    def _item(self, kept: Kept) -> TResponseInputItem | None:
        """The item of a state; None where a long one was removed while it was read."""
        if isinstance(kept.value, str):
            return cast("TResponseInputItem", json.loads(kept.value))
        parts = self._kit.memory.states(self._parts(kept.name))
        if len(parts) != kept.value:
            return None
        return cast("TResponseInputItem", json.loads("".join(str(part.value) for part in parts)))

    def _append(self, bodies: list[str]) -> None:
        def change(last: Kept | None) -> dict[str, JSON]:
            first = 1 + (int(last.name[len(self._items) :]) if last else 0)
            values: dict[str, JSON] = {}
            for number, body in enumerate(bodies, first):
                name = f"{self._items}{number:012d}"
                parts = [body[n : n + _PART] for n in range(0, len(body), _PART)]
                values[name] = body if len(parts) == 1 else len(parts)
                if len(parts) > 1:
                    values.update({f"{self._parts(name)}{n:06d}": part for n, part in enumerate(parts)})
            return values

        self._kit.memory.change_states(self._items, change, scope=self._scope)

    def _take(self) -> TResponseInputItem | None:
        taken: list[TResponseInputItem | None] = []

        def change(last: Kept | None) -> dict[str, JSON]:
            if last is None:
                return {}
            taken.append(self._item(last))
            return {last.name: None, **self._without_parts(last)}

        self._kit.memory.change_states(self._items, change, scope=self._scope)
        return taken[0] if taken else None

    def _clear(self) -> None:
        self._kit.memory.put_states(dict.fromkeys((kept.name for kept in self._kit.memory.states(self._prefix)), None))

    def _without_parts(self, kept: Kept) -> dict[str, JSON]:
        number = kept.value if isinstance(kept.value, int) else 0
        return {f"{self._parts(kept.name)}{n:06d}": None for n in range(number)}

    def _parts(self, name: str) -> str:
        return f"{self._prefix}part/{name[len(self._items) :]}/"


def _spelled(number: int, item: Any) -> str:  # noqa: ANN401 - whatever the caller has
    """An item as JSON text in ASCII: exact for every text, also for halves of surrogate pairs."""
    try:
        return json.dumps(item)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"item {number} of {type(item).__name__} cannot be kept as JSON: {error}; nothing was added") from None


def _folded(text: str) -> str:
    """A text as one step of a path: no separator in it, different for different texts, never longer than a name may be."""
    quoted = quote(text, safe="", errors="surrogatepass")
    if len(quoted) <= _LONGEST:
        return quoted
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
