"""What calls cost and what came of them: one line a call, kept after its receipt is gone.

The lines lie in the receipts' file (`receipts.py`). A call's price is what its receipt predicted for the input until somebody
reports what the provider charged; its outcome is unknown until somebody reports that.
"""

from __future__ import annotations

import math
import sqlite3
from typing import TYPE_CHECKING, Literal

from contextkit.context.packet import Record
from contextkit.errors import InputError

if TYPE_CHECKING:
    from contextkit.context.packet import Receipt

By = Literal["agent", "task", "model"]
TABLE = """CREATE TABLE IF NOT EXISTS calls (
    id TEXT PRIMARY KEY, created TEXT NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL, task TEXT NOT NULL DEFAULT '',
    tokens INTEGER NOT NULL, predicted REAL, cost REAL, success INTEGER, reported TEXT
) STRICT"""
_MOST_NAME = 200


class Outcome(Record):
    """What came of one call.

    Attributes:
        receipt: id of its receipt.
        agent: that called, or "".
        model: or "".
        task: kind of task, or "".
        success: whether it reached its goal; None where nobody said.
        cost: US dollars that were reported, or None.
        predicted: US dollars of the input by the receipt, or None where prices are not known.
    """

    receipt: str
    agent: str
    model: str
    task: str
    success: bool | None
    cost: float | None
    predicted: float | None


class Cost(Record):
    """The calls of one agent, task or model together.

    Attributes:
        name: of the agent, task or model; "" for calls without one.
        calls: how many.
        tokens: input tokens of all.
        dollars: of all calls whose price is known: as reported, else the input as predicted.
        estimated: how many of the calls' prices are predictions.
        unpriced: how many have no price at all.
        successes: calls that were reported to have succeeded.
        failures: calls that were reported to have failed.
        success_rate: successes among those that were reported; None where none was.
        dollars_per_success: `dollars` of all these calls for each success: what failures cost is in it; None without a success.
    """

    name: str
    calls: int
    tokens: int
    dollars: float
    estimated: int
    unpriced: int
    successes: int
    failures: int
    success_rate: float | None
    dollars_per_success: float | None


def note_call(rows: sqlite3.Connection, receipt: Receipt) -> None:
    """Notes the call of a receipt; what was noted or reported of it before stays."""
    rows.execute(
        "INSERT OR IGNORE INTO calls (id, created, agent, model, task, tokens, predicted) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            receipt.id, receipt.created, getattr(receipt, "agent", ""), receipt.model,
            getattr(receipt, "task", ""), receipt.tokens, getattr(receipt, "dollars", None),
        ),
    )  # fmt: skip


def report(
    rows: sqlite3.Connection, receipt: Receipt, now: str, *, success: bool | None, task: str | None, cost: float | None
) -> Outcome:
    """Notes what came of a call and gives all that is known of it; what is None keeps what was reported before.

    Raises:
        InputError: nothing is reported, or a value cannot work.
    """
    if success is None and task is None and cost is None:
        raise InputError("report success=True or False, a task, or a cost: nothing was given")
    if success is not None and not isinstance(success, bool):
        raise InputError(f"success must be True or False, not {success!r}")
    if task is not None and (not isinstance(task, str) or not task.strip() or len(task) > _MOST_NAME):
        raise InputError(f"task must name a kind of task in 1 to {_MOST_NAME} characters, not {str(task)[:60]!r}")
    if cost is not None and (isinstance(cost, bool) or not isinstance(cost, (int, float)) or not math.isfinite(cost) or cost < 0):
        raise InputError(f"cost must be US dollars, 0 or more, not {cost!r}")
    note_call(rows, receipt)
    rows.execute(
        "UPDATE calls SET success = coalesce(?, success), task = coalesce(?, task), cost = coalesce(?, cost), reported = ? "
        "WHERE id = ?",
        (None if success is None else int(success), task, cost, now, receipt.id),
    )
    query = "SELECT id, agent, model, task, success, cost, predicted FROM calls WHERE id = ?"
    found = rows.execute(query, (receipt.id,)).fetchone()
    return Outcome(
        receipt=found[0], agent=found[1], model=found[2], task=found[3], success=None if found[4] is None else bool(found[4]),
        cost=found[5], predicted=found[6],
    )  # fmt: skip


def costs(rows: sqlite3.Connection, by: str) -> list[Cost]:
    """The costs of all calls, the dearest first, ties by name. Empty where nothing was called.

    Raises:
        InputError: `by` is none of "agent", "task", "model".
    """
    if by not in ("agent", "task", "model"):
        raise InputError(f"costs are by agent, task or model, not by {by!r}")
    found = rows.execute(
        f"SELECT {by}, count(*), sum(tokens), total(coalesce(cost, predicted)), "
        "count(*) FILTER (WHERE cost IS NULL AND predicted IS NOT NULL), "
        "count(*) FILTER (WHERE cost IS NULL AND predicted IS NULL), count(*) FILTER (WHERE success = 1), "
        f"count(*) FILTER (WHERE success = 0) FROM calls GROUP BY {by} ORDER BY 4 DESC, 1"
    ).fetchall()
    out = []
    for name, calls, tokens, dollars, estimated, unpriced, good, bad in found:
        out.append(
            Cost(
                name=name, calls=calls, tokens=tokens, dollars=round(dollars, 8), estimated=estimated, unpriced=unpriced,
                successes=good, failures=bad, success_rate=round(good / (good + bad), 4) if good + bad else None,
                dollars_per_success=round(dollars / good, 8) if good else None,
            )
        )  # fmt: skip
    return out
