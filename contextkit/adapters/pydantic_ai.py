"""pydantic-ai on a kit: packets as model requests, and a toolset.

    packets = PacketCapability(kit, budget=4096, scope={"user": "ann"})
    agent = Agent(model, capabilities=[packets], toolsets=[toolset(kit, scope={"user": "ann"})])
    result = await agent.run(question, message_history=history)

A capability, and not a history processor: a processor's result becomes the run's history, so the documents of every step would be
in it for good. What is not pydantic-ai's own is `agent_calls.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from contextkit.adapters.agent_calls import FEEDBACK, Packets, joined, missing, offered
from contextkit.errors import InputError

try:
    from pydantic_ai import FunctionToolset, ModelRetry, RunContext, Tool
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.messages import (
        BaseToolReturnPart,
        BinaryContent,
        ImageUrl,
        InstructionPart,
        ModelMessage,
        ModelRequest,
        ModelResponse,
        RetryFeedbackPart,
        RetryPromptPart,
        SystemPromptPart,
        TextContent,
        TextPart,
        ThinkingPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )
except ModuleNotFoundError as error:
    raise missing(error, "pydantic_ai", "pydantic-ai-slim", "pydantic-ai") from None

if TYPE_CHECKING:
    from pydantic_ai.models import ModelRequestContext

    from contextkit.context.account import AgentPacket
    from contextkit.kit import Kit, Where
    from contextkit.types import Principal

__all__ = ["PacketCapability", "toolset"]

_SILENT = frozenset({"tool-availability-delta", "model-settings-delta", "instruction-digest"})
"""Parts by which the library keeps its own books; a model reads nothing of them."""


class PacketCapability(AbstractCapability[Any]):
    """Builds the packet of each model request; give it as `Agent(capabilities=[...])`. The run's own history stays as it is.

    What the model receives is the packet: its messages as messages, and its system texts as system prompts, or as the agent's
    instructions where these are all there is. The last user prompt is the question. Prompts must be texts and images
    (those of the question stand in a prompt before it), results texts; thinking is left out. Output schemas that are not tools,
    and native tools, are not counted.

    Args:
        kit: an open kit.
        scope: whose memory goes into the packets; None: no memory.
        conversation: names the conversation; "": the run's `conversation_id` does.
        call: `budget`, `model` and other fields of `contextkit.AgentCall` that stay the same.

    Raises:
        InputError: a field that is not known, or a value that cannot work.
    """

    def __init__(
        self,
        kit: Kit,
        *,
        scope: Mapping[str, str] | None = None,
        conversation: str = "",
        **call: Any,  # noqa: ANN401 - fields of AgentCall
    ) -> None:
        self.id = None
        self.description = None
        self.defer_loading = False
        self._packets = Packets(kit, scope=scope, **call)
        self._conversation = conversation

    @property
    def packet(self) -> AgentPacket | None:
        """The packet of the last request; None before the first."""
        return self._packets.last

    async def before_model_request(self, ctx: RunContext[Any], request_context: ModelRequestContext) -> ModelRequestContext:
        """The request with the packet in it.

        Raises:
            InputError: a part that cannot be carried, or no user's prompt; the run ends with it.
            BudgetExceeded: what may not be trimmed does not fit.
        """
        parameters = request_context.model_request_parameters
        prompts, messages = _chat(request_context.messages)
        instructions = InstructionPart.join(parameters.instruction_parts or ()) or ""
        offer = [
            {"name": t.name, "description": t.description, "parameters": t.parameters_json_schema, "strict": t.strict}
            for t in (*parameters.function_tools, *parameters.output_tools)
        ]
        system = joined([*prompts, instructions])
        packet = await asyncio.to_thread(self._packets.build, messages, system=system, tools=offer, **self._who(ctx))
        chat = packet.messages("openai")
        texts = [str(message["content"]) for message in chat if message["role"] == "system"]
        spoken = [message for message in chat if message["role"] != "system"]
        if texts == [instructions]:
            texts = []
        else:  # several texts keep their order only as system prompts
            parameters = replace(parameters, instruction_parts=[])
        given = _given(request_context.messages)
        sent = list(_requests([SystemPromptPart(text) for text in texts], spoken, given))
        return replace(request_context, messages=sent, model_request_parameters=parameters)

    async def after_model_request(
        self,
        ctx: RunContext[Any],
        *,
        request_context: ModelRequestContext,  # noqa: ARG002 - the library's signature
        response: ModelResponse,
    ) -> ModelResponse:
        """The response as it came; its usage is noted for the next packet's receipt."""
        self._packets.report(response.usage.input_tokens, **self._who(ctx))
        return response

    def _who(self, ctx: RunContext[Any]) -> dict[str, str]:
        name = ctx.agent.name if ctx.agent is not None else None
        return {"agent": name or "agent", "conversation": self._conversation or ctx.conversation_id or ""}


def toolset(
    kit: Kit,
    *,
    scope: Mapping[str, str] | None = None,
    budget: int = 1024,
    model: str | None = None,
    where: Where | None = None,
    principal: Principal | None = None,
) -> FunctionToolset[Any]:
    """The tools of a kit: `search` and `context`; with a scope `recall` and, unless the kit is read-only, `remember`.

    A mistake in the model's arguments is a `ModelRetry`; a closed kit and other troubles end the run.

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
    return FunctionToolset(
        [Tool(_retrying(t.function), name=t.name, description=t.description, takes_ctx=False) for t in made], id="contextkit"
    )


def _retrying(function: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    """The function, with a mistake in its arguments as the library's own request to try again."""

    @wraps(function)
    async def called(**arguments: Any) -> str:  # noqa: ANN401 - those of the function
        try:
            return await function(**arguments)
        except InputError as error:
            raise ModelRetry(str(error)) from error

    return called


def _chat(history: Sequence[ModelMessage]) -> tuple[list[str], list[dict[str, Any]]]:
    """A run's history as system prompts and messages in chat form."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for place, message in enumerate(history):
        if isinstance(message, ModelResponse):
            said = _said(message, place)
            if said["content"] or said.get("tool_calls"):
                messages.append(said)
            continue
        for part in message.parts:
            if isinstance(part, SystemPromptPart):
                system.append(part.content)
            elif part.part_kind not in _SILENT:
                messages.append(_asked(part, place))
    return system, messages


def _asked(part: object, place: int) -> dict[str, Any]:
    """A part of a request as a message."""
    if isinstance(part, UserPromptPart):
        return {"role": "user", "content": _content(part, place)}
    if isinstance(part, BaseToolReturnPart):
        if part.files:
            raise InputError(f"message {place}: the result of {part.tool_name} holds files: only text can be carried in a packet")
        return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()}
    if isinstance(part, RetryPromptPart) and part.tool_name is not None:
        return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response()}
    if isinstance(part, (RetryPromptPart, RetryFeedbackPart)):
        return {"role": "user", "content": part.model_response(), FEEDBACK: True}
    raise InputError(f"message {place} holds a {type(part).__name__}, which no packet can carry: run without PacketCapability")


def _content(part: UserPromptPart, place: int) -> str | list[dict[str, Any]]:
    """A prompt as its text, or as its parts where an image is among them."""
    pieces = [part.content] if isinstance(part.content, str) else part.content
    spelled = [_piece(piece, place) for piece in pieces]
    if all(one["type"] == "text" for one in spelled):
        return joined([one["text"] for one in spelled])
    return spelled


def _piece(piece: object, place: int) -> dict[str, Any]:
    if isinstance(piece, TextContent):
        piece = piece.content
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    url = _address(piece)
    if url is None:
        raise InputError(f"message {place} holds {type(piece).__name__}: only texts and images can be carried in a packet")
    return {"type": "image_url", "image_url": {"url": url}}


def _address(piece: object) -> str | None:
    """Where an image is, or the image itself as an address; None for anything else."""
    if isinstance(piece, BinaryContent):
        return piece.data_uri if piece.is_image else None
    return piece.url if isinstance(piece, ImageUrl) else None


def _said(message: ModelResponse, place: int) -> dict[str, Any]:
    """A response as an assistant's message; thinking is left out."""
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif isinstance(part, ToolCallPart):
            function = {"name": part.tool_name, "arguments": part.args_as_json_str()}
            calls.append({"id": part.tool_call_id, "type": "function", "function": function})
        elif not isinstance(part, ThinkingPart):
            raise InputError(
                f"message {place} holds a {type(part).__name__}, which no packet can carry: run without PacketCapability"
            )
    said: dict[str, Any] = {"role": "assistant", "content": joined(texts) or None}
    return {**said, "tool_calls": calls} if calls else said


def _given(history: Sequence[ModelMessage]) -> dict[str, Any]:
    """What goes out as the object that came in: the program's feedback by its text, images by their address."""
    parts = [part for message in history if isinstance(message, ModelRequest) for part in message.parts]
    out: dict[str, Any] = {part.model_response(): part for part in parts if isinstance(part, RetryFeedbackPart)}
    for part in parts:
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str):
            out.update({url: piece for piece in part.content if (url := _address(piece)) is not None})
    return out


def _prompt(content: str | Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one of two parts
    """A user's message of a packet as the part that it came from, or as a prompt."""
    if not isinstance(content, str):
        pieces = [one["text"] if one["type"] == "text" else given[one["image_url"]["url"]] for one in content]
        return UserPromptPart(pieces)
    return given.get(content) or UserPromptPart(content)


def _requests(
    system: Sequence[SystemPromptPart], spoken: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
) -> Iterator[ModelMessage]:
    """Messages in chat form as the library's; what stands between two responses is one request."""
    parts: list[Any] = list(system)
    names: dict[str, str] = {}
    for message in spoken:
        if message["role"] == "assistant":
            if parts:
                yield ModelRequest(parts=parts)
            parts = []
            calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", ())]
            names.update({call_id: name for call_id, name, _ in calls})
            text = [TextPart(message["content"])] if message["content"] else []
            yield ModelResponse(parts=[*text, *(ToolCallPart(name, args, call_id) for call_id, name, args in calls)])
        elif message["role"] == "tool":
            call_id = message["tool_call_id"]
            parts.append(ToolReturnPart(tool_name=names[call_id], content=message["content"], tool_call_id=call_id))
        else:
            parts.append(_prompt(message["content"], given))
    if parts:
        yield ModelRequest(parts=parts)
