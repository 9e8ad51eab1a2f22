"""A memory with the small deterministic embedder, and a way to open it again."""

from __future__ import annotations

import pytest

from contextkit.memory import MemoryStore
from contextkit.testing import TinyEmbedder


@pytest.fixture
def opened(tmp_path):
    """Opens the memory of a folder; all are closed at the end."""
    made = []

    def make(folder=tmp_path, **options):
        store = MemoryStore(folder, options.pop("embedder", None) or TinyEmbedder(), **options)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(opened):
    return opened()
