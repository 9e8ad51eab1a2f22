"""An empty kit in place of the one with documents."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.testing import TinyEmbedder


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as opened:
        yield opened
