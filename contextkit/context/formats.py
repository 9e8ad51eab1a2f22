"""A planned packet as providers take it: OpenAI chat, OpenAI responses, Anthropic messages, plain text.

Only spelling happens here; nothing is chosen, shortened or counted. The same layout gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contextkit.context.call import Tool
from contextkit.context.history import Message
from contextkit.context.parts import anthropic_parts, openai_parts, responses_parts
from contextkit.context.plain import canonical_json
from contextkit.errors import InputError

START = "[the conversation starts here]"
"""Said as the user where a history starts with the assistant: Anthropic's first message must be a user's."""
_MARK = {"type": "ephemeral"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What is sent, in the order in which it is sent: stable first.

    Attributes:
        tools: sorted by name.
        system: the system prompt, or "".
        pinned: pinned memory as one text, or "".
        before: the history.
        turn: the last user turn: memory, documents, question.
        after: steps after the question.
    """

    tools: tuple[Tool, ...]
    system: str
    pinned: str
    before: tuple[Message, ...]
    turn: str
    after: tuple[Message, ...] = ()

    def spoken(self) -> Iterator[Message]:
        """All messages but the system's."""
        yield from self.before
        yield Message("user", self.turn)
        yield from self.after


def openai_messages(layout: Layout) -> list[dict[str, object]]:
    """Messages of OpenAI's chat completions, the system's included."""
    system: list[dict[str, object]] = [{"role": "system", "content": t} for t in (layout.system, layout.pinned) if t]
    return [*system, *map(openai_message, layout.spoken())]


def openai_message(message: Message) -> dict[str, object]:
    """One message of OpenAI's chat completions."""
    if message.role == "tool":
        if message.parts:
            raise InputError(
                f"{_name(message)} holds an image, and results of OpenAI's chat format are text: use 'responses' or 'anthropic'"
            )
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    content: object = openai_parts(message.parts, _name(message)) if message.parts else message.text or None
    out: dict[str, object] = {"role": message.role, "content": content}
    if message.name:
        out["name"] = message.name
    if message.calls:
        out["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.calls
        ]
    return out


def _name(message: Message) -> str:
    return f"the message of role {message.role} at place {message.place}"


def openai_tools(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """Tool definitions of OpenAI's chat completions."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: Tool) -> dict[str, object]:
    out: dict[str, object] = {"name": tool.name}
    if tool.description:
        out["description"] = tool.description
    out["parameters"] = tool.parameters
    if tool.strict is not None:
        out["strict"] = tool.strict
    return out


def responses_input(layout: Layout) -> list[dict[str, object]]:
    """Input items of OpenAI's responses, the system's included."""
    out: list[dict[str, object]] = [{"role": "system", "content": t} for t in (layout.system, layout.pinned) if t]
    for message in layout.spoken():
        if message.role == "tool":
            output = responses_parts(message.parts, _name(message)) if message.parts else message.text
            out.append({"type": "function_call_output", "call_id": message.call_id, "output": output})
            continue
        if message.parts:
            out.append({"role": message.role, "content": responses_parts(message.parts, _name(message))})
        elif message.text:
            out.append({"role": message.role, "content": message.text})
        out.extend({"type": "function_call", "call_id": c.id, "name": c.name, "arguments": c.arguments} for c in message.calls)
    return out


def responses_tools(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """Tool definitions of OpenAI's responses."""
    return [
        {
            "type": "function", "name": tool.name, "description": tool.description or None, "parameters": tool.parameters,
            "strict": bool(tool.strict),
        }
        for tool in tools
    ]  # fmt: skip


def anthropic_system(layout: Layout) -> list[dict[str, object]]:
    """The system blocks of Anthropic's messages; the last one ends a cached prefix."""
    out: list[dict[str, object]] = [{"type": "text", "text": t} for t in (layout.system, layout.pinned) if t]
    return _marked(out)


def anthropic_tools(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """Tool definitions of Anthropic's messages; the last one ends a cached prefix."""
    out: list[dict[str, object]] = []
    for tool in tools:
        schema = tool.parameters if tool.parameters.get("type") == "object" else {"type": "object", **tool.parameters}
        described = {"description": tool.description} if tool.description else {}
        out.append({"name": tool.name, **described, "input_schema": schema})
    return _marked(out)


def anthropic_messages(layout: Layout) -> list[dict[str, object]]:
    """Messages of Anthropic's API, without the system's. The history's end, and that of steps, end cached prefixes."""
    blocks: list[tuple[str, dict[str, object]]] = []
    marks: list[int] = []
    if layout.before and layout.before[0].role == "assistant":
        blocks.append(("user", {"type": "text", "text": START}))
    for message in layout.before:
        blocks.extend(_anthropic_blocks(message))
    marks.append(len(blocks) - 1)
    blocks.append(("user", {"type": "text", "text": layout.turn}))
    for message in layout.after:
        blocks.extend(_anthropic_blocks(message))
    if layout.after:
        marks.append(len(blocks) - 1)
    for mark in marks:
        while mark >= 0 and blocks[mark][1]["type"] in ("thinking", "redacted_thinking"):
            mark -= 1  # these cannot end a cached prefix
        if mark >= 0:
            blocks[mark] = (blocks[mark][0], {**blocks[mark][1], "cache_control": _MARK})
    return _joined(blocks)


def _marked(blocks: list[dict[str, object]]) -> list[dict[str, object]]:
    return [*blocks[:-1], {**blocks[-1], "cache_control": _MARK}] if blocks else []


def _anthropic_blocks(message: Message) -> Iterator[tuple[str, dict[str, object]]]:
    if message.role == "tool":
        failed = {"is_error": True} if message.failed else {}
        content: object = anthropic_parts(message.parts) if message.parts else message.text
        yield "user", {"type": "tool_result", "tool_use_id": message.call_id, "content": content, **failed}
        return
    if message.parts:
        if message.name:
            yield message.role, {"type": "text", "text": f"{message.name}:"}
        for part in anthropic_parts(message.parts):
            yield message.role, part
    elif message.text:
        text = f"{message.name}: {message.text}" if message.name else message.text
        yield message.role, {"type": "text", "text": text}
    for call in message.calls:
        yield "assistant", {"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call.arguments)}


def _arguments(text: str) -> dict[str, object]:
    """Arguments as an object; what a model wrote that is none goes along as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"arguments": text}
    return value if isinstance(value, dict) else {"arguments": text}


def _joined(blocks: Sequence[tuple[str, dict[str, object]]]) -> list[dict[str, object]]:
    """Blocks of one role after the other as one message: roles alternate."""
    out: list[tuple[str, list[dict[str, object]]]] = []
    for role, block in blocks:
        if out and out[-1][0] == role:
            out[-1][1].append(block)
        else:
            out.append((role, [block]))
    return [{"role": role, "content": content} for role, content in out]


def plain_text(layout: Layout) -> str:
    """Everything as one text to read, section by section."""
    parts = []
    if layout.tools:
        names = "\n".join(
            canonical_json({"name": t.name, "description": t.description, "parameters": t.parameters}) for t in layout.tools
        )
        parts.append(f"# Tools\n{names}")
    if layout.system:
        parts.append(f"# System\n{layout.system}")
    if layout.pinned:
        parts.append(layout.pinned)
    for message in layout.spoken():
        said = [part.shown() for part in message.parts] if message.parts else [message.text] if message.text else []
        said += [f"calls {c.name}({c.arguments}) as {c.id}" for c in message.calls]
        who = {"user": "User", "assistant": "Assistant", "tool": f"Result of {message.name}, call {message.call_id}"}[
            message.role
        ]
        parts.append(f"# {who}{f' ({message.name})' if message.name and message.role != 'tool' else ''}\n" + "\n".join(said))
    return "\n\n".join(parts)
