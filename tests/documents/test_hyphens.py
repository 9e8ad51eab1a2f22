"""Words that a typesetting program parted: whole again in the text that parsers make, with exact offsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.documents import parse
from contextkit.documents.building import clean
from contextkit.types import Blob


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the re‐\n   placement strategy is", "the replacement\n   strategy is"),
        ("a sin‐\n   gle\nnext line", "a single\nnext line"),
        ("at the end hyphen‐\n  ation", "at the end hyphenation"),
        ("for re‐\nplacement, which is", "for replacement,\nwhich is"),
        ("line‐based, or line‐\n  based input", "line‐based, or line‐based\n  input"),
        ("the Anglo‐\n  Saxon times", "the Anglo‐Saxon\n  times"),
        ("a new para‐\n\ngraph", "a new para‐\n\ngraph"),
        ("an ASCII one re-\nmains", "an ASCII one re-\nmains"),
        ("item ‐\n  next", "item ‐\n  next"),
        ("Zu\xadsam\xadmen\xad\narbeit mit ihr", "Zusammenarbeit\nmit ihr"),
        ("Uni\xadver\xadsi\xadtät", "Universität"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected
    assert clean(expected) == expected


@given(st.text(alphabet="ab ‐\xad\n.A", max_size=60))
def test_no_letter_is_lost_and_no_paragraph_is_joined(text: str) -> None:
    cleaned = clean(text)
    assert [c for c in cleaned if c in "abA."] == [c for c in text if c in "abA."]
    assert len([p for p in cleaned.split("\n\n") if p.strip()]) <= len(
        [p for p in text.replace("\xad", "").split("\n\n") if p.strip()]
    )


def test_a_word_without_end_takes_linear_time() -> None:
    word = "x" * 1_000_000
    assert clean(f"{word} re\u2010\nplaced {word}") == f"{word} replaced\n{word}"


@pytest.mark.parametrize("name", ["x.txt", "x.md", "x.html", "x.rst"])
def test_parsers_join_words_and_keep_their_offsets(name: str) -> None:
    body = "The Zusam\xadmen\xadarbeit began with the re‐\nplacement strategy of the old pump. It ended soon after that."
    html = f"<html><body><p>{body}</p></body></html>"
    document = parse(Blob("i", name=name, data=(html if name.endswith("html") else body).encode()))
    flat = " ".join(document.text.split())
    assert flat == "The Zusammenarbeit began with the replacement strategy of the old pump. It ended soon after that."
    for block in document.blocks:
        assert document.text[block.start : block.end].strip() == document.text[block.start : block.end]
