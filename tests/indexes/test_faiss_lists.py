from __future__ import annotations

import os
import tempfile
import time
import tracemalloc
from pathlib import Path

import faiss
import numpy as np
import pytest

from contextkit.errors import IndexDamaged, InputError
from contextkit.indexes import faiss_index, listfile, lists
from contextkit.indexes.faiss_index import RECALL, FaissIndex
from contextkit.indexes.listfile import Lists, ListsWriter, Spool
from contextkit.indexes.lists import Sorting, count_for
from contextkit.protocols import VectorIndex
from contextkit.testing import VectorIndexContract


def settle(index) -> bool:
    """Saves it somewhere; whether new lists were made. The file is gone then, and still mapped."""
    before = index._sorted
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "v")
    return index._sorted != before


class Settled(FaissIndex):
    """Has lists as soon as there is a vector."""

    def add(self, ids, vectors):
        super().add(ids, vectors)
        settle(self)


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
    assert settle(lists)
    assert not settle(scan)
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
    assert told["lists"] // 8 <= told["probes"] < told["lists"]
    assert told["probes"] >= told["lists"] * 500 / 8000, "half as many vectors as are scanned without lists"
    assert told["recall"] >= RECALL
    assert scan.describe() == {"kind": "exact", "vectors": 8000, "dimension": 32, "bytes": 256_000}
    found, scores = lists.search(asked, 10)
    true, best = scan.search(asked, 10)
    assert share(found, true) >= 0.97
    for row, score, right, value in zip(found, scores, true, best, strict=True):
        known = dict(zip(right.tolist(), value.tolist(), strict=True))
        assert all(known[i] == s for i, s in zip(row.tolist(), score.tolist(), strict=True) if i in known), "the same bytes"
        assert np.all(np.diff(score) <= 0)


def test_questions_far_from_all_that_is_stored_find_their_hundred_nearest():
    lists, scan, _, asked = both()
    away = asked + 0.27 * np.random.default_rng(7).standard_normal(asked.shape)
    away = (away / np.linalg.norm(away, axis=1, keepdims=True)).astype(np.float32)
    assert np.median(scan.search(away, 1)[1]) < 0.75, "nothing lies near them"
    assert share(lists.search(away, 100)[0], scan.search(away, 100)[0]) >= 0.975
    lists._lists.index.nprobe //= 3
    assert share(lists.search(away, 100)[0], scan.search(away, 100)[0]) < 0.95, "it is the number of lists that does it"


def test_a_target_takes_as_many_lists_as_it_needs():
    vectors = np.round(clustered(4000) * 127)
    sorting = Sorting(vectors, len(vectors))
    sorting.numbers((vectors + 128).astype(np.uint8))
    floor = -(-sorting.index.nlist // 8)
    few, middle, most = (sorting.probes(target, 0)[0] for target in (0.1, 0.95, 1.0))
    assert floor == few < middle < most
    assert sorting.probes(0.1, 2000)[0] == -(-sorting.index.nlist // 2), "lists that hold so many vectors"
    assert sorting.probes(0.1, 10_000) == (sorting.index.nlist, 1.0), "more than there are is all"


def test_the_recall_told_is_the_recall_found():
    found, scan, _ids, _ = both()
    codes = np.concatenate([codes for _, (_, codes) in found._lists.blocks()])
    sorting = Sorting(codes.astype(np.float32) - 128, len(codes))
    for part in np.array_split(codes, 7):
        sorting.numbers(part)
    probes, recall = sorting.probes(0.9, 500)
    assert 0.9 <= recall <= 1
    assert probes <= found._lists.index.nprobe
    all_lists, everything = sorting.probes(1.0, 0)
    assert everything == 1.0
    assert all_lists <= found._lists.index.nlist
    found._lists.index.nprobe = all_lists
    asked = clustered(8050)[:8000][::40]
    assert share(found.search(asked, 10)[0], scan.search(asked, 10)[0]) >= 0.99


def test_few_permitted_are_found_exactly_wherever_they_lie():
    lists, scan, ids, asked = both()
    order, _ = scan.search(asked[:1], len(ids))
    for permitted in (order[0][-1000:], order[0][-3:], ids[::20]):  # 1,000 is the limit
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


def test_what_is_added_later_is_found_and_lists_are_made_anew_at_twice_the_size(tmp_path):
    vectors = clustered(3000)
    index, _ = filled(vectors[:1200])
    assert settle(index)
    assert not settle(index)
    first = index.describe()
    ids = np.arange(3000, dtype=np.int64) + 100_000
    index.add(ids[1200:2400], vectors[1200:2400])
    assert len(index._scans) == 1, "scanned beside the lists"
    beside = index.search(vectors[::150], 2400)
    found, _ = index.search(vectors[2000:2020], 1)
    assert found[:, 0].tolist() == ids[2000:2020].tolist()
    index.save(tmp_path / "v")
    assert index.describe() == first | {"vectors": 2400, "bytes": 2400 * 32}, "the lists stay as they were made"
    assert index._scans == []
    inside = index.search(vectors[::150], 2400)
    assert np.array_equal(beside[0], inside[0])
    assert np.array_equal(beside[1], inside[1])
    index.add(ids[2400:], vectors[2400:])
    before = index.search(vectors[::150], 3000)
    assert settle(index)
    again = index.describe()
    assert again["lists"] == count_for(3000)
    assert again["made_from"] == 3000
    after = index.search(vectors[::150], 3000)
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
    assert settle(lists)
    found, scores = lists.search(vectors[::500], 15)
    for n, (row, score) in enumerate(zip(found, scores, strict=True)):
        assert row[:10].tolist() == ids[n * 500 : n * 500 + 10].tolist()
        ties = score[1:] == score[:-1]
        assert np.all(np.diff(row)[ties] > 0)


def test_identical_vectors_only():
    lists, ids = filled(np.tile(clustered(1), (3000, 1)))
    assert settle(lists)
    found, _ = lists.search(clustered(1), 5)
    assert found[0].tolist() == ids[:5].tolist()


def test_refuses_a_negative_limit():
    with pytest.raises(InputError, match="at least 0"):
        FaissIndex(4, exact=-1)


# ----------------------------------------------------------------------------------------------------------- what is not in memory


def batches(ids, vectors, parts=9):
    for part in np.array_split(np.arange(len(ids)), parts):
        yield ids[part], vectors[part]


@pytest.mark.parametrize("in_lists", [0, 1500])
@pytest.mark.parametrize("scanned", [0, 700])
@pytest.mark.parametrize("to_come", [0, 2400])
def test_merged_has_what_was_there_and_what_came(tmp_path, in_lists, scanned, to_come):
    n = in_lists + scanned + to_come
    vectors, ids = clustered(n + 20), np.arange(n, dtype=np.int64) * 3 + 2
    index, scan = FaissIndex(32, exact=1000), FaissIndex(32, exact=n)
    index.add(ids[:in_lists], vectors[:in_lists])
    assert settle(index) == bool(in_lists)
    index.add(ids[in_lists : in_lists + scanned], vectors[in_lists : in_lists + scanned])
    scan.add(ids, vectors[:n])
    before = index.describe()
    done = index.merged(tmp_path / "v", batches(ids[in_lists + scanned :], vectors[in_lists + scanned : n]))
    assert index.describe() == before
    assert done.describe()["kind"] == ("lists" if n > 1000 else "exact")
    assert len(done) == n
    assert np.array_equal(done.ids, ids)
    assert [p.name for p in tmp_path.iterdir()] == ["v"]
    if n:
        for one, other in zip(done.search(vectors[n:], n), scan.search(vectors[n:], n), strict=True):
            assert np.array_equal(one, other), "every vector, with the bytes of a scan"
        again = FaissIndex.load(tmp_path / "v", 32, exact=1000)
        assert np.array_equal(again.search(vectors[n:], 30)[0], done.search(vectors[n:], 30)[0])


def test_merged_refuses_ids_that_do_not_rise_and_leaves_the_old_file(tmp_path):
    index, ids = filled(clustered(3000))
    index.save(tmp_path / "v")
    before = (tmp_path / "v").read_bytes()
    late = np.array([ids[-1] + 2, ids[-1] + 1], dtype=np.int64)
    with pytest.raises(InputError, match="rise"):
        index.merged(tmp_path / "v", [(late[:1], clustered(1)), (late[1:], clustered(1))])
    with pytest.raises(InputError, match="shape"):
        index.merged(tmp_path / "v", [(late[:1], clustered(1, dimension=16))])
    assert (tmp_path / "v").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["v"]


def test_the_file_is_the_one_that_faiss_writes(tmp_path):
    vectors = clustered(3000)
    index, ids = filled(vectors)
    index.save(tmp_path / "v")
    whole = (tmp_path / "v").read_bytes()
    inner: faiss.IndexIVFScalarQuantizer = faiss.read_index(str(tmp_path / "v"))
    faiss.write_index(inner, str(tmp_path / "w"))
    own = (tmp_path / "w").read_bytes()
    assert whole[: len(own)] == own
    assert whole[len(own) :][: 8 * len(ids)] == ids.tobytes()


def test_building_holds_a_part_of_the_vectors_at_a_time(tmp_path, monkeypatch):
    n, dimension = 12_000, 384
    monkeypatch.setattr(listfile, "_BLOCK", 64 * 1024)
    monkeypatch.setattr(listfile, "_SPREAD", 128 * 1024)
    monkeypatch.setattr(lists, "_SAMPLE", 2000 * 4 * dimension)
    monkeypatch.setattr(lists, "_ASKED", 50)

    def made():
        random = np.random.default_rng(5)
        for at in range(0, n, 100):
            part = random.standard_normal((100, dimension)).astype(np.float32)
            yield np.arange(at, at + 100, dtype=np.int64), part / np.linalg.norm(part, axis=1, keepdims=True)

    empty = FaissIndex(dimension, exact=1000)
    tracemalloc.start()
    done = empty.merged(tmp_path / "v", made())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # the sample, and of every vector its id and the number of its list, some of them twice: not its bytes, nor its floats
    assert peak < n * dimension
    assert len(done) == n
    first, _ = next(made())
    assert done.search(next(made())[1][:50], 1)[0][:, 0].tolist() == first[:50].tolist()


def test_a_scan_grows_in_segments(monkeypatch):
    monkeypatch.setattr(faiss_index, "_SEGMENT", 100)
    vectors = clustered(1000)
    index, ids = filled(vectors, exact=2000, parts=7)
    assert [scan.ntotal for scan in index._scans] == [100] * 10
    monkeypatch.undo()
    whole, _ = filled(vectors, exact=2000)
    assert len(whole._scans) == 1
    allowed = np.zeros(int(ids[-1]) + 1, dtype=np.bool_)
    allowed[ids[130:470:3]] = True
    for mask in (None, allowed):
        for one, other in zip(index.search(vectors[::50], 120, mask), whole.search(vectors[::50], 120, mask), strict=True):
            assert np.array_equal(one, other)


def test_lists_are_read_without_being_mapped_and_outlive_their_name(tmp_path):
    index, _ = filled(clustered(3000))
    index.save(tmp_path / "v")
    (tmp_path / "w").write_bytes(b"another one's")
    (tmp_path / "w").replace(tmp_path / "v")
    assert index._lists is not None
    places = np.concatenate([places for _, (places, _) in index._lists.blocks()])
    assert sorted(places.tolist()) == list(range(3000))
    index.merged(tmp_path / "v", ())
    assert FaissIndex.load(tmp_path / "v", 32).describe() == index.describe()


def test_a_writer_that_was_killed_leaves_a_draft_that_the_next_one_removes(tmp_path):
    old, young = tmp_path / ".v.4000001.new", tmp_path / ".v.4000002.new"
    for draft in (old, young):
        draft.write_bytes(b"half")
    before = time.time() - 2 * faiss_index._STALE
    os.utime(old, (before, before))
    filled(clustered(3000))[0].save(tmp_path / "v")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".v.4000002.new", "v"]


def test_lists_that_get_other_vectors_than_counted_are_not_written(tmp_path):
    sorting = Sorting(np.round(clustered(500) * 100), 500)
    sizes = np.bincount(np.zeros(500, dtype=np.int64), minlength=sorting.index.nlist)
    with ListsWriter(tmp_path / "v", sorting.index, sizes) as writer:
        writer.put(0, (np.arange(400, dtype=np.int64), np.zeros((400, 32), np.uint8)))
        with pytest.raises(RuntimeError, match="other vectors"):
            writer.end(b"")


def test_a_spool_gives_back_what_it_took(tmp_path, monkeypatch):
    monkeypatch.setattr(listfile, "_BLOCK", 200)
    codes = np.random.default_rng(3).integers(0, 256, (57, 16)).astype(np.uint8)
    with Spool(tmp_path, 16, 1000) as spool:
        for part in np.array_split(codes, 5):
            spool.append(part)
        assert len(spool) == 57
        for _ in range(2):
            found = list(spool.blocks())
            assert np.array_equal(np.concatenate([c for _, c in found]), codes)
            assert np.concatenate([p for p, _ in found]).tolist() == list(range(1000, 1057))
        assert list(tmp_path.iterdir()) == [], "it has no name"


def test_a_file_that_ends_inside_its_lists_is_damage(tmp_path):
    index, _ = filled(clustered(3000))
    index.save(tmp_path / "v")
    found = Lists(tmp_path / "v", 32, -1)
    with pytest.raises(OSError, match="too early"):
        list(found.blocks())
