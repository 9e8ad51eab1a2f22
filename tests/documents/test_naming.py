"""File names as titles of documents that state none, from the name to the packet."""

from __future__ import annotations

from pathlib import Path

import pytest

import contextkit as ck
from contextkit.documents import parse
from contextkit.documents.naming import title_from_name
from contextkit.testing import TinyEmbedder
from contextkit.types import Blob, Document

CITIES = ("Oslo", "Lisbon", "Madrid", "Berlin")
SAME = (
    "The boiler of this house was replaced and the caretaker has key number {n} in the blue box. Please call before you come.\n"
)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("house_Oslo.txt", "house Oslo"),
        ("2026-02-12-support-review.txt", "2026-02-12 support review"),
        ("minutes.2024-05-03.txt", "minutes 2024-05-03"),
        ("Müller.Vertrag.2023.docx", "Müller Vertrag 2023"),
        ("Quarterly_Report__Q3 2024 (1).pdf", "Quarterly Report Q3 2024 (1)"),
        ("reports/2024/house-rules.md", "house rules"),
        ("C:\\Users\\Ann\\house rules.md", "house rules"),
        ("NB-1087.txt", "NB-1087"),
        ("K-40.txt", "K-40"),
        ("pump_v1.2.txt", "pump v1.2"),
        ("St. Mary", "St. Mary"),
        ("契約書.txt", "契約書"),
        ("report-3f2a9cdeb1.txt", "report-3f2a9cdeb1"),
        ("", ""),
        ("..", ""),
        ("20240501.txt", ""),
        ("550e8400-e29b-41d4-a716-446655440000.pdf", ""),
        ("3f2a9cdeb1.txt", ""),
        ("dGhpcyBpcyBhIHRlc3Q0NTY3.txt", ""),
        ("README.md", ""),
        ("index.html", ""),
        ("Untitled document (3).pdf", ""),
        ("IMG_1234.txt", ""),
        ("scan0001.pdf", ""),
        ("a.txt", ""),
    ],
)
def test_the_words_of_a_name(name: str, title: str) -> None:
    assert title_from_name(Blob("i", name=name)) == title


def test_long_names_are_cut_at_a_word() -> None:
    title = title_from_name(Blob("i", name="word " * 60 + ".txt"))
    assert title == "word " * 23 + "word"
    assert len(title_from_name(Blob("i", name="x" * 250 + ".txt"))) == 120


def test_a_stated_title_goes_first_and_code_keeps_its_ending(tmp_path: Path) -> None:
    def title(name: str, text: str) -> str:
        return parse(Blob("i", name=name, data=text.encode())).title

    assert title("house_Oslo.txt", "one line alone") == "house Oslo"
    assert title("house_Oslo.txt", "House rules\n\nBe kind.") == "House rules"
    assert title("house_Oslo.md", "# Rules\n\nBe kind.") == "Rules"
    assert title("house_Oslo.html", "<p>Be kind.</p>") == "house Oslo"
    assert title("house_rules.py", "def be():\n    return 'kind'\n") == "house_rules.py"
    assert title("house_rules.json", '{"be": "kind"}') == "house_rules.json"
    assert title("house_rules.csv", "a,b\n1,2\n") == "house_rules.csv"
    assert title("house_Oslo.txt", "") == ""
    passing = tmp_path / "passing_file.txt"
    passing.write_text("one line alone")
    assert parse(Blob("i", path=passing)).title == "", "a name that no source gives says nothing"


def test_files_of_the_same_text_are_told_apart_by_their_names(tmp_path: Path) -> None:
    root = tmp_path / "houses"
    root.mkdir()
    for n, city in enumerate(CITIES, 1):
        (root / f"house_{city}.txt").write_text(SAME.format(n=7 * n))
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.sync(root)
        for n, city in enumerate(CITIES, 1):
            packet = kit.context(f"What is the key number of the house in {city}?", budget=50)
            assert f"key number {7 * n} " in packet.text
            assert packet.receipt.citations[0].title == f"house {city}"
            assert packet.text.startswith(f"[1] house {city}\n")


def test_documents_that_are_added_keep_what_they_state(tmp_path: Path) -> None:
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([Document("house_Oslo.txt", "The key is blue.", uri="file:///srv/house_Oslo.txt")])
        (hit,) = kit.search("key")
        assert (hit.title, hit.header) == ("", "")
