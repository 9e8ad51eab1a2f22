"""A Haystack pipeline and a Haystack agent whose context and memory live in a contextkit index.

    pip install 'contextkit[haystack]'
    python examples/haystack_pipeline.py [FOLDER]

The pipeline answers from the handbook within a token budget. The agent searches, remembers and recalls; with a folder each run is
one turn, and the second one, in a new process, recalls what the first one kept. Without a folder both turns run one after the
other. The model is Haystack's own test double, so that this runs offline; put a chat generator in its place.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # before Haystack is imported

from haystack import Pipeline
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall

import contextkit as ck
from contextkit.adapters.haystack import KitContextBuilder, KitDocumentStore, KitMemoryHook, KitPacketHook, KitToolset

HANDBOOK = Path(__file__).parent / "library" / "handbook"
USER = {"user": "ann"}


def ask(store: KitDocumentStore) -> None:
    """One question through a pipeline: context builder, then the model."""
    pipeline = Pipeline()
    pipeline.add_component("context", KitContextBuilder(store, budget=300))
    pipeline.add_component("llm", MockChatGenerator("Where the train takes more than six hours."))
    pipeline.connect("context.messages", "llm.messages")
    question = "When may I fly on a business trip instead of taking the train?"
    out = pipeline.run({"context": {"question": question}}, include_outputs_from={"context"})
    context = out["context"]
    print(f"Q: {question}\nA: {out['llm']['replies'][0].text}")
    print(f"   receipt {context['receipt_id']}: {context['tokens']} tokens of 300, {len(context['documents'])} runs of text\n")


def turn(store: KitDocumentStore) -> None:
    """One turn of an agent: the first one keeps something in mind, the next one recalls it."""
    first = not store.kit.memory.recall("city", scope=USER, k=1)
    if first:
        question = "How many days of leave may I carry over? I live in Hamburg, by the way."
        script = [
            ChatMessage.from_assistant(tool_calls=[ToolCall("search", {"query": "carrying leave over", "count": 1}, id="c1")]),
            ChatMessage.from_assistant(
                tool_calls=[ToolCall("remember", {"fact": "Ann lives in Hamburg.", "key": "ann/city"}, id="c2")]
            ),
            "Up to five days, until 31 March. I keep in mind that you live in Hamburg.",
        ]
    else:
        question = "Which city do I live in?"
        script = [
            ChatMessage.from_assistant(tool_calls=[ToolCall("recall", {"query": "Where does Ann live?"}, id="c3")]),
            "In Hamburg.",
        ]
    hook = KitPacketHook(store, budget=2048, scope=USER)
    agent = Agent(
        chat_generator=MockChatGenerator(script),
        tools=KitToolset(store, scope=USER),
        system_prompt="Answer from the handbook.",
        hooks={"before_llm": [hook], "after_run": [KitMemoryHook(store, scope=USER)]},
    )
    result = agent.run(messages=[ChatMessage.from_user(question)])
    found = [" ".join(r.result.split()) for m in result["messages"] for r in m.tool_call_results]
    receipt = hook.last.receipt
    print(f"Q: {question}")
    for text in found:
        print(f"   a tool gave: {text[:120]}")
    print(f"A: {result['last_message'].text}\n   receipt {receipt.id}: {receipt.tokens} tokens of {receipt.budget}\n")


def run(folder: Path, turns: int) -> None:
    with ck.open(folder) as kit:
        kit.sync(HANDBOOK)
        store = KitDocumentStore(kit=kit)
        ask(store)
    for _ in range(turns):
        with ck.open(folder) as kit:
            turn(KitDocumentStore(kit=kit))


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
