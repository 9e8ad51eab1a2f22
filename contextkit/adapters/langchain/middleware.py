"""`KitMiddleware`: the packet of each model call of a LangChain agent, in place of its summarisation and trimming.

How messages are read and written is `messages.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langgraph.config import get_config

from contextkit.adapters.langchain import messages
from contextkit.adapters.shared.packets import common_call, thread_name
from contextkit.adapters.shared.threads import finished
from contextkit.errors import InputError

if TYPE_CHECKING:
    from langchain.agents.middleware.types import ModelCallResult
    from langgraph.runtime import Runtime

    from contextkit.context.account import AgentPacket
    from contextkit.context.call import AgentCall
    from contextkit.kit import Kit

_OWN = frozenset({"question", "history", "steps", "system", "tools", "reported_tokens", "conversation", "scope"})
RECEIPT = "contextkit_receipt"
"""Where a model's answer names the receipt of its packet: `message.response_metadata[RECEIPT]`, for `kit.receipt`."""

Whose = Mapping[str, str] | Callable[["Runtime[Any]"], Mapping[str, str] | None] | None


class KitMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Builds the packet of every model call of an agent: all that competes for the window, in one exact budget, with a receipt.

    The state keeps the whole conversation; what is sent of it is decided at each call. The last user's message is the question,
    what is before it history, what is after it the steps of the turn. The system prompt and the tools go in whole. Documents of
    the kit, and memory of the scope, join the question in its message. Leave summarisation and trimming middleware out.

    Each answer names its packet's receipt in `response_metadata["contextkit_receipt"]`. What the provider reports as the input
    of a call anchors the next receipt of the conversation.

    Args:
        kit: an open kit.
        scope: whose memory stands in the packet, for example {"user": "ann"}, or a function of the run's `Runtime` that says
            so; None: no memory.
        observe: whether each finished turn (question and answer) is taken into the scope's memory.
        prepare: changes a call before its packet is built, for what depends on the request, such as `principal` or `where`:
            `lambda call, request: call.replace(principal=...)`.
        call: `budget`, `model`, `recall` and other fields of `contextkit.AgentCall` that stay the same from call to call.
            Without a model tokens are counted as cl100k_base.

    Raises:
        InputError: a field that is not known, or a value that cannot work.
    """

    def __init__(
        self,
        kit: Kit,
        *,
        scope: Whose = None,
        observe: bool = False,
        prepare: Callable[[AgentCall, ModelRequest[Any]], AgentCall] | None = None,
        **call: Any,  # noqa: ANN401 - fields of AgentCall
    ) -> None:
        from contextkit.memory import scopes

        super().__init__()
        if observe and scope is None:
            raise InputError('observe=True needs a scope, such as scope={"user": "ann"}: whose memory is it?')
        self._kit = kit
        self._scope = scope if scope is None or callable(scope) else dict(scopes.checked(scope))
        self._observe = observe
        self._prepare = prepare
        self._call = common_call(call, _OWN)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelCallResult[Any]:
        """The model's answer to the packet.

        Raises:
            InputError: there is no user's message, or one that cannot be carried.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        packed, receipt = self._packed(request)
        return _named(handler(packed), receipt)

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelCallResult[Any]:
        """As `wrap_model_call`; the packet is built in a thread."""
        packed, receipt = await finished(self._packed, request)
        return _named(await handler(packed), receipt)

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Takes the finished turn into the memory, where that is asked for."""
        scope = self._whose(runtime) if self._observe else None
        turns = _said(state["messages"]) if scope else []
        if scope and turns:
            self._kit.memory.observe(turns, scope=scope)

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """As `after_agent`."""
        if self._observe:
            await finished(lambda: self.after_agent(state, runtime))

    # --------------------------------------------------------------------------------------------------------------------- inside

    def _packed(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], str]:
        """The request with the packet in place of its messages, and the id of the packet's receipt."""
        turn = messages.turn(request.messages)
        call = self._asked(request, turn)
        packet: AgentPacket = self._kit.build(call)
        held = request.system_message
        text = call.system if isinstance(call.system, str) else call.system.text
        same = held is not None and str(held.text) == text
        system = held if same else SystemMessage(text) if text else None
        tools = sorted(request.tools, key=messages.tool_name)
        changed = request.override(messages=messages.delivered(packet, call, turn), system_message=system, tools=tools)
        return changed, packet.receipt.id

    def _asked(self, request: ModelRequest[Any], turn: messages.Turn) -> AgentCall:
        scope = self._whose(request.runtime)
        system = "\n\n".join(text for text in (request.system_prompt or "", turn.system) if text)
        call = self._call.replace(
            # the question in its place, so that one that was asked before in the same words is not taken for it
            question=turn.question, history=messages.plain(turn.all), system=system,
            tools=messages.definitions(request.tools, request.response_format), scope=dict(scope or {}),
            conversation=thread_name(_conversation(), self._call.agent), reported_tokens=_reported(request.messages),
        )  # fmt: skip
        return call if self._prepare is None else self._prepare(call, request)

    def _whose(self, runtime: Runtime[Any]) -> Mapping[str, str] | None:
        return self._scope(runtime) if callable(self._scope) else self._scope


def _conversation() -> str:
    """The id of the thread that runs; "" where there is none."""
    try:
        return str(get_config().get("configurable", {}).get("thread_id") or "")
    except RuntimeError:  # outside of a graph
        return ""


def _reported(given: list[Any]) -> int | None:
    """The input tokens that the provider reported for the last answer, where that was given to a packet of ours."""
    last = next((m for m in reversed(given) if isinstance(m, AIMessage)), None)
    if last is None or RECEIPT not in last.response_metadata or not last.usage_metadata:
        return None
    return last.usage_metadata["input_tokens"] or None


def _named(response: ModelResponse[Any], receipt: str) -> ModelResponse[Any]:
    """The response, its answer naming the packet's receipt."""
    result: list[BaseMessage] = [
        m.model_copy(update={"response_metadata": {**m.response_metadata, RECEIPT: receipt}}) if isinstance(m, AIMessage) else m
        for m in response.result
    ]
    return ModelResponse(result=result, structured_response=response.structured_response)


def _said(given: list[Any]) -> list[dict[str, str]]:
    """The last question and its answer, as a memory observes them; nothing where the turn has no answer in words."""
    asked = next((n for n in range(len(given) - 1, -1, -1) if isinstance(given[n], HumanMessage)), None)
    if asked is None:
        return []
    answer = next((m for m in reversed(given[asked + 1 :]) if isinstance(m, AIMessage) and not m.tool_calls), None)
    turns = [("user", given[asked]), ("assistant", answer)]
    return [{"role": role, "content": str(m.text)} for role, m in turns if m is not None and str(m.text).strip()]
