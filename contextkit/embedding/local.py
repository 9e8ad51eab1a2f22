"""Embedding on this machine: sentence-transformers models, one pass for passage and sentence vectors (late pooling).

Here live tokenising, batching and pooling. Batches run side by side, each on one thread of `workers.py`. What is known of a
model's folder without loading it is in `folder.py`, the encoders are in `bert.py` (fast path) and `general.py` (any other
sentence-transformers model).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from contextkit.embedding.folder import ModelFolder, find_model
from contextkit.embedding.pooling import mean_by
from contextkit.embedding.workers import Workers
from contextkit.errors import EmbedderError, InputError
from contextkit.types import Chunk, Embedded, EmbedderInfo

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

Precision: TypeAlias = Literal["auto", "float32", "bfloat16"]
_SURROGATES = re.compile("[\ud800-\udfff]")
_LEAST_TOKENS = 512  # a smaller batch costs more in calls than another thread saves
_TOKENISED_AT_ONCE = 2048  # texts; bounds the memory of the offsets


class Encoder(Protocol):
    """What computes token states and pools them."""

    dimension: int
    window: int

    def pooled(
        self, ids: Sequence[Sequence[int]], owner: NDArray[np.int64] | None, count: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Passage vectors (len(ids), dimension) and, where `owner` is given, sentence vectors (count, dimension).

        Args:
            ids: token ids of each text, special ones included.
            owner: for every token of all texts, in order, the number of its sentence, or `count` for none.
            count: number of sentences; a sentence without tokens gets the zero vector.
        """
        ...


class LocalEmbedder:
    """A sentence-transformers model on this machine's processor.

    Constructing is cheap; the model is loaded when first needed. Each text goes through the model once: the mean of its token
    states is the passage vector (or what the model's own pooling gives, where that is not the mean), the means over the tokens
    of each sentence are the sentence vectors. Vectors do not depend on what else is in a batch, up to rounding.

    Args:
        model: a model's folder, or "all-MiniLM-L6-v2" for the packaged one; None: the packaged one. Nothing is ever downloaded.
        precision: what to compute in; "auto" is bfloat16 where the processor multiplies it natively (AMX or AVX512-BF16) and
            float32 elsewhere. Vectors are float32 either way.
        batch_tokens: tokens that go through the model at once, in each thread.
        threads: how many batches are computed side by side, each by one thread; None: as many as torch would use threads.
            Torch's own setting is left alone.
        digest: SHA-256 that the weights must have; the packaged model is always held to its own.
        query_prefix: put before a question; None: what the model's settings name, or nothing.
        passage_prefix: put before a passage; None: what the model's settings name, or nothing.

    Raises:
        EmbedderError: there is no such model; when first used: it does not load, or its weights are not the expected ones.
        InputError: an argument that cannot work.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        precision: Precision = "auto",
        batch_tokens: int = 4096,
        threads: int | None = None,
        digest: str | None = None,
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
    ) -> None:
        if precision not in ("auto", "float32", "bfloat16"):
            raise InputError(f"precision must be 'auto', 'float32' or 'bfloat16', not {precision!r}")
        if batch_tokens < 1:
            raise InputError(f"batch_tokens must be at least 1, not {batch_tokens}")
        if threads is not None and threads < 1:
            raise InputError(f"threads must be at least 1, not {threads}")
        self._folder: ModelFolder = find_model(model, digest)
        self._precision: Precision = _native_precision() if precision == "auto" else precision
        self._batch_tokens, self._threads = batch_tokens, threads
        prompts = self._folder.prompts
        self._query_prefix = prompts.get("query", "") if query_prefix is None else query_prefix
        named = prompts.get("document") or prompts.get("passage") or ""
        self._passage_prefix = named if passage_prefix is None else passage_prefix
        self._lock = threading.RLock()
        self._encoder: Encoder | None = None
        self._workers: Workers | None = None
        self._tokenizer: Tokenizer | None = None
        self._frame: tuple[list[int], list[int]] | None = None

    def __repr__(self) -> str:
        return f"LocalEmbedder({self._folder.name!r}, precision={self._precision!r})"

    @property
    def info(self) -> EmbedderInfo:
        """What makes the vectors comparable. Reads settings and weights' digest; loads only models off the fast path."""
        folder = self._folder
        if folder.plain_bert and folder.window is not None:
            dimension, window = int(str(folder.config["hidden_size"])), folder.window
        else:
            encoder = self._load()
            dimension, window = encoder.dimension, encoder.window
        return EmbedderInfo(
            name=folder.name,
            digest=folder.expected or folder.digest,  # an expected digest is checked when the weights are loaded
            dimension=dimension,
            window=window,
            backend=f"torch-{self._precision}",
            query_prefix=self._query_prefix,
            passage_prefix=self._passage_prefix,
        )

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, special ones not included. Never imports torch on the fast path."""
        tokenizer, counts = self._pieces(), []
        for start in range(0, len(texts), _TOKENISED_AT_ONCE):
            part = _sound(texts[start : start + _TOKENISED_AT_ONCE])
            counts += [len(found) for found in tokenizer.encode_batch_fast(part, add_special_tokens=False)]
        return counts

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """Passage vectors (n, dimension) and sentence vectors (all sentences, dimension), float32, unit length, in order.

        A chunk's input is its header, a line break and its text, or the text alone where the header is empty. A sentence of
        which the tokenizer keeps nothing has its passage's vector.

        Raises:
            InputError: a chunk has more pieces than the window; names both numbers.
        """
        import numpy as np

        window, dimension = self.info.window, self.info.dimension
        passages = np.empty((len(chunks), dimension), np.float32)
        firsts = np.concatenate([[0], np.cumsum([len(chunk.sentences) for chunk in chunks], dtype=np.int64)]).astype(np.int64)
        sentences = np.empty((int(firsts[-1]), dimension), np.float32)
        ids: list[list[int]] = []
        owners: list[NDArray[np.int64]] = []
        for start in range(0, len(chunks), _TOKENISED_AT_ONCE):
            for chunk, encoding in self._encode(chunks[start : start + _TOKENISED_AT_ONCE]):
                if len(encoding.ids) > window:
                    raise _over_window(chunk, len(encoding.ids), window)
                ids.append(encoding.ids)
                owners.append(_owners(chunk, encoding.offsets, self._passage_prefix))

        def run(batch: list[int]) -> None:
            sizes = [len(chunks[i].sentences) for i in batch]
            offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
            owner = np.concatenate(
                [np.where(owners[i] < 0, offsets[-1], owners[i] + offset) for i, offset in zip(batch, offsets[:-1], strict=True)]
            )
            found, parts = self._run([ids[i] for i in batch], owner, int(offsets[-1]), sizes)
            passages[batch] = found
            if parts is not None and len(parts):
                rows = [np.arange(firsts[i], firsts[i + 1]) for i in batch]
                sentences[np.concatenate(rows)] = parts

        self._each_batch(run, [len(text) for text in ids])
        return Embedded(passages=passages, sentences=sentences)

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of questions, float32 (n, dimension), unit length.

        A question over the window is cut into windows; its vector is the mean of theirs, weighted by their tokens.
        """
        import numpy as np

        head, tail = self._special()
        info = self.info
        room = info.window - len(head) - len(tail)
        tokenizer = self._pieces()
        encoded = tokenizer.encode_batch_fast(_sound([self._query_prefix + text for text in questions]), add_special_tokens=False)
        pieces: list[list[int]] = []
        owner: list[int] = []
        for number, found in enumerate(encoded):
            for start in range(0, max(len(found), 1), room):
                pieces.append([*head, *found.ids[start : start + room], *tail])
                owner.append(number)
        vectors = np.empty((len(pieces), info.dimension), np.float32)

        def run(batch: list[int]) -> None:
            vectors[batch], _ = self._run([pieces[i] for i in batch], None, 0, [])

        self._each_batch(run, [len(piece) for piece in pieces])
        if len(pieces) == len(questions):
            return vectors
        total = np.zeros((len(questions), info.dimension), np.float32)
        np.add.at(total, owner, vectors * np.array([[len(piece)] for piece in pieces], np.float32))
        return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), np.float32)

    def _encode(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Encoding]]:
        texts = [self._passage_prefix + _lead(chunk) + chunk.text for chunk in chunks]
        return zip(chunks, self._pieces().encode_batch(_sound(texts), add_special_tokens=not self._folder.static), strict=True)

    def _each_batch(self, run: Callable[[list[int]], None], lengths: Sequence[int]) -> None:
        """Calls `run` with the numbers of the texts of each batch, side by side; enough batches for all threads."""
        if not lengths:
            return
        self._load()
        workers = self._workers
        assert workers is not None
        share = -(-sum(lengths) // workers.count)
        workers.each(run, _batches(lengths, min(self._batch_tokens, max(share, _LEAST_TOKENS))))

    def _run(
        self, ids: list[list[int]], owner: NDArray[np.int64] | None, count: int, sizes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """One batch through the model, normalised; `sizes` are the numbers of sentences of each text."""
        import torch
        from torch.nn.functional import normalize

        encoder = self._load()
        with torch.inference_mode():
            passages, sentences = encoder.pooled(ids, owner, count)
            passages = normalize(passages, dim=1)
            if sentences is None:
                return passages.numpy(), None
            empty = ~sentences.any(dim=1, keepdim=True)
            if bool(empty.any()):
                sentences = torch.where(empty, passages.repeat_interleave(torch.tensor(sizes), dim=0), sentences)
            return passages.numpy(), normalize(sentences, dim=1).numpy()

    def _pieces(self) -> Tokenizer:
        """The tokenizer, without truncation and padding."""
        if self._tokenizer is None:
            with self._lock:
                if self._tokenizer is None:
                    self._tokenizer = _load_tokenizer(self._folder)
        return self._tokenizer

    def _special(self) -> tuple[list[int], list[int]]:
        """The ids that the model puts before and after a text."""
        if self._folder.static:
            return [], []
        if self._frame is None:
            tokenizer = self._pieces()
            bare = tokenizer.encode("a", add_special_tokens=False).ids
            full = tokenizer.encode("a").ids
            at = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
            self._frame = full[:at], full[at + len(bare) :]
        return self._frame

    def _load(self) -> Encoder:
        if self._encoder is None:
            with self._lock:
                if self._encoder is None:
                    self._encoder = self._load_encoder()
        return self._encoder

    def _load_encoder(self) -> Encoder:
        folder = self._folder
        with ThreadPoolExecutor(1) as pool:
            digest = pool.submit(lambda: folder.digest)  # hashing gives up the interpreter lock, so it hides behind the import
            import torch

            self._workers = Workers(self._threads or torch.get_num_threads())
            digest.result()  # before the weights are parsed
        dtype = torch.bfloat16 if self._precision == "bfloat16" else torch.float32
        try:
            if folder.plain_bert:
                return _MeanBert(folder, dtype)
            from contextkit.embedding.general import SentenceTransformerEncoder

            return SentenceTransformerEncoder(folder, dtype)
        except (OSError, KeyError, ValueError, RuntimeError, ImportError) as error:
            raise EmbedderError(f"the model {str(folder.path)!r} does not load: {type(error).__name__}: {error}") from error


class _MeanBert:
    """The fast path: mean pooling over `bert.Bert`."""

    def __init__(self, folder: ModelFolder, dtype: torch.dtype) -> None:
        from contextkit.embedding.bert import Bert

        self._bert = Bert(folder.weights, folder.config, dtype)
        self.dimension = self._bert.dimension
        self.window = folder.window or 0

    def pooled(
        self, ids: Sequence[Sequence[int]], owner: NDArray[np.int64] | None, count: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        import torch

        states = self._bert.states(ids).float()
        lengths = torch.tensor([len(text) for text in ids])
        passages = mean_by(states, torch.repeat_interleave(lengths), len(ids))
        return passages, None if owner is None else mean_by(states, torch.from_numpy(owner), count)


def _sound(texts: Sequence[str]) -> list[str]:
    """The texts, half characters (lone surrogates) replaced one for one: the tokenizer refuses them."""
    return [text if text.isascii() else _SURROGATES.sub("\ufffd", text) for text in texts]


def _lead(chunk: Chunk) -> str:
    return f"{chunk.header}\n" if chunk.header else ""


def _owners(chunk: Chunk, offsets: Sequence[tuple[int, int]], prefix: str) -> NDArray[np.int64]:
    """For each token the number of the sentence in which its last character lies, or -1 (header, special tokens).

    The last character, because some tokenizers begin a token with the space before its word.
    """
    import numpy as np

    spans = np.asarray(offsets, np.int64).reshape(-1, 2)
    if not chunk.sentences:
        return np.full(len(spans), -1, np.int64)
    edges = np.array([(span.start, span.end) for span in chunk.sentences], np.int64)
    last = spans[:, 1] - 1 + (chunk.start - len(prefix) - len(_lead(chunk)))
    owner = np.searchsorted(edges[:, 0], last, side="right") - 1
    inside = (owner >= 0) & (last < edges[owner, 1]) & (spans[:, 1] > spans[:, 0])
    return np.where(inside, owner, -1)


def _batches(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Numbers of texts of similar length, longest first, with at most `limit` tokens together (one text may have more)."""
    batch: list[int] = []
    tokens = 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and tokens + lengths[i] > limit:
            yield batch
            batch, tokens = [], 0
        batch.append(i)
        tokens += lengths[i]
    if batch:
        yield batch


def _over_window(chunk: Chunk, pieces: int, window: int) -> InputError:
    return InputError(
        f"a chunk of {pieces} pieces (special ones and header included) is over the model's window of {window}: "
        f"{chunk.text[:60]!r} at {chunk.start}-{chunk.end}; cut it into smaller chunks"
    )


def _load_tokenizer(folder: ModelFolder) -> Tokenizer:
    from tokenizers import Tokenizer

    if not folder.tokenizer.is_file():
        from contextkit.embedding.general import convert_tokenizer

        tokenizer = convert_tokenizer(folder)
    else:
        try:
            tokenizer = Tokenizer.from_file(str(folder.tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise EmbedderError(f"the tokenizer {str(folder.tokenizer)!r} does not load: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _native_precision() -> Precision:
    """bfloat16 where the processor multiplies it natively; read from the system so that torch need not be imported."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "float32"
    return "bfloat16" if "amx_bf16" in flags or "avx512_bf16" in flags else "float32"
