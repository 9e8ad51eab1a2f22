"""`KitMemory`: the memory of a kit as AutoGen's `Memory`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from autogen_core import CancellationToken
from autogen_core.memory import Memory, MemoryContent, MemoryMimeType, MemoryQueryResult, UpdateContextResult
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import LLMMessage, SystemMessage, UserMessage

from contextkit.adapters.autogen.context import PacketContext
from contextkit.adapters.autogen.messages import user_text
from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.kit import Kit
    from contextkit.memory import Memory as Record

T = TypeVar("T")
_TAKEN = ("key", "kind", "valid_from", "valid_to", "trust", "importance")
"""Metadata that says how a fact is to be remembered; all other metadata is kept beside it."""
_TEXTS = (MemoryMimeType.TEXT.value, MemoryMimeType.MARKDOWN.value)


class KitMemory(Memory):
    """The memory of a kit for one scope (AutoGen's `Memory`): texts and JSON, recalled by meaning, words and time.

    Of an entry's metadata `key`, `kind`, `valid_from`, `valid_to`, `trust` and `importance` say how it is remembered (see
    `MemoryStore.remember`); the rest comes back as it was. What is recalled also has `id`, `score` and `recorded_at` in its
    metadata. The kit stays the caller's: `close` leaves it open.

    Args:
        kit: an open kit.
        scope: whose memory it is, for example {"user": "ann"}.
        k: how many entries `query` and `update_context` give at most, 1 to 1,000.

    Raises:
        InputError: the scope or k cannot work.
    """

    component_type = "memory"

    def __init__(self, kit: Kit, *, scope: Mapping[str, str], k: int = 8) -> None:
        from contextkit.memory import scopes

        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 1000:
            raise InputError(f"k must be a whole number from 1 to 1,000, not {k!r}")
        self._kit = kit
        self._scope = dict(scopes.checked(scope))
        self._k = k

    async def add(self, content: MemoryContent, cancellation_token: CancellationToken | None = None) -> None:
        """Remembers an entry.

        Raises:
            InputError: the content is neither text nor JSON, or the metadata is not JSON; nothing was written.
        """
        text, mime = _entry_text(content)
        given = dict(content.metadata or {})
        how = {name: given.pop(name) for name in _TAKEN if name in given}
        try:
            beside = json.loads(json.dumps({"mime": mime, "metadata": given}, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(f"the metadata of a memory must be JSON: {error}") from None

        def write() -> None:
            kept = self._kit.memory.remember(text, scope=self._scope, **how)
            if beside != {"mime": MemoryMimeType.TEXT.value, "metadata": {}}:
                self._kit.memory.put_states({_beside(kept.id): beside}, scope=self._scope)

        await _linked(write, cancellation_token)

    async def query(
        self,
        query: str | MemoryContent,
        cancellation_token: CancellationToken | None = None,
        **kwargs: Any,  # noqa: ANN401 - AutoGen's signature
    ) -> MemoryQueryResult:
        """The entries that answer a query best, best first.

        Args:
            query: a text, or an entry of text.
            cancellation_token: ends the wait.
            kwargs: `k`, `as_of`, `known_at`, `kinds`, `archived`, as `MemoryStore.recall` has them.

        Raises:
            InputError: the query is empty, or an argument cannot work.
        """
        text = query if isinstance(query, str) else _entry_text(query)[0]
        options = {"k": self._k, **kwargs}
        unknown = sorted(set(options) - {"k", "as_of", "known_at", "kinds", "archived"})
        if unknown:
            raise InputError(f"query does not know {unknown[0]!r}: there are k, as_of, known_at, kinds, archived")

        def read() -> list[MemoryContent]:
            return [self._content(found) for found in self._kit.memory.recall(text, scope=self._scope, **options)]

        return MemoryQueryResult(results=await _linked(read, cancellation_token))

    async def update_context(self, model_context: ChatCompletionContext) -> UpdateContextResult:
        """The entries for the context's last user message, which were added to it as a system message.

        A `PacketContext` of this scope gets nothing added: its packets have the memory in them.
        """
        asked = [m for m in await _raw(model_context) if isinstance(m, UserMessage)]
        question = user_text(asked[-1]) if asked else ""
        if not question.strip():
            return UpdateContextResult(memories=MemoryQueryResult(results=[]))
        found = await self.query(question)
        own = isinstance(model_context, PacketContext) and model_context.scope == self._scope
        if found.results and not own:
            lines = "\n".join(f"- {_entry_text(entry)[0]}" for entry in found.results)
            await model_context.add_message(SystemMessage(content=f"From memory:\n{lines}"))
        return UpdateContextResult(memories=found)

    async def clear(self) -> None:
        """Erases the scope's memory for good: every record and state of it, from every file; see `MemoryStore.forget`."""
        await finished(lambda: self._kit.memory.forget(scope=self._scope))

    async def close(self) -> None:
        """Does nothing: the kit is the caller's to close."""

    def _content(self, found: Record) -> MemoryContent:
        beside = self._kit.memory.state(_beside(found.id)).get()
        kept = beside if isinstance(beside, dict) else {}
        mime = kept.get("mime", MemoryMimeType.TEXT.value)
        own = {"id": found.id, "score": found.score, "recorded_at": found.recorded_at.isoformat()}
        content = json.loads(found.text) if mime == MemoryMimeType.JSON.value else found.text
        return MemoryContent(content=content, mime_type=mime, metadata={**kept.get("metadata", {}), **own})


def _entry_text(content: MemoryContent) -> tuple[str, str]:
    """An entry as a text, and its media type."""
    mime = content.mime_type.value if isinstance(content.mime_type, MemoryMimeType) else content.mime_type
    if mime in _TEXTS and isinstance(content.content, str):
        return content.content, mime
    if mime == MemoryMimeType.JSON.value and isinstance(content.content, (dict, str)):
        try:
            value = json.loads(content.content) if isinstance(content.content, str) else content.content
            return json.dumps(value, ensure_ascii=False, allow_nan=False), mime
        except (TypeError, ValueError) as error:
            raise InputError(f"a memory of type {mime} must be JSON: {error}") from None
    kind = type(content.content).__name__
    raise InputError(f"a memory must be text or JSON, not {kind} of type {mime!r}: say in words what it shows")


def _beside(record: str) -> str:
    return f"autogen/memory/{record}"


async def _linked(function: Callable[[], T], token: CancellationToken | None) -> T:
    """What a function gives, run in a thread; the token cancels the wait, and what is being written is finished first."""
    task = asyncio.ensure_future(finished(function))
    if token is not None:
        token.link_future(task)
    return await task


async def _raw(context: ChatCompletionContext) -> Sequence[LLMMessage]:
    """A context's messages; of a packet's context without building one."""
    return await context.all_messages() if isinstance(context, PacketContext) else await context.get_messages()
