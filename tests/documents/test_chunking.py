"""Chunks: every character addressed, sizes kept, structure followed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.documents.chunking import StructureChunker
from contextkit.errors import InputError
from contextkit.types import Block, BlockKind, Document, Span


def words(texts):
    """One piece a word or mark, as a stand-in for a model's pieces."""
    return [len(re.findall(r"\w+|[^\w\s]", t)) for t in texts]


CHUNKER = StructureChunker(words, target=40, window=64, header=12)


def check(document, chunks, chunker=CHUNKER):
    covered = [False] * len(document.text)
    last = 0
    for chunk in chunks:
        assert chunk.start >= last
        last = chunk.end
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert words([f"{chunk.header}\n{chunk.text}"])[0] <= chunker.window - 2
        at = chunk.start
        for s in chunk.sentences:
            assert at <= s.start < s.end <= chunk.end
            covered[s.start : s.end] = [True] * len(s)
            at = s.end
        assert chunk.sentences[0].start == chunk.start
        assert chunk.sentences[-1].end == chunk.end
    lost = [i for i, (c, done) in enumerate(zip(document.text, covered, strict=True)) if not c.isspace() and not done]
    assert not lost, document.text[max(0, lost[0] - 20) : lost[0] + 20]


TEXTS = st.one_of(
    st.text(max_size=600),
    st.lists(
        st.sampled_from(
            ["A sentence of some words. ", "# Heading\n\n", "- item one\n", "\n\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "Ann: hello there\n", "```\ncode\n\nmore\n```\n",
             "x" * 300, "1.5 e.g. Dr. No! ", "東京は晴れ。", "\t", "word " * 70]
        ),
        max_size=30,
    ).map("".join),
)  # fmt: skip


@given(TEXTS, st.sampled_from(["", "A title", "A very long title " * 9]))
def test_any_text_is_covered_exactly_and_fits_the_window(text, title):
    document = Document("d", text, title=title)
    check(document, CHUNKER.chunk(document))


def test_white_space_alone_gives_nothing():
    assert CHUNKER.chunk(Document("d", " \n\t ")) == []


def test_windows_of_a_section_are_of_about_equal_size():
    text = " ".join(f"Sentence number {i} is here." for i in range(14))  # 6 pieces each, 84 in all
    sizes = words([c.text for c in CHUNKER.chunk(Document("d", text))])
    assert len(sizes) == 3
    assert max(sizes) - min(sizes) <= 6


def test_headings_open_chunks_and_stand_above_them():
    text = "# Leave\n\nTwenty-five days.\n\n## Carry over\n\nFive days.\n\n## Sick leave\n\nCall before nine."
    chunks = CHUNKER.chunk(Document("d", text, title="Handbook"))
    assert [c.header for c in chunks] == ["Handbook", "Handbook > Leave", "Handbook > Leave"]
    assert chunks[1].text == "## Carry over\n\nFive days."


def test_later_windows_of_a_section_carry_its_heading():
    text = "# Leave\n\n" + " ".join(f"Rule number {i} is here." for i in range(30))
    chunks = CHUNKER.chunk(Document("d", text, title="Handbook"))
    check(Document("d", text), chunks)
    assert len(chunks) > 2
    assert chunks[0].header == "Handbook"
    assert {c.header for c in chunks[1:]} == {"Handbook > Leave"}


def test_a_long_table_repeats_its_header_row_in_the_chunk_header():
    rows = "\n".join(f"| part {i} | {i * 10} EUR |" for i in range(30))
    text = f"| Name | Price |\n|---|---|\n{rows}"
    document = Document("d", text, blocks=(Block(BlockKind.TABLE, 0, len(text)),))
    chunks = CHUNKER.chunk(document)
    check(document, chunks)
    assert len(chunks) > 3
    assert chunks[0].header == ""
    assert {c.header for c in chunks[1:]} == {"Name, Price"}
    assert {c.kind for c in chunks} == {BlockKind.TABLE}


def test_text_between_given_blocks_is_not_lost():
    document = Document("d", "before\n\nHEAD\n\nafter the block", blocks=(Block(BlockKind.HEADING, 8, 12, 1),))
    check(document, CHUNKER.chunk(document))


def test_pages_of_a_chunk_are_those_it_touches():
    text = "One two three. " * 20
    document = Document("d", text, pages=(Span(0, 100), Span(100, 200), Span(200, len(text))))
    chunks = CHUNKER.chunk(document)
    assert chunks[0].pages[0] == 1
    assert chunks[-1].pages[1] == 3


def test_a_dialogue_is_cut_between_turns():
    text = "\n".join(f"{'Ann' if i % 2 else 'Bob'}: I say number {i} and mean it." for i in range(20))
    for chunk in CHUNKER.chunk(Document("d", text)):
        assert re.match(r"(Ann|Bob): ", chunk.text)


def test_a_target_over_the_window_is_refused():
    with pytest.raises(InputError, match="target of 100 pieces"):
        StructureChunker(words, target=100, window=64)
