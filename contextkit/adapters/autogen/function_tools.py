"""What AutoGen's agents may do with a kit, as function tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from autogen_core.tools import FunctionTool

from contextkit.adapters.shared.tools import ToolOptions, offered

if TYPE_CHECKING:
    from contextkit.kit import Kit


def tools(kit: Kit, **options: Unpack[ToolOptions]) -> list[FunctionTool]:
    """The tools of a kit: `search` and `context`; with a scope `recall` and, unless the kit is read-only, `remember`.

    A mistake in the model's arguments is an InputError, which AutoGen's agents tell the model.

    Args:
        kit: an open kit.
        options: `scope`, `budget`, `model`, `where` and `principal`; see `contextkit.adapters.shared.tools.ToolOptions`.

    Raises:
        InputError: the scope or the budget cannot work.
    """
    return [FunctionTool(tool.function, description=tool.description, name=tool.name) for tool in offered(kit, **options)]
