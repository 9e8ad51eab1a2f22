"""Receipts of agent calls compared and pruned."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.observe.difference import receipt_difference
from contextkit.observe.receipts import ReceiptStore


def call(**changes) -> ck.AgentCall:
    return ck.AgentCall(**{"question": "What is subject 7?", "model": "gpt-4o", "budget": 500, "reply_reserve": 0, **changes})


def test_the_difference_of_two_receipts(kit):
    first, same = kit.build(call()).receipt, kit.build(call()).receipt
    nothing = receipt_difference(first, same)
    assert (nothing.changed, nothing.sections, nothing.added, nothing.removed, nothing.left_out) == ({}, {}, (), (), ())
    chat = [{"role": r, "content": f"{r} {n} says little."} for n in range(60) for r in ("user", "assistant")]
    other = kit.build(call(history=chat, model="gpt-4")).receipt
    made = receipt_difference(first, other)
    assert made.changed == {"model": ("gpt-4o", "gpt-4"), "encoding": ("o200k_base", "cl100k_base")}
    assert made.tokens == (first.tokens, other.tokens)
    assert made.sections["history"] == (0, other.sections["history"].tokens)
    assert made.removed
    assert made.left_out == tuple(i.ref for i in other.left_out)
    assert receipt_difference(other, first).brought_back == made.left_out
    short = kit.context("What is subject 7?", budget=100).receipt
    assert receipt_difference(short, first).sections["documents"] == (short.tokens, first.sections["documents"].tokens)


def test_pruning(fresh_kit, tmp_path):
    for _ in range(5):
        fresh_kit.build(call())
    store = ReceiptStore(tmp_path / "index")
    assert store.prune(older_than=3600) == 0
    assert store.prune(keep=2) == 3
    assert len(fresh_kit.receipts()) == 2
    assert store.prune(older_than=0) == 2
    assert fresh_kit.receipts() == []
    for wrong in ({}, {"keep": -1}, {"older_than": -1}):
        with pytest.raises(ck.InputError):
            store.prune(**wrong)
    store.close()
