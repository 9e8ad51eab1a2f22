"""Packets of the model calls of an agent, and what the provider reports of them.

No peer is imported here. An adapter spells messages and tools in its peer's types; what is built is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.account import AgentPacket
    from contextkit.context.call import AgentCall
    from contextkit.kit import Kit

_OWN = frozenset(
    ("question", "history", "steps", "memory", "system", "tools", "reported_tokens", "agent", "conversation", "scope")
)
FEEDBACK = "contextkit feedback"
"""Marks a user's message that the program wrote."""
_THREADS = 4096  # conversations whose reported tokens are remembered


class Packets:
    """Builds the packet of each model call of an agent, and remembers what the provider then reported.

    Args:
        kit: an open kit.
        scope: whose memory goes into the packets; None: no memory.
        call: what stays the same from call to call: `budget`, `model`, `sections`, `where`, `principal` and other fields of
            `contextkit.AgentCall`; those that the running agent decides (question, history, tools ...) are not among them.

    Raises:
        InputError: a field that is not known, or a value that cannot work.
    """

    def __init__(self, kit: Kit, *, scope: Mapping[str, str] | None = None, **call: Any) -> None:  # noqa: ANN401 - fields of AgentCall
        from contextkit.memory import scopes

        self._kit = kit
        whose = {} if scope is None else dict(scopes.checked(scope))
        self.call: AgentCall = common_call(call, _OWN).replace(scope=whose)
        """What every call has in common."""
        self._reported: dict[str, int] = {}
        self.last: AgentPacket | None = None
        """The packet of the last call."""

    def build(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        system: str,
        tools: Sequence[Mapping[str, Any]],
        agent: str,
        conversation: str = "",
        **changes: Any,  # noqa: ANN401 - fields of AgentCall
    ) -> AgentPacket:
        """The packet of one call: the last user's message is the question, what is before it history, what is after it steps.

        Args:
            messages: all messages so far in OpenAI's chat form, without the system's. A user's message with the key FEEDBACK is
                the program's answer to the model, and no question. Images of the question stand in a message before it.
            system: the system prompt.
            tools: definitions in OpenAI's form.
            agent: who calls.
            conversation: names the conversation; "": agent and scope do.
            changes: fields that are others than the constructor's.

        Raises:
            InputError: no message is a user's, or one cannot be carried.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        asked = [n for n, message in enumerate(messages) if message["role"] == "user" and not message.get(FEEDBACK)]
        if not asked:
            raise InputError(f"none of the {len(messages)} messages is a user's: there is no question to build a packet for")
        place = asked[-1]
        plain = [{key: value for key, value in message.items() if key != FEEDBACK} for message in messages]
        question, shown = _question(plain[place])
        thread = thread_name(conversation, agent)
        call = self.call.replace(
            question=question, history=[*plain[:place], *shown], steps=plain[place + 1 :], system=system, tools=tools,
            agent=agent, conversation=thread, reported_tokens=self._reported.get(thread), **changes,
        )  # fmt: skip
        self.last = self._kit.build(call)
        return self.last

    def report(self, tokens: int, *, agent: str, conversation: str = "") -> None:
        """Notes the input tokens that the provider reported for the last call; 0 or less says nothing."""
        if tokens > 0:
            while len(self._reported) >= _THREADS:
                self._reported.pop(next(iter(self._reported)), None)
            self._reported[thread_name(conversation, agent)] = tokens


def common_call(fields: Mapping[str, Any], own: Collection[str]) -> AgentCall:
    """What all calls of an agent have in common, its question left open.

    Args:
        fields: of `contextkit.AgentCall`.
        own: fields that the running agent decides.

    Raises:
        InputError: a field that is not known or is the running agent's, or a value that cannot work.
    """
    from contextkit.context.call import AgentCall

    decided = sorted(set(own) & set(fields))
    if decided:
        raise InputError(f"{decided[0]!r} is decided by the running agent at each call: leave it out here")
    return AgentCall(question="?", **fields)


def _question(message: Mapping[str, Any]) -> tuple[str, list[Mapping[str, Any]]]:
    """The text of a question, and a message before it with the images that it shows, where it shows any."""
    content = message["content"]
    if isinstance(content, str):
        return content, []
    texts = [part["text"] for part in content if "text" in part]
    return joined(texts), [{**message, "content": [part for part in content if "text" not in part]}]


def thread_name(conversation: str, agent: str) -> str:
    """The name of one agent's conversation; "" where none is given: agent and scope name it then."""
    return f"{conversation}: {agent}" if conversation else ""


def input_tokens(usage: object) -> int:
    """The input tokens in a provider's account of a call, those that it read from its cache among them; 0 where it says nothing.

    Args:
        usage: a mapping or an object that says `prompt_tokens`, `input_tokens` or `prompt_token_count`. Who also tells a total
            counts cached tokens as input; who does not (Anthropic) tells them beside it.
    """

    def told(name: str) -> int:
        value = usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

    tokens = told("prompt_tokens") or told("input_tokens") or told("prompt_token_count")
    if tokens == 0 or told("total_tokens") or told("total_token_count"):
        return tokens
    return tokens + told("cache_read_input_tokens") + told("cache_creation_input_tokens")


def joined(texts: Sequence[str]) -> str:
    """Texts of one message as one."""
    return "\n\n".join(text for text in texts if text)
