"""`PacketFilter`, its hand-offs and the tools, in agents that the SDK's own runner drives with its scripted model."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from agents import Agent, RunConfig, Runner, Usage, UserError, handoff
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from received import recounted

import contextkit as ck
from contextkit.adapters.openai_agents import KitSession, PacketFilter, tools
from contextkit.errors import BudgetExceeded, InputError, KitClosed
from contextkit.testing import TinyEmbedder

ANN = {"user": "ann"}
QUESTION = "Until when may leave be carried over?"


def say(text, tokens=0):
    return ModelStep(output=[assistant_message(text)], usage=Usage(requests=1, input_tokens=tokens))


def call(name, call_id, **arguments):
    return ModelStep(output=[function_call(name, arguments, call_id=call_id)])


class Seen(PacketFilter):
    """Keeps every packet."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.packets = []

    async def __call__(self, data):
        made = await super().__call__(data)
        self.packets.append(self.packet)
        return made


async def run(agent, question, packets, **options):
    config = RunConfig(call_model_input_filter=packets, tracing_disabled=True)
    return await Runner.run(agent, question, run_config=config, hooks=packets.hooks, **options)


def same(received, packet):
    """What the model received is the packet, byte for byte, and counts what the receipt says."""
    system = [{"role": "system", "content": received.system_instructions}] if received.system_instructions else []
    sent = json.dumps([*system, *received.input], ensure_ascii=False)
    assert sent == json.dumps(packet.request("responses")["input"], ensure_ascii=False)
    assert recounted([*system, *received.input], received.tools, received.handoffs) == packet.receipt.tokens == packet.tokens


async def test_each_call_receives_its_packet_byte_for_byte(kit):
    kit.memory.remember("Ann prefers trains.", scope=ANN)
    model = ScriptedModel([call("search", "c1", query="leave", count=2), call("context", "c2", question=QUESTION), say("March.")])
    packets = Seen(kit, budget=2000, scope=ANN, pinned=["Answer in English."])
    agent = Agent(name="desk", instructions="Answer from the documents.", model=model, tools=tools(kit, scope=ANN))
    result = await run(agent, QUESTION, packets)
    assert result.final_output == "March."
    assert len(model.calls) == len(packets.packets) == 3
    for received, packet in zip(model.calls, packets.packets, strict=True):
        same(received, packet)
        text = json.dumps(received.input)
        assert "end of March" in text
        assert "Ann prefers trains." in text
        assert "Answer in English." in text
    assert kit.receipt().id == packets.packet.receipt.id
    assert "Up to five days" in model.calls[1].input[-1]["output"]


async def test_a_history_that_outgrows_the_budget_is_cut_and_still_counted(kit):
    session = KitSession(kit, "chat")
    for n in range(30):
        await session.add_items(
            [
                {"role": "user", "content": f"Question {n}: " + "of leave and trains " * 20},
                {"role": "assistant", "content": "Yes. " * 30},
            ]
        )
    model = ScriptedModel([say("March.")])
    packets = Seen(kit, budget=1500)
    await run(Agent(name="desk", instructions="Be brief.", model=model), QUESTION, packets, session=session)
    same(model.calls[0], packets.packet)
    assert packets.packet.tokens <= 1500 - packets.packet.receipt.reply_reserve
    assert packets.packet.receipt.left_out
    assert len(await session.get_items()) == 62  # the session keeps everything


async def test_reported_usage_comes_back_in_the_next_receipt(kit):
    model = ScriptedModel([say("March.", tokens=417), say("Five.", tokens=0), say("Yes.")])
    packets, session = Seen(kit, budget=1500, conversation="chat"), KitSession(kit, "chat")
    agent = Agent(name="desk", model=model)
    for question in (QUESTION, "How many days?", "Really?"):
        await run(agent, question, packets, session=session)
    first, second, third = (packet.receipt for packet in packets.packets)
    assert first.anchored_tokens is None
    assert second.anchored_tokens is not None
    assert second.anchored_tokens > 417
    assert second.cached_prefix_tokens > 0 or second.prefix_broken_by
    assert third.anchored_tokens is not None  # 0 tokens say nothing: the last report holds
    assert {first.conversation, second.conversation} == {"chat: desk"}


async def test_streamed_runs_receive_the_packet_too(kit):
    model = ScriptedModel([say("March.")])
    packets = Seen(kit, budget=1500)
    config = RunConfig(call_model_input_filter=packets, tracing_disabled=True)
    streamed = Runner.run_streamed(Agent(name="desk", model=model), QUESTION, run_config=config, hooks=packets.hooks)
    async for _ in streamed.stream_events():
        pass
    same(model.calls[0], packets.packet)


async def test_reasoning_is_left_out_and_refusals_are_text(kit):
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}, {"type": "input_text", "text": "there"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": ""},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": QUESTION},
    ]
    model, packets = ScriptedModel([say("March.")]), Seen(kit, budget=1500)
    await run(Agent(name="desk", model=model), items, packets)
    same(model.calls[0], packets.packet)
    assert [(i["role"], i["content"]) for i in model.calls[0].input[:-1]] == [
        ("system", "# Memory\n- Be kind."), ("user", "Hello\n\nthere"), ("assistant", "No."),
    ]  # fmt: skip


async def test_images_are_carried_and_counted(kit):
    # a PNG's signature and header: 2 x 2 pixels
    data = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAYAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    image = {"type": "input_image", "image_url": data, "detail": "low"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Our logo:"}, image]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Thank you."}]},
        {"role": "user", "content": [image, {"type": "input_text", "text": QUESTION}]},
    ]
    model, packets = ScriptedModel([say("March.")]), Seen(kit, budget=3000, model="gpt-4o")
    await run(Agent(name="desk", model=model), items, packets)
    received = model.calls[0].input
    assert json.dumps(received) == json.dumps(packets.packet.request("responses")["input"])
    assert received[0]["content"] == [{"type": "input_text", "text": "Our logo:"}, image]
    assert received[2]["content"] == [image]
    assert received[3]["content"].endswith(QUESTION)
    assert packets.packet.receipt.sections["history"].tokens > 2 * 85  # gpt-4o's price of an image in low detail


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([{"type": "web_search_call", "id": "w"}, {"role": "user", "content": "Hi"}], "item 0 is a 'web_search_call'"),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
            "item 0 has a part of type 'input_file'",
        ),
        ([{"role": "assistant", "content": "Hi"}], "none of the 1 messages is a user's"),
        ([{"role": "user", "content": "  "}], "the question is empty"),
    ],
)
async def test_what_no_packet_can_carry_ends_the_run(kit, items, said):
    model = ScriptedModel([say("never")])
    with pytest.raises(InputError, match=said):
        await run(Agent(name="desk", model=model), items, PacketFilter(kit, budget=1500))
    assert model.calls == ()
    assert kit.receipts() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": 0}, "a budget of 0 tokens holds nothing"),
        ({"budgets": 5}, "'budgets' is not known"),
        ({"budget": 500, "question": "x"}, "'question' is decided by the running agent"),
        ({"budget": 500, "recall": -1}, "recall cannot be -1"),
        ({"budget": 500, "scope": {}}, "names nobody"),
    ],
)
def test_a_filter_that_cannot_work_is_refused_when_it_is_made(kit, options, said):
    with pytest.raises(InputError, match=said):
        PacketFilter(kit, **options)


async def test_what_may_not_be_trimmed_and_does_not_fit_ends_the_run(kit):
    agent = Agent(name="desk", instructions="word " * 600, model=ScriptedModel([say("never")]))
    with pytest.raises(BudgetExceeded, match="system"):
        await run(agent, QUESTION, PacketFilter(kit, budget=500))


def test_agents_in_several_threads_and_event_loops_share_a_kit(kit):
    seen = {}

    def work(who):
        model = ScriptedModel([call("search", f"{who}1", query="leave", count=1), say(f"March, {who}.")])
        packets = Seen(kit, budget=2000, scope={"user": who}, conversation=who)
        agent = Agent(name="desk", instructions=f"You work for {who}.", model=model, tools=tools(kit, scope={"user": who}))
        result = asyncio.run(run(agent, QUESTION, packets, session=KitSession(kit, "chat", scope={"user": who})))
        seen[who] = (result.final_output, model.calls, packets.packets)

    threads = [threading.Thread(target=work, args=(who,)) for who in ("ann", "ben", "cid")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == ["ann", "ben", "cid"]
    for who, (answer, calls, packets) in seen.items():
        assert answer == f"March, {who}."
        for received, packet in zip(calls, packets, strict=True):
            same(received, packet)
            assert received.system_instructions == f"You work for {who}."


# --------------------------------------------------------------------------------------------------------------------- hand-offs


async def test_a_hand_off_passes_evidence_and_not_the_transcript(kit):
    packets, session = Seen(kit, budget=2000), KitSession(kit, "chat")
    expert_model = ScriptedModel([say("Until the end of March.")])
    expert = Agent(name="expert", instructions="You know leave.", model=expert_model)
    given = packets.handoff_filter(
        "expert", decisions=["Answer in English."], claims=["Ann is new."], open_items=["the date"], remaining_budget=900
    )
    desk_model = ScriptedModel([call("search", "c1", query="leave", count=1), call("transfer_to_expert", "c2")])
    desk = Agent(name="desk", model=desk_model, tools=tools(kit), handoffs=[handoff(expert, input_filter=given)])
    result = await run(desk, QUESTION, packets, session=session)
    assert result.final_output == "Until the end of March."
    received = expert_model.calls[0]
    same(received, packets.packet)
    same(desk_model.calls[0], packets.packets[0])  # the hand-off is offered as a tool, and counted
    brief, question = received.input
    assert brief["content"].startswith(
        f"Handed over by desk to expert.\nGoal: {QUESTION}\nDecided:\n- Answer in English.\nKnown from documents:\n- "
    )
    assert "five days are carried. (handbook/leave:" in brief["content"]
    assert brief["content"].endswith("Said without evidence:\n- Ann is new.\nOpen:\n- the date\nTokens left: 900")
    assert question["content"].endswith(QUESTION)
    assert packets.handoff.receipt == packets.packets[1].receipt.id
    kinds = [item.get("type", item.get("role")) for item in await session.get_items()]
    assert kinds == ["user", "function_call", "function_call_output", "function_call", "function_call_output", "message"]


async def test_a_receiver_does_not_get_what_it_may_not_see(kit):
    boss = ck.Principal("boss")
    packets = PacketFilter(kit, budget=2000, principal=boss)
    expert_model = ScriptedModel([say("I cannot say.")])
    expert = Agent(name="expert", model=expert_model)
    given = packets.handoff_filter("expert", principal=ck.Principal("ann"))
    desk = Agent(
        name="desk", model=ScriptedModel([call("transfer_to_expert", "c1")]), handoffs=[handoff(expert, input_filter=given)]
    )
    await run(desk, "What does the director earn a day?", packets)
    brief = expert_model.calls[0].input[0]["content"]
    assert "900" not in brief
    assert "Not passed on, since the evidence changed, is gone or may not be seen: 1" in brief
    assert packets.handoff.flagged


async def test_a_hand_off_back_is_a_loop(kit):
    packets = PacketFilter(kit, budget=2000)
    expert = Agent(name="expert", model=ScriptedModel([call("transfer_to_desk", "c2")]))
    desk = Agent(name="desk", model=ScriptedModel([call("transfer_to_expert", "c1")]))
    desk.handoffs = [handoff(expert, input_filter=packets.handoff_filter("expert"))]
    expert.handoffs = [handoff(desk, input_filter=packets.handoff_filter("desk"))]
    with pytest.raises(InputError, match="handing over to 'desk' is a loop: it went desk -> expert"):
        await run(desk, QUESTION, packets)


async def test_nothing_to_hand_over_is_said(kit):
    packets = PacketFilter(kit, budget=2000)
    expert = Agent(name="expert", model=ScriptedModel([say("never")]))
    given = packets.handoff_filter("expert")
    desk = Agent(
        name="desk", model=ScriptedModel([call("transfer_to_expert", "c1")]), handoffs=[handoff(expert, input_filter=given)]
    )
    with pytest.raises(InputError, match="give this filter to the RunConfig too"):
        await Runner.run(desk, QUESTION, run_config=RunConfig(tracing_disabled=True))


# ------------------------------------------------------------------------------------------------------------------------- tools


def test_tools_have_schemas_and_depend_on_what_the_kit_may_do(kit, folder):
    assert [tool.name for tool in tools(kit)] == ["search", "context"]
    made = {tool.name: tool for tool in tools(kit, scope=ANN)}
    assert list(made) == ["search", "context", "recall", "remember"]
    for tool in made.values():
        assert tool.description
        assert all(field["description"] and field["type"] for field in tool.params_json_schema["properties"].values())
    with ck.open(folder, embedder=TinyEmbedder(), read_only=True) as fixed:
        assert "remember" not in [tool.name for tool in tools(fixed, scope=ANN)]


async def test_a_mistake_of_the_model_is_told_to_the_model(kit):
    model = ScriptedModel(
        [
            call("search", "c1", query=" ", count=3),
            call("search", "c2", query="leave", count=10_000),
            call("remember", "c3", fact=" ", key=""),
            say("Sorry."),
        ]
    )
    agent = Agent(name="desk", model=model, tools=tools(kit, scope=ANN))
    await Runner.run(agent, QUESTION, run_config=RunConfig(tracing_disabled=True))
    told = [item["output"] for item in model.last_call.input if item.get("type") == "function_call_output"]
    assert [text[:20] for text in told] == ["That did not work: t", "That did not work: c", "That did not work: t"]
    assert "1 to 50, not 10000" in told[1]


async def test_a_closed_kit_ends_the_run(folder):
    kit = ck.open(folder, embedder=TinyEmbedder())
    agent = Agent(
        name="desk", model=ScriptedModel([call("search", "c1", query="leave", count=3), say("never")]), tools=tools(kit)
    )
    kit.close()
    with pytest.raises((KitClosed, UserError), match="is closed"):
        await Runner.run(agent, QUESTION, run_config=RunConfig(tracing_disabled=True))


async def test_tools_keep_a_scope_and_see_only_what_everyone_may(kit):
    ours, theirs = ({tool.name: tool for tool in tools(kit, scope=scope)} for scope in (ANN, {"user": "ben"}))
    model = ScriptedModel(
        [
            call("remember", "c1", fact="Ann lives in Hamburg.", key="ann/city"),
            call("recall", "c2", query="Where does Ann live?"),
            say("Hamburg."),
        ]
    )
    await Runner.run(
        Agent(name="desk", model=model, tools=list(ours.values())), "Hi", run_config=RunConfig(tracing_disabled=True)
    )
    assert "Ann lives in Hamburg." in model.last_call.input[-1]["output"]
    model = ScriptedModel(
        [
            call("recall", "c1", query="Where does Ann live?"),
            call("search", "c2", query="What does the director earn?", count=9),
            say("?"),
        ]
    )
    await Runner.run(
        Agent(name="desk", model=model, tools=list(theirs.values())), "Hi", run_config=RunConfig(tracing_disabled=True)
    )
    recalled, found = (item["output"] for item in model.last_call.input if item.get("type") == "function_call_output")
    assert recalled == "Nothing is known of this."
    assert "director" not in found
