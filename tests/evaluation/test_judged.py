"""Judged questions: files, spans, receipts, and the half that each belongs to."""

from __future__ import annotations

import json

import pytest

from contextkit.errors import InputError
from contextkit.evaluation.questions import GoldSpan, Judged, from_receipts, held_out, looked_up, read_questions
from contextkit.types import Principal


def written(tmp_path, *lines):
    path = tmp_path / "asked.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_file_is_read_in_its_order(tmp_path):
    path = written(
        tmp_path,
        {"question": "How much leave?", "gold": ["Thirty days.", {"document": "leave", "start": 3, "end": 9}]},
        "",
        {"question": "Who?", "where": {"team": "sales"}, "user": "ann", "groups": ["board"]},
    )
    first, second = read_questions(path)
    assert first.gold == ("Thirty days.", GoldSpan(document="leave", start=3, end=9))
    assert (first.principal, first.weak) == (None, False)
    assert second.gold == ()
    assert second.principal == Principal("ann", ("board",))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is no judged question: .*JSON"),
        ("[]", "line 2 is no judged question"),
        ({"gold": []}, "question: Field required"),
        ({"question": "  "}, "the question is empty"),
        ({"question": "Q?", "gold": [" "]}, "a gold text is empty"),
        ({"question": "Q?", "gold": [{"document": "d", "start": -1}]}, "greater than or equal to 0"),
        ({"question": "Q?", "answer": "x"}, "answer: Extra inputs"),
    ],
)
def test_a_line_that_cannot_work_is_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        read_questions(written(tmp_path, {"question": "Good?"}, line))


def test_files_that_cannot_work(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="holds no judged question"):
        read_questions(written(tmp_path, "", " "))
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_questions(tmp_path / "bytes.jsonl")


def test_gold_is_looked_up_in_the_index(kit):
    text = kit.catalog.text("note-3")
    questions = [
        Judged(question="A?", gold=(GoldSpan(document="note-3", start=4, end=20), "as it is")),
        Judged(question="B?", gold=(GoldSpan(document="note-3"),)),
        Judged(question="C?"),
    ]
    found = looked_up(kit.catalog, questions)
    assert [one.gold for one in found] == [(text[4:20], "as it is"), (text,)]


@pytest.mark.parametrize(
    ("span", "message"),
    [
        (GoldSpan(document="none"), "names the document 'none', which the index does not hold"),
        (GoldSpan(document="note-1", start=5, end=5), "names the characters 5 to 5 of 'note-1'"),
        (GoldSpan(document="note-1", end=100_000), "names the characters 0 to 100000 of 'note-1', which has"),
    ],
)
def test_gold_that_is_not_there(kit, span, message):
    with pytest.raises(InputError, match=message):
        looked_up(kit.catalog, [Judged(question="A?", gold=(span,))])


def test_receipts_of_successes_are_weak_questions(kit):
    good = kit.context("How heavy is the pump K000?", budget=200).receipt
    kit.report_outcome(good.id, success=True)
    again = kit.context("How heavy is the pump K000?", budget=60).receipt
    kit.report_outcome(again.id, success=True)
    bad = kit.context("In which box are parts of K007?", budget=100).receipt
    kit.report_outcome(bad.id, success=False)
    unknown = kit.context("Where is the valve K001?", budget=100).receipt
    told = kit._receipts.told()
    assert [(receipt.id, success) for receipt, success in told] == [(bad.id, False), (again.id, True), (good.id, True)]
    (one,) = from_receipts(told)
    assert (one.question, one.weak) == (good.question, True)
    assert unknown.question not in one.question
    best = max(item.scores.total for item in good.items)
    kept = {item.text for item in good.items if item.scores.total >= best / 2}
    assert kept <= set(one.gold) <= {item.text for receipt in (good, again) for item in receipt.items}
    assert from_receipts([]) == []


def test_a_store_without_receipts_tells_nothing(tmp_path):
    from contextkit.observe.receipts import ReceiptStore

    assert ReceiptStore(tmp_path).told() == []


def test_a_question_stays_in_its_half():
    questions = [f"What about {n}?" for n in range(2000)]
    halves = [held_out(q) for q in questions]
    assert 0.46 < sum(halves) / len(halves) < 0.54
    assert halves == [held_out(f"  {q.upper()} ") for q in questions]
    assert (held_out("How much leave?"), held_out("What may a hotel cost?")) == (True, False)
    assert not any(held_out(q, 0.0) for q in questions)
    assert all(held_out(q, 1.0) for q in questions)
