from __future__ import annotations

import sqlite3
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contextkit.catalog import schema
from contextkit.catalog.filters import compiled
from contextkit.catalog.staging import metadata_id
from contextkit.errors import FilterError

NAMES = st.sampled_from(["a", "b", "c.d", "id", "title"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, -2.0, 2.0**70]),
    st.sampled_from(["", "x", "y", "2024-01-05", "é"]),
)
METADATA = st.dictionaries(
    st.sampled_from(["a", "b", "c", "metadata"]),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from(["d", "e"]), SCALARS, max_size=2)),
    max_size=4,
)
LIMITS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, "", "x", "2024"]))
OPERATIONS = st.one_of(
    st.fixed_dictionaries({"$eq": SCALARS}),
    st.fixed_dictionaries({"$ne": SCALARS}),
    st.fixed_dictionaries({"$in": st.lists(SCALARS, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(SCALARS, max_size=3)}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    *(st.fixed_dictionaries({operator: LIMITS}) for operator in ("$gt", "$gte", "$lt", "$lte")),
    st.fixed_dictionaries({"$gte": LIMITS, "$lt": LIMITS}),
    st.fixed_dictionaries({"$not": st.fixed_dictionaries({"$gt": LIMITS})}),
)
LEAVES = st.dictionaries(NAMES, st.one_of(SCALARS, OPERATIONS), max_size=2)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$or": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(where=FILTERS, documents=st.lists(METADATA, min_size=1, max_size=6))
@example(where={"a": True}, documents=[{"a": 1}, {"a": True}])
@example(where={"a": {"$ne": None}}, documents=[{}, {"a": None}, {"a": []}, {"a": {}}])
def test_sql_means_what_python_means(where, documents):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection)
    connection.execute("INSERT INTO sources (id, name) VALUES (1, 'src')")
    expected = set()
    condition = compiled(where)
    for i, metadata in enumerate(documents):
        if i == 0:  # values beyond 64 bits are kept as floats by both
            metadata = {**metadata, "b": 2**70}
        row, _ = metadata_id(connection, metadata, "x")
        title = ["", "x", "y"][i % 3]
        connection.execute("INSERT INTO contents VALUES (?, ?, 1, 0, 0, ?, '', '', x'', 1)", (i + 1, bytes([i]), title))
        connection.execute(
            "INSERT INTO documents VALUES (?, ?, 1, x'', x'', '', '', '', ?, ?, NULL, ?, 1, NULL)", (i, f"d{i}", row, row, i + 1)
        )
        if condition.matches(metadata, {"id": f"d{i}", "title": title}):
            expected.add(i)
    found = connection.execute(
        f"SELECT d.id FROM documents d JOIN contents c ON c.id = d.content_id JOIN sources s ON s.id = d.source_id WHERE {condition.sql}",
        condition.values,
    )
    assert {row[0] for row in found} == expected
    connection.close()


@pytest.mark.parametrize(
    ("where", "metadata", "holds"),
    [
        ({}, {}, True),
        ({"team": "x"}, {"team": "x"}, True),
        ({"team": "x"}, {"team": ["y", "x"]}, True),
        ({"team": {"$ne": "x"}}, {"team": ["y", "x"]}, False),
        ({"team": {"$ne": "x"}}, {}, True),
        ({"a.b": 1}, {"a": {"b": 1}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
        ({"a": {"b": {"$gt": 1}}}, {"a": {"b": 1.5}}, True),
        ({"day": {"$gte": date(2024, 1, 1), "$lt": "2025"}}, {"day": "2024-06-30"}, True),
        ({"n": {"$gt": 5}}, {"n": "9"}, False),
        ({"n": {"$gt": "5"}}, {"n": 9}, False),
        ({"n": 1}, {"n": True}, False),
        ({"n": True}, {"n": 1}, False),
        ({"n": None}, {}, True),
        ({"n": {"$exists": True}}, {"n": None}, True),
        ({"$or": []}, {}, False),
        ({"$not": {"a": 1}}, {"a": 2}, True),
        ({"title": "T"}, {"title": "other"}, True),
        ({"metadata.title": "other"}, {"title": "other"}, True),
        ({"uri": None}, {}, True),
    ],
)
def test_meaning(where, metadata, holds):
    assert compiled(where).matches(metadata, {"title": "T"}) is holds


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"a": {"$like": "x"}}, ["$like", "'a'", "$eq"]),
        ({"$nor": []}, ["$nor", "$and"]),
        ({"$gt": 3}, ["$gt", "field"]),
        ({"a": {"$in": "x"}}, ["$in", "list", "'x'"]),
        ({"a": {"$gt": None}}, ["$gt", "None"]),
        ({"a": {"$gt": True}}, ["$gt", "True"]),
        ({"a": {"$exists": 1}}, ["$exists", "1"]),
        ({"a": ["x"]}, ["'a'", "$in"]),
        ({"a": {"$gt": 1, "b": 2}}, ["mixes", "'a'"]),
        ({"a": {}}, ["'a'", "empty"]),
        ({"a": float("nan")}, ["nan"]),
        ({"a": 2**70}, ["64 bits"]),
        ({"a": "\ud800"}, ["Unicode"]),
        ({"$and": {"a": 1}}, ["$and", "list"]),
        ({1: 2}, ["1"]),
        ("team = x", ["mapping", "str"]),
    ],
)
def test_what_is_not_understood_is_named(where, words):
    with pytest.raises(FilterError) as caught:
        compiled(where)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_values_are_bound_never_pasted():
    nasty = "x' OR 1=1 --"
    condition = compiled({nasty: nasty, "title": nasty})
    assert nasty not in condition.sql
    assert condition.values.count(nasty) == 3


def test_too_deep_is_an_error_not_a_crash():
    where: dict = {"a": 1}
    for _ in range(5_000):
        where = {"$not": where}
    with pytest.raises(FilterError, match="32 deep"):
        compiled(where)
