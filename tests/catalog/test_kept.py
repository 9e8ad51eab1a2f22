"""Posting lists in memory: the same as read, of the state that is asked for, and never more than the limit."""

from __future__ import annotations

import sqlite3

from contextkit.catalog import postings, schema
from contextkit.catalog.kept import KeptLists


def filled(terms):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection)
    postings.add(connection, 1, [[]] * 50, [list(terms)] * 50)
    return connection


def test_a_list_is_read_once_and_again_when_something_was_written():
    connection = filled(["pump", "valve"])
    kept = KeptLists()
    first = kept.fetch(connection, postings.epoch(connection), "pump")
    assert kept.fetch(connection, postings.epoch(connection), "pump") is first
    assert first[0].tolist() == list(range(1, 51))
    postings.add(connection, 51, [[]], [["pump"]])
    assert kept.fetch(connection, postings.epoch(connection), "pump")[0].tolist() == list(range(1, 52))
    connection.close()


def test_what_was_used_longest_ago_goes_first_and_large_lists_are_not_kept():
    connection = filled(["a", "b", "c", "d", "e"])
    epoch = postings.epoch(connection)
    size = 50 * 9
    kept = KeptLists(4 * size)
    lists = {term: kept.fetch(connection, epoch, term) for term in "abcd"}
    assert kept.held == 4 * size
    assert kept.fetch(connection, epoch, "a") is lists["a"]
    kept.fetch(connection, epoch, "e")
    assert kept.held == 4 * size
    assert kept.fetch(connection, epoch, "a") is lists["a"]
    assert kept.fetch(connection, epoch, "b") is not lists["b"]
    small = KeptLists(4 * size - 1)
    assert small.fetch(connection, epoch, "a")[0].tolist() == lists["a"][0].tolist()
    assert small.held == 0
    connection.close()
