"""Counts a model's input again, from what the model received."""

from __future__ import annotations

from contextkit.tokens import counter_for, framing_for, message_tokens, tool_tokens


def recounted(items, tools, handoffs=(), model=None):
    """Input tokens of items in the form of OpenAI's responses, and of what is offered as functions."""
    messages = []
    for item in items:
        if item.get("type") == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
        elif item.get("type") == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            if messages and messages[-1].get("tool_calls"):
                messages[-1]["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        else:
            messages.append({"role": item["role"], "content": item["content"]})
    offered = [(t.name, t.description, t.params_json_schema) for t in tools]
    offered += [(h.tool_name, h.tool_description, h.input_json_schema) for h in handoffs]
    counter, framing = counter_for(model), framing_for(model)
    return message_tokens(messages, counter, framing) + tool_tokens(sorted(offered), counter, framing)[0]
