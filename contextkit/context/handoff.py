"""`Handoff`: what one agent passes on to another: goal, decisions, facts with references to their evidence, open items.

Evidence is referred to, and read again with their own rights by whoever loads a hand-off. A fact whose evidence is gone, changed
or not visible to them is flagged and not passed on; a claim without evidence stays a claim at every hop.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from contextkit.context.checked import Checked
from contextkit.context.packet import Packet
from contextkit.errors import InputError
from contextkit.types import Principal

if TYPE_CHECKING:
    from contextkit.catalog import Catalog as CatalogReader

VERSION = 1
MOST_HOPS = 8


class Evidence(Checked):
    """A run of a document's text, named and not copied.

    Attributes:
        document_id: the document.
        start: first character.
        end: one past the last.
        digest: SHA-256 of the text there, shortened: whether it is still the same.
    """

    document_id: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    digest: str


class Fact(Checked):
    """Something that an agent holds to be so.

    Attributes:
        text: in words.
        evidence: where it stands; none: it is a claim, and stays one.
    """

    text: str = Field(min_length=1)
    evidence: tuple[Evidence, ...] = ()

    @property
    def is_claim(self) -> bool:
        """Whether nothing proves it."""
        return not self.evidence


class Trouble(StrEnum):
    """Why a fact is not passed on."""

    GONE = "gone"
    CHANGED = "changed"
    HIDDEN = "hidden"


class Flagged(Checked):
    """A fact that was not passed on to the receiver; its text is kept from them where they may not see its evidence.

    Attributes:
        text: the fact, or "" where the receiver may not see it.
        trouble: why.
        document_id: whose text is the trouble, or "" where the receiver may not know.
    """

    text: str
    trouble: Trouble
    document_id: str


class Handoff(Checked):
    """A packet from one agent to another. JSON by `model_dump_json()`, its schema by `Handoff.model_json_schema()`.

    Attributes:
        version: of this form.
        sender: the agent that hands over.
        receiver: the agent that goes on.
        goal: what is to be reached.
        decisions: what was decided, and is not to be decided again.
        facts: what is known, with its evidence.
        open_items: what is left to do.
        remaining_budget: tokens that the receiver may spend, or None.
        hops: the agents that handed it on, the first sender first.
        flagged: facts that were taken out for the receiver.
        receipt: id of the packet's receipt.
        index: unique id of the index that the evidence is in.
    """

    version: Literal[1] = 1
    sender: str
    receiver: str
    goal: str
    decisions: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    open_items: tuple[str, ...] = ()
    remaining_budget: int | None = Field(default=None, ge=0)
    hops: tuple[str, ...] = ()
    flagged: tuple[Flagged, ...] = ()
    receipt: str = ""
    index: str = ""


SCHEMA = "handoff.schema.json"
"""The published JSON schema, beside this module."""


def handoff_schema() -> dict[str, object]:
    """The JSON schema of a hand-off of this version, as it is published in `handoff.schema.json`."""
    made = Handoff.model_json_schema(mode="serialization")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "$id": f"urn:contextkit:handoff:{VERSION}", **made}


def schema_text() -> str:
    """The schema as the published file has it, byte for byte."""
    return json.dumps(handoff_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


ReadText = Callable[[str], str | None]
"""A document's text by its id as the receiver sees it: None where it is gone; PermissionError where they may not see it."""


def evidence_digest(text: str) -> str:
    """What tells whether evidence is still the same text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def hand_over(
    packet: Packet,
    *,
    sender: str,
    to: str,
    goal: str = "",
    decisions: Sequence[str] = (),
    claims: Sequence[str] = (),
    open_items: Sequence[str] = (),
    remaining_budget: int | None = None,
    previous: Handoff | None = None,
) -> Handoff:
    """The hand-off of a packet: its delivered runs become facts with evidence; `claims` are facts without.

    Raises:
        InputError: the receiver is empty, had it before (a loop), or the hop limit is reached.
    """
    hops = (*(previous.hops if previous else ()), sender)
    if not to.strip():
        raise InputError("a hand-off needs the name of the agent that goes on")
    if to in hops:
        raise InputError(f"handing over to {to!r} is a loop: it went {' -> '.join(hops)}; end the task or ask a person")
    if len(hops) > MOST_HOPS:
        raise InputError(f"{len(hops)} hops are more than {MOST_HOPS}: {' -> '.join(hops)}; end the task or ask a person")
    own = [
        Fact(
            text=item.text,
            evidence=(Evidence(document_id=item.document_id, start=item.start, end=item.end, digest=evidence_digest(item.text)),),
        )
        for item in packet.items
    ]
    known = previous.facts if previous else ()
    return Handoff(
        sender=sender, receiver=to, goal=goal or (previous.goal if previous else packet.question),
        decisions=(*(previous.decisions if previous else ()), *decisions),
        facts=tuple(dict.fromkeys((*known, *own, *(Fact(text=claim) for claim in claims)))), open_items=tuple(open_items),
        remaining_budget=remaining_budget, hops=hops, flagged=previous.flagged if previous else (),
        receipt=packet.receipt.id, index=packet.receipt.index,
    )  # fmt: skip


def receive(given: Handoff | str, read: ReadText, *, agent: str) -> Handoff:
    """The hand-off as its receiver may use it: every evidence read again, facts that do not hold flagged and taken out.

    Args:
        given: the hand-off, or its JSON.
        read: documents as the receiver sees them.
        agent: who receives.

    Raises:
        InputError: it is not for this agent, is no hand-off of a known version, or went in a circle.
    """
    handoff = _parsed(given) if isinstance(given, str) else given
    if handoff.receiver != agent:
        raise InputError(f"this hand-off is for {handoff.receiver!r}, not for {agent!r}")
    if agent in handoff.hops or len(handoff.hops) > MOST_HOPS:
        raise InputError(f"this hand-off went {' -> '.join((*handoff.hops, agent))}: a loop, or more than {MOST_HOPS} hops")
    facts: list[Fact] = []
    flagged = list(handoff.flagged)
    for fact in handoff.facts:
        trouble = next((t for e in fact.evidence if (t := _trouble(e, read)) is not None), None)
        if trouble is None:
            facts.append(fact)
        elif trouble[0] is Trouble.HIDDEN:
            flagged.append(Flagged(text="", trouble=Trouble.HIDDEN, document_id=""))
        else:
            flagged.append(Flagged(text=fact.text, trouble=trouble[0], document_id=trouble[1]))
    return handoff.model_copy(update={"facts": tuple(facts), "flagged": tuple(flagged)})


def _trouble(evidence: Evidence, read: ReadText) -> tuple[Trouble, str] | None:
    try:
        text = read(evidence.document_id)
    except PermissionError:
        return Trouble.HIDDEN, ""
    if text is None:
        return Trouble.GONE, evidence.document_id
    if evidence_digest(text[evidence.start : evidence.end]) != evidence.digest:
        return Trouble.CHANGED, evidence.document_id
    return None


def _parsed(text: str) -> Handoff:
    from pydantic import ValidationError

    try:
        return Handoff.model_validate_json(text)
    except (ValidationError, InputError) as error:
        raise InputError(f"this is no hand-off of version {VERSION}: {str(error).splitlines()[0]}") from error


def reader_for(catalog: CatalogReader, principal: Principal | None) -> ReadText:
    """Documents as a principal sees them, by the index's current generation."""
    visible = catalog.visible(None, principal)

    def read(document_id: str) -> str | None:
        found = catalog.document(document_id, visible)
        if found is not None:
            return catalog.content_text(found.content_id)
        if catalog.document(document_id) is not None:
            raise PermissionError(document_id)
        return None

    return read
