"""Consolidation: near duplicates and long episodes become digests, exactly undoable, and forgetting reaches through them."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.errors import InputError
from contextkit.memory import Kind, Status
from contextkit.memory.digest import LEAST, MOST, SHARE, digest

ANN = {"user": "ann"}
TALK = [
    ("Ann", "Good morning!"),
    ("Bob", "Hi Ann, how was the weekend?"),
    ("Ann", "Great, thanks. We decided to buy the new lathe from Keller for 42,000 EUR."),
    ("Bob", "Nice."),
    ("Ann", "The old lathe goes to the school in Lindau. They will fetch it in May."),
    ("Bob", "Who pays for the transport of the lathe?"),
    ("Ann", "The school does, it is 600 EUR."),
    ("Bob", "I will send the contract to Keller by Friday."),
    ("Ann", "OK, thank you."),
    ("Bob", "The weather is really nice today, is it not?"),
    ("Ann", "It is, the sun is out and everybody sits in the yard at lunch and chats about this and that."),
    ("Bob", "See you tomorrow."),
]


def everywhere(folder, text):
    return [p.name for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


def talk(store, session="s1", day="2020-03-02", lines=TALK):
    said = [{"role": "user", "name": n, "content": f"{t}", "time": day} for n, t in lines]
    return store.observe(said, scope={**ANN, "session": session})


def known(store):
    """All there is but how often it was used."""
    lines = [json.loads(line) for line in store.export()]
    return [{k: v for k, v in line.items() if k not in ("uses", "last_used")} for line in lines]


def turns(store, status):
    lines = [json.loads(line) for line in store.export()]
    return [m["id"] for m in lines if m["thread"] and m["status"] == status]


def test_a_digest_says_most_in_the_words_of_its_originals():
    text = digest(TALK)
    assert "We decided to buy the new lathe from Keller for 42,000 EUR." in text
    assert "Good morning" not in text
    assert "See you tomorrow" not in text
    assert text.startswith("Ann: ")
    assert len(text) < 0.6 * sum(len(t) for _, t in TALK)
    assert digest(TALK) == text
    assert digest([]) == digest([("Ann", "..."), ("Bob", "")]) == ""


lines = st.lists(st.tuples(st.sampled_from(["Ann", "Bob", ""]), st.text(max_size=300)), max_size=30)


@given(lines)
@settings(deadline=None, max_examples=150)
def test_every_sentence_of_a_digest_stands_in_its_originals_in_order(said):
    text = digest(said)
    names = sum(len(n) + 2 for n, _ in said)
    assert len(text) <= min(MOST, max(LEAST, round(SHARE * sum(len(t) for _, t in said)))) + names
    whole = " ".join(" ".join(t.split()) for _, t in said)
    place = 0
    for word in text.replace("Ann: ", "").replace("Bob: ", "").split():
        found = whole.find(word, place)
        assert found >= 0
        place = found


def test_old_episodes_become_a_digest_that_points_back(store):
    talk(store)
    before = known(store)
    done = store.consolidate(older_than=30)
    (made,) = done.digests
    kept = store.get(made.id)
    assert kept.lineage == made.originals
    assert set(made.originals) == set(turns(store, "archived"))
    assert kept.kind is Kind.EPISODIC
    assert kept.scope == {"user": "ann", "session": "s1"}
    assert kept.trust == min(store.get(i).trust for i in made.originals)
    found = store.recall("what was decided about the lathe?", scope=ANN, kinds=["episodic"])
    assert [m.id for m in found] == [made.id]
    assert f"digest of {made.originals[0]} to {made.originals[-1]}" in store.recall_text("the lathe", scope=ANN)
    everything = store.recall("what was decided about the lathe?", scope=ANN, archived=True, k=50)
    assert set(made.originals) <= {m.id for m in everything}, "archived, not erased"
    assert store.undo(done.id) == len(made.originals)
    assert known(store) == before


def test_a_second_run_changes_nothing_more(store):
    for i in range(3):
        talk(store, f"s{i}", f"2020-03-0{i + 1}", [(n, f"{t} ({i} of {n})") for n, t in TALK])
    for words in ("one", "two", "three"):
        store.write([_free(f"{NEAR} {words}")])
    assert store.consolidate(older_than=30, longer_than=20, archive_after=50).digests
    once = list(store.export())
    again = store.consolidate(older_than=30, longer_than=20, archive_after=50)
    assert (again.merged, again.digests, again.faded) == ((), (), ())
    assert list(store.export()) == once
    with pytest.raises(InputError, match="changed nothing"):
        store.undo(again.id)


def _free(text, **more):
    from contextkit.memory import times
    from contextkit.memory.rows import Draft

    return Draft(text, Kind.SEMANTIC, (("user", "ann"),), times.micros("2024-01-01"), **more)


NEAR = (
    "the report on the pumps of the north plant goes to Keller in Lindau every first Monday of a month before nine in the morning"
)


def test_near_duplicates_become_one_with_the_least_trust_of_both(store):
    first, second = store.write(
        [_free(NEAR, trust=0.9, importance=0.2), _free(NEAR.replace("before", "by"), trust=0.6, importance=0.7)]
    )
    before = list(store.export())
    done = store.consolidate()
    (made,) = done.digests
    kept = store.get(made.id)
    assert (kept.text, kept.trust, kept.importance, kept.lineage) == (NEAR, 0.6, 0.7, (first.id, second.id))
    assert done.merged == ((first.id, made.id), (second.id, made.id))
    assert [m.id for m in store.recall("report on the pumps", scope=ANN)] == [made.id]
    third = store.remember("the pumps are checked", scope=ANN, lineage=[made.id])
    store.undo(done.id)
    assert store.get(third.id).lineage == (first.id, second.id), "what came of the digest came of its originals"
    assert list(store.export())[:2] == before


def test_a_long_conversation_keeps_its_last_turns(store):
    made = talk(store, day="2020-03-02")
    ids = [d.id for d in made if d.kind is Kind.EPISODIC]
    done = store.consolidate(longer_than=5)
    assert done.digests[0].originals == tuple(ids[:-5])
    assert turns(store, "active") == ids[-5:]


def test_a_forgotten_original_takes_its_digest_with_it_and_the_others_come_back(store, tmp_path):
    made = talk(store)
    ids = [d.id for d in made if d.kind is Kind.EPISODIC]
    (one,) = store.consolidate(older_than=30).digests
    price = next(i for i in ids if "42,000" in store.get(i).text)
    proof = store.forget(id=price)
    assert {price, one.id} <= set(proof.ids)
    assert everywhere(tmp_path, "42,000") == []
    assert turns(store, "active") == [i for i in ids if i != price]
    (other,) = store.consolidate(older_than=30).digests
    assert "42,000" not in other.text
    assert price not in other.originals


def test_a_forgotten_digest_takes_its_originals_with_it(store, tmp_path):
    talk(store)
    (one,) = store.consolidate(older_than=30).digests
    proof = store.forget(id=one.id)
    assert set(one.originals) <= set(proof.ids)
    for word in ("lathe", "Keller", "Lindau"):
        assert everywhere(tmp_path, word) == [], word


def test_what_was_merged_into_a_forgotten_record_does_not_come_back(store):
    first = store.remember(NEAR, scope=ANN, valid_from="2024-01-01")
    second = store.remember(f"{NEAR}.", scope=ANN, valid_from="2024-02-01")
    assert store.consolidate().merged == ((second.id, first.id),)
    assert set(store.forget(id=first.id).ids) == {first.id, second.id}
    assert store.recall("report", scope=ANN, archived=True) == []


def test_a_forgotten_record_leaves_a_stone_without_text(store, opened, tmp_path):
    made = store.remember("Ann hides the xylophone", scope=ANN)
    proof = store.forget(person="ann")
    for memory in (store.get(made.id), *store.history(id=made.id), opened().get(made.id)):
        assert (memory.id, memory.text, memory.scope, memory.status) == (made.id, "", {}, Status.FORGOTTEN)
        assert proof.id in memory.source.conversation
        assert memory.source.message_id == "person"
        assert abs((memory.superseded_at - proof.time).total_seconds()) < 60
    assert everywhere(tmp_path, "xylophone") == []
    found = store.audit()
    assert found.statuses == {"forgotten": 1}
    assert found.records == 0
    for change in (lambda: store.correct(made.id, "x"), lambda: store.retract(made.id), lambda: store.forget(id=made.id)):
        with pytest.raises(InputError, match="was forgotten"):
            change()
    assert store.remember("something else", scope=ANN).id != made.id, "its id is never used again"


def test_audit_shows_what_is_archived_and_why(store):
    first = store.remember(NEAR, scope=ANN, valid_from="2024-01-01")
    second = store.remember(f"{NEAR}.", scope=ANN, valid_from="2024-02-01")
    talk(store)
    merged = store.consolidate()
    digested = store.consolidate(older_than=30)
    found = {a.id: a for a in store.audit().archived}
    assert (found[second.id].into, found[second.id].run) == (first.id, merged.id)
    for i in digested.digests[0].originals:
        assert (found[i].into, found[i].run) == (digested.digests[0].id, digested.id)


@pytest.mark.parametrize(
    "wrong", [{"older_than": 0}, {"older_than": "x"}, {"longer_than": 0}, {"longer_than": 1.5}, {"archive_after": -1}]
)
def test_what_cannot_be_consolidated(store, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        store.consolidate(**wrong)


@given(st.lists(st.sampled_from(["talk", "note", "consolidate", "undo", "forget"]), min_size=2, max_size=8), st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_undoing_gives_back_what_was(tmp_path_factory, steps, pick):
    """Whatever happened before: a consolidation followed by its undoing leaves the memory as it was."""
    from contextkit.memory import MemoryStore
    from contextkit.testing import TinyEmbedder

    store = MemoryStore(tmp_path_factory.mktemp("m"), TinyEmbedder())
    runs, count = [], itertools.count()
    for step in steps:
        if step == "talk":
            talk(store, f"s{next(count)}")
        elif step == "note":
            store.write([_free(f"{NEAR} {'!' * next(count)}"), _free(NEAR.replace("before", "by"))])
        elif step == "consolidate":
            runs.append(store.consolidate(older_than=30, archive_after=3))
        elif step == "undo" and runs:
            _try_undo(store, runs.pop())
        elif step == "forget":
            ids = [json.loads(line)["id"] for line in store.export()]
            if ids:
                store.forget(id=ids[pick % len(ids)])
    before = list(store.export())
    done = store.consolidate(older_than=30)
    middle = list(store.export())
    assert store.consolidate(older_than=30).merged == ()
    assert list(store.export()) == middle
    if done.merged or done.digests:
        store.undo(done.id)
    assert list(store.export()) == before
    store.close()


def _try_undo(store, run):
    try:
        store.undo(run.id)
    except InputError:
        assert True  # it changed nothing, or all that it had changed was forgotten
