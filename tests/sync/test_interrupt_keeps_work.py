"""A run that is stopped keeps every batch that was embedded: the next one does not embed it again."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.sync import work
from contextkit.testing import TinyEmbedder


def test_what_was_embedded_before_ctrl_c_is_not_embedded_again(tmp_path, monkeypatch):
    monkeypatch.setattr(work, "_BATCH", 8)
    docs = tmp_path / "docs"
    docs.mkdir()
    for i in range(64):
        (docs / f"{i:02}.txt").write_text(f"Note number {i} tells of subject {i * 7}.")

    def stop(stage, done, total):
        if stage == "embed" and done >= 16:
            raise KeyboardInterrupt

    embedder = TinyEmbedder()
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        with pytest.raises(KeyboardInterrupt):
            kit.sync(docs, progress=stop)
        assert kit.info().documents == 0
        before = embedder.embedded
        report = kit.sync(docs)
    assert report.added == 64
    assert before >= 16
    assert embedder.embedded <= 64 + 8  # at most the batch that was under way is done twice
