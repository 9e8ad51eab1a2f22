from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from contextkit.embedding import LocalEmbedder
from contextkit.embedding.folder import find_model
from contextkit.errors import EmbedderError
from contextkit.types import Chunk, Span

pytestmark = pytest.mark.usefixtures("socket_disabled")
TEXTS = ["The pump is off.", "Refunds take thirty days, not more. Ask again then.", "x"]


@pytest.fixture(scope="session")
def modules():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import models
    return models


def build(path: Path, packaged: Path, modules, *, pooling: str, dense: bool) -> Path:
    """A tiny BERT with random weights and the packaged model's words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(7)
    bare = path / "bare"
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(bare)
    AutoTokenizer.from_pretrained(packaged).save_pretrained(bare)
    transformer = modules.Transformer(str(bare), max_seq_length=64)
    parts = [transformer, modules.Pooling(32, pooling_mode=pooling)]
    if dense:
        parts.append(modules.Dense(32, 16, activation_function=torch.nn.Tanh()))
    SentenceTransformer(modules=[*parts, modules.Normalize()], device="cpu").save(str(path / "model"))
    return path / "model"


@pytest.mark.parametrize(("pooling", "dense", "fast"), [("mean", False, True), ("cls", False, False), ("mean", True, False)])
def test_passages_follow_the_models_own_modules(
    tmp_path: Path, packaged: Path, modules, pooling: str, dense: bool, fast: bool
) -> None:
    from sentence_transformers import SentenceTransformer

    path = build(tmp_path, packaged, modules, pooling=pooling, dense=dense)
    assert find_model(path).plain_bert is fast
    embedder = LocalEmbedder(path, precision="float32")
    expected = SentenceTransformer(str(path), device="cpu", local_files_only=True).encode(TEXTS)
    chunks = [Chunk(0, len(text), text, sentences=(Span(0, 3), Span(3, len(text))) if len(text) > 3 else ()) for text in TEXTS]
    found = embedder.embed(chunks)
    assert found.passages.shape == (3, 16 if dense else 32) == (3, embedder.info.dimension)
    assert (found.passages * expected).sum(axis=1).min() > 0.9999
    assert (embedder.embed_queries(TEXTS) * expected).sum(axis=1).min() > 0.9999
    assert found.sentences is not None
    assert found.sentences.shape[0] == 4
    np.testing.assert_allclose(np.linalg.norm(found.sentences, axis=1), 1, atol=1e-5)
    assert embedder.info.window == 64


def test_a_whole_text_as_one_sentence_is_the_mean_of_its_words(tmp_path: Path, packaged: Path, modules) -> None:
    """The general path pools sentences as the fast path does."""
    fast = LocalEmbedder(build(tmp_path / "a", packaged, modules, pooling="mean", dense=False), precision="float32")
    general = LocalEmbedder(build(tmp_path / "b", packaged, modules, pooling="cls", dense=False), precision="float32")
    chunk = Chunk(0, len(TEXTS[1]), TEXTS[1], sentences=(Span(0, 35), Span(36, len(TEXTS[1]))))
    first, second = fast.embed([chunk]), general.embed([chunk])  # the same seed gives the same weights
    assert first.sentences is not None
    assert second.sentences is not None
    np.testing.assert_allclose(first.sentences, second.sentences, atol=1e-4)
    assert float(first.passages[0] @ second.passages[0]) < 0.999
    assert fast.info.digest != general.info.digest  # other modules, other vectors


def test_static_embeddings(tmp_path: Path, packaged: Path, modules) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    torch.manual_seed(3)
    tokenizer = Tokenizer.from_file(str(packaged / "tokenizer.json"))
    tokenizer.no_truncation()
    model = SentenceTransformer(modules=[modules.StaticEmbedding(tokenizer, embedding_dim=24)], device="cpu")
    model.save(str(tmp_path / "static"))
    embedder = LocalEmbedder(tmp_path / "static", precision="float32")
    long = "Refunds take thirty days. " * 200
    expected = model.encode([*TEXTS, long], normalize_embeddings=True)
    found = embedder.embed_queries([*TEXTS, long])
    assert (found * expected).sum(axis=1).min() > 0.9999
    sentences = embedder.embed([Chunk(0, 6, "ab. cd", sentences=(Span(0, 3), Span(4, 6)))]).sentences
    assert sentences is not None
    assert (sentences * embedder.embed_queries(["ab.", "cd"])).sum(axis=1).min() > 0.9999


def test_models_of_other_kinds_are_refused(tmp_path: Path, modules) -> None:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(modules=[modules.BoW(vocab=["pump", "seal"]), modules.Dense(2, 4)], device="cpu").save(
        str(tmp_path / "m")
    )
    with pytest.raises(EmbedderError, match="BoW"):
        _ = LocalEmbedder(tmp_path / "m").info
