"""The BERT encoder as an OpenVINO graph, built from the safetensors file: no torch, no export, nothing written to disk.

Pooling and normalisation are in the graph: beside the token ids it takes the sentence of every token, and gives the vectors of
each text and of its sentences. Building takes some 60 ms and compiling 200, less than reading a compiled model of this size
takes, so none is kept. Texts of a batch are padded to a common length, a multiple of 16, so that few shapes ever occur: each
new shape costs the compilation of its kernels once. Tokenising and batching are not here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from contextkit.embedding.encoders import Precision

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from contextkit.types import JSON

Node: TypeAlias = Any  # whatever OpenVINO makes: it has no types
_STEP, _SHORT_STEP = 16, 4  # lengths are rounded up to a multiple of these: the second for those up to the first
_SENTENCES = 4  # and numbers of sentences to a multiple of this
_PADDING = -2  # the owner of a place without a token
_MOST_HEAD = 100_000_000  # bytes of a safetensors file's table of contents, as the format has it
_HINTS = {"bfloat16": "bf16", "float32": "f32"}


class OpenVinoBert:
    """A mean-pooling BERT on OpenVINO (protocol `Encoder`).

    Args:
        weights: a safetensors file with the parameter names of transformers' BertModel (with or without the prefix "bert.").
        config: the model's `config.json`.
        window: the most tokens of a text.
        precision: what to compute in.
        streams: batches that may be computed side by side, each by one thread.

    Raises:
        KeyError: the file lacks a parameter.
        ValueError: the file is not safetensors.
    """

    batch_tokens = 2048  # measured best among 512 to 8192: more falls out of the cache
    step = _STEP

    def __init__(self, weights: Path, config: Mapping[str, JSON], window: int, precision: Precision, streams: int) -> None:

        self.dimension, self.window = int(str(config["hidden_size"])), window
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(streams),
            "ENABLE_CPU_PINNING": "NO",  # a pinned thread waits where another process has its core
        }
        self._model = _library()[0].Core().compile_model(_graph(weights, config), "CPU", settings)
        self._own = threading.local()

    def vectors(
        self, ids: Sequence[NDArray[np.int32]], owners: Sequence[NDArray[np.int32]] | None, sizes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `encoders.Encoder`."""
        longest = max(len(text) for text in ids)
        longest = _rounded(longest, _STEP if longest > _STEP else _SHORT_STEP)
        most = 0 if owners is None else _rounded(max(sizes), _SENTENCES)
        tokens = np.zeros((len(ids), longest), np.int32)
        places = np.full((len(ids), longest), _PADDING, np.int32)
        for row, text in enumerate(ids):
            tokens[row, : len(text)] = text
            places[row, : len(text)] = -1 if owners is None else owners[row]
        request = self._request()
        request.infer({"ids": tokens, "owners": places, "numbers": np.arange(most, dtype=np.int32)}, share_inputs=True)
        found = request.get_output_tensor(0).data
        passages = found[:, 0].copy()
        if owners is None:
            return passages, None
        parts = [found[row, 1 : 1 + size] for row, size in enumerate(sizes)]
        return passages, np.concatenate(parts)

    def _request(self) -> Node:
        found = getattr(self._own, "request", None)
        if found is None:
            found = self._own.request = self._model.create_infer_request()
        return found


def _library() -> tuple[Node, Node]:
    """The package and its operations; it has no types."""
    return import_module("openvino"), import_module("openvino.opset13")


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step


def _graph(weights: Path, config: Mapping[str, JSON]) -> Node:
    """The model: ids and owners (texts, length), numbers (sentences,) to float32 (texts, 1 + sentences, dimension)."""
    openvino, op = _library()

    build = _Build(_parameters(weights), config)
    ids, owners = (op.parameter([-1, -1], np.int32, name=name) for name in ("ids", "owners"))
    numbers = op.parameter([-1], np.int32, name="numbers")
    for inlet in (ids, owners, numbers):
        inlet.output(0).set_names({inlet.get_friendly_name()})
    present = op.convert(op.not_equal(owners, build.number(_PADDING)), np.float32)
    hidden = op.multiply(op.subtract(present, build.real(1.0)), build.real(1e9))  # 0 for a token, very low for padding
    states = build.encoder(ids, op.unsqueeze(hidden, build.integers(1, 2)))
    # one row of weights a vector: all tokens for the text's, its own for each sentence's; lengths of sums fall to the norm
    own = op.equal(op.unsqueeze(owners, build.integers(1)), op.unsqueeze(numbers, build.integers(0, 2)))
    rows = op.concat([op.unsqueeze(present, build.integers(1)), op.convert(own, np.float32)], 1)
    sums = op.matmul(rows, states, False, False)
    found = op.result(op.normalize_l2(sums, build.integers(2), 1e-24, "max"))
    return openvino.Model([found], [ids, owners, numbers], "bert")


def _parameters(weights: Path) -> dict[str, NDArray[np.float32]]:
    """The arrays of a safetensors file, by name; those of float32 lie in the file and are read when they are used."""
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(size)) if size < _MOST_HEAD else None
    if not isinstance(head, dict):
        raise ValueError(f"{weights.name} is no safetensors file")
    head.pop("__metadata__", None)
    if any(entry["dtype"] != "F32" for entry in head.values()):
        from safetensors.numpy import load_file

        return {name.removeprefix("bert."): np.asarray(array, np.float32) for name, array in load_file(weights).items()}
    data = np.memmap(weights, np.uint8, mode="c", offset=8 + size)  # OpenVINO shares none that is read-only
    return {
        name.removeprefix("bert."): data[slice(*entry["data_offsets"])].view("<f4").reshape(entry["shape"])
        for name, entry in head.items()
    }


class _Build:
    """Pieces of the graph; `Node` is openvino.Node."""

    def __init__(self, raw: Mapping[str, NDArray[np.float32]], config: Mapping[str, JSON]) -> None:
        self._op, self._raw = _library()[1], raw
        self._layers, self._heads = int(str(config["num_hidden_layers"])), int(str(config["num_attention_heads"]))
        self._dimension = int(str(config["hidden_size"]))
        self._epsilon = float(str(config.get("layer_norm_eps", 1e-12)))

    def integers(self, *values: int) -> Node:
        return self._op.constant(np.array(values, np.int64))

    def number(self, value: int) -> Node:
        return self._op.constant(np.array(value, np.int32))

    def real(self, value: float) -> Node:
        return self._op.constant(np.array(value, np.float32))

    def encoder(self, ids: Node, hidden: Node) -> Node:
        """The last hidden states (texts, length, dimension); `hidden` is added to the attention scores."""
        op, raw = self._op, self._raw
        words = op.gather(self._weight("embeddings.word_embeddings.weight"), ids, self.integers(0))
        # every token is of type 0, so its vector belongs to the place
        places = raw["embeddings.position_embeddings.weight"] + raw["embeddings.token_type_embeddings.weight"][0]
        length = op.gather(op.shape_of(ids), self.integers(1), self.integers(0))
        at = op.slice(op.constant(places), self.integers(0), length, self.integers(1), self.integers(0))
        x = self._norm(op.add(words, at), "embeddings.LayerNorm")
        for number in range(self._layers):
            name = f"encoder.layer.{number}"
            mixed = self._linear(self._attend(x, hidden, f"{name}.attention.self"), f"{name}.attention.output.dense")
            x = self._norm(op.add(x, mixed), f"{name}.attention.output.LayerNorm")
            inner = op.gelu(self._linear(x, f"{name}.intermediate.dense"), "erf")
            x = self._norm(op.add(x, self._linear(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")
        return x

    def _attend(self, x: Node, hidden: Node, name: str) -> Node:
        op, width = self._op, self._dimension // self._heads
        split, swap = self.integers(0, 0, self._heads, width), self.integers(0, 2, 1, 3)
        scales = {"query": width**-0.5, "key": 1.0, "value": 1.0}  # in the weights it costs nothing
        query, key, value = (
            op.transpose(op.reshape(self._linear(x, f"{name}.{part}", scale), split, True), swap)
            for part, scale in scales.items()
        )
        scores = op.matmul(query, key, False, True)
        mixed = op.matmul(op.softmax(op.add(scores, hidden), -1), value, False, False)
        return op.reshape(op.transpose(mixed, swap), self.integers(0, 0, self._dimension), True)

    def _linear(self, x: Node, name: str, scale: float = 1.0) -> Node:
        op = self._op
        weight, bias = (self._weight(f"{name}.{part}", scale) for part in ("weight", "bias"))
        return op.add(op.matmul(x, weight, False, True), bias)

    def _norm(self, x: Node, name: str) -> Node:
        op = self._op
        even = op.mvn(x, self.integers(2), True, self._epsilon, "inside_sqrt")
        return op.add(op.multiply(even, self._weight(f"{name}.weight")), self._weight(f"{name}.bias"))

    def _weight(self, name: str, scale: float = 1.0) -> Node:
        found = self._raw[name]
        if scale != 1.0:
            found = found * np.float32(scale)
        aligned = found if found.ctypes.data % 4 == 0 else found.copy()  # a file's head may have any length
        return self._op.constant(aligned, shared_memory=True)
