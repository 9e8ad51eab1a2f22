"""What a run tells: its report, and the progress it makes."""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field


class Progress(Protocol):
    """Is told how far a run is.

    The stage is "terms" (the words of an older index are read anew), "list", "read", "embed" or "commit"; `total` is None where
    it is not known.
    """

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Called from the thread that runs; must be quick."""


def silent(stage: str, done: int, total: int | None) -> None:
    """Tells nobody."""


class Failure(BaseModel):
    """A document or an entry that could not be taken in; its last good version, if any, stays."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="the document's id, or empty for an entry that could not be listed")
    uri: str = Field(description="where it is")
    reason: str = Field(description="why it failed")


class SyncReport(BaseModel):
    """What a run did."""

    model_config = ConfigDict(frozen=True)

    source: str = Field(description="the source's name")
    added: int = Field(description="new documents")
    changed: int = Field(description="documents with a new version: of their content, metadata or rights")
    unchanged: int = Field(description="documents that stayed as they were")
    removed: int = Field(description="documents that were retired; they can be brought back until gc")
    moved: int = Field(description="pairs of the added and the removed ones with the same content")
    failed: int = Field(description="documents and entries that could not be taken in")
    seconds: float = Field(description="time that the run took")
    generation: int = Field(description="the current generation after it")
    embedded: int = Field(description="chunks that were embedded")
    reused: int = Field(description="chunks of new or changed documents whose vectors were there already")
    complete: bool = Field(description="whether the source was listed as a whole")
    added_ids: tuple[str, ...] = Field(default=(), description="ids of the new documents, sorted")
    changed_ids: tuple[str, ...] = Field(default=(), description="ids of the changed documents, sorted")
    removed_ids: tuple[str, ...] = Field(default=(), description="ids of the retired documents, sorted")
    moves: tuple[tuple[str, str], ...] = Field(default=(), description="(old id, new id) of the moved ones")
    failures: tuple[Failure, ...] = Field(default=(), description="what failed, and why")
