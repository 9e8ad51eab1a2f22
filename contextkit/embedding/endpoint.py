"""Embedding by an OpenAI-compatible `/embeddings` endpoint: what is sent and how an answer is checked.

Waiting, retrying and rate limits are in `http.py`. Such an endpoint gives one vector a text, so there are no sentence vectors.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from contextkit.embedding.http import JsonClient
from contextkit.errors import EmbedderError, InputError, UnknownModel
from contextkit.types import Chunk, Embedded, EmbedderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.protocols import TokenCounter

_DEFAULT_WINDOW = 512  # what most models that are not in the catalogue read at least


class EndpointEmbedder:
    """An embedder behind HTTP: OpenAI, Azure, vLLM, Ollama, text-embeddings-inference and others of that form.

    Args:
        model: the model's name as the endpoint knows it.
        base_url: what comes before "/embeddings", for example "https://api.openai.com/v1".
        api_key: sent as bearer token; None: OPENAI_API_KEY of the environment as it is now; "": none.
        dimension: length of the vectors. None: found by embedding one word when first needed. OpenAI's third-generation models
            are asked to shorten theirs to it.
        window: the most tokens of a text; None: the catalogue's, or 512 for a model that it does not know.
        counter: counts tokens; None: the model's own counter, or a cautious bound for a model that no catalogue knows.
        batch_size: the most texts of a request.
        batch_tokens: the most tokens of a request (one text may have more).
        concurrency: requests under way at once.
        timeout: seconds to wait for the connection, and for each answer.
        max_retries: how often a failed request is sent again.
        requests_per_minute: pace of requests, or None.
        tokens_per_minute: pace of tokens, or None.
        query_prefix: put before a question.
        passage_prefix: put before a passage.

    Raises:
        InputError: an argument that cannot work.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        api_key: str | None = None,
        dimension: int | None = None,
        window: int | None = None,
        counter: TokenCounter | None = None,
        batch_size: int = 128,
        batch_tokens: int = 50_000,
        concurrency: int = 4,
        timeout: float = 30.0,
        max_retries: int = 5,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        query_prefix: str = "",
        passage_prefix: str = "",
    ) -> None:
        least = {"dimension": dimension, "window": window, "batch_size": batch_size, "batch_tokens": batch_tokens}
        for name, value in {**least, "concurrency": concurrency}.items():
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, not {value}")
        if not model:
            raise InputError("an endpoint needs a model name")
        key = os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key
        self.model, self.url = model, f"{base_url.rstrip('/')}/embeddings"
        self._http = JsonClient(self.url, key, timeout, max_retries, requests_per_minute, tokens_per_minute)
        self._dimension, self._window, self._given_counter = dimension, window, counter
        self._shorten = dimension if dimension is not None and model.startswith("text-embedding-3") else None
        self._batch_size, self._batch_tokens, self._concurrency = batch_size, batch_tokens, concurrency
        self._query_prefix, self._passage_prefix = query_prefix, passage_prefix
        self._lock = threading.RLock()
        self._info: EmbedderInfo | None = None

    def __repr__(self) -> str:
        return f"EndpointEmbedder({self.model!r}, {self.url!r})"

    def close(self) -> None:
        """Closes the connections; a later call opens new ones."""
        self._http.close()

    @property
    def info(self) -> EmbedderInfo:
        """What makes the vectors comparable; asks the endpoint once where the dimension was not given."""
        if self._info is None:
            with self._lock:
                if self._info is None:
                    self._info = self._find_info()
        return self._info

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, or an upper bound where the model's encoding is not known."""
        return self._counter().count_many(texts)

    def embed(self, chunks: Sequence[Chunk]) -> Embedded:
        """Passage vectors, float32 (n, dimension), unit length, in order; `sentences` is None.

        Raises:
            InputError: a chunk has more tokens than the window; names both numbers.
            EmbedderError: the endpoint does not answer as it must.
        """
        leads = (f"{chunk.header}\n" if chunk.header else "" for chunk in chunks)
        texts = [self._passage_prefix + lead + chunk.text for lead, chunk in zip(leads, chunks, strict=True)]
        counts = self.count(texts)
        window = self.info.window
        for chunk, tokens in zip(chunks, counts, strict=True):
            if tokens > window:
                raise InputError(
                    f"a chunk of {tokens} tokens (header included) is over the model's window of {window}: "
                    f"{chunk.text[:60]!r} at {chunk.start}-{chunk.end}; cut it into smaller chunks"
                )
        return Embedded(passages=self._vectors(texts, counts))

    def embed_queries(self, questions: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of questions, float32 (n, dimension), unit length.

        A question over the window is cut into parts that fit; its vector is the mean of theirs, weighted by their tokens.

        Raises:
            EmbedderError: the endpoint does not answer as it must.
        """
        import numpy as np

        parts: list[tuple[str, int]] = []
        owner: list[int] = []
        for number, question in enumerate(questions):
            cut = list(self._fitting(self._query_prefix + question))
            parts += cut
            owner += [number] * len(cut)
        vectors = self._vectors([text for text, _ in parts], [tokens for _, tokens in parts])
        if len(parts) == len(questions):
            return vectors
        total = np.zeros((len(questions), vectors.shape[1]), np.float32)
        np.add.at(total, owner, vectors * np.array([[tokens] for _, tokens in parts], np.float32))
        return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), np.float32)

    def _fitting(self, text: str) -> Iterator[tuple[str, int]]:
        """The text in parts of at most a window, with their tokens; cut in halves at white space where there is any."""
        window, counter = self.info.window, self._counter()
        waiting = [text]
        while waiting:
            part = waiting.pop()
            tokens = counter.count(part)
            if tokens <= window or len(part) < 2:
                yield part, tokens
                continue
            half = len(part) // 2
            space = part.find(" ", half, half + half // 2)
            middle = space if space > 0 else half
            waiting += [part[middle:], part[:middle]]

    def _vectors(self, texts: Sequence[str], counts: Sequence[int]) -> NDArray[np.float32]:
        import numpy as np

        out = np.empty((len(texts), self.info.dimension), np.float32)

        def run(batch: tuple[int, int]) -> None:
            start, end = batch
            out[start:end] = self._request(texts[start:end], sum(counts[start:end]), self.info.dimension)

        batches = list(self._batches(counts))
        if len(batches) < 2:
            for batch in batches:
                run(batch)
            return out
        with ThreadPoolExecutor(min(self._concurrency, len(batches)), thread_name_prefix="contextkit-endpoint") as pool:
            for _ in pool.map(run, batches):
                pass
        return out

    def _batches(self, counts: Sequence[int]) -> Iterator[tuple[int, int]]:
        start = tokens = 0
        for number, count in enumerate(counts):
            if number > start and (number - start == self._batch_size or tokens + count > self._batch_tokens):
                yield start, number
                start, tokens = number, 0
            tokens += count
        if start < len(counts):
            yield start, len(counts)

    def _request(self, texts: Sequence[str], tokens: int, dimension: int | None) -> NDArray[np.float32]:
        body: dict[str, object] = {"model": self.model, "input": [text or " " for text in texts], "encoding_format": "float"}
        if self._shorten is not None:
            body["dimensions"] = self._shorten
        return unit_vectors(self._http.post(body, tokens), len(texts), dimension, self.url)

    def _find_info(self) -> EmbedderInfo:
        dimension = self._dimension or self._request(["dimension"], 1, None).shape[1]
        identity = f"endpoint:{self.model}:{dimension}"
        return EmbedderInfo(
            name=self.model,
            digest=hashlib.sha256(identity.encode()).hexdigest(),
            dimension=dimension,
            window=self._window or self._known_window(),
            backend="endpoint",
            query_prefix=self._query_prefix,
            passage_prefix=self._passage_prefix,
            sentences=False,
        )

    def _known_window(self) -> int:
        from contextkit.tokens import model_info

        try:
            return model_info(self.model).window or _DEFAULT_WINDOW
        except UnknownModel:
            return _DEFAULT_WINDOW

    def _counter(self) -> TokenCounter:
        if self._given_counter is None:
            from contextkit.tokens import BoundCounter, counter_for

            try:
                self._given_counter = counter_for(self.model)
            except UnknownModel:
                self._given_counter = BoundCounter("embedding", 1.75)
        return self._given_counter


def unit_vectors(answer: object, count: int, dimension: int | None, url: str) -> NDArray[np.float32]:
    """The vectors of an answer by the index that it gives each, float32 (count, dimension), unit length.

    Raises:
        EmbedderError: their number, their dimension, their indices or their values are not what they must be.
    """
    import numpy as np

    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise EmbedderError(f"{url} answered without a list 'data': {str(answer)[:200]}")
    if len(data) != count:
        raise EmbedderError(f"{url} answered with {len(data)} vectors for {count} texts")
    by_index = {item.get("index", position): item.get("embedding") for position, item in enumerate(data)}
    if set(by_index) != set(range(count)):
        raise EmbedderError(f"{url} answered with the indices {sorted(map(str, by_index))[:10]} for {count} texts")
    try:
        found = np.array([by_index[i] for i in range(count)], np.float32)
    except (TypeError, ValueError) as error:
        raise EmbedderError(f"{url} answered with something other than vectors of one length: {error}") from error
    if found.ndim != 2 or found.shape[1] == 0 or (dimension is not None and found.shape[1] != dimension):
        raise EmbedderError(
            f"{url} answered with vectors of shape {found.shape[1:]}, the dimension must be {dimension or 'one number'}"
        )
    lengths = np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise EmbedderError(f"{url} answered with a vector that is zero or not finite")
    return np.asarray(found / lengths, np.float32)
