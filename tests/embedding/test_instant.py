from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_bert

import contextkit as ck
from contextkit.embedding import LocalEmbedder, load_embedder
from contextkit.embedding.instant import InstantEmbedder, _weights
from contextkit.errors import EmbedderError, IndexMismatch, InputError
from contextkit.types import Chunk, Document, Span

pytestmark = pytest.mark.usefixtures("socket_disabled")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A cache folder in which the tiny model is distilled already."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        InstantEmbedder(tiny).embed_queries(["now"])
    return folder


@pytest.fixture
def instant(tiny: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> InstantEmbedder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    return InstantEmbedder(tiny)


def test_vectors_are_the_sums_of_their_pieces(instant: InstantEmbedder) -> None:
    text = "The pump is off. Switch it on."
    chunk = Chunk(50, 50 + len(text), text, "Manual", (Span(50, 66), Span(67, 80)))
    found = instant.embed([Chunk(0, 1, "x"), chunk, Chunk(0, 6, "ab. cd", sentences=(Span(0, 3), Span(4, 6)))])
    assert found.sentences is not None
    assert found.passages.shape == (3, 32)
    expected = instant.embed_queries(["x", f"Manual\n{text}", "ab. cd", "The pump is off.", "Switch it on.", "ab.", "cd"])
    np.testing.assert_allclose(found.passages, expected[:3], atol=1e-5)
    np.testing.assert_allclose(found.sentences, expected[3:], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.sentences, axis=1), 1, atol=1e-5)


def test_batches_and_order_do_not_matter(instant: InstantEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [Chunk(n, n + 12, f"word{n} pump ", sentences=(Span(n, n + 5),)) for n in range(40)]
    whole = instant.embed(chunks)
    monkeypatch.setattr("contextkit.embedding.instant._SUMMED_AT_ONCE", 15)
    parts = instant.embed(chunks)
    np.testing.assert_allclose(whole.passages, parts.passages, atol=1e-6)
    np.testing.assert_allclose(whole.sentences, parts.sentences, atol=1e-6)  # type: ignore[arg-type]


def test_edges(instant: InstantEmbedder) -> None:
    assert instant.embed([]).passages.shape == (0, 32)
    assert instant.embed_queries([]).shape == (0, 32)
    nothing = instant.embed([Chunk(0, 2, "\u200b\u200b", sentences=(Span(0, 1), Span(1, 2)))])
    np.testing.assert_allclose(np.linalg.norm(nothing.passages, axis=1), 1)
    np.testing.assert_allclose(nothing.sentences[0], nothing.passages[0])  # type: ignore[index]
    np.testing.assert_allclose(np.linalg.norm(instant.embed_queries(["", "\u200b", "w " * 5000]), axis=1), 1, atol=1e-5)
    with pytest.raises(InputError, match=r"102 pieces .* window of 64"):
        instant.embed([Chunk(0, 1, "word " * 100)])
    assert instant.count(["hello world", ""]) == [2, 0]


def test_two_machines_make_the_same_table(
    instant: InstantEmbedder, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch in float32 instead of the fastest back-end: the vectors agree, so an index may go from one to the other."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    monkeypatch.setattr("contextkit.embedding.encoders.usable", lambda folder: ("torch",))
    monkeypatch.setattr("contextkit.embedding.encoders.native_precision", lambda: "float32")
    other = InstantEmbedder(tiny)
    texts = ["the pump is off", "refunds are paid within thirty days", "東京", "x1"]
    assert float((other.embed_queries(texts) * instant.embed_queries(texts)).sum(axis=1).min()) > 0.999
    assert other.info == instant.info
    assert len(list((tmp_path / "another" / "contextkit" / "instant").iterdir())) == 1


def test_a_damaged_table_is_made_again(instant: InstantEmbedder, tiny: Path, own_cache: Path) -> None:
    (own_cache / "instant").mkdir(parents=True)
    damaged = own_cache / "instant" / f"{instant.info.digest[:32]}.npy"
    damaged.write_bytes(b"damaged")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(own_cache.parent))
        fresh = InstantEmbedder(tiny)
        assert fresh.embed_queries(["pump"]).shape == (1, 32)
    assert np.load(damaged).shape == (30522, 32)


def test_frequent_pieces_count_less_and_special_ones_nothing() -> None:
    weights, ordinary = _weights(["[PAD]", "[unused1]", "[", ".", "the", "##s", "pump", "##ing"])
    assert ordinary.tolist() == [False] * 4 + [True, False, True, True]
    assert weights[:2].tolist() == [0, 0]
    assert weights[2] == weights[3] == weights[5]
    assert weights[4] == weights[3]  # the first rank
    assert weights[4] < weights[6] < weights[7] < 1


def test_an_index_with_the_instant_embedder(tmp_path: Path, tiny: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    name = f"instant:{tiny}"
    with ck.open(tmp_path / "index", embedder=name) as kit:
        kit.add([Document(id="a", text="The pump is switched off at night."), Document(id="b", text="Refunds take thirty days.")])
        assert kit.search("pump night", k=1)[0].document_id == "a"
        assert kit.info().embedder == "instant (tiny-bert)"
        assert kit.info().backend == "table"
        assert kit.context("When are refunds paid?", budget=200).text
    with pytest.raises(IndexMismatch):
        ck.open(tmp_path / "index", embedder=tiny)


def test_names(tmp_path: Path, packaged: Path, tiny: Path) -> None:
    assert load_embedder("instant").info.name == "instant (all-MiniLM-L6-v2)"
    assert load_embedder("instant").info.digest != LocalEmbedder().info.digest
    assert repr(load_embedder(f"instant:{tiny}")) == "InstantEmbedder('tiny-bert')"
    path = write_bert(tmp_path / "m", packaged, np.random.default_rng(5), layers=1)
    (path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(EmbedderError, match="no BERT encoder"):
        load_embedder(f"instant:{path}")


def test_embedding_needs_no_runtime_once_distilled(tiny: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    code = (
        f"import sys; from contextkit.embedding import load_embedder as l; l('instant:' + {str(tiny)!r}).embed_queries(['a']); "
        "sys.exit(sum(m in sys.modules for m in ('torch', 'openvino', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
