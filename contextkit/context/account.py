"""What building an agent call gives back: the packet of all its sections, and the receipt that accounts for each of them.

Only the records live here; how they come about is `agent.py`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PrivateAttr

from contextkit.context import formats
from contextkit.context.call import Rung
from contextkit.context.packet import Packet, Provider, Receipt, Record
from contextkit.errors import InputError


class SectionUse(Record):
    """What one section of a packet took.

    Attributes:
        tokens: of the section as it is sent, framing included; of `reply` the tokens left free.
        limit: the most that it might have had in this call.
        items: messages, texts, tools or documents in it.
        dropped: how many of these were left out or shortened.
        cached: tokens of it in the predicted cached prefix.
        exact: False where the tokens are an upper bound.
        dollars: what it costs, with what the provider's cache can give back at its price; None where prices are not known.
        dollars_cached: of this, what those tokens cost.
    """

    tokens: int
    limit: int
    items: int = 0
    dropped: int = 0
    cached: int = 0
    exact: bool = True
    dollars: float | None = None
    dollars_cached: float | None = None


class LeftOut(Record):
    """Something that was taken out of the packet and can be restored.

    Attributes:
        ref: for `kit.restore`.
        section: "history" or "memory".
        rung: the step of the compaction ladder, or "budget" for memory that did not fit.
        places: indices of the messages or texts in the caller's list.
        before: tokens before.
        after: tokens of what stands there instead.
    """

    ref: str
    section: Literal["history", "memory"]
    rung: Rung | Literal["budget"]
    places: tuple[int, ...]
    before: int
    after: int


class MemoryItem(Record):
    """One text or record of memory in the packet.

    Attributes:
        id: of the record; "" for a text that the call brought itself.
        section: "pinned" or "memory".
        text: what it says.
        tokens: of the text alone.
        kind: of the record, or "".
        since: since when it is true, ISO 8601; None for a text of the call.
        until: until when, or None.
        recorded: when the memory learned it, or None.
        age_days: days since it was recorded, or None.
        trust: 0 to 1, or None.
        importance: 0 to 1, or None.
        score: of the recall; None where it was not asked for.
        source: where it comes from, in words, or "".
        conflicts: ids of records that say otherwise.
        why: in one line, what brought it in.
    """

    id: str
    section: Literal["pinned", "memory"]
    text: str
    tokens: int
    kind: str = ""
    since: str | None = None
    until: str | None = None
    recorded: str | None = None
    age_days: float | None = None
    trust: float | None = None
    importance: float | None = None
    score: float | None = None
    source: str = ""
    conflicts: tuple[str, ...] = ()
    why: str = ""


class MemoryDropped(Record):
    """A record that was a candidate and is not in the packet; it stays in the memory.

    Attributes:
        id: of the record.
        section: that it was a candidate for.
        score: of the recall, or its importance where it was to be pinned.
        reason: "budget" (no room), or "delivered" (it stands word for word in the history that is sent along).
    """

    id: str
    section: Literal["pinned", "memory"]
    score: float
    reason: Literal["budget", "delivered"]


class Conflict(Record):
    """Records in the packet that contradict each other, or what is not in it; the memory does not know which one is right.

    Attributes:
        id: a record in the packet.
        against: ids of the records that say otherwise.
        text: what the record says.
    """

    id: str
    against: tuple[str, ...]
    text: str


class Summarised(Record):
    """A summary by a model that stands for messages that were left out.

    Attributes:
        ref: of the messages, for `kit.restore`.
        by: name of the summarizer.
        tokens: of the summary.
        tries: requests that were made for it; 0 where it was made for an earlier packet.
        input_tokens: that the requests of this packet took.
        output_tokens: that they gave.
        dollars: what they cost; None where prices are not known.
        error: why there is an extractive digest instead, or "".
    """

    ref: str
    by: str
    tokens: int
    tries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = None
    error: str = ""


class Finding(Record):
    """What a screen found in a section.

    Attributes:
        screen: its name.
        section: where.
        what: in words.
    """

    screen: str
    section: str
    what: str


class AgentReceipt(Receipt):
    """The account of an agent call: that of its documents (see Receipt), and of every other section.

    `tokens` and `budget` are of the whole call: input tokens, and the most of input and reply together. `overhead` is all that is
    not document text.

    Attributes:
        agent: who calls.
        conversation: whose prefix is compared.
        window: of the model, or None where unknown.
        sections: by name, in the order in which they are sent; `reply` last.
        reply_reserve: tokens left free for the reply.
        full: input tokens and reserve as a part of the budget.
        cached_prefix_tokens: tokens at the start that are byte for byte those of the conversation's last packet.
        cached_prefix_usable: of these what the provider's cache can give back by its published rule (OpenAI: from 1,024 in steps
            of 128; Anthropic: from 1,024 on); it also has to be recent enough, which nobody can know here.
        cached_prefix_hash: SHA-256 of the digests of those blocks, shortened; "" for none.
        prefix_broken_by: the first block that differs from the last packet, in words; "" where nothing was changed, only added.
        anchored_tokens: the input tokens that the provider reported for the last packet, and what was added since by our count;
            None where nothing was reported.
        left_out: what was taken out and can be restored.
        memories: the texts and records of memory in the packet, pinned ones first.
        memories_dropped: the best of the candidates that are not in it (at most 50).
        conflicts: records in the packet that others contradict.
        summaries: what models summarised for it.
        findings: what the call's screens found.
        task: kind of task, or "".
        template: name, version and label of the prompt template, or "".
        dollars: what the input costs at the model's price, or None.
        notes: what the caller may want to mend.
    """

    agent: str
    conversation: str
    window: int | None
    sections: dict[str, SectionUse]
    reply_reserve: int
    full: float
    cached_prefix_tokens: int
    cached_prefix_usable: int
    cached_prefix_hash: str
    prefix_broken_by: str
    anchored_tokens: int | None = None
    left_out: tuple[LeftOut, ...]
    memories: tuple[MemoryItem, ...] = ()
    memories_dropped: tuple[MemoryDropped, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    summaries: tuple[Summarised, ...] = ()
    findings: tuple[Finding, ...] = ()
    task: str = ""
    template: str
    dollars: float | None
    notes: tuple[str, ...]


class AgentPacket(Packet):
    """The whole context of one agent call: never more tokens than its budget less the reply reserve.

    Attributes:
        text: everything as one text to read. What is sent, and counted, is `messages` with `tools`.
        tokens: input tokens in the format of the model's provider, everything included.
        budget: the most that `tokens` and the reply reserve may be together.
        sections: what each section took; the same as in the receipt.
        turn: the text of the last user turn as it is sent.
    """

    receipt: AgentReceipt
    sections: dict[str, SectionUse]
    turn: str
    _layout: formats.Layout = PrivateAttr()

    @classmethod
    def of(cls, layout: formats.Layout, **fields: object) -> AgentPacket:
        """A packet with its layout."""
        made = cls(**fields)  # type: ignore[arg-type]  # checked by pydantic
        made._layout = layout
        return made

    def messages(self, provider: Provider = "openai") -> list[dict[str, object]]:
        """The messages as the provider takes them. Anthropic takes the system's and the tools apart: see `request`.

        Args:
            provider: "openai" (chat completions, the system's messages included) or "anthropic" (without them).
        """
        if provider == "openai":
            return formats.openai_messages(self._layout)
        if provider == "anthropic":
            return formats.anthropic_messages(self._layout)
        raise InputError(f"no message format for the provider {provider!r}: use 'openai' or 'anthropic'")

    def request(self, provider: Literal["openai", "responses", "anthropic"] = "openai") -> dict[str, object]:
        """The whole request as keyword arguments: model, system, tools, messages and the reply limit, where each is known.

        Args:
            provider: "openai" for `client.chat.completions.create(**...)`, "responses" for `client.responses.create(**...)`,
                "anthropic" for `client.messages.create(**...)`.
        """
        layout, limit = self._layout, self.receipt.reply_reserve
        model: dict[str, object] = {"model": self.receipt.model} if self.receipt.model else {}
        if provider == "openai":
            tools = {"tools": formats.openai_tools(layout.tools)} if layout.tools else {}
            most: dict[str, object] = {"max_completion_tokens": limit} if limit else {}
            return {**model, "messages": formats.openai_messages(layout), **tools, **most}
        if provider == "responses":
            tools = {"tools": formats.responses_tools(layout.tools)} if layout.tools else {}
            most = {"max_output_tokens": limit} if limit else {}
            return {**model, "input": formats.responses_input(layout), **tools, **most}
        if provider == "anthropic":
            tools = {"tools": formats.anthropic_tools(layout.tools)} if layout.tools else {}
            system = formats.anthropic_system(layout)
            most = {"max_tokens": limit or 1}
            named = {"system": system} if system else {}
            return {**model, **most, **named, **tools, "messages": formats.anthropic_messages(layout)}
        raise InputError(f"no request format {provider!r}: use 'openai', 'responses' or 'anthropic'")
