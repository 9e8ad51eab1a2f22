from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.errors import IndexDamaged, InputError
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.protocols import VectorIndex
from contextkit.testing import VectorIndexContract


class TestFaissIndex(VectorIndexContract):
    def new(self, dimension: int) -> VectorIndex:
        return FaissIndex(dimension)

    def load(self, path: Path, dimension: int) -> VectorIndex:
        return FaissIndex.load(path, dimension)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 120),
    k=st.integers(1, 30),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    copies=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_is_right_with_ties_and_masks(n, k, share, copies, seed):
    random = np.random.default_rng(seed)
    vectors = np.repeat(random.standard_normal((n, 8)), copies, axis=0).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.cumsum(random.integers(1, 3, len(vectors))).astype(np.int64)
    index = FaissIndex(8)
    index.add(ids, vectors)
    allowed = random.random(int(ids[-1]) + 1) < share
    question = random.standard_normal((2, 8)).astype(np.float32)
    question /= np.linalg.norm(question, axis=1, keepdims=True)
    found, scores = index.search(question, k, allowed)
    for row, score, q in zip(found, scores, question, strict=True):
        expected = [(-float(v @ q), int(i)) for i, v in zip(ids, vectors, strict=True) if allowed[i]]
        expected.sort(key=lambda pair: (round(pair[0], 4), pair[1]))
        count = min(k, len(expected))
        assert np.all(row[count:] == -1)
        # question and vector are each off by half a step a coordinate, and a unit vector's coordinates sum to sqrt(8) at most
        worst = 2 * 0.5 / 127 * 8**0.5 + 8 * (0.5 / 127) ** 2 + 1e-5
        assert np.allclose(score[:count], [-s for s, _ in expected[:count]], rtol=0, atol=worst)
        assert len(set(row[:count].tolist())) == count
        assert all(allowed[i] for i in row[:count])
        ties = score[:count][1:] == score[:count][:-1]
        assert np.all(np.diff(row[:count])[ties] > 0)
        if copies > 1 and count:  # of equal vectors the lower ids come first and none of them is left out before
            place = int(np.flatnonzero(ids == row[0])[0]) // copies * copies
            equal = [int(i) for i in ids[place : place + copies] if allowed[i]]
            assert row[:count].tolist()[: len(equal)] == equal[:count]


def test_refuses_wrong_input():
    with pytest.raises(InputError, match="dimension"):
        FaissIndex(0)
    index = FaissIndex(4)
    index.add(np.array([5], dtype=np.int64), np.ones((1, 4), dtype=np.float32))
    for ids, vectors in [([5], (1, 4)), ([7, 6], (2, 4)), ([7], (1, 3)), ([7, 8], (1, 4))]:
        with pytest.raises(InputError):
            index.add(np.array(ids, dtype=np.int64), np.ones(vectors, dtype=np.float32))
    with pytest.raises(InputError, match="k must"):
        index.search(np.ones((1, 4), dtype=np.float32), 0)
    with pytest.raises(InputError, match="queries"):
        index.search(np.ones((1, 5), dtype=np.float32), 1)
    assert len(index) == 1


def test_save_into_nowhere_leaves_nothing(tmp_path):
    index = FaissIndex(4)
    index.add(np.array([5], dtype=np.int64), np.ones((1, 4), dtype=np.float32))
    with pytest.raises(OSError, match="cannot write"):
        index.save(tmp_path / "no" / "v")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_damage(tmp_path):
    with pytest.raises(IndexDamaged):
        FaissIndex.load(tmp_path / "v", 4)
