"""Chats and memory of LlamaIndex in an index's memory: two chat stores and a memory block.

`KitChatStore` is for `ChatMemoryBuffer` and chat engines, `KitMessageQueue` for `Memory`, which agents use, `KitMemoryBlock` is
one of the blocks of such a `Memory`. Each message is a state of `kit.memory`, written whole or not at all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.memory.memory import BaseMemoryBlock
from llama_index.core.storage.chat_store.base import BaseChatStore
from llama_index.core.storage.chat_store.base_db import AsyncDBChatStore, MessageStatus

from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.kit import Kit
    from contextkit.memory.state import Kept
    from contextkit.types import JSON

_ACTIVE, _ARCHIVED = MessageStatus.ACTIVE.value, MessageStatus.ARCHIVED.value


class _Kept(NamedTuple):
    """A message where it lies: its number within the chat, from 1, and its status."""

    number: int
    message: ChatMessage
    status: str


class _Chats:
    """Messages by chat, in order: one state each, and one with the next number for each chat.

    Messages are added in the transaction that moves the number on: writers that meet never take the same one.
    """

    def __init__(self, kit: Kit, room: str, scope: Mapping[str, str] | None) -> None:
        from contextkit.memory import scopes

        self._kit = kit
        self._scope = None if scope is None else dict(scopes.checked(scope))
        self._heads = f"llamaindex/{room}s/"
        self._rows = f"llamaindex/{room}/"

    def names(self) -> list[str]:
        heads = self._kit.memory.states(self._heads)
        return sorted(unquote(one.name.removeprefix(self._heads).removesuffix("/")) for one in heads)

    def has(self, key: str) -> bool:
        return self._kit.memory.state(self._head(key)).version > 0

    def all(self, key: str, limit: int | None = None) -> list[_Kept]:
        prefix = self._prefix(key)
        out = []
        for one in self._kit.memory.states(prefix, limit=limit):
            value: Any = one.value
            message = ChatMessage.model_validate(value["message"])
            out.append(_Kept(int(one.name.removeprefix(prefix)), message, value["status"]))
        return out

    def append(self, key: str, messages: Sequence[ChatMessage], status: str, *, instead: bool = False) -> None:
        """Adds messages at the end; `instead` of all that are there. In one transaction."""
        bodies = [_body(message, status) for message in messages]
        prefix, head = self._prefix(key), self._head(key)
        known = self._kit.memory.state(head).get() if instead else None
        there = [one.number for one in self.all(key)] if instead else []

        def change(last: Kept | None) -> dict[str, JSON]:
            first = _number(None if last is None else last.value)
            gone = {*there, *range(_number(known), first)} if instead else set()
            rows: dict[str, JSON] = {self._name(prefix, number): None for number in gone}
            rows.update({self._name(prefix, first + n): body for n, body in enumerate(bodies)})
            return {**rows, head: first + len(bodies)}

        self._kit.memory.change_states(head, change, scope=self._scope)

    def change(self, key: str, kept: Sequence[_Kept], status: str | None) -> None:
        """Gives messages another status; None removes them."""
        prefix = self._prefix(key)
        self._kit.memory.put_states(
            {self._name(prefix, one.number): None if status is None else _body(one.message, status) for one in kept},
            scope=self._scope,
        )

    def drop(self, key: str) -> None:
        """Removes a chat with all its messages."""
        prefix = self._prefix(key)
        rows: dict[str, JSON] = {self._name(prefix, one.number): None for one in self.all(key)}
        self._kit.memory.put_states({**rows, self._head(key): None}, scope=self._scope)

    def _head(self, key: str) -> str:
        return f"{self._heads}{_quoted(key)}/"

    def _prefix(self, key: str) -> str:
        return f"{self._rows}{_quoted(key)}/"

    def _name(self, prefix: str, number: int) -> str:
        return f"{prefix}{number:012}"


def _number(value: JSON) -> int:
    return value if isinstance(value, int) else 1


def _quoted(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise InputError(f"a chat's key must be a text with something in it, not {key!r}")
    return quote(key, safe="")


def _body(message: ChatMessage, status: str) -> dict[str, JSON]:
    if not isinstance(message, ChatMessage):
        raise InputError(f"a chat takes LlamaIndex's ChatMessage, not {type(message).__name__}")
    try:
        json.dumps(message.additional_kwargs, allow_nan=False, default=lambda _: None)  # pydantic makes null of what is no number
        return {"message": message.model_dump(mode="json"), "status": status}
    except ValueError as error:
        raise InputError(f"the message cannot be kept as JSON: {error}") from error


class KitChatStore(BaseChatStore):
    """Chats by key, kept in `kit.memory`; for `ChatMemoryBuffer` and chat engines.

    Args:
        kit: an open kit; the caller closes it.
        scope: whose they are: forgotten with it; None: nobody's.
    """

    _chats: _Chats = PrivateAttr()

    def __init__(self, kit: Kit, *, scope: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._chats = _Chats(kit, "chat", scope)

    @classmethod
    def class_name(cls) -> str:
        """The class's name."""
        return "KitChatStore"

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Puts these messages in the place of a chat's. Raises InputError for one that JSON cannot hold; nothing was written."""
        self._chats.append(key, messages, _ACTIVE, instead=True)

    def get_messages(self, key: str) -> list[ChatMessage]:
        """A chat's messages, oldest first; [] for an unknown key."""
        return [one.message for one in self._chats.all(key)]

    def add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """Adds a message at the end, or before the one at `idx`, as `list.insert` counts."""
        if idx is None:
            self._chats.append(key, [message], _ACTIVE)
        else:
            messages = self.get_messages(key)
            messages.insert(idx, message)
            self.set_messages(key, messages)

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """The messages of the chat that is gone now; None for an unknown key."""
        if not self._chats.has(key):
            return None
        messages = self.get_messages(key)
        self._chats.drop(key)
        return messages

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """The message that was at `idx`, counted as in a list; None where there is none."""
        kept = self._chats.all(key)
        if not -len(kept) <= idx < len(kept):
            return None
        self._chats.change(key, [kept[idx]], None)
        return kept[idx].message

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """The message that was the last; None where there is none."""
        return self.delete_message(key, -1)

    def get_keys(self) -> list[str]:
        """The keys of all chats, sorted; a chat without messages is one."""
        return self._chats.names()

    async def async_add_message(self, key: str, message: ChatMessage) -> None:
        """As `add_message`; a task that is cancelled meanwhile waits for the write's end."""
        await finished(self.add_message, key, message)

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """As `set_messages`; a task that is cancelled meanwhile waits for the write's end."""
        await finished(self.set_messages, key, messages)


class KitMessageQueue(AsyncDBChatStore):
    """The message queue of LlamaIndex's `Memory` in `kit.memory`: `Memory.from_defaults(chat_store=KitMessageQueue(kit), ...)`.

    Args:
        kit: an open kit; the caller closes it.
        scope: whose messages they are: forgotten with it; None: nobody's.
    """

    _chats: _Chats = PrivateAttr()

    def __init__(self, kit: Kit, *, scope: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._chats = _Chats(kit, "queue", scope)

    @classmethod
    def class_name(cls) -> str:
        """The class's name."""
        return "KitMessageQueue"

    def _with(self, key: str, status: MessageStatus | None) -> list[_Kept]:
        return [one for one in self._chats.all(key) if status is None or one.status == status.value]

    async def get_messages(
        self,
        key: str,
        status: MessageStatus | None = MessageStatus.ACTIVE,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[ChatMessage]:
        """A chat's messages with that status (None: any), oldest first."""
        kept = await asyncio.to_thread(self._with, key, status)
        first = offset or 0
        return [one.message for one in kept[first : None if limit is None else first + limit]]

    async def count_messages(self, key: str, status: MessageStatus | None = MessageStatus.ACTIVE) -> int:
        """How many messages with that status a chat has."""
        return len(await asyncio.to_thread(self._with, key, status))

    async def add_message(self, key: str, message: ChatMessage, status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Adds a message at the end."""
        await self.add_messages(key, [message], status)

    async def add_messages(self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Adds messages at the end, all or none."""
        await finished(self._chats.append, key, messages, status.value)

    async def set_messages(self, key: str, messages: list[ChatMessage], status: MessageStatus = MessageStatus.ACTIVE) -> None:
        """Puts these messages in the place of all that a chat has."""
        await finished(lambda: self._chats.append(key, messages, status.value, instead=True))

    async def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """The message with that number (from 1, none is used again), which is gone now; None where there is none."""

        def delete() -> ChatMessage | None:
            found = [one for one in self._chats.all(key) if one.number == idx]
            self._chats.change(key, found, None)
            return found[0].message if found else None

        return await finished(delete)

    async def delete_messages(self, key: str, status: MessageStatus | None = None) -> None:
        """Deletes a chat's messages with that status (None: all)."""
        await finished(lambda: self._chats.change(key, self._with(key, status), None))

    async def delete_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """The n oldest active messages, which are gone now."""
        return await finished(self._oldest, key, n, None)

    async def archive_oldest_messages(self, key: str, n: int) -> list[ChatMessage]:
        """The n oldest active messages, which are archived now."""
        return await finished(self._oldest, key, n, _ARCHIVED)

    def _oldest(self, key: str, n: int, status: str | None) -> list[ChatMessage]:
        oldest = self._with(key, MessageStatus.ACTIVE)[: max(0, n)]
        self._chats.change(key, oldest, status)
        return [one.message for one in oldest]

    async def get_keys(self) -> list[str]:
        """The keys of all chats with messages, sorted."""

        def keys() -> list[str]:
            return [key for key in self._chats.names() if self._chats.all(key, limit=1)]

        return await asyncio.to_thread(keys)


class KitMemoryBlock(BaseMemoryBlock[str]):
    """A memory block on `kit.memory`: what leaves the queue is kept, and what answers the last question is packed into a budget.

    Args:
        kit: an open kit; the caller closes it.
        scope: whose memory.
        budget: most tokens that it gives.
        model: whose tokens count; None: cl100k_base.
        fields: of LlamaIndex's block (name, description, priority, accept_short_term_memory).
    """

    budget: int = 512
    model: str | None = None
    _kit: Kit = PrivateAttr()
    _scope: dict[str, str] = PrivateAttr()

    def __init__(
        self,
        kit: Kit,
        *,
        scope: Mapping[str, str],
        budget: int = 512,
        model: str | None = None,
        **fields: Any,  # noqa: ANN401 - the block's own
    ) -> None:
        from contextkit.memory import scopes

        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            raise InputError(f"budget must be a whole number of tokens above 0, not {budget!r}")
        super().__init__(**{"name": "memory", "budget": budget, "model": model, **fields})
        self._kit = kit
        self._scope = dict(scopes.checked(scope))

    async def _aget(self, messages: list[ChatMessage] | None = None, **_: Any) -> str:  # noqa: ANN401 - the peer's form
        question = next((text for text in _spoken(reversed(messages or []), MessageRole.USER)), "")
        if not question.strip():
            return ""
        return await asyncio.to_thread(self._packed, question, self.budget)

    def _packed(self, question: str, budget: int) -> str:
        return self._kit.memory.recall_text(question, scope=self._scope, budget=budget, model=self.model)

    async def _aput(self, messages: list[ChatMessage]) -> None:
        said = [
            {"role": message.role.value, "content": text}
            for message in messages
            if message.role in (MessageRole.USER, MessageRole.ASSISTANT) and (text := text_of(message)).strip()
        ]
        if said:
            await finished(lambda: self._kit.memory.observe(said, scope=self._scope))

    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """As many of the content's lines, from the first on, as leave at least that many tokens out; None for none."""
        from contextkit.tokens import counter_for

        counter = counter_for(self.model)
        limit = counter.count(content) - tokens_to_truncate
        lines = content.split("\n")
        while lines and counter.count("\n".join(lines)) > limit:
            lines.pop()
        return "\n".join(lines) or None


def text_of(message: ChatMessage) -> str:
    """The text of a message, of all its text blocks."""
    return "\n".join(block.text for block in message.blocks if isinstance(block, TextBlock))


def _spoken(messages: Iterator[ChatMessage] | Sequence[ChatMessage], role: MessageRole) -> Iterator[str]:
    return (text_of(message) for message in messages if message.role == role)
