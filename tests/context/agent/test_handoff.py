"""Hand-offs: evidence by reference, read again with the receiver's rights; claims stay claims; loops end."""

from __future__ import annotations

import json

import pytest

import contextkit as ck
from contextkit.context.handoff import MOST_HOPS, Handoff
from contextkit.testing import TinyEmbedder

TEAM = [
    ck.Document("bees", "Ann keeps the bees on the roof."),
    ck.Document("pay", "Cleo earns the most of all bees people.", access=["user:cleo"]),
]
CLEO = ck.Principal("cleo")


@pytest.fixture
def team(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(TEAM)
        yield kit


def packet(kit, agent="researcher", principal=CLEO):
    return kit.build(
        ck.AgentCall(agent=agent, question="Who of the bees people earns the most?", budget=500, principal=principal)
    )


def test_evidence_is_referred_to_and_read_again(team):
    handoff = team.handoff(
        packet(team), to="writer", decisions=["Use euros."], claims=["Bees like Ann."], open_items=["Write."], principal=CLEO
    )
    assert (handoff.sender, handoff.receiver, handoff.hops) == ("researcher", "writer", ("researcher",))
    assert {e.document_id for f in handoff.facts for e in f.evidence} == {"bees", "pay"}
    assert [f.text for f in handoff.facts if f.is_claim] == ["Bees like Ann."]
    again = team.accept(handoff.model_dump_json(), "writer", principal=CLEO)
    assert again == handoff
    assert Handoff.model_json_schema()["properties"]["facts"]


def test_what_the_receiver_may_not_see_does_not_leave(team):
    handoff = team.handoff(packet(team), to="writer", principal=None)
    assert "Cleo" not in handoff.model_dump_json().replace("cleo", "")
    assert [(f.text, f.trouble, f.document_id) for f in handoff.flagged] == [("", "hidden", "")]
    passed = team.handoff(packet(team), to="writer", principal=CLEO)
    assert "Cleo earns" not in team.accept(passed, "writer").model_dump_json()


def test_evidence_that_changed_or_is_gone_is_flagged(team):
    handoff = team.handoff(packet(team), to="writer", principal=CLEO)
    team.add([ck.Document("bees", "Bob keeps the bees in the garden.")])
    changed = team.accept(handoff, "writer", principal=CLEO)
    assert [(f.trouble, f.document_id) for f in changed.flagged] == [("changed", "bees")]
    assert len(changed.facts) == len(handoff.facts) - 1
    team.remove(["bees"])
    assert [f.trouble for f in team.accept(handoff, "writer", principal=CLEO).flagged] == ["gone"]


def test_a_claim_stays_a_claim_at_every_hop_and_loops_end(team):
    previous = team.handoff(packet(team), to="agent 1", claims=["The moon is green."], principal=CLEO)
    for n in range(1, MOST_HOPS):
        previous = team.handoff(packet(team, f"agent {n}"), to=f"agent {n + 1}", previous=previous, principal=CLEO)
    assert next(f for f in previous.facts if "moon" in f.text).is_claim
    assert len(previous.facts) == 3  # the same evidence is one fact
    with pytest.raises(ck.InputError, match="hops are more than 8"):
        team.handoff(packet(team, f"agent {MOST_HOPS}"), to="last", previous=previous)
    with pytest.raises(ck.InputError, match="'researcher' is a loop"):
        team.handoff(packet(team, "agent 1"), to="researcher", previous=team.handoff(packet(team), to="agent 1"))


def test_what_is_no_hand_off_for_this_agent(team):
    handoff = team.handoff(packet(team), to="writer")
    with pytest.raises(ck.InputError, match="for 'writer', not for 'reader'"):
        team.accept(handoff, "reader")
    newer = {**json.loads(handoff.model_dump_json()), "version": 2}
    for bad in (json.dumps(newer), "{}", "nonsense"):
        with pytest.raises(ck.InputError, match="no hand-off of version 1"):
            team.accept(bad, "writer")
    with pytest.raises(ck.InputError, match="needs the name"):
        team.handoff(packet(team), to=" ")
