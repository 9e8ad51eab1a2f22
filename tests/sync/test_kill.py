"""A writer in another process: what readers see of it, and what is left when it dies. More of that is in tests/faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_pipeline import make_pipeline

from contextkit.catalog import Catalog
from contextkit.sync import add
from contextkit.testing import TinyEmbedder
from contextkit.types import Document

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from tests_pipeline import make_pipeline
from contextkit.catalog import Catalog
from contextkit.sync import add
from contextkit.testing import TinyEmbedder
from contextkit.types import Document
with Catalog.open(sys.argv[1]) as catalog:
    i = 0
    while True:
        i += 1
        add(catalog, [Document(name, f"round {i}\\nline") for name in "abc"], make_pipeline(TinyEmbedder()))
        print(i, flush=True)
"""


def test_a_reader_in_another_process_sees_whole_commits_and_a_dead_writer_holds_no_lock(tmp_path):
    embedder = TinyEmbedder()
    folder = tmp_path / "index"
    Catalog.create(folder, embedder.info).close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(HERE.parent / "catalog")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == "1"
        seen: set[str] = set()
        with Catalog.open(folder, read_only=True) as reader:
            end = time.monotonic() + 20
            while len(seen) < 20 and time.monotonic() < end:
                visible = reader.visible()
                texts = {reader.content_text(d.content_id) for d in reader.documents(visible)}
                assert len(texts) == 1, "half a commit was seen"
                assert visible.n_documents == 3
                seen |= texts
        assert len(seen) >= 20, "commits of the other process were not noticed"
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
    with Catalog.open(folder) as catalog:
        add(catalog, [Document("d", "after")], make_pipeline(embedder), wait=1)
        assert catalog.visible().n_documents == 4
