"""Large indexes: the vectors go from the catalogue into the file without being held in memory."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from contextkit.catalog import Catalog, Vectors
from contextkit.catalog import vectors as module
from contextkit.indexes.faiss_index import EXACT as DEFAULT_EXACT
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.sync import add, remove
from contextkit.testing import TinyEmbedder
from contextkit.types import Document

EXACT = 50
DEFAULT_HELD = module.HELD


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELD", EXACT)
    monkeypatch.setattr(module, "_BATCH", 16)


def vectors(catalog: Catalog) -> Vectors:
    return Vectors(catalog, partial(FaissIndex, exact=EXACT), partial(FaissIndex.load, exact=EXACT))


def documents(first: int, stop: int) -> list[Document]:
    return [Document(f"d{i}", f"text number {i} about {chr(97 + i % 26) * 5} and {i * i}") for i in range(first, stop)]


def asked(embedder: TinyEmbedder):
    return embedder.embed_queries([f"text number {i}" for i in (3, 55, 140, 170)])


def same_as_a_scan(catalog: Catalog, mine: Vectors, embedder: TinyEmbedder) -> None:
    """All chunks are found, best first, as comparing the question with each of them gives them."""
    visible = catalog.visible()
    all_of_them = np.flatnonzero(visible.allowed)
    found, scores = mine.search(asked(embedder), len(all_of_them), visible)
    for row, score, question in zip(found, scores, asked(embedder), strict=True):
        cosines = catalog.passage_cosines(all_of_them.tolist(), question)
        order = np.lexsort((all_of_them, -cosines))
        assert row.tolist() == all_of_them[order].tolist()
        assert np.allclose(score, cosines[order], atol=1e-6)


def held(mine: Vectors) -> int:
    """Vectors that lie in memory."""
    return sum(scan.ntotal for scan in mine._index._scans)  # type: ignore[union-attr] # FaissIndex


def test_all_of_a_large_index_goes_into_the_file(catalog, pipeline, embedder, monkeypatch):
    monkeypatch.setattr(module, "_SELF", 0.95)  # with 32 dimensions rounding moves a score more
    add(catalog, documents(0, 160), pipeline)
    mine = vectors(catalog)
    assert mine.save()
    assert mine.describe()["kind"] == "lists"
    assert held(mine) == 0
    assert len(mine) == 160
    same_as_a_scan(catalog, mine, embedder)
    again = vectors(catalog)
    same_as_a_scan(catalog, again, embedder)
    assert again.describe() == mine.describe()
    assert again.notes == mine.notes == []
    assert again.problems() == []


def test_what_comes_later_is_found_before_and_after_it_is_in_the_file(catalog, pipeline, embedder):
    add(catalog, documents(0, 120), pipeline)
    mine = vectors(catalog)
    mine.save()
    add(catalog, documents(120, 160), pipeline)
    remove(catalog, ["d3", "d4"])
    same_as_a_scan(catalog, mine, embedder)
    assert held(mine) == 40
    assert mine.save()
    assert held(mine) == 0
    same_as_a_scan(catalog, mine, embedder)
    assert not mine.save(), "nothing new"
    catalog.gc(1)
    mine.drop()
    same_as_a_scan(catalog, mine, embedder)
    assert len(mine) == 158


def test_an_index_that_outgrows_its_scan_goes_into_lists_at_that_commit(catalog, pipeline, embedder):
    add(catalog, documents(0, EXACT), pipeline)
    mine = vectors(catalog)
    assert mine.save()
    assert mine.describe()["kind"] == "exact"
    again = vectors(catalog)
    add(catalog, documents(EXACT, EXACT + 10), pipeline)
    remove(catalog, ["d3"])
    same_as_a_scan(catalog, again, embedder)
    assert again.describe()["kind"] == "exact", "who asks does not pay for lists"
    assert again.save()
    told = again.describe()
    assert (told["kind"], told["vectors"], told["made_from"]) == ("lists", EXACT + 10, EXACT + 10)
    same_as_a_scan(catalog, again, embedder)
    same_as_a_scan(catalog, vectors(catalog), embedder)
    assert "d3" not in {d.id for d in catalog.documents()}


def test_what_is_not_held_is_what_is_not_scanned():
    assert DEFAULT_HELD == DEFAULT_EXACT, "else files would be made of what is in memory already, or lists be held"


def test_an_opening_that_finds_much_puts_it_into_the_file(catalog, pipeline, embedder):
    add(catalog, documents(0, 160), pipeline)
    with Catalog.open(catalog.folder, read_only=True) as reading:
        mine = vectors(reading)
        same_as_a_scan(reading, mine, embedder)
        assert held(mine) == 160
    assert not list(catalog.folder.glob("vectors*")), "who only reads writes nothing"
    mine = vectors(catalog)
    same_as_a_scan(catalog, mine, embedder)
    assert held(mine) == 0
    assert sorted(p.name for p in catalog.folder.glob("vectors*")) == ["vectors.faiss", "vectors.json"]


def test_a_disk_that_does_not_take_it_is_told_and_the_vectors_are_held(catalog, pipeline, embedder, monkeypatch):
    add(catalog, documents(0, 160), pipeline)

    def full(self, path, batches):
        next(iter(batches))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FaissIndex, "merged", full)
    mine = vectors(catalog)
    same_as_a_scan(catalog, mine, embedder)
    assert held(mine) == 160
    assert len(mine.notes) == 1
    assert "No space left" in mine.notes[0]
    assert not mine.filed


def test_searches_go_on_while_the_file_is_made(catalog, pipeline, embedder, monkeypatch):
    add(catalog, documents(0, 120), pipeline)
    mine = vectors(catalog)
    mine.save()
    add(catalog, documents(120, 160), pipeline)
    mine.refresh()
    begun, go_on = threading.Event(), threading.Event()
    merged = FaissIndex.merged

    def slow(self, path, batches):
        begun.set()
        assert go_on.wait(30)
        return merged(self, path, batches)

    monkeypatch.setattr(FaissIndex, "merged", slow)
    saving = threading.Thread(target=mine.save)
    saving.start()
    assert begun.wait(30)
    same_as_a_scan(catalog, mine, embedder)
    go_on.set()
    saving.join()
    assert held(mine) == 0
    same_as_a_scan(catalog, mine, embedder)


KILLED = """
import os, signal, sys
from functools import partial
from contextkit.catalog import Catalog, Vectors, vectors
from contextkit.indexes import listfile
from contextkit.indexes.faiss_index import EXACT as DEFAULT_EXACT
from contextkit.indexes.faiss_index import FaissIndex
vectors.HELD = 50
put, times = listfile.ListsWriter.put, []
def dying(self, number, block):
    times.append(1)
    if len(times) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, number, block)
listfile.ListsWriter.put = dying
with Catalog.open(sys.argv[1]) as catalog:
    Vectors(catalog, partial(FaissIndex, exact=50), partial(FaissIndex.load, exact=50)).save(force=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_kill_while_the_file_is_made_leaves_all_searchable(catalog, pipeline, embedder):
    add(catalog, documents(0, 120), pipeline)
    vectors(catalog).save()
    before = (catalog.folder / "vectors.faiss").read_bytes()
    add(catalog, documents(120, 160), pipeline)
    command = [sys.executable, "-c", KILLED, str(catalog.folder), "12"]
    assert subprocess.run(command, check=False, timeout=120).returncode == -9
    assert (catalog.folder / "vectors.faiss").read_bytes() == before
    assert len(drafts(catalog.folder)) == 1
    mine = vectors(catalog)
    same_as_a_scan(catalog, mine, embedder)
    assert mine.notes == []
    assert mine.save(force=True)
    same_as_a_scan(catalog, vectors(catalog), embedder)


def drafts(folder: Path) -> list[Path]:
    return list(folder.glob(".vectors.faiss.*.new"))


def test_an_index_type_that_cannot_merge_is_held(catalog, pipeline, embedder):
    class Plain:
        """A scan with nothing but the protocol."""

        def __init__(self, dimension: int) -> None:
            self._own = FaissIndex(dimension)
            self.add, self.search, self.save = self._own.add, self._own.search, self._own.save

        def __len__(self) -> int:
            return len(self._own)

    add(catalog, documents(0, 160), pipeline)
    mine = Vectors(catalog, Plain, lambda path, dimension: pytest.fail("not read"))
    assert mine.save()
    assert len(mine) == 160
    found, _ = mine.search(asked(embedder), 3, catalog.visible())
    assert np.all(found >= 0)
