"""The `instant` embedder: a table of token vectors distilled from a local model; no model runs when it embeds.

Distilling sends every word piece of the vocabulary through the model alone, once a machine (seconds), and keeps the table in the
user's cache folder. Three things make such a table useful, measured on held-out questions: the mean and the three strongest
directions that all pieces share are taken out; frequent pieces count less (SIF weights by rank: BERT's vocabulary is sorted by
frequency); punctuation counts as the most frequent. Nothing is rotated, so tables made on two machines agree but for rounding.
A text's vector is the sum of its pieces' rows, at unit length: word order and context are lost, which is its price.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.embedding import encoders
from contextkit.embedding.cachefolder import cache_folder, write_bytes
from contextkit.embedding.folder import find_model
from contextkit.embedding.local import over_window
from contextkit.embedding.pieces import Pieces
from contextkit.errors import EmbedderError
from contextkit.types import Chunk, Embedded, EmbedderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_METHOD = "instant-1"  # part of the identity: another way to distil gives other vectors
_SHARED = 3  # directions taken out
_SIF = 3e-4
_DISTILLED_AT_ONCE = 512  # pieces
_SUMMED_AT_ONCE = 20_000  # tokens; bounds the memory of the gathered rows to 30 MB


class InstantEmbedder:
    """Vectors from a static table (protocol `Embedder`); many times as fast as the model that it comes from.

    Args:
        model: the model to distil, a BERT encoder with mean pooling: a folder, or None for the packaged one.

    Raises:
        EmbedderError: there is no such model, or it is of another kind.
    """

    def __init__(self, model: str | Path | None = None) -> None:
        self._folder = find_model(model)
        if not self._folder.plain_bert:
            raise EmbedderError(
                f"the model {str(self._folder.path)!r} is no BERT encoder with mean pooling, which `instant` is distilled "
                "from: give another folder (instant:FOLDER), or use the model itself"
            )
        self._lock = threading.Lock()
        self._tokenizer: Pieces | None = None
        self._rows: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        return f"InstantEmbedder({self._folder.name!r})"

    @property
    def info(self) -> EmbedderInfo:
        """What makes the vectors comparable; nothing is loaded or distilled."""
        folder = self._folder
        source = folder.expected or folder.digest
        return EmbedderInfo(
            name=f"instant ({folder.name})",
            digest=hashlib.sha256(f"{_METHOD} {source}".encode()).hexdigest(),
            dimension=int(str(folder.config["hidden_size"])),
            window=folder.window or 0,
            backend="table",
        )

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of pieces of each text."""
        return self._pieces().count(texts)

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """Passage vectors (n, dimension) and sentence vectors (all sentences, dimension), float32, unit length, in order.

        Raises:
            InputError: a chunk has more pieces than the window; names both numbers.
        """
        import numpy as np

        table, window = self._table(), self.info.window
        ids, owners = self._pieces().chunks(chunks)
        for chunk, text in zip(chunks, ids, strict=True):
            if len(text) > window:
                raise over_window(chunk, len(text), window)
        sizes = [len(chunk.sentences) for chunk in chunks]
        firsts = np.cumsum([0, *sizes])
        passages = np.zeros((len(chunks), table.shape[1]), np.float32)
        sentences = np.zeros((int(firsts[-1]), table.shape[1]), np.float32)
        for start, end in _parts([len(text) for text in ids]):
            _sums(table, ids[start:end], owners[start:end], passages[start:end], sentences[firsts[start] :], firsts[start:end])
        _to_unit(passages)
        empty = ~sentences.any(axis=1)
        if empty.any():
            sentences[empty] = np.repeat(passages, sizes, axis=0)[empty]
        _to_unit(sentences)
        return Embedded(passages, sentences)

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of questions of any length, float32 (n, dimension), unit length."""
        import numpy as np

        table, pieces = self._table(), self._pieces()
        ids, owner = pieces.windows(questions, self.info.window - pieces.special)
        out = np.zeros((len(questions), table.shape[1]), np.float32)
        for text, number in zip(ids, owner, strict=True):
            out[number] += table[text].sum(axis=0)
        _to_unit(out)
        return out

    def _pieces(self) -> Pieces:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = Pieces(self._folder, "")
            return self._tokenizer

    def _table(self) -> NDArray[np.float32]:
        """The rows of all pieces; from the cache folder, or distilled now."""
        if self._rows is None:
            pieces = self._pieces()
            with self._lock:
                if self._rows is None:
                    self._rows = self._kept(pieces.vocabulary)
        return self._rows

    def _kept(self, vocabulary: Sequence[str]) -> NDArray[np.float32]:
        import io

        import numpy as np

        shape = (len(vocabulary), self.info.dimension)
        name = f"instant/{self.info.digest[:32]}.npy"
        try:
            found = np.load(cache_folder() / name, mmap_mode="r")  # only the rows that are used are ever read
            if found.shape == shape and found.dtype == np.float32:
                return np.asarray(found)
        except (OSError, ValueError):  # not there, or not ours: it is made again
            pass
        table = self._distilled(vocabulary)
        data = io.BytesIO()
        np.save(data, table)
        write_bytes(name, data.getvalue())
        return table

    def _distilled(self, vocabulary: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        folder = self._folder
        engine = encoders.load(folder, encoders.usable(folder)[0], encoders.native_precision(), None)
        frame, special = self._pieces_alone(len(vocabulary))
        raw = np.empty((len(vocabulary), engine.encoder.dimension), np.float32)

        def run(batch: list[int]) -> None:
            owners = [np.array([-1] * special[0] + [0] + [-1] * special[1], np.int32)] * len(batch)
            _, own = engine.encoder.vectors([frame[i] for i in batch], owners, [1] * len(batch))
            raw[batch] = own

        whole = range(len(vocabulary))
        engine.each(run, [list(whole[i : i + _DISTILLED_AT_ONCE]) for i in range(0, len(whole), _DISTILLED_AT_ONCE)])
        weights, ordinary = _weights(vocabulary)
        raw -= raw[ordinary].mean(axis=0)
        shared = np.linalg.eigh(raw[ordinary].T @ raw[ordinary])[1][:, -_SHARED:]
        raw -= (raw @ shared) @ shared.T
        return np.asarray(raw * weights[:, None], np.float32)

    def _pieces_alone(self, size: int) -> tuple[list[NDArray[np.int32]], tuple[int, int]]:
        """Every piece between the special ids, and how many of these come before and after it."""
        import numpy as np

        assert self._tokenizer is not None
        head, tail = self._tokenizer.frame
        return [np.array([*head, i, *tail], np.int32) for i in range(size)], (len(head), len(tail))


def _weights(vocabulary: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The weight of each piece, and which ones are words or parts of words of more than one character."""
    import numpy as np

    special = np.array([len(piece) > 2 and piece[0] == "[" and piece[-1] == "]" for piece in vocabulary])
    ordinary = ~special & np.array([len(piece.removeprefix("##")) > 1 for piece in vocabulary])
    rank = np.ones(len(vocabulary))
    rank[ordinary] = np.arange(1, ordinary.sum() + 1)
    frequency = 1 / (rank + 1) / np.log(max(3, ordinary.sum()))  # by Zipf
    weights = _SIF / (_SIF + frequency)
    weights[special] = 0
    return weights.astype(np.float32), ordinary


def _parts(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of texts (first, one past the last) of at most `_SUMMED_AT_ONCE` tokens together, or of one text."""
    out: list[tuple[int, int]] = []
    start = tokens = 0
    for i, length in enumerate(lengths):
        if i > start and tokens + length > _SUMMED_AT_ONCE:
            out.append((start, i))
            start, tokens = i, 0
        tokens += length
    return [*out, (start, len(lengths))] if lengths else out


def _sums(
    table: NDArray[np.float32],
    ids: Sequence[NDArray[np.int32]],
    owners: Sequence[NDArray[np.int32]],
    passages: NDArray[np.float32],
    sentences: NDArray[np.float32],
    firsts: NDArray[np.int64],
) -> None:
    """Fills in the sums of the texts' rows and of their sentences' rows; a sentence's tokens lie together.

    Args:
        table: the rows.
        ids: of each text, at least one.
        owners: of each text: the number of each token's sentence, or -1.
        passages: a row each text.
        sentences: the rows of the texts' sentences.
        firsts: where each text's sentences begin, counted from any number.
    """
    import numpy as np

    texts = np.repeat(np.arange(len(ids)), [len(text) for text in ids])
    owner = np.concatenate(owners)
    rows = table[np.concatenate(ids)]
    edges = np.flatnonzero(np.diff(texts, prepend=-1, append=len(ids)) | np.diff(owner, prepend=-2, append=-2)).tolist()
    starts = edges[:-1]
    places = firsts[texts[starts]] - firsts[0] + owner[starts]
    for start, end, text, inside, place in zip(starts, edges[1:], texts[starts], owner[starts] >= 0, places, strict=True):
        run = np.add.reduce(rows[start:end], axis=0)  # thirty times as fast as one `np.add.reduceat` over all
        passages[text] += run
        if inside:
            sentences[place] = run


def _to_unit(vectors: NDArray[np.float32]) -> None:
    """Brings vectors to unit length in place; a zero vector, of a text without known pieces, becomes the first axis."""
    import numpy as np

    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[norms[:, 0] == 0, 0] = 1.0
    vectors /= np.where(norms == 0, 1.0, norms)
