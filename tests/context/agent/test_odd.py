"""Odd but lawful input, an empty index, many threads, and other processes' stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from agent_checks import check_all
from agent_random import call as random_call

import contextkit as ck
from contextkit.context.compact import ref_of
from contextkit.context.store import CallStore
from contextkit.testing import TinyEmbedder


@pytest.mark.parametrize("text", ["a\x00b", "x" * 300_000, "\n" * 50_000 + "end", "🐝" * 5000, "<|endoftext|>", "{{ x }}"])
def test_any_text_goes_through_and_comes_back(kit, text):
    history = [
        {"role": "user", "content": "Read it."},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "read", "arguments": text}}]},
        {"role": "tool", "tool_call_id": "c", "content": text},
        {"role": "assistant", "content": f"It says {text}"},
    ]
    for budget in (1000, 600_000):
        call = ck.AgentCall(
            question=f"What of {text[:40]}?", history=history, budget=budget, reply_reserve=0, model="gpt-4.1", memory=[text]
        )
        check_all(kit, call, kit.build(call))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"question": "\ud800"}, "question: U\\+D800 at character 0"),
        ({"system": "a\udfff"}, "system: U\\+DFFF at character 1"),
        ({"memory": ["x", "\ud800"]}, r"memory\[1\]"),
        ({"history": [{"role": "user", "content": "\ud800"}]}, r"history\[0\]: .* half a character"),
    ],
)
def test_half_characters_cannot_be_sent(changes, words):
    with pytest.raises(ck.InputError, match=words):
        ck.AgentCall(**{"question": "x", **changes})


def test_an_empty_index(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        call = ck.AgentCall(question="Anything?", system="You help.", budget=300)
        packet = kit.build(call)
        check_all(kit, call, packet)
        assert packet.messages() == [{"role": "system", "content": "You help."}, {"role": "user", "content": "Anything?"}]
        assert (packet.items, packet.citations, packet.confidence) == ((), (), 0.0)


def test_threads_give_what_one_gives(kit):
    def build(seed: int):
        try:
            return kit.build(random_call(seed)).text
        except ck.BudgetExceeded as error:
            return str(error)

    seeds = list(range(12)) * 2
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(build, seeds)) == [build(seed) for seed in seeds]


def test_two_stores_on_one_file_and_what_pruning_forgets(tmp_path):
    one, two, three = (CallStore(tmp_path) for _ in range(3))
    text = "kept once " * 100
    for store in (one, two, one):
        store.keep([(ref_of(text), text)])
    assert two.restore(ref_of(text)) == text
    with pytest.raises(ck.InputError, match="already names another text"):
        three.keep([("ck:new", "fine"), (ref_of(text), "another text")])
    with pytest.raises(ck.InputError, match="nothing is kept as 'ck:new'"):
        one.restore("ck:new")  # all or none
    two.put_blocks("talk", [("system", "x", 3)])
    assert one.last_blocks("talk") == [("system", "x", 3)]
    assert one.prune(older_than=3600) == 0
    assert one.prune() == 1
    assert one.last_blocks("talk") is None
    two.keep([(ref_of(text), text)])
    for store in (one, two, three):
        store.close()
