"""What the surroundings may do to an index: a clock that jumps, a file system that cannot lock."""

from __future__ import annotations

import pytest
from filelock import FileLock

from contextkit.catalog import commit
from contextkit.errors import ContextkitError
from contextkit.retrieval.terms import terms
from contextkit.sync import add
from contextkit.types import Document


def test_a_clock_that_jumps_back_reorders_nothing(catalog, pipeline, monkeypatch):
    times = iter(["2026-05-01T00:00:00+00:00", "2019-01-01T00:00:00+00:00", "2030-01-01T00:00:00+00:00"] * 20)
    monkeypatch.setattr(commit, "now", lambda: next(times))
    for text in ("first", "second", "third"):
        add(catalog, [Document("d", f"the {text} text")], pipeline)
    assert [g.id for g in catalog.generations()] == [1, 2, 3]
    assert catalog.text("d") == "the third text"
    catalog.rollback(1)
    assert catalog.text("d") == "the first text"
    catalog.gc(keep=1)
    assert catalog.text("d") == "the first text"
    assert catalog.examine(terms).sound


@pytest.mark.parametrize("trouble", [NotImplementedError("no flock here"), OSError(37, "No locks available")])
def test_a_file_system_without_locks_is_named(catalog, pipeline, monkeypatch, trouble):
    def refuse(*_, **__):
        raise trouble

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(ContextkitError, match="cannot lock write.lock.*keep the index on a local disk"):
        add(catalog, [Document("d", "text")], pipeline)
    assert catalog.generations() == []
