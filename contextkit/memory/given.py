"""What an agent was given and what the document index holds, as admission asks for it; the kit hands in how to look."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit.memory.nearness import shingles

if TYPE_CHECKING:
    from contextkit.context.packet import Receipt
    from contextkit.retrieval.hits import Hit

_WORD = re.compile(r"\w+")
_LATEST = 5  # receipts
_LEAST = 40  # words; what is shorter is said in conversations as well
_HELD = 0.9  # share of a text's runs of five words that stand in one passage or its neighbours


@dataclass(frozen=True, slots=True)
class Given:
    """Looks into the receipts and the documents of an index.

    Attributes:
        search: finds passages of documents that everyone may see.
        latest: the last receipts, newest first.
    """

    search: Callable[..., list[Hit]]
    latest: Callable[[int], Sequence[Receipt]]

    def texts(self) -> list[str]:
        """What the last packets delivered."""
        return [item.text for receipt in self.latest(_LATEST) for item in receipt.items]

    def document(self, text: str) -> str | None:
        """The id of a document that holds the text already, nearly word by word; None where none does or the text is short."""
        words = _WORD.findall(text.lower())
        if len(words) < _LEAST:
            return None
        runs = shingles(words)
        held: dict[str, set[tuple[str, ...]]] = {}
        for hit in self.search(text[:2000], k=8):
            held.setdefault(hit.document_id, set()).update(shingles(_WORD.findall(hit.text.lower())))
        return next((name for name, found in held.items() if len(runs & found) >= _HELD * len(runs)), None)
