"""Named profiles of agents in `contextkit.toml`: what every call of one agent has in common.

    [agents.researcher]
    models = ["gpt-4o-mini", { model = "gpt-4o", tier = 2, data_classes = ["public"], seconds = 8 }]
    tasks = { summarise = 0, answer = 2 }   # the least tier of a model for each kind of task
    budget = 16000
    reply_reserve = 1000
    system = "prompts/researcher.j2"        # a file beside this one, or the text itself as `system_text`
    where = { team = "blue" }
    k = 30
    format = "xml"
    recall = { kinds = ["semantic", "procedural"], k = 20, pin_importance = 0.9 }
    screens = ["secrets"]                   # plug-ins of the group contextkit.screens
    summarizer = { model = "gpt-4o-mini", url = "https://api.openai.com/v1", key = "OPENAI_API_KEY" }

    [agents.researcher.sections.documents]
    share = 0.5
    maximum = 4000

    [models.house-model]                    # what no catalogue knows, or knows otherwise; for all agents
    encoding = "o200k_base"
    window = 32000
    input_price = 0.4

A profile gives defaults: whatever a call names itself holds. The settings of the command line are in `contextkit.config`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from contextkit.context.call import AgentCall, Compaction, Remembering, SectionRule
from contextkit.context.checked import Checked
from contextkit.context.facts import ModelFacts
from contextkit.context.packet import Fill, Format, Order
from contextkit.context.route import Candidate
from contextkit.context.templates import Template
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.chat import ChatSummarizer
    from contextkit.protocols import Screen

_CALL_FIELDS = (
    "budget", "reply_reserve", "where", "k", "recall", "sections", "compaction", "format", "order", "fill", "pinned", "tools",
    "catalogue",
)  # fmt: skip
_SCREENS = "contextkit.screens"


class Endpoint(Checked):
    """The chat endpoint of a profile's summarizer.

    Attributes:
        model: its name there.
        url: what comes before "/chat/completions".
        key: name of the environment variable that holds the key, or "" for none. The key itself never stands in a file.
        window: tokens of request and answer together; None: the catalogue's.
        timeout: seconds.
    """

    model: str
    url: str
    key: str = "OPENAI_API_KEY"
    window: int | None = Field(default=None, ge=256)
    timeout: float = Field(default=30.0, gt=0)

    def open(self) -> ChatSummarizer:
        """The summarizer, with the key as the environment has it now."""
        from contextkit.context.chat import ChatSummarizer

        key = os.environ.get(self.key, "") if self.key else ""
        return ChatSummarizer(self.model, self.url, api_key=key, window=self.window, timeout=self.timeout)


class Profile(Checked):
    """What every call of one agent has in common; see `AgentCall` for the fields of the same names.

    Attributes:
        name: the agent's.
        models: those that it may use, the usual one first, by name or with tier, data classes and seconds; empty: any.
        tasks: the least tier of a model for each kind of task; empty: any model for any task.
        system: file of its prompt template, or "".
        system_text: the system prompt itself, or "".
        budget: as in AgentCall.
        reply_reserve: as in AgentCall.
        where: as in AgentCall.
        k: as in AgentCall.
        recall: as in AgentCall.
        sections: as in AgentCall.
        compaction: as in AgentCall.
        format: as in AgentCall.
        order: as in AgentCall.
        fill: as in AgentCall.
        pinned: as in AgentCall.
        tools: as in AgentCall.
        screens: names of plug-ins of the group contextkit.screens.
        summarizer: where summaries are made, or None.
        catalogue: of the file's [models.NAME].
        folder: where the profile's file lies; files are named relative to it.
    """

    name: str
    models: tuple[str | Candidate, ...] = ()
    tasks: dict[str, int] = Field(default_factory=dict)
    system: str = ""
    system_text: str = ""
    budget: int | None = Field(default=None, gt=0)
    reply_reserve: int | None = Field(default=None, ge=0)
    where: dict[str, Any] | None = None
    k: int | None = Field(default=None, ge=1, le=10_000)
    recall: Remembering = Remembering()
    sections: dict[str, SectionRule] = Field(default_factory=dict)
    compaction: Compaction = Compaction()
    format: Format = Format.TEXT
    order: Order = Order.BEST_FIRST
    fill: Fill = Fill.FULL
    pinned: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    screens: tuple[str, ...] = ()
    summarizer: Endpoint | None = None
    catalogue: dict[str, ModelFacts] = Field(default_factory=dict)
    folder: Path = Path()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The models that the agent may use, as `kit.route` takes them."""
        return tuple(one if isinstance(one, Candidate) else Candidate(model=one) for one in self.models)

    def tier(self, task: str) -> int:
        """The least tier of a model for a kind of task; 0 for no task, and where the profile names no tasks.

        Raises:
            InputError: the profile names tasks, but not this one.
        """
        if not task or not self.tasks:
            return 0
        if task not in self.tasks:
            raise InputError(f"the agent {self.name!r} has no task {task!r}: its tasks are {', '.join(sorted(self.tasks))}")
        return self.tasks[task]

    def call(self, question: str, *, variables: Mapping[str, object] | None = None, **given: Any) -> AgentCall:  # noqa: ANN401 - any field
        """A call of this agent: what is given holds, the profile fills in the rest.

        Args:
            question: what is asked.
            variables: of the prompt template.
            given: fields of AgentCall. A `where` must hold beside the profile's own, it does not replace it; the profile's
                screens look first.

        Raises:
            InputError: a model or a task that the agent does not have, variables that do not fit the template, or a value that
                cannot work.
            PluginError: a screen that is not installed.
        """
        names = [candidate.model for candidate in self.candidates]
        model = given.get("model", names[0] if names else None)
        if names and model not in names:
            raise InputError(f"the agent {self.name!r} may not use {model!r}: its models are {', '.join(names)}")
        self.tier(given.get("task", ""))
        fields = {name: getattr(self, name) for name in _CALL_FIELDS if name in self.model_fields_set}
        if self.where is not None and given.get("where") is not None:
            given = {**given, "where": {"$and": [self.where, given["where"]]}}
        if "system" not in given:
            given["system"] = self._prompt(variables or {})
        if self.screens:
            given["screens"] = (*map(_screen, self.screens), *given.get("screens", ()))
        if self.summarizer is not None:
            fields["summarizer"] = self.summarizer.open()
        return AgentCall(**{"agent": self.name, **fields, **given, "model": model, "question": question})

    def _prompt(self, variables: Mapping[str, object]) -> object:
        if self.system and self.system_text:
            raise InputError(f"the agent {self.name!r} has both `system` (a file) and `system_text`: keep one")
        if self.system:
            return Template.from_file(self.folder / self.system).render(variables)
        if variables:
            raise InputError(f"the agent {self.name!r} has no prompt template for {', '.join(sorted(variables))}")
        return self.system_text


def _screen(name: str) -> Screen:
    from contextkit import plugins

    made: Screen = plugins.load(_SCREENS, name)()
    return made


def candidates_of(
    profile: Profile | None, call: AgentCall, candidates: Sequence[str | Candidate] | None, tier: int | None
) -> tuple[Sequence[str | Candidate], int]:
    """The candidates of a routing and the least tier: as given, else the profile's.

    Raises:
        InputError: there are no candidates, one is not among the profile's models, or the profile does not know the task.
    """
    known = {} if profile is None else {candidate.model: candidate for candidate in profile.candidates}
    if candidates is None:
        if not known:
            raise InputError("route needs candidates: name some models, or give a profile that lists its models")
        candidates = list(known.values())
    elif known:
        names = [c.model if isinstance(c, Candidate) else c for c in candidates]
        foreign = next((name for name in names if name not in known), None)
        if profile is not None and foreign is not None:
            raise InputError(f"the agent {profile.name!r} may not use {foreign!r}: its models are {', '.join(known)}")
        candidates = [c if isinstance(c, Candidate) else known[c] for c in candidates]
    if tier is None:
        tier = 0 if profile is None else profile.tier(call.task)
    return candidates, tier


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
    catalogue = _catalogue(values, file)
    out = {}
    for name, fields in agents.items():
        try:
            unknown = next((key for key in ("name", "folder", "catalogue") if key in fields), None)
            if unknown is not None:
                raise InputError(f"{unknown!r} is not for the file: an agent's name is that of its table")
            shared = {"catalogue": catalogue} if catalogue else {}
            out[name] = Profile(**{"name": name, **fields, **shared, "folder": file.parent})
            _try(out[name])
        except InputError as error:
            raise InputError(f"{file}, [agents.{name}]: {error}") from None
    return out


def _try(profile: Profile) -> None:
    """Raises InputError where the values of a profile cannot be those of a call; its prompt is read when it is used."""
    given: dict[str, Any] = {"system": ""} if profile.system else {}
    profile.model_copy(update={"screens": (), "summarizer": None}).call("?", **given)


def _catalogue(values: Mapping[str, Any], file: Path) -> dict[str, ModelFacts]:
    """The file's [models.NAME]. Raises InputError naming the model that is wrong."""
    models = values.get("models", {})
    if not isinstance(models, dict) or not all(isinstance(one, dict) for one in models.values()):
        raise InputError(f"{file}: models must be tables such as [models.house-model]")
    out = {}
    for name, fields in models.items():
        try:
            out[name] = ModelFacts(**fields)
        except InputError as error:
            raise InputError(f"{file}, [models.{name}]: {error}") from None
    return out
