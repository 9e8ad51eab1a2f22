"""Images and thinking blocks inside messages: counted by rule, carried intact, compacted whole, or refused by name."""

from __future__ import annotations

import base64
import io
import json

import pytest
from agent_checks import check_all, check_restorable
from PIL import Image
from test_formats import valid

import contextkit as ck
from contextkit.tokens import counter_for, framing_for, message_tokens


def picture(width: int, height: int) -> str:
    made = io.BytesIO()
    Image.new("L", (width, height), 7).save(made, "PNG")
    return base64.b64encode(made.getvalue()).decode()


PIXELS = picture(1024, 1024)
SEEN = {
    "role": "user",
    "content": [
        {"type": "text", "text": "What is on it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXELS}", "detail": "high"}},
        {"type": "text", "text": "Look closely."},
    ],
}
SEEN_BY_CLAUDE = {
    "role": "user",
    "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXELS}}],
}
THOUGHT = {"type": "thinking", "thinking": "The user wants bees.", "signature": "c2lnbmVk"}
HIDDEN = {"type": "redacted_thinking", "data": "aGlkZGVu"}
STEP = [
    {
        "role": "assistant",
        "content": [THOUGHT, HIDDEN, {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "bees"}}],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [*SEEN_BY_CLAUDE["content"]]}]},
]


def call(**changes) -> ck.AgentCall:
    return ck.AgentCall(**{"question": "What is subject 7?", "model": "gpt-4o", "budget": 6000, "reply_reserve": 0, **changes})


def test_an_image_counts_by_its_providers_rule(kit):
    without = kit.build(
        call(history=[{"role": "user", "content": "What is on it?"}, {"role": "user", "content": "Look closely."}])
    )
    packet = kit.build(call(history=[SEEN]))
    check_all(kit, call(history=[SEEN]), packet)
    framing = 3 + counter_for("gpt-4o").count("user")
    assert packet.sections["history"].tokens == without.sections["history"].tokens - framing + 765
    assert not packet.sections["history"].exact
    claude = call(history=[SEEN_BY_CLAUDE], model="claude-sonnet-4-5")
    packet = kit.build(claude)
    assert packet.sections["history"].tokens == 8 + counter_for("claude-sonnet-4-5").count("user") + 1399
    assert PIXELS not in packet.text
    assert "an image of 1024 x 1024 pixels" in packet.text


@pytest.mark.parametrize(
    ("model", "provider"), [("gpt-4o", "openai"), ("gpt-4o", "responses"), ("claude-sonnet-4-5", "anthropic")]
)
def test_images_go_along_whole_in_every_form(kit, model, provider):
    packet = kit.build(
        call(history=[SEEN, {"role": "assistant", "content": "Bees."}, SEEN_BY_CLAUDE], model=model, budget=20_000)
    )
    valid(provider, packet.request(provider))
    assert json.dumps(packet.request(provider)).count(PIXELS) == 2


def test_an_image_behind_an_address_is_not_fetched_and_counts_with_the_most(kit):
    seen = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/bees.png"}]}
    packet = kit.build(call(history=[seen]))
    part = packet.messages()[0]["content"][0]
    assert part == {"type": "image_url", "image_url": {"url": "https://example.org/bees.png", "detail": "auto"}}
    assert packet.sections["history"].tokens > 1445
    claude = kit.build(call(history=[seen], model="claude-sonnet-4-5")).messages("anthropic")
    assert claude[0]["content"][0] == {
        "type": "image", "source": {"type": "url", "url": "https://example.org/bees.png"}, "cache_control": {"type": "ephemeral"},
    }  # fmt: skip


def test_thinking_goes_back_word_for_word_and_is_counted(kit):
    asked = call(steps=STEP, model="claude-sonnet-4-5")
    packet = kit.build(asked)
    request = packet.request("anthropic")
    valid("anthropic", request)
    assistant = next(m for m in request["messages"] if m["role"] == "assistant")
    assert assistant["content"][:2] == [THOUGHT, HIDDEN]
    bare = kit.build(call(steps=[{"role": "assistant", "content": STEP[0]["content"][2:]}, STEP[1]], model="claude-sonnet-4-5"))
    counter = counter_for("claude-sonnet-4-5")
    thoughts = sum(counter.count(t) for t in ("The user wants bees.", "c2lnbmVk", "aGlkZGVu"))
    assert packet.tokens - bare.tokens >= thoughts
    with pytest.raises(
        ck.InputError, match="role tool at place 1 holds an image|role assistant at place 0 holds a thinking block"
    ):
        packet.messages("openai")
    kit.build(asked)
    same = kit.build(asked)
    assert same.receipt.prefix_broken_by == ""


def test_the_mark_of_a_cached_prefix_never_stands_on_thinking(kit):
    told = [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": [{"type": "text", "text": "So."}, THOUGHT]}]
    blocks = kit.build(call(history=told, model="claude-sonnet-4-5")).messages("anthropic")[1]["content"]
    assert [("cache_control" in b) for b in blocks] == [True, False]


def test_a_long_history_of_images_is_compacted_whole(kit):
    history = []
    for n in range(12):
        history += [
            {"role": "user", "content": f"Step {n}, please."},
            {"role": "assistant", "content": [{**THOUGHT, "signature": f"s{n}"}, {"type": "tool_use", "id": f"t{n}", "name": "look", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{n}", "content": [
                {"type": "text", "text": f"picture {n}"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture(900 + n, 700)}},
            ]}]},
            {"role": "assistant", "content": f"It shows the number {n}."},
        ]  # fmt: skip
    asked = call(history=history, model="claude-sonnet-4-5", budget=6000)
    packet = kit.build(asked)
    assert packet.tokens <= 6000
    rungs = {item.rung for item in packet.receipt.left_out}
    assert rungs & {"offload", "prune"}
    sent = json.dumps(packet.messages("anthropic"))
    kept = [kit.restore(item.ref) for item in packet.receipt.left_out]
    for n in range(12):
        data = picture(900 + n, 700)
        assert data in sent or any(data in text for text in kept)
        assert f'"s{n}"' in sent or any(f'"s{n}"' in text for text in kept)
    valid("anthropic", packet.request("anthropic"))


def test_a_users_image_in_a_window_comes_back(kit):
    history = [m for n in range(12) for m in (SEEN, {"role": "assistant", "content": f"Bees, {n}. " + "So it is. " * 30})]
    asked = call(history=history, budget=4000, compaction={"rungs": ["window"]})
    packet = kit.build(asked)
    assert packet.receipt.left_out
    check_restorable(kit, packet, asked)
    tools = message_tokens(packet.messages(), counter_for("gpt-4o"), framing_for("gpt-4o"))
    assert tools == packet.tokens
    assert any(PIXELS in kit.restore(item.ref) for item in packet.receipt.left_out)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"history": [SEEN], "model": "gpt-4"}, r"history\[0\]: it holds an image, and no rule .* gpt-4 counts images"),
        ({"history": [SEEN], "model": "gemini-2.5-pro"}, r"history\[0\]: it holds an image"),
        ({"history": [SEEN], "model": None}, r"history\[0\]: it holds an image"),
        ({"steps": STEP}, r"steps\[0\]: it holds a thinking block, which only Anthropic"),
    ],
)
def test_what_the_models_provider_cannot_count_or_read_is_refused_by_name(kit, changes, words):
    with pytest.raises(ck.InputError, match=words):
        kit.build(call(**changes))


def part(**given) -> list[dict]:
    return [{"role": "user", "content": [given]}]


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (part(type="image_url", image_url={"url": "data:image/png;base64,!!"}), r"history\[0\]: the image cannot be read: no base64"),
        (part(type="image_url", image_url={"url": "data:image/png;base64,AAAA"}), r"history\[0\]: the image's head does not say"),
        (part(type="image_url", image_url={"url": "data:image/tiff;base64,AAAA"}), r"history\[0\]: an image of type 'image/tiff'"),
        (part(type="image_url", image_url={"url": "https://x.org/a", "detail": "max"}), r"detail of an image must be one of"),
        (part(type="image_url"), r"history\[0\]: an image_url part needs a url"),
        (part(type="input_image", file_id="f1"), r"a file kept by the provider cannot be counted"),
        (part(type="image", source={"type": "file", "file_id": "f"}), r"history\[0\]: an image needs a source of type base64 or url"),
        (part(type="image", source={"type": "base64", "media_type": "image/png"}), r"needs its data as a text"),
        (part(**THOUGHT), r"history\[0\]: thinking cannot be carried in a message of role user"),
        ([{"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}], r"the signature of thinking must be a text"),
        ([{"role": "assistant", "content": SEEN["content"]}], r"an image cannot be carried in a message of role assistant"),
        ([STEP[0], {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [THOUGHT]}]}], "in a tool's result"),
    ],
)  # fmt: skip
def test_broken_parts_name_the_message(history, words):
    with pytest.raises(ck.InputError, match=words):
        ck.AgentCall(question="x", history=history)


def test_the_same_picture_twice_in_results_is_sent_once(kit):
    again = [json.loads(json.dumps(STEP).replace("t1", name)) for name in ("t1", "t2")]
    asked = call(history=[{"role": "user", "content": "Go."}, *again[0], *again[1]], model="claude-sonnet-4-5", budget=9000)
    packet = kit.build(asked)
    assert json.dumps(packet.messages("anthropic")).count(PIXELS) == 1
    item = next(i for i in packet.receipt.left_out if i.rung == "duplicate")
    assert PIXELS in kit.restore(item.ref)
