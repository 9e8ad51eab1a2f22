"""Tests of the example library: it is whole, consistent, invented, and its binary documents follow from their sources."""

from __future__ import annotations

import csv
import html
import json
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pypdfium2
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
LIBRARY = EXAMPLES / "library"
SOURCES = EXAMPLES / "sources"
FILES = sorted(path for path in LIBRARY.rglob("*") if path.is_file())
ARCHIVES = {".docx", ".pptx", ".xlsx", ".odt", ".epub"}
TEXTS = {
    ".md",
    ".rst",
    ".html",
    ".txt",
    ".eml",
    ".vtt",
    ".srt",
    ".csv",
    ".json",
    ".jsonl",
    ".ipynb",
    ".py",
    ".ts",
    ".toml",
    ".yaml",
}
QUESTIONS = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
ASKED = [*QUESTIONS["questions"], *QUESTIONS["more"]]


def name(path: Path) -> str:
    return path.relative_to(LIBRARY).as_posix()


def squeezed(text: str) -> str:
    return " ".join(text.split())


@cache
def extracted(path: Path) -> str:
    """The text of a binary document, found without contextkit."""
    if path.suffix == ".pdf":
        document = pypdfium2.PdfDocument(path)
        try:
            return squeezed(" ".join(page.get_textpage().get_text_bounded() for page in document))
        finally:
            document.close()
    with zipfile.ZipFile(path) as archive:
        members = [archive.read(n).decode() for n in archive.namelist() if n.endswith((".xml", ".xhtml", ".opf"))]
    return squeezed(html.unescape(" ".join(re.sub(r"<[^>]*>", " ", member) for member in members)))


@cache
def written(document: str) -> str:
    """What a person wrote of a document: the file itself, or the source of a binary one."""
    path = LIBRARY / document
    if path.suffix in TEXTS:
        return squeezed(path.read_text(encoding="utf-8"))
    if path.suffix == ".xlsx":
        return squeezed(" ".join(s.read_text(encoding="utf-8") for s in sorted((SOURCES / "xlsx").glob(f"{path.stem}.*.csv"))))
    sources = [p.read_text(encoding="utf-8") for p in (SOURCES / path.suffix[1:]).glob("*.md")]
    (source,) = (text for text in sources if f"\nout: {document}\n" in text)
    return squeezed(source)


def tickets() -> dict[str, str]:
    support = LIBRARY / "support"
    closed = [json.loads(line) for line in (support / "tickets-2025.jsonl").read_text(encoding="utf-8").splitlines()]
    with (support / "tickets-2026-q1.csv").open(encoding="utf-8", newline="") as file:
        rows = [*closed, *csv.DictReader(file)]
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row["opened"] for row in rows}


def test_there_are_enough_documents_and_formats() -> None:
    assert len(FILES) >= 50
    assert len({path.suffix for path in FILES}) >= 18
    assert sum(path.stat().st_size for path in FILES) < 3_000_000
    assert sum(len(written(name(path)).split()) for path in FILES) >= 30_000
    readme = squeezed((EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert f"{len(FILES)} documents" in readme
    assert f"{len({path.suffix for path in FILES})} formats" in readme


@pytest.mark.parametrize("path", FILES, ids=name)
def test_each_file_is_what_its_ending_says(path: Path) -> None:
    head = path.read_bytes()[:4]
    if path.suffix == ".pdf":
        assert head == b"%PDF"
    elif path.suffix in ARCHIVES:
        assert head == b"PK\x03\x04"
    else:
        assert path.suffix in TEXTS
        path.read_text(encoding="utf-8")
    assert len(written(name(path)).split()) >= 50


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_is_a_placeholder_or_a_real_person(path: Path) -> None:
    text = written(name(path))
    assert not re.search(r"\b(?i:lorem|ipsum|xxx+|foo|foobar|acme|john doe|jane doe|fixme)\b|\b(?:TODO|TBD|XX)\b", text)
    for address in re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", text):
        assert address.rstrip(".").endswith(".example"), address
    for number in re.findall(r"\+\d[\d ]{7,}", text):
        assert number.startswith("+49 40 66969 "), number
    for url in re.findall(r"https?://([\w.-]+)", text):
        assert url.endswith(".example"), url


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked["id"])
def test_the_evidence_of_each_question_is_where_it_should_be(asked: dict) -> None:
    assert asked["question"].endswith("?")
    assert bool(asked["expect"]) == bool(asked["documents"]) == (asked["kind"] != "unanswerable")
    texts = [written(document) for document in asked["documents"]]
    for wanted in asked["expect"]:
        assert any(wanted in text for text in texts), wanted
    for document, text in zip(asked["documents"], texts, strict=True):
        assert any(wanted in text for wanted in asked["expect"]), f"{document} adds nothing"


def test_questions_are_of_several_kinds() -> None:
    assert len(QUESTIONS["questions"]) == 5
    assert len({asked["kind"] for asked in QUESTIONS["questions"]}) == 5
    assert [asked["kind"] for asked in QUESTIONS["more"]].count("unanswerable") >= 2
    assert len({asked["id"] for asked in ASKED}) == len(ASKED) >= 15


def test_the_library_follows_from_its_sources(tmp_path: Path) -> None:
    script = [sys.executable, str(EXAMPLES / "make_library.py"), "--out", str(tmp_path)]
    subprocess.run(script, check=True, capture_output=True, timeout=120)
    binaries = {name(path) for path in FILES if path.suffix not in TEXTS}
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == binaries
    for document in binaries:
        assert extracted(tmp_path / document) == extracted(LIBRARY / document), f"{document}: run examples/make_library.py"


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix not in TEXTS], ids=name)
def test_a_binary_document_holds_the_words_of_its_source(path: Path) -> None:
    """Numbers may be spelled otherwise in a sheet, lines broken in a PDF; words must not get lost."""
    words = set(re.findall(r"[^\W\d_]{4,}", written(name(path)).split("--- ", 2)[-1]))
    found = extracted(path)
    missing = {word for word in words if word not in found}
    assert len(missing) <= len(words) // 100, sorted(missing)[:20]


def test_every_ticket_that_is_spoken_of_exists() -> None:
    known = tickets()
    spoken = {ticket for path in FILES for ticket in re.findall(r"\bNB-\d{4}\b", written(name(path)))}
    assert spoken == set(known)
    assert list(known.values()) == sorted(known.values())


def test_every_article_that_was_shipped_or_stored_has_a_price() -> None:
    with (SOURCES / "xlsx" / "price-list-2026.Hardware.csv").open(encoding="utf-8", newline="") as file:
        priced = {row["Article"] for row in csv.DictReader(file)}
    with (LIBRARY / "finance" / "shipments-2025-q4.csv").open(encoding="utf-8", newline="") as file:
        shipped = list(csv.DictReader(file))
    with (SOURCES / "xlsx" / "inventory-2026-02.Finished goods.csv").open(encoding="utf-8", newline="") as file:
        stored = {row["Article"] for row in csv.DictReader(file)}
    assert {row["article"] for row in shipped} <= priced
    assert stored - {"WEIR-G1"} <= priced
    assert all(row["sent"] <= row["delivered"] for row in shipped)


def test_links_of_the_handbook_lead_somewhere() -> None:
    for path in (LIBRARY / "handbook").glob("*.md"):
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), f"{path.name}: {link}"


def test_sums_agree_across_documents() -> None:
    slides = written("slides/quarterly-review-2025-q4.pptx")
    quarters = [
        [float(n) for n in row] for row in re.findall(r"\| Q\d \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", slides)
    ]
    assert [round(sum(row[:3]), 2) for row in quarters] == [row[3] for row in quarters]
    assert f"€{sum(row[3] for row in quarters):.2f} m" in slides
    assert f"{100 * (1 - 192 / (31 * 24 * 60)):.2f}" == "99.57"
    for document in (
        "web/postmortem-2025-10-14.html",
        "slides/quarterly-review-2025-q4.pptx",
        "mail/2026-02-19-hafenkuehl-claim.eml",
    ):
        assert "99.57" in written(document)
    lease = written("contracts/lease-speicherstieg.docx")
    assert round(640 * 14.80 + 527 + 380, 2) == 10_379
    assert "10,379.00" in lease
    assert f"{3 * 640 * 14.80:,.2f}" in lease
