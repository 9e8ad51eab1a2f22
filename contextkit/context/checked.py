"""`Checked`: the frozen records that users make, whose mistakes are one clear `InputError`."""

from __future__ import annotations

from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from contextkit.errors import InputError

_INNER = ("SectionRule", "Compaction", "Remembering", "ModelFacts", "Candidate", "Tool")


class Checked(BaseModel):
    """A frozen record whose mistakes are one `InputError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __init__(self, **data: Any) -> None:  # noqa: ANN401 - as pydantic has it
        try:
            super().__init__(**data)
        except ValidationError as error:
            _explain(type(self), error)


def _placed(error: InputError, where: str) -> InputError:
    """The error of a record inside another one, with the place of that record in front."""
    name, colon, said = str(error).partition(": ")
    return InputError(f"{where}.{said}") if colon and name in _INNER else error


def _explain(model: type[BaseModel], error: ValidationError) -> NoReturn:
    """One InputError for all that pydantic found; our own errors come through as they are."""
    for found in error.errors():
        own = found.get("ctx", {}).get("error")
        if isinstance(own, InputError):
            raise _placed(own, ".".join(map(str, found["loc"]))) from None
    parts = []
    for found in error.errors():
        where = ".".join(map(str, found["loc"]))
        if found["type"] == "extra_forbidden":
            parts.append(f"{where!r} is not known: there are {', '.join(model.model_fields)}")
        else:
            parts.append(f"{where} cannot be {repr(found['input'])[:80]}: {found['msg'][:1].lower()}{found['msg'][1:]}")
    raise InputError(f"{model.__name__}: {'; '.join(parts)}") from None
