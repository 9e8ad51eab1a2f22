from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contextkit.errors import IndexDamaged, InputError
from contextkit.indexes import faiss_index
from contextkit.indexes.faiss_index import RECALL, FaissIndex
from contextkit.indexes.lists import count_for, probes_for
from contextkit.protocols import VectorIndex
from contextkit.testing import VectorIndexContract


class Settled(FaissIndex):
    """Has lists as soon as there is a vector."""

    def add(self, ids, vectors):
        super().add(ids, vectors)
        self.settle()


class TestLists(VectorIndexContract):
    def new(self, dimension: int) -> VectorIndex:
        return Settled(dimension, exact=0)

    def load(self, path: Path, dimension: int) -> VectorIndex:
        index = Settled.load(path, dimension, exact=0)
        assert index.describe()["kind"] == "lists"
        return index


def clustered(n, dimension=32, centres=60, seed=0):
    random = np.random.default_rng(seed)
    middle = random.standard_normal((centres, dimension))
    out = middle[random.integers(0, centres, n)] + 0.7 * random.standard_normal((n, dimension))
    return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)


def filled(vectors, exact=1000, parts=4):
    index = FaissIndex(vectors.shape[1], exact=exact)
    ids = np.arange(len(vectors), dtype=np.int64) * 2 + 1
    for part in np.array_split(np.arange(len(vectors)), parts):
        index.add(ids[part], vectors[part])
    return index, ids


def both(n=8000, **more):
    """The same vectors in lists and in a scan, and questions that are none of them."""
    vectors = clustered(n + 50, **more)
    lists, ids = filled(vectors[:n])
    scan, _ = filled(vectors[:n], exact=n)
    assert lists.settle()
    assert not scan.settle()
    return lists, scan, ids, vectors[n:]


def share(found, true):
    return np.mean(
        [len(set(a.tolist()) & set(b[b >= 0].tolist())) / max(1, np.sum(b >= 0)) for a, b in zip(found, true, strict=True)]
    )


def test_lists_find_what_a_scan_finds():
    lists, scan, _, asked = both()
    told = lists.describe()
    assert told["kind"] == "lists"
    assert told["lists"] == count_for(8000) == 178
    assert told["lists"] // 10 <= told["probes"] < told["lists"]
    assert told["recall"] >= RECALL
    assert scan.describe() == {"kind": "exact", "vectors": 8000, "dimension": 32, "bytes": 256_000}
    found, scores = lists.search(asked, 10)
    true, best = scan.search(asked, 10)
    assert share(found, true) >= 0.97
    for row, score, right, value in zip(found, scores, true, best, strict=True):
        known = dict(zip(right.tolist(), value.tolist(), strict=True))
        assert all(known[i] == s for i, s in zip(row.tolist(), score.tolist(), strict=True) if i in known), "the same bytes"
        assert np.all(np.diff(score) <= 0)


def test_the_recall_told_is_the_recall_found():
    lists, scan, _ids, _ = both()
    index = lists._index
    probes, recall = probes_for(index, 32, 0.9)
    assert 0.9 <= recall <= 1
    assert probes <= index.nprobe
    all_lists, everything = probes_for(index, 32, 1.0)
    assert everything == 1.0
    assert all_lists <= index.nlist
    index.nprobe = all_lists
    asked = clustered(8050)[:8000][::40]
    assert share(lists.search(asked, 10)[0], scan.search(asked, 10)[0]) >= 0.99


def test_few_permitted_are_found_exactly_wherever_they_lie():
    lists, scan, ids, asked = both()
    order, _ = scan.search(asked[:1], len(ids))
    for permitted in (order[0][-400:], order[0][-3:], ids[::20]):
        allowed = np.zeros(int(ids[-1]) + 1, dtype=np.bool_)
        allowed[permitted] = True
        found, scores = lists.search(asked, 10, allowed)
        true, best = scan.search(asked, 10, allowed)
        assert np.array_equal(found, true)
        assert np.array_equal(scores, best)


def test_k_are_found_among_many_permitted_that_lie_far_away():
    lists, scan, ids, asked = both()
    order, _ = scan.search(asked[:1], len(ids))
    allowed = np.zeros(int(ids[-1]) + 1, dtype=np.bool_)
    allowed[order[0][-2000:]] = True  # more than half of `exact`: not all lists are looked into at first
    for k in (10, 1500, 2000, 3000):
        found, scores = lists.search(asked[:3], k, allowed)
        assert np.all(np.sum(found >= 0, axis=1) == min(k, 2000))
        assert np.all(np.isneginf(scores[:, 2000:]))
        assert all(allowed[i] for i in found[found >= 0])
        assert all(len(set(row[row >= 0].tolist())) == min(k, 2000) for row in found)


@pytest.mark.parametrize("k", [1, 7000, 8000, 9000])
def test_any_k_is_filled(k):
    lists, _, _, asked = both()
    found, _ = lists.search(asked[:2], k)
    assert np.all(np.sum(found >= 0, axis=1) == min(k, 8000))
    assert len(set(found[0][found[0] >= 0].tolist())) == min(k, 8000)


def test_what_is_added_later_is_found_and_lists_are_made_anew_at_four_times():
    vectors = clustered(6000)
    index, _ = filled(vectors[:1200])
    assert index.settle()
    assert not index.settle()
    first = index.describe()
    ids = np.arange(6000, dtype=np.int64) + 100_000
    index.add(ids[1200:4800], vectors[1200:4800])
    found, _ = index.search(vectors[3000:3020], 1)
    assert found[:, 0].tolist() == ids[3000:3020].tolist()
    assert not index.settle()
    assert index.describe() == first | {"vectors": 4800, "bytes": 4800 * 32}
    index.add(ids[4800:], vectors[4800:])
    before = index.search(vectors[::300], 6000)
    assert index.settle()
    again = index.describe()
    assert again["lists"] == count_for(6000)
    assert again["made_from"] == 6000
    after = index.search(vectors[::300], 6000)
    assert np.array_equal(before[0], after[0]), "nothing is lost, doubled or changed on the way to the new lists"
    assert np.array_equal(before[1], after[1])


def test_the_same_vectors_give_the_same_lists(tmp_path):
    vectors = clustered(3000)
    for name in ("a", "b"):
        filled(vectors)[0].save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_saving_settles_and_the_file_keeps_what_was_chosen(tmp_path):
    vectors = clustered(3000)
    index, ids = filled(vectors)
    assert index.describe()["kind"] == "exact", "only who saves pays for lists"
    index.save(tmp_path / "v")
    assert index.describe()["kind"] == "lists"
    again = FaissIndex.load(tmp_path / "v", 32, exact=1000)
    assert again.describe() == index.describe()
    assert np.array_equal(again.ids, ids)
    assert np.array_equal(again.search(vectors[:9], 20)[0], index.search(vectors[:9], 20)[0])
    assert [p.name for p in tmp_path.iterdir()] == ["v"]


def test_a_scan_that_an_older_version_wrote_loads_and_is_settled_when_saved(tmp_path):
    vectors = clustered(3000)
    scan, _ = filled(vectors, exact=5000)
    scan.save(tmp_path / "v")
    assert (tmp_path / "v").read_bytes().endswith(b"CKFAISS2")
    again = FaissIndex.load(tmp_path / "v", 32, exact=1000)
    assert again.describe()["kind"] == "exact"
    again.save(tmp_path / "w")
    assert FaissIndex.load(tmp_path / "w", 32).describe()["kind"] == "lists"


def test_a_mark_of_the_other_kind_is_damage(tmp_path):
    index, _ = filled(clustered(3000), exact=5000)
    index.save(tmp_path / "v")
    data = (tmp_path / "v").read_bytes()
    (tmp_path / "v").write_bytes(data[:-16] + faiss_index._LISTS.pack(3000, 1.0) + data[-16:-8] + b"CKFAISS3")
    with pytest.raises(IndexDamaged, match="ends as a file of lists"):
        FaissIndex.load(tmp_path / "v", 32)


def test_equal_vectors_come_by_lower_id_from_lists_too():
    vectors = np.repeat(clustered(300), 10, axis=0)
    lists, ids = filled(vectors)
    assert lists.settle()
    found, scores = lists.search(vectors[::500], 15)
    for n, (row, score) in enumerate(zip(found, scores, strict=True)):
        assert row[:10].tolist() == ids[n * 500 : n * 500 + 10].tolist()
        ties = score[1:] == score[:-1]
        assert np.all(np.diff(row)[ties] > 0)


def test_identical_vectors_only():
    lists, ids = filled(np.tile(clustered(1), (3000, 1)))
    assert lists.settle()
    found, _ = lists.search(clustered(1), 5)
    assert found[0].tolist() == ids[:5].tolist()


def test_refuses_a_negative_limit():
    with pytest.raises(InputError, match="at least 0"):
        FaissIndex(4, exact=-1)
