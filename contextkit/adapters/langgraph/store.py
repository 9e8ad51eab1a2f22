"""`KitStore`: LangGraph's long-term store in the memory of a kit. Checkpoints are `saver.py`.

An item is one state of the memory: value, times, and one vector for each indexed text, made by the kit's own embedder.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    get_text_at_path,
    tokenize_path,
    validate_op_namespace,
)

from contextkit.adapters.shared import states
from contextkit.adapters.shared.threads import finished
from contextkit.errors import FilterError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.kit import Kit

_ROOT = ("langgraph", "store")
_MINUTE = 60.0


class KitStore(BaseStore):
    """LangGraph's store in the memory of a kit: items by namespace and key, filters, search by meaning, expiry.

    Lives as long as the index folder; several threads, event loops and processes may use it. Without a query items come by
    namespace, within one in the order in which they were first put; with a query the best first, then those without a vector. An
    expired item is never given; `sweep_ttl` removes what is expired. The calls of one batch see what was there before it; its
    writes are one transaction.

    Args:
        kit: an open kit.
        fields: which texts of a value are embedded: paths such as "text" or "notes[*].body"; "$": the whole value. None: none,
            and a query changes nothing.
        ttl: LangGraph's settings of expiry: `default_ttl` in minutes and `refresh_on_read`.
        scope: whose items these are, so that they are forgotten with it, for example {"user": "ann"}; None: nobody's.

    Raises:
        InputError: the scope is none, or a field is no path.
    """

    supports_ttl = True

    def __init__(
        self,
        kit: Kit,
        *,
        fields: Sequence[str] | None = ("$",),
        ttl: TTLConfig | None = None,
        scope: Mapping[str, str] | None = None,
    ) -> None:
        from contextkit.memory import scopes

        if isinstance(fields, str):
            raise InputError(f'fields must be a list of paths, not the text {fields!r}: ["{fields}"]')
        self._kit = kit
        self._fields = None if fields is None else tuple(fields)
        self._scope = None if scope is None else dict(scopes.checked(scope))
        self.ttl_config = ttl
        self._last_born = 0

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of several calls, in order; the writes among them are stored at once, all or none.

        Raises:
            InvalidNamespaceError: a label that is empty, no text, or holds a dot.
            FilterError: a filter that is not understood (it is a ValueError, as LangGraph has it).
            InputError: a value that JSON cannot hold.
        """
        given = list(ops)
        for op in given:
            if not isinstance(op, GetOp | SearchOp | PutOp | ListNamespacesOp):
                raise ValueError(f"Unknown operation type: {type(op)}")
            validate_op_namespace(op)
        memory = self._kit.memory
        work = _Batch(self, time.time())
        results = [work.run(op) for op in given]
        puts = {(op.namespace, op.key): op for op in given if isinstance(op, PutOp)}
        changed = {} if memory.read_only else {**work.refreshed}
        changed.update(self._puts(puts, work.now))
        states.write(memory, changed, scope=self._scope)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`, in a thread: the event loop stays free."""
        return await finished(self.batch, list(ops))

    def sweep_ttl(self) -> int:
        """Removes the expired items and says how many there were."""
        now = time.time()
        gone: dict[states.Path, Any] = {e.path: None for e in states.below(self._kit.memory, _ROOT) if _expired(e.value, now)}
        states.write(self._kit.memory, gone)
        return len(gone)

    async def asweep_ttl(self) -> int:
        """As `sweep_ttl`."""
        return await finished(self.sweep_ttl)

    # ------------------------------------------------------------------------------------------------------------------- inside

    def _puts(self, puts: Mapping[tuple[tuple[str, ...], str], PutOp], now: float) -> dict[states.Path, Any]:
        """The states of the writes, with the vectors of all their texts made at once."""
        bodies: dict[states.Path, Any] = {}
        texts: list[str] = []
        owners: list[tuple[states.Path, str]] = []
        for op in puts.values():
            path = _path(op.namespace, op.key)
            if op.value is None:
                bodies[path] = None
                continue
            bodies[path] = self._body(path, op, now)
            for name, text in self._texts(op):
                texts.append(text)
                owners.append((path, name))
        if texts:
            from contextkit.memory import embed

            vectors = embed.texts(self._kit.embedder, texts)
            for (path, name), vector in zip(owners, vectors, strict=True):
                bodies[path]["vectors"][name] = _packed(vector)
        return bodies

    def _body(self, path: states.Path, op: PutOp, now: float) -> dict[str, Any]:
        if not isinstance(op.value, Mapping):
            raise InputError(f"the value of {op.key!r} in {op.namespace!r} must be a mapping, not {type(op.value).__name__}")
        states.check_keys(op.value, f"the value of {op.key!r} in {op.namespace!r}")
        states.heads(path, dict(op.value))  # says what JSON cannot hold before texts are looked for in it
        if op.ttl is not None and not op.ttl > 0:
            raise InputError(f"ttl={op.ttl!r} of {op.key!r} must be minutes above 0, or None to keep for ever")
        old = states.read(self._kit.memory, path)
        kept = old is not None and not _expired(old, now)
        stamp = datetime.fromtimestamp(now, UTC).isoformat()
        return {
            "value": dict(op.value),
            "created": old["created"] if kept else stamp,
            "updated": stamp,
            "born": old["born"] if kept else self._born(),
            "ttl": op.ttl,
            "expires": None if op.ttl is None else now + op.ttl * _MINUTE,
            "vectors": {},
        }

    def _born(self) -> int:
        self._last_born = max(self._last_born + 1, time.time_ns())
        return self._last_born

    def _texts(self, op: PutOp) -> list[tuple[str, str]]:
        """(name, text) of all that is embedded of a value."""
        if self._fields is None or op.index is False or op.value is None:
            return []
        out: list[tuple[str, str]] = []
        for field in self._fields if op.index is None else op.index:
            texts = get_text_at_path(op.value, "$" if field == "$" else tokenize_path(field))
            out += [(field if len(texts) == 1 else f"{field}.{n}", text) for n, text in enumerate(texts) if text.strip()]
        return out

    def _query(self, query: str | None) -> NDArray[np.float32] | None:
        if self._fields is None or not query or not query.strip():
            return None
        return cast("NDArray[np.float32]", self._kit.embedder.embed_queries([query])[0])


@dataclass
class _Found:
    """An item that was read, with its best score; None where it has no vector or nothing was asked."""

    namespace: tuple[str, ...]
    key: str
    body: Mapping[str, Any]
    path: states.Path
    score: float | None = None

    def item(self, kind: type[Item] = Item, **more: Any) -> Any:  # noqa: ANN401 - Item or SearchItem
        return kind(
            namespace=self.namespace,
            key=self.key,
            value=self.body["value"],
            created_at=datetime.fromisoformat(self.body["created"]),
            updated_at=datetime.fromisoformat(self.body["updated"]),
            **more,
        )


class _Batch:
    """The reading calls of one batch, and the items whose life they prolong."""

    def __init__(self, store: KitStore, now: float) -> None:
        self._store = store
        self._memory = store._kit.memory  # noqa: SLF001 - a part of the store
        self.now = now
        self.refreshed: dict[states.Path, Any] = {}

    def run(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            return self._get(op)
        if isinstance(op, SearchOp):
            return self._search(op)
        return self._namespaces(op) if isinstance(op, ListNamespacesOp) else None

    def _get(self, op: GetOp) -> Item | None:
        path = _path(op.namespace, op.key)
        body = states.read(self._memory, path)
        if body is None or _expired(body, self.now):
            return None
        found = _Found(op.namespace, op.key, body, path)
        if op.refresh_ttl:
            self._refresh([found])
        return cast("Item", found.item())

    def _search(self, op: SearchOp) -> list[SearchItem]:
        found = [f for f in self._below(op.namespace_prefix) if not op.filter or _passes(f.body["value"], op.filter)]
        question = self._store._query(op.query)  # noqa: SLF001 - a part of the store
        if question is not None:
            found = _ranked(found, question)
        found = found[max(0, op.offset) :][: max(0, op.limit)]
        if op.refresh_ttl:
            self._refresh(found)
        return [f.item(SearchItem, score=f.score) for f in found]

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        prefixes = [c.path for c in conditions if c.match_type == "prefix"]
        start = prefixes[0][: prefixes[0].index("*")] if prefixes and "*" in prefixes[0] else (prefixes or [()])[0]
        known = dict.fromkeys(f.namespace for f in self._below(tuple(start)))
        matching = {n if op.max_depth is None else n[: op.max_depth] for n in known if all(_matches(c, n) for c in conditions)}
        return sorted(matching)[op.offset : op.offset + op.limit]

    def _below(self, prefix: tuple[str, ...]) -> list[_Found]:
        """The living items of a namespace and those within it: by namespace, then in the order of their first put."""
        found = []
        for entry in states.below(self._memory, (*_ROOT, *prefix)):
            *namespace, mark, key = entry.path[len(_ROOT) :]
            if mark == "" and not _expired(entry.value, self.now):
                found.append(_Found(tuple(namespace), key, entry.value, entry.path))
        return sorted(found, key=lambda f: (f.namespace, f.body["born"]))

    def _refresh(self, found: Sequence[_Found]) -> None:
        for one in found:
            if one.body["ttl"] is not None:
                self.refreshed[one.path] = {**one.body, "expires": self.now + one.body["ttl"] * _MINUTE}


def _path(namespace: tuple[str, ...], key: str) -> states.Path:
    """Where an item is kept. No label is empty, so the empty part tells the key from a longer namespace."""
    return (*_ROOT, *namespace, "", str(key))


def _expired(body: Mapping[str, Any], now: float) -> bool:
    return body["expires"] is not None and body["expires"] <= now


def _packed(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _ranked(found: Sequence[_Found], question: NDArray[np.float32]) -> list[_Found]:
    """The items by their best vector's cosine, ties in the order given, then those without a vector."""
    import numpy as np  # here, so that importing the adapter stays quick

    with_vectors = [f for f in found if f.body["vectors"]]
    if with_vectors:
        data = [base64.b64decode(v) for f in with_vectors for v in f.body["vectors"].values()]
        cosines = np.frombuffer(b"".join(data), "<f4").reshape(len(data), -1) @ question
        starts = np.cumsum([0, *(len(f.body["vectors"]) for f in with_vectors)])[:-1]
        for one, score in zip(with_vectors, np.maximum.reduceat(cosines, starts).tolist(), strict=True):
            one.score = score
    return sorted(with_vectors, key=lambda f: -cast("float", f.score)) + [f for f in found if not f.body["vectors"]]


def _matches(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    """Whether a namespace begins, or ends, as the condition says; "*" stands for any one label."""
    path = tuple(condition.path)
    if condition.match_type not in ("prefix", "suffix"):
        raise ValueError(f"Unsupported match type: {condition.match_type}")
    if len(namespace) < len(path):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", label) for label, wanted in zip(part, path, strict=True))


# ------------------------------------------------------------------------------------------------------------------------ filters


def _passes(value: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(_equals(value.get(key), condition) for key, condition in wanted.items())


def _equals(held: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON values
    """LangGraph's filters: equality, through mappings and lists, or {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"}."""
    if isinstance(wanted, Mapping):
        if any(str(key).startswith("$") for key in wanted):
            return all(_holds(held, operator, operand) for operator, operand in wanted.items())
        return isinstance(held, Mapping) and all(_equals(held.get(key), part) for key, part in wanted.items())
    if isinstance(wanted, list | tuple):
        same = isinstance(held, list | tuple) and len(held) == len(wanted)
        return same and all(_equals(a, b) for a, b in zip(held, wanted, strict=True))
    return bool(held == wanted)


_ORDER = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


def _holds(held: Any, operator: str, operand: Any) -> bool:  # noqa: ANN401 - JSON values
    if operator == "$eq":
        return bool(held == operand)
    if operator == "$ne":
        return bool(held != operand)
    if operator not in _ORDER:
        raise FilterError(f"unknown operator {operator!r} in a filter; LangGraph has $eq, $ne, {', '.join(_ORDER)}")
    limit = _number(operand)
    if limit is None:
        raise FilterError(f"{operator} compares numbers, and {operand!r} is none")
    number = _number(held)
    return number is not None and _ORDER[operator](number, limit)


def _number(value: Any) -> float | None:  # noqa: ANN401 - JSON values
    """A number, also one that is written as text, as LangGraph compares; None for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
