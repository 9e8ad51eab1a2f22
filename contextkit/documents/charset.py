"""Bytes to text: byte order marks, stated encodings, UTF-8, and a guess as the last resort. Nothing here fails.

Whether bytes are text at all is asked in `detection`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_MARKS = (  # the longer marks first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_STATED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:\-]{3,30})""")
_SAMPLE = 1 << 16
_PART = 1 << 14


def decode_parts(data: bytes, stated: str = "") -> Iterator[str]:
    """The text of `decode` in parts of some thousand characters, none of which ends inside a line break of two characters.

    One emoji makes a text four bytes a character; a part without one is narrower, so that who works part by part needs a fraction
    of the memory. Bytes that are not UTF-8 come as one part.
    """
    if data.startswith(tuple(mark for mark, _ in _MARKS)) or _wide(data) or not _is_utf8(data):
        yield decode(data, stated)
        return
    kept = ""
    for part in _utf8_parts(data):
        text = kept + part
        kept = "\r" if text.endswith("\r") else ""
        yield text[: len(text) - len(kept)]
    yield kept


def _utf8_parts(data: bytes) -> Iterator[str]:
    decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(data)
    for start in range(0, len(data), _PART):
        yield decoder.decode(view[start : start + _PART], start + _PART >= len(data))


def _is_utf8(data: bytes) -> bool:
    try:
        for _ in _utf8_parts(data):
            pass
    except UnicodeDecodeError:
        return False
    return True


def decode(data: bytes, stated: str = "") -> str:
    """The text of the bytes. What cannot be decoded becomes U+FFFD; b"" gives ""."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name, errors="replace")
    wide = _wide(data)
    if wide:
        return data.decode(wide, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start > 4096 and data.count(b"\xef\xbf\xbd", 0, error.start) == 0 and _mostly_utf8(data):
            return data.decode("utf-8", errors="replace")  # UTF-8 with a damaged or cut character
    for name in (stated, _declared(data)):
        if name and (text := _strict(data, name)) is not None:
            return text
    return data.decode(_guess(data), errors="replace")


def _mostly_utf8(data: bytes) -> bool:
    text = data.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    return bad <= 3 or bad * 50 < sum(not c.isascii() for c in text[:_SAMPLE])


def _wide(data: bytes) -> str:
    """The UTF-16 of bytes without a mark, seen by the zeros of Latin letters; or ""."""
    sample = data[:2048]
    if len(sample) < 8 or b"\0" not in sample:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 * half and odd < 0.05 * half else ""


def _declared(data: bytes) -> str:
    """The encoding that an HTML or XML head states, or ""."""
    found = _STATED.search(data[:2048])
    return found.group(1).decode("ascii") if found else ""


def _strict(data: bytes, name: str) -> str | None:
    """The text in a named encoding, or None where the name is unknown or the bytes do not fit it."""
    try:
        # browsers read what calls itself Latin-1 as Windows-1252, and so was most of it written
        text_encoding = "cp1252" if codecs.lookup(name).name in ("iso8859-1", "ascii") else name
        return data.decode(text_encoding)
    except (LookupError, UnicodeError, ValueError):
        return None


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    return best.encoding if best is not None and best.encoding != "utf_8" else "cp1252"
