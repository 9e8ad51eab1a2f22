"""What calls cost and what came of them; receipts pruned by age, number and size."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

import contextkit as ck
from contextkit.observe.receipts import NAME, ReceiptStore
from contextkit.testing import TinyEmbedder


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(str(i), f"Note {i} is about subject {i}. It has a second sentence.") for i in range(20)])
        yield kit


def build(kit, agent="researcher", model="gpt-4o", question="What is subject 7?"):
    return kit.build(ck.AgentCall(agent=agent, model=model, question=question, budget=600, reply_reserve=0)).receipt


def test_costs_by_agent_task_and_model(kit):
    first, second, third = build(kit), build(kit, model="gpt-4o-mini"), build(kit, agent="writer")
    kit.report_outcome(first.id, success=True, task="answer", cost=0.02)
    kit.report_outcome(second.id, success=False, task="answer", cost=0.01)
    kit.report_outcome(third.id, success=True, task="write")
    agents = {c.name: c for c in kit.costs()}
    assert (agents["researcher"].calls, agents["researcher"].successes, agents["researcher"].failures) == (2, 1, 1)
    assert agents["researcher"].dollars == pytest.approx(0.03)
    assert agents["researcher"].dollars_per_success == pytest.approx(0.03)  # the failure's cent is in it
    assert agents["researcher"].success_rate == 0.5
    assert agents["researcher"].estimated == 0
    assert agents["writer"].estimated == 1
    assert agents["writer"].dollars == pytest.approx(third.dollars)
    assert [c.name for c in kit.costs()] == ["researcher", "writer"]  # the dearest first
    assert {c.name: c.calls for c in kit.costs(by="task")} == {"answer": 2, "write": 1}
    assert {c.name for c in kit.costs(by="model")} == {"gpt-4o", "gpt-4o-mini"}
    with pytest.raises(ck.InputError, match="by agent, task or model, not by 'mood'"):
        kit.costs(by="mood")


def test_reports_add_up_and_the_last_word_holds(kit):
    receipt = build(kit)
    assert kit.report_outcome(task="answer").success is None
    assert kit.report_outcome(receipt.id[:6], success=False).task == "answer"
    made = kit.report_outcome(receipt.id, success=True, cost=0.5)
    assert (made.receipt, made.agent, made.model, made.task, made.success, made.cost) == (
        receipt.id, "researcher", "gpt-4o", "answer", True, 0.5,
    )  # fmt: skip
    assert made.predicted == pytest.approx(receipt.dollars)
    assert kit.costs()[0].failures == 0


def test_a_context_call_may_be_reported_too(kit):
    packet = kit.context("What is subject 7?", budget=200)
    assert kit.report_outcome(packet.receipt.id, success=True).agent == ""
    only = kit.costs()[0]
    assert (only.name, only.unpriced, only.dollars, only.successes) == ("", 1, 0.0, 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing was given"),
        ({"success": 1}, "success must be True or False, not 1"),
        ({"task": " "}, "task must name"),
        ({"cost": -1}, "cost must be US dollars, 0 or more, not -1"),
        ({"cost": float("nan")}, "cost must be"),
        ({"cost": True}, "cost must be"),
    ],
)
def test_what_cannot_be_reported(kit, given, words):
    build(kit)
    with pytest.raises(ck.InputError, match=words):
        kit.report_outcome(**given)


def test_nobody_called(kit, tmp_path):
    assert kit.costs() == []
    with pytest.raises(ck.InputError, match="no receipt 'abc'"):
        build(kit) and kit.report_outcome("abc", success=True)
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), read_only=True) as reader:
        assert reader.costs()[0].calls == 1
        with pytest.raises(PermissionError, match="open for reading"):
            reader.report_outcome(success=True)


def test_costs_outlive_their_receipts_but_not_their_age(kit, tmp_path):
    for n in range(5):
        kit.report_outcome(build(kit, question=f"What is subject {n}?").id, success=True)
    assert kit.prune_receipts(keep=1) == 4
    assert kit.costs()[0].successes == 5
    assert kit.prune_receipts(older_than=0) == 1
    assert kit.costs() == []


def test_pruning_by_size_takes_the_oldest(kit, tmp_path):
    made = [build(kit, question=f"What is subject {n}?").id for n in range(6)]
    with sqlite3.connect(tmp_path / "index" / NAME) as c:
        sizes = [row[0] for row in c.execute("SELECT length(body) FROM receipts ORDER BY number DESC")]
    c.close()
    assert kit.prune_receipts(max_bytes=sum(sizes)) == 0
    assert kit.prune_receipts(max_bytes=sum(sizes[:2]) + 1) == 4
    assert [r.id for r in kit.receipts()] == [made[5], made[4]]
    assert kit.prune_receipts(max_bytes=0) == 2


def test_a_file_of_an_older_version_is_read_and_grows(tmp_path):
    folder = tmp_path / "index"
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document("a", "Bees like bread.")])
        receipt = build(kit, question="What do bees like?")
    with sqlite3.connect(folder / NAME) as c:
        c.execute("DROP TABLE calls")
    c.close()
    reader = ReceiptStore(folder, read_only=True)
    assert reader.costs() == []
    reader.close()
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        assert kit.report_outcome(receipt.id, success=True).predicted == pytest.approx(receipt.dollars)
        assert kit.costs()[0].calls == 1


def test_the_difference_by_ids_and_the_asyncio_mirror(tmp_path):
    async def main():
        async with await ck.AsyncKit.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
            await kit.add([ck.Document("a", "Bees like bread.")])
            a = await kit.build(ck.AgentCall(question="What do bees like?", budget=300))
            b = await kit.build(ck.AgentCall(question="What do bees like?", budget=400))
            await kit.report_outcome(a.receipt.id, success=True)
            return await kit.diff_receipts(a.receipt.id, b.receipt.id), await kit.costs(), await kit.prune_receipts(keep=0)

    difference, costs, gone = asyncio.run(main())
    assert difference.changed["budget"] == ("300", "400")
    assert costs[0].successes == 1
    assert gone == 2
