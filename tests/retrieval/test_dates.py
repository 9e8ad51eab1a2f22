"""Which dates a text names, and which documents are of them."""

from __future__ import annotations

import pytest

from contextkit.retrieval.dates import Date, dates, is_of, of_document


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("When did Ann go camping in June?", {(None, 6, None)}),
        ("on 1 February, 2023", {(2023, 2, 1)}),
        ("the 3rd of May and the 5th of July", {(None, 5, 3), (None, 7, 5)}),
        ("May 3, 2023", {(2023, 5, 3)}),
        ("in Sept. 2023 or Dec 2024", {(2023, 9, None), (2024, 12, None)}),
        ("1:56 pm on 8 May, 2023", {(2023, 5, 8)}),
        ("2023-05-08T10:00:00Z", {(2023, 5, 8)}),
        ("the minutes of 2023-05", {(2023, 5, None)}),
        ("in 2023", {(2023, None, None)}),
        ("chats/family-2024-05.txt", {(2024, 5, None)}),
        ("call_20240508.vtt and call_2024_05_09.vtt", {(2024, 5, 8), (2024, 5, 9)}),
        ("from June to the July report", {(None, 6, None), (None, 7, None)}),
        ("What did June say? May I go, or will they march?", set()),
        ("COVID-2019, part 2023-40, 12023 and v2.2023-01", set()),
        ("on 45 May", set()),
        ("", set()),
    ],
)
def test_what_is_named(text, named):
    assert dates(text) == {Date(*one) for one in named}


def test_a_document_is_of_the_dates_in_its_metadata():
    metadata = {"time": "1:56 pm on 8 May, 2023", "modified": "2025-01-01", "pages": 3, "about": "x" * 50 + " on 9 June 2020"}
    known = of_document(metadata)
    assert known == {Date(2023, 5, 8)}
    assert is_of(dates("in May"), known)
    assert is_of(dates("on 8 May 2023 or in 1999"), known)
    assert not is_of(dates("on 9 May"), known)
    assert not is_of(dates("in 2025"), known)
    assert not is_of(dates("what is due?"), known)
    assert not is_of(dates("in May"), of_document({}))


def test_a_document_that_says_only_its_year_is_not_of_a_month():
    assert is_of(dates("in 2023"), of_document({"date": "2023"}))
    assert not is_of(dates("in May 2023"), of_document({"date": "2023"}))
