"""`toolset`: what a pydantic-ai agent may do with a kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from pydantic_ai import FunctionToolset, ModelRetry, Tool

from contextkit.adapters.shared.tools import ToolOptions, offered

if TYPE_CHECKING:
    from contextkit.kit import Kit


def toolset(kit: Kit, **options: Unpack[ToolOptions]) -> FunctionToolset[Any]:
    """The tools of a kit: `search` and `context`; with a scope `recall` and, unless the kit is read-only, `remember`.

    A mistake in the model's arguments is a `ModelRetry`; a closed kit and other troubles end the run.

    Args:
        kit: an open kit.
        options: `scope`, `budget`, `model`, `where` and `principal`; see `contextkit.adapters.shared.tools.ToolOptions`.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    made = [tool.raising(ModelRetry) for tool in offered(kit, **options)]
    return FunctionToolset(
        [Tool(tool.function, name=tool.name, description=tool.description, takes_ctx=False) for tool in made], id="contextkit"
    )
