"""A memory as one agent call sees it: the protocol `contextkit.context.remembering.CallMemory` over a `MemoryStore`.

Which records a call pins or recalls, and how they are written into a packet, is the business of `contextkit.context`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from contextkit.context.remembering import Held, Remembered
from contextkit.errors import BudgetExceeded
from contextkit.memory import recall, scopes, times
from contextkit.memory import rows as records
from contextkit.memory.packing import pack
from contextkit.memory.persons import forms
from contextkit.memory.recall import Found
from contextkit.memory.records import Kind, Memory, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contextkit.context.call import Remembering
    from contextkit.memory.columns import Columns
    from contextkit.memory.store import MemoryStore
    from contextkit.protocols import Rows, TokenCounter

_MOST_PINNED = 1000  # candidates for the prefix, the most important ones


class ScopeMemory:
    """The memory of one scope for one call.

    Args:
        store: the memory.
        scope: whose; see `contextkit.memory.scopes` for what it reaches.

    Raises:
        InputError: the scope names nobody, or a level that there is not.
    """

    def __init__(self, store: MemoryStore, scope: Mapping[str, str]) -> None:
        self._store = store
        self._scope = dict(scope)
        self._pairs = scopes.checked(scope)
        self._found: dict[str, Found] = {}

    def version(self) -> str:
        """Changes with what was recorded, corrected or erased; not with uses."""
        with self._store.reading() as rows:
            state = dict(rows.execute("SELECT key, value FROM state WHERE key IN ('clock', 'erasures')").fetchall())
        return f"{state['clock']}.{state['erasures']}"

    def stable(self, rule: Remembering) -> list[Remembered]:
        """What holds now and is pinned by its kind, its importance or its key, in the order of recording."""
        with self._store.reading() as rows:
            columns = self._store.columns(rows)
            ids = np.flatnonzero(_pinned(columns, rule))
            ids = ids[np.lexsort((ids, -columns.importance[ids]))][:_MOST_PINNED]
            standing = self._standing(rows, columns, sorted(map(int, ids)))
            found = records.read(rows, list(standing))
        texts: set[str] = set()
        out = []
        for i, conflicts in standing.items():
            memory = found[i][0].model_copy(update={"conflicts": conflicts})
            if memory.text not in texts:
                texts.add(memory.text)
                out.append(_remembered(memory))
        return out

    def recall(self, question: str, rule: Remembering) -> list[Remembered]:
        """What answers a question, best first."""
        kinds = None if rule.kinds is None else sorted(rule.kinds)
        found, _ = self._store._recall(  # noqa: SLF001 - the same room; recall itself would note the use of what is only offered
            question, self._scope, rule.k, None, None, kinds, archived=False, used=False
        )
        return self._kept(found)

    def again(self, held: Sequence[Held]) -> list[Remembered]:
        """Those of these records that this scope still sees and that nobody took back, as they were recalled."""
        given = {records.number(one[0]): one for one in held}
        with self._store.reading() as rows:
            columns = self._store.columns(rows)
            reach = recall.reachable(rows, forms(rows, self._pairs))
            seen = (
                columns.visible(reach, records.HELD, None, None, times.FOREVER - 1) if reach else np.zeros(columns.size, np.bool_)
            )
            ids = [i for i in given if i < columns.size and seen[i]]
            found = records.read(rows, ids)
        out = []
        for i in ids:
            _, score, conflicts, until = given[i]
            end = None if until is None else datetime.fromisoformat(until)
            changes = {"score": score, "conflicts": tuple(conflicts), "valid_to": end, "status": Status.ACTIVE}
            out.append(Found(found[i][0].model_copy(update=changes), found[i][1]))
        return self._kept(out)

    def pack(self, ids: Sequence[str], budget: int, counter: TokenCounter) -> tuple[str, tuple[str, ...]]:
        """The best of what was found as text of at most `budget` tokens; ("", ()) where not even one fits."""
        try:  # ages are told at the end of the day, so that a text stays the same all day
            end_of_day = (times.now() // times.DAY + 1) * times.DAY - 1
            packed = pack([self._found[name] for name in ids], budget, counter, end_of_day)
        except BudgetExceeded:
            return "", ()
        return packed.text, tuple(memory.id for memory in packed.items)

    def used(self, ids: Sequence[str], text: str) -> None:
        """Notes that these records were delivered, and in which words."""
        if ids:
            self._store._note_use([records.number(name) for name in ids])  # noqa: SLF001 - the same room
            self._store.recent.append(text)

    def _kept(self, found: Sequence[Found]) -> list[Remembered]:
        self._found = {item.memory.id: item for item in found}
        return [_remembered(item.memory) for item in found]

    def _standing(self, rows: Rows, columns: Columns, ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Those of some records that this scope sees and that hold now, each with the ids that contradict it, in order."""
        reach = recall.reachable(rows, forms(rows, self._pairs))
        if not reach:
            return {}
        now = max(times.now(), int(rows.execute("SELECT value FROM state WHERE key = 'clock'").fetchone()[0]))
        seen = columns.visible(reach, records.HELD, None, now, now)
        judge = recall.Judge(columns, reach, now, now)
        out: dict[int, tuple[str, ...]] = {}
        for i in ids:
            if not seen[i]:
                continue
            group = judge.of(i)
            if group is None and columns.status[i] == records.ACTIVE:
                out[i] = ()
            elif group is not None and i in group.ids:
                out[i] = tuple(f"m{other}" for other in group.ids if other != i)
        return out


def _pinned(columns: Columns, rule: Remembering) -> NDArray[np.bool_]:
    """Which records a rule pins, whoever sees them: bool (size,)."""
    n = columns.size
    kind, importance = columns.data["kind"][:n], columns.importance[:n]
    of_kind = np.isin(kind, [records.KINDS.index(Kind(name)) for name in rule.pin_kinds])
    chosen: NDArray[np.bool_] = of_kind | (importance + 1e-6 >= rule.pin_importance)
    if rule.pin_keyed:
        chosen |= columns.data["key"][:n] > 0
    if rule.kinds is not None:
        chosen &= np.isin(kind, [records.KINDS.index(Kind(name)) for name in rule.kinds])
    return chosen & (columns.trust[:n] + 1e-6 >= rule.pin_trust) & (columns.status[:n] >= 0)


def _remembered(memory: Memory) -> Remembered:
    source = memory.source
    place = ", ".join(
        part
        for part in (
            source.platform,
            source.author or source.role,
            source.conversation and f"conversation {source.conversation}",
            source.message_id and f"message {source.message_id}",
        )
        if part
    )
    return Remembered(
        memory.id, records.number(memory.id), memory.text, memory.kind.value, memory.valid_from, memory.valid_to,
        memory.recorded_at, memory.trust, memory.importance, place, memory.conflicts, memory.score,
    )  # fmt: skip
