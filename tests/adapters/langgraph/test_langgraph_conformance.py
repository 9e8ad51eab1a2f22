"""LangGraph's own conformance suite for checkpointers: every check, none skipped."""

from __future__ import annotations

from langgraph.checkpoint.conformance import checkpointer_test, validate

import contextkit as ck
from contextkit.adapters.langgraph import KitSaver
from contextkit.testing import TinyEmbedder


async def test_all_checks_of_the_checkpointer_suite_pass(tmp_path):
    made = []

    @checkpointer_test(name="KitSaver")
    async def saver():
        with ck.open(tmp_path / f"index{len(made)}", embedder=TinyEmbedder()) as kit:
            made.append(kit)
            yield KitSaver(kit)

    report = await validate(saver)
    assert {name: r.failures for name, r in report.results.items() if r.failures} == {}
    assert all(r.detected and r.passed and not r.tests_skipped for r in report.results.values())
    assert len(report.results) == 8
    assert sum(r.tests_passed for r in report.results.values()) >= 81
