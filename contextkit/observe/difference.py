"""What differs between two receipts: sections, documents, what was left out, and the circumstances."""

from __future__ import annotations

from contextkit.context.account import AgentReceipt
from contextkit.context.packet import Receipt, Record

_CIRCUMSTANCES = (
    "question", "where", "principal", "budget", "model", "encoding", "format", "generation", "index", "embedder", "weights",
    "versions",
)  # fmt: skip
_OF_AGENTS = ("agent", "conversation", "reply_reserve", "template")


class ReceiptDifference(Record):
    """From receipt `a` to receipt `b`.

    Attributes:
        a: id of the first.
        b: id of the second.
        changed: circumstances that differ, by name: (before, after), written out.
        tokens: (before, after) of the whole.
        sections: (before, after) tokens of each section that differs; of a receipt without sections, all is "documents".
        added: runs of text that only b delivers, as (document, start, end).
        removed: runs of text that only a delivers.
        left_out: refs that only b left out.
        brought_back: refs that only a left out.
        memories_added: ids of memory records that only b delivers.
        memories_removed: ids of memory records that only a delivers.
        dollars: (before, after), None where not known.
    """

    a: str
    b: str
    changed: dict[str, tuple[str, str]]
    tokens: tuple[int, int]
    sections: dict[str, tuple[int, int]]
    added: tuple[tuple[str, int, int], ...]
    removed: tuple[tuple[str, int, int], ...]
    left_out: tuple[str, ...]
    brought_back: tuple[str, ...]
    memories_added: tuple[str, ...] = ()
    memories_removed: tuple[str, ...] = ()
    dollars: tuple[float | None, float | None]


def receipt_difference(a: Receipt, b: Receipt) -> ReceiptDifference:
    """What differs from a to b; everything in it is empty where nothing does."""
    changed = {}
    for name in (*_CIRCUMSTANCES, *_OF_AGENTS):
        before, after = getattr(a, name, ""), getattr(b, name, "")
        if before != after:
            changed[name] = (str(before), str(after))
    of_a, of_b = _sections(a), _sections(b)
    sections = {
        name: (of_a.get(name, 0), of_b.get(name, 0))
        for name in dict.fromkeys((*of_a, *of_b))
        if of_a.get(name, 0) != of_b.get(name, 0)
    }
    runs_a, runs_b = _runs(a), _runs(b)
    refs_a, refs_b = _refs(a), _refs(b)
    memories_a, memories_b = _memories(a), _memories(b)
    return ReceiptDifference(
        a=a.id,
        b=b.id,
        changed=changed,
        tokens=(a.tokens, b.tokens),
        sections=sections,
        added=tuple(r for r in runs_b if r not in runs_a),
        removed=tuple(r for r in runs_a if r not in runs_b),
        left_out=tuple(r for r in refs_b if r not in refs_a),
        brought_back=tuple(r for r in refs_a if r not in refs_b),
        memories_added=tuple(m for m in memories_b if m not in memories_a),
        memories_removed=tuple(m for m in memories_a if m not in memories_b),
        dollars=(getattr(a, "dollars", None), getattr(b, "dollars", None)),
    )


def _sections(receipt: Receipt) -> dict[str, int]:
    if isinstance(receipt, AgentReceipt):
        return {name: use.tokens for name, use in receipt.sections.items()}
    return {"documents": receipt.tokens}


def _runs(receipt: Receipt) -> dict[tuple[str, int, int], None]:
    return dict.fromkeys((i.document_id, i.start, i.end) for i in receipt.items)


def _refs(receipt: Receipt) -> dict[str, None]:
    return dict.fromkeys(i.ref for i in receipt.left_out) if isinstance(receipt, AgentReceipt) else {}


def _memories(receipt: Receipt) -> dict[str, None]:
    return dict.fromkeys(i.id for i in receipt.memories if i.id) if isinstance(receipt, AgentReceipt) else {}
