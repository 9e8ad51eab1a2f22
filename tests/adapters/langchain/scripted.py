"""LangChain's own fake chat model with what an agent needs of it: tools are bound, and what it receives is noted."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool


class ScriptedModel(GenericFakeChatModel):
    received: list[list[BaseMessage]]
    bound: list[list[dict[str, Any]]]

    def bind_tools(self, tools, **kwargs):
        self.bound.append([convert_to_openai_tool(tool) for tool in tools])
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.received.append(list(messages))
        return super()._generate(messages, stop, run_manager, **kwargs)


def scripted(*answers: AIMessage | str) -> ScriptedModel:
    return ScriptedModel(messages=iter(answers), received=[], bound=[])


def calls(name: str, call_id: str = "call_1", **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id, "type": "tool_call"}])
