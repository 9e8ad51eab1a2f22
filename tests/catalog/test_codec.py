from __future__ import annotations

import numpy as np
import pytest

from contextkit.catalog.codec import codec
from contextkit.errors import IndexDamaged, IndexMismatch


def unit(n, dimension, spiky=False):
    random = np.random.default_rng(3)
    vectors = random.standard_normal((n, dimension)).astype(np.float32)
    if spiky:  # a few large coordinates, as models have them
        vectors *= np.exp(1.5 * random.standard_normal(dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("dimension", [7, 32, 100, 300, 384, 768])
@pytest.mark.parametrize("spiky", [False, True])
@pytest.mark.parametrize(("name", "least"), [("r8", 0.9998), ("r4", 0.985), ("r3", 0.96)])
def test_cosine_to_the_original(name, least, dimension, spiky):
    vectors = unit(200, dimension, spiky)
    chosen = codec(name)
    data = chosen.encode(vectors)
    assert len(data) == 200 * chosen.size(dimension)
    again = chosen.decode(data, dimension)
    assert again.dtype == np.float32
    assert np.allclose(np.linalg.norm(again, axis=1), 1, atol=1e-5)
    cosines = (again * vectors).sum(axis=1)
    assert cosines.mean() > least
    if dimension >= 32:
        assert cosines.min() > least - 0.03


@pytest.mark.parametrize(("name", "deviation"), [("r4", 0.006), ("r3", 0.011)])
def test_scores_stay_unbiased(name, deviation):
    vectors, question = unit(2_000, 384), unit(1, 384)[0]
    chosen = codec(name)
    error = chosen.decode(chosen.encode(vectors), 384) @ question - vectors @ question
    assert abs(error.mean()) < 6e-4
    assert error.std() < deviation


@pytest.mark.parametrize("name", ["r8", "r4", "r3"])
@pytest.mark.parametrize("dimension", [7, 32, 300, 384])
def test_cosines_are_those_of_the_decoded(name, dimension):
    vectors, chosen = unit(50, dimension), codec(name)
    data = chosen.encode(vectors)
    decoded = chosen.decode(data, dimension)
    assert np.allclose(chosen.cosines(data, dimension, vectors[7]), decoded @ vectors[7], atol=1e-5)
    assert chosen.sound(data, dimension).all()


def test_what_is_no_unit_vector_is_seen():
    vectors = unit(4, 384)
    for name in ("r8", "r4", "r3"):
        chosen = codec(name)
        sound = chosen.sound(chosen.encode(vectors) + bytes(chosen.size(384)), 384)
        assert sound[:4].all()
        assert not sound[4]


def test_sizes():
    assert codec("r3").size(384) == 144
    assert codec("r3").size(7) == 3
    assert codec("r4").size(384) == 192
    assert codec("r8").size(384) == 384


def test_the_bytes_never_change():
    vectors = np.eye(32, dtype=np.float32)[:2]
    assert codec("r8").encode(vectors)[:8].hex() == "7f7f7f7f81818181"
    assert codec("r4").encode(vectors)[:8].hex() == "bbbb4444bbbb4444"
    assert codec("r3").encode(vectors)[:12].hex() == "f0f0f0f00f0f0f0ff0f0f0f0"


@pytest.mark.parametrize("name", ["r8", "r4", "r3"])
def test_nothing_and_zero(name):
    chosen = codec(name)
    assert chosen.encode(np.empty((0, 32), dtype=np.float32)) == b""
    assert chosen.decode(b"", 32).shape == (0, 32)
    assert np.all(np.isfinite(chosen.decode(chosen.encode(np.zeros((1, 32), dtype=np.float32)), 32)))


def test_errors():
    with pytest.raises(IndexMismatch, match="x9"):
        codec("x9")
    with pytest.raises(IndexDamaged, match="33 bytes"):
        codec("r8").decode(b"x" * 33, 32)
