"""`PacketCapability` and the toolset, in agents of pydantic-ai with its own test models."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, DocumentUrl, ImageUrl, ModelRetry
from pydantic_ai.exceptions import UnexpectedModelBehavior
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)  # fmt: skip
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

import contextkit as ck
from contextkit.adapters.pydantic_ai import PacketCapability, toolset
from contextkit.errors import BudgetExceeded, InputError, KitClosed
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, framing_for, message_tokens, tool_tokens

ANN = {"user": "ann"}
QUESTION = "Until when may leave be carried over?"


class Script:
    """A model that gives one response after the other, and keeps what it received."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.received = []

    def model(self):
        def respond(messages, info):
            self.received.append((messages, info))
            step = self.steps.pop(0)
            return (
                step
                if isinstance(step, ModelResponse)
                else ModelResponse(parts=[step if not isinstance(step, str) else TextPart(step)])
            )

        return FunctionModel(respond)


class Seen(PacketCapability):
    """Keeps every packet."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.packets = []

    async def before_model_request(self, ctx, request_context):
        made = await super().before_model_request(ctx, request_context)
        self.packets.append(self.packet)
        return made


def call(name, call_id, **arguments):
    return ToolCallPart(name, arguments, call_id)


def chat(messages, instructions):
    """What a model received, in chat form, spelled here once more."""
    out = []
    for message in messages:
        if isinstance(message, ModelResponse):
            texts = [part.content for part in message.parts if isinstance(part, TextPart)]
            calls = [
                {
                    "id": part.tool_call_id,
                    "type": "function",
                    "function": {"name": part.tool_name, "arguments": part.args_as_json_str()},
                }
                for part in message.parts
                if isinstance(part, ToolCallPart)
            ]
            out.append({"role": "assistant", "content": "".join(texts) or None, **({"tool_calls": calls} if calls else {})})
            continue
        for part in message.parts:
            if isinstance(part, ToolReturnPart):
                out.append({"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()})
            elif isinstance(part, RetryFeedbackPart):
                out.append({"role": "user", "content": part.model_response()})
            else:
                out.append({"role": "system" if isinstance(part, SystemPromptPart) else "user", "content": part.content})
    return [*([{"role": "system", "content": instructions}] if instructions else []), *out]


def same(received, packet):
    """What the model received is the packet, byte for byte, and counts what the receipt says."""
    messages, info = received
    sent = chat(messages, info.instructions)
    assert json.dumps(sent, ensure_ascii=False) == json.dumps(packet.messages("openai"), ensure_ascii=False)
    offer = sorted((t.name, t.description or "", t.parameters_json_schema) for t in (*info.function_tools, *info.output_tools))
    counter, framing = counter_for(None), framing_for(None)
    assert (
        message_tokens(sent, counter, framing) + tool_tokens(offer, counter, framing)[0] == packet.tokens == packet.receipt.tokens
    )


def text_of(received):
    return json.dumps(chat(received[0], received[1].instructions))


async def test_each_request_receives_its_packet_byte_for_byte(kit):
    kit.memory.remember("Ann prefers trains.", scope=ANN)
    script = Script(call("search", "c1", query="leave", count=2), call("context", "c2", question=QUESTION), "March.")
    packets = Seen(kit, budget=2000, scope=ANN)
    agent = Agent(
        script.model(), name="desk", instructions="Be brief.", capabilities=[packets], toolsets=[toolset(kit, scope=ANN)]
    )
    result = await agent.run(QUESTION)
    assert result.output == "March."
    assert len(script.received) == len(packets.packets) == 3
    for received, packet in zip(script.received, packets.packets, strict=True):
        same(received, packet)
        assert "end of March" in text_of(received)
        assert "Ann prefers trains." in text_of(received)
        assert received[1].instructions == "Be brief."
        assert packet.receipt.agent == "desk"
    assert kit.receipt().id == packets.packet.receipt.id
    assert "Up to five days" in script.received[1][0][-1].parts[0].content


async def test_the_runs_own_history_stays_as_it_was_asked(kit):
    script = Script(call("search", "c1", query="leave", count=1), "March.")
    agent = Agent(
        script.model(), instructions="Be brief.", capabilities=[PacketCapability(kit, budget=2000)], toolsets=[toolset(kit)]
    )
    result = await agent.run(QUESTION)
    first, second, third, fourth = result.all_messages()
    assert [part.content for part in first.parts] == [QUESTION]
    assert first.instructions == "Be brief."
    assert [part.tool_name for part in second.parts] == ["search"]
    assert third.parts[0].content.startswith("[1] Leave, handbook/leave:0-")
    assert fourth.parts[0].content == "March."


async def test_system_prompts_and_pinned_texts_keep_their_order(kit):
    script = Script("March.", "Five.")
    packets = Seen(kit, budget=2000, pinned=["Ann is new."])
    agent = Agent(script.model(), system_prompt="You are a desk.", instructions="Be brief.", capabilities=[packets])
    first = await agent.run(QUESTION)
    await agent.run("How many days?", message_history=first.all_messages())
    for received, packet in zip(script.received, packets.packets, strict=True):
        same(received, packet)
        system = [part.content for part in received[0][0].parts if isinstance(part, SystemPromptPart)]
        assert system == ["You are a desk.\n\nBe brief.", "# Memory\n- Ann is new."]


async def test_a_history_that_outgrows_the_budget_is_cut_and_still_counted(kit):
    history = []
    for n in range(30):
        history.append(ModelRequest(parts=[UserPromptPart(f"Question {n}: " + "of leave and trains " * 20)]))
        history.append(ModelResponse(parts=[ThinkingPart("hm"), TextPart("Yes. " * 30)]))
    script, packets = Script("March."), Seen(kit, budget=1500)
    result = await Agent(script.model(), capabilities=[packets]).run(QUESTION, message_history=history)
    same(script.received[0], packets.packet)
    assert packets.packet.tokens <= 1500 - packets.packet.receipt.reply_reserve
    assert packets.packet.receipt.left_out
    assert len(result.all_messages()) == 62


async def test_reported_usage_comes_back_in_the_next_receipt(kit):
    packets = Seen(kit, budget=1500)
    script = Script(ModelResponse(parts=[TextPart("March.")], usage=RequestUsage(input_tokens=417)), "Five.")
    agent = Agent(script.model(), name="desk", capabilities=[packets])
    first = await agent.run(QUESTION)
    second = await agent.run("How many days?", message_history=first.all_messages())
    receipts = [packet.receipt for packet in packets.packets]
    assert receipts[0].anchored_tokens is None
    assert receipts[1].anchored_tokens > 417
    assert receipts[0].conversation == receipts[1].conversation == f"{second.conversation_id}: desk"


async def test_the_programs_feedback_is_no_question(kit):
    class Answer(BaseModel):
        month: str

    script, packets = Script("March.", call("final_result", "c1", month="March")), Seen(kit, budget=2000)
    result = await Agent(script.model(), output_type=Answer, capabilities=[packets], retries=2).run(QUESTION)
    assert result.output == Answer(month="March")
    assert [packet.question for packet in packets.packets] == [QUESTION, QUESTION]
    for received, packet in zip(script.received, packets.packets, strict=True):
        same(received, packet)
    assert script.received[1][0][-1].parts[0].content.startswith("Your previous response failed the application's validation")


async def test_streamed_runs_receive_the_packet_too(kit):
    packets = Seen(kit, budget=1500)
    seen = []

    async def stream(messages, info):
        seen.append((messages, info))
        yield "March."

    async with Agent(FunctionModel(stream_function=stream), capabilities=[packets]).run_stream(QUESTION) as streamed:
        assert await streamed.get_output() == "March."
    same(seen[0], packets.packet)


async def test_the_librarys_test_model_calls_every_tool(kit):
    agent = Agent(TestModel(), capabilities=[PacketCapability(kit, budget=3000, scope=ANN)], toolsets=[toolset(kit, scope=ANN)])
    result = await agent.run(QUESTION)
    assert set(json.loads(result.output)) == {"search", "context", "recall", "remember"}


async def test_images_are_carried_and_counted(kit):
    # a PNG's signature and header: 2 x 2 pixels
    png = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000002000000020806000000") + bytes(40)
    logo, plan = BinaryContent(png, media_type="image/png"), ImageUrl("https://files.example/plan.png")
    script, packets = Script("Nice.", "March."), Seen(kit, budget=8000, model="gpt-4o")
    agent = Agent(script.model(), capabilities=[packets])
    first = await agent.run(["Our logo and plan:", logo, plan])
    await agent.run([logo, QUESTION], message_history=first.all_messages())
    shown = [part.content for message in script.received[1][0] for part in message.parts if part.part_kind == "user-prompt"]
    assert shown[:2] == [["Our logo and plan:", logo, plan], [logo]]
    assert shown[2].endswith(QUESTION)
    assert packets.packets[1].receipt.sections["history"].tokens > 3 * 85
    assert [part.content for part in first.all_messages()[0].parts] == [["Our logo and plan:", logo, plan]]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (["What is this?", BinaryContent(b"x", media_type="audio/wav")], "holds BinaryContent: only texts and images"),
        (["What is this?", DocumentUrl("https://files.example/a.pdf")], "holds DocumentUrl: only texts and images"),
        ("  ", "the question is empty"),
    ],
)
async def test_what_no_packet_can_carry_ends_the_run(kit, prompt, said):
    script = Script("never")
    with pytest.raises(InputError, match=said):
        await Agent(script.model(), capabilities=[PacketCapability(kit, budget=1500)]).run(prompt)
    assert script.received == []
    assert kit.receipts() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"budget": 0}, "a budget of 0 tokens holds nothing"),
        ({"budgets": 5}, "'budgets' is not known"),
        ({"budget": 500, "tools": []}, "'tools' is decided by the running agent"),
        ({"budget": 500, "scope": {"who": "ann"}}, "unknown level 'who'"),
    ],
)
def test_a_capability_that_cannot_work_is_refused_when_it_is_made(kit, options, said):
    with pytest.raises(InputError, match=said):
        PacketCapability(kit, **options)


async def test_what_may_not_be_trimmed_and_does_not_fit_ends_the_run(kit):
    agent = Agent(Script("never").model(), instructions="word " * 600, capabilities=[PacketCapability(kit, budget=500)])
    with pytest.raises(BudgetExceeded, match="system"):
        await agent.run(QUESTION)


async def test_a_mistake_of_the_model_is_told_to_the_model(kit):
    script = Script(call("search", "c1", query="leave", count=10_000), call("search", "c2", query="leave", count=1), "March.")
    await Agent(script.model(), toolsets=[toolset(kit)]).run(QUESTION)
    told = script.received[1][0][-1].parts[0]
    assert told.outcome == "retried"
    assert "1 to 50, not 10000" in told.content


async def test_a_model_that_goes_on_making_mistakes_ends_the_run(kit):
    script = Script(*(call("search", f"c{n}", query=" ", count=1) for n in range(5)))
    with pytest.raises(UnexpectedModelBehavior) as raised:
        await Agent(script.model(), toolsets=[toolset(kit)], retries=1).run(QUESTION)
    assert isinstance(raised.value.__cause__, ModelRetry | type(None))
    assert len(script.received) == 2


async def test_a_closed_kit_ends_the_run(folder):
    kit = ck.open(folder, embedder=TinyEmbedder())
    agent = Agent(Script(call("search", "c1", query="leave", count=3)).model(), toolsets=[toolset(kit)])
    packets = Agent(Script("never").model(), capabilities=[PacketCapability(kit, budget=500)])
    kit.close()
    for one in (agent, packets):
        with pytest.raises(KitClosed):
            await one.run(QUESTION)


def test_tools_have_described_parameters_and_depend_on_what_the_kit_may_do(kit, folder):
    made = toolset(kit, scope=ANN).tools
    assert list(made) == ["search", "context", "recall", "remember"]
    for tool in made.values():
        assert tool.description
        assert all(field["description"] and field["type"] for field in tool.function_schema.json_schema["properties"].values())
    assert list(toolset(kit).tools) == ["search", "context"]
    with ck.open(folder, embedder=TinyEmbedder(), read_only=True) as fixed:
        assert "remember" not in toolset(fixed, scope=ANN).tools
