"""The templates of the index folder as prompts: of each the version labelled `production`, or else the last one.

A template's variables are the prompt's arguments, all of them needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp import types

from contextkit.adapters.mcp_server import paging
from contextkit.adapters.mcp_server.work import Context, Work
from contextkit.errors import InputError
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.context.templates import Template, TemplateStore
    from contextkit.kit import Kit
    from contextkit.sync import Progress

LABEL = "production"
"""The label whose version is served."""


async def listing(work: Work, context: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
    """A page of the prompts, by name. Raises MCPError where the cursor is none."""
    place = paging.decode(params, str)
    return await work.answer(context, lambda work, caller, tell: _listed(work, caller, tell, place[0] if place else ""))


def _listed(work: Work, caller: Principal | None, tell: Progress, after: str) -> types.ListPromptsResult:
    del caller  # templates are everyone's
    tell("list", 0, 1)
    store = _store(work.kit)
    names = [] if store is None else [name for name in store.names() if name > after]
    prompts = [_prompt(_template(store, name)) for name in names[: paging.SIZE]] if store else []
    return types.ListPromptsResult(
        prompts=prompts, next_cursor=paging.encode(names[paging.SIZE - 1]) if len(names) > paging.SIZE else None
    )


def _prompt(template: Template) -> types.Prompt:
    arguments = [types.PromptArgument(name=name, required=True) for name in sorted(template.variables)]
    version = f"Version {template.version}{f', {template.label}' if template.label else ''} ({template.digest})"
    return types.Prompt(name=template.name, description=version, arguments=arguments)


async def get(work: Work, context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    """The rendered prompt as one user message. Raises MCPError where there is none, or an argument is missing or unknown."""
    return await work.answer(context, lambda work, caller, tell: _rendered(work, caller, tell, params))


def _rendered(
    work: Work, caller: Principal | None, tell: Progress, params: types.GetPromptRequestParams
) -> types.GetPromptResult:
    del caller
    tell("render", 0, 1)
    store = _store(work.kit)
    if store is None:
        raise InputError(f"no prompt {params.name!r}: the index has no templates")
    prompt = _template(store, params.name).render(params.arguments)
    message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=prompt.text))
    return types.GetPromptResult(description=prompt.title, messages=[message])


def _store(kit: Kit) -> TemplateStore | None:
    """The index's templates; None where there are none: a reader makes no file."""
    from contextkit.context.templates import NAME, TemplateStore

    folder = kit.catalog.folder
    return TemplateStore(folder) if (folder / NAME).exists() else None


def _template(store: TemplateStore, name: str) -> Template:
    try:
        return store.get(name, LABEL)
    except InputError:
        return store.get(name)
