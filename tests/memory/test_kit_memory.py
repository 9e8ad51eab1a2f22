"""The memory of a kit: beside the index, and aware of its documents and packets."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.testing import TinyEmbedder

ANN = {"user": "ann", "session": "s1"}
TEXT = " ".join(
    f"Step {n}: the {part} is cleaned with {agent} and checked against the {chart} chart by two people."
    for n, (part, agent, chart) in enumerate(
        [("valve", "ethanol", "blue"), ("pump", "water", "red"), ("seal", "soap", "green")], 1
    )
)


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        yield kit


def test_one_memory_a_kit(kit, tmp_path):
    assert kit.memory is kit.memory
    kit.memory.remember("Ann lives in Oslo", scope=ANN)
    assert (tmp_path / "index" / "memory.sqlite").exists()
    kit.close()
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as again:
        assert [m.text for m in again.memory.recall("Oslo", scope=ANN)] == ["Ann lives in Oslo"]
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), read_only=True) as reader:
        assert reader.memory.recall("Oslo", scope=ANN)
        with pytest.raises(ck.ContextkitError, match="read_only"):
            reader.memory.remember("more", scope=ANN)


def test_what_a_document_says_is_not_remembered_again(kit):
    kit.add([ck.Document(id="manual", text=TEXT)])
    made = kit.memory.observe([{"role": "user", "content": TEXT}], scope=ANN)[0]
    assert (made.action, made.reason) == ("refused", "stands in the document manual")
    assert kit.memory.observe([{"role": "user", "content": TEXT.replace("e", "3")}], scope=ANN)[0].action == "stored"


def test_the_echo_of_a_packet_is_not_remembered(kit):
    kit.add([ck.Document(id="manual", text=TEXT)])
    kit.context("How is the pump cleaned?", budget=200)
    echo = "the pump is cleaned with water and checked against the red chart by two people"
    made = kit.memory.observe([{"role": "assistant", "content": echo}], scope=ANN)[0]
    assert (made.action, made.reason) == ("refused", "an echo of what the agent was given")


def test_a_closed_kit_says_so(kit):
    kit.close()
    with pytest.raises(ck.ContextkitError, match="closed"):
        _ = kit.memory
