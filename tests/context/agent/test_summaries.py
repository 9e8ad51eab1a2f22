"""The optional rung: summaries by a chat model, against a real endpoint; never over its window, never longer, kept once sent."""

from __future__ import annotations

import pytest
from agent_checks import check_all
from chat_server import ChatServer

import contextkit as ck
import contextkit.types
from contextkit.context.chat import ChatSummarizer
from contextkit.context.summarize import bounded
from contextkit.tokens import counter_for

BROKEN = {"choices": []}
EMPTY = {"choices": [{"message": {"role": "assistant", "content": "  "}}]}


@pytest.fixture
def server():
    with ChatServer() as server:
        yield server
        server.shutdown()


def talk(turns: int, words: int = 60) -> list[dict]:
    return [
        {
            "role": role,
            "content": f"{role} {n} says KEY-{n}: " + f"the value of row {n} is {n * 17}, as was decided. " * (words // 10),
        }
        for n in range(turns)
        for role in ("user", "assistant")
    ]


def call(summarizer, **changes) -> ck.AgentCall:
    given = {"question": "What is subject 7?", "model": "gpt-4o", "budget": 3000, "reply_reserve": 0, "history": talk(30),
             "compaction": {"rungs": ["window", "summary"]}, "summarizer": summarizer, "conversation": "summed"}  # fmt: skip
    return ck.AgentCall(**{**given, **changes})


def mini(server, **given) -> ChatSummarizer:
    return ChatSummarizer("gpt-4o-mini", server.url, api_key="secret", **{"window": 4096, **given})


def test_a_summary_takes_the_digests_place_and_is_recorded_with_its_price(fresh_kit, server):
    summarizer = mini(server)
    asked = call(summarizer)
    packet = fresh_kit.build(asked)
    check_all(fresh_kit, asked, packet)
    done = packet.receipt.summaries
    assert done
    assert [d.error for d in done] == [""] * len(done)
    assert len(server.requests) == sum(d.tries for d in done)
    assert server.requests[0]["path"] == "/v1/chat/completions"
    assert server.requests[0]["key"] == "Bearer secret"
    assert server.requests[0]["temperature"] == 0
    first = done[0]
    assert first.dollars == pytest.approx((first.input_tokens * 0.15 + first.output_tokens * 0.6) / 1e6)
    assert "Summary: The user asked for 1 things; the key was KEY-3." in packet.text
    assert {item.rung for item in packet.receipt.left_out} == {"summary"}
    assert "KEY-3" in fresh_kit.restore(first.ref)
    assert server.over == []


def test_what_was_sent_once_is_sent_again_without_asking(fresh_kit, server):
    packet = fresh_kit.build(call(mini(server)))
    asked = len(server.requests)
    again = fresh_kit.build(call(mini(server)))
    assert again.text == packet.text
    assert len(server.requests) == asked
    assert again.receipt.prefix_broken_by == ""
    assert all(d.tries == 0 and d.dollars is None for d in again.receipt.summaries)
    longer = fresh_kit.build(call(mini(server), history=[*talk(30), *talk(1)], question="And subject 8?"))
    assert longer.messages()[0] == packet.messages()[0]


def test_a_failed_request_is_halved_and_tried_again(fresh_kit, server):
    server.answers = [(500, {"error": {"message": "overloaded"}}), (200, BROKEN)]
    done = fresh_kit.build(call(mini(server))).receipt.summaries[0]
    assert (done.tries, done.error) == (3, "")
    sizes = [len(r["messages"][1]["content"]) for r in server.requests[:3]]
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.6 * sizes[1]


def test_after_three_tries_the_extractive_digest_stays_and_is_not_asked_for_again(fresh_kit, server):
    plain = fresh_kit.build(call(None, conversation="plain", compaction={"rungs": ["window"], "digest_tokens": 200}))
    server.answers = [(400, {"error": {"message": "no"}})] * 3 + [(200, EMPTY)] * 30
    packet = fresh_kit.build(call(mini(server)))
    assert packet.messages() == plain.messages()
    done = packet.receipt.summaries
    assert all(d.tries == 3 and d.error.startswith("no summary after 3 tries") for d in done)
    assert "answered 400: no" in done[0].error
    assert {item.rung for item in packet.receipt.left_out} == {"window"}
    asked = len(server.requests)
    server.answers = []
    assert fresh_kit.build(call(mini(server))).messages() == plain.messages()
    assert len(server.requests) == asked


def test_it_never_overflows_on_its_own_request(fresh_kit, server):
    server.window = 700
    history = talk(40, words=300)
    packet = fresh_kit.build(call(mini(server, window=700), history=history, budget=6000))
    assert server.requests
    assert server.over == []
    assert all(d.error == "" for d in packet.receipt.summaries)


def test_an_endpoint_that_reads_less_than_it_says_is_asked_for_less(fresh_kit, server):
    server.window = 900
    packet = fresh_kit.build(call(mini(server, window=2500), history=talk(40, words=300), budget=6000))
    assert server.over
    assert packet.receipt.summaries[0].tries > 1
    assert packet.receipt.summaries[0].error == ""


def test_a_long_answer_is_cut_to_the_digests_place(fresh_kit, server):
    server.answers = [(200, {"choices": [{"message": {"content": "word " * 3000}}]})] * 9
    asked = call(mini(server))
    packet = fresh_kit.build(asked)
    check_all(fresh_kit, asked, packet)
    assert "Summary: word word" in packet.text
    assert packet.receipt.summaries[0].output_tokens > 2000


def test_routing_and_calls_without_the_rung_ask_nobody(fresh_kit, server):
    asked = call(mini(server))
    fresh_kit.route(asked, ["gpt-4o", "gpt-4o-mini"])
    fresh_kit.build(call(mini(server), compaction={"rungs": ["window"]}))
    fresh_kit.build(call(mini(server), history=talk(1)))
    assert server.requests == []


def test_nobody_there(fresh_kit):
    gone = ChatSummarizer("gpt-4o-mini", "http://127.0.0.1:9/v1", api_key="", timeout=1)
    packet = fresh_kit.build(call(gone))
    assert "does not answer" in packet.receipt.summaries[0].error


def test_a_summarizer_of_ones_own_and_one_that_is_none(fresh_kit):
    class Short:
        name, window, counter = "short", 1000, counter_for("gpt-4o")

        def summarize(self, text: str, tokens: int) -> ck.types.Summary:
            assert counter_for("gpt-4o").count(text) <= 1000
            return ck.types.Summary(f"All {len(text)} characters are about keys.")

    packet = fresh_kit.build(call(Short()))
    assert "characters are about keys." in packet.text
    assert packet.receipt.summaries[0].dollars is None
    with pytest.raises(ck.InputError, match="summarizer cannot be"):
        call("gpt-4o-mini")
    with pytest.raises(ck.InputError, match="needs a model name"):
        ChatSummarizer("", "http://x")
    with pytest.raises(ck.InputError, match="at least 256"):
        ChatSummarizer("m", "http://x", window=100)
    summarizer = ChatSummarizer("house-model", "http://127.0.0.1:9", api_key="", window=300)
    with pytest.raises(ck.InputError, match="does not fit the window of 300"):
        summarizer.summarize("word " * 1000, 100)


@pytest.mark.parametrize("limit", [1, 8, 50, 333, 5000])
def test_bounded(limit):
    counter = counter_for("gpt-4o")
    text = "alpha 東京 🐝 beta\n" * 300 + "the end"
    made = bounded(text, limit, counter)
    assert counter.count(made) <= limit or made == ""
    if limit > 20:
        assert made.startswith("alpha")
        assert made.endswith("end")
