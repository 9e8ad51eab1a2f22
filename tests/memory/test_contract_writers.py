"""Several writers and readers of one memory, and a process that dies in the middle: the same on every backend."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import time

import pytest

from contextkit.errors import IndexLocked, ReadOnlyIndex
from contextkit.memory import MemoryStore
from contextkit.testing import TinyEmbedder

ANN = {"user": "ann"}


def count(store, table="records"):
    with store.reading() as rows:
        return int(rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def write(place, name, times):
    """What another process does."""
    store = MemoryStore(place, TinyEmbedder())
    for i in range(times):
        store.remember(f"{name} wrote line {i}", scope=ANN)
    store.close()


@pytest.fixture
def process(place, tmp_path):
    """Starts another process that writes so many lines into the same memory."""
    context = multiprocessing.get_context("spawn")
    started = []

    def start(name, times):
        started.append(context.Process(target=write, args=(place(tmp_path), name, times)))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        if one.is_alive():
            one.kill()
        one.join()


def test_read_only_and_locked(opened):
    store, other = opened(wait=0.1), opened()
    store.remember("fine", scope=ANN)
    with pytest.raises(ReadOnlyIndex, match="read_only"):
        opened(read_only=True).remember("more", scope=ANN)
    assert opened(read_only=True).recall("fine", scope=ANN)
    with other.writing(), pytest.raises(IndexLocked, match="try again"):
        store.remember("more", scope=ANN)
    assert count(store) == 1
    assert store.remember("more", scope=ANN).id == "m2"


def test_an_error_undoes_the_whole_block(store):
    store.remember("fine", scope=ANN)

    def change():
        with store.writing() as rows:
            rows.execute("UPDATE records SET trust = ?", (0.1,))
            rows.execute("DELETE FROM postings")
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        change()
    assert store.get("m1").trust == 1.0
    assert count(store, "postings") == 1


def test_a_reader_sees_one_state_whatever_is_written_meanwhile(opened):
    store, other = opened(), opened()
    store.remember("the first", scope=ANN)
    with store.backend.reading() as rows:
        assert rows.execute("SELECT count(*) FROM records").fetchone()[0] == 1
        other.remember("the second", scope=ANN)
        other.state("s").put({"step": 1})
        assert rows.execute("SELECT count(*) FROM records").fetchone()[0] == 1
        assert rows.execute("SELECT count(*) FROM values_").fetchone()[0] == 0
    assert {m.text for m in store.recall("which?", scope=ANN)} == {"the first", "the second"}


def test_many_threads_write_and_read_one_store(store):
    store.remember("thread 0 wrote line 0 first", scope=ANN)
    done = []

    def work(number):
        for i in range(6):
            store.remember(f"thread {number} wrote line {i}", scope=ANN)
            assert store.recall(f"thread {number} line {i}", scope=ANN)
        done.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(done) == [0, 1, 2, 3]
    assert count(store) == 25


def test_two_processes_write_at_once(opened, process):
    both = [process(name, 20) for name in ("one", "two")]
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    found = opened().recall("wrote line", scope=ANN, k=100)
    assert {m.text for m in found} == {f"{n} wrote line {i}" for n in ("one", "two") for i in range(20)}
    assert len({m.recorded_at for m in found}) == 40


def test_kill_in_the_middle_leaves_whole_records(opened, process, kind, tmp_path):
    store = opened()
    for delay in (0.02, 0.11):
        begin = count(store)
        killed = process(f"run {delay}", 10_000)
        while count(store) == begin:
            assert killed.is_alive()
            time.sleep(0.01)
        time.sleep(delay)
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
    held = count(store)
    with store.reading() as rows:
        assert int(rows.execute("SELECT sum(stop_chunk - first_chunk) FROM segments").fetchone()[0]) == held
        assert rows.execute("SELECT value FROM state WHERE key = 'next_id'").fetchone()[0] == held + 1
    if kind == "sqlite":
        connection = sqlite3.connect(tmp_path / "memory.sqlite")
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        connection.close()
    assert len(store.recall("wrote line", scope=ANN, k=1000)) == min(held, 1000)
    assert store.remember("after", scope=ANN).id == f"m{held + 1}"
