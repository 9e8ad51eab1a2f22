import filings
import pytest

import contextkit as ck
from contextkit.context.packet import Item, Scores
from contextkit.types import Span

SCORES = Scores(total=1, passage=1, sentence=1, sentence_lexical=1)
REPORT = ck.Document(id="REPORT.pdf", text="aaaa\nbbbb\ncccc", pages=(Span(0, 5), Span(5, 10), Span(10, 14)))


def item(start, end, pages):
    return Item(
        citation=1, document_id="files:pdfs-1f3a9c/REPORT.pdf", start=start, end=end, pages=pages,
        text=REPORT.text[start:end], tokens=1, scores=SCORES, why="",
    )  # fmt: skip


def test_the_evidences_pages_are_counted_from_one():
    question = {"evidence": [{"doc": "REPORT", "page": 0}, {"doc": "REPORT", "page": 4}]}
    assert filings.gold_pages(question) == {("REPORT", 1), ("REPORT", 5)}


@pytest.mark.parametrize(
    ("document_id", "name"),
    [
        ("files:pdfs-1f3a9c/3M_2022_10K.pdf", "3M_2022_10K"),
        ("A.B_dated-2022-05-20.pdf", "A.B_dated-2022-05-20"),
        ("plain", "plain"),
    ],
)
def test_a_filing_is_named_by_its_file(document_id, name):
    assert filings.filing(document_id) == name


def test_stated_pages_are_whole_ranges():
    assert filings.stated_pages([item(0, 4, (1, 3)), item(0, 4, None)]) == {("REPORT", 1), ("REPORT", 2), ("REPORT", 3)}


def test_exact_pages_are_where_the_characters_lie_whatever_is_stated():
    assert filings.exact_pages([item(5, 9, (1, 3))], {"REPORT": REPORT}) == {("REPORT", 2)}
    assert filings.exact_pages([item(7, 12, None)], {"REPORT": REPORT}) == {("REPORT", 2), ("REPORT", 3)}


def test_chance_is_that_of_a_blind_draw():
    assert filings.chance(10, 1, 3) == pytest.approx(0.3)
    assert filings.chance(10, 2, 9) == 1
    assert filings.chance(10, 1, 0) == 0


def test_the_summary_is_in_percent():
    row = {"id": "a", "stated": True, "exact": False, "evidence": 50.0, "chance": 10.0, "cited": 4, "rank": 1, "tokens": 90}
    found = filings.summary([row, {**row, "stated": False, "rank": None, "tokens": 101}], 100)
    rows = found.pop("rows")
    assert len(rows) == 2
    assert found == {
        "questions": 2, "page": 50.0, "page_exact": 0.0, "chance": 10.0, "evidence": 50.0,
        "pages_cited": 4, "candidate": 50.0, "over": 1,
    }  # fmt: skip
