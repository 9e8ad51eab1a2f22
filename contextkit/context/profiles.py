"""Named profiles of agents in `contextkit.toml`: what every call of one agent has in common.

    [agents.researcher]
    models = ["gpt-4o-mini", "gpt-4o"]
    budget = 16000
    reply_reserve = 1000
    system = "prompts/researcher.j2"      # a file beside this one, or the text itself as `system_text`
    where = { team = "blue" }
    format = "xml"

    [agents.researcher.sections.documents]
    share = 0.5
    maximum = 4000

A profile gives defaults: whatever a call names itself holds. The settings of the command line are in `contextkit.config`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from contextkit.context.call import AgentCall, Checked, Compaction, SectionRule
from contextkit.context.packet import Format, Order
from contextkit.context.templates import Template
from contextkit.errors import InputError

_CALL_FIELDS = ("budget", "reply_reserve", "where", "sections", "compaction", "format", "order", "pinned", "tools")


class Profile(Checked):
    """What every call of one agent has in common; see `AgentCall` for the fields of the same names.

    Attributes:
        name: the agent's.
        models: those that it may use, the usual one first; empty: any.
        system: file of its prompt template, or "".
        system_text: the system prompt itself, or "".
        budget: as in AgentCall.
        reply_reserve: as in AgentCall.
        where: as in AgentCall.
        sections: as in AgentCall.
        compaction: as in AgentCall.
        format: as in AgentCall.
        order: as in AgentCall.
        pinned: as in AgentCall.
        tools: as in AgentCall.
        folder: where the profile's file lies; files are named relative to it.
    """

    name: str
    models: tuple[str, ...] = ()
    system: str = ""
    system_text: str = ""
    budget: int | None = Field(default=None, gt=0)
    reply_reserve: int | None = Field(default=None, ge=0)
    where: dict[str, Any] | None = None
    sections: dict[str, SectionRule] = Field(default_factory=dict)
    compaction: Compaction = Compaction()
    format: Format = Format.TEXT
    order: Order = Order.BEST_FIRST
    pinned: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    folder: Path = Path()

    def call(self, question: str, *, variables: Mapping[str, object] | None = None, **given: Any) -> AgentCall:  # noqa: ANN401 - any field
        """A call of this agent: what is given holds, the profile fills in the rest.

        Args:
            question: what is asked.
            variables: of the prompt template.
            given: fields of AgentCall. A `where` must hold beside the profile's own, it does not replace it.

        Raises:
            InputError: a model that the agent may not use, variables that do not fit the template, or a value that cannot work.
        """
        model = given.get("model", self.models[0] if self.models else None)
        if self.models and model not in self.models:
            raise InputError(f"the agent {self.name!r} may not use {model!r}: its models are {', '.join(self.models)}")
        fields = {name: getattr(self, name) for name in _CALL_FIELDS if name in self.model_fields_set}
        if self.where is not None and given.get("where") is not None:
            given = {**given, "where": {"$and": [self.where, given["where"]]}}
        if "system" not in given:
            given["system"] = self._prompt(variables or {})
        return AgentCall(**{"agent": self.name, **fields, **given, "model": model, "question": question})

    def _prompt(self, variables: Mapping[str, object]) -> object:
        if self.system and self.system_text:
            raise InputError(f"the agent {self.name!r} has both `system` (a file) and `system_text`: keep one")
        if self.system:
            return Template.from_file(self.folder / self.system).render(variables)
        if variables:
            raise InputError(f"the agent {self.name!r} has no prompt template for {', '.join(sorted(variables))}")
        return self.system_text


def load_profiles(path: str | Path | None = None) -> dict[str, Profile]:
    """The profiles of a `contextkit.toml`, by name; empty where it has none.

    Args:
        path: the file; None: the one in the current folder or the nearest of its parents.

    Raises:
        InputError: the file cannot be read, or a profile has a name or value that cannot work.
    """
    from contextkit.config import find_file

    file = find_file() if path is None else Path(path)
    if file is None:
        return {}
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as TOML: {error}") from error
    agents = values.get("agents", {})
    if not isinstance(agents, dict) or not all(isinstance(one, dict) for one in agents.values()):
        raise InputError(f"{file}: agents must be tables such as [agents.researcher]")
    out = {}
    for name, fields in agents.items():
        try:
            out[name] = Profile(**{"name": name, **fields, "folder": file.parent})
            if out[name].system:
                out[name].call("?", system="")  # its values are those of a call
            else:
                out[name].call("?")
        except InputError as error:
            raise InputError(f"{file}, [agents.{name}]: {error}") from None
    return out
