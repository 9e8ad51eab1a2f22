"""What several test folders share: the example library, indexed once a test process with the real embedder."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# `make test` tries the same examples every time; HYPOTHESIS_PROFILE=explore looks for new ones
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# what the first use measures and distils is kept between runs, but not among the user's own
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"contextkit-tests-{os.getuid()}")

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "examples" / "library"


@pytest.fixture(scope="session")
def library_index(tmp_path_factory):
    """Folder of an index of the example library; open it for reading."""
    import contextkit as ck
    from contextkit.embedding import LocalEmbedder

    folder = tmp_path_factory.mktemp("library") / "index"
    # float32 on one back-end: the same packets on every processor
    with ck.open(folder, embedder=LocalEmbedder(precision="float32", backend="torch")) as kit:
        report = kit.sync(LIBRARY)
    assert report.failed == 0, report.failures
    return folder


@pytest.fixture
def library_kit(library_index):
    """The example library's kit."""
    import contextkit as ck
    from contextkit.embedding import LocalEmbedder

    with ck.open(library_index, embedder=LocalEmbedder(precision="float32", backend="torch")) as kit:
        yield kit


@pytest.fixture(scope="session")
def questions():
    """The example library's questions: (demo questions, others)."""
    found = json.loads((ROOT / "examples" / "questions.json").read_text(encoding="utf-8"))
    return found["questions"], found["more"]
