"""Embedding on this machine: sentence-transformers models, one pass for passage and sentence vectors (late pooling).

Here live batching and the choice of when to load what. What is known of a model's folder without loading it is in `folder.py`,
tokenising in `pieces.py`, the back-ends in `encoders.py`, the measured choice between them in `choice.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from contextkit.embedding import choice, encoders
from contextkit.embedding.choice import Measured
from contextkit.embedding.encoders import Backend, Engine, native_precision, usable
from contextkit.embedding.folder import ModelFolder, find_model
from contextkit.embedding.pieces import Pieces
from contextkit.errors import InputError
from contextkit.types import JSON, Chunk, Embedded, EmbedderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
Wanted: TypeAlias = Literal["auto", "openvino", "torch"]
_LEAST_TOKENS = 512  # a smaller batch costs more in calls than another thread saves
_FULL = 0.4  # of a batch's tokens are enough where the texts that follow need a step less of padding


class LocalEmbedder:
    """A sentence-transformers model on this machine's processor.

    Constructing is cheap; the model is loaded when first needed. Each text goes through the model once: the mean of its token
    states is the passage vector (or what the model's own pooling gives, where that is not the mean), the means over the tokens
    of each sentence are the sentence vectors. Vectors do not depend on what else is in a batch, up to rounding.

    Args:
        model: a model's folder, or "all-MiniLM-L6-v2" for the packaged one; None: the packaged one. Nothing is ever downloaded.
        precision: what to compute in; "auto" is bfloat16 where the processor multiplies it natively (AMX or AVX512-BF16), unless
            the choice of the back-end found its vectors too far from float32; float32 elsewhere. Vectors are float32 either way.
        backend: what computes; "auto" is the fastest that is installed, as measured once a machine on the first large text
            (see `choice.py`), and OpenVINO where it is installed until then. Vectors of all back-ends are compatible.
        batch_tokens: tokens that go through the model at once, in each thread; None: what is best for the back-end.
        threads: how many batches are computed side by side, each by one thread; None: as many as there are processors, or as
            torch would use threads. Torch's own setting is left alone.
        digest: SHA-256 that the weights must have; the packaged model is always held to its own.
        query_prefix: put before a question; None: what the model's settings name, or nothing.
        passage_prefix: put before a passage; None: what the model's settings name, or nothing.

    Raises:
        EmbedderError: there is no such model, or the back-end cannot compute it; when first used: it does not load, or its
            weights are not the expected ones.
        MissingExtra: the back-end is not installed.
        InputError: an argument that cannot work.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        precision: Precision = "auto",
        backend: Wanted = "auto",
        batch_tokens: int | None = None,
        threads: int | None = None,
        digest: str | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
    ) -> None:
        for name, value, kinds in (("precision", precision, Precision), ("backend", backend, Wanted)):
            if value not in get_args(kinds):
                raise InputError(f"{name} must be one of {', '.join(get_args(kinds))}, not {value!r}")
        for name, number in (("batch_tokens", batch_tokens), ("threads", threads)):
            if number is not None and number < 1:
                raise InputError(f"{name} must be at least 1, not {number}")
        self._folder: ModelFolder = find_model(model, digest)
        self._precision: encoders.Precision = native_precision() if precision == "auto" else precision
        self._usable: tuple[Backend, ...] = usable(self._folder) if backend == "auto" else (backend,)
        self._strict = precision == "auto" and self._precision != "float32"
        self._open = backend == "auto" and self._folder.plain_bert and (len(self._usable) > 1 or self._strict)
        encoders.check(self._folder, self._usable[0])
        self._batch_tokens, self._threads = batch_tokens, threads
        prompts = self._folder.prompts
        self._query_prefix = prompts.get("query", "") if query_prefix is None else query_prefix
        named = prompts.get("document") or prompts.get("passage") or ""
        self._passage_prefix = named if passage_prefix is None else passage_prefix
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._measured: Measured | None = None
        self._tokenizer: Pieces | None = None

    def __repr__(self) -> str:
        return f"LocalEmbedder({self._folder.name!r}, {self._expected()!r})"

    @property
    def info(self) -> EmbedderInfo:
        """What makes the vectors comparable. Reads settings and weights' digest; loads only models off the fast path.

        `backend` may change once, with the first large text, where the back-end is chosen by measuring.
        """
        folder = self._folder
        if folder.plain_bert and folder.window is not None:
            dimension, window = int(str(folder.config["hidden_size"])), folder.window
        else:
            encoder = self._ready().encoder
            dimension, window = encoder.dimension, encoder.window
        return EmbedderInfo(
            name=folder.name,
            digest=folder.expected or folder.digest,  # an expected digest is checked when the weights are loaded
            dimension=dimension,
            window=window,
            backend=self._expected(),
            query_prefix=self._query_prefix,
            passage_prefix=self._passage_prefix,
        )

    @property
    def path(self) -> Path:
        """The model's folder."""
        return self._folder.path

    @property
    def measured(self) -> Mapping[str, JSON] | None:
        """What decided the back-end (`choice.Measured`); None where nothing was measured."""
        return None if self._measured is None else self._measured.plain()

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, special ones not included. Never imports torch on the fast path."""
        return self._pieces().count(texts)

    def prepare(self) -> None:
        """Loads the model, where it is known already what computes it: what is embedded next need not wait for that.

        Raises:
            EmbedderError: the model does not load.
        """
        self._recall()
        if not self._undecided():
            self._ready()

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """Passage vectors (n, dimension) and sentence vectors (all sentences, dimension), float32, unit length, in order.

        A chunk's input is its header, a line break and its text, or the text alone where the header is empty; the addresses in
        Markdown links and other marks of the typesetter are left out (see `pieces.py`). A sentence of which the tokenizer keeps
        nothing has its passage's vector.

        Raises:
            InputError: a chunk has more pieces than the window; names both numbers.
        """
        import numpy as np

        ids, owners = self._pieces().chunks(chunks)
        engine = self._ready(ids)
        window, dimension = engine.encoder.window, engine.encoder.dimension
        for chunk, text in zip(chunks, ids, strict=True):
            if len(text) > window:
                raise over_window(chunk, len(text), window)
        passages = np.empty((len(chunks), dimension), np.float32)
        firsts = np.cumsum([0, *(len(chunk.sentences) for chunk in chunks)])
        sentences = np.empty((int(firsts[-1]), dimension), np.float32)

        def run(batch: list[int]) -> None:
            sizes = [len(chunks[i].sentences) for i in batch]
            found, parts = engine.encoder.vectors([ids[i] for i in batch], [owners[i] for i in batch], sizes)
            passages[batch] = found
            if parts is not None and len(parts):
                empty = ~parts.any(axis=1)
                if empty.any():
                    parts[empty] = np.repeat(found, sizes, axis=0)[empty]
                sentences[np.concatenate([np.arange(firsts[i], firsts[i + 1]) for i in batch])] = parts

        self._each_batch(engine, run, [len(text) for text in ids])
        return Embedded(passages=passages, sentences=sentences)

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of questions, float32 (n, dimension), unit length.

        A question over the window is cut into windows; its vector is the mean of theirs, weighted by their tokens.
        """
        import numpy as np

        engine, tokenizer = self._ready(), self._pieces()
        encoder = engine.encoder
        pieces, owner = tokenizer.windows([self._query_prefix + text for text in questions], encoder.window - tokenizer.special)
        vectors = np.empty((len(pieces), encoder.dimension), np.float32)

        def run(batch: list[int]) -> None:
            vectors[batch], _ = encoder.vectors([pieces[i] for i in batch], None, [])

        self._each_batch(engine, run, [len(piece) for piece in pieces])
        if len(pieces) == len(questions):
            return vectors
        total = np.zeros((len(questions), encoder.dimension), np.float32)
        np.add.at(total, owner, vectors * np.array([[len(piece)] for piece in pieces], np.float32))
        return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), np.float32)

    def _each_batch(self, engine: Engine, run: Callable[[list[int]], None], lengths: Sequence[int]) -> None:
        """Calls `run` with the numbers of the texts of each batch, side by side; enough batches for all threads."""
        share = -(-sum(lengths) // engine.workers.count)
        most = self._batch_tokens or engine.encoder.batch_tokens
        engine.each(run, in_batches(lengths, min(most, max(share, _LEAST_TOKENS)), engine.encoder.step))

    def _pieces(self) -> Pieces:
        if self._tokenizer is None:
            with self._lock:
                if self._tokenizer is None:
                    self._tokenizer = Pieces(self._folder, self._passage_prefix)
        return self._tokenizer

    def _undecided(self) -> bool:
        return self._open and self._measured is None

    def _expected(self) -> str:
        """The name of the back-end that computes, or that will where nothing else is measured."""
        if self._engine is not None:
            return self._engine.name
        self._recall()
        return f"{self._usable[0]}-{self._precision}"

    def _recall(self) -> None:
        """Puts first what was measured on this machine before."""
        if self._open and self._measured is None:
            self._settle(choice.remembered(self._folder, self._precision))

    def _settle(self, measured: Measured | None) -> None:
        self._measured = measured
        if measured is not None and (best := choice.backend_of(measured.chosen)) in self._usable:
            self._usable = (best, *(backend for backend in self._usable if backend != best))
            if self._strict:
                self._precision = choice.precision_of(measured.chosen)

    def _ready(self, ids: Sequence[NDArray[np.int32]] = ()) -> Engine:
        """The loaded model. Measures where there is a choice, it was not made on this machine, and there is enough to do."""
        if self._engine is not None and not self._undecided():
            return self._engine
        with self._lock:
            self._recall()
            if self._undecided() and sum(map(len, ids)) >= choice.FROM_TOKENS:
                wanted = self._precision
                self._engine, measured = choice.measure(self._folder, wanted, self._threads, ids, strict=self._strict)
                self._settle(measured)
                choice.remember(self._folder, wanted, measured)
            if self._engine is None:
                self._engine = encoders.load(self._folder, self._usable[0], self._precision, self._threads)
            return self._engine


def in_batches(lengths: Sequence[int], limit: int, step: int = 1) -> Iterator[list[int]]:
    """Numbers of texts of similar length, longest first, with at most `limit` tokens together (one text may have more).

    Where lengths are padded to a multiple of `step`, a batch that is large enough ends where that multiple does: else the shorter
    texts after it would be padded by a step more.
    """
    batch: list[int] = []
    tokens = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        shorter = step > 1 and tokens >= limit * _FULL and -(-lengths[i] // step) < -(-lengths[batch[0]] // step)
        if batch and (shorter or tokens + lengths[i] > limit):
            yield batch
            batch, tokens = [], 0
        batch.append(i)
        tokens += lengths[i]
    if batch:
        yield batch


def over_window(chunk: Chunk, pieces: int, window: int) -> InputError:
    """The error for a chunk that the model would not read whole."""
    return InputError(
        f"a chunk of {pieces} pieces (special ones and header included) is over the model's window of {window}: "
        f"{chunk.text[:60]!r} at {chunk.start}-{chunk.end}; cut it into smaller chunks"
    )
