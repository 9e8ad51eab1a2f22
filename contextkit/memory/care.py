"""The verbs of looking after a memory: state, forgetting, audit, approval, rules, persons, consolidation, export.

What people write and ask every day is `store.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contextkit.errors import InputError
from contextkit.memory import arguments, scopes
from contextkit.memory import rows as records
from contextkit.memory.core import Core
from contextkit.memory.records import Memory, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from contextkit.memory.audit import Audit
    from contextkit.memory.consolidate import Consolidation
    from contextkit.memory.forget import Erasure
    from contextkit.memory.persons import Link
    from contextkit.memory.state import Kept, State
    from contextkit.types import JSON


class Care(Core):
    """A memory with the verbs of care; see `contextkit.memory.store.MemoryStore`."""

    def state(self, name: str, *, scope: scopes.Scope | None = None) -> State:
        """The JSON value kept under a name, such as a session's or an agent's; with a scope it is forgotten with it."""
        from contextkit.memory.state import State

        return State(self, name, None if scope is None else scopes.checked(scope))

    def states(self, prefix: str, *, after: str = "", limit: int | None = None, newest: bool = False) -> list[Kept]:
        """The states (`.name .value .version`) whose names begin with `prefix`, by name in code point order, of one moment.

        Args:
            prefix: how the names begin; "" for all.
            after: only names beyond this one, for the next page.
            limit: at most so many; None: all.
            newest: the other order, last name first.
        """
        from contextkit.memory.state import listed

        with self.reading() as rows:
            return listed(rows, prefix, after, limit, newest=newest)

    def put_states(self, values: Mapping[str, JSON], *, scope: scopes.Scope | None = None) -> None:
        """Stores several states at once, all or none; None removes one.

        Raises:
            InputError: a name or a value that cannot be kept; nothing was written.
        """
        from contextkit.memory.state import put_all

        put_all(self, values, None if scope is None else scopes.checked(scope))

    def forget(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the word that users know
        key: tuple[str, str] | str | None = None,
        scope: scopes.Scope | None = None,
        person: str | None = None,
    ) -> Erasure:
        """The proof that something was erased: records with all that was derived from them, from every file of the memory.

        Args:
            id: one record.
            key: all records of a key; with a scope, only those of that scope and what is narrower.
            scope: all records of that scope and of every scope within it.
            person: all records of a user under each confirmed name.

        Raises:
            InputError: nothing is named, or there is no such record.
            IndexLocked: a reader keeps the log in use; the records are deleted, call again for the proof.
        """
        from contextkit.memory.forget import forget

        return forget(self, id=id, key=arguments.key(key), scope=None if scope is None else scopes.checked(scope), person=person)

    def audit(self, *, scope: scopes.Scope | None = None) -> Audit:
        """What the memory holds and what is wrong with it: duplicates, conflicts, what waits for a yes."""
        from contextkit.memory.audit import audit

        return audit(self, None if scope is None else scopes.checked(scope))

    def approve(self, id: str) -> Memory:  # noqa: A002 - the word that users know
        """A quarantined or pending record, believed from now on. Raises InputError where it is neither."""
        number = records.number(id)
        with self.writing() as rows:
            found = rows.execute("SELECT status, key_id, scope_id FROM records WHERE id = ?", (number,)).fetchone()
            if found is None or records.STATUSES[found[0]] not in (Status.PENDING, Status.QUARANTINED):
                raise InputError(f"{id} does not wait for a yes: audit lists what does")
            rows.execute("UPDATE records SET status = ?, seq = ? WHERE id = ?", (records.ACTIVE, records.next_seq(rows), number))
            if found[1] is not None:
                records.judge(rows, found[1], found[2], records.clock(rows, 1))
            return records.read(rows, [number])[number][0]

    def rule(self, record_scope: scopes.Scope, reader: scopes.Scope, *, allow: bool) -> None:
        """Lets a scope see the records of another one, or denies them; deny beats allow."""
        with self.writing() as rows:
            target, who = records.scope_id(rows, scopes.checked(record_scope)), scopes.name_of(scopes.checked(reader, "reader"))
            rows.execute(
                "INSERT INTO rules VALUES (?, ?, ?) ON CONFLICT (scope_id, reader) "
                "DO UPDATE SET allow = min(allow, excluded.allow)",
                (target, who, int(allow)),
            )

    def export(self) -> Iterator[str]:
        """All records as lines of JSON, oldest first, with what `load` needs to make the same memory elsewhere."""
        from contextkit.memory.transfer import export

        return export(self)

    def load(self, lines: Iterable[str]) -> int:
        """How many records of an export were added; those that are there already are not added again.

        Raises:
            InputError: a line that is none of an export, by its number; nothing was written.
        """
        from contextkit.memory.transfer import load

        return load(self, lines)

    def retain(self, scope: scopes.Scope, days: float | None) -> None:
        """Sets for how many days after their recording the records of a scope, and of all within it, are kept; None: for ever.

        `expire` erases what is over it.

        Raises:
            InputError: days is not above 0.
        """
        if days is not None and not arguments.number(days, "days") > 0:
            raise InputError(f"days={days!r} must be above 0, or None to keep for ever")
        name = scopes.name_of(scopes.checked(scope))
        with self.writing() as rows:
            rows.execute("DELETE FROM limits WHERE scope = ?", (name,))
            if days is not None:
                rows.execute("INSERT INTO limits VALUES (?, ?)", (name, float(days)))

    def expire(self) -> Erasure | None:
        """The proof of erasing what is over its retention; None where nothing is."""
        from contextkit.memory.forget import expire

        return expire(self)

    def consolidate(self, *, archive_after: float | None = None) -> Consolidation:
        """What was merged and archived, which `undo` takes back: later near duplicates of a record of the same owner and author.

        Args:
            archive_after: also records that were not used for so many half-lives of their kind; None: nothing fades. An archived
                record is found by `recall(..., archived=True)` alone.
        """
        from contextkit.memory.consolidate import consolidate

        return consolidate(self, archive_after)

    def undo(self, consolidation: str) -> int:
        """How many records a consolidation had changed; they are again as before. Raises InputError where there is no such id."""
        from contextkit.memory.consolidate import undo

        return undo(self, consolidation)

    def link(self, handle: str, person: str, *, confirmed: bool = True, evidence: str = "") -> Link:
        """The link from a handle (a mail address, a chat id, a CRM contact) to a person, both names of users in scopes.

        Recall and forget cross confirmed links only; others wait until they are linked again as confirmed.

        Raises:
            InputError: the names are the same, or the handle is another person's.
        """
        from contextkit.memory.persons import link

        return link(self, handle, person, confirmed=confirmed, evidence=evidence)

    def unlink(self, handle: str) -> None:
        """Takes a link back. Raises InputError where there is none."""
        with self.writing() as rows:
            if not rows.execute("DELETE FROM persons WHERE handle = ?", (handle,)).rowcount:
                raise InputError(f"{handle!r} is linked to nobody: links() lists the links there are")

    def links(self, *, propose: bool = False) -> list[Link]:
        """The links there are, confirmed or not; by handle.

        Args:
            propose: first looks for users who have a mail address or phone number in common, and notes them as unconfirmed.
        """
        from contextkit.memory.persons import links, suggest

        if propose:
            suggest(self)
        with self.reading() as rows:
            return links(rows)
