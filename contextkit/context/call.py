"""What an agent call asks for: `AgentCall` and its rules. Checked when it is made; building the packet is `agent.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, field_validator

from contextkit.context.checked import Checked as Checked
from contextkit.context.facts import ModelFacts
from contextkit.context.history import Message, read_messages
from contextkit.context.packet import Fill, Format, Order
from contextkit.context.plain import canonical_json, check_text, check_tree
from contextkit.context.templates import Prompt
from contextkit.errors import BudgetExceeded, InputError
from contextkit.protocols import Screen, Summarizer
from contextkit.types import Principal

SECTIONS = ("tools", "system", "pinned", "history", "memory", "documents", "question", "reply")
"""The sections of a packet: first the stable ones, then the growing one, then the last user turn; `reply` is kept free."""
FLEXIBLE = ("pinned", "history", "memory", "documents")
"""The sections that have rules. The others, and the texts that a call pins itself, go in whole or the call fails."""
_MOST_TOOLS = 512


Kind = Literal["working", "episodic", "semantic", "procedural"]
"""The kinds of records that a memory holds; see `contextkit.memory.records.Kind`."""


class SectionRule(Checked):
    """How much of the packet one flexible section may have.

    Attributes:
        minimum: tokens that it gets whenever it wants them; where they do not fit, the call fails.
        share: its part of the room that the fixed sections leave, against the other shares; 0 switches documents or memory off.
        priority: what one section leaves goes to those that want more, the highest priority first.
        maximum: tokens that it never gets more than, however much is left; None: no such limit.
    """

    minimum: int = Field(default=0, ge=0)
    maximum: int | None = Field(default=None, ge=0)
    share: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    priority: int = 0


DEFAULT_RULES: dict[str, SectionRule] = {
    "pinned": SectionRule(share=0.1, priority=4),
    "history": SectionRule(share=0.5, priority=1),
    "memory": SectionRule(share=0.1, priority=2),
    "documents": SectionRule(share=0.4, priority=3),
}


class Rung(StrEnum):
    """The steps of the compaction ladder, from harmless to lossy."""

    DUPLICATE = "duplicate"
    OFFLOAD = "offload"
    PRUNE = "prune"
    WINDOW = "window"
    DIGEST = "digest"
    SUMMARY = "summary"


class Remembering(Checked):
    """Which records of the memory a call sees. They come from `kit.memory`, by the call's `scope`.

    Records that are pinned stand in the prefix of every call, whatever is asked, within the share of the section "pinned";
    the others are recalled for the question, within that of "memory". A share of 0 switches either off.

    Attributes:
        kinds: only these kinds, pinned or recalled; None: all.
        k: most records that are recalled for a question.
        pin_kinds: kinds that are pinned.
        pin_importance: what is at least so important is pinned.
        pin_keyed: whether facts with a key are pinned.
        pin_trust: only what is trusted at least so much is pinned: the prefix is where instructions stand.
    """

    kinds: frozenset[Kind] | None = None
    k: int = Field(default=40, ge=1, le=400)
    pin_kinds: frozenset[Kind] = frozenset({"procedural"})
    pin_importance: float = Field(default=0.8, ge=0, le=1)
    pin_keyed: bool = True
    pin_trust: float = Field(default=0.7, ge=0, le=1)


class Compaction(Checked):
    """How history is made shorter once it outgrows its section. Whatever leaves can be restored.

    Attributes:
        rungs: the steps that are allowed.
        low: once it is over its limit, history is cut to this part of it in one go: fewer cuts break the provider's cache less.
        keep: exchanges at the end that are left alone as long as there is another way.
        offload_above: tokens of a tool result from which it may be replaced by a pointer and a digest.
        digest_tokens: about how many tokens a digest has; 0 for pointers alone.
        summary_tokens: the most tokens of a summary by the call's summarizer, where it has one.
    """

    rungs: frozenset[Rung] = frozenset(Rung)
    low: float = Field(default=0.5, gt=0, le=1)
    keep: int = Field(default=4, ge=0)
    offload_above: int = Field(default=120, ge=0)
    digest_tokens: int = Field(default=60, ge=0)
    summary_tokens: int = Field(default=200, ge=16, le=4096)


class Tool(Checked):
    """One tool definition in contextkit's own form; made from any provider's."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool | None = None


class AgentCall(Checked):
    """One call of a model by an agent: everything that competes for its window.

    Attributes:
        question: what the user, or the agent itself, asks now. Never trimmed.
        agent: the agent's name; with `scope` it names the conversation where `conversation` does not.
        model: whose tokens count, and whose window holds where `budget` is None; None: the encoding cl100k_base.
        system: the system prompt, or a rendered `Prompt`. Never trimmed.
        tools: definitions in OpenAI's (chat or responses) or Anthropic's form; they are sent sorted by name.
        history: earlier messages in OpenAI's or Anthropic's form, oldest first, all of them: how much is sent is decided here.
        steps: messages after the question: tool calls and results of the turn that is under way. Where `history` ends in a user's
            message with exactly the question's text, and perhaps steps after it, that is understood too.
        pinned: texts that are in every call of the conversation; they stand before the history and are never trimmed. Records of
            the memory follow them.
        memory: texts for this question, best first; those that do not fit are left out. Records of the memory follow them.
        scope: whose memory and conversation it is, for example {"user": "ann"}. Where the index folder has a memory, what this
            scope sees goes into the packet.
        recall: which records those are.
        where: metadata filter of the documents.
        k: most passages that documents are taken from; None: all that are found.
        principal: on whose behalf; without one only documents that everyone may see. A scope that names a user or a team must be
            this principal's.
        reply_reserve: tokens of the window left free for the reply; None: a quarter of the budget, at most 1,024.
        budget: most tokens of input and reply reserve together; None: the model's window.
        sections: rules by section ("pinned", "history", "memory", "documents"); those not named keep their defaults.
        compaction: how history is shortened.
        summarizer: writes summaries of what is left out, where the rung "summary" is allowed; None: no model is asked.
        format: how documents are written: "text", "markdown" or "xml".
        order: in which order documents stand.
        fill: whether documents take what room there is, or only what comes near the best of them.
        now: the moment that "last week" in the question, and the age of what is found, are counted from; None: that of the call.
        screens: what looks over each section before the packet is given out; their findings are in the receipt.
        task: kind of task, for routing and costs.
        catalogue: what you know of models, by name, in the place of what the catalogue says.
        conversation: names the conversation whose cached prefix is predicted.
        reported_tokens: input tokens that the provider reported for the conversation's last packet: the receipt's
            `anchored_tokens` starts from it.
    """

    question: str
    agent: str = "agent"
    model: str | None = None
    system: str | Prompt = ""
    tools: tuple[Tool, ...] = ()
    history: tuple[Message, ...] = ()
    steps: tuple[Message, ...] = ()
    pinned: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    scope: dict[str, str] = Field(default_factory=dict)
    recall: Remembering = Remembering()
    where: dict[str, Any] | None = None
    k: int | None = Field(default=None, ge=1, le=10_000)
    principal: Principal | None = None
    reply_reserve: int | None = Field(default=None, ge=0)
    budget: int | None = None
    sections: dict[str, SectionRule] = Field(default_factory=dict)
    compaction: Compaction = Compaction()
    summarizer: Summarizer | None = None
    format: Format = Format.TEXT
    order: Order = Order.BEST_FIRST
    fill: Fill = Fill.FULL
    now: datetime | None = None
    screens: tuple[Screen, ...] = ()
    task: str = Field(default="", max_length=200)
    catalogue: dict[str, ModelFacts] = Field(default_factory=dict)
    conversation: str = ""
    reported_tokens: int | None = Field(default=None, ge=0)

    @field_validator("question")
    @classmethod
    def _asks(cls, value: str) -> str:
        from contextkit.retrieval.pasted import is_blank

        check_text(value, "question")
        if is_blank(value):
            raise InputError(f"the question is empty ({value[:40]!r}): ask something")
        return value

    @field_validator("system")
    @classmethod
    def _sendable(cls, value: str | Prompt) -> str | Prompt:
        check_text(value.text if isinstance(value, Prompt) else value, "system")
        return value

    @field_validator("history", "steps", mode="before")
    @classmethod
    def _messages(cls, value: object, info: Any) -> tuple[Message, ...]:  # noqa: ANN401 - pydantic's own
        return read_messages(value, info.field_name)

    @field_validator("tools", mode="before")
    @classmethod
    def _tools(cls, value: object) -> tuple[Tool, ...]:
        return read_tools(value)

    @field_validator("pinned", "memory", mode="before")
    @classmethod
    def _texts(cls, value: object, info: Any) -> object:  # noqa: ANN401 - pydantic's own
        if isinstance(value, str):
            raise InputError(f"{info.field_name} must be a list of texts, not one text: [{value[:40]!r}]")
        for n, text in enumerate(value if isinstance(value, Sequence) else ()):
            if isinstance(text, str):
                check_text(text, f"{info.field_name}[{n}]")
        return value

    @field_validator("sections", mode="before")
    @classmethod
    def _sections(cls, value: object) -> object:
        if isinstance(value, Mapping):
            unknown = [name for name in value if name not in FLEXIBLE]
            if unknown:
                raise InputError(f"no rule for the section {unknown[0]!r}: rules are for {', '.join(FLEXIBLE)}")
        return value

    @field_validator("format")
    @classmethod
    def _written(cls, value: Format) -> Format:
        if value is Format.MESSAGES:
            raise InputError("format 'messages' is not for documents inside a call: use 'text', 'markdown' or 'xml'")
        return value

    @field_validator("budget")
    @classmethod
    def _positive(cls, value: int | None) -> int | None:
        if value is not None and value <= 0:
            raise BudgetExceeded(
                f"a budget of {value} tokens holds nothing: give a positive number", section="question", needed=1, limit=value
            )
        return value

    def replace(self, **changes: Any) -> AgentCall:  # noqa: ANN401 - any field
        """The same call with other values, checked like a new one."""
        return AgentCall(**{**{name: getattr(self, name) for name in self.model_fields_set}, **changes})

    def rule(self, section: str) -> SectionRule:
        """The rule in force for a flexible section."""
        return self.sections.get(section, DEFAULT_RULES[section])

    @property
    def thread(self) -> str:
        """The name of the conversation: given, or made of agent and scope."""
        return self.conversation or canonical_json([self.agent, self.scope])


def read_tools(value: object) -> tuple[Tool, ...]:
    """Tool definitions of any provider's form, sorted by name.

    Raises:
        InputError: naming the tool: an unknown form, a name twice, a schema that is cyclic, too deep or too large.
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise InputError(f"tools must be a list of definitions, not {type(value).__name__}")
    if len(value) > _MOST_TOOLS:
        raise InputError(f"{len(value)} tools are too many: at most {_MOST_TOOLS}; offer the agent only those it may need")
    tools = [_tool(number, one) for number, one in enumerate(value)]
    names = [tool.name for tool in tools]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"two tools are called {twice!r}: names must differ")
    return tuple(sorted(tools, key=lambda tool: tool.name))


def _tool(number: int, given: object) -> Tool:
    if isinstance(given, Tool):
        return given
    label = f"tools[{number}]"
    if not isinstance(given, Mapping):
        raise InputError(f"{label} must be a mapping, not {type(given).__name__}")
    inner = given.get("function", given)
    if not isinstance(inner, Mapping) or given.get("type", "function") not in ("function", "custom") or "name" not in inner:
        raise InputError(f"{label} is no function definition: it needs a name, found {sorted(map(str, given))}")
    name = inner["name"]
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{label}: the name must be a text, not {name!r}")
    label = f"{label} ({name})"
    schema: object = next((inner[key] for key in ("parameters", "input_schema") if inner.get(key) is not None), {})
    check_tree(schema, label)
    if not isinstance(schema, Mapping):
        raise InputError(f"{label}: the parameters must be a JSON schema object, not {type(schema).__name__}")
    spelled = canonical_json(schema)
    check_text(f"{name}{inner.get('description') or ''}{spelled}", label)
    plain = json.loads(spelled)
    return Tool(name=name, description=str(inner.get("description") or ""), parameters=plain, strict=inner.get("strict"))
