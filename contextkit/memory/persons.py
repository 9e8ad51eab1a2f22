"""One person, many handles: which names of users, mail addresses and chat ids are the same person.

Recall and forget cross confirmed links only. Inferred ones are kept with their evidence and wait for a yes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from contextkit.errors import InputError
from contextkit.memory import rows as records
from contextkit.memory import scopes, times
from contextkit.memory.scopes import Pairs

if TYPE_CHECKING:
    from contextkit.memory.core import Core
    from contextkit.protocols import Rows

_TELLING = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w|\+?\d[\d ()/-]{6,}\d")


class Link(BaseModel):
    """That a handle is a person.

    Attributes:
        handle: the name in scopes that is linked.
        person: the name that it is linked to.
        confirmed: False where it was only inferred.
        evidence: what speaks for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    handle: str
    person: str
    confirmed: bool
    evidence: str


def canonical(rows: Rows, user: str) -> str:
    """The person whom a name is linked to, by a confirmed link; else the name itself."""
    found = rows.execute("SELECT person FROM persons WHERE handle = ? AND confirmed = 1", (user,)).fetchone()
    return user if found is None else str(found[0])


def handles(rows: Rows, user: str) -> list[str]:
    """All names of the person who has this one, by confirmed links only; the name itself first."""
    person = canonical(rows, user)
    rest = rows.execute("SELECT handle FROM persons WHERE person = ? AND confirmed = 1 ORDER BY handle", (person,)).fetchall()
    return list(dict.fromkeys([user, person, *(str(row[0]) for row in rest)]))


def forms(rows: Rows, reader: Pairs) -> tuple[Pairs, ...]:
    """A scope once for each name of its user, as it is given first."""
    user = dict(reader).get("user")
    if user is None:
        return (reader,)
    return tuple(tuple((level, name if level == "user" else value) for level, value in reader) for name in handles(rows, user))


def link(store: Core, handle: str, person: str, *, confirmed: bool, evidence: str) -> Link:
    """See `MemoryStore.link`."""
    scopes.checked({"user": handle}, "handle")
    scopes.checked({"user": person}, "person")
    with store.writing() as rows:
        to = canonical(rows, person)
        held = rows.execute("SELECT person, confirmed FROM persons WHERE handle = ?", (handle,)).fetchone()
        if to == handle or rows.execute("SELECT 1 FROM persons WHERE person = ? AND confirmed = 1", (handle,)).fetchone():
            raise InputError(f"{handle!r} is a person with handles of its own: link {person!r} to it, the other way round")
        if held is not None and held[1] and held[0] != to:
            raise InputError(f"{handle!r} is {held[0]!r} already: unlink it first, if that was wrong")
        if held is None or confirmed:
            rows.execute(
                "INSERT INTO persons VALUES (?, ?, ?, ?, ?) ON CONFLICT (handle) DO UPDATE SET person = excluded.person, "
                "confirmed = excluded.confirmed, evidence = excluded.evidence, linked = excluded.linked",
                (handle, to, int(confirmed), evidence, times.now()),
            )
        return next(found for found in links(rows) if found.handle == handle)


def confirm(store: Core, handle: str) -> Link:
    """See `MemoryStore.confirm`."""
    with store.reading() as rows:
        held = next((found for found in links(rows) if found.handle == handle), None)
    if held is None or held.confirmed:
        state = "is not linked to anybody" if held is None else f"is {held.person!r} already"
        raise InputError(f"{handle!r} {state}: links() lists what waits for a yes")
    return link(store, handle, held.person, confirmed=True, evidence=held.evidence)


def links(rows: Rows) -> list[Link]:
    """All links, by handle."""
    found = rows.execute("SELECT handle, person, confirmed, evidence FROM persons ORDER BY handle").fetchall()
    return [Link(handle=h, person=p, confirmed=bool(c), evidence=e) for h, p, c, e in found]


def suggest(store: Core) -> None:
    """Notes users who have a mail address or phone number in common as one person, unconfirmed."""
    with store.reading() as rows:
        known = {one.handle for one in links(rows)}
        found = rows.execute(
            "SELECT r.text, s.name FROM records r JOIN scopes s ON s.id = r.scope_id JOIN keys k ON k.id = r.key_id "
            "WHERE r.status = ? AND (k.attribute LIKE '%mail%' OR k.attribute LIKE '%phone%' OR k.attribute LIKE '%number%') "
            "ORDER BY r.id",
            (records.ACTIVE,),
        ).fetchall()
        first: dict[str, str] = {}
        same: list[tuple[str, str, str]] = []
        for text, name in found:
            user = dict(scopes.pairs_of(name)).get("user")
            for value in _TELLING.findall(text) if user else ():
                mark = value.lower() if "@" in value else re.sub(r"\D", "", value)
                other = first.setdefault(mark, str(user))
                if other != user and user not in known and user not in handles(rows, other):
                    same.append((str(user), other, value))
    for user, other, value in same:
        link(store, user, other, confirmed=False, evidence=f"both have {value}")
