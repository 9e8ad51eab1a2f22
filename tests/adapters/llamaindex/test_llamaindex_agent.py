"""A whole agent over two processes; the packer; tools; what is there without the peer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM, MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode
from openai.types import CompletionUsage

import contextkit as ck
from contextkit.adapters.llamaindex import KitAgent, KitPacker, KitRetriever, kit_tools
from contextkit.adapters.llamaindex.agent import to_openai
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, message_tokens, tool_tokens
from contextkit.tokens.framing import framing_for

HERE = Path(__file__).parent


def run(folder, which):
    command = [sys.executable, str(HERE / "scripted_agent.py"), str(folder), which]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def tokens_of(received):
    counter, framing = counter_for(None), framing_for(None)
    functions = (tool["function"] for tool in received["tools"])
    tools = sorted((f["name"], f["description"], f["parameters"]) for f in functions)
    return message_tokens(received["messages"], counter, framing) + tool_tokens(tools, counter, framing)[0]


def test_an_agent_searches_gets_packets_remembers_and_recalls_after_a_restart(tmp_path):
    first = run(tmp_path / "index", "first")
    second = run(tmp_path / "index", "second")
    for part in (first, second):
        assert len(part["received"]) == len(part["receipts"]) >= 2
        for received, receipt in zip(part["received"], part["receipts"], strict=True):
            assert tokens_of(received) == receipt["tokens"]
            turn = next(m["content"] for m in reversed(received["messages"]) if m["role"] == "user")
            for item in receipt["items"]:
                assert item["text"] in turn
    assert "The ferry leaves at nine." in first["received"][0]["messages"][-1]["content"]
    results = [m["content"] for m in first["received"][-1]["messages"] if m["role"] == "tool"]
    assert "The ferry leaves at nine." in results[0]
    assert results[1].startswith("Remembered as m")
    recalled = [m["content"] for m in second["received"][-1]["messages"] if m["role"] == "tool"]
    assert "Ann's boat is called Heron." in recalled[-1]
    start = second["received"][0]["messages"]
    assert any("Heron" in str(m["content"]) for m in start)
    assert [m["content"] for m in start if m["role"] in ("user", "assistant") and m["content"]][:2] == [
        "When does the ferry leave? My boat is Heron.",
        "At nine; and I noted the boat.",
    ]
    assert second["kept"][0] == "When does the ferry leave? My boat is Heron.", "what was said is kept, not the packet"
    assert (first["answer"], second["answer"]) == ("At nine; and I noted the boat.", "Heron.")


@pytest.fixture
def kit(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [ck.Document("hive", "Ann keeps the bees. The hive stands east."), ck.Document("pump", "The pump runs at 40 bar.")]
        )
        yield kit


def test_tools_have_schemas_and_work(kit):
    tools = {tool.metadata.name: tool for tool in kit_tools(kit, scope={"user": "ann"}, filters={"id": "pump"})}
    assert sorted(tools) == ["context", "recall", "remember", "search"]
    schema = tools["search"].metadata.to_openai_tool()["function"]["parameters"]
    assert schema["required"] == ["query"]
    assert schema["properties"]["query"]["description"]
    assert "40 bar" in tools["search"].call(query="hive").content
    assert "hive" not in str(tools["search"].call(query="hive").content)
    assert asyncio.run(tools["remember"].acall(fact="The gate is open.")).content.startswith("Remembered")
    assert "gate" in asyncio.run(tools["recall"].acall(query="gate")).content


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the peer's workflows look at every attribute of an agent
def test_what_cannot_be_carried_is_named(kit):
    agent = KitAgent(kit, budget=500, llm=MockFunctionCallingLLM())
    with pytest.raises(ck.InputError, match="message 0 .user.*image"):
        asyncio.run(agent._packed([ChatMessage(role="user", blocks=[ImageBlock(image=b"x")])], []))
    with pytest.raises(ck.InputError, match="question"):
        asyncio.run(agent._packed([ChatMessage(role="system", content="only")], []))
    with pytest.raises(ck.InputError, match="unknown level"):
        KitAgent(kit, scope={"planet": "x"}, llm=MockFunctionCallingLLM())
    spelled = to_openai(
        ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="c", tool_name="t", tool_kwargs='{"a": 1}')]), 0
    )
    assert spelled["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'


# -------------------------------------------------------------------------------------------------------------------------- packer

WORDS = st.sampled_from(
    [
        "The ferry leaves at nine.",
        "It is blue.",
        "The oven runs hot today!",
        "Ann keeps bees.",
        "Nobody knows why?",
        "A much longer sentence about ferries and the sea.",
    ]
)
NODES = st.lists(
    st.tuples(st.lists(WORDS, min_size=1, max_size=6), st.none() | st.floats(0, 1), st.booleans()), min_size=1, max_size=5
)


def nodes_of(drawn):
    return [
        NodeWithScore(
            node=TextNode(
                id_=f"n{n}", text=" ".join(sentences), metadata={"file": f"f{n}.md"} if meta else {}, start_char_idx=100 * n,
                relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc")},
            ),
            score=score,
        )
        for n, (sentences, score, meta) in enumerate(drawn)
    ]  # fmt: skip


@pytest.mark.parametrize("embedder", [None, TinyEmbedder(window=24), TinyEmbedder()], ids=["words", "narrow", "wide"])
@settings(max_examples=40, deadline=None)
@given(drawn=NODES, budget=st.integers(12, 120), question=st.sampled_from(["When does the ferry leave?", "bees", ""]))
def test_packed_nodes_fit_the_budget_and_are_exact(embedder, drawn, budget, question):
    nodes = nodes_of(drawn)
    texts = {one.node_id: one.node.get_content() for one in nodes}
    packer = KitPacker(budget, embedder=embedder)
    try:
        packed = packer.postprocess_nodes(nodes, query_bundle=QueryBundle(question) if question else None)
    except ck.BudgetExceeded as error:
        assert error.limit == budget
        return
    sent = "\n\n".join(one.get_content(MetadataMode.LLM) for one in packed)
    assert counter_for(None).count(sent) <= budget
    assert packed
    for one in packed:
        name, _, place = one.node_id.partition("[")
        source = texts[name]
        if place:
            start, end = map(int, place.rstrip("]").split(":"))
            assert source[start:end] == one.text
            number = int(name[1:])
            assert (one.node.start_char_idx, one.node.end_char_idx) == (100 * number + start, 100 * number + end)
            assert one.node.ref_doc_id == "doc"
        else:
            assert any(one is given_node for given_node in nodes)


def test_the_best_sentences_stay_and_a_large_budget_keeps_all():
    nodes = nodes_of(
        [
            (["The oven runs hot today!", "Nobody knows why?"], 0.9, True),
            (["It is blue.", "The ferry leaves at nine."], 0.8, True),
        ]
    )
    (one, *rest) = KitPacker(22, embedder=TinyEmbedder()).postprocess_nodes(nodes, query_str="When does the ferry leave?")
    assert "The ferry leaves at nine." in one.text
    assert not rest
    assert KitPacker(10_000).postprocess_nodes(nodes, query_str="When does the ferry leave?") == nodes[::-1]
    assert KitPacker(100).postprocess_nodes([]) == []
    assert KitPacker(100).postprocess_nodes([NodeWithScore(node=TextNode(text=" "))]) == []
    with pytest.raises(ck.BudgetExceeded):
        KitPacker(2).postprocess_nodes(nodes)
    for bad in (0, -1, True, "9"):
        with pytest.raises(ck.InputError, match="budget"):
            KitPacker(bad)
    with pytest.raises(ValueError, match="both"):
        KitPacker(9).postprocess_nodes(nodes, query_str="a", query_bundle=QueryBundle("a"))


def test_a_query_engine_sends_what_was_packed(kit):
    asked = []

    class Model(MockLLM):
        def predict(self, prompt, **arguments):
            asked.append(arguments["context_str"])
            return "East."

    engine = RetrieverQueryEngine.from_args(
        KitRetriever(kit), llm=Model(), node_postprocessors=[KitPacker(10, embedder=kit.embedder)]
    )
    response = engine.query("Where does the hive stand?")
    assert asked == ["The hive stands east."]
    assert [one.node.ref_doc_id for one in response.source_nodes] == ["hive"]


# -------------------------------------------------------------------------------------------------------------- what a call took


class Reporting(MockFunctionCallingLLM):
    """The peer's scripted model, whose responses carry the provider's account where LlamaIndex puts it."""

    accounts: list

    async def achat(self, messages, **kwargs):
        return self.told(await super().achat(messages, **kwargs))

    async def astream_chat(self, messages, **kwargs):
        stream = await super().astream_chat(messages, **kwargs)

        async def parts():
            async for part in stream:
                yield self.told(part)

        return parts()

    def told(self, response):
        raw, beside = self.accounts.pop(0)
        return response.model_copy(update={"raw": raw, "additional_kwargs": beside})


USAGE = CompletionUsage(prompt_tokens=417, completion_tokens=3, total_tokens=420)


@pytest.mark.parametrize(
    "account",
    [
        ({"usage": USAGE}, {}),
        ({"usage": USAGE.model_dump()}, {}),
        (SimpleNamespace(usage=USAGE), {}),
        ({"usage_metadata": {"prompt_token_count": 417, "total_token_count": 420}}, {}),
        ({"usage": None}, {"prompt_tokens": 417, "total_tokens": 420}),
    ],
    ids=["a model", "a mapping", "an object", "Google's", "beside"],
)
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.filterwarnings(
    "ignore::pydantic.warnings.PydanticDeprecationWarning"
)  # the peer's own, of walking through the agent's members
async def test_reported_usage_comes_back_in_the_next_receipt(kit, account, streaming):
    replies = iter(["East.", "At 40 bar.", "Ann."])
    model = Reporting(
        response_generator=lambda messages, **_: ChatMessage(role="assistant", content=next(replies)),
        accounts=[account, (None, {}), (None, {})],
    )
    agent = KitAgent(kit, budget=800, name="desk", llm=model, streaming=streaming)
    memory = ChatMemoryBuffer.from_defaults(token_limit=4000)
    anchored = []
    for question in ("Where does the hive stand?", "At what pressure does the pump run?", "Who keeps the bees?"):
        await agent.run(question, memory=memory)
        anchored.append(agent.last_packet.receipt.anchored_tokens)
    assert anchored[0] is None
    assert anchored[1] > 417
    assert anchored[2] is not None, "a call without an account says nothing: the last report holds"


# ------------------------------------------------------------------------------------------------------------------- without the peer


def test_without_the_peer_one_line_names_the_extra():
    code = (
        "import sys; sys.modules['llama_index'] = None\n"
        "from contextkit.errors import MissingExtra\n"
        "try:\n    import contextkit.adapters.llamaindex\n"
        "except MissingExtra as error:\n    print(error.extra, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("llamaindex ")
    assert "pip install 'contextkit[llamaindex]'" in done.stdout
    assert done.stdout.count("\n") == 1
