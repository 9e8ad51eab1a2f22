"""One context call from end to end: candidates, sentences, packing, and the receipt that accounts for it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any, Literal, cast

from contextkit.catalog import Catalog, StoredDocument, Vectors, Visible
from contextkit.context.pack import Packed, Packer, Run, Unit
from contextkit.context.packet import Citation, Dropped, Fill, Format, Item, Order, Packet, Receipt, Scores
from contextkit.context.plain import check_text
from contextkit.context.render import Source, renderer
from contextkit.context.units import Texts, units, worthwhile
from contextkit.errors import BudgetExceeded, InputError
from contextkit.protocols import Embedder, TokenCounter
from contextkit.retrieval import aspects
from contextkit.retrieval.candidates import DEPTH, Candidates, Clock
from contextkit.retrieval.pasted import is_blank
from contextkit.retrieval.reranking import Reranking
from contextkit.retrieval.scoring import Weights
from contextkit.retrieval.sentences import Sentences
from contextkit.types import Principal

Tell = Callable[[str, int, int | None], None]
"""Is told a stage, how many are done, and of how many."""

Why = Literal["budget", "duplicate", "delivered", "relevance"]

_DROPPED_KEPT = 50
_TOKENS_A_CHUNK = 60  # about half of the shortest that chunks are on average, so that a large budget finds enough to fill it
_SHAPING = ("contextkit", "faiss-cpu", "tiktoken", "sentence-transformers", "torch")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of one context call.

    Attributes:
        question: what the packet is to answer.
        budget: most tokens of the packet.
        model: whose tokens count, for the receipt; None: the counter's encoding alone.
        where: metadata filter.
        principal: on whose behalf.
        format: how the documents are written.
        order: in which order the documents stand.
        fill: how much of the budget is taken.
        delivered: text that the model has already; sentences that stand in it word for word are left out as delivered.
        now: the moment that "last week" is read as of; None: this one. Without a zone it is UTC.
    """

    question: str
    budget: int
    model: str | None = None
    where: Mapping[str, object] | None = None
    principal: Principal | None = None
    format: Format = Format.TEXT
    order: Order = Order.BEST_FIRST
    delivered: str = ""
    fill: Fill = Fill.FULL
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """The parts of an open index that a context call reads."""

    catalog: Catalog
    vectors: Vectors
    embedder: Embedder
    weights: Weights
    reranking: Reranking | None = None


def build(reader: Reader, request: Request, counter: TokenCounter, progress: Tell | None = None) -> Packet:
    """The packet for a request. Where nothing is found its text is empty (or the question alone) and its confidence 0.

    `progress`, where given, is told before each stage ("retrieve", "pack"); what it raises ends the call.

    Raises:
        InputError: the question is empty, or the budget is not a positive number.
        BudgetExceeded: the budget is below what one citation needs.
        FilterError: the filter is not understood.
    """
    check_question(request.question)
    if isinstance(request.budget, bool) or not isinstance(request.budget, int):
        raise InputError(f"budget must be a whole number of tokens, not {request.budget!r}")
    if request.budget <= 0:
        raise BudgetExceeded(
            f"a budget of {request.budget} tokens holds nothing: give a positive number",
            section="documents",
            needed=1,
            limit=request.budget,
        )
    if progress is not None:
        progress("retrieve", 0, 2)
    retrieved = retrieve(reader, request)
    if progress is not None:
        progress("pack", 1, 2)
    return deliver(reader, request, counter, retrieved)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What the index holds for a request, scored; packets of any budget are made of it."""

    found: Candidates
    sentences: Sentences
    visible: Visible
    clock: Clock
    now: datetime


def moment(now: datetime | None) -> datetime:
    """A moment in UTC; None: this one. Raises InputError where it is no datetime."""
    if now is None:
        return datetime.now(UTC)
    if not isinstance(now, datetime):
        raise InputError(f"now must be a datetime, not {now!r}")
    return now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)


def retrieve(reader: Reader, request: Request) -> Retrieved:
    """The scored candidates for a request. Raises FilterError where the filter is not understood, and RerankerError."""
    clock, now = Clock(), moment(request.now)
    visible = reader.catalog.visible(request.where, request.principal)
    clock.lap("filter")
    depth = max(DEPTH, request.budget // _TOKENS_A_CHUNK)
    asked = aspects.search(reader.catalog, reader.vectors, reader.embedder, request.question, visible, depth, now)
    asked = aspects.rerank(asked, request.question, reader.reranking, reader.weights)
    found, sentences = aspects.score(reader.catalog, asked, reader.weights)
    clock.lap("retrieve")
    return Retrieved(found, sentences, visible, clock, now)


def deliver(reader: Reader, request: Request, counter: TokenCounter, retrieved: Retrieved) -> Packet:
    """The packet of what was retrieved, within the request's budget. Raises BudgetExceeded as `build` does."""
    found, sentences, clock = retrieved.found, retrieved.sentences, retrieved.clock
    packed = pack(reader, request, counter, retrieved)
    clock.lap("pack")
    milliseconds = {**found.milliseconds, **clock.spent}
    return _Account(reader, request, counter, found, sentences, packed, retrieved, milliseconds).packet()


def pack(reader: Reader, request: Request, counter: TokenCounter, retrieved: Retrieved) -> Packed:
    """What of what was retrieved goes into the packet. Raises BudgetExceeded as `build` does."""
    found, sentences = retrieved.found, retrieved.sentences
    candidates = units(found, sentences, request.budget)
    texts = Texts(found.chunks)
    given: list[Unit] = []
    if request.delivered:
        given = [u for u in candidates if texts(u.document, u.start, u.end) in request.delivered]
        known = {u.row for u in given}
        candidates = [u for u in candidates if u.row not in known]
    low: list[Unit] = []
    if request.fill is Fill.ENOUGH:
        candidates, low = worthwhile(candidates, reader.weights.enough)
    framing = _framing(request, counter)
    packer = Packer(counter, renderer(request.format, request.question), _sources(found), texts, framing, request.order)
    packed = packer.pack(candidates, request.budget)
    if given or low:
        beside = {u.row for run in packed.runs for u in run.units}
        left = ((u, "relevance") for u in low if u.row not in beside)
        packed = replace(packed, dropped=(*((u, "delivered") for u in given), *packed.dropped, *left))
    return packed


def check_question(question: object) -> None:
    """Raises InputError where a question is not a text with something in it that can be seen and sent."""
    if not isinstance(question, str):
        raise InputError(f"the question must be a text, not {type(question).__name__}")
    check_text(question, "the question")
    if is_blank(question):
        raise InputError(f"the question is empty ({question[:40]!r}): ask something")


def _sources(found: Candidates) -> dict[int, Source]:
    """What names each content: its first permitted document."""
    return {content: Source(0, d[0].id, d[0].title, d[0].uri, None) for content, d in found.documents.items()}


def _framing(request: Request, counter: TokenCounter) -> int:
    if request.format is not Format.MESSAGES:
        return 0
    from contextkit.tokens import message_tokens

    return message_tokens([{"role": "user", "content": ""}], counter)


def blank_receipt(
    reader: Reader, question: str, where: Mapping[str, object] | None, principal: Principal | None
) -> dict[str, Any]:
    """The fields of a receipt without documents: what was asked, and of which index."""
    return {
        "question": question, "where": None if where is None else dict(where),
        "principal": None if principal is None else principal.id, "generation": reader.catalog.generation(),
        "index": reader.catalog.identity.uuid, "embedder": reader.catalog.identity.embedder.name,
        "weights": asdict(reader.weights), "confidence": 0.0, "citations": (), "items": (), "candidates": 0, "dropped": (),
        "dropped_total": {}, "milliseconds": {}, "versions": versions(),
    }  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """The versions of contextkit and of the libraries that shape a packet."""
    return {name: version(name) for name in _SHAPING}


@dataclass(frozen=True, slots=True)
class _Account:
    """Everything known at the end of a call, written up as a packet."""

    reader: Reader
    request: Request
    counter: TokenCounter
    found: Candidates
    sentences: Sentences
    packed: Packed
    retrieved: Retrieved
    milliseconds: dict[str, float]

    def packet(self) -> Packet:
        request, packed = self.request, self.packed
        from contextkit.context.evidence import aged

        now = self.retrieved.now
        citations = tuple(self._citation(n, content) for n, content in enumerate(packed.documents, 1))
        items = aged([self._item(run) for run in packed.runs], citations, now)
        confidence = self._confidence()
        created = datetime.now(UTC).isoformat(timespec="milliseconds")
        reasons = Counter(reason for _, reason in packed.dropped)
        reasons["budget"] += len(self.sentences.score) - len(packed.dropped) - sum(len(r.units) for r in packed.runs)
        receipt = Receipt(
            id=_name(created, request.question, packed.text),
            created=created,
            question=request.question,
            where=None if request.where is None else dict(request.where),
            principal=None if request.principal is None else request.principal.id,
            budget=request.budget,
            tokens=packed.tokens,
            overhead=packed.tokens - sum(i.tokens for i in items),
            model=request.model or "",
            encoding=self.counter.name,
            exact=self.counter.exact,
            format=request.format,
            generation=self.retrieved.visible.generation,
            index=self.reader.catalog.identity.uuid,
            embedder=f"{self.reader.embedder.info.name} ({self.reader.embedder.info.backend})",
            weights=asdict(self.reader.weights),
            confidence=confidence,
            citations=citations,
            items=items,
            candidates=len(self.sentences.score),
            dropped=tuple(self._dropped(u, r) for u, r in packed.dropped[:_DROPPED_KEPT]),
            dropped_total=dict(reasons),
            milliseconds={stage: round(ms, 3) for stage, ms in self.milliseconds.items()},
            versions=versions(),
            reranker="" if self.reader.reranking is None else self.reader.reranking.reranker.name,
            reranked=self.found.reranked,
            searched=self.found.searched,
            now=now.isoformat(),
            understood=self.found.understood,
        )
        return Packet(
            question=request.question, text=packed.text, tokens=packed.tokens, budget=request.budget,
            items=items, citations=citations, confidence=confidence, receipt=receipt,
        )  # fmt: skip

    def _document(self, content: int) -> StoredDocument:
        return self.found.documents[content][0]

    def _pages(self, units: Sequence[Unit]) -> tuple[int, int] | None:
        pages = [p for u in units if (p := self.found.chunks[int(self.sentences.chunk[u.row])].pages) is not None]
        return (min(p[0] for p in pages), max(p[1] for p in pages)) if pages else None

    def _item(self, run: Run) -> Item:
        best = max(run.units, key=lambda u: u.score)
        scores = self._scores(best)
        return Item(
            citation=self.packed.documents.index(run.document) + 1,
            document_id=self._document(run.document).id,
            start=run.start,
            end=run.end,
            pages=self._pages(run.units),
            text=run.text,
            tokens=self.counter.count(run.text),
            scores=scores,
            why=_why(scores, self.reader.weights),
        )

    def _scores(self, unit: Unit) -> Scores:
        found, sentences, row = self.found, self.sentences, unit.row
        chunk = int(sentences.chunk[row])
        values = {
            "total": unit.score, "passage": found.passage[chunk], "coverage": found.coverage[chunk],
            "document": found.together[chunk], "date": found.dated[chunk],
            **{name: signal[row] for name, signal in sentences.signals.items()},
            "rerank": 0.0 if found.rerank is None else found.rerank[chunk],
        }  # fmt: skip
        return Scores(**{name: round(float(value), 4) for name, value in values.items()})

    def _citation(self, number: int, content: int) -> Citation:
        document, *twins = self.found.documents[content]
        runs = sorted((r for r in self.packed.runs if r.document == content), key=lambda r: r.start)
        return Citation(
            number=number,
            document_id=document.id,
            title=document.title,
            uri=document.uri,
            spans=tuple((r.start, r.end) for r in runs),
            pages=self._pages([u for r in runs for u in r.units]),
            metadata=dict(document.metadata),
            same_text=tuple(d.id for d in twins),
        )

    def _dropped(self, unit: Unit, reason: str) -> Dropped:
        document = self._document(unit.document).id
        score = round(unit.score, 4)
        return Dropped(document_id=document, start=unit.start, end=unit.end, score=score, reason=cast("Why", reason))

    def _confidence(self) -> float:
        felt = signs(self.retrieved, self.packed)
        return 0.0 if felt is None else confidence(self.reader.weights, *felt)


def signs(retrieved: Retrieved, packed: Packed) -> tuple[float, float, float] | None:
    """What the confidence in a packet is made of, as `confidence` takes it; None where the packet holds nothing."""
    if not packed.runs:
        return None
    found, sentences = retrieved.found, retrieved.sentences
    chosen = [u.row for run in packed.runs for u in run.units]
    best = int(sentences.chunk[max(chosen, key=lambda row: float(sentences.score[row]))])
    return float(found.passage.max()), float(sentences.signals["sentence"][chosen].max()), float(found.coverage[best])


def confidence(weights: Weights, passage: float, sentence: float, covered: float) -> float:
    """0 to 1: how likely a packet holds the answer, from the best cosines and the share of the question's words that the passage
    of the best sentence holds.

    The shipped numbers are a logistic regression on one half of CLAP NQ, of whose questions every second has no answer in the
    pool; the other half is reported by benchmarks/evidence.py. They order packets under any embedder, but are calibrated for
    all-MiniLM-L6-v2 alone.
    """
    parts = weights.confidence_passage * passage + weights.confidence_sentence * sentence + weights.confidence_covered * covered
    return round(1 / (1 + math.exp(-weights.confidence_base - parts)), 3)


def _why(scores: Scores, weights: Weights) -> str:
    """The signal that gave most, in words."""
    said = {
        "passage": f"its passage is close in meaning (cosine {scores.passage:.2f})",
        "coverage": f"its passage has the question's words ({scores.coverage:.0%} by rarity)",
        "document": f"its document has the question's words ({scores.document:.0%} by rarity)",
        "date": "it is of the time asked about",
        "sentence": f"the sentence is close in meaning (cosine {scores.sentence:.2f})",
        "sentence_lexical": f"the sentence shares words with the question ({scores.sentence_lexical:.0%} of the best)",
        "phrase": f"words that stand together in the question do so here ({scores.phrase:.0%})",
        "first_mention": f"its document first says the question's words here ({scores.first_mention:.0%} by rarity)",
        "speaker": "somebody whom the question names says it",
        "negation": f"it denies what the question denies ({scores.negation:.0%} of it by rarity)",
        "rerank": f"the reranker says that its passage answers ({scores.rerank:.0%} of the best)",
    }
    return said[max(said, key=lambda name: getattr(weights, name) * getattr(scores, name))]


def _name(created: str, question: str, text: str) -> str:
    return hashlib.sha256(f"{created}\0{question}\0{text}".encode()).hexdigest()[:12]
