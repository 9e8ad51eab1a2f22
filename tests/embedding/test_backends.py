from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_bert

import contextkit as ck
from contextkit.embedding import LocalEmbedder, choice, encoders, load_embedder
from contextkit.embedding.cachefolder import cache_folder, read_bytes, write_bytes
from contextkit.embedding.folder import find_model
from contextkit.errors import EmbedderError, InputError, MissingExtra
from contextkit.types import Chunk, Document, Span

pytestmark = pytest.mark.usefixtures("socket_disabled")
pytest.importorskip("openvino")

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PARAGRAPHS = [p for p in README.split("\n\n") if 30 < len(p) < 700][:24]


def chunks(texts: list[str]) -> list[Chunk]:
    """Each text as a chunk, its lines as sentences, every third one with a header."""
    out = []
    for number, text in enumerate(texts):
        spans, place = [], 7
        for line in text.splitlines(keepends=True):
            inner = line.strip()
            if inner:
                start = place + line.index(inner)
                spans.append(Span(start, start + len(inner)))
            place += len(line)
        out.append(Chunk(7, 7 + len(text), text, "Manual > Part" if number % 3 == 0 else "", tuple(spans)))
    return out


def lowest(a, b) -> float:
    return min(float((a.passages * b.passages).sum(axis=1).min()), float((a.sentences * b.sentences).sum(axis=1).min()))


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.99999), ("bfloat16", 0.999)])
def test_openvino_gives_the_vectors_of_torch_in_float32(exact: LocalEmbedder, precision: str, least: float) -> None:
    if precision == "bfloat16" and encoders.native_precision() != "bfloat16":
        pytest.skip("the processor does not multiply bfloat16")
    fast = LocalEmbedder(backend="openvino", precision=precision)  # type: ignore[arg-type]
    given = chunks(PARAGRAPHS)
    assert len(given) > 15
    assert sum(len(c.sentences) for c in given) > 2 * len(given)
    found, expected = fast.embed(given), exact.embed(given)
    assert lowest(found, expected) > least
    assert found.sentences is not None
    np.testing.assert_allclose(np.linalg.norm(found.sentences, axis=1), 1, atol=1e-3)
    questions = ["pump", "How do I index a folder, and what does it cost?", "x " * 700]
    assert float((fast.embed_queries(questions) * exact.embed_queries(questions)).sum(axis=1).min()) > least
    assert fast.info.digest == exact.info.digest
    assert fast.info.backend == f"openvino-{precision}"


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_a_model_of_another_size_is_built_from_its_weights(tmp_path: Path, packaged: Path, prefix: str) -> None:
    path = write_bert(tmp_path / "m", packaged, np.random.default_rng(2), layers=1, prefix=prefix)
    fast, slow = (LocalEmbedder(path, backend=backend, precision="float32") for backend in ("openvino", "torch"))
    given = chunks(["One.\nTwo words.", "a", "Long enough for some more pieces than the others have.\nYes.\nNo."])
    assert lowest(fast.embed(given), slow.embed(given)) > 0.99999
    assert fast.embed(given).passages.shape == (3, 32)
    assert fast.embed([Chunk(0, 1, "a")]).sentences.shape == (0, 32)  # type: ignore[union-attr]
    assert fast.embed([]).passages.shape == (0, 32)


def test_a_sentence_without_pieces_has_its_passage_vector(tiny: Path) -> None:
    chunk = Chunk(0, 8, "word \u200b\u200bx", sentences=(Span(0, 4), Span(5, 7), Span(7, 8)))
    found = LocalEmbedder(tiny, backend="openvino", precision="float32").embed([*chunks(["Before."]), chunk])
    assert found.sentences is not None
    np.testing.assert_allclose(found.sentences[2], found.passages[1], atol=1e-5)


def test_weights_in_half_precision_are_read_too(tmp_path: Path, packaged: Path, tiny: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = write_bert(tmp_path / "m", packaged, np.random.default_rng(5))
    halves = {name: array.astype(np.float16) for name, array in load_file(path / "model.safetensors").items()}
    save_file(halves, path / "model.safetensors")
    whole, half = (LocalEmbedder(p, backend="openvino", precision="float32") for p in (tiny, path))
    given = chunks(PARAGRAPHS[:1])[:1] if len(PARAGRAPHS[0]) < 100 else chunks(["Refunds take thirty days."])
    assert lowest(whole.embed(given), half.embed(given)) > 0.999


@pytest.mark.parametrize("data", [b"", b"not weights at all", (20).to_bytes(8, "little") + b'["a list, no table"]'])
def test_broken_weights_are_an_embedder_error(tmp_path: Path, packaged: Path, data: bytes) -> None:
    path = write_bert(tmp_path / "m", packaged, np.random.default_rng(5), layers=1)
    (path / "model.safetensors").write_bytes(data)
    with pytest.raises(EmbedderError, match="does not load"):
        LocalEmbedder(path, backend="openvino").embed_queries(["x"])


def test_the_light_path_imports_no_torch(tiny: Path) -> None:
    code = (
        "import sys; from contextkit.embedding import LocalEmbedder as L; from contextkit.types import Chunk, Span; "
        f"e = L({str(tiny)!r}); e.embed_queries(['a']); e.embed([Chunk(0, 4, 'a b.', sentences=(Span(0, 4),))]); "
        "assert e.info.backend.startswith('openvino'), e.info; "
        "sys.exit(sum(m in sys.modules for m in ('torch', 'transformers', 'sentence_transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_back_end_that_cannot(tmp_path: Path, packaged: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"backend must be one of auto, openvino, torch, not 'onnx'"):
        LocalEmbedder(backend="onnx")  # type: ignore[arg-type]
    path = write_bert(tmp_path / "m", packaged, np.random.default_rng(5), layers=1)
    (path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    with pytest.raises(EmbedderError, match="no BERT encoder with mean pooling"):
        LocalEmbedder(path, backend="openvino")
    assert encoders.usable(find_model(path)) == ("torch",)
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"contextkit\[fast\]"):
        LocalEmbedder(tiny, backend="openvino")
    assert LocalEmbedder(tiny).info.backend.startswith("torch-")


# ------------------------------------------------------------------------------------------------------- the measured choice


def large(path: Path) -> list[Chunk]:
    return [Chunk(0, 120, "word " * 60)] * (choice.FROM_TOKENS // 60)


def test_the_choice_is_measured_once_a_machine_and_only_for_much_text(tiny: Path, own_cache: Path) -> None:
    embedder = LocalEmbedder(tiny)
    embedder.embed(chunks(["A small text."]))
    assert embedder.measured is None
    assert not own_cache.exists()
    embedder.embed(large(tiny))
    measured = embedder.measured
    assert measured is not None
    precision = encoders.native_precision()
    rates = measured["rates"]
    assert isinstance(rates, dict)
    assert set(rates) == {f"openvino-{precision}", f"torch-{precision}"}
    assert measured["chosen"] == max(rates, key=rates.__getitem__) == embedder.info.backend
    assert 0.99 < float(str(measured["cosine"])) <= 1
    (kept,) = (own_cache / "backends").iterdir()
    kept.write_bytes(json.dumps({"chosen": f"torch-{precision}", "rates": {}, "cosine": 1}).encode())
    again = LocalEmbedder(tiny)
    assert again.info.backend == f"torch-{precision}"
    assert again.embed(large(tiny)).passages.shape[1] == 32
    kept.write_bytes(b"{broken")
    assert LocalEmbedder(tiny).info.backend == f"openvino-{precision}"  # until it is measured again


def test_no_place_to_keep_a_measurement(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert write_bytes("a/b", b"x") is False
    assert read_bytes("a/b") is None
    embedder = LocalEmbedder(tiny)
    embedder.embed(large(tiny))
    assert embedder.measured is not None


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache" / "contextkit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path in cache_folder().parents
    assert write_bytes("a/b", b"data") is True
    assert read_bytes("a/b") == b"data"
    assert [p.name for p in (cache_folder() / "a").iterdir()] == ["b"]


def test_an_index_says_what_computed_it_and_works_with_every_back_end(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "FROM_TOKENS", 1_000)
    texts = [" ".join(f"word{(n * 31 + i) % 977}" for i in range(40)) + "." for n in range(60)]
    with ck.open(tmp_path / "index", embedder=tiny) as kit:
        assert kit.info().backend == ""
        kit.add([Document(id=str(n), text=text) for n, text in enumerate(texts)])
        manifest = json.loads((tmp_path / "index" / "manifest.json").read_text())["backend"]
        assert manifest["name"] == kit.embedder.info.backend
        assert len(manifest["rates"]) == 2
        assert kit.info().backend.startswith(f"{manifest['name']} (tokens a second and core: openvino-")
        first = kit.search(texts[7], k=1)[0].document_id
    for backend in ("openvino", "torch"):
        with ck.open(tmp_path / "index", create=False, embedder=tiny, backend=backend) as kit:
            assert kit.embedder.info.backend.startswith(backend)
            assert first in [hit.document_id for hit in kit.search(texts[7], k=3)]
            kit.add([Document(id=f"new {backend}", text=f"Another text for {backend}.")])
            assert kit.info().backend == kit.embedder.info.backend
    assert load_embedder(tiny, backend="torch").info.backend.startswith("torch-")


def test_a_quick_precision_must_be_close_to_float32(tiny: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if encoders.native_precision() != "bfloat16":
        pytest.skip("the processor does not multiply bfloat16")
    monkeypatch.setattr(choice, "ENOUGH", 1.1)
    strict = LocalEmbedder(tiny)
    strict.embed(large(tiny))
    measured = strict.measured
    assert measured is not None
    assert str(measured["chosen"]).endswith("-float32")
    assert strict.info.backend == measured["chosen"]
    assert float(str(measured["cosine"])) < 1
    assert LocalEmbedder(tiny).info.backend == measured["chosen"]  # from the cache folder
    assert LocalEmbedder(tiny, precision="bfloat16").info.backend.endswith("-bfloat16")  # what is asked for is done


def test_torch_alone_is_held_to_float32_too(tiny: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    embedder = LocalEmbedder(tiny)
    embedder.embed(large(tiny))
    if encoders.native_precision() == "float32":
        assert embedder.measured is None
        return
    assert embedder.measured is not None
    assert 0.99 < float(str(embedder.measured["cosine"])) < 1


def test_a_model_is_loaded_ahead_only_where_it_is_known_what_computes_it(tiny: Path, own_cache: Path) -> None:
    embedder = LocalEmbedder(tiny)
    embedder.prepare()
    assert embedder._engine is None  # to be measured with the first large text
    chosen = LocalEmbedder(tiny, backend="openvino")
    chosen.prepare()
    assert chosen._engine is not None
