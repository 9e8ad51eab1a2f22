"""A LlamaIndex agent whose context, memory and conversation live in a contextkit index.

    pip install 'contextkit[llamaindex]'
    python examples/llamaindex_agent.py [FOLDER]

With a folder each run is one turn: the first asks the handbook and says something about the user; the next one, in a new process,
recalls it. Without a folder both turns run one after the other. The model is LlamaIndex's own test double, so that this runs
offline; put an LLM in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import Memory

import contextkit as ck
from contextkit.adapters.llamaindex import KitAgent, KitMessageQueue, KitPacker, KitRetriever, kit_tools

HANDBOOK = Path(__file__).parent / "library" / "handbook"
USER = {"user": "ann"}


def look_up(kit: ck.Kit) -> None:
    """What a query engine would be given: retrieved nodes, packed into a token budget."""
    question = "When may I fly on a business trip instead of taking the train?"
    nodes = KitRetriever(kit, similarity_top_k=20).retrieve(question)
    packed = KitPacker(120, embedder=kit.embedder).postprocess_nodes(nodes, query_str=question)
    print(f"Q: {question}")
    for one in packed:
        print(f"   {one.node.ref_doc_id} [{one.node.start_char_idx}:{one.node.end_char_idx}]: {one.text[:90]!r}")
    print()


def script(first: bool) -> tuple[str, MockFunctionCallingLLM]:
    """The question of a turn, and a model that calls tools and answers."""

    def call(id_: str, name: str, **arguments: object) -> ChatMessage:
        return ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id=id_, tool_name=name, tool_kwargs=arguments)])

    def says(text: str) -> ChatMessage:
        return ChatMessage(role="assistant", content=text)

    if first:
        question = "How many days of leave may I carry over? I live in Hamburg, by the way."
        steps = [
            call("c1", "search", query="carrying leave over", count=1),
            call("c2", "remember", fact="Ann lives in Hamburg.", key="ann/city"),
            says("Up to five days, until 31 March. I keep in mind that you live in Hamburg."),
        ]
    else:
        question = "Which city do I live in?"
        steps = [call("c3", "recall", query="Where does Ann live?"), says("In Hamburg.")]
    left = iter(steps)
    return question, MockFunctionCallingLLM(response_generator=lambda messages, **_: next(left))


async def turn(kit: ck.Kit) -> None:
    """One turn of the conversation."""
    memory = Memory.from_defaults(session_id="help-desk", token_limit=100_000, chat_store=KitMessageQueue(kit, scope=USER))
    question, model = script(first=not await memory.aget_all())
    agent = KitAgent(
        kit,
        scope=USER,
        budget=2048,
        name="help-desk",
        system_prompt="Answer from the handbook.",
        tools=kit_tools(kit, scope=USER),
        llm=model,
        streaming=False,
    )
    answer = await agent.run(question, memory=memory)
    receipt = agent.last_packet.receipt
    print(f"Q: {question}")
    for message in await memory.aget_all():
        if message.role == "tool":
            print(f"   a tool gave: {' '.join(message.content.split())[:120]}")
    print(f"A: {answer}\n   receipt {receipt.id}: {receipt.tokens} tokens of {receipt.budget}\n")


def run(folder: Path, turns: int) -> None:
    with ck.open(folder) as kit:
        kit.sync(HANDBOOK)
        look_up(kit)
    for _ in range(turns):
        with ck.open(folder) as kit:
            asyncio.run(turn(kit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="the index; made where there is none")
    folder = parser.parse_args().folder
    if folder is not None:
        run(folder, turns=1)
        return
    with tempfile.TemporaryDirectory() as made:
        run(Path(made) / "index", turns=2)


if __name__ == "__main__":
    main()
