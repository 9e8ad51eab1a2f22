"""Vectors of what is remembered: turns pooled inside a window of their conversation, single texts alone.

A turn such as "Yes, in May" means something only beside its neighbours. So a window of several turns goes through the model once,
and each turn's vector is pooled from its own tokens, which have seen the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contextkit.documents.sentences import sentences
from contextkit.types import Chunk, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.protocols import Embedder

WINDOW = 180
"""Tokens of a window of turns."""

CONTEXT = 60
"""Tokens of earlier turns that are embedded again as the context of new ones."""


def line(text: str, author: str) -> str:
    """A turn as it is embedded, searched and shown: "Ann: text", or the text where nobody is named."""
    return f"{author}: {text}" if author else text


def tail(embedder: Embedder, lines: Sequence[str]) -> int:
    """How many of the last lines fit into the context of what follows."""
    left, kept = CONTEXT, 0
    for count in reversed(embedder.count(lines) if lines else []):
        left -= count + 1
        if left < 0:
            break
        kept += 1
    return kept


def turns(embedder: Embedder, lines: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of the successive turns of one conversation, float32 (n, dimension), unit length."""
    import numpy as np

    info = embedder.info
    if not info.sentences:
        return texts(embedder, lines)
    most = min(WINDOW, info.window - 4)
    out = np.empty((len(lines), info.dimension), np.float32)
    chunks: list[Chunk] = []
    members: list[int] = []
    long: list[int] = []
    current: list[int] = []
    room = most
    for i, count in enumerate(embedder.count(lines) if lines else []):
        if count > most or not lines[i].strip():
            long.append(i)
        if current and (count + 1 > room or count > most):
            chunks.append(_window([lines[j] for j in current]))
            members += current
            current, room = [], most
        if count <= most and lines[i].strip():
            current.append(i)
            room -= count + 1
    if current:
        chunks.append(_window([lines[j] for j in current]))
        members += current
    if members:
        found = embedder.embed(chunks).sentences
        assert found is not None
        out[members] = found
    if long:
        out[long] = texts(embedder, [lines[i] for i in long])
    return out


def texts(embedder: Embedder, given: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of single texts, float32 (n, dimension), unit length; one over the window is the mean of its parts."""
    import numpy as np

    info = embedder.info
    most = info.window - 4
    chunks: list[Chunk] = []
    owner: list[int] = []
    for i, (text, count) in enumerate(zip(given, embedder.count(given) if given else [], strict=True)):
        parts = [text] if count <= most else _parts(embedder, text, most)
        chunks += [Chunk(0, len(part), part, "", (Span(0, len(part)),)) for part in parts]
        owner += [i] * len(parts)
    out = np.zeros((len(given), info.dimension), np.float32)
    if chunks:
        np.add.at(out, owner, embedder.embed(chunks).passages)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12), np.float32)


def _window(lines: Sequence[str]) -> Chunk:
    spans, place = [], 0
    for text in lines:
        spans.append(Span(place, place + len(text)))
        place += len(text) + 1
    return Chunk(0, place - 1, "\n".join(lines), "", tuple(spans))


def _parts(embedder: Embedder, text: str, most: int) -> list[str]:
    """A text cut at sentences into parts that fit the window; a sentence that does not is halved until it does."""
    pieces = [text[s.start : s.end] for s in sentences(text)]
    out: list[str] = []
    while pieces:
        piece = pieces.pop(0)
        if embedder.count([piece])[0] > most and len(piece) > 1:
            pieces[:0] = [piece[: len(piece) // 2], piece[len(piece) // 2 :]]
        elif out and embedder.count([f"{out[-1]} {piece}"])[0] <= most:
            out[-1] = f"{out[-1]} {piece}"
        else:
            out.append(piece)
    return out
