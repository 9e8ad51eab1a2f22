"""The settings of the command line, and where each comes from: flag, environment, `contextkit.toml`, default.

The library takes plain arguments and never reads these; only the commands do. What an index was made with is in the index.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from contextkit.errors import InputError

FILE = "contextkit.toml"
PREFIX = "CONTEXTKIT_"
_IN_USER = re.compile(r"(://[^:/?#]*):.*@")
_PASSWORD = re.compile(r"([?&]password=)[^&]*")


class Settings(BaseSettings):
    """What a command works with. Frozen; made by `load`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    index: Path = Field(Path(".contextkit/index"), description="folder of the index; in a file: relative to that file")
    embedder: str | None = Field(None, description="embedder of a new index: a model's folder or name; unset: the packaged model")
    backend: Literal["auto", "openvino", "torch"] = Field(
        "auto", description="what computes a local model; auto: the fastest that is installed, as measured"
    )
    reranker: str | None = Field(
        None, description="judges passages: a cross-encoder's folder (in a file: relative to it), late-interaction, or a plug-in"
    )
    rerank_ms: float = Field(200.0, gt=0, description="milliseconds that the reranker may take for a question")
    memory: str | None = Field(
        None, repr=False, description="address of a shared memory (postgresql://...), or its folder; unset: in the index's folder"
    )
    glob: Annotated[tuple[str, ...], NoDecode] = Field((), description="take only files that match one of these patterns")
    exclude: Annotated[tuple[str, ...], NoDecode] = Field((), description="leave out files that match one of these patterns")
    workers: int | None = Field(None, ge=1, description="processes that parse; unset: as many as the machine has processors")
    timeout: float = Field(60.0, gt=0, description="seconds that parsing one document may take")
    memory_mb: int = Field(2048, ge=64, description="megabytes that parsing one document may take")
    max_file_mb: int = Field(100, ge=1, description="megabytes of a file; a larger one is refused")
    wait: float = Field(30.0, ge=0, description="seconds to wait while another process writes to the index")
    k: int = Field(10, ge=1, description="hits of a search")
    budget: int = Field(1024, ge=1, description="most tokens of a context")
    model: str | None = Field(None, description="model whose tokens are counted; unset: the usual encoding")
    format: Literal["text", "messages", "xml", "markdown", "json"] = Field("text", description="how a context is written")

    @field_validator("glob", "exclude", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """One string, as the environment has it, is a list with commas."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a .env file belongs to the user's own program
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no setting is a secret
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flag, environment, file, in this order."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=_file_values(find_file()))


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it is in force.

    Attributes:
        name: its name in the file; in the environment `CONTEXTKIT_` and the name in capitals.
        value: what is in force.
        source: "flag", "environment", "file" or "default".
        where: the flag, variable or file that says so; or "".
        description: what it does.
    """

    name: str
    value: object
    source: Literal["flag", "environment", "file", "default"]
    where: str
    description: str


def find_file(start: Path | None = None) -> Path | None:
    """The `contextkit.toml` in a folder or the nearest of its parents; None where there is none.

    Args:
        start: where to begin; None: the current folder.
    """
    folder = (start or Path.cwd()).absolute()
    return next((path for at in (folder, *folder.parents) if (path := at / FILE).is_file()), None)


def load(**flags: object) -> Settings:
    """The settings in force.

    Args:
        flags: what the command line gives; None means not given.

    Raises:
        InputError: a value that cannot work, an unknown name in the file, or a file that is not TOML.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # checked by pydantic, that is the point
    except ValidationError as error:
        raise InputError("; ".join(_explained(dict(e), given) for e in error.errors())) from None


def settings_with_sources(**flags: object) -> list[Setting]:
    """Every setting with its value and what decided it, in the order of `Settings`. Raises as `load` does."""
    settings = load(**flags)
    out: list[Setting] = []
    for name, field in Settings.model_fields.items():
        source, where = _origin(name, flags)
        out.append(Setting(name, _told(getattr(settings, name)), source, where, field.description or ""))
    return out


def _told(value: object) -> object:
    """A value as it may be shown: an address without its password."""
    if not isinstance(value, str) or "://" not in value:
        return value
    return _PASSWORD.sub(r"\1***", _IN_USER.sub(r"\1:***@", value))


def _origin(name: str, flags: dict[str, object]) -> tuple[Literal["flag", "environment", "file", "default"], str]:
    """What decides a setting: the same order as in `Settings.settings_customise_sources`."""
    import os

    if flags.get(name) is not None:
        return "flag", f"-{name}" if len(name) == 1 else f"--{name}"
    variable = next((v for v in os.environ if v.upper() == f"{PREFIX}{name}".upper()), "")
    if os.environ.get(variable):
        return "environment", variable
    path = find_file()
    if path is not None and name in _file_values(path):
        return "file", str(path)
    return "default", ""


def _file_values(path: Path | None) -> dict[str, object]:
    """What a file sets, its index folder made absolute. Raises InputError where it cannot be read."""
    if path is None:
        return {}
    try:
        values: dict[str, object] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}") from error
    for table in ("agents", "models"):  # profiles of agents and facts of models are read by contextkit.context.profiles
        values.pop(table, None)
    if isinstance(index := values.get("index"), str):
        values["index"] = path.parent / Path(index).expanduser()
    if isinstance(memory := values.get("memory"), str) and "://" not in memory:
        values["memory"] = str(path.parent / Path(memory).expanduser())
    if isinstance(reranker := values.get("reranker"), str) and (folder := path.parent / Path(reranker).expanduser()).is_dir():
        values["reranker"] = str(folder)
    return values


def _explained(error: dict[str, object], flags: dict[str, object]) -> str:
    location = error["loc"]
    name = str(location[0]) if isinstance(location, tuple) and location else ""
    if error["type"] == "extra_forbidden":
        return f"{find_file()} has no setting {name!r}: there are {', '.join(Settings.model_fields)}"
    source, where = _origin(name, flags)
    subject = f"{name} in {where}" if source == "file" else where
    return f"{subject} cannot be {error['input']!r}: {str(error['msg'])[:1].lower()}{str(error['msg'])[1:]}"
