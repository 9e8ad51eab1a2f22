"""Promises for every case: time against a simple oracle, isolation in 10,000 tries, erasure in all files, clocks that jump, crashes."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.memory import Kind, MemoryStore, Source, times
from contextkit.memory.recall import reachable
from contextkit.memory.rows import Draft
from contextkit.memory.scopes import LEVELS, checked
from contextkit.memory.validity import Fact, standing
from contextkit.testing import TinyEmbedder

KEY, SCOPE = ("ann", "city"), {"user": "ann"}
CITIES = ("Oslo", "Rome", "Lima")


@dataclass(frozen=True)
class Told:
    """One fact as the oracle keeps it: everything there is to know of it, in the order of telling."""

    city: str
    begin: int
    end: int
    trust: float
    voice: str
    wrong: int | None = None  # number of the step that took it back


def oracle(told, at, known):
    """The cities that stand at `at`, after `known` steps: said again, plainly. A fact stands where it is believed and valid, and no
    other one that is believed, valid, and no less trusted begins later, or as early and told later by the same voice or in the same words."""
    believed = [
        (n, f) for n, f in enumerate(told) if f is not None and n < known and not (f.wrong is not None and f.wrong < known)
    ]
    now = [(n, f) for n, f in believed if f.begin <= at < f.end]

    def beaten(n, f):
        for m, g in now:
            if m == n or g.trust < f.trust:
                continue
            if g.begin > f.begin or (g.begin == f.begin and m > n and (g.voice == f.voice or g.city == f.city)):
                return True
        return False

    return {f.city for n, f in now if not beaten(n, f)}


steps = st.lists(
    st.tuples(
        st.sampled_from(["tell", "tell", "tell", "retract"]), st.sampled_from(CITIES), st.integers(0, 5), st.integers(1, 6),
        st.sampled_from([1.0, 1.0, 0.5]), st.sampled_from(["", "crm"]), st.integers(0, 9),
    ),
    min_size=1, max_size=7,
)  # fmt: skip


def year(n):
    return times.micros(f"{2010 + n}-01-01")


@given(steps)
@settings(max_examples=25, deadline=None)
def test_as_of_and_known_at_are_what_a_simple_oracle_says(tmp_path_factory, script):
    folder = tmp_path_factory.mktemp("oracle")
    store = MemoryStore(folder, TinyEmbedder())
    told, ids, moments = [], [], []
    for action, city, begin, length, trust, voice, pick in script:
        open_facts = [n for n, f in enumerate(told) if f is not None and f.wrong is None]
        if action == "retract" and open_facts:
            n = open_facts[pick % len(open_facts)]
            store.retract(ids[n])
            told[n] = Told(**{**told[n].__dict__, "wrong": len(told)})
            told.append(None)
            ids.append("")
            moments.append(times.micros(store.get(ids[n]).superseded_at))
            continue
        end = begin + length if length < 6 else 1000
        draft = Draft(
            city, Kind.SEMANTIC, checked(SCOPE), year(begin), times.FOREVER if end == 1000 else year(end), KEY, trust,
            source=Source(platform=voice),
        )  # fmt: skip
        made = store.write([draft])[0]
        told.append(Told(city, begin, end, trust, voice))
        ids.append(made.id)
        moments.append(times.micros(made.recorded_at))
    for again in (False, True):
        if again:
            store.close()
            store = MemoryStore(folder, TinyEmbedder())
        for known in range(1, len(told) + 1):
            for at in range(0, 12, 2 if again else 1):
                found = store.recall(
                    "which city?", scope=SCOPE, as_of=times.moment(year(at) + 1), known_at=times.moment(moments[known - 1])
                )
                assert {m.text for m in found} == oracle(told, at, known), (known, at)
                ids_found = {m.id for m in found}
                assert all(set(m.conflicts) == ids_found - {m.id} for m in found)
    store.close()


facts = st.lists(
    st.builds(
        Fact, id=st.just(0), valid_from=st.integers(0, 6), valid_to=st.integers(7, 12), recorded_at=st.integers(0, 20),
        wrong_at=st.none() | st.integers(0, 20), trust=st.sampled_from([0.5, 1.0]), voice=st.integers(0, 1), says=st.sampled_from([b"a", b"b"]),
    ),
    max_size=6,
)  # fmt: skip


@given(facts, st.integers(0, 12), st.integers(0, 20), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_order_of_looking_does_not_matter(made, at, known, chance):
    numbered = [replace(f, id=i + 1) for i, f in enumerate(made)]
    mixed = list(numbered)
    chance.shuffle(mixed)
    assert standing(numbered, at, known) == standing(mixed, at, known)
    for i in standing(numbered, at, known).ids:
        fact = numbered[i - 1]
        assert fact.recorded_at <= known
        assert fact.valid_from <= at < fact.valid_to


def _scope(chance):
    return {level: chance.choice("abc") for level in LEVELS if chance.random() < 0.45} or {"user": chance.choice("abc")}


def _may(reader, record, rules):
    """The rules of reach said again: inherit downward, a narrowest level's own sessions, one more by allow, none by deny."""
    inherits = all(reader.get(level) == value for level, value in record.items())
    if not inherits and "session" in record and "session" not in reader and len(record) > 1:
        rest = {level: value for level, value in record.items() if level != "session"}
        narrowest = max(reader, key=LEVELS.index)
        inherits = narrowest in rest and all(reader.get(level) == value for level, value in rest.items())
    said = [allow for scope, of, allow in rules if scope == record and all(reader.get(level) == v for level, v in of.items())]
    return (inherits or any(said)) and all(said)


def test_in_10_000_tries_nobody_sees_a_record_outside_their_reach(tmp_path):
    chance = random.Random(11)
    store = MemoryStore(tmp_path, TinyEmbedder())
    made = [_scope(chance) for _ in range(70)]
    now = times.now() - 1000
    written = store.write([Draft(f"the plan number {i}", Kind.SEMANTIC, checked(s), now) for i, s in enumerate(made)])
    where = {m.id: s for m, s in zip(written, made, strict=True)}
    rules = {}
    for _ in range(12):
        scope, reader, allow = chance.choice(made), _scope(chance), chance.random() < 0.6
        store.rule(scope, reader, allow=allow)
        mark = (tuple(sorted(scope.items())), tuple(sorted(reader.items())))
        rules[mark] = allow and rules.get(mark, True)
    told = [(dict(scope), dict(reader), allow) for (scope, reader), allow in rules.items()]
    seen = 0
    with store.reading() as rows:
        names = {int(i): name for i, name in rows.execute("SELECT id, name FROM scopes").fetchall()}
        for _ in range(10_000):
            reader = _scope(chance)
            reach = {names[i] for i in reachable(rows, (checked(reader),))}
            wanted = {name for name in names.values() if _may(reader, json.loads(name), told)}
            assert reach == wanted, reader
            seen += len(reach)
    assert seen > 5_000
    for _ in range(60):
        reader = _scope(chance)
        for query in ("the plan", "number 7"):
            found = store.recall(query, scope=reader, k=1000)
            assert {m.id for m in found} == {i for i, scope in where.items() if _may(reader, scope, told)}
        packed = store.recall_packed("the plan", scope=reader, budget=600)
        assert all(_may(reader, m.scope, told) for m in packed.items)
        assert all(_may(reader, m.scope, told) for m in store.history(id=written[0].id, scope=reader))
    store.close()


WORDS = "quince yarrow sorrel teasel bistre zaffre umber gamboge ochre celadon".split()


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.permutations(WORDS), st.booleans()), min_size=3, max_size=8),
    st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_no_byte_of_what_was_forgotten_is_in_any_file(tmp_path_factory, told, digested):
    """Whatever was written and consolidated before: the words of a forgotten user are in no file, those of the other one still are."""
    folder = tmp_path_factory.mktemp("erase")
    store = MemoryStore(folder, TinyEmbedder())
    for n, (who, words, as_talk) in enumerate(told):
        line = " ".join(f"{who}{w}{n}" for w in words)
        if as_talk:
            said = [
                {"role": "user", "name": f"N{who}{n}", "content": f"{w}{i} {line}", "time": "2020-01-01"}
                for i, w in enumerate(words[:5])
            ]
            store.observe(said, scope={"user": who, "session": f"s{n}"})
        else:
            store.remember(line, scope={"user": who}, key=f"{who}key{n}/x", source={"author": f"N{who}{n}"})
    store.recall_text("quince", scope={"user": "a"}, budget=400)
    if digested:
        store.consolidate(older_than=1)
    proof = store.forget(person="a")
    blob = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    for n, (who, words, _) in enumerate(told):
        for word in words:
            assert (f"{who}{word}{n}".encode() in blob) == (who == "b"), (who, word, n)
        assert (f"N{who}{n}".encode() in blob) == (who == "b")
    assert proof.found == 0
    assert all(store.get(i).status == "forgotten" for i in proof.ids)
    assert (store.recall("quince", scope={"user": "b"}, k=50) != []) == any(who == "b" for who, *_ in told)
    store.close()
    assert f"a{WORDS[0]}".encode() not in b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


@given(st.lists(st.integers(-(10**13), 10**13), min_size=2, max_size=8))
@settings(max_examples=12, deadline=None)
def test_a_clock_that_jumps_reorders_nothing(tmp_path_factory, jumps):
    folder = tmp_path_factory.mktemp("clock")
    real = times.now()
    patch = pytest.MonkeyPatch()
    store = MemoryStore(folder, TinyEmbedder())
    try:
        made = []
        for n, jump in enumerate(jumps):
            patch.setattr(times, "now", lambda at=real + jump: at)
            made.append(store.remember(f"city {n}", scope=SCOPE, key=KEY, valid_from="2020-01-01"))
            assert [m.text for m in store.recall("city", scope=SCOPE)] == [f"city {n}"], (
                "the last word holds, whatever the clock says"
            )
            if n % 2:
                store.close()
                store = MemoryStore(folder, TinyEmbedder())
        moments = [m.recorded_at for m in made]
        assert moments == sorted(moments)
        assert len(set(moments)) == len(moments)
        for n, moment in enumerate(moments):
            assert [m.text for m in store.recall("city", scope=SCOPE, known_at=moment)] == [f"city {n}"]
        assert [m.text for m in store.history(key=KEY)] == [f"city {n}" for n in range(len(jumps))]
    finally:
        patch.undo()
        store.close()


def test_a_crash_between_two_writes_and_in_one_leaves_what_was_committed(tmp_path):
    store = MemoryStore(tmp_path, TinyEmbedder())
    store.remember("Oslo", scope=SCOPE, key=KEY, valid_from="2020-01-01")

    class PowerError(BaseException):
        pass

    real = store.backend.writing

    @contextmanager
    def cut():
        with real() as rows:
            yield rows
            raise PowerError  # at the last moment before the commit

    patch = pytest.MonkeyPatch()
    for change in (
        lambda: store.remember("Rome", scope=SCOPE, key=KEY, valid_from="2021-01-01"),
        lambda: store.retract("m1"),
        lambda: store.correct("m1", "Olso"),
        lambda: store.observe([{"role": "user", "content": "I live in Lima."}], scope=SCOPE),
        lambda: store.consolidate(archive_after=0.001, older_than=0.001),
        lambda: store.forget(id="m1"),
        lambda: store.link("x", "ann"),
        lambda: store.retain(SCOPE, 3),
    ):
        patch.setattr(store.backend, "writing", cut)
        with pytest.raises(PowerError):
            change()
        patch.undo()
        with sqlite3.connect(tmp_path / "memory.sqlite") as connection:
            assert connection.execute("SELECT count(*) FROM records").fetchone()[0] == 1
            assert [
                connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("persons", "limits", "tombstones")
            ] == [0, 0, 0]
        connection.close()
        assert [(m.text, str(m.status)) for m in store.recall("city", scope=SCOPE)] == [("Oslo", "active")]
    store.close()
