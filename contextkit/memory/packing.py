"""Found records to text within an exact token budget: turns under their conversation's date, facts with theirs, each with its id.

The packer is the one that packs documents; here records become what it packs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from contextkit.context.pack import Packer, Unit
from contextkit.context.render import Section, Source
from contextkit.memory import times
from contextkit.memory.embed import line
from contextkit.memory.records import Kind, Memory, Recall

if TYPE_CHECKING:
    from contextkit.memory.recall import Found
    from contextkit.protocols import TokenCounter


def pack(found: Sequence[Found], budget: int, counter: TokenCounter, now: int) -> Recall:
    """The best records that fit `budget` tokens. Nothing found gives an empty text.

    Args:
        found: best first.
        budget: most tokens of the text, everything counted.
        counter: whose tokens.
        now: microseconds; ages are counted from here.

    Raises:
        BudgetExceeded: not even the start of the best record fits.
    """
    sections: dict[object, list[tuple[int, Found]]] = {}
    for rank, item in enumerate(_once(found)):
        sections.setdefault(_section(item), []).append((rank, item))
    pages = [_Page(number, items, now) for number, items in enumerate(sections.values())]
    units = [unit for page in pages for unit in page.units]
    packer = Packer(
        counter,
        _render,
        {page.number: Source(0, "", page.title, "", None) for page in pages},
        lambda document, start, end: pages[document].text_of(start, end),
    )
    packed = packer.pack(units, budget)
    chosen = {unit.row for run in packed.runs for unit in run.units}
    delivered = [item.memory for page in pages for unit, item in zip(page.units, page.items, strict=True) if unit.row in chosen]
    return Recall.model_construct(text=packed.text, tokens=packed.tokens, budget=budget, items=tuple(delivered))


def _once(found: Sequence[Found]) -> Iterator[Found]:
    """What was found, without sentences of a better turn: a decision that is kept as it was said needs no room beside it."""
    before: set[str] = set()
    for item in found:
        memory = item.memory
        before.add(memory.id)
        if item.turn.thread or memory.key is not None or len(memory.lineage) != 1 or memory.lineage[0] not in before:
            yield item


def _section(item: Found) -> object:
    """What stands under one heading: the turns of one conversation of one day, or all facts."""
    if not item.turn.thread:
        return None
    return item.turn.thread, item.memory.valid_from.date()


def _render(sections: Sequence[Section]) -> str:
    return "\n".join("\n".join((f"[{s.source.title}]", *s.runs)) for s in sections)


class _Page:
    """The records of one heading as a text whose lines are the units of the packer."""

    def __init__(self, number: int, items: Sequence[tuple[int, Found]], now: int) -> None:
        self.number = number
        ordered = sorted(items, key=lambda pair: (pair[1].turn.place, pair[0]))
        self.items = [item for _, item in ordered]
        first = self.items[0]
        self._turns = bool(first.turn.thread)
        self.title = _heading(first, now) if self._turns else "facts"
        lines = [self._line(item, now) for item in self.items]
        self._starts: dict[int, str] = {}
        self.units: list[Unit] = []
        place = 0
        previous: Found | None = None
        for (_, item), text in zip(ordered, lines, strict=True):
            follows = self._turns and previous is not None and item.turn.place == previous.turn.place + 1
            row = len(self.units) + number * 100_000
            self.units.append(Unit(row, number, place, place + len(text), item.memory.score, follows))
            self._starts[place] = f"{item.memory.id} " if self._turns else ""
            place += len(text) + 1
            previous = item
        self._text = "\n".join(lines)

    def _line(self, item: Found, now: int) -> str:
        memory = item.memory
        text = line(memory.text, memory.source.author)
        if self._turns:
            return text
        since = memory.valid_from
        until = f" to {times.shown(memory.valid_to)}" if memory.valid_to is not None else ""
        doubt = f" (in conflict with {', '.join(memory.conflicts)})" if memory.conflicts else ""
        origin = f", {memory.source.platform}" if memory.source.platform else ""
        age = times.age(times.micros(since), now)
        return f"{memory.id} {times.shown(since)}{until}, {age}{origin}{_digest(memory)}: {text}{doubt}"

    def text_of(self, start: int, end: int) -> str:
        """The text between two offsets; a run of turns begins with the id of its first."""
        return self._starts.get(start, "") + self._text[start:end]


def _digest(memory: Memory) -> str:
    """Of a digest of a conversation what it was made from."""
    if memory.kind is not Kind.EPISODIC or len(memory.lineage) < 2:
        return ""
    return f", digest of {memory.lineage[0]} to {memory.lineage[-1]}"


def _heading(item: Found, now: int) -> str:
    begin = item.memory.valid_from
    origin = " ".join(p for p in (item.memory.source.platform, item.turn.name) if p)
    return " ".join(p for p in (f"{begin:%Y-%m-%d}", times.age(times.micros(begin), now), origin) if p)
