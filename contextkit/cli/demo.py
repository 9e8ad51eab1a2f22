"""`contextkit demo`: the example library indexed, and five questions answered with packets on screen."""

from __future__ import annotations

import json as json_
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contextkit.cli import output, session
from contextkit.cli.ask import summary
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.packet import Packet
    from contextkit.kit import Kit

_QUESTIONS = 5
_BUDGET = 300


def register(app: typer.Typer) -> None:
    """Adds the verb of this module."""
    app.command()(demo)


def demo(
    *,
    library: Annotated[Path | None, typer.Option("--library", metavar="DIR", help="The documents [examples/library].")] = None,
    index: Annotated[Path, typer.Option("--index", "-i", metavar="DIR", help="Where the demo's index is made.")] = Path(
        ".contextkit/demo"
    ),
    budget: Annotated[int, typer.Option("--budget", "-b", metavar="TOKENS", help="Most tokens a packet.")] = _BUDGET,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")] = False,
) -> None:
    """Index the example library and answer five questions from it."""
    folder = _library(library)
    questions = _questions(folder)
    started = time.perf_counter()
    with session.opened(session.settings(index=index), create=True) as kit:
        with output.progress() as bars:
            report = kit.sync(folder, progress=bars)
        indexed = time.perf_counter() - started
        if not as_json:
            _head(f"{folder}: {_documents(kit)} indexed in {indexed:.1f} s into {index}")
        packets: list[tuple[Packet, float]] = []
        for number, question in enumerate(questions, 1):
            begun = time.perf_counter()
            messages = number == len(questions)
            packet = kit.context(question, budget=budget, format="messages" if messages else "text")
            packets.append((packet, time.perf_counter() - begun))
            if not as_json:
                _show(number, *packets[-1], as_messages=messages)
    if as_json:
        output.print_json({"index": index, "report": report, "packets": [p for p, _ in packets]})
    else:
        _farewell(index, questions[0], indexed, [seconds for _, seconds in packets])
    if report.failed:
        for failure in report.failures:
            output.warn(f"failed: {failure.id or failure.uri}: {output.shortened(failure.reason, 300)}")
        raise typer.Exit(1)


def _library(given: Path | None) -> Path:
    """The library's folder: the one given, or that beside the current folder, or that of the checkout."""
    checkout = Path(__file__).resolve().parents[2]
    places = [given] if given is not None else [Path("examples/library"), checkout / "examples/library"]
    for place in places:
        if place.is_dir():
            return place
    looked = " or ".join(str(p) for p in places)
    raise InputError(f"no example library in {looked}: it comes with the source of contextkit; name its folder with --library")


def _questions(folder: Path) -> list[str]:
    path = folder.resolve().parent / "questions.json"
    try:
        found = [str(entry["question"]) for entry in json_.loads(path.read_text("utf-8"))["questions"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"no questions for the demo in {path}: {error}") from error
    return found[:_QUESTIONS]


def _documents(kit: Kit) -> str:
    info = kit.info()
    return f"{info.documents} documents in {info.chunks} chunks"


def _head(text: str) -> None:
    output.console().print(output.styled(text, "bold"), soft_wrap=True)


def _show(number: int, packet: Packet, seconds: float, *, as_messages: bool) -> None:
    screen = output.console()
    screen.print()
    flag = "  (--format messages)" if as_messages else ""
    screen.print(output.styled(f"{number}. {packet.question}{flag}", "bold cyan"), soft_wrap=True)
    if as_messages:
        output.print_json(packet.messages("openai"))
    else:
        output.print_text(packet.text)
    screen.print(output.styled(f"{summary(packet)} ({seconds * 1000:.0f} ms)", "dim"), soft_wrap=True)


def _farewell(index: Path, question: str, indexed: float, times: list[float]) -> None:
    screen = output.console()
    screen.print()
    rows = [("indexing", f"{indexed:.2f} s"), ("first packet", f"{times[0] * 1000:.0f} ms")]
    if len(times) > 1:
        rows.append(("each further packet", f"{sum(times[1:]) / len(times[1:]) * 1000:.0f} ms"))
    screen.print(output.table("timings", ("", ""), rows))
    screen.print(output.styled("try next", "bold"))
    for line in (
        f"contextkit explain --index {index}",
        f'contextkit search "{question}" -k 3 --index {index}',
        'contextkit index build YOUR_FOLDER && contextkit context "YOUR QUESTION" --budget 512 --format markdown',
    ):
        screen.print(f"  {line}", markup=False, soft_wrap=True)
