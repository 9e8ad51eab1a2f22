"""For Haystack's `Agent`: hooks that build the packet before each model call and remember the run, and a toolset.

    agent = Agent(
        chat_generator=generator,
        tools=KitToolset(store, scope={"user": "ann"}),
        hooks={
            "before_llm": [KitPacketHook(store, budget=4096, scope={"user": "ann"})],
            "after_run": [KitMemoryHook(store, scope={"user": "ann"})],
        },
    )

How messages are read and written is `messages.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from haystack import default_to_dict
from haystack.components.agents.state.state import State
from haystack.components.agents.state.state_utils import replace_values
from haystack.core.serialization import generate_qualified_class_name
from haystack.dataclasses import ChatMessage, ChatRole
from haystack.tools.from_function import create_tool_from_function
from haystack.tools.tool import Tool
from haystack.tools.toolset import Toolset

from contextkit.adapters.haystack.filters import where_of
from contextkit.adapters.haystack.messages import from_packet, original, reported, split, to_openai
from contextkit.adapters.haystack.parts import OnStore, store_of
from contextkit.adapters.haystack.store import KitDocumentStore
from contextkit.adapters.shared.packets import Packets
from contextkit.adapters.shared.tools import Offered, offered

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket


class KitPacketHook(OnStore):
    """Before each model call puts the packet in the place of the agent's messages; register it as "before_llm".

    The last user's message is the question; what is known of it from documents and memory goes into that message, and history
    is shortened to the budget. What was put in is taken out again before the next packet is built: messages that come out of a
    run can go into the next one. Texts that were shortened away can be had again by the ref that stands in their place
    (`kit.restore`). What the provider reports as the input of a call (`meta["usage"]` of its answer) anchors the next receipt.
    Serves one conversation at a time.

    Args:
        document_store: where documents and memory are.
        scope: whose memory goes into the packet; None: none.
        budget: most tokens of messages, tools and reply reserve together; None: the model's window.
        model: whose tokens count; None: cl100k_base.
        filters: Haystack filters of the documents.
        reply_reserve: tokens left free for the reply; None: a quarter of the budget, at most 1,024.
        agent: the agent's name in receipts.
        conversation: names the conversation whose cached prefix is predicted; "": agent and scope do.
    """

    allowed_hook_points = ("before_llm",)

    def __init__(
        self,
        document_store: KitDocumentStore,
        *,
        scope: dict[str, str] | None = None,
        budget: int | None = None,
        model: str | None = None,
        filters: dict[str, Any] | None = None,
        reply_reserve: int | None = None,
        agent: str = "agent",
        conversation: str = "",
    ) -> None:
        self.document_store = store_of(document_store, "KitPacketHook")
        self.where = where_of(filters)
        self.settings: dict[str, Any] = {
            "scope": scope, "budget": budget, "model": model, "filters": filters,
            "reply_reserve": reply_reserve, "agent": agent, "conversation": conversation,
        }  # fmt: skip
        self._packets: Packets | None = None
        self._sent: ChatMessage | None = None

    @property
    def last(self) -> AgentPacket | None:
        """The packet of the last call; None before the first."""
        return None if self._packets is None else self._packets.last

    def run(self, state: State) -> None:
        """Replaces the messages of a run's state.

        Raises:
            ValueError: no message is a user's, or one cannot be carried.
            BudgetExceeded: what may not be left out does not fit.
        """
        given: list[ChatMessage] = state.data["messages"]
        held = original(given)
        systems, spoken = split(held)
        settings = self.settings
        tools = [{"type": "function", "function": tool.tool_spec} for tool in state.data.get("tools") or ()]
        packets, who = self._ready(), {name: settings[name] for name in ("agent", "conversation")}
        packets.report(reported(given, self._sent), **who)
        packet = packets.build(to_openai(spoken), system="\n\n".join(systems), tools=tools, **who)
        sent = from_packet(packet, held)
        self._sent = sent[-1]
        state.set("messages", sent, handler_override=replace_values)

    async def run_async(self, state: State) -> None:
        """As `run`."""
        await asyncio.to_thread(self.run, state)

    def _ready(self) -> Packets:
        if self._packets is None:
            settings = self.settings
            given = {name: settings[name] for name in ("budget", "model", "reply_reserve") if settings[name] is not None}
            self._packets = Packets(
                self.document_store.kit, scope=settings["scope"], where=self.where,
                principal=self.document_store.as_principal, **given,
            )  # fmt: skip
        return self._packets

    def close(self) -> None:
        """Closes the store."""
        self._packets = self._sent = None
        super().close()

    def to_dict(self) -> dict[str, Any]:
        """The hook for a pipeline's file."""
        return default_to_dict(self, document_store=self.document_store.to_dict(), **self.settings)


class KitMemoryHook(OnStore):
    """After each run keeps what user and assistant said in the memory; register it as "after_run".

    Nothing is kept twice: a message that was kept before is known.

    Args:
        document_store: whose index folder holds the memory.
        scope: whose memory it is.
    """

    allowed_hook_points = ("after_run",)

    def __init__(self, document_store: KitDocumentStore, *, scope: dict[str, str]) -> None:
        from contextkit.memory import scopes

        self.document_store = store_of(document_store, "KitMemoryHook")
        self.scope = dict(scopes.checked(scope))

    def run(self, state: State) -> None:
        """Keeps the texts of the run's state. Raises IndexLocked where another process is writing."""
        said = [
            {"role": message.role.value, "content": message.text, **({"name": message.name} if message.name else {})}
            for message in original(state.data["messages"])
            if message.role in (ChatRole.USER, ChatRole.ASSISTANT) and message.text
        ]
        if said:
            self.document_store.kit.memory.observe(said, scope=self.scope)

    async def run_async(self, state: State) -> None:
        """As `run`."""
        await asyncio.to_thread(self.run, state)

    def to_dict(self) -> dict[str, Any]:
        """The hook for a pipeline's file."""
        return default_to_dict(self, document_store=self.document_store.to_dict(), scope=self.scope)


class KitToolset(Toolset):
    """The tools of an index for an agent: `search` and `context`, and with a scope `recall` and `remember`.

    Made when it is warmed up, which agents and pipelines do before they run.

    Args:
        document_store: what is searched, and whose index folder holds the memory.
        scope: whose memory; None: no memory tools.
        budget: most tokens that `context` and `recall` give.
        model: whose tokens count; None: cl100k_base.
        filters: Haystack filters of the documents.
    """

    def __init__(
        self,
        document_store: KitDocumentStore,
        *,
        scope: dict[str, str] | None = None,
        budget: int = 1024,
        model: str | None = None,
        filters: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(tools=[])
        self.document_store = store_of(document_store, "KitToolset")
        self.where = where_of(filters)
        self.settings: dict[str, Any] = {"scope": scope, "budget": budget, "model": model, "filters": filters}

    def warm_up(self) -> None:
        """Opens the index and makes the tools."""
        if not self.tools:
            settings = self.settings
            self.tools = [
                _tool(one)
                for one in offered(
                    self.document_store.kit, scope=settings["scope"], budget=settings["budget"], model=settings["model"],
                    where=self.where, principal=self.document_store.as_principal,
                )
            ]  # fmt: skip

    def close(self) -> None:
        """Closes the store; the next warm-up opens it again."""
        self.tools = []
        self.document_store.close()

    def to_dict(self) -> dict[str, Any]:
        """The toolset for a pipeline's file: what it is made of, not the tools."""
        data = {"document_store": self.document_store.to_dict(), **self.settings}
        return {"type": generate_qualified_class_name(type(self)), "data": data}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> KitToolset:
        """The toolset that `to_dict` described."""
        inner: Mapping[str, Any] = data["data"]
        store = KitDocumentStore.from_dict(dict(inner["document_store"]))
        return cls(store, **{name: value for name, value in inner.items() if name != "document_store"})


def _tool(one: Offered) -> Tool:
    """A tool that works in both of the agent's forms, sync and async."""
    made = create_tool_from_function(one.function, name=one.name, description=one.description)
    made.function = one.at_once
    return made
