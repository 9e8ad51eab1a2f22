from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from contextkit.embedding.endpoint import EndpointEmbedder, unit_vectors
from contextkit.embedding.http import Pace, _retry_after
from contextkit.errors import EmbedderError, InputError
from contextkit.protocols import Embedder
from contextkit.types import Chunk

DIMENSION = 8


def vector_of(text: str) -> list[float]:
    return np.random.default_rng(sum(text.encode()) + len(text)).normal(size=DIMENSION).tolist()


class Server(ThreadingHTTPServer):
    """An embeddings endpoint: good answers in a shuffled order, unless `script` has another answer for the next request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Callable[[Handler, dict], None]] = []
        self.requests: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.times.append(time.monotonic())
            step = self.server.script.pop(0) if self.server.script else good
        step(self, body)

    def answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


def good(handler: Handler, body: dict) -> None:
    data = [{"index": i, "embedding": vector_of(text)} for i, text in enumerate(body["input"])]
    handler.answer(200, {"data": data[1::2] + data[::2]})


def says(status: int, body: object, **headers: str) -> Callable[[Handler, dict], None]:
    return lambda handler, _: handler.answer(status, body, {k.replace("_", "-"): v for k, v in headers.items()})


def hang_up(handler: Handler, _: dict) -> None:
    handler.close_connection = True
    handler.connection.close()


def stall(handler: Handler, body: dict) -> None:
    time.sleep(1.0)
    good(handler, body)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def embedder(server: Server) -> Iterator[EndpointEmbedder]:
    made = EndpointEmbedder("bge-test", server.url, api_key="secret-key", batch_size=4, window=100, timeout=5, max_retries=2)
    yield made
    made.close()


def expected(texts: list[str]) -> np.ndarray:
    found = np.array([vector_of(text) for text in texts], np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_batches_in_order_whatever_the_answers_order(server: Server, embedder: EndpointEmbedder) -> None:
    texts = [f"text number {i}" for i in range(11)]
    found = embedder.embed([Chunk(0, len(text), text, header="Head" if i == 3 else "") for i, text in enumerate(texts)])
    texts[3] = "Head\n" + texts[3]
    assert found.sentences is None
    assert found.passages.dtype == np.float32
    np.testing.assert_allclose(found.passages, expected(texts), atol=1e-6)
    np.testing.assert_allclose(embedder.embed_queries(texts), expected(texts), atol=1e-6)
    assert sorted(len(request["input"]) for request in server.requests) == [1, 3, 3, 4, 4, 4, 4]
    assert all(request["model"] == "bge-test" for request in server.requests)
    assert all(headers["Authorization"] == "Bearer secret-key" for headers in server.headers)


def test_batches_by_tokens(server: Server) -> None:
    embedder = EndpointEmbedder("text-embedding-3-small", server.url, api_key="", batch_tokens=10, dimension=DIMENSION)
    assert embedder.embed_queries(["one two three four"] * 5).shape == (5, DIMENSION)
    assert sorted(len(request["input"]) for request in server.requests) == [1, 2, 2]
    assert all(request["dimensions"] == DIMENSION for request in server.requests)
    assert "Authorization" not in server.headers[0]
    embedder.close()


def test_info_asks_once(server: Server, embedder: EndpointEmbedder) -> None:
    info = embedder.info
    assert (info.name, info.dimension, info.window, info.sentences) == ("bge-test", DIMENSION, 100, False)
    assert embedder.info == info
    assert len(server.requests) == 1
    assert isinstance(embedder, Embedder)
    assert "secret" not in repr(embedder)
    known = EndpointEmbedder("text-embedding-3-small", server.url, dimension=1536)
    assert known.info.window == 8191
    assert len(server.requests) == 1
    assert known.info.digest != info.digest


def test_empty_lists(embedder: EndpointEmbedder) -> None:
    assert embedder.embed([]).passages.shape == (0, DIMENSION)
    assert embedder.embed_queries([]).shape == (0, DIMENSION)


def test_failures_are_tried_again(server: Server, embedder: EndpointEmbedder) -> None:
    _ = embedder.info
    server.script = [says(503, b"down"), hang_up]
    np.testing.assert_allclose(embedder.embed_queries(["a"]), expected(["a"]), atol=1e-6)
    assert len(server.requests) == 4


def test_retry_after_is_honoured(server: Server, embedder: EndpointEmbedder) -> None:
    _ = embedder.info
    server.script = [says(429, {"error": {"message": "slow down"}}, Retry_After="1.2")]
    embedder.embed_queries(["a"])
    assert 1.15 < server.times[-1] - server.times[-2] < 3


def test_retry_after_beyond_the_limit_is_not_waited_for(server: Server, embedder: EndpointEmbedder) -> None:
    _ = embedder.info
    server.script = [says(429, {"error": {"message": "slow down"}}, Retry_After="4000")]
    with pytest.raises(EmbedderError, match=r"429: slow down; it asks to wait 4000 seconds, the limit is 120"):
        embedder.embed_queries(["a"])


def test_retry_after_as_a_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 28 < (_retry_after(when) or 0) <= 30
    assert _retry_after("soon") is None
    assert _retry_after(None) is None
    assert _retry_after("-5") == 0


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"error": {"message": "bad key"}}, r"/v1/embeddings answered 401: bad key; check the key"),
        (400, {"detail": "too long"}, r"answered 400: too long"),
        (404, b"nothing here", r"answered 404: nothing here"),
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, r"answered 429: pay"),
    ],
)
def test_refusals_are_not_tried_again(
    server: Server, embedder: EndpointEmbedder, status: int, body: object, message: str
) -> None:
    server.script = [says(status, body)]
    with pytest.raises(EmbedderError, match=message) as caught:
        embedder.embed_queries(["a"])
    assert len(server.requests) == 1
    assert "secret" not in str(caught.value)


def test_giving_up_names_the_attempts(server: Server, embedder: EndpointEmbedder) -> None:
    server.script = [says(500, {"message": "broken"})] * 3
    with pytest.raises(EmbedderError, match=r"answered 500: broken \(after 3 attempts\)"):
        embedder.embed_queries(["a"])
    assert len(server.requests) == 3


def test_a_stalled_answer_is_timed_out(server: Server) -> None:
    embedder = EndpointEmbedder("m", server.url, dimension=DIMENSION, timeout=0.2, max_retries=1)
    server.script = [stall]
    assert embedder.embed_queries(["a"]).shape == (1, DIMENSION)
    server.script = [stall, stall]
    with pytest.raises(EmbedderError, match=r"did not answer within 0\.2 seconds \(after 2 attempts\)"):
        embedder.embed_queries(["a"])
    embedder.close()


def test_nobody_listens() -> None:
    server = Server()
    server.server_close()
    embedder = EndpointEmbedder("m", server.url, dimension=DIMENSION, max_retries=0)
    with pytest.raises(EmbedderError, match="does not answer: ConnectError"):
        embedder.embed_queries(["a"])
    embedder.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "without a list 'data'"),
        ({"data": "x"}, "without a list 'data'"),
        ({"data": [{"index": 0, "embedding": [1.0, 2.0]}]}, "1 vectors for 2 texts"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}, "indices"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}]}, "indices"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]}, "one length"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]}, "dimension must be 2"),
        ({"data": [{"index": 0, "embedding": [1.0, 0]}, {"index": 1, "embedding": [0, 0]}]}, "zero"),
        ({"data": [{"index": 0, "embedding": [1.0, 0]}, {"index": 1, "embedding": [float("nan"), 0]}]}, "not finite"),
        ({"data": [{"index": 0, "embedding": None}, {"index": 1, "embedding": [1.0, 0]}]}, "one length"),
    ],
)
def test_answers_that_are_wrong(answer: object, message: str) -> None:
    with pytest.raises(EmbedderError, match=message):
        unit_vectors(answer, 2, 2, "http://x/embeddings")


def test_an_answer_that_is_not_json(server: Server, embedder: EndpointEmbedder) -> None:
    server.script = [says(200, b"<html>")] * 3
    with pytest.raises(EmbedderError, match="something other than JSON"):
        embedder.embed_queries(["a"])


def test_over_the_window(server: Server, embedder: EndpointEmbedder) -> None:
    with pytest.raises(InputError, match="window of 100"):
        embedder.embed([Chunk(0, 0, "word " * 200)])
    long = "word " * 1000
    found = embedder.embed_queries([long, "short"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    sent = [text for request in server.requests for text in request["input"]]
    assert max(embedder.count(sent)) <= 100
    assert sum(len(text) for text in sent) == len("dimension") + len(long) + len("short")


def test_the_pace_is_kept_over_threads() -> None:
    pace = Pace(per_minute=1200)  # 20 a second, 200 at once
    pace.wait(200)
    start = time.monotonic()
    threads = [threading.Thread(target=pace.wait, args=(2,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start > 0.25


def test_the_pace_of_requests(server: Server) -> None:
    embedder = EndpointEmbedder("m", server.url, dimension=DIMENSION, batch_size=1, requests_per_minute=60)
    start = time.monotonic()
    embedder.embed_queries([f"t{i}" for i in range(12)])  # ten at once, then one a second
    assert time.monotonic() - start > 1.8
    embedder.close()


def test_the_key_comes_from_the_environment_at_construction(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-env")
    embedder = EndpointEmbedder("m", server.url, dimension=DIMENSION)
    monkeypatch.setenv("OPENAI_API_KEY", "later")
    embedder.embed_queries(["a"])
    assert server.headers[0]["Authorization"] == "Bearer from-env"
    embedder.close()


@pytest.mark.parametrize(
    "bad",
    [
        {"timeout": 0},
        {"max_retries": -1},
        {"batch_size": 0},
        {"dimension": 0},
        {"requests_per_minute": 0},
        {"base_url": "ftp://x"},
        {"model": ""},
    ],
)
def test_arguments_that_cannot_work(bad: dict) -> None:
    with pytest.raises(InputError):
        EndpointEmbedder(**{"model": "m", "base_url": "http://x", **bad})
