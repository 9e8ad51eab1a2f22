"""Agent calls replayed: tokens sent, what of them a prompt cache can give back, facts kept, and the time that planning takes.

    python benchmarks/agent_call.py [--turns 60] [--budget 24000] [--json FILE]

The conversation is made by `agent_talk.py` from this repository. Every request is rendered, and its common prefix with the
request before it is measured on the rendered bytes, message by message and within the first message that differs; the receipt's
prediction is printed beside. Four layouts are compared: contextkit's; the same packet with its documents moved into the system
prompt, once with the documents of the turn (every call of a turn then begins alike), once with documents retrieved again by the
newest message before every call, as dynamic prompts and memory hooks that run before each model call do it; and everything
appended, nothing shortened. Counting is compared with tiktoken's own functions on the same texts.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import contextkit as ck
from contextkit.context.account import AgentPacket
from contextkit.context.compact import message_cost
from contextkit.context.history import read_messages
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, framing_for, message_tokens, remembered, tool_tokens

sys.path.insert(0, str(Path(__file__).parent))
from agent_talk import SYSTEM, TOOLS, Moment, Talk, moments

ROOT = Path(__file__).parent.parent
MODEL = "gpt-4o"
COUNTER = remembered(counter_for(MODEL))
FRAMING = framing_for(MODEL)


def notes(most: int | None = None) -> list[ck.Document]:
    """The repository's own modules as documents, or the first few of them: what an agent would retrieve from."""
    found = [
        ck.Document(p.relative_to(ROOT).as_posix(), p.read_text("utf-8"), title=p.stem, media_type="text/x-python")
        for p in sorted((ROOT / "contextkit").rglob("*.py"))
        if "connectors" not in p.parts and p.stat().st_size > 500
    ]
    return found[:most]


def call(moment: Moment, budget: int, documents: int) -> ck.AgentCall:
    """The agent call of one moment."""
    return ck.AgentCall(
        agent="maintainer",
        model=MODEL,
        question=moment.turn.question,
        system=SYSTEM,
        tools=TOOLS,
        history=moment.history,
        steps=moment.steps,
        pinned=["The repository is contextkit.", "Lines have at most 130 characters.", "Tests run with warnings as errors."],
        memory=["The maintainer prefers short answers."],
        budget=budget,
        reply_reserve=1000,
        sections={"documents": {"share": 0.4, "priority": 3, "maximum": documents}},
    )


def pieces(messages: list[dict[str, object]]) -> list[str]:
    """A request's messages as bytes, one each."""
    return [json.dumps(m, ensure_ascii=False) for m in messages]


def common(before: list[str], now: list[str], costs: list[int]) -> int:
    """Tokens at the start of a request that are byte for byte those of the one before."""
    total = 0
    for old, new, cost in zip(before, now, costs, strict=False):
        if old == new:
            total += cost
            continue
        same = next((k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        return total + max(0, COUNTER.count(new[:same]) - 8)  # the JSON around a text is not sent as such
    return total


class Layout:
    """Sums up one way of laying out requests."""

    def __init__(self) -> None:
        self.sent = self.cached = self.usable = self.calls = self._first_sent = self._first_cached = 0
        self._before: list[str] = []

    def add(self, messages: list[dict[str, object]], tools: int, *, first: bool) -> None:
        """Takes the next request; `first` of its turn or after steps with the same documents."""
        now = pieces(messages)
        costs = [message_tokens([m], COUNTER, FRAMING) - FRAMING.reply for m in messages]  # type: ignore[list-item]
        prefix = (tools if self._before else 0) + common(self._before, now, costs)
        self.sent += tools + sum(costs) + FRAMING.reply
        self.cached += prefix
        self.usable += prefix // 128 * 128 if prefix >= 1024 else 0
        self.calls += 1
        if first:
            self._first_sent += tools + sum(costs) + FRAMING.reply
            self._first_cached += prefix
        self._before = now

    def row(self) -> dict[str, float]:
        """Totals and shares."""
        return {
            "calls": self.calls,
            "tokens": self.sent,
            "mean": round(self.sent / self.calls),
            "cached share": round(self.cached / self.sent, 4),
            "cached share by the provider's rule": round(self.usable / self.sent, 4),
            "cached share of each turn's first call": round(self._first_cached / self._first_sent, 4),
        }


def documents_in_system(messages: list[dict[str, object]], turn: str, question: str) -> list[dict[str, object]]:
    """The same packet with memory and documents in the system prompt, as many tools do it."""
    found = turn.removesuffix(f"Question: {question}").strip()
    first = {**messages[0], "content": f"{messages[0]['content']}\n\n{found}"}
    return [first, *({**m, "content": question} if m.get("content") == turn else m for m in messages[1:])]


def retrieved_again(kit: ck.Kit, messages: list[dict[str, object]], moment: Moment, documents: int) -> list[dict[str, object]]:
    """The same packet, its system prompt ending in what is retrieved for the newest message: the question, or the last result."""
    newest = str(moment.steps[-1].get("content") or "")[:2000] if moment.steps else moment.turn.question
    found = kit.context(newest, budget=documents, model=MODEL).text
    first = {**messages[0], "content": f"{messages[0]['content']}\n\n{found}"}
    return [first, *messages[1:]]


def known(kit: ck.Kit, packet: AgentPacket, fact: str) -> str:
    """Where a fact is: "packet", "one step" (under a ref that the packet shows) or "lost"."""
    if fact in packet.text:
        return "packet"
    shown = {item.ref for item in packet.receipt.left_out if item.ref in packet.text}
    return "one step" if any(fact in kit.restore(ref) for ref in shown) else "lost"


def replay(turns: int, budget: int, documents: int, modules: int | None = None) -> dict[str, object]:
    """The whole conversation, call by call."""
    ours, moved, again, naive = Layout(), Layout(), Layout(), Layout()
    facts = {"packet": 0, "one step": 0, "lost": 0}
    predicted, planning = 0, []
    with tempfile.TemporaryDirectory() as folder, ck.open(Path(folder) / "index", embedder=TinyEmbedder()) as kit:
        kit.add(notes(modules))
        for moment in moments(Talk(ROOT).turns(turns)):
            asked = call(moment, budget, documents)
            packet = kit.build(asked)
            messages = packet.messages("openai")
            tools = tool_tokens([(t.name, t.description, t.parameters) for t in asked.tools], COUNTER, FRAMING)[0]
            assert message_tokens(messages, COUNTER, FRAMING) + tools == packet.tokens <= budget - 1000  # type: ignore[arg-type]
            first = not moment.steps
            ours.add(messages, tools, first=first)
            in_system = documents_in_system(messages, packet.turn, asked.question)
            moved.add(in_system, tools, first=first)
            bare = [{**in_system[0], "content": SYSTEM}, *in_system[1:]]
            again.add(retrieved_again(kit, bare, moment, documents), tools, first=first)
            plain = [*messages[:2], *moment.history, {"role": "user", "content": packet.turn}, *moment.steps]
            naive.add(plain, tools, first=first)
            predicted += packet.receipt.cached_prefix_tokens
            planning.append(packet.receipt.milliseconds["plan"])
            if moment.turn.needs and not moment.steps:
                facts[known(kit, packet, moment.turn.needs)] += 1
    rows = {
        "contextkit": ours.row(), "documents in the system prompt": moved.row(),
        "documents in the system prompt, retrieved before every call": again.row(), "everything appended": naive.row(),
    }  # fmt: skip
    part = round(ours.sent / naive.sent, 4)
    return {
        "turns": turns, "budget": budget, "documents": documents, "layouts": rows, "tokens of everything appended": part,
        "predicted cached share": round(predicted / ours.sent, 4), "facts needed later": facts,
        "plan with retrieval, ms p50": round(statistics.median(planning), 1),
    }  # fmt: skip


def speed(repeats: int = 40) -> dict[str, float]:
    """Milliseconds of planning and rendering 100 history messages and 20 documents; retrieval apart."""
    turns = Talk(ROOT).turns(40)
    history = list(moments(turns))[-1].history[:100]
    if history[-1].get("tool_calls"):
        history = history[:-1]
    out: dict[str, list[float]] = {"whole": [], "render": []}
    planned: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ck.open(Path(folder) / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document(f"d{i}", f"Document {i} tells what module {i} does. It has two sentences, {i} of {i}.")
                for i in range(20)
            ]
        )
        for n in range(repeats):
            asked = ck.AgentCall(
                model=MODEL, question=f"What does module {n % 20} do?", system=SYSTEM, tools=TOOLS, history=history, budget=32_000
            )
            start = time.perf_counter()
            packet = kit.build(asked)
            whole = (time.perf_counter() - start) * 1000
            start = time.perf_counter()
            packet.messages("openai")
            packet.messages("anthropic")
            out["render"].append((time.perf_counter() - start) * 1000)
            spent = packet.receipt.milliseconds
            retrieval = sum(spent.get(k, 0.0) for k in ("filter", "retrieve", "pack"))
            out["whole"].append(whole)
            planned.append(whole - retrieval)
    messages = read_messages(history)
    start = time.perf_counter()
    for message in messages:
        message_cost(message, COUNTER, FRAMING)
    counted = (time.perf_counter() - start) * 1000
    return {
        "messages": len(history),
        "documents": 20,
        "build beyond retrieval and sentence packing, ms p50": _median(planned),
        "build with everything, ms p50": _median(out["whole"]),
        "both renderings, ms p50": _median(out["render"]),
        "counting all messages once more, ms": round(counted, 2),
    }


def counting() -> dict[str, float | int]:
    """CPU milliseconds to count all texts of a conversation: tiktoken, ours with nothing remembered, ours once more."""
    import tiktoken

    from contextkit.tokens import TiktokenCounter, encoding
    from contextkit.tokens.framing import RememberedCounter

    texts = [str(m.get("content") or "") for m in list(moments(Talk(ROOT).turns(40)))[-1].history]
    texts = list(dict.fromkeys(text for text in texts if text))
    found: tiktoken.Encoding = encoding("o200k_base")
    best = {
        "tiktoken encode": 1e9,
        "tiktoken encode_ordinary": 1e9,
        "contextkit, nothing remembered": 1e9,
        "contextkit, again": 1e9,
    }

    def timed(name: str, count: Callable[[str], int]) -> int:
        start = time.thread_time()
        total = sum(map(count, texts))
        best[name] = min(best[name], (time.thread_time() - start) * 1000)
        return total

    theirs = [
        ("tiktoken encode", lambda text: len(found.encode(text, disallowed_special=()))),
        ("tiktoken encode_ordinary", lambda text: len(found.encode_ordinary(text))),
    ]
    for n in range(30):  # the best of many, in turning order: the machine has other work
        ours = RememberedCounter(TiktokenCounter("o200k_base"))
        mine = [("contextkit, nothing remembered", ours.count), ("contextkit, again", ours.count)]
        totals = {timed(name, count) for name, count in ([*theirs, *mine] if n % 2 else [*mine, *theirs])}
        assert len(totals) == 1
    return {"texts": len(texts), "tokens": totals.pop(), **{f"{name}, CPU ms": round(ms, 2) for name, ms in best.items()}}


def _median(milliseconds: list[float]) -> float:
    """Of all but the first two, which warm up."""
    return round(statistics.median(milliseconds[2:]), 2)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", help="evaluation data; not needed here")
    parser.add_argument("--turns", type=int, default=60)
    parser.add_argument("--budget", type=int, default=24_000)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result = {
        "machine": f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}",
        "replay": replay(given.turns, given.budget, given.documents),
        "speed": speed(),
        "counting": counting(),
    }
    print(json.dumps(result, indent=2))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
