"""Plain text: kept as it is. Its structure is found from the text by whoever chunks it; form feeds make pages."""

from __future__ import annotations

import re

from contextkit.documents.building import Source, clean, finished
from contextkit.documents.charset import decode, decode_parts
from contextkit.types import Document, Span

_TITLE = 100


def read(source: Source) -> Document:
    """The text verbatim, without blocks; pages where form feeds part it."""
    if b"\f" not in source.data:
        text = "".join([clean(part) for part in decode_parts(source.data, source.charset)])
        return finished(source, text, (), (), title=stated_title(text))
    raw = decode(source.data, source.charset).strip("\f")
    parts = [clean(part) for part in raw.split("\f")] if "\f" in raw else [clean(raw)]
    pages: list[Span] = []
    text = ""
    if len(parts) > 1:
        pieces: list[str] = []
        at = 0
        for part in parts:
            pages.append(Span(at, at + len(part)))
            pieces.append(part)
            at += len(part) + 1
        text = "\n".join(pieces)
    else:
        text = parts[0]
    return finished(source, text, (), pages, title=stated_title(text))


def stated_title(text: str) -> str:
    """The first line where it heads the text, alone or above a line or two of who and when, and reads like a title; else ""."""
    found = re.match(r"\s*([^\n]+)\n(?:[^\n]{1,120}\n){0,2}[ \t]*\n\s*\S", text[:2000])
    line = found.group(1).strip(" \t=#*") if found else ""
    if not 2 < len(line) <= _TITLE or line[-1] in ".,;:!?" or not any(c.isalpha() for c in line):
        return ""
    return line if not re.match(r"[-*+•|>\[{(<]|\d+[.)]\s", line) and ": " not in line else ""
