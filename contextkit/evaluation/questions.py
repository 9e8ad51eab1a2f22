"""Judged questions, and the texts that answer them: from a file of JSON lines, or from receipts of calls that succeeded.

Which half a question belongs to is decided here too, by the question alone, so that it never moves from one to the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from contextkit.errors import InputError
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.catalog import Catalog
    from contextkit.context.packet import Receipt

WEAK_SHARE = 0.5
"""Of what a successful call was given, runs that scored at least this share of the best one are taken to have helped."""


class GoldSpan(BaseModel):
    """A part of a document that answers.

    Attributes:
        document: its id in the index.
        start: first character; 0 where nothing is said.
        end: one past the last character; None: to the document's end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: str
    start: int = Field(default=0, ge=0)
    end: int | None = Field(default=None, ge=1)


class Judged(BaseModel):
    """A question with what answers it; one line of a file of judged questions.

    Attributes:
        question: as a user asks it.
        gold: texts that answer it, word for word as they stand in the documents, or where they stand; () where the index
            holds no answer.
        where: the metadata filter that it is asked under, or None.
        user: on whose behalf, or None for what everyone may see.
        groups: the groups that the user is in.
        weak: whether this is a guess from what a successful call was given, and not somebody's judgement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str
    gold: tuple[str | GoldSpan, ...] = ()
    where: dict[str, object] | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()
    weak: bool = False

    @field_validator("question")
    @classmethod
    def _asks(cls, question: str) -> str:
        if not question.strip():
            raise ValueError("the question is empty")
        return question

    @field_validator("gold")
    @classmethod
    def _says(cls, gold: tuple[str | GoldSpan, ...]) -> tuple[str | GoldSpan, ...]:
        if any(isinstance(one, str) and not one.strip() for one in gold):
            raise ValueError("a gold text is empty; for a question without an answer give an empty list")
        return gold

    @property
    def principal(self) -> Principal | None:
        """On whose behalf it is asked."""
        return None if self.user is None else Principal(self.user, self.groups)


@dataclass(frozen=True, slots=True)
class Asked:
    """A judged question whose gold was looked up.

    Attributes:
        judged: the question.
        gold: the texts that answer it.
    """

    judged: Judged
    gold: tuple[str, ...]


def read_questions(path: str | Path) -> list[Judged]:
    """The judged questions of a file, one JSON object a line, in its order; empty lines are passed over.

    Raises:
        InputError: the file cannot be read, holds no question, or a line is none; names the line.
    """
    file = Path(path).expanduser()
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the judged questions {file} cannot be read: {error}") from error
    out = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            out.append(Judged.model_validate_json(line))
        except ValidationError as error:
            first = max(error.errors(), key=lambda e: len(e["loc"]))  # of a gold that is neither, what is wrong with the span
            place = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{file}, line {number} is no judged question: {place + ': ' if place else ''}{first['msg']}; write it like "
                '{"question": "How much leave?", "gold": ["Everyone has 30 days of leave."]}'
            ) from None
    if not out:
        raise InputError(f"{file} holds no judged question: write one JSON object a line, with question and gold")
    return out


def from_receipts(told: Iterable[tuple[Receipt, bool]]) -> list[Judged]:
    """Weakly judged questions from receipts with their outcomes, in order of first appearance.

    What a call was given and scored at least half of its best run is taken to answer where the call was reported to have
    succeeded. A failure says nothing of single texts, and is left out. Receipts of the same question (filter, user) are one.
    """
    found: dict[tuple[str, str, str | None], dict[str, None]] = {}
    first: dict[tuple[str, str, str | None], Receipt] = {}
    for receipt, success in told:
        if not (success and receipt.items and receipt.question.strip()):
            continue
        key = (receipt.question, repr(receipt.where), receipt.principal)
        first.setdefault(key, receipt)
        bar = WEAK_SHARE * max(item.scores.total for item in receipt.items)
        texts = {item.text: None for item in receipt.items if item.scores.total >= bar and item.text.strip()}
        found.setdefault(key, {}).update(texts)
    return [
        Judged(question=r.question, gold=tuple(found[key]), where=r.where, user=r.principal, weak=True)
        for key, r in first.items()
    ]


def looked_up(catalog: Catalog, questions: Sequence[Judged]) -> list[Asked]:
    """The questions that have an answer, with the texts of their gold.

    Raises:
        InputError: a question names a document that the index does not hold, or a span beyond its end.
    """
    texts: dict[str, str] = {}

    def text_of(span: GoldSpan, question: str) -> str:
        asked = f"the question {question[:80]!r} names"
        if span.document not in texts:
            if catalog.document(span.document) is None:
                raise InputError(f"{asked} the document {span.document!r}, which the index does not hold")
            texts[span.document] = catalog.text(span.document)
        text = texts[span.document]
        end = len(text) if span.end is None else span.end
        if not span.start < end <= len(text):
            raise InputError(f"{asked} the characters {span.start} to {end} of {span.document!r}, which has {len(text)}")
        return text[span.start : end]

    return [
        Asked(judged, tuple(one if isinstance(one, str) else text_of(one, judged.question) for one in judged.gold))
        for judged in questions
        if judged.gold
    ]


def held_out(question: str, share: float = 0.5) -> bool:
    """Whether a question is kept for judging, by a hash of its words: the same on every machine and in every run."""
    words = " ".join(question.casefold().split())
    digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
