"""A large text is decoded and cleaned part by part, and comes out as it would in one go."""

from __future__ import annotations

import codecs

import pytest

from contextkit.documents import charset, parse
from contextkit.documents.building import clean
from contextkit.documents.charset import decode, decode_parts
from contextkit.types import Blob

TEXTS = {
    "plain": "one line\nand two, in ASCII\n" * 40,
    "wide": "naïve – “quoted” 😀 and 漢字\r\n" * 40,
    "breaks at the ends of parts": "abcdefg\r\n" * 60 + "\r",
    "controls": "a\x07b\x0bc\x85d\u2028e\r\rf\n" * 30,
    "nothing": "",
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 8, 9, 64, 1 << 14])
def test_parts_are_the_whole_cleaned_or_not(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    monkeypatch.setattr(charset, "_PART", size)
    data = TEXTS[name].encode()
    parts = list(decode_parts(data))
    assert "".join(parts) == decode(data)
    assert "".join(clean(part) for part in parts) == clean(decode(data))
    assert all(len(part) <= size + 1 for part in parts)


@pytest.mark.parametrize(
    ("data", "stated"),
    [
        (codecs.BOM_UTF8 + b"marked text", ""),
        ("sixteen bits".encode("utf-16"), ""),
        ("without a mark".encode("utf-16-le"), ""),
        ("Größe und Maß".encode("latin-1"), "latin-1"),
        ("cut in a character é".encode()[:-1] * 300, ""),
    ],
)
def test_what_is_not_utf_8_comes_as_before(monkeypatch: pytest.MonkeyPatch, data: bytes, stated: str) -> None:
    monkeypatch.setattr(charset, "_PART", 4)
    assert "".join(decode_parts(data, stated)) == decode(data, stated)


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "controls"])  # which are taken for no text
def test_a_file_is_parsed_to_the_same_text(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(charset, "_PART", 16)
    assert parse(Blob("a", name="a.txt", data=TEXTS[name].encode())).text == clean(TEXTS[name])
