"""The back-ends behind one seam: what computes vectors of token ids, which ones there are, and how one is loaded.

Tokenising and batching are in `local.py`, the measured choice between back-ends in `choice.py`, the arithmetic in `bert.py`,
`general.py` (torch) and `openvino_graph.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from contextkit.embedding.workers import Workers
from contextkit.errors import EmbedderError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.embedding.folder import ModelFolder

Precision: TypeAlias = Literal["float32", "bfloat16"]
Backend: TypeAlias = Literal["openvino", "torch"]
BACKENDS: tuple[Backend, ...] = ("openvino", "torch")
"""From the one that is usually faster."""


class Encoder(Protocol):
    """What turns token ids into vectors. Calls from several threads are safe."""

    dimension: int
    window: int
    batch_tokens: int
    """Tokens of a batch at which it is fastest."""
    step: int
    """The multiple of tokens to which the texts of a batch are padded; 1 where there is no such step."""

    def vectors(
        self, ids: Sequence[NDArray[np.int32]], owners: Sequence[NDArray[np.int32]] | None, sizes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Passage vectors (len(ids), dimension) and, where `owners` is given, sentence vectors (sum of sizes, dimension).

        Both have unit length; a sentence without tokens has the zero vector.

        Args:
            ids: token ids of each text, special ones included.
            owners: for every token of each text the number of its sentence within the text, or -1 for none.
            sizes: the number of sentences of each text.
        """
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """A loaded model with the threads that feed it.

    Attributes:
        backend: whose arithmetic it is.
        precision: what it computes in.
        encoder: the model.
        workers: the threads.
    """

    backend: Backend
    precision: Precision
    encoder: Encoder
    workers: Workers

    @property
    def name(self) -> str:
        """Back-end and precision, for example "openvino-bfloat16"."""
        return f"{self.backend}-{self.precision}"

    def each(self, run: Callable[[list[int]], None], batches: Iterable[list[int]]) -> None:
        """Calls `run` with every batch, side by side, and returns when all are done."""
        self.workers.each(run, batches)


def usable(folder: ModelFolder) -> tuple[Backend, ...]:
    """The back-ends that can compute a model here, from the one that is usually faster; nothing heavy is imported."""
    return BACKENDS if folder.plain_bert and find_spec("openvino") is not None else ("torch",)


def check(folder: ModelFolder, backend: Backend) -> None:
    """Makes sure that a back-end can compute a model here; nothing heavy is imported.

    Raises:
        EmbedderError: it computes no models of that kind.
        MissingExtra: it is not installed.
    """
    if backend != "openvino":
        return
    if find_spec("openvino") is None:
        raise MissingExtra("openvino", "fast", "the openvino back-end")
    if not folder.plain_bert:
        raise EmbedderError(
            f"the model {str(folder.path)!r} is no BERT encoder with mean pooling, which is what the openvino back-end computes: "
            "use the back-end 'torch'"
        )


def load(folder: ModelFolder, backend: Backend, precision: Precision, threads: int | None) -> Engine:
    """The model, loaded by that back-end; its weights are held to their expected digest before they are parsed.

    Args:
        folder: the model.
        backend: one of `BACKENDS`.
        precision: what to compute in.
        threads: batches computed side by side, each by one thread; None: as many as the back-end would use threads.

    Raises:
        EmbedderError: the model does not load, or its weights are not the expected ones.
    """
    make = _openvino if backend == "openvino" else _torch
    with ThreadPoolExecutor(1) as pool:
        checked = pool.submit(lambda: folder.digest)  # hashing gives up the interpreter lock, so it hides behind the imports
        try:
            return make(folder, precision, threads, checked.result)
        except (OSError, KeyError, ValueError, RuntimeError, ImportError) as error:
            raise EmbedderError(f"the model {str(folder.path)!r} does not load: {type(error).__name__}: {error}") from error


def _openvino(folder: ModelFolder, precision: Precision, threads: int | None, check: Callable[[], str]) -> Engine:
    from contextkit.embedding.openvino_graph import OpenVinoBert

    count = threads or cores()
    check()
    encoder = OpenVinoBert(folder.weights, folder.config, folder.window or 0, precision, count)
    return Engine("openvino", precision, encoder, Workers(count))


def _torch(folder: ModelFolder, precision: Precision, threads: int | None, check: Callable[[], str]) -> Engine:
    import torch

    workers = Workers(threads or torch.get_num_threads(), one_torch_thread=True)
    check()
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if folder.plain_bert:
        from contextkit.embedding.bert import MeanBert

        return Engine("torch", precision, MeanBert(folder.weights, folder.config, folder.window or 0, dtype), workers)
    from contextkit.embedding.general import SentenceTransformerEncoder

    return Engine("torch", precision, SentenceTransformerEncoder(folder, dtype), workers)


def native_precision() -> Precision:
    """bfloat16 where the processor multiplies it natively; read from the system so that nothing heavy need be imported."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "float32"
    return "bfloat16" if "amx_bf16" in flags or "avx512_bf16" in flags else "float32"


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
