"""The fitted numbers of relevance: what they are, the file that ships them, and the file of an index that has its own.

`weights.json` beside this module holds the shipped numbers with what each means and where it comes from. An index may have
its own, adopted by `contextkit tune`: a file of the same form in its folder, named after the embedder that they were fitted
with. What the numbers are multiplied with is `scoring.py`; fitting them is `contextkit.evaluation`. What is set by hand for
other reasons (how deep to search, the constants of BM25) stays where it is used.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from contextkit.errors import IndexMismatch, InputError

SIGNED = frozenset({"confidence_base"})
"""Numbers that may be below 0."""


class Number(BaseModel):
    """One number and its meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: FiniteFloat
    means: str = ""


class Provenance(BaseModel):
    """Where some of the numbers come from.

    Attributes:
        of: names of the numbers.
        how: the method.
        objective: what was made as large as possible.
        questions: on how many judged questions.
        date: ISO 8601.
        embedder: name of the embedder whose cosines they weigh.
        digest: of its weights.
        figures: what was measured, by what it is; percent where nothing else is said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: tuple[str, ...]
    how: str
    objective: str
    questions: int = Field(ge=0)
    date: str
    embedder: str
    digest: str
    figures: dict[str, FiniteFloat] = {}


class WeightsFile(BaseModel):
    """A file of weights: numbers by name, and where they come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    numbers: dict[str, Number]
    provenance: tuple[Provenance, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _known(self) -> WeightsFile:
        names = {f.name for f in fields(Weights)}
        if unknown := sorted({*self.numbers, *(name for p in self.provenance for name in p.of)} - names):
            raise ValueError(f"unknown numbers {', '.join(unknown)}; known: {', '.join(sorted(names))}")
        if below := sorted(name for name, number in self.numbers.items() if number.value < 0 and name not in SIGNED):
            raise ValueError(f"numbers below 0: {', '.join(below)}")
        return self

    def weights(self) -> Weights:
        """The weights; what the file does not name is as shipped."""
        return replace(Weights(), **{name: number.value for name, number in self.numbers.items()})


@cache
def shipped() -> WeightsFile:
    """The weights that ship with contextkit, with their provenance."""
    text = resources.files("contextkit.retrieval").joinpath("weights.json").read_text("utf-8")
    return _parsed(text, "the shipped weights.json")


def _shipped(name: str) -> float:
    return field(default_factory=partial(_value, name))


def _value(name: str) -> float:
    return shipped().numbers[name].value


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts in a sentence's score, and the few other fitted numbers; as shipped where nothing is said.

    A new number is a field here, a line in `weights.json` and, where it is to be fitted, one in `contextkit.evaluation.signals`.

    Attributes:
        passage: cosine of question and passage.
        coverage: share of the question's words that the passage and its header hold, the rare ones counting for more.
        document: the same share of all that was found of the document.
        date: how far the passage is of the time that the question names.
        sentence: cosine of question and sentence.
        sentence_lexical: BM25 of the sentence as a share of the best sentence's.
        phrase: share of the question's pairs of neighbouring words that stand near each other in the sentence.
        speaker: whether the sentence is of a turn of somebody whom the question names.
        first_mention: share of the question's words that a long text says first in the sentence.
        negation: how far the sentence denies what the question denies.
        neighbour: share of the better direct neighbour's score that is added to a sentence's own.
        paragraph: how much of that share reaches across a blank line.
        rerank: what a reranker says of the passage, from 0 for the worst that it judged to 1 for the best; nothing without one.
        whole: of a text that asks several questions, the score for the text as a whole beside that for the question in it that
            a sentence answers best. On pairs of judged questions 0.3 is as good as none, and it keeps what only the whole finds.
        enough: share of the best score that a sentence needs in a packet filled with just enough.
        confidence_base: log-odds that a packet holds the answer, with all that follows at 0.
        confidence_passage: added for the best passage's cosine.
        confidence_sentence: added for the best delivered sentence's cosine.
        confidence_covered: added for the share of the question's terms in the best passage.
    """

    passage: float = _shipped("passage")
    coverage: float = _shipped("coverage")
    document: float = _shipped("document")
    date: float = _shipped("date")
    sentence: float = _shipped("sentence")
    sentence_lexical: float = _shipped("sentence_lexical")
    phrase: float = _shipped("phrase")
    speaker: float = _shipped("speaker")
    first_mention: float = _shipped("first_mention")
    negation: float = _shipped("negation")
    neighbour: float = _shipped("neighbour")
    paragraph: float = _shipped("paragraph")
    rerank: float = _shipped("rerank")
    whole: float = _shipped("whole")
    enough: float = _shipped("enough")
    confidence_base: float = _shipped("confidence_base")
    confidence_passage: float = _shipped("confidence_passage")
    confidence_sentence: float = _shipped("confidence_sentence")
    confidence_covered: float = _shipped("confidence_covered")


def file_name(digest: str) -> str:
    """The name of an index's own weights for an embedder: another embedder has another file, a rollback finds the old one."""
    return f"weights-{digest[:12]}.json"


def own(folder: Path, digest: str) -> WeightsFile | None:
    """The weights that an index has of its own for the embedder with that digest; None where it has none.

    Raises:
        InputError: the file cannot be read, is no file of weights, or names unknown or impossible numbers.
        IndexMismatch: it was fitted with another embedder.
    """
    path = folder / file_name(digest)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the index's weights {path} cannot be read ({error}): remove it to use the shipped ones") from error
    found = _parsed(text, f"the index's weights {path}")
    for entry in found.provenance:
        if entry.digest != digest:
            raise IndexMismatch(
                f"the index's weights {path} were fitted with the embedder {entry.embedder} ({entry.digest[:12]}), the index has "
                f"vectors of {digest[:12]}: run `contextkit tune` again, or remove the file to use the shipped ones"
            )
    return found


def adopt(folder: Path, weights: Weights, *provenance: Provenance) -> Path:
    """Writes an index's own weights, those that the provenance names, whole or not at all; gives the file.

    Args:
        folder: the index's.
        weights: the numbers.
        provenance: where they come from, at least one entry, the latest last; all of the same embedder.

    Raises:
        ContextkitError: the disk is full or failed; what was there before is as it was.
    """
    from contextkit.catalog.manifest import write_atomically

    path = folder / file_name(provenance[-1].digest)
    known, values = shipped().numbers, asdict(weights)
    numbers = {name: Number(value=values[name], means=known[name].means) for entry in provenance for name in entry.of}
    made = WeightsFile(numbers=numbers, provenance=provenance)
    write_atomically(path, (made.model_dump_json(indent=2) + "\n").encode())
    return path


def described(folder: Path, digest: str) -> str:
    """Which weights an index uses, in a few words. Raises as `own` does."""
    found = own(folder, digest)
    if found is None:
        return "shipped"
    latest = found.provenance[-1]
    return f"tuned {latest.date} on {latest.questions} questions ({file_name(digest)})"


def _parsed(text: str, what: str) -> WeightsFile:
    try:
        return WeightsFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{what} cannot be used: {place}: {first['msg']}; mend or remove it") from None
