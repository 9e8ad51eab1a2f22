"""What holds for every agent call whatsoever; `AGENT_CALLS=2000 pytest ...` runs more of them."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
from agent_checks import check_all
from agent_random import MODELS
from agent_random import call as random_call

import contextkit as ck

CALLS = int(os.environ.get("AGENT_CALLS", "160"))


@pytest.mark.parametrize("part", range(4))
def test_random_calls(kit, part):
    """Never above the budget by the provider's format, pairs whole, restorable, same input same bytes; errors say what and how much."""
    outcome: Counter[str] = Counter()
    for seed in range(part, CALLS, 4):
        call = random_call(seed)
        try:
            packet = kit.build(call)
        except ck.BudgetExceeded as error:
            assert error.needed > error.limit >= 0, (seed, error)
            assert error.section in ("tools", "system", "pinned", "history", "memory", "documents", "question", "reply")
            outcome["refused"] += 1
            continue
        check_all(kit, call, packet)
        outcome["built"] += 1
        if seed % 3 == 0:
            again = kit.build(random_call(seed))
            assert again.text == packet.text
            assert json.dumps(again.messages("anthropic")) == json.dumps(packet.messages("anthropic"))
            assert json.dumps(again.request("openai")) == json.dumps(packet.request("openai"))
    assert outcome["built"] > outcome["refused"] > 0


def test_all_models_take_part():
    assert len(MODELS) == 12
    assert {random_call(seed).model for seed in range(12)} == set(MODELS)
