"""Which time a question is about: "since March", "last month", or, by an event that is remembered, "before the move".

A time is read by `when.py`. An event is looked for among the records that the asker may see: one that tells of it gives its time.
Where none does, nothing is narrowed, and the period says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit.memory import ranking, recall, times, when
from contextkit.memory import rows as records
from contextkit.memory.records import Kind, Memory, Period
from contextkit.retrieval.terms import content_terms, terms

if TYPE_CHECKING:
    from contextkit.memory.columns import Columns
    from contextkit.memory.recall import Judge, Request
    from contextkit.protocols import Embedder, Rows

_RELATIONS = {
    "before": "before", "prior to": "before", "until": "before", "till": "before", "up to": "before", "ahead of": "before",
    "after": "after", "following": "after", "since": "since", "ever since": "since", "from": "since", "during": "during",
    "when": "during", "while": "during", "at the time of": "during", "by": "by",
}  # fmt: skip
_CLAUSE = re.compile(
    r"(?i)\b(?P<relation>(?:right |just )?(?:before|after)|prior to|ahead of|ever since|at the time of|since|until|till|"
    r"following(?=\s+(?:the|her|his|my|our|their)\b)|during|when|while)\s+(?P<event>[^,?!;:]+)"
)
_ASKS = re.compile(r"(?i)^(?:did|does|do|was|were|is|are|will|would|can|could|has|have|had|should|exactly)\b")
_MAIN = re.compile(
    r"(?i)\s+(?:what|where|who|whom|which|how|why|did|does|do|was|were|is|are|has|have)\s+(?!(?:in|at|to|on|over|done|born|a|an|the)\b).*$"
)
_LEAD = re.compile(
    r"(?i)^(?:(?:the|my|our|her|his|their|your|its|a|an|that|this|she|he|they|we|i|you|it|was|were|had|got|big|last|first|new)\s+)+"
)
_TAIL = re.compile(r"(?i)\s+(?:happened|took place|occurred|began|begins|started|starts|ended|was over|was done|came)$")
_PAST = re.compile(
    r"(?i)\b(?:was|were|had|did|\w{2,}ed|went|came|got|met|left|began|became|bought|broke|built|fell|felt|found|gave|grew|held|kept|knew|"
    r"led|lost|made|paid|ran|said|saw|sold|sent|spent|spoke|stood|took|taught|told|thought|won|wrote)\b"
)
_SOME_TIME = frozenset(
    terms(
        "time long ago day week month year today now then that this it all while moment back season weekend morning afternoon "
        "spring summer autumn fall winter evening night"
    )
)
_TASTE = re.compile(r"opinion of |prefers|allergy|favou?rite ")
_YEAR = re.compile(r"(?:19|20)\d\d")
_BEFORE = re.compile(
    r"(?i)(?:^|(?<=\s))(?P<relation>before|prior to|until|till|up to|after|following|ever since|since|from|by)\s+(?:the\s+)?$"
)
_INSIDE = re.compile(r"(?i)(?P<relation>before|after|since|until|from|by)\s")
_NEAR = re.compile(
    r"(?i)\b(?:(?P<count>the|an?|one|two|three|four|five|six|\d{1,2})\s+)?(?P<unit>day|week|month|year)s?\s+(?:right\s+)?(?:before|after)\s+$"
)
_FIRST = 24  # records that are looked at for an event

# An event is told in other words than it is named by: the stems that tell of it, and the attributes whose change it is.
_SAME: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {
    name: (frozenset(stem for word in words.split() for stem in terms(word)), tuple(attributes.split(",")) if attributes else ())
    for names, words, attributes in (
        ("move relocation relocate", "move moved moving relocated relocation", "city,home,address,residence,country"),
        ("launch release rollout", "launch launched release released shipped rollout", ""),
        ("wedding marriage marry married", "wedding married marry marriage", "spouse,husband,wife,marital status"),
        ("divorce separation", "divorce divorced separated", "marital status"),
        ("birth born", "born birth birthday", ""),
        ("job hire hiring promotion", "job hired joined started promoted promotion", "employer,job,title,role"),
        ("graduation graduate", "graduated graduation graduate degree diploma", ""),
        ("trip holiday vacation", "trip holiday vacation travelled traveled trip", ""),
        ("surgery operation", "surgery operation operated", ""),
        ("accident crash", "accident crash crashed", ""),
        ("outage incident", "outage incident down failed", ""),
        ("merger acquisition", "merger merged acquired acquisition", ""),
        ("migration upgrade", "migration migrated upgrade upgraded", ""),
        ("meeting", "meeting met meet", ""),
    )
    for word in names.split()
    for name in terms(word)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clause:
    """The part of a question that says when.

    Attributes:
        phrase: as written.
        relation: "before", "after", "since", "during" or "by".
        event: what it names, without its article; "" where a time is named.
    """

    phrase: str
    relation: str
    event: str


def clause(query: str) -> Clause | None:
    """The first clause of a question that may name an event; None where there is none."""
    place = 0
    while (match := _CLAUSE.search(query, place)) is not None:
        place = match.end("relation")
        if match["relation"].lower() == "when" and _ASKS.match(match["event"]):
            continue  # "When did ...?" asks for the time
        if match["relation"].lower() in ("when", "while") and not _PAST.search(match["event"]):
            continue  # "when he writes": a habit is no event
        event = match["event"].strip()
        if match.start() == 0 or query[: match.start()].strip() == "":
            event = _MAIN.sub("", event)
        event = _TAIL.sub("", _LEAD.sub("", event).strip(" .'\""))
        if event and set(content_terms(event)) - _SOME_TIME:
            relation = re.sub(r"^(?:right|just) ", "", match["relation"].lower())
            return Clause(" ".join(f"{match['relation']} {match['event']}".split()), _RELATIONS[relation], event)
    return None


def named(query: str, known: int) -> Period | None:
    """The period that a question names by a time, such as "since March" or "in 2023"; None where it names none.

    Args:
        query: any text.
        known: the moment that it is asked at, microseconds.
    """
    spans = when.find(query, known)
    dated = [s for s in spans if _YEAR.search(query[s.start : s.end])]
    if dated and len(dated) < len(
        spans
    ):  # "last week, as mentioned on 6 November 2023": the rest is meant as of the day that is told
        spans = when.find(query, dated[0].begin)
    if not spans:
        return None
    first = spans[0]
    phrase = query[first.start : spans[-1].end] if len(spans) > 1 else query[first.start : first.end]
    if len(spans) > 1:
        return _period(phrase, min(s.begin for s in spans), max(s.until for s in spans))
    before, inside = _BEFORE.search(query[: first.start]), _INSIDE.match(phrase)
    word = (before or inside)["relation"].lower() if before or inside else ""  # type: ignore[index]  # one of them is there
    if before is not None:
        phrase = f"{before.group().strip()} {phrase}"
    near = _NEAR.search(f"{query[: first.start]}{word if inside and not before else ''} ")
    if near is not None and word in ("before", "after"):
        begin, until = _beside(near, word, first.begin, first.until)
        return _period(phrase, begin, until)
    start, end = _bounds(_RELATIONS.get(word, "during"), first.begin, first.until)
    return _period(phrase, start, end)


def _beside(near: re.Match[str], word: str, begin: int, until: int) -> tuple[int, int]:
    """The period of "the week before" or "two weeks after" a time."""
    length = {"day": 1, "week": 7, "month": 30, "year": 365}[near["unit"].lower()] * times.DAY
    count = (near["count"] or "the").lower()
    if count in ("the", "a", "one"):
        return (begin - length, begin) if word == "before" else (until, until + length)
    far = length * (when.number(count) or 1)
    middle = begin - far if word == "before" else begin + far
    return middle - length // 2, middle + length // 2


def _bounds(relation: str, begin: int, until: int) -> tuple[int | None, int | None]:
    """The period that stands in that relation to [begin, until)."""
    match relation:
        case "before":
            return None, begin
        case "by":
            return None, until
        case "after":
            return until, None
        case "since":
            return begin, None
        case _:
            return begin, until


def _period(phrase: str, begin: int | None, until: int | None, anchor: Memory | None = None) -> Period:
    until = None if until is not None and until >= times.FOREVER else until
    since = "" if begin is None else f" from {times.shown(begin)}"
    end = "" if until is None else f" until {times.shown(until)}"
    by = "" if anchor is None else f", by {anchor.id} {_short(anchor.text)!r}"
    return Period(
        phrase=phrase, begin=times.moment(begin), until=times.moment(until), anchor=None if anchor is None else anchor.id,
        told=f"{phrase!r} is read as the time{since}{end}{by}",
    )  # fmt: skip


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"


def period(rows: Rows, columns: Columns, embedder: Embedder, request: Request) -> Period | None:
    """The period that a question is about; None where it names none.

    Args:
        rows: of the memory.
        columns: all records.
        embedder: for the event's words.
        request: who asks what.
    """
    found = named(request.query, request.known)
    if found is not None:
        return found
    asked = clause(request.query)
    if asked is None:
        return None
    event = _find(rows, columns, embedder, request, asked)
    if event is None:
        told = f"nothing known tells of {asked.event!r}: {asked.phrase!r} does not narrow the time"
        return Period(phrase=asked.phrase, told=told)
    memory, begin, until, stative = event
    if asked.relation in ("after", "since") and not stative:
        until = begin
    if asked.relation == "after" and until > request.known:
        until = begin  # it lasts
    start, end = _bounds(asked.relation, begin, until)
    return _period(asked.phrase, start, end, memory)


def _find(
    rows: Rows, columns: Columns, embedder: Embedder, request: Request, asked: Clause
) -> tuple[Memory, int, int, bool] | None:
    """The record that tells of the event best, the time from when until when it was, and whether it is a state that lasted."""
    reach = recall.reachable(rows, request.reader)
    if not reach:
        return None
    seen = columns.visible(reach, records.HELD, None, None, request.known)
    wanted = [t for t in content_terms(asked.event) if t not in _SOME_TIME]
    ways = [_SAME.get(term, (frozenset({term}), ())) for term in wanted]
    question = ranking.Asked(
        text=asked.event, vectors=embedder.embed_queries([asked.event]), terms=sorted({t for way, _ in ways for t in way}),
        speaker=frozenset(), begin=None, until=None, now=request.known,
    )  # fmt: skip
    ids, _ = ranking.rank(columns, rows, question, seen, ranking.Weights())
    judge = recall.Judge(columns, reach, request.known, request.known)
    first = [int(i) for i in ids[:_FIRST]]
    changes = (
        _changes(rows, columns, reach, request, [a for _, attributes in ways for a in attributes]) if len(wanted) == 1 else []
    )
    people = {t for word in re.findall(r"\b[A-ZÀ-ÖØ-Þ][\w-]+", request.query[1:]) for t in terms(word)}
    best: tuple[tuple[float, ...], tuple[Memory, int, int, bool]] | None = None
    for number, (memory, _) in records.read(rows, [*first, *changes]).items():
        said = set(terms(f"{memory.source.author} {memory.text}"))
        share = 1.0 if number in changes else sum(bool(way & said) for way, _ in ways) / len(ways)
        if memory.key is not None and _TASTE.match(memory.key[1]):
            continue  # what somebody likes is no event
        if share < (1 if len(ways) <= 2 else 0.66) or (memory.text.rstrip().endswith("?") and number not in changes):
            continue
        begin, until, stative = _time(memory, judge, number)
        mark = (share, len(people & said), memory.key is not None, begin <= request.known, begin)
        if best is None or mark > best[0]:
            best = mark, (memory, begin, until, stative and number not in changes)
    return None if best is None else best[1]


def _changes(rows: Rows, columns: Columns, reach: Sequence[int], request: Request, attributes: Sequence[str]) -> list[int]:
    """Facts with one of these attributes that took the place of another one of their key: their beginning is the event."""
    if not attributes:
        return []
    marks = ", ".join("?" * len(attributes))
    keys = [
        int(row[0]) for row in rows.execute(f"SELECT id FROM keys WHERE attribute IN ({marks})", tuple(attributes)).fetchall()
    ]
    out: list[int] = []
    scope, begin = columns.data["scope"], columns.data["valid_from"]
    allowed = frozenset(reach)
    for key in keys:
        facts = [i for i in columns.keyed.get(key, ()) if int(scope[i]) in allowed and int(columns.status[i]) in records.HELD]
        held = [
            f
            for f in columns.facts(facts)
            if f.recorded_at <= request.known and (f.wrong_at or request.known + 1) > request.known
        ]
        least = min((f.valid_from for f in held), default=0)
        out += [f.id for f in held if int(begin[f.id]) > least]
    return out


def _time(memory: Memory, judge: Judge, number: int) -> tuple[int, int, bool]:
    """From when until when what a record tells of was, microseconds, and whether it is a state: a fact with a key."""
    begin = times.micros(memory.valid_from)
    if memory.key is not None:
        standing = judge.of(number)
        until = times.FOREVER if memory.valid_to is None else times.micros(memory.valid_to)
        return begin, min(until, standing.ends.get(number, until) if standing is not None else until), True
    told = when.find(memory.text, begin)
    if told:
        return told[0].begin, told[0].until, False
    day = begin - begin % times.DAY
    if memory.valid_to is not None:
        return begin, times.micros(memory.valid_to), True
    return (begin, day + times.DAY, False) if memory.kind is not Kind.WORKING else (begin, begin + 1, False)
