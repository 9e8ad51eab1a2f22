"""Runs of text to the text that is sent: plain, Markdown, XML or a user turn.

Each format is one `Renderer`; the packer counts what it gives, so every mark here is paid for. Choosing the runs is `pack.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contextkit.context.packet import Format, user_turn

_LABEL = 200  # characters; a longer title says no more and would take the packet
GAP = " … "
"""Stands between two runs of one document where text was left out."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a format may say of a document: its number in the packet, id, title, uri and pages of the runs shown."""

    number: int
    document_id: str
    title: str
    uri: str
    pages: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Section:
    """The runs of one document, in text order."""

    source: Source
    runs: tuple[str, ...]


Renderer = Callable[[Sequence[Section]], str]
"""Writes sections in the order given; no sections give ""."""


def label(source: Source) -> str:
    """What names a document to a reader: its title, else the last part of its uri, on one line, cut at 200 characters; or ""."""
    name = " ".join((source.title or source.uri.rstrip("/").rpartition("/")[2]).split())
    return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"


def page_label(pages: tuple[int, int] | None) -> str:
    """The pages as "p. 3" or "pp. 3-5", or "" without pages."""
    if pages is None:
        return ""
    return f"p. {pages[0]}" if pages[0] == pages[1] else f"pp. {pages[0]}-{pages[1]}"


def _text(sections: Sequence[Section]) -> str:
    blocks = []
    for section in sections:
        name = label(section.source)
        blocks.append(f"[{section.source.number}] {name}{chr(10) if name else ''}{GAP.join(section.runs)}")
    return "\n\n".join(blocks)


def _markdown(sections: Sequence[Section]) -> str:
    blocks = []
    for section in sections:
        parts = (label(section.source), page_label(section.source.pages))
        head = f"### [{section.source.number}] {', '.join(p for p in parts if p)}".rstrip()
        blocks.append(f"{head}\n\n{GAP.join(section.runs)}")
    return "\n\n".join(blocks)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _xml(sections: Sequence[Section]) -> str:
    if not sections:
        return ""
    blocks = []
    for section in sections:
        source = section.source
        named = (("title", source.title), ("source", source.uri or source.document_id), ("pages", page_label(source.pages)))
        marks = "".join(
            f' {key}="{_escape(" ".join(value.split())).replace(chr(34), "&quot;")}"' for key, value in named if value
        )
        blocks.append(f'<document index="{source.number}"{marks}>\n{_escape(GAP.join(section.runs))}\n</document>')
    return "<documents>\n" + "\n".join(blocks) + "\n</documents>"


def renderer(format_: Format, question: str) -> Renderer:
    """The writer of a format. For "messages" it writes the whole user turn, the question included."""
    if format_ is Format.MESSAGES:
        return lambda sections: user_turn(_text(sections), question)
    return {Format.TEXT: _text, Format.MARKDOWN: _markdown, Format.XML: _xml}[format_]
