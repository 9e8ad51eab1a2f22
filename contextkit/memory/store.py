"""`MemoryStore`: what an agent knows, by verbs. The parts that do the work are the other modules of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from contextkit.errors import InputError
from contextkit.memory import arguments, kin, recall, scopes, times
from contextkit.memory import rows as records
from contextkit.memory.care import Care
from contextkit.memory.recall import Request
from contextkit.memory.records import Decision, Kind, Memory, Period, Recall, Source
from contextkit.memory.rows import Draft
from contextkit.memory.times import Time

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.memory.recall import Found
    from contextkit.protocols import Rows

_WORKING_SET = 400  # records that are offered to the packer
_NOW = -times.FOREVER  # stands for the moment that the rows are read at


class MemoryStore(Care):
    """The memory of an index folder. Safe from several threads, and beside other processes.

    Args:
        backend: where rows are kept; a folder: its `memory.sqlite`, made with the first write.
        embedder: gives the vectors; the same one every time.
        weights: what each signal counts in a recall.
        read_only: nothing is written.
        wait: seconds that a write waits for another one.
        given: what the agent was given and what the documents hold, for admission; None: nothing is known of either.
    """

    # -------------------------------------------------------------------------------------------------------------------- writing

    @overload
    def remember(
        self,
        text: str,
        *,
        scope: scopes.Scope,
        key: tuple[str, str] | str | None = None,
        kind: Kind | str = Kind.SEMANTIC,
        valid_from: Time | None = None,
        valid_to: Time | None = None,
        trust: float = 1.0,
        importance: float = 0.5,
        source: Source | Mapping[str, Any] | None = None,
        lineage: Sequence[str] = (),
    ) -> Memory: ...

    @overload
    def remember(self, text: Sequence[Mapping[str, Any]], *, scope: scopes.Scope) -> list[Decision]: ...

    def remember(
        self,
        text: str | Sequence[Mapping[str, Any]],
        *,
        scope: scopes.Scope,
        key: tuple[str, str] | str | None = None,
        kind: Kind | str = Kind.SEMANTIC,
        valid_from: Time | None = None,
        valid_to: Time | None = None,
        trust: float = 1.0,
        importance: float = 0.5,
        source: Source | Mapping[str, Any] | None = None,
        lineage: Sequence[str] = (),
    ) -> Memory | list[Decision]:
        """The record of what was given, new or already known; for a list of chat messages the decisions of `observe`.

        Args:
            text: what to know, in words that will be understood without their surroundings.
            scope: whose knowledge it is, such as {"user": "ann"}.
            key: (subject, attribute), or "subject/attribute": a newer fact with the same key takes this one's place.
            kind: what sort of knowledge.
            valid_from: since when it is true; None: now.
            valid_to: until when, exclusive; None: no end is known.
            trust: 0 to 1; lowered to that of the least trusted record of the lineage.
            importance: 0 to 1.
            source: where it comes from.
            lineage: ids of records that it was derived from.

        Raises:
            InputError: an argument that cannot work, or the text holds a secret; nothing was written.
            IndexLocked: another process is writing; try again.
        """
        if not isinstance(text, str):
            from contextkit.memory.observe import observe

            return observe(self, text, scope)
        from contextkit.memory.admission import refuse_secrets

        refuse_secrets(text)
        begin = times.optional(valid_from, "valid_from")
        end = times.optional(valid_to, "valid_to")
        draft = Draft(
            text=arguments.text(text), kind=arguments.kind(kind), scope=scopes.checked(scope),
            valid_from=times.now() if begin is None else begin,
            valid_to=times.FOREVER if end is None else end, key=arguments.key(key), trust=arguments.share(trust, "trust"),
            importance=arguments.share(importance, "importance"), source=arguments.source(source),
            lineage=tuple(map(records.number, lineage)),
        )  # fmt: skip
        return self.write([draft], known=begin is None)[0]

    def write(self, drafts: Sequence[Draft], vectors: NDArray[np.float32] | None = None, *, known: bool = False) -> list[Memory]:
        """The records, written in one transaction; `known`: a text that its scope holds already is not written again."""
        for draft in drafts:
            if draft.valid_to <= draft.valid_from:
                raise InputError(
                    f"valid_to={times.shown(draft.valid_to)} is not after valid_from={times.shown(draft.valid_from)}: "
                    "a fact is true for some time"
                )
        if vectors is None:
            from contextkit.memory import embed

            vectors = embed.texts(self.embedder, [embed.line(d.text, d.source.author) for d in drafts])
        with self.writing() as rows:
            if known:
                found = self._known(rows, drafts[0])
                if found is not None:
                    return [records.read(rows, [found])[found][0]]
            for draft in drafts:
                kin.lower_trust(rows, draft)
            ids = records.insert(rows, drafts, vectors)
            written = records.read(rows, ids)
        return [written[i][0] for i in ids]

    def _known(self, rows: Rows, draft: Draft) -> int | None:
        """The believed record of the same scope, key and words, where there is one."""
        found = rows.execute(
            "SELECT r.id, k.subject, k.attribute FROM records r JOIN scopes s ON s.id = r.scope_id "
            "LEFT JOIN keys k ON k.id = r.key_id "
            "WHERE r.hash = ? AND s.name = ? AND r.status = ? AND r.valid_to > ? AND r.kind = ?",
            (
                records.same_words(draft.text),
                scopes.name_of(draft.scope),
                records.ACTIVE,
                times.now(),
                records.KINDS.index(draft.kind),
            ),
        ).fetchall()
        return next((int(i) for i, *key in found if tuple(key) == (draft.key or (None, None))), None)

    def observe(self, messages: Sequence[Mapping[str, Any]], *, scope: scopes.Scope) -> list[Decision]:
        """What became of each message and of each fact found in it, in order.

        Messages are {"role", "content", "name"?, "time"?, "id"?}: kept verbatim as episodic turns of one conversation, in order;
        facts that rules find in them are kept too, with the turn as their lineage. Nothing is kept twice: a message that was
        observed before is "known".

        Raises:
            InputError: a message that is none; nothing was written.
        """
        from contextkit.memory.observe import observe

        return observe(self, messages, scope)

    def correct(
        self,
        id: str,  # noqa: A002 - the word that users know
        text: str | None = None,
        *,
        valid_from: Time | None = None,
        valid_to: Time | None = None,
    ) -> Memory:
        """The record that takes the place of a wrong one: other words, or another validity. The wrong one stays in the history.

        Raises:
            InputError: there is no such record, or it was replaced already, or nothing is corrected.
        """
        if text is None and valid_from is None and valid_to is None:
            raise InputError("correct needs a new text, valid_from or valid_to: to take a record back give it to retract")
        old = self.get(id)
        begin, end = times.optional(valid_from, "valid_from"), times.optional(valid_to, "valid_to")
        draft = kin.again(old)
        draft.text = old.text if text is None else arguments.text(text)
        draft.valid_from = draft.valid_from if begin is None else begin
        draft.valid_to = draft.valid_to if end is None else end
        return self._replace(id, draft)

    def retract(self, id: str) -> Memory:  # noqa: A002 - the word that users know
        """The record, taken back: it was never true. What it had superseded holds again; it stays in the history.

        Raises:
            InputError: there is no such record, or it was replaced already.
        """
        with self.writing() as rows:
            self._void(rows, id)
            return records.read(rows, [records.number(id)])[records.number(id)][0]

    def _replace(self, old: str, draft: Draft) -> Memory:
        from contextkit.memory import embed

        if draft.valid_to <= draft.valid_from:
            raise InputError(
                f"{old} would end ({times.shown(draft.valid_to)}) before it begins ({times.shown(draft.valid_from)})"
            )
        vectors = embed.texts(self.embedder, [embed.line(draft.text, draft.source.author)])
        with self.writing() as rows:
            self._void(rows, old)
            ids = records.insert(rows, [draft], vectors)
            return records.read(rows, ids)[ids[0]][0]

    def _void(self, rows: Rows, id_: str) -> None:
        number = records.number(id_)
        found = rows.execute("SELECT void, key_id, scope_id FROM records WHERE id = ?", (number,)).fetchone()
        if found is None:
            raise InputError(kin.missing(rows, number))
        if found[0]:
            raise InputError(f"{id_} was replaced or taken back already: history(id={id_!r}) shows by what")
        moment = records.clock(rows, 1)
        records.void(rows, [number], moment)
        if found[1] is not None:
            records.judge(rows, found[1], found[2], moment)

    # -------------------------------------------------------------------------------------------------------------------- reading

    def recall(
        self,
        query: str,
        *,
        scope: scopes.Scope,
        k: int = 8,
        as_of: Time | None = None,
        known_at: Time | None = None,
        kinds: Sequence[Kind | str] | None = None,
        archived: bool = False,
    ) -> list[Memory]:
        """What the scope may see that answers a question best, best first; at most k, fewer where there is no more.

        Args:
            query: any text.
            scope: on whose behalf; see `contextkit.memory.scopes` for what it reaches.
            k: 1 to 1,000.
            as_of: what was true at that moment of the world; None: now, or the time that the question names.
            known_at: by what was recorded by then; None: now.
            kinds: only these kinds.
            archived: whether faded records are looked at too.

        Raises:
            InputError: an argument that cannot work.
        """
        return [found.memory for found in self._recall(query, scope, k, as_of, known_at, kinds, archived)[0]]

    def period(self, query: str, *, scope: scopes.Scope, known_at: Time | None = None) -> Period | None:
        """The time that a question names, as `recall` reads it, with the record that tells of its event; None for none."""
        request = self._request(query, scope, 1, None, known_at, None, archived=False)
        with self.reading() as rows:
            found: Period | None = self._asked(rows, request).period
        return found

    def recall_packed(
        self,
        query: str,
        *,
        scope: scopes.Scope,
        budget: int = 1024,
        model: str | None = None,
        as_of: Time | None = None,
        known_at: Time | None = None,
        kinds: Sequence[Kind | str] | None = None,
    ) -> Recall:
        """`recall_text` with its token count and the records in it.

        Raises:
            InputError: an argument that cannot work.
            BudgetExceeded: the budget is below what one record needs.
        """
        from contextkit.memory.packing import pack
        from contextkit.tokens import counter_for

        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
            raise InputError(f"budget must be a whole number of tokens above 0, not {budget!r}")
        found, period = self._recall(query, scope, _WORKING_SET, as_of, known_at, kinds, archived=False, used=False)
        packed = pack(found, budget, counter_for(model), times.now()).model_copy(update={"period": period})
        self._note_use([records.number(m.id) for m in packed.items])
        self.recent.append(packed.text)
        return packed

    def recall_text(self, query: str, *, scope: scopes.Scope, budget: int = 1024, **options: Any) -> str:  # noqa: ANN401 - those of recall_packed
        """What answers a question, packed into at most `budget` tokens: each record with its date, age and id.

        Takes what `recall_packed` takes. "" where nothing is known.
        """
        return self.recall_packed(query, scope=scope, budget=budget, **options).text

    def _recall(
        self,
        query: str,
        scope: scopes.Scope,
        k: int,
        as_of: Time | None,
        known_at: Time | None,
        kinds: Sequence[Kind | str] | None,
        archived: bool,  # noqa: FBT001 - passed on as it was given
        *,
        used: bool = True,
    ) -> tuple[list[Found], Period | None]:
        request = self._request(query, scope, k, as_of, known_at, kinds, archived)
        with self.reading() as rows:
            request = self._asked(rows, request)
            found = recall.run(rows, self.columns(rows), self.embedder, request, self.weights)
        if used:
            self._note_use([records.number(f.memory.id) for f in found])
        return found, request.period

    def _request(
        self, query: str, scope: scopes.Scope, k: int, as_of: Time | None, known_at: Time | None,
        kinds: Sequence[Kind | str] | None, archived: bool,  # noqa: FBT001 - passed on as it was given
    ) -> Request:  # fmt: skip
        """What is asked, checked; the person's names and the present moment are still to be filled in."""
        from contextkit.retrieval.pasted import is_blank

        if not isinstance(query, str) or is_blank(query):
            raise InputError(f"the query {str(query)[:40]!r} is empty: say what to recall")
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= 1000:
            raise InputError(f"k must be a whole number from 1 to 1,000, not {k!r}")
        known = times.optional(known_at, "known_at")
        wanted = None if kinds is None else tuple(arguments.kind(kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))
        at = times.optional(as_of, "as_of")
        return Request(query, (scopes.checked(scope),), k, at, _NOW if known is None else known, wanted, archived)

    def _asked(self, rows: Rows, request: Request) -> Request:
        """The request with the person's names, the moment where none is asked for, and the time that the question names."""
        from contextkit.memory.anchors import period

        known = self._now(rows) if request.known == _NOW else request.known
        request = replace(request, reader=self._forms(rows, request.reader[0]), known=known)
        return replace(request, period=period(rows, self.columns(rows), self.embedder, request))

    def _now(self, rows: Rows) -> int:
        """This moment, but never before what was recorded last."""
        return max(times.now(), int(rows.execute("SELECT value FROM state WHERE key = 'clock'").fetchone()[0]))

    def _forms(self, rows: Rows, reader: scopes.Pairs) -> tuple[scopes.Pairs, ...]:
        """The scope in each form that its person is known by."""
        from contextkit.memory.persons import forms

        return forms(rows, reader)

    def get(self, id: str) -> Memory:  # noqa: A002 - the word that users know
        """The record with that id, as stored; of a forgotten one what is left of it. Raises InputError where there is none."""
        number = records.number(id)
        with self.reading() as rows:
            found = records.read(rows, [number])
            stone = None if found else kin.forgotten(rows, number)
            if not found and stone is None:
                raise InputError(kin.missing(rows, number))
        return stone or found[number][0]

    def history(
        self,
        *,
        key: tuple[str, str] | str | None = None,
        id: str | None = None,  # noqa: A002 - the word that users know
        scope: scopes.Scope | None = None,
    ) -> list[Memory]:
        """All records of a key, or a record with all that it was derived from and that was derived from it; oldest first.

        Args:
            key: (subject, attribute) or "subject/attribute".
            id: of a record; either this or the key. Of a forgotten one there is its stone: no text, and the status "forgotten".
            scope: only what this scope sees; None: all.

        Raises:
            InputError: neither or both are given, or there is no such record.
        """
        if (key is None) == (id is None):
            raise InputError("history needs either key=(subject, attribute) or id=")
        with self.reading() as rows:
            ids = kin.family(rows, records.number(id)) if id is not None else kin.of_key(rows, arguments.key(key) or ("", ""))
            if id is not None and not ids:
                stone = kin.forgotten(rows, records.number(id))
                if stone is None:
                    raise InputError(kin.missing(rows, records.number(id)))
                return [stone]
            if scope is not None:
                reach = recall.reachable(rows, self._forms(rows, scopes.checked(scope)))
                ids = [i for i in ids if rows.execute("SELECT scope_id FROM records WHERE id = ?", (i,)).fetchone()[0] in reach]
            found = [m for m, _ in records.read(rows, ids).values()]
        return sorted(found, key=lambda m: (m.recorded_at, records.number(m.id)))
