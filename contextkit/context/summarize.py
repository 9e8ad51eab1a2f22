"""The last rung: a summary by a model in the place of the digest of messages that were left out.

The plan is made with an extractive digest of the same length, so that no model has a say in what goes in; afterwards a summary
takes the digest's place where one comes and is not longer. What was sent once for a run of messages is kept and sent again, the
digest of a failed try too: a prefix that was cached stays.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from contextkit.context.account import Summarised
from contextkit.context.call import Rung
from contextkit.context.compact import note_of
from contextkit.errors import ContextkitError

if TYPE_CHECKING:
    from contextkit.context.call import AgentCall
    from contextkit.context.compact import Compacted
    from contextkit.context.counting import Counting
    from contextkit.context.history import Exchange, Message
    from contextkit.context.planned import Plan
    from contextkit.context.store import CallStore
    from contextkit.protocols import Summarizer, TokenCounter

TRIES = 3
"""Requests for one summary, at most; each with half of what the one before it was given."""
_MARK = "Summary: "
_GAP = "\n[...]\n"
_LEAST_INPUT = 64  # tokens below which nothing is left to summarise


def with_summaries(call: AgentCall, counting: Counting, plan: Plan, store: CallStore, *, record: bool) -> Plan:
    """The plan with summaries in the history's notes; never of more tokens than it had. See `summarised`."""
    history, made = summarised(call, counting, plan.history, store, record=record)
    if not made:
        return plan
    place = history.question if history.question is not None else len(history.exchanges)
    before = tuple(m for exchange in history.exchanges[:place] for m in exchange)
    after = tuple(m for exchange in history.exchanges[place + 1 :] for m in exchange)
    return replace(
        plan, layout=replace(plan.layout, before=before, after=after), history=history, summaries=made,
        tokens={**plan.tokens, "history": history.tokens},
    )  # fmt: skip


def summarised(
    call: AgentCall, counting: Counting, history: Compacted, store: CallStore, *, record: bool
) -> tuple[Compacted, tuple[Summarised, ...]]:
    """The history with summaries in its notes, never longer than it was, and what was done for them.

    Args:
        call: its `summarizer` makes them; without one, or without the rung, nothing changes.
        counting: how tokens count.
        history: as it was planned.
        store: keeps what was sent.
        record: whether new summaries may be asked for and kept; False: those that are kept are used.
    """
    summarizer = call.summarizer
    if summarizer is None or Rung.SUMMARY not in call.compaction.rungs:
        return history, ()
    notes = {d.ref: d for d in history.dropped if d.rung in (Rung.WINDOW, Rung.SUMMARY)}
    exchanges: list[Exchange] = []
    out: list[Summarised] = []
    saved = before = 0
    after: dict[str, int] = {}
    for n, exchange in enumerate(history.exchanges):
        ref = note_of(exchange[0]) if len(exchange) == 1 else ""
        if ref not in notes:
            exchanges.append(exchange)
            continue
        made, note = _told(summarizer, call, exchange[0], (ref, notes[ref].text), (counting, store), record=record)
        exchanges.append((note,))
        shorter = counting.message(exchange[0]) - counting.message(note)
        saved += shorter
        before += shorter if history.question is None or n < history.question else 0
        after[ref] = counting.message(note)
        if made is not None:
            out.append(made)
    dropped = tuple(replace(d, rung=Rung.SUMMARY, after=after[d.ref]) if _by_model(d.ref, out) else d for d in history.dropped)
    changed = replace(
        history, exchanges=tuple(exchanges), tokens=history.tokens - saved, before_question=history.before_question - before,
        dropped=dropped,
    )  # fmt: skip
    return changed, tuple(out)


def _by_model(ref: str, made: list[Summarised]) -> bool:
    return any(one.ref == ref and not one.error for one in made)


def _told(
    summarizer: Summarizer,
    call: AgentCall,
    note: Message,
    left: tuple[str, str],
    means: tuple[Counting, CallStore],
    *,
    record: bool,
) -> tuple[Summarised | None, Message]:
    """What was done for one note, and the note as it is sent."""
    ref, text = left
    counting, store = means
    head, _, digest = note.text.partition("\n")
    room = counting.counter.count(digest) if digest else 0
    tokens = call.compaction.summary_tokens
    name = hashlib.sha256(f"{summarizer.name}\0{tokens}\0{ref}\0{counting.counter.name}".encode()).hexdigest()[:32]
    kept = store.summary(name)
    if kept is not None:
        found = json.loads(kept)
        made = Summarised(ref=ref, by=summarizer.name, tokens=counting.counter.count(found["text"]), error=found["error"])
        return made, _noted(note, head, found["text"], counting)
    if not record or not room:
        return None, note
    made, said = ask(summarizer, ref, text, tokens)
    told = "" if made.error else _fitting(said, counting.message(note), (note, head), counting)
    if not made.error and not told:
        made = made.model_copy(
            update={"error": f"the summary of {counting.counter.count(said)} tokens was longer than the digest"}
        )
    made = made.model_copy(update={"tokens": counting.counter.count(told or digest)})
    store.put_summary(name, json.dumps({"text": told, "error": made.error}))
    return made, _noted(note, head, told, counting)


def _noted(note: Message, head: str, told: str, counting: Counting) -> Message:
    """The note with a summary; as it was where there is none, or where the summary would be longer."""
    if not told:
        return note
    changed = replace(note, text=f"{head}\n{told}")
    return changed if counting.message(changed) <= counting.message(note) else note


def _fitting(said: str, most: int, place: tuple[Message, str], counting: Counting) -> str:
    """The summary's whole lines, and of the last one its whole words, that cost no more than the digest; "" for hardly any."""
    note, head = place
    words = f"{_MARK}{said}".split(" ")
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if counting.message(replace(note, text=f"{head}\n{' '.join(words[:middle])}")) <= most:
            low = middle
        else:
            high = middle - 1
    return " ".join(words[:low]) if low == len(words) or low > 8 else ""


def ask(summarizer: Summarizer, ref: str, text: str, tokens: int) -> tuple[Summarised, str]:
    """A summary and what it took: at most three requests, each with half the text of the one before. ("", and why) for none."""
    limit = min(summarizer.window, max(summarizer.counter.count(text), 1))
    put = given = 0
    dollars: float | None = 0.0
    reasons: list[str] = []
    for number in range(1, TRIES + 1):
        try:
            made = summarizer.summarize(bounded(text, limit, summarizer.counter), tokens)
        except ContextkitError as error:
            reasons.append(str(error))
            limit //= 2
            if limit < _LEAST_INPUT:
                break
            continue
        put, given = put + made.input_tokens, given + made.output_tokens
        dollars = None if dollars is None or made.dollars is None else round(dollars + made.dollars, 8)
        told = Summarised(
            ref=ref, by=summarizer.name, tokens=0, tries=number, input_tokens=put, output_tokens=given, dollars=dollars
        )
        return told, made.text
    why = f"no summary after {len(reasons)} tries: {reasons[-1]}"
    return Summarised(ref=ref, by=summarizer.name, tokens=0, tries=len(reasons), error=why), ""


def bounded(text: str, limit: int, counter: TokenCounter) -> str:
    """The text, or its beginning and its end with a mark between them, in at most `limit` tokens; "" where none fits."""
    if counter.count(text) <= limit:
        return text
    low, high = 0, len(text) // 2
    while low < high:  # more characters may be fewer tokens now and then: what is returned was counted
        middle = (low + high + 1) // 2
        if counter.count(f"{text[:middle]}{_GAP}{text[len(text) - middle :]}") <= limit:
            low = middle
        else:
            high = middle - 1
    return f"{text[:low]}{_GAP}{text[len(text) - low :]}" if low else ""
