from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "catalog"))

from tests_pipeline import make_pipeline

from contextkit.catalog import Catalog
from contextkit.sync import Pipeline
from contextkit.testing import TinyEmbedder


@pytest.fixture
def embedder() -> TinyEmbedder:
    return TinyEmbedder()


@pytest.fixture
def pipeline(embedder: TinyEmbedder) -> Pipeline:
    return make_pipeline(embedder)


@pytest.fixture
def catalog(tmp_path: Path, embedder: TinyEmbedder) -> Iterator[Catalog]:
    with Catalog.create(tmp_path / "index", embedder.info) as made:
        yield made
