"""Packets of the example library's questions, word for word: a change here is a change that users see.

`UPDATE_GOLDEN=1 pytest tests/test_golden.py` writes the files anew; look at the difference before committing it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
DEMO = ("october-credit", "ticket-nb-1087", "grey-th2-price", "t1-cell", "train-or-plane")


@pytest.mark.parametrize("name", DEMO)
def test_demo_packets(name, library_kit, questions):
    question = next(q["question"] for q in questions[0] if q["id"] == name)
    packet = library_kit.context(question, budget=512)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(packet.text + "\n", encoding="utf-8")
    assert packet.text + "\n" == path.read_text(encoding="utf-8")


def test_answers_are_in_packets_of_1024_tokens(library_kit, questions):
    missing = []
    for q in [*questions[0], *questions[1]]:
        text = re.sub(r"\s+", " ", library_kit.context(q["question"], budget=1024).text)
        missing += [(q["id"], e) for e in q.get("expect", []) if re.sub(r"\s+", " ", e) not in text]
    assert missing == []


def test_every_span_of_every_document_is_exact(library_kit):
    catalog = library_kit.catalog
    for document in catalog.documents():
        text = catalog.text(document.id)
        for chunk in catalog.chunks_of(document.content_id):
            assert text[chunk.start : chunk.end] == chunk.text
            for start, end in chunk.sentences.tolist():
                assert chunk.start <= start < end <= chunk.end
