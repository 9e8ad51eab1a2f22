"""A conversation with tools replayed call by call, the one of `benchmarks/agent_call.py`, here of fewer turns."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import agent_call


def test_a_replayed_conversation_stays_cached_small_and_complete():
    result = agent_call.replay(turns=20, budget=12_000, documents=250, modules=24)
    ours, moved = result["layouts"]["contextkit"], result["layouts"]["documents in the system prompt"]
    assert ours["cached share"] > 0.72
    again = result["layouts"]["documents in the system prompt, retrieved before every call"]
    assert again["cached share"] < 0.30
    assert moved["cached share of each turn's first call"] < 0.30 < ours["cached share of each turn's first call"]
    assert result["tokens of everything appended"] < 0.6
    assert result["facts needed later"]["lost"] == 0
    assert sum(result["facts needed later"].values()) > 1
    assert abs(result["predicted cached share"] - ours["cached share"]) < 0.02
