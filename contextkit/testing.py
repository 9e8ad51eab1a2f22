"""Contract tests for other people's parts, and small deterministic parts to test with.

A mixin holds a part to the numbered rules of its protocol. Derive a test class from it and give the fixtures it names:

    class TestMyIndex(VectorIndexContract):
        def new(self, dimension): return MyIndex(dimension)
        def load(self, path, dimension): return MyIndex.load(path, dimension)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contextkit.errors import ExtractorError, IndexDamaged, SourceError
from contextkit.protocols import Connector, Embedder, Extractor, Reranker, VectorIndex
from contextkit.types import Blob, Chunk, Document, DocumentRef, Embedded, EmbedderInfo, Said, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class TinyEmbedder:
    """A deterministic embedder without a model: hashed character trigrams, unit length, with sentence vectors.

    Attributes:
        name: part of its digest, so that two names are two embedders.
        dimension: length of a vector.
        window: the most words of a chunk.
        embedded: how many chunks it was given so far.
    """

    name: str = "tiny"
    dimension: int = 32
    window: int = 256
    embedded: int = field(default=0, init=False)

    @property
    def info(self) -> EmbedderInfo:
        """What it is."""
        digest = hashlib.sha256(f"{self.name} {self.dimension}".encode()).hexdigest()
        return EmbedderInfo(self.name, digest, self.dimension, self.window, backend="hash")

    def count(self, texts: Sequence[str]) -> list[int]:
        """Words of each text."""
        return [len(text.split()) for text in texts]

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """Vectors of the chunks and of their sentences."""
        self.embedded += len(chunks)
        sentences = [c.text[s.start - c.start : s.end - c.start] for c in chunks for s in c.sentences]
        return Embedded(self._vectors([f"{c.header} {c.text}" for c in chunks]), self._vectors(sentences))

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of the questions."""
        return self._vectors(questions)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            padded = f"  {text.lower()} "
            for i in range(len(padded) - 2):
                piece = padded[i : i + 3].encode("utf-8", "replace")
                h = int.from_bytes(hashlib.blake2b(piece, digest_size=4).digest(), "little")
                row[h % self.dimension] += 1.0 if h & 0x10000 else -1.0
            row[0] += 1e-3  # never the zero vector
        out /= np.linalg.norm(out, axis=1, keepdims=True) if len(out) else 1
        return out


@dataclass(frozen=True, slots=True)
class TinyChunker:
    """Windows of a few lines, one sentence a line; deterministic, without a model (protocol `Chunker`).

    Attributes:
        lines: lines of a window.
    """

    lines: int = 3

    @property
    def config(self) -> str:
        """What decides its output."""
        return f"tiny lines={self.lines}"

    def chunk(self, document: Document) -> list[Chunk]:
        """The windows; none for a text of white space."""
        spans, place = list[Span](), 0
        for line in document.text.splitlines(keepends=True):
            inner = line.strip()
            if inner:
                start = place + line.index(inner)
                spans.append(Span(start, start + len(inner)))
            place += len(line)
        out = []
        for part in (spans[i : i + self.lines] for i in range(0, len(spans), self.lines)):
            start, end = part[0].start, part[-1].end
            pages = document.pages_of(Span(start, end))
            out.append(Chunk(start, end, document.text[start:end], document.title, tuple(part), pages))
        return out


class VectorIndexContract:
    """Holds a `VectorIndex` to its protocol. Give `new` and `load`."""

    def new(self, dimension: int) -> VectorIndex:
        """An empty index."""
        raise NotImplementedError

    def load(self, path: Path, dimension: int) -> VectorIndex:
        """The index in a file."""
        raise NotImplementedError

    def _filled(self, n: int = 500, dimension: int = 16) -> tuple[VectorIndex, NDArray[np.int64], NDArray[np.float32]]:
        random = np.random.default_rng(1)
        vectors = random.standard_normal((n, dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = np.cumsum(random.integers(1, 4, n)).astype(np.int64)
        index = self.new(dimension)
        index.add(ids[: n // 3], vectors[: n // 3])
        index.add(ids[n // 3 :], vectors[n // 3 :])
        return index, ids, vectors

    def test_finds_the_nearest_best_first(self) -> None:
        """Rule 2."""
        index, ids, vectors = self._filled()
        assert len(index) == len(ids)
        found, scores = index.search(vectors[:20], 10)
        assert found.shape == scores.shape == (20, 10)
        assert (found.dtype.name, scores.dtype.name) == ("int64", "float32")
        exact = vectors[:20] @ vectors.T
        assert np.array_equal(found[:, 0], ids[:20])
        best = -np.sort(-exact, axis=1)[:, :10]
        assert np.allclose(scores, best, atol=2e-2)
        assert np.all(np.diff(scores, axis=1) <= 0)

    def test_finds_k_among_the_allowed(self) -> None:
        """Rule 3."""
        index, ids, vectors = self._filled()
        allowed = np.zeros(int(ids[300]) + 1, dtype=np.bool_)
        chosen = ids[[3, 50, 77, 200, 300]]
        allowed[chosen] = True
        found, scores = index.search(vectors[400:402], 7, allowed)
        for row, score in zip(found, scores, strict=True):
            assert set(row[:5]) == set(chosen.tolist())
            assert row[5:].tolist() == [-1, -1]
            assert np.all(np.isneginf(score[5:]))
        nothing, _ = index.search(vectors[:1], 3, np.zeros(0, dtype=np.bool_))
        assert nothing.tolist() == [[-1, -1, -1]]

    def test_ties_by_lower_id(self) -> None:
        """Rule 2, with many equal vectors."""
        index = self.new(4)
        index.add(np.arange(10, 60, dtype=np.int64), np.tile(np.array([[0, 1, 0, 0]], dtype=np.float32), (50, 1)))
        found, _ = index.search(np.array([[0, 1, 0, 0]], dtype=np.float32), 5)
        assert found.tolist() == [[10, 11, 12, 13, 14]]

    def test_empty(self) -> None:
        """Nothing in it, and nothing asked."""
        index = self.new(4)
        index.add(np.empty(0, dtype=np.int64), np.empty((0, 4), dtype=np.float32))
        found, scores = index.search(np.ones((1, 4), dtype=np.float32), 2)
        assert found.tolist() == [[-1, -1]]
        assert np.all(np.isneginf(scores))
        assert index.search(np.empty((0, 4), dtype=np.float32), 2)[0].shape == (0, 2)

    def test_saves_and_loads(self, tmp_path: Path) -> None:
        """Rule 4; a loaded index goes on growing."""
        index, ids, vectors = self._filled()
        path = tmp_path / "v"
        index.save(path)
        assert [p.name for p in tmp_path.iterdir()] == ["v"]
        again = self.load(path, 16)
        assert len(again) == len(ids)
        expected, got = index.search(vectors[:5], 10), again.search(vectors[:5], 10)
        assert np.array_equal(expected[0], got[0])
        assert np.array_equal(expected[1], got[1])
        again.add(ids[-1:] + 1, vectors[:1])
        assert again.search(vectors[:1], 2)[0].tolist() == [[int(ids[0]), int(ids[-1]) + 1]]

    def test_refuses_a_broken_file(self, tmp_path: Path) -> None:
        """Rule 4, for every kind of damage."""
        index, _, _ = self._filled()
        path = tmp_path / "v"
        index.save(path)
        data = path.read_bytes()
        for broken in (b"", data[:10], data[: len(data) // 2], data[:-1], b"x" * len(data)):
            path.write_bytes(broken)
            try:
                self.load(path, 16)
            except IndexDamaged:
                continue
            raise AssertionError(f"a file of {len(broken)} of {len(data)} bytes was loaded")
        path.write_bytes(data)
        try:
            self.load(path, 8)
        except IndexDamaged:
            return
        raise AssertionError("a file of another dimension was loaded")


class EmbedderContract:
    """Holds an `Embedder` to its protocol. Give `embedder`."""

    def embedder(self) -> Embedder:
        """The embedder."""
        raise NotImplementedError

    def _chunks(self) -> list[Chunk]:
        first = "The pump was replaced in May. It runs at 40 bar."
        second = "Ann owns the contract."
        return [
            Chunk(5, 5 + len(first), first, "Pumps > May", (Span(5, 34), Span(35, 5 + len(first)))),
            Chunk(100, 100 + len(second), second, "", (Span(100, 100 + len(second)),)),
        ]

    def test_shapes_and_lengths(self) -> None:
        """Rules 3, 4."""
        embedder = self.embedder()
        info = embedder.info
        made = embedder.embed(self._chunks())
        assert made.passages.shape == (2, info.dimension)
        assert made.passages.dtype == np.float32
        assert np.allclose(np.linalg.norm(made.passages, axis=1), 1, atol=1e-3)
        if info.sentences:
            assert made.sentences is not None
            assert made.sentences.shape == (3, info.dimension)
            assert np.allclose(np.linalg.norm(made.sentences, axis=1), 1, atol=1e-3)
        questions = embedder.embed_queries(["what pressure?", "who?"])
        assert questions.shape == (2, info.dimension)
        assert np.allclose(np.linalg.norm(questions, axis=1), 1, atol=1e-3)

    def test_empty(self) -> None:
        """Rule 5."""
        embedder = self.embedder()
        made = embedder.embed([])
        assert made.passages.shape == (0, embedder.info.dimension)
        assert embedder.embed_queries([]).shape == (0, embedder.info.dimension)
        assert embedder.count([]) == []

    def test_order_does_not_matter(self) -> None:
        """A chunk's vector is its own, whatever is embedded beside it."""
        embedder = self.embedder()
        chunks = self._chunks()
        both, last = embedder.embed(chunks), embedder.embed(chunks[1:])
        assert np.allclose(both.passages[1], last.passages[0], atol=2e-2)

    def test_counts(self) -> None:
        """Rule 2."""
        counts = self.embedder().count(["", "one", "one two three four"])
        assert 0 == counts[0] < counts[1] < counts[2]


class ConnectorContract:
    """Holds a `Connector` to its protocol. Give `connector` and the four ways to change its source."""

    def connector(self) -> Connector:
        """A connector to the same source every time, with at least two documents in it."""
        raise NotImplementedError

    def edit(self) -> str:
        """Changes the content of one document; gives its id."""
        raise NotImplementedError

    def remove(self) -> str:
        """Deletes one document; gives its id."""
        raise NotImplementedError

    def vanish(self) -> None:
        """Makes the whole source unreachable."""
        raise NotImplementedError

    def _refs(self) -> dict[str, DocumentRef]:
        pages = list(self.connector().list())
        assert pages, "a listing has at least one part"
        assert [p.complete for p in pages] == [False] * (len(pages) - 1) + [True], "complete on the last part only"
        refs = [ref for page in pages for ref in page.refs]
        out = {ref.id: ref for ref in refs}
        assert len(out) == len(refs), "an id is listed once"
        return out

    def test_listing_is_stable(self) -> None:
        """Rules 1 to 4."""
        first, second = self._refs(), self._refs()
        assert len(first) >= 2
        assert list(first.items()) == list(second.items())
        assert self.connector().source == self.connector().source != ""

    def test_fetch_gives_what_was_listed(self) -> None:
        """Rule 5."""
        connector = self.connector()
        for ref in self._refs().values():
            fetched = connector.fetch(ref)
            assert fetched.id == ref.id
            if isinstance(fetched, Blob):
                assert isinstance(fetched.read(), bytes)

    def test_an_edit_changes_the_version_not_the_id(self) -> None:
        """Rule 2."""
        before = self._refs()
        changed = self.edit()
        after = self._refs()
        assert before.keys() == after.keys()
        for id_ in before:
            if before[id_].version:
                assert (before[id_].version != after[id_].version) == (id_ == changed)

    def test_a_deletion_is_seen(self) -> None:
        """Rule 4."""
        before = self._refs()
        gone = self.remove()
        assert before.keys() - self._refs().keys() == {gone}

    def test_fetch_of_a_gone_document_raises(self) -> None:
        """Rule 5."""
        before = self._refs()
        gone = self.remove()
        try:
            fetched = self.connector().fetch(before[gone])
            if isinstance(fetched, Blob):
                fetched.read()
        except OSError:  # SourceError is one; so is what reading a vanished file raises
            return
        raise AssertionError("a document that is gone was fetched")

    def test_an_unreachable_source_is_never_complete(self) -> None:
        """Rule 4: what cannot be listed must not look empty."""
        self.vanish()
        try:
            pages = list(self.connector().list())
        except SourceError:
            return
        assert not any(page.complete for page in pages)


class RerankerContract:
    """Holds a `Reranker` to its protocol. Give `reranker`."""

    _ASKED = "At what pressure did the pump run?"
    _TEXTS = ("The pump ran dry at 42 bar.", "Bob called the owner about the invoice.", "pressure " * 2_000, "x", "")

    def reranker(self) -> Reranker:
        """The reranker; the same every time is fine."""
        raise NotImplementedError

    def test_scores(self) -> None:
        """Rules 1 to 4: a finite number for each text and any question, however long."""
        reranker = self.reranker()
        assert (reranker.name, reranker.score("?", []).shape) == (self.reranker().name or "a name", (0,))
        for question in (self._ASKED, "pump " * 2_000):
            scores = reranker.score(question, self._TEXTS)
            assert (scores.shape, scores.dtype.name) == ((len(self._TEXTS),), "float32")
            assert np.isfinite(scores).all()

    def test_a_score_is_its_own(self) -> None:
        """Rules 2 and 5: whatever is judged beside a text, and in whichever thread."""
        reranker, question = self.reranker(), self._ASKED
        together = reranker.score(question, self._TEXTS[:2])
        alone = np.concatenate([reranker.score(question, [text]) for text in self._TEXTS[:2]])
        with ThreadPoolExecutor(4) as pool:
            beside = list(pool.map(lambda _: reranker.score(question, self._TEXTS[1::-1])[::-1], range(8)))
        assert all(np.allclose(together, other, atol=2e-2) for other in (alone, *beside))


class ExtractorContract:
    """Holds an `Extractor` to its protocol. Give `extractor`, and `failing` where it can fail (an endpoint that is away)."""

    _TURNS = (Said("Ann", "My new office is in Leeds.", "2024-05-03"), Said("Bob", "Fine, thanks.", "2024-05-03"))

    def extractor(self) -> Extractor:
        """An extractor that works."""
        raise NotImplementedError

    def failing(self) -> Extractor | None:
        """One that gives no good answer; None where it always does."""

    def test_claims_stand_in_the_turns(self) -> None:
        """Rules 1 to 3."""
        extractor = self.extractor()
        made = extractor.extract(self._TURNS)
        assert extractor.name
        assert all(claim.text and claim.quote in self._TURNS[claim.turn].text for claim in made.claims)
        assert 0 <= made.input_tokens + made.output_tokens <= extractor.need(self._TURNS)
        assert extractor.need(self._TURNS[:1]) <= extractor.need(self._TURNS)

    def test_a_failure_is_an_extractor_error(self) -> None:
        """Rule 3."""
        failing = self.failing()
        try:
            made = failing.extract(self._TURNS) if failing is not None else None
        except ExtractorError:
            return
        assert made is None, "an extractor without an answer gave one"
