from __future__ import annotations

import shutil
import threading
from functools import partial

import numpy as np
import pytest

from contextkit.catalog import Catalog, Vectors
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.sync import add, remove
from contextkit.types import Document


def vectors(catalog: Catalog) -> Vectors:
    return Vectors(catalog, FaissIndex, FaissIndex.load)


def documents(*numbers: int) -> list[Document]:
    return [Document(f"d{i}", f"text number {i} about {chr(97 + i % 26) * 5}") for i in numbers]


def exact(catalog: Catalog, question: np.ndarray, k: int, visible) -> list[int]:
    ids = np.flatnonzero(visible.allowed)
    scores = catalog.passage_vectors(ids.tolist()) @ question
    return ids[np.lexsort((ids, -scores))][:k].tolist()


def same(catalog, mine, embedder, visible=None, k=5):
    seen = catalog.visible() if visible is None else visible
    questions = embedder.embed_queries([f"text number {i}" for i in range(5)])
    found, scores = mine.search(questions, k, seen)
    for row, score, question in zip(found, scores, questions, strict=True):
        expected = exact(catalog, question, k, seen)
        assert len([i for i in row if i >= 0]) == len(expected)
        truth = catalog.passage_vectors(expected) @ question
        assert np.allclose(score[: len(expected)], truth, atol=1e-5)
        assert all(seen.allowed[i] for i in row if i >= 0)


def test_stays_in_step_through_commits_removals_and_gc(catalog, pipeline, embedder):
    mine = vectors(catalog)
    same(catalog, mine, embedder)
    add(catalog, documents(*range(40)), pipeline)
    same(catalog, mine, embedder)
    old = catalog.visible()
    add(catalog, [Document("d3", "changed"), *documents(41, 42)], pipeline)
    remove(catalog, ["d4", "d5"])
    same(catalog, mine, embedder)
    same(catalog, mine, embedder, old)
    same(catalog, mine, embedder, catalog.visible({"id": {"$in": ["d7", "d8", "d4"]}}))
    assert len(mine) == 43
    catalog.gc(1)
    same(catalog, mine, embedder)
    mine.drop()
    same(catalog, mine, embedder)
    assert len(mine) == 40


def test_the_file_is_a_shortcut(catalog, pipeline, embedder):
    add(catalog, documents(*range(30)), pipeline)
    first = vectors(catalog)
    assert first.save()
    assert not first.save(), "nothing new"
    add(catalog, documents(30, 31), pipeline)
    loaded: list[int] = []

    def load(path, dimension):
        index = FaissIndex.load(path, dimension)
        loaded.append(len(index))
        return index

    second = Vectors(catalog, FaissIndex, load)
    same(catalog, second, embedder)
    assert loaded == [30]
    assert len(second) == 32
    assert second.notes == []


@pytest.mark.parametrize("kind", ["gone", "no card", "other", "half", "flipped", "older card", "newer"])
def test_a_wrong_file_is_made_again(catalog, pipeline, embedder, tmp_path, kind):
    add(catalog, documents(*range(30)), pipeline)
    vectors(catalog).save(force=True)
    path, card = catalog.folder / "vectors.faiss", catalog.folder / "vectors.json"
    if kind == "gone":
        path.unlink()
    elif kind == "no card":
        card.unlink()
    elif kind == "half":
        path.write_bytes(path.read_bytes()[:-50])
    elif kind == "flipped":
        data = bytearray(path.read_bytes())
        data[200] ^= 1
        path.write_bytes(bytes(data))
    elif kind == "older card":
        old = card.read_bytes()
        add(catalog, documents(50), pipeline)
        vectors(catalog).save(force=True)
        card.write_bytes(old)
    else:
        with Catalog.create(tmp_path / "second", embedder.info) as second:
            add(second, documents(*range(100, 160)), pipeline)
            vectors(second).save(force=True)
            shutil.copy(second.folder / "vectors.faiss", path)
            if kind == "other":
                shutil.copy(second.folder / "vectors.json", card)
    mine = vectors(catalog)
    same(catalog, mine, embedder)
    assert len(mine.notes) == (0 if kind == "gone" else 1)
    assert all("nothing is lost" in note for note in mine.notes)


def test_many_threads(catalog, pipeline, embedder):
    add(catalog, documents(*range(10)), pipeline)
    mine = vectors(catalog)
    errors, stop = [], threading.Event()

    def ask():
        question = embedder.embed_queries(["text number 3"])
        while not stop.is_set():
            seen = catalog.visible()
            ids, _ = mine.search(question, 5, seen)
            if np.any(ids < 0) or not all(seen.allowed[i] for i in ids[0]):
                errors.append(ids)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(10, 40):
        add(catalog, documents(i), pipeline)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_large_index_goes_into_lists_when_the_writer_saves(catalog, pipeline, embedder):
    new, load = partial(FaissIndex, exact=20), partial(FaissIndex.load, exact=20)
    first = Vectors(catalog, new, load)
    assert first.describe() == {}
    add(catalog, documents(*range(40)), pipeline)
    same(catalog, first, embedder)
    assert first.describe()["kind"] == "exact", "who asks does not pay for lists"
    assert first.save()
    told = first.describe()
    assert told["kind"] == "lists"
    assert told["vectors"] == 40
    second = Vectors(catalog, new, load)
    assert second.describe() == told, "from the card, before anything is loaded"
    assert second._index is None
    add(catalog, documents(*range(40, 50)), pipeline)
    remove(catalog, ["d4", "d5"])
    seen = catalog.visible({"id": {"$in": ["d7", "d8", "d44"]}})
    same(catalog, second, embedder, seen)
    assert second.describe() == told | {"vectors": 50, "bytes": 50 * 32}
    assert second.notes == []
    assert second.problems() == []
    found, _ = second.search(embedder.embed_queries(["text number 44"]), 48, catalog.visible())
    assert sorted(found[0].tolist()) == np.flatnonzero(catalog.visible().allowed).tolist()


def test_an_index_type_that_tells_nothing_has_no_description(catalog, pipeline):
    class Silent(FaissIndex):
        describe = None

    add(catalog, documents(1), pipeline)
    mine = Vectors(catalog, Silent, Silent.load)
    assert mine.save()
    assert mine.describe() == {}
