"""WebVTT and SubRip captions: what was said as turns with their speakers; what one says in a row is one turn.

The times of the whole go into the metadata; styles, notes and cue numbers are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from contextkit.documents.building import Builder, Source, one_line
from contextkit.types import BlockKind, Document

_TIMING = re.compile(r"((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_NAMED = re.compile(r"(?:-\s*)?([A-Z][\w.'’\- ]{0,40}?):\s+(?=\S)")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>]*>|\{\\[^}]*\}")
_TURN = 600


def read(source: Source) -> Document:
    """The captions in order, rolling repetitions taken out."""
    text = source.text()
    builder = Builder()
    cues = list(_cues(text))
    header = re.match(r"WEBVTT[ \t]+-?[ \t]*([^\n]+)", text)
    builder.title = one_line(header.group(1)) if header else ""
    language = re.search(r"^Language:\s*([\w-]+)\s*$", text[:500], re.MULTILINE)
    builder.language = language.group(1) if language else ""
    if cues:
        builder.metadata.update(duration_seconds=round(max(_seconds(end) for end, _ in cues), 3), cues=len(cues))
    for speaker, said in _turns(text for _, text in cues):
        builder.add(BlockKind.TURN if speaker else BlockKind.PARAGRAPH, f"{speaker}: {said}" if speaker else said)
    return builder.build(source)


def _cues(text: str) -> Iterator[tuple[str, str]]:
    """(end time, raw text) of each cue."""
    for block in re.split(r"\n[ \t]*\n", text):
        lines = block.strip("\n").split("\n")
        for at, line in enumerate(lines[:3]):
            timing = _TIMING.search(line)
            if timing:
                yield timing.group(2), "\n".join(lines[at + 1 :])
                break


def _turns(cues: Iterator[str]) -> Iterator[tuple[str, str]]:
    """(speaker, text) of what one speaker says in a row; a long speech is parted at a sentence's end."""
    speaker, said = "", ""
    last = ""
    for cue in cues:
        for who, text in _voices(cue):
            if not text or text == last:
                continue
            fresh = text[len(last) :].strip() if last and text.startswith(last) else text
            last = text
            goes_on = (who or speaker) == speaker or (not who and bool(said))
            if said and (not goes_on or (len(said) > _TURN and said[-1] in ".!?…")):
                yield speaker, said
                said = ""
            speaker = who or (speaker if said else "")
            said = f"{said} {fresh}".strip()
    if said:
        yield speaker, said


def _voices(cue: str) -> Iterator[tuple[str, str]]:
    """The parts of a cue by speaker."""
    parts = _VOICE.split(cue)
    if len(parts) == 1:
        for line in re.split(r"\n(?=\s*-\s*\S)", parts[0]):
            plain = _plain(line)
            named = _NAMED.match(plain)
            yield (named.group(1).strip(), plain[named.end() :]) if named else ("", plain.removeprefix("- "))
        return
    yield "", _plain(parts[0])
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        yield one_line(unescape(name)), _plain(text)


def _plain(text: str) -> str:
    return one_line(unescape(_TAG.sub("", text)))


def _seconds(time: str) -> float:
    total = 0.0
    for part in time.replace(",", ".").split(":"):
        total = total * 60 + float(part)
    return total
