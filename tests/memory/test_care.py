"""Looking after a memory: audit, consolidation and its undoing, retention, and one person's many handles."""

from __future__ import annotations

import pytest

from contextkit.errors import InputError
from contextkit.memory import Status, times

ANN, MAIL, CHAT = {"user": "ann"}, {"user": "ann@example.org"}, {"user": "U77"}
LONG = "The quarterly report of the north plant goes to Keller every first Monday"


@pytest.fixture
def moved(monkeypatch):
    """Moves the clock by so many days."""
    real, ahead = times.now, [0.0]
    monkeypatch.setattr(times, "now", lambda: real() + int(ahead[0] * times.DAY))
    return lambda days: ahead.__setitem__(0, days)


def test_audit_names_what_is_wrong(store):
    first = store.remember(LONG, scope=ANN, valid_from="2024-01-01")
    second = store.remember(f"{LONG}.", scope=ANN, valid_from="2024-02-01")
    store.remember("You are a helpful assistant.", scope=ANN)
    a = store.remember("Oslo", scope=ANN, key="x/city", valid_from="2024-01-01")
    b = store.remember("Rome", scope=ANN, key="x/city", valid_from="2024-01-01", source={"platform": "crm"})
    found = store.audit()
    assert found.duplicates == ((second.id, first.id),)
    assert len(found.boilerplate) == 1
    assert found.conflicts == {"x/city": (a.id, b.id)}
    assert found.records == 5
    assert 0 < found.junk < 1
    assert store.audit(scope={"user": "bob"}).records == 0


def test_consolidation_can_be_undone(store):
    first = store.remember(LONG, scope=ANN, valid_from="2024-01-01")
    second = store.remember(f"{LONG}!", scope=ANN, valid_from="2024-02-01")
    done = store.consolidate()
    assert done.merged == ((second.id, first.id),)
    assert [m.id for m in store.recall("report", scope=ANN)] == [first.id]
    assert store.get(second.id).status is Status.ARCHIVED
    assert store.audit().duplicates == ()
    assert store.undo(done.id) == 1
    assert store.get(second.id).status is Status.ACTIVE
    with pytest.raises(InputError, match="no consolidation"):
        store.undo(done.id)


def test_what_is_used_fades_later(store, moved):
    used = store.remember("the red folder is in room 5", scope=ANN, kind="episodic")
    idle = store.remember("a lorry passed the gate", scope=ANN, kind="episodic")
    fact = store.remember("Ann lives in Oslo", scope=ANN, key="ann/city", kind="episodic")
    for _ in range(6):
        store.recall("red folder in room 5", scope=ANN, k=1)
    store.remember("something to write the notes with", scope=ANN)
    moved(100)
    done = store.consolidate(archive_after=2)
    assert done.faded == (idle.id,)
    assert store.get(used.id).status is Status.ACTIVE
    assert store.get(fact.id).status is Status.ACTIVE
    assert idle.id in {m.id for m in store.recall("lorry", scope=ANN, archived=True)}
    assert idle.id not in {m.id for m in store.recall("lorry", scope=ANN)}


def test_retention_erases(store, moved, tmp_path):
    store.retain({"user": "ann"}, 30)
    store.remember("the quokka is ill", scope={"user": "ann", "session": "s1"})
    store.remember("the heron is well", scope={"user": "bob"})
    assert store.expire() is None
    moved(31)
    store.remember("the newt is new", scope=ANN)
    proof = store.expire()
    assert proof.ids == ("m1",)
    assert b"quokka" not in b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert {m.text for m in store.recall("animal", scope=ANN)} == {"the newt is new"}
    with pytest.raises(InputError, match="days"):
        store.retain(ANN, 0)


def test_a_person_is_followed_from_mail_to_chat(store):
    store.remember("prefers the window seat", scope=MAIL)
    store.remember("has a cat", scope=CHAT)
    store.link("ann@example.org", "ann")
    waits = store.link("U77", "ann", confirmed=False, evidence="same name")
    assert (waits.confirmed, waits.person) == (False, "ann")
    assert [m.text for m in store.recall("what?", scope=ANN)] == ["prefers the window seat"]
    assert store.recall("cat", scope=MAIL, k=10)[0].text == "prefers the window seat"
    store.link("U77", "ann")
    assert {m.text for m in store.recall("what?", scope=MAIL)} == {"prefers the window seat", "has a cat"}
    store.unlink("U77")
    assert {m.text for m in store.recall("what?", scope=CHAT)} == {"has a cat"}
    proof = store.forget(person="ann@example.org")
    assert len(proof.ids) == 1
    assert store.recall("cat", scope=CHAT), "forgetting crosses confirmed links only"
    assert store.links() == []


def test_links_are_proposed_with_their_evidence(store):
    store.remember("Ann's email is ann@example.org", scope=ANN, key="ann/email")
    store.remember("the email is ANN@example.org", scope=CHAT, key="U77/email")
    store.remember("Bob's email is bob@example.org", scope={"user": "bob"}, key="bob/email")
    (found,) = store.links(propose=True)
    assert (found.handle, found.person, found.confirmed) == ("U77", "ann", False)
    assert "ANN@example.org" in found.evidence
    assert [m.text for m in store.recall("email", scope=ANN)] == ["Ann's email is ann@example.org"]


def test_links_that_cannot_be(store):
    store.link("ann@example.org", "ann")
    for handle, person in (("ann@example.org", "bob"), ("ann", "ann"), ("ann", "bob"), ("", "ann")):
        with pytest.raises(InputError):
            store.link(handle, person)
    with pytest.raises(InputError, match="nobody"):
        store.unlink("zed")
