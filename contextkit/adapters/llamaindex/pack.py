"""`KitPacker`: a LlamaIndex node postprocessor that keeps the sentences which answer the question, within a token budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode

from contextkit.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.context.pack import Run
    from contextkit.context.render import Section
    from contextkit.protocols import Embedder
    from contextkit.types import Span

    Floats = NDArray[np.float32]

JOINT = "\n\n"
"""What stands between nodes in the budget, as LlamaIndex's response synthesizers join them."""


class KitPacker(BaseNodePostprocessor):
    """Keeps the sentences of the retrieved nodes that answer the question best, at most `budget` tokens of them.

    What counts is the text that a synthesizer sends: the nodes' content for the model, metadata included, joined by a blank line.
    Each run of sentences that stays is a node with its exact place; a node that stays whole is the node itself. Of several runs
    of one node only the first shows its metadata. A sentence that says the same as another one is left out.

    Args:
        budget: most tokens.
        model: whose tokens count; None: cl100k_base.
        embedder: compares sentences with the question in meaning, such as `kit.embedder`; None: by words and the nodes' scores
            alone.
    """

    budget: int
    model: str | None = None
    _embedder: Embedder | None = PrivateAttr()

    def __init__(
        self,
        budget: int,
        *,
        model: str | None = None,
        embedder: Embedder | None = None,
        **fields: Any,  # noqa: ANN401 - the postprocessor's own
    ) -> None:
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            raise InputError(f"budget must be a whole number of tokens above 0, not {budget!r}")
        super().__init__(budget=budget, model=model, **fields)  # type: ignore[call-arg]  # fields are pydantic's
        self._embedder = embedder

    @classmethod
    def class_name(cls) -> str:
        """The class's name."""
        return "KitPacker"

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        """The runs, best node first, each node's in text order.

        Raises:
            BudgetExceeded: not even the start of the best sentence fits.
        """
        from contextkit.context.pack import Packer
        from contextkit.context.render import Source
        from contextkit.tokens import counter_for

        given = _Given.of(nodes)
        if not given.spans:
            return []
        question = "" if query_bundle is None else query_bundle.query_str
        units = _units(given, _scores(given, question, self._embedder))
        sources = {n: Source(0, str(n), "", "", None) for n in range(len(given.nodes))}
        packer = Packer(counter_for(self.model), given.rendered, sources, lambda n, start, end: given.texts[n][start:end])
        return given.runs(packer.pack(units, self.budget).runs)


@dataclass(frozen=True, slots=True)
class _Given:
    """The nodes with text, and the spans of their sentences: (node, span), in text order."""

    nodes: list[NodeWithScore]
    texts: list[str]
    spans: list[tuple[int, Span]]

    @classmethod
    def of(cls, nodes: Sequence[NodeWithScore]) -> _Given:
        from contextkit.documents.sentences import sentences

        kept = [one for one in nodes if one.node.get_content(MetadataMode.NONE).strip()]
        texts = [one.node.get_content(MetadataMode.NONE) for one in kept]
        return cls(kept, texts, [(n, span) for n, text in enumerate(texts) for span in sentences(text)])

    def rendered(self, sections: Sequence[Section]) -> str:
        """What a synthesizer would send of these sections."""
        parts = []
        for section in sections:
            node = self.nodes[int(section.source.document_id)].node
            parts += [_part(node, run, bare=n > 0).get_content(MetadataMode.LLM) for n, run in enumerate(section.runs)]
        return JOINT.join(parts)

    def runs(self, packed: Sequence[Run]) -> list[NodeWithScore]:
        """The packed runs as nodes."""
        out: list[NodeWithScore] = []
        seen: set[int] = set()
        for run in packed:
            given = self.nodes[run.document]
            if run.text == self.texts[run.document]:
                out.append(given)
                continue
            made = _part(given.node, run.text, bare=run.document in seen)
            seen.add(run.document)
            first = getattr(given.node, "start_char_idx", None)
            made.id_ = f"{given.node.node_id}[{run.start}:{run.end}]"
            made.relationships = dict(given.node.relationships)
            made.start_char_idx = None if first is None else first + run.start
            made.end_char_idx = None if first is None else first + run.end
            out.append(NodeWithScore(node=made, score=given.score))
        return out


def _part(node: BaseNode, text: str, *, bare: bool) -> TextNode:
    """A node with another text, written as the given one is; `bare`: its metadata is not shown to the model."""
    hidden = list(node.metadata) if bare else list(node.excluded_llm_metadata_keys)
    style = {
        name: getattr(node, name)
        for name in ("text_template", "metadata_template", "metadata_separator", "metadata_seperator")
        if name in type(node).model_fields and name in TextNode.model_fields
    }
    return TextNode(
        text=text,
        metadata=dict(node.metadata),
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=list(node.excluded_embed_metadata_keys),
        **style,
    )


def _scores(given: _Given, question: str, embedder: Embedder | None) -> Floats:
    """float32 (sentences,): by the node's score, its words, the sentence's meaning and words, and its neighbours'."""
    from contextkit.retrieval.scoring import Weights, bm25, covered, idf, links, phrased, share_of_best, with_neighbours
    from contextkit.retrieval.terms import content_terms, occurrences

    weights = Weights()
    of = np.array([n for n, _ in given.spans])
    words = content_terms(question) if question.strip() else []
    holding = np.zeros((len(given.texts), len(words)), np.bool_)
    inside = occurrences(given.texts, words)
    holding[inside.text, inside.term] = True
    known = idf(dict(zip(words, holding.sum(axis=0).tolist(), strict=True)), len(holding))
    rarity = np.array(list(known.values()), np.float64)
    texts = [given.texts[n][span.start : span.end] for n, span in given.spans]
    own = weights.passage * _shares(given.nodes)[of]
    own = own + weights.coverage * covered(holding, rarity)[of]
    found = occurrences(texts, words)
    own = own + weights.sentence_lexical * share_of_best(bm25(found, texts, rarity))
    own = own + weights.phrase * phrased(found, len(texts), rarity)
    if embedder is not None and question.strip():
        own = own + weights.sentence * _cosines(given, question, embedder)
    follows = np.concatenate(([False], of[1:] == of[:-1]))
    sides = links(follows, np.zeros(len(of), np.bool_), weights.paragraph)
    return with_neighbours(np.asarray(own, dtype=np.float32), *sides, weights.neighbour)


def _shares(nodes: Sequence[NodeWithScore]) -> Floats:
    """float32 (nodes,): each node's score as a share of the best; by rank where scores are missing or not positive."""
    given = [one.score for one in nodes]
    if all(score is not None and score >= 0 for score in given) and max(score or 0.0 for score in given) > 0:
        scores = np.array(given, dtype=np.float32)
        return np.asarray(scores / scores.max(), dtype=np.float32)
    return np.linspace(1, 0.5, len(nodes), dtype=np.float32)


def _cosines(given: _Given, question: str, embedder: Embedder) -> Floats:
    """float32 (sentences,): cosine of each sentence, read together with its neighbours, and the question."""
    from contextkit.types import Chunk

    window = embedder.info.window - 2
    counts = embedder.count([given.texts[n][span.start : span.end] for n, span in given.spans])
    groups: list[list[int]] = []
    size = 0
    for row, ((n, _), count) in enumerate(zip(given.spans, counts, strict=True)):
        if groups and given.spans[groups[-1][-1]][0] == n and size + count + 2 <= window:
            groups[-1].append(row)
            size += count + 2
        else:
            groups.append([row])
            size = count
    readable = [group for group in groups if len(group) > 1 or counts[group[0]] <= window]
    chunks = []
    for group in readable:
        n, spans = given.spans[group[0]][0], tuple(given.spans[row][1] for row in group)
        start, end = spans[0].start, spans[-1].end
        chunks.append(Chunk(start, end, given.texts[n][start:end], "", spans))
    made = embedder.embed(chunks)
    asked = embedder.embed_queries([question])[0]
    out = np.zeros(len(given.spans), dtype=np.float32)
    rows = [row for group in readable for row in group]
    if made.sentences is not None:
        out[rows] = made.sentences @ asked
    else:
        out[rows] = np.repeat(made.passages @ asked, [len(group) for group in readable])
    return out


def _units(given: _Given, scores: Floats) -> list[Any]:
    from contextkit.context.pack import Unit

    before = [-1, *(n for n, _ in given.spans)]
    return [
        Unit(row, n, span.start, span.end, float(scores[row]), follows=before[row] == n)
        for row, (n, span) in enumerate(given.spans)
    ]
