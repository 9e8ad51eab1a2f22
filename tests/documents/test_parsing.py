from __future__ import annotations

import io
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint

import pytest

from contextkit.documents import PARSER_VERSION, parse, parsers
from contextkit.documents import parsing as registry
from contextkit.errors import DocumentTooLarge, EncryptedDocument, ParseError, UnsupportedFormat
from contextkit.protocols import Parser
from contextkit.types import Blob, BlockKind, Document

Check = Callable[[Document], Document]
_NAMES = "docx pptx xlsx epub eml odt ods odp pdf txt md rst html csv tsv json jsonl xml nxml vtt srt ipynb py go rtf"
FORMATS = _NAMES.split()


def of_kind(document: Document, kind: BlockKind) -> list[str]:
    return [document.text[b.start : b.end] for b in document.blocks if b.kind is kind]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_the_promises(name: str, samples: dict[str, Blob], check: Check) -> None:
    document = check(parse(samples[name]))
    assert document.id == f"id-{name}"
    assert document.uri == f"file:///sample.{name}"
    assert document.text.strip()
    assert document.blocks or name == "txt"
    assert parse(samples[name]) == document


@pytest.mark.parametrize("name", [n for n in FORMATS if n not in ("py", "go", "csv", "tsv", "txt", "md", "rst")])
def test_the_content_decides_over_a_wrong_name(name: str, samples: dict[str, Blob]) -> None:
    right = parse(samples[name])
    wrong = parse(Blob(samples[name].id, name="sample.txt", uri=samples[name].uri, data=samples[name].data))
    assert wrong.media_type == right.media_type
    assert wrong.text == right.text


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_bytes_raise_nothing_but_parse_errors(name: str, samples: dict[str, Blob], check: Check) -> None:
    data = samples[name].data or b""
    messages: list[str] = []
    for cut in (1, len(data) // 3, len(data) // 2, len(data) - 3):
        for damaged in (data[:cut], data[:cut] + b"\xff\0<" + data[cut + 3 :]):
            try:
                check(parse(Blob("d", name=f"sample.{name}", data=damaged)))
            except ParseError as error:
                messages.append(str(error))
    assert not [m for m in messages if "\n" in m or "sample." not in m]


def test_word(samples: dict[str, Blob]) -> None:
    document = parse(samples["docx"])
    assert document.title == "Travel rules"
    assert document.metadata["author"] == "Ann Lee"
    headings = [(document.text[b.start : b.end], b.level) for b in document.blocks if b.kind is BlockKind.HEADING]
    assert headings == [("Scope", 1), ("Trains", 2)]
    assert of_kind(document, BlockKind.LIST_ITEM) == [
        "- First class over four hours",
        "- Second class else",
        "1. Book early",
        "2. Book online",
    ]
    assert of_kind(document, BlockKind.TABLE) == ["| City | Limit | Note |\n|---|---|---|\n| Oslo | 120 | with \\| breakfast |"]
    assert "not for eyes" not in document.text


def test_powerpoint(samples: dict[str, Blob]) -> None:
    document = parse(samples["pptx"])
    assert document.title == "Results"
    assert len(document.pages) == 2
    first, second = (document.text[p.start : p.end] for p in document.pages)
    assert first == "Results\n\n- Sales up\n- Costs down\n\nNotes: Say thanks."
    assert "| Year | Sum |\n|---|---|\n| 2024 | 17 |" in second
    assert "|  | Ducks |\n|---|---|\n| North | 3 |\n| South | 4.5 |" in second


def test_excel(samples: dict[str, Blob]) -> None:
    document = parse(samples["xlsx"])
    orders, notes = (document.text[p.start : p.end] for p in document.pages)
    assert orders.startswith("Orders\n\n| Day | Item | Share |\n|---|---|---|\n| 2024-03-05 | Bolts | 25% |")
    assert "| Key | 1.5 |\n|---|---|\n| Value | TRUE |" in orders
    assert notes == "Notes\n\nOnly a remark."


def test_open_document(samples: dict[str, Blob]) -> None:
    table = "| Item | Price |\n|---|---|\n| Nut | 3 |"
    assert parse(samples["odt"]).text == f"Report\n\nAll is well.\n\n- First\n\n{table}"
    assert parse(samples["ods"]).text == f"Prices\n\n{table}"
    slides = parse(samples["odp"])
    assert slides.text == f"Report\n\nAll is well.\n\n{table}"
    assert (slides.title, len(slides.pages)) == ("Report", 1)


def test_pdf(samples: dict[str, Blob]) -> None:
    document = parse(samples["pdf"])
    assert document.title == "Yearly"
    assert document.metadata["created"] == "2024-01-31T12:00:00+01:00"
    first, second = (document.text[p.start : p.end] for p in document.pages)
    assert of_kind(document, BlockKind.HEADING) == ["Annual report"]
    assert "will be better in the next one." in first
    assert of_kind(document, BlockKind.TABLE) == [
        "| Item | 2022 | 2021 |\n|---|---|---|\n| Net sales | 34,229 | 35,355 |\n| Net income | 5,777 | 5,921 |"
    ]
    assert second == "The second page."


def test_pdf_reads_columns_one_after_the_other(
    make_pdf: Callable[..., bytes], pdf_lines: Callable[..., str], check: Check
) -> None:
    left = [f"left column line number {i} goes on" for i in range(8)]
    right = [f"right column line number {i} goes on" for i in range(8)]
    across = [row for i in range(8) for row in ((60, 700 - 12 * i, left[i]), (330, 700 - 12 * i, right[i]))]
    down = [(60, 700 - 12 * i, left[i]) for i in range(8)] + [(330, 700 - 12 * i, right[i]) for i in range(8)]
    for order in (across, down):
        text = check(parse(Blob("c", data=make_pdf([pdf_lines(order)])))).text
        assert text.index("left column line number 7") < text.index("right column line number 0")


def test_pdf_leaves_out_running_headers_and_page_numbers(make_pdf: Callable[..., bytes], pdf_lines: Callable[..., str]) -> None:
    words = ["apples", "bears", "cats", "dogs", "eels", "foxes"]
    pages = [
        pdf_lines(
            [
                (60, 760, "ACME confidential"),
                (60, 600, f"This page is about {w}."),
                (60, 580, f"All of {w}."),
                (60, 560, "More."),
                (300, 30, f"{i}"),
            ]
        )
        for i, w in enumerate(words, 11)
    ]
    document = parse(Blob("r", data=make_pdf(pages)))
    assert "ACME" not in document.text
    assert "13" not in document.text
    assert all(f"about {word}." in document.text[p.start : p.end] for word, p in zip(words, document.pages, strict=True))


def test_pdf_without_text_and_broken_pdf_say_so(make_pdf: Callable[..., bytes]) -> None:
    with pytest.raises(ParseError, match="no text layer on any of its 1 pages; run it through OCR"):
        parse(Blob("e", name="scan.pdf", data=make_pdf(["0 0 m"])))
    with pytest.raises(ParseError, match=r"'x\.pdf' cannot be read as PDF: the file is damaged or cut off"):
        parse(Blob("x", name="x.pdf", data=b"%PDF-1.7\nnothing"))


def test_encrypted_pdf(make_pdf: Callable[..., bytes], pdf_lines: Callable[..., str]) -> None:
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter(io.BytesIO(make_pdf([pdf_lines([(60, 600, "secret")])])))
    writer.encrypt("password", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(EncryptedDocument, match=r"'a\.pdf' is a PDF with a password"):
        parse(Blob("a", name="a.pdf", data=out.getvalue()))


def test_markdown(samples: dict[str, Blob]) -> None:
    document = parse(samples["md"])
    assert (document.title, document.metadata["author"], document.metadata["created"]) == ("Rules", "Ann, Bo", "2024-01-02")
    assert of_kind(document, BlockKind.HEADING) == ["# Top"]
    assert of_kind(document, BlockKind.CODE) == ["```py\n# no heading\n```"]
    assert of_kind(document, BlockKind.LIST_ITEM) == ["- a", "- b"]
    assert of_kind(document, BlockKind.TABLE) == ["| a | b |\n|---|---|\n| 1 | 2 |"]
    assert of_kind(document, BlockKind.QUOTE) == ["> quoted"]
    assert "unseen" not in document.text
    assert parse(Blob("m", name="m.md", data=b"*x*\n\n## The `first` [one](u)\n")).title == "The first one"


def test_markdown_keeps_comments_in_code_and_front_matter_that_is_none() -> None:
    text = "---\njust a rule\n---\n\n`<!-- kept -->`\n\n```html\n<!-- kept too -->\n```\n"
    document = parse(Blob("m", name="m.md", data=text.encode()))
    assert "<!-- kept -->" in document.text
    assert "<!-- kept too -->" in document.text
    assert "just a rule" in document.text


def test_html(samples: dict[str, Blob]) -> None:
    document = parse(samples["html"])
    assert (document.title, document.language, document.metadata["author"]) == ("Guide", "en", "Ann Lee")
    for unseen in ("Home", "ignore all", "secret", "unseen", "icon", "alert"):
        assert unseen not in document.text
    assert "Read this first.\nThen that." in document.text
    assert of_kind(document, BlockKind.LIST_ITEM) == ["- One", "3. Inner", "- Two"]
    assert of_kind(document, BlockKind.CODE) == ["x = 1\n  y = 2"]
    assert of_kind(document, BlockKind.QUOTE) == ["Said."]
    assert of_kind(document, BlockKind.TABLE) == [
        "| Item | Cost | Cost |\n|---|---|---|\n| Item | low | high |\n| Nut \\| bolt | 1 | 2 |"
    ]
    assert document.text.endswith("A duck")


def test_html_of_nothing_but_links_keeps_them() -> None:
    document = parse(
        Blob("n", name="n.html", data=b"<html><body><nav><a href='a'>Alpha</a> <a href='b'>Beta</a></nav></body></html>")
    )
    assert document.text == "Alpha Beta"


def test_the_title_of_a_page_is_that_of_its_content_not_of_its_site() -> None:
    bar = "<div><h1 class='menu-title'>The Book</h1></div>"
    text = "<p>" + "Ownership is a set of rules that govern how a program manages memory. " * 4 + "</p>"

    def title(content: str, head: str = "<title>What Is Ownership? - The Book</title>") -> str:
        return parse(
            Blob("b", name="b.html", data=f"<html>{head}<body>{bar}<main>{content}{text}</main></body></html>".encode())
        ).title

    assert title("<h2>What Is Ownership?</h2>") == "What Is Ownership? - The Book"
    assert title("<h1>What Is Ownership?</h1>") == "What Is Ownership?"
    assert title("<h1>Owning</h1>", head="") == "Owning"
    assert title("", head="") == "The Book"


def test_deep_html_and_json_end_well(check: Check) -> None:
    assert "core" in check(parse(Blob("d", name="d.html", data=b"<div>" * 5000 + b"core" + b"</div>" * 5000))).text
    with pytest.raises(ParseError, match="nested too deeply"):
        parse(Blob("j", name="j.json", data=b"[" * 100_000 + b"]" * 100_000))


def test_mail(samples: dict[str, Blob]) -> None:
    document = parse(samples["eml"])
    assert document.title == "Offer for bolts"
    assert document.metadata["author"] == "Ann Lee <ann@example.com>"
    assert document.metadata["created"] == "2024-03-05T10:00:00+01:00"
    assert document.metadata["attachments"] == ["prices.csv", "logo.png"]
    assert of_kind(document, BlockKind.QUOTE) == ["> please send one"]
    assert of_kind(document, BlockKind.TABLE) == ["| Item | Price |\n|---|---|\n| Bolt | 2 |"]
    assert "HTML twin" not in document.text


def test_mails_nested_without_end_stop() -> None:
    data = b"Subject: core\nFrom: a@b.c\nTo: a@b.c\n\nhello"
    for depth in range(6):
        data = (
            (
                f"Subject: m{depth}\nFrom: a@b.c\nTo: a@b.c\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n"
                f"Content-Type: application/octet-stream; name=m{depth}.eml\nContent-Disposition: attachment; filename=m{depth}.eml\n\n"
            ).encode()
            + data
            + f"\n--b{depth}--\n".encode()
        )
    document = parse(Blob("n", name="n.eml", data=data))
    assert document.title == "m5"
    assert "Attachment: m5.eml" in document.text
    assert "hello" not in document.text


def test_captions(samples: dict[str, Blob]) -> None:
    assert of_kind(parse(samples["vtt"]), BlockKind.TURN) == ["Ann: Good day to all.", "Bo: Hello."]
    document = parse(samples["srt"])
    assert of_kind(document, BlockKind.TURN) == ["Bo: I know.", "Ann: So do I."]
    assert document.metadata["duration_seconds"] == 4.5


def test_data_formats(samples: dict[str, Blob]) -> None:
    assert parse(samples["csv"]).text == "| Name | Age |\n|---|---|\n| Ann | 41 |\n| Bo; jr | 12 |"
    document = parse(samples["json"])
    assert (document.title, document.metadata["created"]) == ("Order 7", "2024-05-01")
    assert "| item | n |\n|---|---|\n| nut | 2 |\n| bolt | 3 |" in document.text
    assert of_kind(parse(samples["jsonl"]), BlockKind.TURN) == ["user: Hi there", "assistant: Hello"]
    assert "no: 1\nname: Nut of ACME" in parse(samples["xml"]).text


def test_article(samples: dict[str, Blob]) -> None:
    document = parse(samples["nxml"])
    assert (document.title, document.metadata["author"], document.metadata["created"]) == ("On ducks", "Ann Lee", "2021-03-05")
    assert of_kind(document, BlockKind.HEADING) == ["On ducks", "Abstract", "Methods", "References"]
    assert "We counted [1]." in document.text
    assert of_kind(document, BlockKind.TABLE) == ["| Lake | Ducks | Ducks |\n|---|---|---|\n| A | 1 | 2 |"]


def test_notebook_code_rst_rtf_epub(samples: dict[str, Blob]) -> None:
    book = parse(samples["ipynb"])
    assert book.title == "Analysis"
    assert of_kind(book, BlockKind.CODE) == ["print(1)", "1"]
    assert "| a |\n|---|\n| 7 |" in book.text
    code = parse(samples["py"])
    assert code.text == (samples["py"].data or b"").decode().rstrip()
    assert of_kind(code, BlockKind.CODE)[1:] == ["@wraps\ndef quack():\n    return os", "class Duck:\n    pass"]
    assert code.metadata["description"] == "Tools for ducks."
    assert of_kind(parse(samples["go"]), BlockKind.CODE)[-1] == "func Swim() {\n}"
    guide = parse(samples["rst"])
    assert (guide.title, guide.metadata["author"]) == ("Guide", "Ann Lee")
    assert of_kind(guide, BlockKind.HEADING) == ["Guide\n=====", "Part\n----"]
    assert of_kind(guide, BlockKind.CODE) == ["code here"]
    assert "unseen" not in guide.text
    letter = parse(samples["rtf"])
    assert (letter.title, letter.metadata["author"], letter.text) == ("Letter", "Ann", "Dear Bo,\n\ncafé €5")
    novel = parse(samples["epub"])
    assert (novel.title, novel.language, novel.metadata["created"]) == ("The Book", "en", "2020-02-01")
    assert novel.text == "Chapter 1\n\nText of chapter 1.\n\nChapter 2\n\nText of chapter 2."


def test_pages_of_plain_text_by_form_feeds(check: Check) -> None:
    document = check(parse(Blob("f", name="f.txt", data=b"one\n\ftwo\n\fthree")))
    assert [document.text[p.start : p.end].strip() for p in document.pages] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("House rules\n\nBe kind.", "House rules"),
        ("Site visit, 4 March\nRui, Ann\n\nArrived at nine.", "Site visit, 4 March"),
        ("This is a sentence.\n\nAnd another.", ""),
        ("Dear Ann,\n\nthanks.", ""),
        ("Name: Ann\n\nMore", ""),
        ("- item\n\nMore", ""),
        ("one line alone", ""),
        ("a\nb\nc\nd\ne\n\nf", ""),
    ],
)
def test_the_title_of_a_plain_text_is_its_first_line_where_it_reads_like_one(text: str, title: str) -> None:
    assert parse(Blob("t", name="t.txt", data=text.encode())).title == title


def test_empty_bytes_give_an_empty_document(check: Check) -> None:
    assert check(parse(Blob("e", name="e.txt", data=b""))).text == ""


def test_what_is_refused(make_zip: Callable[[dict[str, bytes | str]], bytes]) -> None:
    with pytest.raises(UnsupportedFormat, match=r"neither text nor a known document format \(it begins with 00 01 02"):
        parse(Blob("g", name="g.txt", data=bytes(range(256)) * 40))
    with pytest.raises(UnsupportedFormat, match="is image/png, which no parser reads"):
        parse(Blob("p", name="p.png", data=b"\x89PNG\r\n\x1a\n" + bytes(50)))
    bomb = make_zip({"[Content_Types].xml": "<x/>", "word/document.xml": b"\0" * (60 << 20)})
    with pytest.raises(DocumentTooLarge, match="zip bomb"):
        parse(Blob("z", name="z.docx", data=bomb))
    lol = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><l>&b;</l>'
    with pytest.raises(ParseError, match="entity bomb"):
        parse(Blob("x", name="x.xml", data=lol))
    with pytest.raises(ParseError, match="entity bomb"):
        parse(Blob("o", name="o.docx", data=make_zip({"word/document.xml": lol})))
    with pytest.raises(ParseError, match=r"cannot be read: .*No such file"):
        parse(Blob("n", name="n.txt", path=__import__("pathlib").Path("/nonexistent/n.txt")))


def test_external_entities_are_not_read(tmp_path: object) -> None:
    secret = __import__("pathlib").Path(str(tmp_path)) / "secret.txt"
    secret.write_text("TOPSECRET")
    data = f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY s SYSTEM "{secret.as_uri()}">]><l><p>before &s; after</p></l>'.encode()
    text = parse(Blob("x", name="x.xml", data=data)).text
    assert "before" in text
    assert "TOPSECRET" not in text


def test_too_large_is_refused_unread(tmp_path: object) -> None:
    path = __import__("pathlib").Path(str(tmp_path)) / "big.txt"
    with path.open("wb") as file:
        file.truncate(200 << 20)
    with pytest.raises(DocumentTooLarge, match=r"'big.txt' has 209,715,200 bytes, the limit is 104,857,600"):
        parse(Blob("b", name="big.txt", path=path))
    with pytest.raises(DocumentTooLarge, match="limit is 3"):
        parse(Blob("s", data=b"four"), max_bytes=3)


def test_no_parser_uses_the_network(samples: dict[str, Blob], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    for blob in samples.values():
        parse(blob)


def test_parsers_keep_the_protocol(samples: dict[str, Blob]) -> None:
    for kind, parser in parsers().items():
        assert isinstance(parser, Parser)
        assert kind in parser.media_types
        assert parser.version == PARSER_VERSION
    assert parsers()["text/html"].parse(samples["html"]).title == "Guide"


class ShoutParser:
    media_types = frozenset({"text/plain"})
    version = "9"

    def parse(self, blob: Blob) -> Document:
        if blob.read() == b"boom":
            raise KeyError("inner")
        return Document(id=blob.id, text=blob.read().decode().upper())


def test_plug_ins_win_and_broken_ones_warn_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("shout", f"{__name__}:ShoutParser", "contextkit.parsers"),
        EntryPoint("lost", "no_such_module:X", "contextkit.parsers"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    registry._plugins.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="parser plug-in 'lost'"):
            assert parse(Blob("a", data=b"quiet")).text == "QUIET"
        with pytest.raises(ParseError, match="cannot be read as text/plain: 'inner'"):
            parse(Blob("a", data=b"boom"))
    finally:
        registry._plugins.cache_clear()


def test_unstructured_works_without_its_language_model() -> None:
    """In a process of its own, as it imports much and appends to sys.path."""
    code = (
        "import sys; from contextkit.documents.building import Source; from contextkit.documents.parsers import fallback\n"
        "from contextkit.types import Blob\n"
        "data = b'<html><body><h1>Duty</h1><p>The keeper feeds the ducks every day before noon.</p></body></html>'\n"
        "d = fallback.read(Source(Blob('u', name='u.html', data=data), data, 'text/html'))\n"
        "assert [b.kind.value for b in d.blocks] == ['heading', 'paragraph'], d\n"
        "assert d.text == 'Duty\\n\\nThe keeper feeds the ducks every day before noon.', d.text\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("stream", "kind"), [("WordDocument", "Word"), ("PowerPoint Document", "PowerPoint"), ("Workbook", "Excel")]
)
def test_old_office_files_name_what_is_missing(stream: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    fallback = import_module("contextkit.documents.parsers.fallback")  # `documents.parsers` by attribute is the function
    monkeypatch.setattr(fallback, "find_spec", lambda name: None)
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + stream.encode("utf-16-le")
    with pytest.raises(UnsupportedFormat, match=f"old {kind} .*save the file"):
        parse(Blob("o", name="old.bin", data=data))


def test_an_encrypted_office_file_says_so() -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(EncryptedDocument, match=r"'s\.docx' is an Office document with a password"):
        parse(Blob("s", name="s.docx", data=data))
