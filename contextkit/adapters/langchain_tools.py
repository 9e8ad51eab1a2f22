"""`kit_tools`: what an agent may do with a kit, as LangChain tools. Building its packets is `langchain_middleware.py`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from contextkit.adapters.agent_calls import offered
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.kit import Kit, Where
    from contextkit.types import Principal


def kit_tools(
    kit: Kit,
    *,
    scope: Mapping[str, str] | None = None,
    budget: int = 1024,
    model: str | None = None,
    where: Where | None = None,
    principal: Principal | None = None,
) -> list[BaseTool]:
    """The tools `search` and `context`, and with a scope `recall` and, unless the kit is read-only, `remember`.

    They work called either way, sync or async. What the model got wrong (an empty query, a count out of range) comes back to it
    as the tool's result of status "error".

    Args:
        kit: an open kit.
        scope: whose memory is written and recalled, for example {"user": "ann"}; None: no memory tools.
        budget: most tokens that `context` and `recall` give.
        model: whose tokens count; None: cl100k_base.
        where: metadata filter of the documents.
        principal: on whose behalf; without one only documents that everyone may see.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    found = offered(kit, scope=scope, budget=budget, model=model, where=where, principal=principal)
    tools: list[BaseTool] = []
    for name, description, function in found:
        told = _told(function)
        tool = StructuredTool.from_function(
            coroutine=told, name=name, description=description, handle_tool_error=True, infer_schema=True
        )
        tool.func = _told_at_once(inspect.unwrap(function))
        tools.append(tool)
    return tools


def _told(function: Callable[..., Awaitable[str]]) -> Callable[..., Awaitable[str]]:
    """The function, its InputError as LangChain's ToolException, which goes to the model."""

    @wraps(function)
    async def told(**arguments: Any) -> str:  # noqa: ANN401 - those of the function
        try:
            return await function(**arguments)
        except InputError as error:
            raise ToolException(str(error)) from error

    return told


def _told_at_once(function: Callable[..., str]) -> Callable[..., str]:
    """As `_told`, for a function that does its work at once."""

    @wraps(function)
    def told(**arguments: Any) -> str:  # noqa: ANN401 - those of the function
        try:
            return function(**arguments)
        except InputError as error:
            raise ToolException(str(error)) from error

    return told
