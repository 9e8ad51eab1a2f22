"""Building a call: sections within one budget, what is never trimmed, what is lent, the cached prefix, the receipt."""

from __future__ import annotations

import pytest
from agent_checks import check_all, check_pairs

import contextkit as ck
from contextkit.context.call import SectionRule
from contextkit.context.plan import allocate
from contextkit.tokens import counter_for

TOOL = {
    "name": "read",
    "description": "Reads a file.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string", "description": "Where it lies."}}},
}


def turn(n: int, size: int = 40) -> list[dict]:
    result = "\n".join(f"row {i} of file {n} holds the value {i * n}" for i in range(size))
    return [
        {"role": "user", "content": f"Please do step {n}."},
        {
            "role": "assistant",
            "tool_calls": [{"id": f"c{n}", "type": "function", "function": {"name": "read", "arguments": f'{{"path": "f{n}"}}'}}],
        },
        {"role": "tool", "tool_call_id": f"c{n}", "content": result},
        {"role": "assistant", "content": f"Step {n} is done; the key of it is KEY-{n}."},
    ]


def talk(turns: int, size: int = 40) -> list[dict]:
    return [message for n in range(turns) for message in turn(n, size)]


def call(**changes) -> ck.AgentCall:
    given = {"question": "What is subject 7?", "model": "gpt-4o", "system": "You help.", "tools": [TOOL], "budget": 4000}
    return ck.AgentCall(**{**given, **changes})


def test_everything_that_fits_goes_in_unchanged(kit):
    history = talk(2)
    packet = kit.build(call(history=history, memory=["Ann likes tea."], pinned=["The team is Blue."]))
    check_all(kit, call(history=history, memory=["Ann likes tea."]), packet)
    assert [m["content"] for m in packet.messages()[2:-1] if m["role"] == "tool"] == [
        m["content"] for m in history if m["role"] == "tool"
    ]
    assert packet.receipt.left_out == ()
    last = packet.messages()[-1]["content"]
    assert last.index("Ann likes tea.") < last.index("Note 7") < last.index("Question: What is subject 7?")
    assert "The team is Blue." in packet.messages()[1]["content"]
    assert packet.sections["documents"].tokens > 0
    assert packet.citations
    assert packet.items


def test_the_short_form_is_untouched_and_receipts_of_both_kinds_come_back(fresh_kit):
    short = fresh_kit.context("What is subject 7?", budget=200)
    long = fresh_kit.build(call())
    assert fresh_kit.receipt() == long.receipt
    assert fresh_kit.receipt(short.receipt.id) == short.receipt
    assert type(fresh_kit.receipt(short.receipt.id)) is ck.Receipt
    assert [r.id for r in fresh_kit.receipts(2)] == [long.receipt.id, short.receipt.id]


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("question", {"question": "why " * 300}),
        ("system", {"system": "rule " * 300}),
        ("pinned", {"pinned": ["fact " * 300]}),
        ("tools", {"tools": [{**TOOL, "description": "long " * 300}]}),
        ("reply", {"reply_reserve": 300}),
        ("documents", {"sections": {"documents": {"minimum": 300}}}),
        ("memory", {"memory": ["fact " * 300], "sections": {"memory": {"minimum": 300}}}),
        ("history", {"history": talk(3), "compaction": {"rungs": []}}),
    ],
)
def test_what_may_not_give_way_is_named_before_anything_is_sent(kit, section, changes):
    with pytest.raises(ck.BudgetExceeded) as caught:
        kit.build(call(**{"budget": 250, "reply_reserve": 50, **changes}))
    error = caught.value
    assert error.section == section
    assert error.needed > error.limit >= 0
    assert section in str(error)
    assert str(error.needed) in str(error)


def test_system_and_question_are_never_trimmed(kit):
    system, question = "Rule: " + "be exact. " * 40, "What of " + "subject 7 and " * 20 + "the rest?"
    for budget in range(250, 900, 50):
        try:
            packet = kit.build(call(system=system, question=question, budget=budget, history=talk(3), reply_reserve=20))
        except ck.BudgetExceeded:
            continue
        assert packet.messages()[0]["content"] == system
        assert packet.messages()[-1]["content"].endswith(question)


def test_no_budget_is_the_models_window_and_more_than_it_is_cut(kit):
    packet = kit.build(call(model="gpt-4", budget=None))
    assert packet.budget == packet.receipt.window == 8192
    packet = kit.build(call(model="gpt-4", budget=50_000))
    assert packet.budget == 8192
    assert "window of gpt-4" in packet.receipt.notes[0]


def test_sections_lend_what_they_leave(kit):
    rules = {
        "a": SectionRule(share=0.5, priority=1),
        "b": SectionRule(share=0.3, priority=3),
        "c": SectionRule(share=0.2, priority=2),
    }
    assert allocate(100, {"a": 100, "b": 100, "c": 100}, rules) == {"a": 50, "b": 30, "c": 20}
    assert allocate(100, {"a": 10, "b": 100, "c": 100}, rules) == {"a": 10, "b": 70, "c": 20}
    assert allocate(100, {"a": 10, "b": 35, "c": 100}, rules) == {"a": 10, "b": 35, "c": 55}
    alone = kit.build(call(budget=1500, reply_reserve=0)).sections["documents"].tokens
    beside = kit.build(call(budget=1500, reply_reserve=0, history=talk(3))).sections["documents"].tokens
    assert alone > beside > 0
    off = kit.build(call(budget=3000, reply_reserve=0, history=talk(8), sections={"documents": {"share": 0}}))
    on = kit.build(call(budget=3000, reply_reserve=0, history=talk(8)))
    assert off.sections["history"].tokens > on.sections["history"].tokens
    assert off.sections["documents"].tokens == 0


def test_where_nothing_is_found_history_gets_the_documents_share(kit):
    nothing = kit.build(call(budget=3000, reply_reserve=0, history=talk(8), where={"team": "nobody"}))
    something = kit.build(call(budget=3000, reply_reserve=0, history=talk(8)))
    assert nothing.sections["history"].tokens > something.sections["history"].tokens


def test_the_receipt_adds_up(kit):
    packet = kit.build(call(history=talk(2), memory=["Ann likes tea."], conversation="sum"))
    receipt = packet.receipt
    assert sum(s.tokens for s in receipt.sections.values()) == receipt.tokens + receipt.reply_reserve
    assert receipt.full == pytest.approx((receipt.tokens + receipt.reply_reserve) / receipt.budget, abs=1e-4)
    assert receipt.dollars == pytest.approx(receipt.tokens * 2.5 / 1e6)
    assert receipt.encoding == "o200k_base"
    assert receipt.sections["system"].exact
    assert not receipt.sections["history"].exact  # tool calls are a bound
    assert not kit.build(call(model="claude-sonnet-4-5")).receipt.exact
    assert kit.build(call()).receipt.exact


def test_the_question_may_stand_at_the_end_of_the_history(kit):
    history = talk(2)
    asked = {"role": "user", "content": "What is subject 7?"}
    plain = kit.build(call(budget=8000, history=history))
    assert kit.build(call(budget=8000, history=[*history, asked])).messages() == plain.messages()
    steps = turn(9)[1:3]
    split = kit.build(call(budget=8000, history=history, steps=steps))
    assert kit.build(call(budget=8000, history=[*history, asked, *steps])).messages() == split.messages()
    assert split.messages()[-1]["role"] == "tool"
    assert split.messages()[:-2] == plain.messages()


# -------------------------------------------------------------------------------------------------------------- the cached prefix


def test_the_cached_prefix_is_what_stays(kit):
    history = talk(3)
    first = kit.build(call(history=history, conversation="p1", budget=9000))
    assert first.receipt.cached_prefix_tokens == 0
    assert "first packet" in first.receipt.prefix_broken_by
    same = kit.build(call(history=history, conversation="p1", budget=9000))
    assert same.receipt.cached_prefix_tokens == same.tokens - 3  # all but what comes before the reply
    assert same.receipt.prefix_broken_by == ""
    longer = kit.build(call(history=[*history, *turn(3)], conversation="p1", budget=9000, question="And subject 9?"))
    kept = first.tokens - first.sections["documents"].tokens - first.sections["question"].tokens
    assert longer.receipt.cached_prefix_tokens == kept
    assert "question" in longer.receipt.prefix_broken_by or "history" in longer.receipt.prefix_broken_by
    other = kit.build(call(history=history, conversation="p1", budget=9000, system="You help a lot."))
    assert "system has changed" in other.receipt.prefix_broken_by
    assert other.receipt.cached_prefix_tokens == other.sections["tools"].tokens
    model = kit.build(call(history=history, conversation="p1", budget=9000, system="You help a lot.", model="gpt-4o-mini"))
    assert model.receipt.cached_prefix_tokens == 0
    assert "model has changed" in model.receipt.prefix_broken_by


def test_conversations_do_not_mix(kit):
    kit.build(call(scope={"user": "ann"}, agent="x"))
    assert kit.build(call(scope={"user": "bob"}, agent="x")).receipt.cached_prefix_tokens == 0
    assert kit.build(call(scope={"user": "ann"}, agent="x")).receipt.cached_prefix_tokens > 0


def test_tools_and_keys_in_another_order_give_the_same_bytes(kit):
    other = {"parameters": TOOL["parameters"], "description": TOOL["description"], "name": "read"}
    extra = {"name": "alpha", "description": "First."}
    a = kit.build(call(tools=[TOOL, extra], conversation="bytes"))
    b = kit.build(call(tools=[extra, other], conversation="bytes"))
    assert repr(a.request("openai")) == repr(b.request("openai"))
    assert b.receipt.prefix_broken_by == ""


def test_a_fine_time_in_the_prefix_is_noted(kit):
    assert "breaks the provider's cache" in kit.build(call(system="It is 2026-11-21 10:15:03.")).receipt.notes[0]
    assert kit.build(call(system="It is 2026-11-21.")).receipt.notes == ()


def test_usable_prefix_follows_the_providers_rule(kit):
    long = "rule " * 1500
    kit.build(call(system=long, conversation="u", budget=8000))
    receipt = kit.build(call(system=long, conversation="u", budget=8000, question="And subject 8?")).receipt
    assert receipt.cached_prefix_tokens > receipt.cached_prefix_usable > 1024
    assert receipt.cached_prefix_usable % 128 == 0
    assert receipt.sections["system"].cached == receipt.sections["system"].tokens
    assert receipt.dollars < receipt.tokens * 2.5 / 1e6


# ------------------------------------------------------------------------------------------------------------------- compaction


def test_a_long_history_keeps_its_start_from_turn_to_turn(kit):
    """While nothing has to be cut, each packet's history starts with the bytes of the one before; a cut is rare."""
    sent, breaks = [], 0
    for n in range(1, 30):
        packet = kit.build(call(history=talk(n, 12), budget=5000, question=f"And what about subject {n}?", conversation="long"))
        check_pairs(packet.messages())
        messages = packet.messages()[:-1]
        if sent and messages[: len(sent)] != sent:
            breaks += 1
        sent = messages
    assert 1 <= breaks <= 8
    assert packet.receipt.left_out


def test_each_rung_alone(kit):
    history = talk(12)
    for rung in ("offload", "prune", "window"):
        packet = kit.build(call(history=history, compaction={"rungs": [rung]}, budget=3500))
        assert {item.rung for item in packet.receipt.left_out} == {rung}
        check_all(kit, call(history=history, compaction={"rungs": [rung]}, budget=3500), packet)
    same = [dict(m, content="the very same long result " * 20) if m["role"] == "tool" else m for m in talk(3)]
    packet = kit.build(call(history=same, compaction={"rungs": ["duplicate"]}))
    assert [item.rung for item in packet.receipt.left_out] == ["duplicate"] * 2
    assert [m["content"].startswith("[the same as") for m in packet.messages() if m["role"] == "tool"] == [False, True, True]
    chat = [
        {"role": r, "content": f"{r} says {n}: " + "so it goes, value 12. " * 40} for n in range(8) for r in ("user", "assistant")
    ]
    packet = kit.build(call(history=chat, compaction={"rungs": ["digest"]}, budget=3000))
    assert {item.rung for item in packet.receipt.left_out} == {"digest"}


def test_a_large_result_leaves_a_pointer_with_a_digest(kit):
    log = "\n".join([*(f"test_{i} passed" for i in range(400)), "test_parse FAILED: expected 3 got 4", "1 failed, 400 passed"])
    history = talk(1)
    history[2]["content"] = log
    packet = kit.build(call(history=history + talk(3, 3)[4:], budget=2000))
    item = next(i for i in packet.receipt.left_out if i.rung == "offload")
    assert kit.restore(item.ref) == log
    shown = next(m["content"] for m in packet.messages() if m["role"] == "tool")
    assert item.ref in shown
    assert "test_parse FAILED: expected 3 got 4" in shown
    assert "1 failed, 400 passed" in shown
    assert item.after < item.before / 5


def test_a_window_leaves_a_note_and_its_texts_come_back(kit):
    history = [
        {"role": r, "content": f"{r} {n} remembers the number {n * 1001}."} for n in range(200) for r in ("user", "assistant")
    ]
    packet = kit.build(call(history=history, budget=1500))
    window = next(i for i in packet.receipt.left_out if i.rung == "window")
    assert "earlier messages left out" in packet.messages()[1]["content"]
    assert "user 3 remembers the number 3003." in kit.restore(window.ref)


def test_documents_that_stand_in_the_history_are_not_sent_again(kit):
    first = kit.build(call(budget=600, reply_reserve=0))
    again = kit.build(
        call(
            budget=1200,
            reply_reserve=0,
            history=[{"role": "user", "content": first.turn}, {"role": "assistant", "content": "Seven."}],
        )
    )
    assert first.items
    for item in first.items:
        assert item.text not in again.turn
    assert again.receipt.dropped_total["delivered"] > 0


def test_documents_stay_while_an_agent_takes_steps(kit):
    """The user's turn is the same bytes in every call of one turn, so that steps are appended to a cached prefix."""
    history, steps = talk(2, 10), []
    turns = []
    for n in range(4):
        packet = kit.build(call(history=history, steps=steps, budget=6000, conversation="steps"))
        turns.append(packet.turn)
        if n:
            assert packet.receipt.prefix_broken_by == ""
        steps = [*steps, *turn(50 + n, 10)[1:3]]
    assert len(set(turns)) <= 2  # with the first step the documents may fall back to their own share, once


def test_order_of_documents(kit):
    order = {
        o: [c.document_id for c in kit.build(call(order=o, conversation=o)).citations]
        for o in ("best_first", "best_last", "edges", "source")
    }
    best = order["best_first"]
    assert len(best) > 4
    assert order["best_last"][-1] == best[0] == order["edges"][0]
    assert order["edges"][-1] == best[1]
    assert order["source"] == sorted(order["source"])


def test_memory_that_does_not_fit_is_left_out_and_comes_back(kit):
    memory = [f"Fact {n}: " + "tea and bread " * 20 for n in range(30)]
    packet = kit.build(call(memory=memory, budget=2000))
    left = [i for i in packet.receipt.left_out if i.section == "memory"]
    assert 0 < packet.sections["memory"].items < 30
    assert len(left) + packet.sections["memory"].items == 30
    assert [kit.restore(i.ref) for i in left] == [memory[i.places[0]] for i in left]
    assert memory[0] in packet.turn  # the best first


def test_restore_says_what_it_lacks(kit):
    with pytest.raises(ck.InputError, match="nothing is kept as 'ck:nothing'"):
        kit.restore("ck:nothing")


def test_a_read_only_kit_restores_what_it_left_out_and_what_others_kept(fresh_kit, tmp_path):
    from contextkit.testing import TinyEmbedder

    long = call(history=talk(12), budget=2000)
    written = fresh_kit.build(long)
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), read_only=True) as reader:
        for item in written.receipt.left_out:
            assert reader.restore(item.ref) == fresh_kit.restore(item.ref)
        packet = reader.build(call(history=talk(11), budget=1800))
        assert packet.receipt.left_out
        check_all(reader, call(history=talk(11), budget=1800), packet)


def test_counts_match_tiktoken_without_tools(kit):
    packet = kit.build(call(tools=[], history=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]))
    counter = counter_for("gpt-4o")
    assert packet.tokens == 3 + sum(3 + counter.count(m["role"]) + counter.count(m["content"]) for m in packet.messages())


def test_a_reported_usage_anchors_the_next_count(kit):
    first = kit.build(call(conversation="anchor", tools=[], history=[]))
    assert first.receipt.anchored_tokens is None
    said = [{"role": "user", "content": "What is subject 7?"}, {"role": "assistant", "content": "Seven."}]
    off = kit.build(call(conversation="anchor", tools=[], history=said, question="And 8?", reported_tokens=first.tokens + 11))
    assert off.receipt.anchored_tokens == off.tokens + 11
    assert off.receipt.notes == ()
    over = kit.build(call(conversation="anchor", tools=[], history=said, question="And 8?", reported_tokens=9000))
    assert "about 9000 tokens, 3000 are allowed" in over.receipt.notes[0]
