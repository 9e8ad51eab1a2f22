"""What the SDK's agents may do with a kit, as function tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from agents import FunctionTool, RunContextWrapper, function_tool

from contextkit.adapters.shared.tools import ToolOptions, offered
from contextkit.errors import ContextkitError, InputError

if TYPE_CHECKING:
    from contextkit.kit import Kit


def tools(kit: Kit, **options: Unpack[ToolOptions]) -> list[FunctionTool]:
    """Function tools of a kit: `search` and `context`; with a scope `recall` and, unless the kit is read-only, `remember`.

    A mistake in the model's arguments is told to the model; a closed kit and other troubles end the run.

    Args:
        kit: an open kit.
        options: `scope`, `budget`, `model`, `where` and `principal`; see `contextkit.adapters.shared.tools.ToolOptions`.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    return [
        function_tool(tool.function, name_override=tool.name, description_override=tool.description, failure_error_function=_told)
        for tool in offered(kit, **options)
    ]


def _told(_: RunContextWrapper[Any], error: Exception) -> str:
    """What the model reads of a mistake; anything but a mistake in its arguments is raised."""
    if isinstance(error, ContextkitError) and not isinstance(error, InputError):
        raise error
    return f"That did not work: {error}"
