"""The verbs: recall and its budget, state, corrections, export, bad input, and faults."""

from __future__ import annotations

import json
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.catalog import schema as catalogue
from contextkit.errors import BudgetExceeded, IndexDamaged, IndexMismatch, InputError, StateConflict
from contextkit.memory import Kind, MemoryStore, schema, times, when
from contextkit.protocols import MemoryBackend
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for

ANN = {"user": "ann"}


def test_the_backend_is_one(store):
    assert isinstance(store.backend, MemoryBackend)


def test_the_lexical_tables_are_those_of_the_catalogue():
    def columns(script, table):
        connection = sqlite3.connect(":memory:")
        connection.executescript(script)
        found = connection.execute(f"PRAGMA table_info({table})").fetchall()
        connection.close()
        return found

    for table in ("segments", "postings"):
        assert columns(schema.TABLES, table) == columns(catalogue._TABLES, table) != []


def test_recall_tells_dates_trust_and_source(store):
    store.remember(
        "Ann lives in Oslo",
        scope=ANN,
        key=("ann", "city"),
        valid_from="2024-01-01",
        source={"platform": "mail", "author": "Ann"},
        trust=0.8,
    )
    found = store.recall("where does Ann live?", scope=ANN)[0]
    assert (found.id, found.text, found.kind, found.trust, found.key) == (
        "m1",
        "Ann lives in Oslo",
        Kind.SEMANTIC,
        0.8,
        ("ann", "city"),
    )
    assert str(found.valid_from).startswith("2024-01-01")
    assert found.score > 0
    assert found.source.platform == "mail"
    text = store.recall_text("where does Ann live?", scope=ANN)
    assert "2024-01-01" in text
    assert "m1 2024-01-01" in text
    assert "mail" in text


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    store = MemoryStore(tmp_path_factory.mktemp("filled"), TinyEmbedder())
    for day in range(6):
        talk = [
            {"role": "user", "name": n, "content": f"{n} saw {i + day} herons by the lock, {w}", "time": f"2024-05-0{day + 1}"}
            for i, (n, w) in enumerate(
                [("Ann", "early"), ("Bob", "with a new camera and a flask of tea"), ("Ann", "at dusk 🙂")] * 4
            )
        ]
        store.observe(talk, scope={"user": "ann", "session": f"day {day}"})
        store.remember(f"Heron number {day} has a ring", scope=ANN, valid_from="2024-05-01")
    yield store
    store.close()


@given(
    budget=st.integers(1, 700), query=st.sampled_from(["herons", "who had a camera on 3 May 2024?", "Bob", "ring", "🙂", "zzz"])
)
@settings(max_examples=60, deadline=None)
def test_never_above_the_budget(filled, budget, query):
    counter = counter_for(None)
    try:
        packed = filled.recall_packed(query, scope=ANN, budget=budget)
    except BudgetExceeded:
        assert budget < 60
        return
    assert counter.count(packed.text) == packed.tokens <= budget
    assert packed.text == filled.recall_text(query, scope=ANN, budget=budget)
    for memory in packed.items[:1]:
        assert memory.text[:10] in packed.text or budget < 60


def test_the_time_in_a_question_narrows_validity(store):
    store.remember("Ann lives in Oslo", scope=ANN, key="ann/city", valid_from="2020-01-01")
    store.remember("Ann lives in Rome", scope=ANN, key="ann/city", valid_from="2023-06-01")
    assert store.recall("Where did Ann live in 2021?", scope=ANN)[0].text == "Ann lives in Oslo"
    assert store.recall("Where does Ann live?", scope=ANN)[0].text == "Ann lives in Rome"


def test_more_used_and_newer_rank_higher(store):
    old = store.remember("the stand-up is at nine in room A", scope=ANN, valid_from="2020-01-01")
    new = store.remember("the stand-up is at nine in room B", scope=ANN)
    assert [m.id for m in store.recall("when is the stand-up?", scope=ANN)] == [new.id, old.id]
    again = store.get(old.id)
    store.remember("another note", scope=ANN)
    assert store.get(old.id).uses == again.uses + 1


def test_derived_trust_is_never_above_its_lineage(store):
    weak = store.remember("heard at the bar", scope=ANN, trust=0.3)
    assert store.remember("so it is said", scope=ANN, lineage=[weak.id]).trust == 0.3


def test_state_is_compared_and_swapped(store, opened):
    state = store.state("session-1")
    assert (state.get(), state.version) == (None, 0)
    assert state.put({"step": 1}, expected_version=0) == 1
    assert opened().state("session-1").get() == {"step": 1}
    with pytest.raises(StateConflict, match="version 1, not 0"):
        state.put({"step": 9}, expected_version=0)
    assert state.put([1, "ü"], expected_version=1) == 2
    assert state.put(None) == 3
    with pytest.raises(InputError, match="JSON"):
        state.put({1, 2})
    assert state.version == 3


def test_export_and_load(store, opened, tmp_path):
    store.observe(
        [{"role": "user", "content": "I live in Oslo.", "time": "2024-01-05", "name": "Ann"}],
        scope={"user": "ann", "session": "s"},
    )
    wrong = store.remember("Olso", scope=ANN, key="x/city", valid_from="2024-01-01")
    store.correct(wrong.id, "Oslo")
    lines = list(store.export())
    assert all(json.loads(line) for line in lines)
    (tmp_path / "other").mkdir()
    other = opened(tmp_path / "other", embedder=TinyEmbedder("another", dimension=16))
    assert other.load(lines) == len(lines) == 4
    assert other.load(lines) == 0
    assert [json.loads(a)["text"] for a in other.export()] == [json.loads(a)["text"] for a in lines]
    for name in ("valid_from", "recorded_at", "status", "thread", "key", "trust", "lineage", "wrong"):
        assert [json.loads(a)[name] for a in other.export()] == [json.loads(a)[name] for a in lines], name
    with pytest.raises(InputError, match="line 2"):
        other.load([lines[0], '{"text": 3}'])


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""}, {"text": "x" * 100_001}, {"valid_from": "soon"}, {"valid_to": "2019-01-01", "valid_from": "2020-01-01"}, {"trust": 2},
        {"trust": "much"}, {"key": ("a",)}, {"key": "city"}, {"kind": "dream"}, {"lineage": ["m99"]}, {"lineage": ["x"]}, {"source": {"mail": 1}},
        {"valid_from": "2024-13-01"}, {"valid_from": float("nan")}, {"importance": -1},
    ],
)  # fmt: skip
def test_what_cannot_be_remembered(store, wrong):
    with pytest.raises(InputError):
        store.remember(**{"text": "fine", "scope": ANN, **wrong})
    assert store.audit().records == 0


@pytest.mark.parametrize(
    "wrong", [{"query": " "}, {"k": 0}, {"k": True}, {"k": 5000}, {"as_of": "x"}, {"known_at": []}, {"kinds": ["dream"]}]
)
def test_what_cannot_be_recalled(store, wrong):
    store.remember("fine", scope=ANN)
    with pytest.raises(InputError):
        store.recall(**{"query": "fine", "scope": ANN, **wrong})


def test_correct_and_retract_name_what_is_wrong(store):
    made = store.remember("fine", scope=ANN)
    with pytest.raises(InputError, match="needs a new text"):
        store.correct(made.id)
    with pytest.raises(InputError, match="no memory"):
        store.correct("m77", "x")
    store.retract(made.id)
    with pytest.raises(InputError, match="already"):
        store.correct(made.id, "x")


def test_another_embedder_is_refused(store, opened):
    store.remember("fine", scope=ANN)
    with pytest.raises(IndexMismatch, match="tiny"):
        opened(embedder=TinyEmbedder("other")).recall("fine", scope=ANN)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_an_older_file_is_upgraded_once_it_may_be_written(opened, tmp_path):
    store = opened()
    store.remember("fine", scope=ANN)
    store.close()
    path = tmp_path / "memory.sqlite"
    connection = sqlite3.connect(path)

    def shape():
        return sorted(
            connection.execute("SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        ), connection.execute("PRAGMA table_info(consolidated)").fetchall()

    new = shape()
    connection.executescript(  # what format 1 was
        """CREATE TABLE old (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
        INSERT INTO old SELECT * FROM state;
        INSERT INTO old SELECT key, value FROM identity;
        DROP TABLE state; DROP TABLE identity; DROP TABLE tombstones; ALTER TABLE old RENAME TO state;
        DROP INDEX consolidated_by_into; DROP TABLE consolidated;
        CREATE TABLE consolidated (
            run TEXT NOT NULL, record_id INTEGER NOT NULL, status INTEGER NOT NULL, PRIMARY KEY (run, record_id)
        ) STRICT, WITHOUT ROWID;
        PRAGMA user_version = 1;"""
    )
    with pytest.raises(IndexMismatch, match="older format 1"):
        opened(read_only=True)
    with pytest.raises(IndexMismatch, match="tiny"):
        opened(embedder=TinyEmbedder("other")).recall("fine", scope=ANN)
    assert [m.text for m in opened().recall("fine", scope=ANN)] == ["fine"]
    assert shape()[0] == new[0]
    assert [row[1:4] for row in shape()[1]] == [row[1:4] for row in new[1]]
    connection.close()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_damaged_or_foreign_file_is_refused(opened, tmp_path):
    store = opened()
    store.remember("fine", scope=ANN)
    store.close()
    path = tmp_path / "memory.sqlite"
    data = path.read_bytes()
    for broken in (b"x" * 5000, data[:100] + b"\0" * 4000 + data[4100:]):
        path.write_bytes(broken)
        with pytest.raises(IndexDamaged, match=r"memory\.sqlite"):
            opened()
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(IndexDamaged, match="not a memory"):
        opened()


@pytest.mark.parametrize(
    ("text", "begin", "until"),
    [
        ("yesterday", "2024-03-12", "2024-03-13"),
        ("on 5 March", "2024-03-05", "2024-03-06"),
        ("March 5th, 2023", "2023-03-05", "2023-03-06"),
        ("in May", "2023-05-01", "2023-06-01"),
        ("in 2022", "2022-01-01", "2023-01-01"),
        ("last week", "2024-03-04", "2024-03-11"),
        ("last Friday", "2024-03-08", "2024-03-09"),
        ("next Friday", "2024-03-15", "2024-03-16"),
        ("last month", "2024-02-01", "2024-03-01"),
        ("next year", "2025-01-01", "2026-01-01"),
        ("two months ago", "2024-01-01", "2024-02-01"),
        ("3 days ago", "2024-03-10", "2024-03-11"),
        ("last summer", "2023-06-01", "2023-09-01"),
        ("2024-01-31", "2024-01-31", "2024-02-01"),
        ("October 2021", "2021-10-01", "2021-11-01"),
    ],
)
def test_times_in_text(text, begin, until):
    said = times.micros("2024-03-13T15:00:00Z")  # a Wednesday
    found = when.find(f"It was {text}.", said)
    assert [(times.shown(w.begin), times.shown(w.until)) for w in found] == [(begin, until)]


@settings(deadline=None)
@given(st.datetimes(min_value=times.datetime(1, 1, 2), max_value=times.datetime(9999, 12, 30)))
def test_moments_go_there_and_back(at):
    value = times.micros(at)
    assert times.moment(value) == at.replace(tzinfo=times.UTC)
    assert times.micros(times.moment(value).isoformat()) == value


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_search_for_times(text):
    for found in when.find(text, times.micros("2024-03-13")):
        assert 0 <= found.start < found.end <= len(text)
        assert found.begin < found.until


def test_states_are_listed_by_prefix_and_written_together(store):
    store.put_states({"chat/1": {"a": 1}, "chat/2": [2], "other": "x"}, scope={"user": "ann"})
    store.put_states({"chat/2": "later", "chat/1": None, "chat/10": 10})
    assert [(kept.name, kept.value, kept.version) for kept in store.states("chat/")] == [
        ("chat/10", 10, 1),
        ("chat/2", "later", 2),
    ]
    assert [kept.name for kept in store.states("", newest=True, limit=2)] == ["other", "chat/2"]
    assert [kept.name for kept in store.states("", newest=True, after="chat/2")] == ["chat/10"]
    assert [kept.name for kept in store.states("chat/", after="chat/10")] == ["chat/2"]
    with pytest.raises(InputError, match="cannot be kept as JSON"):
        store.put_states({"chat/3": 3, "chat/4": {1, 2}})
    assert store.state("chat/3").version == 0
    with pytest.raises(StateConflict):
        store.state("chat/2").delete(expected_version=1)
    assert store.state("chat/2").delete(expected_version=2)
    assert not store.state("chat/2").delete()
    store.forget(scope={"user": "ann"})
    assert [kept.name for kept in store.states("")] == ["chat/10"]
