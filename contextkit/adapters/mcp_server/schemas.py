"""What the tools take and give, as records, and their JSON schemas in as few tokens as say it.

Descriptions are read by models: each says what a value does, never what its name says already.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Question = Annotated[str, Field(description="Plain words", max_length=20_000)]
Session = Annotated[str | None, Field(description="Narrows the memory to one conversation", max_length=512)]


class _Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)  # not closed in the schema: a later version may say more


class SearchArguments(_Arguments):
    """What `search` takes."""

    question: Question
    k: Annotated[int, Field(description="Most passages", ge=1, le=100)] = 8
    where: Annotated[
        dict[str, Any] | None,
        Field(description='Metadata filter: {"team": "hr"}, $in $gt $gte $lt $lte $ne $exists $and $or $not'),
    ] = None


class ContextArguments(_Arguments):
    """What `context` takes."""

    question: Question
    budget: Annotated[int, Field(description="Most tokens of the text", ge=1, le=200_000)] = 1024
    model: Annotated[str | None, Field(description="Whose tokens count, e.g. gpt-4o")] = None
    where: Annotated[dict[str, Any] | None, Field(description="As in search")] = None


class RememberArguments(_Arguments):
    """What `remember` takes."""

    text: Annotated[str, Field(description="One fact, clear without its surroundings", max_length=20_000)]
    key: Annotated[str | None, Field(description='"subject/attribute"; a newer fact with the same key replaces this one')] = None
    valid_from: Annotated[str | None, Field(description="ISO time since when it is true; default now")] = None
    session: Session = None


class RecallArguments(_Arguments):
    """What `recall` takes."""

    question: Question
    budget: Annotated[int, Field(description="Most tokens of the text", ge=1, le=200_000)] = 512
    as_of: Annotated[str | None, Field(description="ISO time: what was true then")] = None
    session: Session = None


class SpanArguments(_Arguments):
    """What `read_span` takes."""

    document: Annotated[str, Field(description="Its id, as search and context give it")]
    start: Annotated[int, Field(description="First character", ge=0)] = 0
    end: Annotated[int | None, Field(description="One past the last; default start + 4000, at most start + 40000")] = None


class ExplainArguments(_Arguments):
    """What `explain` takes."""

    receipt: Annotated[str | None, Field(description="Id from context; default: your last")] = None


class Passage(_Result):
    """A hit of `search`: `document[start:end]` is `text`."""

    document: str
    start: int
    end: int
    score: float
    text: str
    title: str | None = None
    uri: str | None = None
    pages: list[int] | None = None


class SearchResult(_Result):
    """What `search` gives."""

    passages: list[Passage]


class Cited(_Result):
    """What a mark [n] in a packet points to."""

    number: int
    document: str
    spans: list[list[int]]
    title: str | None = None
    uri: str | None = None
    pages: list[int] | None = None


class ContextResult(_Result):
    """What `context` gives."""

    text: str
    tokens: int
    confidence: float
    citations: list[Cited]
    receipt: str


class RememberResult(_Result):
    """What `remember` gives."""

    id: str
    valid_from: str


class Known(_Result):
    """A record that `recall` packed."""

    id: str
    text: str
    valid_from: str


class RecallResult(_Result):
    """What `recall` gives."""

    text: str
    tokens: int
    memories: list[Known]


class SpanResult(_Result):
    """What `read_span` gives; `length` is that of the whole document."""

    text: str
    start: int
    end: int
    length: int
    title: str | None = None
    uri: str | None = None


class Delivered(_Result):
    """A run of text that a packet delivered."""

    citation: int
    document: str
    start: int
    end: int
    tokens: int
    score: float
    why: str


class ExplainResult(_Result):
    """What `explain` gives."""

    receipt: str
    question: str
    created: str
    tokens: int
    budget: int
    overhead: int
    items: list[Delivered]
    left_out: dict[str, int]


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema in few tokens: no references, no nulls for what may be left out, nothing that says nothing."""
    made = model.model_json_schema()
    found = _plain(made, made.get("$defs", {}))
    return {key: value for key, value in found.items() if key != "description"}


def _plain(node: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - any part of a JSON schema
    if isinstance(node, list):
        return [_plain(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
        return {key: value for key, value in found.items() if key != "description"}
    if "anyOf" in node:  # only X | None is used above: what is absent is None
        (only,) = (option for option in node["anyOf"] if option.get("type") != "null")
        node = {**only, **{key: value for key, value in node.items() if key != "anyOf"}}
    return {key: _plain(value, definitions) for key, value in node.items() if not _needless(key, value)}


def _needless(key: str, value: object) -> bool:
    """Whether a reader can do without: titles, lengths that no model reaches, defaults that are nothing, what holds anyway."""
    if key == "title":
        return isinstance(value, str)  # else it is a property of that name
    return (
        key in ("maxLength", "$defs") or (key == "default" and value is None) or (key == "additionalProperties" and value is True)
    )
