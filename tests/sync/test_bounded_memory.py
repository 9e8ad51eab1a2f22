"""What a run holds at once is bounded by what it weighs, not by how many documents it is."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import contextkit as ck
from contextkit.catalog import staging, vectors
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.sync import plan, runs, work
from contextkit.sync.plan import Refs
from contextkit.testing import TinyChunker, TinyEmbedder
from contextkit.types import Blob, DocumentRef, Embedded, ListingPage


class Sized:
    """A source of texts that say their size, or not."""

    source = "sized:texts"

    def __init__(self, sizes: list[int], *, told: bool = True) -> None:
        self.sizes, self.told, self.fetched = sizes, told, []

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:
        refs = tuple(
            DocumentRef(f"d{n}", version="1", name="a.txt", size=size if self.told else -1) for n, size in enumerate(self.sizes)
        )
        yield ListingPage(refs, complete=True)

    def fetch(self, ref: DocumentRef) -> Blob:
        self.fetched.append(ref.id)
        return Blob(ref.id, name="a.txt", data=f"text of {ref.id}".encode())


@pytest.mark.parametrize(("limit", "told", "ahead"), [(250, True, 3), (99, True, 1), (10_000, True, 32), (3 << 20, False, 3)])
def test_fetches_ahead_weigh_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch, limit: int, told: bool, ahead: int) -> None:
    monkeypatch.setattr(runs, "_BYTES_AHEAD", limit)
    connector = Sized([100] * 40, told=told)
    reader = runs._Reader(None, connector, None, None, None, None, None)  # type: ignore[arg-type] # only what fetches is used
    (page,) = connector.list()
    found = reader._fetched(page.refs)
    next(found)
    assert len(connector.fetched) <= ahead
    assert [ref.id for ref, _ in found] == [f"d{n}" for n in range(1, 40)]


def test_long_texts_are_staged_soon_and_all_of_them_arrive(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_CHARACTERS", 500)
    monkeypatch.setattr(staging, "_TERMS_AT_ONCE", 3)
    staged: list[int] = []

    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), chunker=TinyChunker(1)) as kit:
        stage = kit.catalog.stage

        def counting(source, contents, *rest, **more):
            staged.append(sum(len(c.document.text) for c in contents))
            return stage(source, contents, *rest, **more)

        monkeypatch.setattr(kit.catalog, "stage", counting)
        texts = ["\n".join(f"word{n} and place{n}x{line}" for line in range(8)) for n in range(30)]
        kit.add([ck.Document(id=f"d{n}", text=text) for n, text in enumerate(texts)])
        assert max(staged) < 500 + max(map(len, texts))
        assert len(staged) > 5
        for n in (0, 7, 29):
            assert kit.search(f"place{n}x5", k=1)[0].document_id == f"d{n}"
        assert kit.info().chunks == 240


class Watched(TinyEmbedder):
    """Knows how many of its vectors are still held by anybody."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._made: list[weakref.ref[np.ndarray]] = []

    def embed(self, chunks) -> Embedded:
        out = super().embed(chunks)
        self._made = [made for made in self._made if made() is not None] + [weakref.ref(out.passages)]
        self.most = max(self.most, sum(len(passages) for made in self._made if (passages := made()) is not None))
        return out


def test_a_sync_of_thousands_of_chunks_holds_a_few_batches_of_vectors(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (FaissIndex.__init__, FaissIndex.load.__func__):  # type: ignore[attr-defined] # a class method has one
        monkeypatch.setitem(function.__kwdefaults__, "exact", 1_000)
    monkeypatch.setattr(vectors, "HELD", 1_000)
    monkeypatch.setattr(work, "_BATCH", 64)
    monkeypatch.setattr(work, "_DOCUMENTS", 100)
    monkeypatch.setattr(plan, "_PART", 100)
    embedder, at_once = Watched(), list[int]()
    merged = FaissIndex.merged

    def counting(self, path, batches):
        return merged(self, path, (at_once.append(len(ids)) or (ids, made) for ids, made in batches))

    monkeypatch.setattr(FaissIndex, "merged", counting)
    monkeypatch.setattr(vectors, "_BATCH", 256)
    with ck.open(tmp_path / "index", embedder=embedder, chunker=TinyChunker(1), limits=ck.Limits(workers=1)) as kit:
        texts = tmp_path / "texts"
        texts.mkdir()
        for n in range(250):
            (texts / f"{n:03}.txt").write_text("\n".join(f"item {n} line {i} of {n * i}" for i in range(10)))
        report = kit.sync(texts)
        assert (report.added, report.embedded) == (250, 2_500)
        assert embedder.most <= (work._AHEAD + 3) * work._BATCH
        assert sum(at_once) == 2_500
        assert max(at_once) <= 256
        index = kit._made_vectors()._index
        assert isinstance(index, FaissIndex)
        assert index.describe()["kind"] == "lists"
        assert index._scans == [], "no vector is left in memory"
        hit = kit.search("item 123 line 4 of 492", k=1)[0]
        assert "item 123 line 4 of 492" in hit.text
        gc.collect()
        assert kit.sync(texts).unchanged == 250


def test_long_texts_wait_for_each_other(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_CHARACTERS", 500)
    waiting = {"now": 0, "most": 0}

    class Counting(TinyChunker):
        def chunk(self, document):
            waiting["now"] += 1
            waiting["most"] = max(waiting["most"], waiting["now"])
            return super().chunk(document)

    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), chunker=Counting(2)) as kit:
        stage = kit.catalog.stage

        def staged(source, contents, *rest, **more):
            waiting["now"] -= len(contents)
            return stage(source, contents, *rest, **more)

        monkeypatch.setattr(kit.catalog, "stage", staged)
        lines = [f"a line of a long text, number {n}" for n in range(60)]
        kit.add([ck.Document(id=f"d{n}", text="\n".join([f"text {n}", *lines])) for n in range(8)])
    assert waiting["most"] == 1


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 350])
def test_a_listing_comes_back_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(plan, "_PART", 100)
    wanted = [DocumentRef(f"d{n}", version=str(n), metadata={"path": f"a/{n}"}, access=("user:a",)) for n in range(count)]
    refs = Refs(tmp_path)
    for ref in wanted:
        refs.append(ref)
    assert len(refs) == count
    for _ in range(2):
        assert list(refs) == wanted
    assert [len(part) for part in refs.parts()] == [100] * (count // 100) + ([count % 100] if count % 100 else [])
    assert len(refs._last) < 100
    assert all(isinstance(part, tuple) for part in refs._parts)
    assert list(tmp_path.iterdir()) == [], "the file has no name"


def test_what_cannot_be_written_down_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_PART", 10)
    wanted = [DocumentRef(f"d{n}", metadata=MappingProxyType({"n": n})) for n in range(25)]
    refs, nowhere = Refs(tmp_path), Refs(tmp_path / "no such folder")
    for ref in wanted:
        refs.append(ref)
        nowhere.append(DocumentRef(ref.id))
    assert list(refs) == wanted
    assert [ref.id for ref in nowhere] == [ref.id for ref in wanted]
