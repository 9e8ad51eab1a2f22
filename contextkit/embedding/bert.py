"""The BERT encoder in plain torch, without padding: the fast path for models of the MiniLM kind.

Importing transformers costs more than two seconds, which is most of a cold query. A BERT encoder is forty lines, so models
that are exactly that (see `folder.ModelFolder.plain_bert`) are computed here from their safetensors file. The texts of a
batch lie one behind the other in one row of tokens: the linear layers see no padding, attention runs over groups of equally
long texts. Every other model goes through sentence-transformers (`general.py`). Tokenising and batching are not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from contextkit.embedding.linear import Linear
from contextkit.embedding.pooling import finished, flat_owners, mean_by

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from contextkit.types import JSON


@dataclass(frozen=True, slots=True)
class _Layer:
    """The weights of one encoder layer; query, key and value are one matrix."""

    qkv: Linear
    attended: Linear
    attended_norm: tuple[torch.Tensor, torch.Tensor]
    inner: Linear
    outer: Linear
    outer_norm: tuple[torch.Tensor, torch.Tensor]


class Bert:
    """Token states of a BERT encoder.

    Args:
        weights: a safetensors file with the parameter names of transformers' BertModel (with or without the prefix "bert.").
        config: the model's `config.json`.
        dtype: the type to compute in.

    Raises:
        KeyError: the file lacks a parameter.
        ValueError: the file is not safetensors.
    """

    def __init__(self, weights: Path, config: Mapping[str, JSON], dtype: torch.dtype) -> None:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            loaded = load_file(weights)
        except SafetensorError as error:
            raise ValueError(f"{weights.name}: {error}") from error
        raw = {name.removeprefix("bert."): tensor for name, tensor in loaded.items()}
        size = {k: int(config[k]) for k in ("hidden_size", "num_attention_heads", "num_hidden_layers")}  # type: ignore[arg-type]  # JSON
        self.dimension, self._heads = size["hidden_size"], size["num_attention_heads"]
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))  # type: ignore[arg-type]  # JSON

        def both(name: str) -> tuple[torch.Tensor, torch.Tensor]:
            return raw[f"{name}.weight"].to(dtype), raw[f"{name}.bias"].to(dtype)

        def layer(prefix: str) -> _Layer:
            three = [both(f"{prefix}.attention.self.{name}") for name in ("query", "key", "value")]
            return _Layer(
                qkv=Linear(torch.cat([weight for weight, _ in three]), torch.cat([bias for _, bias in three])),
                attended=Linear(*both(f"{prefix}.attention.output.dense")),
                attended_norm=both(f"{prefix}.attention.output.LayerNorm"),
                inner=Linear(*both(f"{prefix}.intermediate.dense")),
                outer=Linear(*both(f"{prefix}.output.dense")),
                outer_norm=both(f"{prefix}.output.LayerNorm"),
            )

        self._words = raw["embeddings.word_embeddings.weight"].to(dtype)
        # every token is of type 0, so its vector belongs to the place
        self._places = (raw["embeddings.position_embeddings.weight"] + raw["embeddings.token_type_embeddings.weight"][0]).to(
            dtype
        )
        self._norm = both("embeddings.LayerNorm")
        self._layers = [layer(f"encoder.layer.{i}") for i in range(size["num_hidden_layers"])]

    def states(self, ids: Sequence[NDArray[np.int32]]) -> torch.Tensor:
        """The last hidden states, shape (all tokens, dimension), in the order of the texts and their tokens.

        Args:
            ids: token ids of each text, special ones included; no text is empty or longer than the model's places.
        """
        import torch
        from torch.nn import functional

        width, lengths = (self.dimension,), [len(text) for text in ids]
        places = torch.cat([self._places[:length] for length in lengths])
        flat = torch.cat([torch.from_numpy(text) for text in ids])
        x = functional.layer_norm(self._words[flat] + places, width, *self._norm, self._epsilon)
        for layer in self._layers:
            y = layer.attended.plus(self._attend(layer.qkv(x), lengths), x)
            x = functional.layer_norm(y, width, *layer.attended_norm, self._epsilon)
            y = layer.outer.plus(layer.inner.gelu(x), x)
            x = functional.layer_norm(y, width, *layer.outer_norm, self._epsilon)
        return x

    def _attend(self, qkv: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Self-attention within each text, shape (all tokens, dimension)."""
        from torch.nn import functional

        out = qkv.new_empty((qkv.shape[0], self.dimension))
        start = 0
        for length, run in groupby(lengths):
            count = sum(1 for _ in run)
            end = start + count * length
            query, key, value = qkv[start:end].view(count, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2)
            out[start:end].view(count, length, self._heads, -1).copy_(mixed)
            start = end
        return out


class MeanBert:
    """A mean-pooling BERT on torch (protocol `encoders.Encoder`).

    Args:
        weights: see `Bert`.
        config: see `Bert`.
        window: the most tokens of a text.
        dtype: the type to compute in.

    Raises:
        KeyError: the file lacks a parameter.
        ValueError: the file is not safetensors.
    """

    batch_tokens = 4096
    step = 1

    def __init__(self, weights: Path, config: Mapping[str, JSON], window: int, dtype: torch.dtype) -> None:
        self._bert = Bert(weights, config, dtype)
        self.dimension, self.window = self._bert.dimension, window

    def vectors(
        self, ids: Sequence[NDArray[np.int32]], owners: Sequence[NDArray[np.int32]] | None, sizes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `encoders.Encoder`."""
        import torch

        with torch.inference_mode():
            states = self._bert.states(ids).float()
            lengths = torch.tensor([len(text) for text in ids])
            passages = finished(mean_by(states, torch.repeat_interleave(lengths), len(ids)))
            if owners is None:
                return passages, None
            return passages, finished(mean_by(states, flat_owners(owners, sizes), sum(sizes)))
