"""A small kit, and random agent calls made from a seed."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.testing import TinyEmbedder

NOTES = [
    ck.Document(
        f"note-{i}", f"Note {i} is about subject {i}. Its second sentence names the number {i * 7}. Bees and bread are in it.",
        title=f"Note {i}",
    )
    for i in range(40)
]  # fmt: skip


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    with ck.open(tmp_path_factory.mktemp("agent") / "index", embedder=TinyEmbedder()) as kit:
        kit.add(NOTES)
        yield kit


@pytest.fixture
def fresh_kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(NOTES)
        yield kit
