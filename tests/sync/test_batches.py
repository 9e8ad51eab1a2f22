"""What a run hands to the embedder: a small batch first, large ones then; and a model that is told of its work beforehand."""

from __future__ import annotations

import threading

import contextkit as ck
from contextkit.sync import work
from contextkit.testing import TinyEmbedder
from contextkit.types import Embedded


class Watched(TinyEmbedder):
    """Notes what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.prepared: list[str] = []

    def prepare(self) -> None:
        self.prepared.append(threading.current_thread().name)

    def embed(self, chunks: list[ck.Chunk]) -> Embedded:
        self.sizes.append(len(chunks))
        return super().embed(chunks)


def test_the_first_batch_is_small_and_the_model_is_prepared_once(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "_BATCH", 32)
    monkeypatch.setattr(work, "_FIRST", 8)
    monkeypatch.setattr(work, "_SECONDS", 1e9)
    docs = [ck.Document(id=str(i), text=f"Note number {i} tells of subject {i * 7}.") for i in range(100)]
    embedder = Watched()
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        kit.add(docs)
        assert embedder.sizes == [8, 32, 32, 28]
        assert len(embedder.prepared) == 1
        assert embedder.prepared[0].startswith("contextkit-embed")
        kit.add(docs)
        assert len(embedder.prepared) == 1  # nothing new: no model is loaded
        assert kit.info().documents == 100


def test_a_model_that_cannot_be_prepared_is_named_by_what_needs_it(tmp_path):
    class Broken(Watched):
        def prepare(self) -> None:
            raise ck.errors.EmbedderError("no weights")

    with ck.open(tmp_path / "index", embedder=Broken()) as kit:  # embedding works: the failure ahead of it is nobody's
        kit.add([ck.Document(id="a", text="One sentence.")])
        assert kit.info().chunks == 1
