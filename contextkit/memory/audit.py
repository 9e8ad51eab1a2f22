"""Looking after a memory: what it holds, how much of it is junk, what contradicts, and what waits for a decision."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from contextkit.memory import nearness, recall, scopes
from contextkit.memory import rows as records
from contextkit.memory.admission import boilerplate
from contextkit.memory.extractor import usage
from contextkit.memory.records import Kind, Memory, Status
from contextkit.retrieval.terms import terms

if TYPE_CHECKING:
    from contextkit.memory.core import Core
    from contextkit.protocols import Rows

_FEW = 5


class Archived(BaseModel):
    """A record in the archive.

    Attributes:
        id: of the record.
        run: the consolidation that put it there, for `undo`.
        into: id of the record that stands for it; None: it faded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    run: str
    into: str | None


class Audit(BaseModel):
    """The state of a memory.

    Attributes:
        records: all there are.
        kinds: by kind.
        statuses: by status; "forgotten" counts, without a scope alone, the stones of what was erased, which are no records.
        duplicates: active records that repeat another one of the same owner and author, exactly or nearly: (id, id of the first).
        boilerplate: active records that programs and prompts say every time.
        conflicts: keys of which several values stand, with the ids.
        waiting: quarantined and pending records.
        archived: what a consolidation put away, and what stands for it.
        extraction: what extractors took in all: calls, input_tokens, output_tokens, dollars (None: a price was not known).
        bytes: size of all files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    records: int
    kinds: dict[str, int]
    statuses: dict[str, int]
    duplicates: tuple[tuple[str, str], ...]
    boilerplate: tuple[str, ...]
    conflicts: dict[str, tuple[str, ...]]
    waiting: tuple[Memory, ...]
    archived: tuple[Archived, ...] = ()
    extraction: dict[str, float | None]
    bytes: int

    @property
    def junk(self) -> float:
        """The share of active records that are duplicates or boilerplate, 0 to 1."""
        active = self.statuses.get(Status.ACTIVE, 0)
        return len({d[0] for d in self.duplicates} | set(self.boilerplate)) / active if active else 0.0


def audit(store: Core, scope: scopes.Pairs | None) -> Audit:
    """See `MemoryStore.audit`."""
    with store.reading() as rows:
        where = ""
        values: tuple[int, ...] = ()
        if scope is not None:
            reach = recall.reachable(rows, (scope,)) or [0]
            where, values = f" WHERE r.scope_id IN ({', '.join('?' * len(reach))})", tuple(reach)
        found = rows.execute(
            "SELECT r.id, r.kind, r.status, r.text, r.hash, s.name, s.owner, c.body, r.key_id, r.scope_id FROM records r "
            f"JOIN scopes s ON s.id = r.scope_id JOIN sources c ON c.id = r.source_id{where} ORDER BY r.id",
            values,
        ).fetchall()
        active = [row for row in found if row[2] == records.ACTIVE]
        waiting = [row[0] for row in found if records.STATUSES[row[2]] in (Status.PENDING, Status.QUARANTINED)]
        shown = records.read(rows, waiting)
        conflicts = _conflicts(rows, active)
        archived = _archived(rows, {int(row[0]) for row in found})
        extraction = usage(rows)
        statuses = Counter(str(records.STATUSES[row[2]]) for row in found)
        if scope is None:
            statuses[Status.FORGOTTEN] = int(rows.execute("SELECT count(*) FROM tombstones").fetchone()[0])
    size = getattr(store.backend, "size", None)
    return Audit(
        records=len(found),
        kinds={str(k): n for k, n in sorted(Counter(records.KINDS[row[1]] for row in found).items())},
        statuses={str(s): n for s, n in sorted(statuses.items()) if n},
        duplicates=tuple(_duplicates(active)),
        boilerplate=tuple(f"m{row[0]}" for row in active if boilerplate(row[3])),
        conflicts=conflicts,
        waiting=tuple(shown[i][0] for i in waiting),
        archived=archived,
        extraction=extraction,
        bytes=size() if size is not None else 0,
    )


def duplicates_of(rows: Rows) -> list[tuple[int, int]]:
    """(row, row of the first) of active records that repeat another one of the same owner and author, exactly or nearly."""
    found = rows.execute(
        "SELECT r.id, r.kind, r.status, r.text, r.hash, s.name, s.owner, c.body, r.key_id, r.scope_id FROM records r "
        "JOIN scopes s ON s.id = r.scope_id JOIN sources c ON c.id = r.source_id WHERE r.status = ? ORDER BY r.id",
        (records.ACTIVE,),
    ).fetchall()
    return [(records.number(later), records.number(first)) for later, first in _duplicates(found)]


def _duplicates(active: list[tuple[object, ...]]) -> list[tuple[str, str]]:
    """(id, id of the first) of what says again what its owner's memory has from the same author; short turns are allowed to."""
    seen: dict[object, int] = {}
    near: dict[int, list[tuple[int, set[str], object]]] = {}
    out = []
    for number, kind, _, text, digest, name, owner, body, key, _scope in active:
        found = terms(str(text))
        if records.KINDS[int(str(kind))] is Kind.EPISODIC and len(str(text).split()) <= _FEW:
            continue
        mark = (digest, owner or name, body, key)
        first = seen.setdefault(mark, int(str(number)))
        if first != number:
            out.append((f"m{number}", f"m{first}"))
            continue
        mine = set(found)
        other = _nearest(near, nearness.bands(str(owner or name), found), mine, (body, key), int(str(number)))
        if other:
            out.append((f"m{number}", f"m{other}"))
    return out


def _nearest(
    near: dict[int, list[tuple[int, set[str], object]]], marks: list[int], mine: set[str], voice: object, number: int
) -> int:
    """The first record of the same voice with nearly the same terms, or 0; then this one is noted too."""
    digits = {t for t in mine if any(c.isdigit() for c in t)}
    for mark in marks:
        for other, theirs, their_voice in near.get(mark, ()):
            same = {t for t in theirs if any(c.isdigit() for c in t)} == digits
            if their_voice == voice and same and nearness.jaccard(mine, theirs) >= 0.9:
                return other
    for mark in marks:
        near.setdefault(mark, []).append((number, mine, voice))
    return 0


def _archived(rows: Rows, shown: set[int]) -> tuple[Archived, ...]:
    found = rows.execute(
        "SELECT record_id, run, into_id FROM consolidated WHERE into_id IS NULL OR into_id <> record_id ORDER BY record_id, run"
    ).fetchall()
    return tuple(
        Archived(id=f"m{i}", run=run, into=None if into is None else f"m{into}") for i, run, into in found if int(i) in shown
    )


def _conflicts(rows: Rows, active: list[tuple[object, ...]]) -> dict[str, tuple[str, ...]]:
    groups: dict[tuple[object, object], list[int]] = {}
    texts: dict[int, object] = {}
    for number, *_, digest, _name, _owner, _body, key, scope in active:
        if key is not None:
            groups.setdefault((key, scope), []).append(int(str(number)))
            texts[int(str(number))] = digest
    out = {}
    for (key, _), ids in groups.items():
        if len({texts[i] for i in ids}) > 1:
            subject, attribute = rows.execute("SELECT subject, attribute FROM keys WHERE id = ?", (key,)).fetchone()
            out[f"{subject}/{attribute}"] = tuple(f"m{i}" for i in ids)
    return out
