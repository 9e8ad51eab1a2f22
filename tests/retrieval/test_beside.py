"""Work beside the caller: its result or its error comes back, and it is over when the block is."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from contextkit.retrieval.beside import beside

WHO = ContextVar("WHO", default="nobody")


def test_the_work_runs_in_another_thread_in_the_context_of_the_caller():
    token = WHO.set("ann")
    try:
        with beside(lambda: (threading.get_ident(), WHO.get())) as result:
            thread, who = result()
    finally:
        WHO.reset(token)
    assert thread != threading.get_ident()
    assert who == "ann"


def test_its_error_is_raised_where_the_result_is_asked_for():
    def fails():
        raise LookupError("gone")

    with beside(fails) as result, pytest.raises(LookupError, match="gone"):
        result()


def test_it_is_over_when_the_block_is_even_after_an_error():
    go, done = threading.Event(), []

    def work():
        go.wait(10)
        done.append(True)

    def fails():
        with beside(work):
            go.set()
            raise ValueError("the caller's own")

    with pytest.raises(ValueError, match="the caller's own"):
        fails()
    assert done == [True]


def test_without_a_thread_it_is_done_first(monkeypatch):
    def refuses(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    with beside(threading.get_ident) as result:
        assert result() == threading.get_ident()
