"""AutoGen (autogen-core) on a kit: a memory, a model context whose messages are packets, and tools.

    memory = KitMemory(kit, scope={"user": "ann"})
    context = PacketContext(kit, budget=4096, system="Answer from the documents.", scope={"user": "ann"})
    await context.add_message(UserMessage(content=question, source="user"))
    result = await client.create(await context.get_messages(), tools=tools(kit))
    context.report(result.usage)

What is not AutoGen's own is `agent_calls.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from contextkit.adapters.agent_calls import Packets, finished, joined, missing, offered
from contextkit.errors import InputError

try:
    from autogen_core import CancellationToken, FunctionCall, Image
    from autogen_core.memory import Memory, MemoryContent, MemoryMimeType, MemoryQueryResult, UpdateContextResult
    from autogen_core.model_context import ChatCompletionContext
    from autogen_core.models import (
        AssistantMessage,
        FunctionExecutionResult,
        FunctionExecutionResultMessage,
        LLMMessage,
        RequestUsage,
        SystemMessage,
        UserMessage,
    )
    from autogen_core.tools import FunctionTool, Tool, ToolSchema
except ModuleNotFoundError as error:
    raise missing(error, "autogen_core", "autogen-core", "autogen") from None

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.kit import Kit, Where
    from contextkit.memory import Memory as Record
    from contextkit.types import Principal

__all__ = ["KitMemory", "PacketContext", "tools"]

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
        question = _user_text(asked[-1]) if asked else ""
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


class PacketContext(ChatCompletionContext):
    """A model context that keeps all messages, and gives those of a packet: what the next call needs, within the budget.

    The last user message is the question; images in it stand in a message before it. System messages that are added stand in the
    prefix. Give the system prompt here, not to the agent: it is a part of the packet.

    Args:
        kit: an open kit.
        system: the system prompt.
        tools: what the model is offered, to be counted.
        scope: whose memory goes into the packets; None: no memory.
        agent: the agent's name.
        conversation: names the conversation; "": agent and scope do.
        initial_messages: the first messages.
        call: `budget`, `model` and other fields of `contextkit.AgentCall` that stay the same.

    Raises:
        InputError: a field that is not known, or a value that cannot work.
    """

    def __init__(
        self,
        kit: Kit,
        *,
        system: str = "",
        tools: Sequence[Tool | ToolSchema] = (),
        scope: Mapping[str, str] | None = None,
        agent: str = "agent",
        conversation: str = "",
        initial_messages: list[LLMMessage] | None = None,
        **call: Any,  # noqa: ANN401 - fields of AgentCall
    ) -> None:
        super().__init__(initial_messages)
        self._packets = Packets(kit, scope=scope, **call)
        self._system = system
        self._tools = tools
        self._who = {"agent": agent, "conversation": conversation}

    @property
    def packet(self) -> AgentPacket | None:
        """The packet of the last call; None before the first."""
        return self._packets.last

    @property
    def scope(self) -> dict[str, str]:
        """Whose memory goes into the packets."""
        return self._packets.call.scope

    async def get_messages(self) -> list[LLMMessage]:
        """The packet's messages, system messages first.

        Raises:
            InputError: content that cannot be carried, or no user's message.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        added, messages = _chat(self._messages)
        definitions = [dict(tool if isinstance(tool, Mapping) else tool.schema) for tool in self._tools]
        pinned = (*self._packets.call.pinned, *added)

        def build() -> AgentPacket:
            return self._packets.build(messages, system=self._system, tools=definitions, pinned=pinned, **self._who)

        packet = await asyncio.to_thread(build)
        return list(_messages(packet.messages("openai"), self._who["agent"], _results(self._messages)))

    async def all_messages(self) -> list[LLMMessage]:
        """Every message that was added, in order."""
        return list(self._messages)

    def report(self, usage: RequestUsage) -> None:
        """Notes what the provider reported for the last call, for the next packet's receipt."""
        self._packets.report(usage.prompt_tokens, **self._who)


def tools(
    kit: Kit,
    *,
    scope: Mapping[str, str] | None = None,
    budget: int = 1024,
    model: str | None = None,
    where: Where | None = None,
    principal: Principal | None = None,
) -> list[FunctionTool]:
    """The tools of a kit: `search` and `context`; with a scope `recall` and, unless the kit is read-only, `remember`.

    A mistake in the model's arguments is an InputError, which AutoGen's agents tell the model.

    Args:
        kit: an open kit.
        scope: whose memory is written and recalled.
        budget: most tokens that `context` and `recall` give.
        model: whose tokens count; None: cl100k_base.
        where: metadata filter of the documents.
        principal: on whose behalf; without one only documents that everyone may see.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    made = offered(kit, scope=scope, budget=budget, model=model, where=where, principal=principal)
    return [FunctionTool(tool.function, description=tool.description, name=tool.name) for tool in made]


# --------------------------------------------------------------------------------------------------------------------- entries


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


# -------------------------------------------------------------------------------------------------------------------- messages


async def _raw(context: ChatCompletionContext) -> Sequence[LLMMessage]:
    """A context's messages; of a packet's context without building one."""
    return await context.all_messages() if isinstance(context, PacketContext) else await context.get_messages()


def _chat(history: Sequence[LLMMessage]) -> tuple[list[str], list[dict[str, Any]]]:
    """A context's messages as system texts and messages in chat form."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for place, message in enumerate(history):
        if isinstance(message, SystemMessage):
            system.append(message.content)
        elif isinstance(message, UserMessage):
            messages.append({"role": "user", "content": _content(message, place)})
        elif isinstance(message, FunctionExecutionResultMessage):
            messages.extend({"role": "tool", "tool_call_id": r.call_id, "content": r.content} for r in message.content)
        elif isinstance(message.content, str):
            messages.append({"role": "assistant", "content": message.content})
        else:
            calls = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.content
            ]
            messages.append({"role": "assistant", "content": message.thought or None, "tool_calls": calls})
    return system, messages


def _content(message: UserMessage, place: int) -> str | list[dict[str, Any]]:
    """A user's message as its text, or as its parts where an image is among them."""
    if isinstance(message.content, str):
        return message.content
    strange = next((part for part in message.content if not isinstance(part, (str, Image))), None)
    if strange is not None:
        raise InputError(f"message {place} holds {type(strange).__name__}: only texts and images can be carried in a packet")
    if not any(isinstance(part, Image) for part in message.content):
        return _user_text(message)
    return [{"type": "text", "text": p} if isinstance(p, str) else _picture(p) for p in message.content]


def _picture(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": image.data_uri}}


def _user_text(message: UserMessage) -> str:
    """What a user's message says, without what it shows."""
    return message.content if isinstance(message.content, str) else joined([p for p in message.content if isinstance(p, str)])


def _read(part: Mapping[str, Any]) -> str | Image:
    return str(part["text"]) if part["type"] == "text" else Image.from_uri(part["image_url"]["url"])


def _results(history: Sequence[LLMMessage]) -> dict[str, FunctionExecutionResult]:
    """Each function's result by the id of its call."""
    return {r.call_id: r for m in history if isinstance(m, FunctionExecutionResultMessage) for r in m.content}


def _messages(
    chat: Sequence[Mapping[str, Any]], agent: str, given: Mapping[str, FunctionExecutionResult]
) -> Iterator[LLMMessage]:
    """Messages in chat form as AutoGen's; results that follow each other are one message."""
    results: list[FunctionExecutionResult] = []
    for message in chat:
        role, content = message["role"], message["content"]
        if role == "tool":
            results.append(given[message["tool_call_id"]].model_copy(update={"content": content}))
            continue
        if results:
            yield FunctionExecutionResultMessage(content=results)
            results = []
        if role == "system":
            yield SystemMessage(content=content)
        elif role == "user":
            shown = content if isinstance(content, str) else [_read(part) for part in content]
            yield UserMessage(content=shown, source="user")
        elif message.get("tool_calls"):
            calls = [(c["id"], c["function"]) for c in message["tool_calls"]]
            made = [FunctionCall(id=call_id, name=f["name"], arguments=f["arguments"]) for call_id, f in calls]
            yield AssistantMessage(content=made, thought=content, source=agent)
        else:
            yield AssistantMessage(content=content, source=agent)
    if results:
        yield FunctionExecutionResultMessage(content=results)
