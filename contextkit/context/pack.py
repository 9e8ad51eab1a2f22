"""Which sentences go into a packet: the best that fit an exact token budget, joined in text order.

Works on scored sentences (`Unit`) and a renderer; it knows nothing of indexes or embedders. What it returns was counted as
rendered, so a packet cannot exceed its budget.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from contextkit.context.copies import key
from contextkit.context.packet import Order
from contextkit.context.render import Renderer, Section, Source
from contextkit.errors import BudgetExceeded
from contextkit.protocols import TokenCounter

# Where a text may be cut: after a word, inside one that is no word, and after each letter of scripts written without spaces.
_NO_SPACES = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_MARKS = "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u17b4-\u17d3"  # written on the letter before
_CUT = re.compile(rf"[^\s{_NO_SPACES}]{{1,40}}+(?![^\s{_NO_SPACES}])|[^\s{_NO_SPACES}]{{1,4}}|[{_NO_SPACES}][{_MARKS}]*")
_LEAST = 8  # a document's first run with fewer tokens of text than this is not worth its mark
_PATIENCE = 64  # sentences in a row that did not fit before the packer stops looking for smaller ones
_LOOKED_AT = 32  # sentences that the room which estimates left over is offered to


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence that may be delivered.

    Attributes:
        row: its place among the candidates; direct neighbours in a text have direct neighbours' rows.
        document: key of its document.
        start: first character in the document.
        end: one past the last character.
        score: larger is better.
        follows: whether it directly follows the unit with row - 1, with nothing but white space between.
        needs: row of a unit without which it is not understood (a table's header row, a heading), or None.
        alone: whether it is worth delivering for its own sake; others come only where a unit needs them.
    """

    row: int
    document: int
    start: int
    end: int
    score: float
    follows: bool = False
    needs: int | None = None
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """Units of one document without a gap: `text` is the document's text from `start` to `end`."""

    document: int
    start: int
    end: int
    text: str
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed.

    Attributes:
        text: the rendering.
        tokens: its tokens, framing included.
        documents: keys in delivered order; the first has the mark [1].
        runs: in delivered order.
        dropped: (unit, reason) of what was considered and left out, best first.
    """

    text: str
    tokens: int
    documents: tuple[int, ...]
    runs: tuple[Run, ...]
    dropped: tuple[tuple[Unit, str], ...]


@dataclass(slots=True)
class Packer:
    """Packs units for one question.

    Attributes:
        counter: counts tokens.
        renderer: writes the sections.
        sources: what may be said of each document, by key (number and pages are filled in here).
        text_of: the text of a document between two offsets that lie in candidates.
        framing: tokens that come on top of the rendered text (message framing).
        order: in which order documents stand.
    """

    counter: TokenCounter
    renderer: Renderer
    sources: Mapping[int, Source]
    text_of: Callable[[int, int, int], str]
    framing: int = 0
    order: Order = Order.BEST_FIRST
    _chosen: dict[int, Unit] = field(default_factory=dict)
    _order: list[int] = field(default_factory=list)
    _heads: dict[int, int] = field(default_factory=dict)
    _said: dict[str, int] = field(default_factory=dict)
    _at_least: Callable[[str], int] = field(init=False)

    def __post_init__(self) -> None:
        # a counter may know a bound that is quicker than the count; most sentences do not fit into what is left
        self._at_least = getattr(self.counter, "at_least", lambda _: 1)

    def pack(self, units: Sequence[Unit], budget: int) -> Packed:
        """The best units that fit `budget` tokens, in the order of each document's text, documents by their best unit.

        Units are taken greedily by score (ties by row). A near copy of a chosen one (`copies.py`), in whichever
        document, is dropped as a duplicate. No units give an empty rendering.

        Raises:
            BudgetExceeded: not even the empty rendering, or one mark with a few words of the best unit, fits.
        """
        base = self._count([])[1]
        if base > budget:
            raise BudgetExceeded(
                f"the question and the message framing need {base} tokens, the budget is {budget}: raise it, or ask shorter",
                section="question",
                needed=base,
                limit=budget,
            )
        ranked = sorted((u for u in units if u.alone), key=lambda u: (-u.score, u.row))
        dropped = self._fill(ranked, {u.row: u for u in units}, budget, base)
        text, tokens = self._shrink(budget, dropped)
        if ranked and not self._chosen:
            text, tokens = self._cut(ranked[0], budget)
        text, tokens = self._top_up(ranked, budget, text, tokens, dropped)
        chosen = self._chosen
        left = sorted(((u, r) for u, r in dropped if u.row not in chosen), key=lambda d: (-d[0].score, d[0].row))
        return Packed(text, tokens, tuple(self._arranged()), tuple(self._runs()), tuple(left))

    def _fill(self, ranked: Sequence[Unit], by_row: Mapping[int, Unit], budget: int, base: int) -> list[tuple[Unit, str]]:
        """Chooses by estimated cost (counts of single sentences; the sum is checked later); gives what was left out."""
        used, misses = base, 0
        dropped: list[tuple[Unit, str]] = []
        for place, unit in enumerate(ranked):
            if misses > _PATIENCE:  # what is left is worth less and would not be counted for nothing
                dropped.extend((u, "budget") for u in ranked[place:] if u.row not in self._chosen)
                break
            if unit.row in self._chosen:
                continue
            text = self._text(unit)
            header = by_row.get(unit.needs) if unit.needs is not None and unit.needs not in self._chosen else None
            room = budget - used
            fits = self._at_least(f" {text}") <= room
            if fits and self._is_copy(unit, text):
                dropped.append((unit, "duplicate"))
                continue
            whole = self._price(unit, text, header, room) if fits else None
            if whole is None and fits and header is not None:  # rather a row without its header than a worse one with it
                header, whole = None, self._price(unit, text, None, room)
            if whole is None:
                misses += 1
                dropped.append((unit, "budget"))
                continue
            misses = 0
            used += whole
            self._choose(unit)
            if header is not None:
                self._choose(header)
        return dropped

    def _is_copy(self, unit: Unit, text: str) -> bool:
        """Whether a chosen unit says the same; notes what this one says where none does."""
        said = key(text)
        if self._said.get(said, unit.row) in self._chosen:
            return said.count(" ") > 2 or not self._touches(unit)  # a short line may repeat beside its neighbour
        self._said[said] = unit.row
        return False

    def _price(self, unit: Unit, text: str, header: Unit | None, room: int) -> int | None:
        """Tokens that a unit adds, by estimate; None where they are more than the room, found out in the cheapest way."""
        fresh = unit.document not in self._order
        beside = (0 if self._touches(unit) else 2) + (self.counter.count(self._text(header)) + 1 if header is not None else 0)
        if beside + fresh + self._at_least(f" {text}") > room:
            return None
        whole = beside + self._cost(text)
        if fresh:
            whole += self._head(unit.document) if whole < room else 1
        return whole if whole <= room else None

    def _cost(self, text: str) -> int:
        """Tokens of a sentence that follows another."""
        return self.counter.count(f" {text}")

    def _choose(self, unit: Unit) -> None:
        self._chosen[unit.row] = unit
        if unit.document not in self._order:
            self._order.append(unit.document)

    def _shrink(self, budget: int, dropped: list[tuple[Unit, str]]) -> tuple[str, int]:
        """Takes out the worst units until the exact count fits; gives the rendering and its tokens."""
        text, tokens = self._count(self._sections())
        while tokens > budget and self._chosen:
            worst = min((u for u in self._chosen.values() if u.alone), key=lambda u: (u.score, -u.row))
            self._remove(worst)
            dropped.append((worst, "budget"))
            text, tokens = self._count(self._sections())
        return text, tokens

    def _remove(self, unit: Unit) -> None:
        del self._chosen[unit.row]
        needed = {u.needs for u in self._chosen.values()}
        for row in [u.row for u in self._chosen.values() if not u.alone and u.row not in needed]:
            del self._chosen[row]
        if all(u.document != unit.document for u in self._chosen.values()):
            self._order.remove(unit.document)

    def _top_up(
        self, ranked: Sequence[Unit], budget: int, text: str, tokens: int, dropped: list[tuple[Unit, str]]
    ) -> tuple[str, int]:
        """Adds what fits into the room that the estimates left over, the exact count taken each time; a few tries."""
        tries = 6
        reason = {unit.row: why for unit, why in dropped}
        for unit in [u for u in ranked if u.row not in self._chosen and reason.get(u.row) == "budget"][:_LOOKED_AT]:
            if tries == 0 or budget - tokens < _LEAST:
                break
            if unit.needs is not None:
                continue
            head = 0 if unit.document in self._order else self._head(unit.document)
            text_alone = self._text(unit)
            if self._cost(text_alone) + head > budget - tokens or self._is_copy(unit, text_alone):
                continue
            self._choose(unit)
            longer, count = self._count(self._sections())
            if count > budget:
                self._remove(unit)
            else:
                text, tokens = longer, count
            tries -= 1
        return text, tokens

    def _cut(self, unit: Unit, budget: int) -> tuple[str, int]:
        """The start of one unit, in whole words, as much as fits: for budgets smaller than any sentence."""
        ends = [found.end() for found in _CUT.finditer(self._text(unit))]
        low, high = 0, len(ends)
        best: tuple[str, int] | None = None
        while low < high:
            middle = (low + high + 1) // 2
            piece = Unit(unit.row, unit.document, unit.start, unit.start + ends[middle - 1], unit.score)
            self._chosen, self._order = {unit.row: piece}, [unit.document]
            text, tokens = self._count(self._sections())
            if tokens <= budget:
                low, best, kept = middle, (text, tokens), piece
            else:
                high = middle - 1
        least = max(budget + 1, self._count([])[1] + self._head(unit.document) + _LEAST)  # an estimate, but never one that fits
        if best is None or low < min(4, len(ends)):
            raise BudgetExceeded(
                f"a budget of {budget} tokens is below what one citation needs here (about {least}): raise the budget",
                section="documents",
                needed=least,
                limit=budget,
            )
        self._chosen = {unit.row: kept}
        return best

    def _touches(self, unit: Unit) -> bool:
        after = self._chosen.get(unit.row + 1)
        return (unit.follows and unit.row - 1 in self._chosen) or (after is not None and after.follows)

    def _head(self, document: int) -> int:
        """Tokens that a document's first run costs beside its text."""
        if document not in self._heads:
            source = self._source(document, len(self._order) + 1, None)
            alone = Section(source, ("x",))
            self._heads[document] = max(1, self._count([alone, alone])[1] - self._count([alone])[1])
        return self._heads[document]

    def _source(self, document: int, number: int, pages: tuple[int, int] | None) -> Source:
        source = self.sources[document]
        return Source(number, source.document_id, source.title, source.uri, pages if pages is not None else source.pages)

    def _text(self, unit: Unit) -> str:
        return self.text_of(unit.document, unit.start, unit.end)

    def _runs(self) -> list[Run]:
        """The chosen units joined: in delivered order of documents, and in text order within each."""
        by_document: dict[int, list[list[Unit]]] = {document: [] for document in self._arranged()}
        for row in sorted(self._chosen):
            unit = self._chosen[row]
            groups = by_document[unit.document]
            if groups and unit.follows and groups[-1][-1].row == row - 1:
                groups[-1].append(unit)
            else:
                groups.append([unit])
        return [
            Run(document, group[0].start, group[-1].end, self.text_of(document, group[0].start, group[-1].end), tuple(group))
            for document, groups in by_document.items()
            for group in groups
        ]

    def _arranged(self) -> list[int]:
        """The documents in the order asked for; they were chosen best first."""
        if self.order is Order.BEST_LAST:
            return self._order[::-1]
        if self.order is Order.EDGES:  # the best at the start and the end, the weakest in the middle
            return [*self._order[::2], *self._order[1::2][::-1]]
        if self.order is Order.SOURCE:
            return sorted(self._order, key=lambda d: self.sources[d].document_id)
        return self._order

    def _sections(self) -> list[Section]:
        runs: dict[int, list[str]] = {}
        for run in self._runs():
            runs.setdefault(run.document, []).append(run.text)
        return [Section(self._source(d, n, None), tuple(runs[d])) for n, d in enumerate(self._arranged(), 1)]

    def _count(self, sections: Sequence[Section]) -> tuple[str, int]:
        text = self.renderer(sections)
        return text, self.counter.count(text) + self.framing
