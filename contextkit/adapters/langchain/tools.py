"""`kit_tools`: what an agent may do with a kit, as LangChain tools. Building its packets is `middleware.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from contextkit.adapters.shared.tools import ToolOptions, offered

if TYPE_CHECKING:
    from contextkit.kit import Kit


def kit_tools(kit: Kit, **options: Unpack[ToolOptions]) -> list[BaseTool]:
    """The tools `search` and `context`, and with a scope `recall` and, unless the kit is read-only, `remember`.

    They work called either way, sync or async. What the model got wrong (an empty query, a count out of range) comes back to it
    as the tool's result of status "error".

    Args:
        kit: an open kit.
        options: `scope`, `budget`, `model`, `where` and `principal`; see `contextkit.adapters.shared.tools.ToolOptions`.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    return [
        StructuredTool.from_function(
            tool.at_once, coroutine=tool.function, name=tool.name, description=tool.description, handle_tool_error=True
        )
        for tool in (one.raising(ToolException) for one in offered(kit, **options))
    ]
