"""Scored sentences as units that can be packed: which may stand alone, and what each needs beside it to be understood.

Finding and scoring the sentences is `contextkit.retrieval`; choosing among the units is `pack.py`.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from contextkit.catalog import StoredChunk
from contextkit.context.pack import Unit
from contextkit.retrieval.candidates import Candidates
from contextkit.retrieval.sentences import Sentences
from contextkit.types import BlockKind

_WORD = re.compile(r"[^\W_]")
_PICTURES = ("So", "Sm", "Sc")  # emoji and signs, formulas, currencies
_LEAST_UNITS = 256
_FEW_TOKENS = 6  # a packet of sentences shorter than this on average is not one that anybody reads
_RUNNING = (
    BlockKind.PARAGRAPH,
    BlockKind.LIST_ITEM,
    BlockKind.QUOTE,
    BlockKind.HEADING,
)  # a chunk's kind is that of its first block
# "It is known that ..." and "This paper ..." point to nothing before them
_BACK = re.compile(
    r"""(?:(?:and|but|so|yet|or|however|thus|therefore|moreover|furthermore|also|then|in\ addition|in\ contrast|similarly|instead
           |consequently|hence|meanwhile|otherwise|nevertheless|finally|later|for\ (?:example|instance)),?\s+)?
    (?:(?:they|them|their|theirs|he|him|his|she|her|hers|its|these|those|such|the\ (?:latter|former|same|above|others?)|both|each
         |neither|either|some|another|one)\b
      |it\b(?!\s+(?:is|was|has\ been|may\ be|can\ be|should\ be|will\ be|could\ be|seems|appears|follows|remains)\b
              [^.]{0,60}?\b(?:that|to|whether|if|why|how)\b)
      |(?:this|that)\b(?!\s+(?:study|paper|article|review|report|work|section|chapter|document|manuscript|page|book|guide|manual)\b))
    """,
    re.IGNORECASE | re.VERBOSE,
)
_POINTED = 0.95
"""What the sentence before one that points back to it scores at least, as a share of that one's; 1 costs 0.1 points on papers."""
_HEADING = 120  # characters; a longer line without a mark at its end is text that was cut off


class Texts:
    """Text of contents between two offsets of candidates: a run lies in one chunk or in chunks that touch."""

    def __init__(self, chunks: Sequence[StoredChunk]) -> None:
        self._by_content: dict[int, list[StoredChunk]] = {}
        for chunk in chunks:
            self._by_content.setdefault(chunk.content_id, []).append(chunk)
        self._starts = {content: [chunk.start for chunk in own] for content, own in self._by_content.items()}

    def __call__(self, content: int, start: int, end: int) -> str:
        """The text of a content from `start` to `end`."""
        place = bisect_right(self._starts[content], start) - 1
        first = self._by_content[content][place]
        if first.start <= start and end <= first.end:
            return first.text[start - first.start : end - first.start]
        parts: list[str] = []
        at = start
        for chunk in self._by_content[content]:
            if chunk.end <= at or chunk.start >= end:
                continue
            parts.append(chunk.lead[-(chunk.start - at) :] if chunk.start > at else "")
            parts.append(chunk.text[max(0, at - chunk.start) : end - chunk.start])
            at = chunk.end
        return "".join(parts)


def units(found: Candidates, sentences: Sentences, budget: int) -> list[Unit]:
    """The best sentences as units, as many as could ever matter to a budget, in text order.

    A heading and a table's header row are no evidence by themselves: they come with the sentence or row below them. A heading
    that says the document's title again does not come at all, where something follows it. In running text a sentence scores at
    least nearly as much as the one behind it, where that begins with a word that points back to it ("It ...", "This ...").
    """
    reach = max(_LEAST_UNITS, budget // _FEW_TOKENS)
    needs, dependent = _needs(found, sentences)
    rows, scores = np.arange(len(sentences.score)), sentences.score
    if len(rows) > reach:
        best = np.argpartition(-scores, reach)[:reach].tolist()
        rows = np.array(sorted({*best, *(needs[row] for row in best if row in needs)}))
    pointed = _pointed(found, sentences, rows)
    if pointed:
        scores = scores.copy()
        scores[pointed] = np.float32(_POINTED) * sentences.score[np.array(pointed) + 1]
        rows = np.union1d(rows, pointed)
    return [
        Unit(row, found.chunks[chunk].content_id, start, end, score, follows, needs.get(row), row not in dependent)
        for row, chunk, start, end, score, follows in zip(
            rows.tolist(), sentences.chunk[rows].tolist(), sentences.start[rows].tolist(), sentences.end[rows].tolist(),
            scores[rows].tolist(), sentences.follows[rows].tolist(), strict=True,
        )
    ]  # fmt: skip


def _pointed(found: Candidates, sentences: Sentences, rows: NDArray[np.int64]) -> list[int]:
    """The rows of running text before those that begin with a word which is understood only by them, where they score less."""
    running = np.array([chunk.kind in _RUNNING for chunk in found.chunks], np.bool_)
    less = (
        sentences.follows[rows]
        & running[sentences.chunk[rows]]
        & (sentences.score[rows - 1] < np.float32(_POINTED) * sentences.score[rows])
    )
    out = []
    for row in rows[less].tolist():
        chunk = found.chunks[int(sentences.chunk[row])]
        if _BACK.match(chunk.text, int(sentences.start[row]) - chunk.start):
            out.append(row - 1)
    return out


def worthwhile(found: Sequence[Unit], enough: float) -> tuple[list[Unit], list[Unit]]:
    """The units of a packet of just enough, in their order, and those that score too low for it, best first.

    What scores at least the share `enough` of the best is worthwhile. At 0.5 and 1,024 tokens that saves 66 % of the tokens
    where documents are short and few fit the question, for a third of a point of evidence (docs/retrieval.md).

    The low ones stay among the units for those that need them, but are not delivered for their own sake.
    """
    best = max((u.score for u in found if u.alone), default=0.0)
    bar = enough * best if best > 0 else best
    low = sorted((u for u in found if u.alone and u.score < bar), key=lambda u: (-u.score, u.row))
    return [replace(u, alone=False) if u.alone and u.score < bar else u for u in found], low


def _needs(found: Candidates, sentences: Sentences) -> tuple[dict[int, int], set[int]]:
    """(the row that each row needs, rows that are not delivered for their own sake)."""
    needs: dict[int, int] = {}
    dependent: set[int] = set()
    first = np.searchsorted(sentences.chunk, np.arange(len(found.chunks) + 1)).tolist()
    table: int | None = None  # the header row of the table that the walk is in
    for n, chunk in enumerate(found.chunks):
        if not _says_something(chunk.text):
            dependent.update(range(first[n], first[n + 1]))
        if "|" not in chunk.text and not _begins_with_heading(chunk):
            table = None  # plain text, as most is
            continue
        texts = [chunk.text[s - chunk.start : e - chunk.start] for s, e in chunk.sentences.tolist()]
        title = found.documents[chunk.content_id][0].title
        headings = _headings(chunk, texts, title)
        heading: int | None = None
        for row, text in zip(range(first[n], first[n + 1]), texts, strict=True):
            if not text.startswith("|") or not sentences.follows[row]:
                table = None
            if table is not None:
                needs[row] = table
            elif _is_table_head(text):
                table = row
                dependent.add(row)
            elif heading is not None:
                needs[row] = heading
            heading = None
            if row - first[n] in headings:
                dependent.add(row)
                heading = None if _says(text, title) else row
    return needs, dependent


def _begins_with_heading(chunk: StoredChunk) -> bool:
    """Whether a chunk begins with a heading of something; where there is nothing but headings, they are all that is said."""
    if len(chunk.sentences) < 2 or "\n\n" not in chunk.text:
        return False
    start, end = chunk.sentences[0].tolist()
    if not _is_heading(chunk, 0, chunk.text[start - chunk.start : end - chunk.start]):
        return False
    return not all(chunk.text.startswith("#", s - chunk.start) for s in chunk.sentences[:, 0].tolist())


def _headings(chunk: StoredChunk, texts: Sequence[str], title: str) -> set[int]:
    """Places of the headings that a chunk begins with, among its sentences.

    Several lines in a row that only look like headings are none: a form, a list of facts. They are evidence by themselves.
    """
    run: list[int] = []
    for place, text in enumerate(texts[:-1]):
        if not _is_heading(chunk, place, text):
            break
        run.append(place)
    sure = {place for place in run if texts[place].startswith("#") or _says(texts[place], title)}
    unsure = [place for place in run if place not in sure]
    if unsure and (unsure != run[-1:] or _looks_like_heading(texts[run[-1] + 1])):
        return sure
    return set(run)


def _is_heading(chunk: StoredChunk, place: int, text: str) -> bool:
    """Whether one of a chunk's leading sentences is a heading: chunks begin with those of their section."""
    if chunk.kind in (BlockKind.CODE, BlockKind.TURN) or not _looks_like_heading(text):
        return False
    gap = chunk.text[int(chunk.sentences[place][1]) - chunk.start : int(chunk.sentences[place + 1][0]) - chunk.start]
    return "\n\n" in gap


def _looks_like_heading(text: str) -> bool:
    return len(text) <= _HEADING and "\n" not in text and (text.startswith("#") or text[-1] not in ".!?…:;,|。！？")


def _says_something(text: str) -> bool:
    """Whether a text has a letter, a digit or a picture; marks, bars and what cannot be seen are no evidence by themselves."""
    return _WORD.search(text) is not None or any(c > "\x7f" and unicodedata.category(c) in _PICTURES for c in text)


def _is_table_head(text: str) -> bool:
    """Whether a unit is the header row of a table with the `|---|` line below it."""
    head, newline, rule = text.partition("\n")
    return bool(newline) and head.startswith("|") and rule.startswith("|") and not rule.strip("|-: ")


def _says(heading: str, title: str) -> bool:
    return heading.strip("#= ").casefold() == " ".join(title.split()).casefold()
