"""How results reach people and programs: JSON on stdout, tables for people, progress and notes on stderr."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from contextkit.sync.report import Progress

_PIPED_WIDTH = 160
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STAGES = {
    "terms": "reading words",
    "list": "listing", "read": "reading", "embed": "embedding", "commit": "writing", "collect": "collecting", "train": "training",
    "judge": "judging", "compare": "comparing",
}  # fmt: skip


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """A result as JSON values: records become objects, everything unknown its text."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return [plain(v) for v in value] if isinstance(value, Iterable) else str(value)


def print_json(value: object) -> None:
    """Writes a result as JSON, and nothing else, to stdout."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def print_text(text: str) -> None:
    """Writes text as it is; on a terminal without the characters that would steer it."""
    sys.stdout.write((visible(text) if sys.stdout.isatty() else text) + "\n")


def note(text: str) -> None:
    """A remark for people: on stderr, and only when that is a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(visible(text) + "\n")


def warn(text: str) -> None:
    """A line that must be seen: on stderr, always."""
    sys.stderr.write(visible(text) + "\n")


def visible(text: str) -> str:
    """The text with control characters but line ends and tabs shown as U+FFFD: stored text must not steer a terminal."""
    return _CONTROL.sub("\ufffd", text)


def console(*, stderr: bool = False) -> Console:
    """Where tables go; wide where nobody looks, so that lines of a pipe are not cut."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else _PIPED_WIDTH)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """A table of plain cells; nothing in them is taken as markup.

    Args:
        title: above it; "" for none.
        columns: their heads; a head may be "".
        rows: cells, shown by `str`; a rich Text is taken as it is.
        right: columns whose cells stand at the right, for numbers.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    out.show_header = any(columns)
    for name in columns:
        out.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name in right)
    for row in rows:
        out.add_row(*(cell if isinstance(cell, Text) else Text(visible(str(cell))) for cell in row))
    return out


def styled(text: str, style: str) -> Any:  # noqa: ANN401 - rich is imported when something is printed
    """A cell in a colour."""
    from rich.text import Text

    return Text(visible(text), style=style)


@contextmanager
def progress() -> Iterator[Progress | None]:
    """Bars on stderr for a long job, one a stage; None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), *times)
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield tell


def size(count: int) -> str:
    """Bytes for people: "12.3 MB"."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def shortened(text: str, length: int) -> str:
    """The text on one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def pages(span: tuple[int, int] | None) -> str:
    """Pages as "3" or "3-5", or "" without pages."""
    if span is None:
        return ""
    return str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"
