"""Erasure: afterwards no byte of the text is in any file."""

from __future__ import annotations

import pytest

from contextkit.errors import IndexLocked, InputError

ANN, BOB = {"user": "ann"}, {"user": "bob"}


def fill(store):
    for i in range(40):
        store.remember(f"Bob keeps zebra number {i} in the quagmire paddock", scope=BOB)
    return store.remember(
        "Ann hides the xylophone under the quincunx", scope=ANN, key=("ann", "xylophone"), source={"author": "Annabel"}
    )


def test_no_byte_is_left(store, traces):
    made = fill(store)
    assert traces("quincunx")
    proof = store.forget(id=made.id)
    for word in ("xylophone", "quincunx", "Annabel", "xylophon"):
        assert traces(word) == [], word
    assert (proof.ids, proof.what, proof.found, proof.searched) == ((made.id,), "record", 0, 1)
    assert store.recall("xylophone", scope=ANN) == []
    assert len(store.recall("zebra in the paddock", scope=BOB, k=50)) == 40
    store.close()
    assert traces("quincunx") == []


def test_a_person_with_sessions_state_and_what_was_derived(store, traces):
    fill(store)
    store.observe([{"role": "user", "content": "I live in Quedlinburg near the oxbow."}], scope={"user": "ann", "session": "s1"})
    store.remember(
        "whoever lives near the oxbow gets wet", scope={"team": "sales"}, lineage=[store.history(key="ann/city")[0].id]
    )
    store.state("ann-session", scope={"user": "ann", "session": "s1"}).put({"draft": "oxbow letter"})
    proof = store.forget(person="ann")
    for word in ("oxbow", "Quedlinburg", "quedlinburg", "xylophone", "ann-session", '"ann"'):
        assert traces(word) == [], word
    assert proof.states == 1
    assert len(proof.ids) == 4
    assert proof.derived == 1
    assert len(store.recall("zebra", scope=BOB, k=50)) == 40


def test_a_session_a_key_and_what_stays(store, traces):
    store.remember("kept: the oak", scope=ANN)
    store.remember("gone: the elm", scope={"user": "ann", "session": "s1"})
    store.forget(scope={"user": "ann", "session": "s1"})
    assert traces("gone: the elm") == []
    assert [m.text for m in store.recall("tree", scope=ANN)] == ["kept: the oak"]
    store.remember("Rome it was", scope=ANN, key="ann/city", valid_from="2020-01-01")
    store.remember("Rome it was not", scope=BOB, key="ann/city", valid_from="2020-01-01")
    store.forget(key="ann/city", scope=ANN)
    assert [m.scope for m in store.history(key="ann/city")] == [BOB]


def test_the_older_fact_holds_again(store):
    store.remember("Oslo", scope=ANN, key="ann/city", valid_from="2020-01-01")
    newer = store.remember("Rome", scope=ANN, key="ann/city", valid_from="2021-01-01")
    store.forget(id=newer.id)
    assert [(m.text, str(m.status)) for m in store.recall("city", scope=ANN)] == [("Oslo", "active")]


def test_the_same_words_of_another_are_not_forgotten(store):
    mine = store.remember("the gate code is on the board", scope=ANN)
    store.remember("the gate code is on the board", scope=BOB)
    assert store.forget(id=mine.id).found == 1
    assert store.recall("gate code", scope=BOB)


def test_another_reader_sees_it_gone(opened):
    store, other = opened(), opened()
    made = fill(store)
    assert other.recall("xylophone", scope=ANN)
    store.forget(id=made.id)
    assert other.recall("xylophone", scope=ANN) == []


def test_a_reader_in_the_way_is_named_and_nothing_comes_back(opened, traces):
    store, other = opened(wait=0.2), opened()
    made = fill(store)
    with other.backend.reading() as rows:
        rows.execute("SELECT count(*) FROM records").fetchone()
        with pytest.raises(IndexLocked, match="call purge again"):
            store.forget(id=made.id)
    assert store.recall("xylophone", scope=ANN) == []
    store.backend.purge()
    assert traces("quincunx") == []


@pytest.mark.parametrize("asked", [{}, {"id": "m99"}, {"id": "nine"}, {"id": "m1", "person": "ann"}])
def test_forget_needs_one_thing_that_is_there(store, asked):
    store.remember("x marks the spot", scope=ANN)
    with pytest.raises(InputError):
        store.forget(**asked)
    assert store.audit().records == 1
