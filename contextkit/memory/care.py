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
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from contextkit.memory.audit import Audit
    from contextkit.memory.consolidate import Consolidation
    from contextkit.memory.forget import Erasure
    from contextkit.memory.persons import Link
    from contextkit.memory.state import Kept, State
    from contextkit.protocols import Extractor
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

    def change_states(
        self, prefix: str, change: Callable[[Kept | None], Mapping[str, JSON]], *, scope: scopes.Scope | None = None
    ) -> Kept | None:
        """The last state under a prefix; what `change` makes of it is stored in the transaction in which it was read.

        So several writers append to, and take from, one list of states without losing each other's.

        Args:
            prefix: how the names begin.
            change: given the last state by name (None: there is none), the states to store; None removes one.
            scope: whose the stored states are, or None.

        Raises:
            InputError: a name or a value that cannot be kept; nothing was written.
        """
        from contextkit.memory.state import change_all

        return change_all(self, prefix, change, None if scope is None else scopes.checked(scope))

    def use(self, extractor: Extractor | None, *, calls: int = 4, tokens: int = 8_000) -> None:
        """Lets an extractor, such as `contextkit.memory.ChatExtractor`, read what people say in `observe` from now on.

        It never sees the agent's own turns, echoes of what the agent was given, secrets, or what is quarantined. What it finds is
        judged as all else is, and is trusted less than its source. Where it fails, turns and the rules' facts are kept.

        Args:
            extractor: what reads; None: nothing any more.
            calls: most calls in one `observe`.
            tokens: most tokens in one `observe`, read and written.

        Raises:
            InputError: a cap is below 1.
        """
        from contextkit.memory.extractor import Capped

        self.extractor = None if extractor is None else Capped(extractor, calls, tokens)

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

    def rule(self, record_scope: scopes.Scope, reader: scopes.Scope, *, allow: bool | None) -> None:
        """Lets a scope see the records of another one, or denies them; deny beats allow, until None takes the rule back."""
        with self.writing() as rows:
            target, who = records.scope_id(rows, scopes.checked(record_scope)), scopes.name_of(scopes.checked(reader, "reader"))
            if allow is None:
                rows.execute("DELETE FROM rules WHERE scope_id = ? AND reader = ?", (target, who))
                return
            found = rows.execute("SELECT allow FROM rules WHERE scope_id = ? AND reader = ?", (target, who)).fetchone()
            rows.execute("DELETE FROM rules WHERE scope_id = ? AND reader = ?", (target, who))
            rows.execute("INSERT INTO rules VALUES (?, ?, ?)", (target, who, int(allow and (found is None or bool(found[0])))))

    def rules(self) -> list[tuple[dict[str, str], dict[str, str], bool]]:
        """(scope, reader, whether the reader sees the scope's records) of all rules, by scope and reader."""
        with self.reading() as rows:
            found = rows.execute(
                "SELECT s.name, r.reader, r.allow FROM rules r JOIN scopes s ON s.id = r.scope_id ORDER BY s.name, r.reader"
            ).fetchall()
        return [(dict(scopes.pairs_of(name)), dict(scopes.pairs_of(reader)), bool(allow)) for name, reader, allow in found]

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

    def limits(self) -> list[tuple[dict[str, str], float]]:
        """(scope, days) of every retention that is set, by scope."""
        with self.reading() as rows:
            found = rows.execute("SELECT scope, days FROM limits ORDER BY scope").fetchall()
        return [(dict(scopes.pairs_of(name)), float(days)) for name, days in found]

    def expire(self) -> Erasure | None:
        """The proof of erasing what is over its retention; None where nothing is."""
        from contextkit.memory.forget import expire

        return expire(self)

    def consolidate(
        self, *, archive_after: float | None = None, older_than: float | None = None, longer_than: int | None = None
    ) -> Consolidation:
        """What was merged, digested and archived, which `undo` takes back; a second call right after finds nothing more to do.

        Later near duplicates of a record of the same owner and author give way to the first, or to a digest. A digest is made of
        sentences of its originals, verbatim; its lineage names them, its trust is that of the least trusted, and they go to the
        archive, where `recall(..., archived=True)` alone finds them, after what is active.

        Args:
            archive_after: also records that were not used for so many half-lives of their kind; None: nothing fades.
            older_than: digests conversations whose last turn is so many days old; None: none.
            longer_than: digests all but the last so many turns of a conversation; None: none.

        Raises:
            InputError: a number that is not above 0.
        """
        from contextkit.memory.consolidate import consolidate

        return consolidate(self, archive_after, older_than, longer_than)

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

    def confirm(self, handle: str) -> Link:
        """The link of a handle that was only inferred, from now on confirmed. Raises InputError where none waits."""
        from contextkit.memory.persons import confirm

        return confirm(self, handle)

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
