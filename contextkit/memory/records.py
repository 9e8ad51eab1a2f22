"""What a memory is to those who write and read it: kinds, states, sources, and the record itself.

Only the values live here. How they are stored is `schema.py`; when one is true is `validity.py`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Kind(StrEnum):
    """What sort of knowledge a record is."""

    WORKING = "working"
    EPISODIC = "episodic"
    SEMANTIC = "semantic"
    PROCEDURAL = "procedural"


class Status(StrEnum):
    """Where a record stands.

    PENDING waits for a yes; ACTIVE is believed; SUPERSEDED was replaced by newer knowledge (still true of its time);
    QUARANTINED held instructions from a source that may not give any; ARCHIVED has faded or went into a digest, and is found only
    when asked for, after what is active; FORGOTTEN was erased: its id, its kind, the time and the reason are left, no text.
    """

    PENDING = "pending"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    QUARANTINED = "quarantined"
    ARCHIVED = "archived"
    FORGOTTEN = "forgotten"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Record):
    """Where a record comes from.

    Attributes:
        platform: mail, chat, crm ..., or "".
        conversation: the thread or file there, or "".
        message_id: the message's id there, or "".
        author: who said it, or "".
        role: of the author in a chat: user, assistant, tool ..., or "".
        start: first character in the message that it was taken from.
        end: one past the last; 0 where the record is the whole message.
    """

    platform: str = ""
    conversation: str = ""
    message_id: str = ""
    author: str = ""
    role: str = ""
    start: int = 0
    end: int = 0

    def same(self, other: Source) -> bool:
        """Whether both are of one voice: the same author of the same platform."""
        return (self.platform, self.author or self.role) == (other.platform, other.author or other.role)


class Memory(_Record):
    """One record, as found.

    Attributes:
        id: names it in its store.
        text: what is known, verbatim.
        kind: what sort of knowledge.
        scope: whose it is.
        key: (subject, attribute) that a newer fact replaces it by, or None.
        valid_from: since when it is true in the world.
        valid_to: until when, exclusive; None: no end is known. Where a newer fact with the same key took over: when
            that one began.
        recorded_at: when the store learned it.
        superseded_at: when the store learned better; None: not so far.
        status: where it stands.
        trust: 0 to 1, never above the least trusted record that it was derived from.
        importance: 0 to 1.
        source: where it comes from.
        lineage: ids of the records that it was derived from.
        uses: how often it was recalled.
        last_used: when last; None: never.
        score: of this recall; 0 where nothing was asked.
        conflicts: ids of records that say otherwise, where neither supersedes the other.
    """

    id: str
    text: str
    kind: Kind
    scope: dict[str, str]
    key: tuple[str, str] | None = None
    valid_from: datetime
    valid_to: datetime | None = None
    recorded_at: datetime
    superseded_at: datetime | None = None
    status: Status = Status.ACTIVE
    trust: float = Field(default=1.0, ge=0, le=1)
    importance: float = Field(default=0.5, ge=0, le=1)
    source: Source = Source()
    lineage: tuple[str, ...] = ()
    uses: int = 0
    last_used: datetime | None = None
    score: float = 0.0
    conflicts: tuple[str, ...] = ()


class Period(_Record):
    """The time that a question is about.

    Attributes:
        phrase: the words that name it.
        begin: from when; None: no beginning.
        until: until when, exclusive; None: no end.
        anchor: id of the record that tells of the event which the phrase names; None: it names a time, or nothing tells of it.
        told: how the phrase was read, in one line; where nothing known tells of the event, that the time is not narrowed.
    """

    phrase: str
    begin: datetime | None = None
    until: datetime | None = None
    anchor: str | None = None
    told: str

    @property
    def narrows(self) -> bool:
        """Whether it says anything of the time."""
        return self.begin is not None or self.until is not None


class Recall(_Record):
    """What a recall packed.

    Attributes:
        text: as it is to be sent.
        tokens: of `text`.
        budget: the most that `tokens` may be.
        items: the records in it, in delivered order.
        period: the time that the question names, as it was read; None where it names none.
    """

    text: str
    tokens: int
    budget: int
    items: tuple[Memory, ...]
    period: Period | None = None


class Decision(_Record):
    """What became of something that was offered to the memory.

    Attributes:
        action: "stored", "refused" (kept out), "quarantined" (kept, not believed) or "known" (it is there already).
        reason: why, in one line.
        id: of the record that was made, or that holds it already; None where there is none.
        text: what was offered, shortened; "" where it must not be shown.
        kind: what it was stored as; None where it was not.
    """

    action: str
    reason: str
    id: str | None = None
    text: str = ""
    kind: Kind | None = None
