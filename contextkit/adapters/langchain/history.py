"""`KitChatMessageHistory` and `KitByteStore`: LangChain's chat history and key-value store in the memory of a kit."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
from langchain_core.stores import BaseStore

from contextkit.adapters.shared import states
from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.kit import Kit

_CHATS = ("langchain", "chat")
_BYTES = ("langchain", "bytes")
_PAGE = 256
_SAID = {"human": "user", "HumanMessageChunk": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


class KitChatMessageHistory(BaseChatMessageHistory):
    """A conversation in the memory of a kit: messages come back exactly as they were given, tool calls and all.

    Lives as long as the index folder; several threads, event loops and processes may write to one conversation. Adding costs the
    same in a long conversation as in a short one.

    With `observe` what users and assistants say is also taken into the kit's episodic memory, so that `kit.memory.recall` finds
    it, and the facts in it, in other conversations of the scope.

    Args:
        kit: an open kit.
        session_id: names the conversation; any text.
        scope: whose conversation it is, for example {"user": "ann"}: the same name in another scope is another conversation, and
            to forget the scope is to forget it too. None: nobody's.
        observe: whether the memory observes the turns; needs a scope.

    Raises:
        InputError: the id is empty, the scope is none, or there is none and the turns are to be observed.
    """

    def __init__(self, kit: Kit, session_id: str, *, scope: Mapping[str, str] | None = None, observe: bool = False) -> None:
        from contextkit.memory import scopes

        if not isinstance(session_id, str) or not session_id:
            raise InputError(f"a conversation needs a text as its id, not {session_id!r}")
        if observe and scope is None:
            raise InputError('observe=True needs a scope, such as scope={"user": "ann"}: whose memory is it?')
        self.session_id = session_id
        self._kit = kit
        pairs = None if scope is None else scopes.checked(scope)
        self._scope = None if pairs is None else dict(pairs)
        self._observe = observe
        whose = "" if pairs is None else scopes.name_of(pairs)
        self._path = (*_CHATS, states.short(whose), states.short(session_id))

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # LangChain has it as an attribute
        """The messages, oldest first."""
        return messages_from_dict([entry.value for entry in states.below(self._kit.memory, self._path)])

    async def aget_messages(self) -> list[BaseMessage]:
        """As `messages`, in a thread."""
        return await finished(lambda: self.messages)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Adds messages at the end, all or none.

        Raises:
            InputError: a message that would not come back as it is: a class of its own, or content that is no JSON; or, with
                `observe`, more than 100,000 characters. Nothing was added.
        """
        bodies = [_body(number, message) for number, message in enumerate(messages)]
        if not bodies:
            return
        for body in bodies:
            states.heads(self._path, body)  # says what cannot be kept before anything is observed
        turns = [turn for message in messages if (turn := _turn(message)) is not None] if self._observe else []
        if turns and self._scope is not None:  # first, since a turn that is observed twice is known
            self._kit.memory.observe(turns, scope=self._scope)
        states.append(self._kit.memory, self._path, bodies, scope=self._scope)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `add_messages`."""
        await finished(self.add_messages, list(messages))

    def clear(self) -> None:
        """Removes the messages; what was observed of them stays in the memory (see `kit.memory.forget`)."""
        memory = self._kit.memory
        states.write(memory, {entry.path: None for entry in states.below(memory, self._path)})

    async def aclear(self) -> None:
        """As `clear`."""
        await finished(self.clear)


def _body(number: int, message: BaseMessage) -> dict[str, Any]:
    """A message as JSON that it can be made from again; checked by doing so."""
    if not isinstance(message, BaseMessage):
        raise InputError(f"message {number} is a {type(message).__name__}, not one of LangChain's messages")
    label = f"message {number} ({type(message).__name__})"
    try:
        body: dict[str, Any] = json.loads(json.dumps(message_to_dict(message), allow_nan=False))
        again = messages_from_dict([body])[0]
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{label} cannot be kept as JSON: {error}; nothing was added") from None
    if type(again) is not type(message) or again != message:
        raise InputError(
            f"{label} would not come back as it is (a class of its own, or values that JSON has not): nothing was added"
        )
    return body


def _turn(message: BaseMessage) -> dict[str, str] | None:
    """What a person or the assistant says, as the memory observes it; None for anything else."""
    role, text = _SAID.get(message.type), str(message.text)
    if role is None or not text.strip():
        return None
    return {"role": role, "content": text, **({"name": message.name} if message.name else {})}


class KitByteStore(BaseStore[str, bytes]):
    """LangChain's key-value store of bytes in the memory of a kit, for caches and parent documents.

    Keys are any texts, values any bytes of any size. Several threads, event loops and processes may use it.

    Args:
        kit: an open kit.
        namespace: keeps stores in one kit apart.
        scope: whose values these are, so that they are forgotten with it; None: nobody's.
    """

    def __init__(self, kit: Kit, namespace: str = "", *, scope: Mapping[str, str] | None = None) -> None:
        from contextkit.memory import scopes

        self._kit = kit
        self._scope = None if scope is None else dict(scopes.checked(scope))
        self._path = (*_BYTES, states.short(namespace))

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of the keys, in order; None for those that are not there."""
        found = [states.read(self._kit.memory, (*self._path, _key(key))) for key in keys]
        return [None if value is None else base64.b64decode(value) for value in found]

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Stores values by key, all or none. Raises InputError where a value is not bytes; nothing was stored."""
        values: dict[states.Path, Any] = {}
        for key, value in key_value_pairs:
            if not isinstance(value, bytes | bytearray | memoryview):
                raise InputError(f"the value of {key!r} must be bytes, not {type(value).__name__}")
            values[(*self._path, _key(key))] = base64.b64encode(value).decode()
        states.write(self._kit.memory, values, scope=self._scope)

    def mdelete(self, keys: Sequence[str]) -> None:
        """Removes values; keys that are not there are passed over."""
        states.write(self._kit.memory, dict.fromkeys((*self._path, _key(key)) for key in keys))

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """The keys, perhaps only those that begin so; in no order that is promised."""
        after = ""
        while True:
            page = states.below(self._kit.memory, self._path, after=after, limit=_PAGE)
            yield from (entry.path[-1] for entry in page if entry.path[-1].startswith(prefix or ""))
            if not page:
                return
            after = page[-1].name

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """As `mget`."""
        return await finished(self.mget, list(keys))

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """As `mset`."""
        await finished(self.mset, list(key_value_pairs))

    async def amdelete(self, keys: Sequence[str]) -> None:
        """As `mdelete`."""
        await finished(self.mdelete, list(keys))

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """As `yield_keys`."""
        for key in await finished(lambda: list(self.yield_keys(prefix=prefix))):
            yield key


def _key(key: str) -> str:
    if not isinstance(key, str):
        raise InputError(f"a key must be a text, not {type(key).__name__}: {key!r:.80}")
    return key
