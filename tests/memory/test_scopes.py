"""Isolation: nobody ever sees a record outside the reach of their scope."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.errors import InputError
from contextkit.memory.scopes import LEVELS, checked, name_of, owners, reaches, wider

NAMES = ("a", "b")
scopes = st.dictionaries(st.sampled_from(LEVELS), st.sampled_from(NAMES), min_size=1)


def allowed(reader, record):
    """The rule again, said in another way: the record's scope may name nothing else than the reader's, but for a session of the
    reader's own narrowest level."""
    if all(reader.get(level) == value for level, value in record.items()):
        return True
    if "session" in reader or "session" not in record:
        return False
    rest = {level: value for level, value in record.items() if level != "session"}
    narrowest = max(reader, key=LEVELS.index)
    return narrowest in rest and all(reader.get(level) == value for level, value in rest.items())


@given(scopes, scopes)
@settings(max_examples=2000, deadline=None)
def test_reach(reader, record):
    assert reaches(checked(reader), checked(record)) == allowed(reader, record)


@given(scopes, scopes)
@settings(max_examples=1000, deadline=None)
def test_the_names_that_are_looked_up_say_the_same(reader, record):
    mine, theirs = checked(reader), checked(record)
    found = name_of(theirs) in wider(mine)
    if theirs[-1][0] == "session" and len(theirs) > 1:
        found = found or name_of(theirs[:-1]) in owners(mine)
    assert found == allowed(reader, record)


def test_500_random_principals_see_exactly_what_they_reach_of_300_records(store):
    chance = random.Random(5)

    def scope():
        return {level: chance.choice("abc") for level in LEVELS if chance.random() < 0.5} or {"user": chance.choice("abc")}

    texts = {}
    made = [scope() for _ in range(300)]
    from contextkit.memory import times
    from contextkit.memory.records import Kind
    from contextkit.memory.rows import Draft

    now = times.now() - 1000
    for memory, at in zip(
        store.write([Draft(f"the plan number {i}", Kind.SEMANTIC, checked(s), now) for i, s in enumerate(made)]),
        made,
        strict=True,
    ):
        texts[memory.id] = at
    seen = 0
    for _ in range(500):
        reader = scope()
        found = {m.id for m in store.recall("the plan", scope=reader, k=1000)}
        assert found == {i for i, at in texts.items() if allowed(reader, at)}
        seen += len(found)
    assert seen > 1000


def test_sessions_see_the_user_and_not_each_other(store):
    store.remember("Ann drinks tea", scope={"user": "ann"})
    store.remember("the first session", scope={"user": "ann", "session": "s1"})
    store.remember("the second session", scope={"user": "ann", "session": "s2"})
    store.remember("Bob drinks milk", scope={"user": "bob"})

    def texts(**scope):
        return {m.text for m in store.recall("what?", scope=scope, k=10)}

    assert texts(user="ann", session="s1") == {"Ann drinks tea", "the first session"}
    assert texts(user="ann") == {"Ann drinks tea", "the first session", "the second session"}
    assert texts(user="bob") == {"Bob drinks milk"}
    assert texts(session="s1") == set()
    assert texts(tenant="acme") == set()


def test_deny_beats_allow(store):
    store.remember("the salary list", scope={"team": "hr"})
    reader = {"user": "ann"}
    assert store.recall("salary", scope=reader) == []
    store.rule({"team": "hr"}, reader, allow=True)
    assert [m.text for m in store.recall("salary", scope=reader)] == ["the salary list"]
    store.rule({"team": "hr"}, {"user": "ann", "agent": "bot"}, allow=False)
    assert store.recall("salary", scope=reader)
    assert store.recall("salary", scope={"user": "ann", "agent": "bot"}) == []
    store.rule({"team": "hr"}, reader, allow=False)
    store.rule({"team": "hr"}, reader, allow=True)
    assert store.recall("salary", scope=reader) == []


@pytest.mark.parametrize("scope", [None, {}, {"planet": "x"}, {"user": ""}, {"user": 3}, "ann", {"user": "x" * 600}])
def test_scopes_that_cannot_work(store, scope):
    with pytest.raises(InputError, match="scope"):
        store.recall("x", scope=scope)
    with pytest.raises(InputError, match="scope"):
        store.remember("x", scope=scope)
