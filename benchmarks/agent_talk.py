"""A conversation of an agent that works on a repository, made by script from real operations: listings, files, diffs, test logs.

Every turn has a question, one to three tool calls with their results, and an answer. Some results hold a *fact*, a line with a
number of its own, that a later turn needs. Nothing is random but by a seed, and nothing outside the folder is read.
"""

from __future__ import annotations

import ast
import difflib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM = """You are the maintainer's assistant for a Python repository. You answer from what the tools show and from the notes
that are given with a question. Rules of work:
- Read before you write; name the file and the line that you rely on.
- Run the tests of what you changed, and quote the line that proves the outcome.
- A change is small, typed, documented and tested; functions stay short; errors say what, the value, the limit and what to do.
- Never guess a number: look it up with a tool, or say that you do not know it.
- When a result was left out of the conversation it has a ref such as ck:0123456789abcdef: call restore with it to read it again.
- Answer in plain words, the outcome first, then the reason, then what is left to do.
"""


def _tool(name: str, description: str, **properties: str) -> dict[str, object]:
    schema = {key: {"type": "string", "description": text} for key, text in properties.items()}
    parameters = {"type": "object", "properties": schema, "required": list(schema)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    _tool(
        "list_folder", "Lists a folder of the repository with the size of each file.", path="The folder, relative to the root."
    ),
    _tool("read_file", "Reads lines of a text file of the repository, numbered.", path="The file.", lines="First and last line."),
    _tool("search", "Finds lines that hold a text, with file and line number.", text="What to look for.", glob="Which files."),
    _tool("diff", "Shows what a change does, as a unified diff.", path="The file.", change="Name of the change."),
    _tool("run_tests", "Runs the tests of a folder and gives the log.", path="The folder or file.", options="Options of pytest."),
    _tool("restore", "Gives back a text that was left out of the conversation.", ref="The ref that stands in its place."),
]


@dataclass(frozen=True)
class Turn:
    """One turn of the conversation.

    Attributes:
        question: what the user asks.
        steps: exchanges of tool calls and results, in order.
        answer: what the assistant says at the end.
        needs: a fact of an earlier turn without which the question cannot be answered, or "".
        fact: the fact that this turn's results hold, or "".
    """

    question: str
    steps: list[list[dict[str, object]]]
    answer: str
    needs: str = ""
    fact: str = ""


@dataclass
class Talk:
    """Makes turns.

    Attributes:
        root: the repository.
        seed: of all choices.
    """

    root: Path
    seed: int = 7
    _rng: random.Random = field(init=False)
    _files: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._files = sorted(p for p in (self.root / "contextkit").rglob("*.py") if p.stat().st_size > 2000)

    def turns(self, count: int = 60) -> list[Turn]:
        """That many turns; from the ninth on every third one needs a fact of an earlier turn."""
        out: list[Turn] = []
        for n in range(count):
            needed = self._rng.choice([t.fact for t in out[:-5] if t.fact]) if n >= 9 and n % 3 == 0 else ""
            out.append(self._turn(n, needed))
        return out

    def _turn(self, n: int, needed: str) -> Turn:
        path = self._rng.choice(self._files)
        name = path.relative_to(self.root).as_posix()
        fact = f"measured: {path.stem} took {1000 + 37 * n}.{n:02d} units in run R{n:03d}" if n % 2 == 0 else ""
        operations = self._rng.sample(
            [self._listing, self._reading, self._finding, self._diffing, self._testing], self._rng.randint(1, 3)
        )
        steps = []
        for k, operation in enumerate(operations):
            tool, arguments, result = operation(path, name)
            if fact and k == 0:
                lines = result.split("\n")
                lines.insert(self._rng.randrange(len(lines) + 1), fact)
                result = "\n".join(lines)
            steps.append(_exchange(f"call_{n:02d}_{k}", tool, arguments, result))
        about = (
            f"In run {needed.rpartition(' ')[2]} we measured something: how does that compare with"
            if needed
            else "What do you make of"
        )
        question = f"Turn {n}: {about} {name}? Look at it and tell me whether {self._subject(path)} needs work."
        answer = f"{name} is in order as far as I see; {self._subject(path)} is covered. Left to do for turn {n}: nothing urgent."
        return Turn(question, steps, answer, needed, fact)

    def _subject(self, path: Path) -> str:
        names = [
            node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        ]
        return self._rng.choice(names or [path.stem])

    def _listing(self, path: Path, name: str) -> tuple[str, dict[str, str], str]:
        rows = [f"{p.stat().st_size:>8}  {p.relative_to(self.root).as_posix()}" for p in sorted(path.parent.rglob("*.py"))]
        return "list_folder", {"path": str(Path(name).parent)}, "\n".join(rows)

    def _reading(self, path: Path, name: str) -> tuple[str, dict[str, str], str]:
        lines = path.read_text("utf-8").splitlines()
        first = self._rng.randrange(max(1, len(lines) - 120))
        shown = [f"{k:>4}  {line}" for k, line in enumerate(lines[first : first + 120], first + 1)]
        return "read_file", {"path": name, "lines": f"{first + 1}-{first + len(shown)}"}, "\n".join(shown)

    def _finding(self, path: Path, _name: str) -> tuple[str, dict[str, str], str]:
        words = sorted(
            {w for w in path.read_text("utf-8").replace("(", " ").replace(".", " ").split() if w.isidentifier() and len(w) > 6}
        )
        word = self._rng.choice(words or ["import"])
        rows = [
            f"{p.relative_to(self.root).as_posix()}:{k}: {line.strip()}"
            for p in self._files
            for k, line in enumerate(p.read_text("utf-8").splitlines(), 1)
            if word in line
        ]
        return "search", {"text": word, "glob": "**/*.py"}, "\n".join(rows[:60])

    def _diffing(self, path: Path, name: str) -> tuple[str, dict[str, str], str]:
        before = path.read_text("utf-8").splitlines()
        after = list(before)
        for _ in range(6):
            k = self._rng.randrange(len(after))
            after[k] = (
                after[k].replace("return", "return  # checked\n    return")
                if "return" in after[k]
                else after[k] + "  # looked at"
            )
        return "diff", {"path": name, "change": "tidy"}, "\n".join(difflib.unified_diff(before, after, name, name, lineterm=""))

    def _testing(self, _path: Path, _name: str) -> tuple[str, dict[str, str], str]:
        tests = sorted((self.root / "tests").rglob("test_*.py"))
        chosen = self._rng.sample(tests, min(4, len(tests)))
        rows = [
            f"{p.relative_to(self.root).as_posix()}::{node.name} PASSED"
            for p in chosen
            for node in ast.parse(p.read_text("utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        return "run_tests", {"path": "tests", "options": "-v"}, "\n".join([*rows, f"==== {len(rows)} passed in 3.21s ===="])


def _exchange(call_id: str, tool: str, arguments: dict[str, str], result: str) -> list[dict[str, object]]:
    call = {"id": call_id, "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": result},
    ]


@dataclass(frozen=True)
class Moment:
    """One call of the model: what was said before the question, the question, and the steps since.

    Attributes:
        turn: the turn that it belongs to.
        history: messages before the question.
        steps: messages after it.
    """

    turn: Turn
    history: list[dict[str, object]]
    steps: list[dict[str, object]]


def moments(turns: list[Turn]) -> Iterator[Moment]:
    """Every call of the model in order: one for the question, and one after each exchange with tools."""
    history: list[dict[str, object]] = []
    for turn in turns:
        steps: list[dict[str, object]] = []
        yield Moment(turn, list(history), [])
        for exchange in turn.steps:
            steps = [*steps, *exchange]
            yield Moment(turn, list(history), steps)
        history += [{"role": "user", "content": turn.question}, *steps, {"role": "assistant", "content": turn.answer}]
