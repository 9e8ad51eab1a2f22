"""What a context call gives back: the packet, its items and citations, and the receipt that proves them.

Only the records live here; how they come about is `build.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contextkit.errors import InputError

Provider = Literal["openai", "anthropic"]


class Format(StrEnum):
    """How a packet's documents are written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    XML = "xml"
    MESSAGES = "messages"


class Order(StrEnum):
    """In which order the documents of a packet stand."""

    BEST_FIRST = "best_first"
    BEST_LAST = "best_last"
    EDGES = "edges"
    SOURCE = "source"


class Fill(StrEnum):
    """How much of the budget a packet takes.

    Attributes:
        FULL: all of it, as long as anything was found.
        ENOUGH: what scores at least half as much as the best sentence, and no more.
    """

    FULL = "full"
    ENOUGH = "enough"


class Record(BaseModel):
    """A frozen record of known fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scores(Record):
    """The parts of a sentence's score; see `contextkit.retrieval.scoring.Weights` for how they add up."""

    total: float
    passage: float
    coverage: float = 0.0
    document: float = 0.0
    date: float = 0.0
    sentence: float
    sentence_lexical: float
    phrase: float = 0.0
    first_mention: float = 0.0
    speaker: float = 0.0
    negation: float = 0.0
    rerank: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _of_old(cls, given: object) -> object:
        """Older receipts have another measure of a passage's words in the place of its coverage; they stay readable."""
        if isinstance(given, dict) and "passage_lexical" in given:
            return {("coverage" if name == "passage_lexical" else name): value for name, value in given.items()}
        return given


class Item(Record):
    """One delivered run of text: `document.text[start:end] == text`.

    Attributes:
        citation: number of the citation it stands under.
        document_id: whose text it is.
        start: first character in the document.
        end: one past the last character.
        pages: first and last page number, or None.
        text: the text as delivered (before any escaping of the format).
        tokens: tokens of the text alone.
        scores: of its best sentence.
        why: in one line, what brought it in.
        age_days: days since the document was modified or made, where its metadata say when; else None.
        trust: 0 to 1, where its metadata say how far it is trusted; else None.
    """

    citation: int
    document_id: str
    start: int
    end: int
    pages: tuple[int, int] | None
    text: str
    tokens: int
    scores: Scores
    why: str
    age_days: float | None = None
    trust: float | None = None


class Citation(Record):
    """What a mark `[n]` points to.

    Attributes:
        number: the n.
        document_id: the document.
        title: its title, or "".
        uri: where a person finds it.
        spans: (start, end) of its runs in the packet, in text order.
        pages: first and last page number that the runs touch, or None.
        metadata: the document's metadata.
        same_text: ids of other documents with exactly the same content that the caller may see.
    """

    number: int
    document_id: str
    title: str
    uri: str
    spans: tuple[tuple[int, int], ...]
    pages: tuple[int, int] | None
    metadata: dict[str, object]
    same_text: tuple[str, ...] = ()


class Dropped(Record):
    """A candidate sentence that was not delivered.

    Attributes:
        document_id: whose text it is.
        start: first character.
        end: one past the last character.
        score: its total score.
        reason: "budget" (no room left for it), "duplicate" (the same sentence is already in), "delivered" (it stands in the
            history that is sent along) or "relevance" (below what a packet filled with just enough takes).
    """

    document_id: str
    start: int
    end: int
    score: float
    reason: Literal["budget", "duplicate", "delivered", "relevance"]


class Receipt(Record):
    """The account of a packet: what was asked, what went in and why, what did not, what it cost and took.

    Attributes:
        id: names the receipt; derived from its content and time.
        created: UTC time, ISO 8601.
        question: as asked.
        where: the filter, or None.
        principal: on whose behalf, or None.
        budget: most tokens allowed.
        tokens: tokens delivered, everything included.
        overhead: of these, tokens that are not document text: marks, titles, separators, message framing, the question.
        model: the model that the tokens were counted for, or "".
        encoding: the token encoding.
        exact: False where the count is an upper bound.
        format: how the packet is written.
        generation: the index generation that was read.
        index: the index's unique id.
        embedder: name and back-end.
        weights: the score weights in force.
        confidence: see Packet.
        citations: the documents delivered.
        items: the runs delivered.
        candidates: sentences considered.
        dropped: the best of the sentences left out (at most 50), best first.
        dropped_total: how many were left out, by reason; of all that scored too low to be looked at, "budget".
        milliseconds: wall time by stage.
        versions: of contextkit and of the libraries that shape the result.
        reranker: name of the reranker, or "".
        reranked: passages that it judged within its cap; of several questions, the sum.
        searched: how a question that is too long to be searched for whole was searched for; "" for every other.
        now: the moment, UTC, ISO 8601, that words such as "last week" and the items' age are counted from; a call with the same
            `now` gives the same packet again.
        understood: how the question's relative words of time and its denials were read, by these words.
    """

    id: str
    created: str
    question: str
    where: dict[str, object] | None
    principal: str | None
    budget: int
    tokens: int
    overhead: int
    model: str
    encoding: str
    exact: bool
    format: Format
    generation: int
    index: str
    embedder: str
    weights: dict[str, float]
    confidence: float
    citations: tuple[Citation, ...]
    items: tuple[Item, ...]
    candidates: int
    dropped: tuple[Dropped, ...]
    dropped_total: dict[str, int]
    milliseconds: dict[str, float]
    versions: dict[str, str]
    reranker: str = ""
    reranked: int = 0
    searched: str = ""
    now: str = ""
    understood: dict[str, str] = {}


class Packet(Record):
    """The context for one call: never more tokens than its budget.

    Attributes:
        question: as asked.
        text: the context exactly as it is to be sent. For the format "messages": the content of the one user message.
        tokens: tokens of `text` by the model's encoding; for the format "messages" those of the framing too.
        budget: the most that `tokens` may be.
        items: the runs of text in it, in delivered order.
        citations: what the marks `[n]` point to, by number.
        confidence: 0 to 1, how likely the packet holds what answers the question.
        receipt: the full account.
    """

    question: str
    text: str
    tokens: int
    budget: int
    items: tuple[Item, ...]
    citations: tuple[Citation, ...]
    confidence: float = Field(ge=0, le=1)
    receipt: Receipt

    def messages(self, provider: Provider = "openai") -> list[dict[str, object]]:
        """The packet as chat messages: one user turn with the documents, then the question.

        A system prompt and history are the caller's. Only a packet of the format "messages" holds its budget with the question
        and the framing included; others hold it for the documents.

        Args:
            provider: "openai" (content is a string) or "anthropic" (content is a list of text blocks).
        """
        content = self.text if self.receipt.format is Format.MESSAGES else user_turn(self.text, self.question)
        if provider == "openai":
            return [{"role": "user", "content": content}]
        if provider == "anthropic":
            return [{"role": "user", "content": [{"type": "text", "text": content}]}]
        raise InputError(f"no message format for the provider {provider!r}: use 'openai' or 'anthropic'")


def user_turn(documents: str, question: str) -> str:
    """The text of a user turn: documents first, the question last, where models attend best."""
    return f"{documents}\n\nQuestion: {question}" if documents else f"Question: {question}"
