"""A small kit, whose board paper only the boss may see. What a peer needs beside it is in the conftest of its folder."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.testing import TinyEmbedder

DOCUMENTS = [
    ck.Document(
        "handbook/leave", "Leave may be carried over until the end of March.\nUp to five days are carried.\n" * 2, "Leave"
    ),
    ck.Document("handbook/travel", "Trains are booked second class.\nA hotel may cost 120 euros a night.\n", "Travel"),
    ck.Document("board/salaries", "The director earns 900 a day.\n", "Salaries", access=["user:boss"]),
]


@pytest.fixture
def folder(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(DOCUMENTS)
    return tmp_path / "index"


@pytest.fixture
def kit(folder):
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        yield kit
