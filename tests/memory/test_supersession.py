"""Update scripts: what is told about one key, in order, and what holds of it now, then, by what was known, and after re-opening.

A step tells a value: "Oslo@2024-01" (true since), "Oslo@2024-01..2024-06" (until), "Oslo@2024-01 crm" (another source),
"Oslo@2024-01 !.5" (its trust); or it changes step n: "n=Bergen" (corrected), "n-" (taken back), "n@2024-03" (since corrected),
"n..2024-05" (until). Expected are the values that stand, best first; several are a conflict.
"""

from __future__ import annotations

import re
import shutil

import pytest

from contextkit.memory import MemoryStore
from contextkit.testing import TinyEmbedder

KEY, SCOPE = ("ann", "city"), {"user": "ann"}
Y = "2025-06"

SCRIPTS = [
    # name, steps, now, {as_of: values}
    ("one fact", "Oslo@2024-01", "Oslo", {"2023-12-31": "", "2024-01-01": "Oslo", Y: "Oslo"}),
    ("moved once", "Oslo@2024-01 | Rome@2025-01", "Rome", {"2024-12-31": "Oslo", "2025-01-01": "Rome"}),
    ("moved twice", "Oslo@2022 | Rome@2023 | Lima@2024", "Lima", {"2021": "", "2022-05": "Oslo", "2023-05": "Rome", "2024-05": "Lima"}),
    ("moved back", "Oslo@2022 | Rome@2023 | Oslo@2024", "Oslo", {"2022-05": "Oslo", "2023-05": "Rome", "2024-05": "Oslo"}),
    ("told in the wrong order", "Rome@2025-01 | Oslo@2024-01", "Rome", {"2024-06": "Oslo", Y: "Rome"}),
    ("three in reverse", "Lima@2024 | Rome@2023 | Oslo@2022", "Lima", {"2022-05": "Oslo", "2023-05": "Rome", "2024-05": "Lima"}),
    ("the middle told last", "Oslo@2022 | Lima@2024 | Rome@2023", "Lima", {"2022-05": "Oslo", "2023-05": "Rome", "2024-05": "Lima"}),
    ("told twice", "Oslo@2024-01 | Oslo@2024-01", "Oslo", {Y: "Oslo"}),
    ("told again later", "Oslo@2024-01 | Oslo@2025-01", "Oslo", {"2024-06": "Oslo", Y: "Oslo"}),
    ("same day, same source, the later word", "Oslo@2024-01 | Rome@2024-01", "Rome", {Y: "Rome"}),
    ("same day, three words", "Oslo@2024-01 | Rome@2024-01 | Lima@2024-01", "Lima", {Y: "Lima"}),
    ("ended", "Oslo@2024-01..2024-06", "", {"2024-05-31": "Oslo", "2024-06-01": "", Y: ""}),
    ("a gap between two", "Oslo@2022..2023 | Rome@2024", "Rome", {"2022-06": "Oslo", "2023-06": "", "2024-06": "Rome"}),
    ("a stay elsewhere", "Oslo@2022 | Rome@2024-03..2024-06", "Oslo", {"2024-02": "Oslo", "2024-04": "Rome", "2024-07": "Oslo"}),
    ("two stays", "Oslo@2022 | Rome@2023..2024 | Lima@2024-06..2024-09", "Oslo", {"2023-05": "Rome", "2024-03": "Oslo", "2024-07": "Lima"}),
    ("a stay within a stay", "Oslo@2022 | Rome@2024-01..2024-12 | Lima@2024-03..2024-05", "Oslo", {"2024-04": "Lima", "2024-06": "Rome"}),
    ("a stay told before the home", "Rome@2024-03..2024-06 | Oslo@2022", "Oslo", {"2024-04": "Rome", "2024-07": "Oslo"}),
    ("a plan", "Oslo@2024 | Rome@2100", "Oslo", {Y: "Oslo", "2100-06": "Rome"}),
    ("a plan told first", "Rome@2100 | Oslo@2024", "Oslo", {"2100-06": "Rome"}),
    ("a plan taken back", "Oslo@2024 | Rome@2100 | 2-", "Oslo", {"2100-06": "Oslo"}),
    ("a plan put off", "Oslo@2024 | Rome@2100 | 2@2101", "Oslo", {"2100-06": "Oslo", "2101-06": "Rome"}),
    ("a plan brought forward", "Oslo@2024 | Rome@2100 | 2@2025", "Rome", {"2024-06": "Oslo", Y: "Rome"}),
    ("corrected", "Olso@2024 | 1=Oslo", "Oslo", {"2024-06": "Oslo"}),
    ("corrected twice", "Olso@2024 | 1=Osol | 2=Oslo", "Oslo", {"2024-06": "Oslo"}),
    ("corrected, then moved", "Olso@2023 | 1=Oslo | Rome@2024", "Rome", {"2023-06": "Oslo", "2024-06": "Rome"}),
    ("moved, then the old corrected", "Olso@2023 | Rome@2024 | 1=Oslo", "Rome", {"2023-06": "Oslo", "2024-06": "Rome"}),
    ("the date corrected earlier", "Oslo@2022 | Rome@2024 | 2@2023", "Rome", {"2022-06": "Oslo", "2023-06": "Rome"}),
    ("the date corrected later", "Oslo@2022 | Rome@2023 | 2@2024", "Rome", {"2023-06": "Oslo", "2024-06": "Rome"}),
    ("back-dated in between", "Oslo@2022 | Lima@2024 | Rome@2023-06", "Lima", {"2023-03": "Oslo", "2023-09": "Rome", "2024-06": "Lima"}),
    ("back-dated before all", "Oslo@2022 | Rome@2020", "Oslo", {"2021": "Rome", "2022-06": "Oslo"}),
    ("ended afterwards", "Oslo@2022 | 1..2024", "", {"2023": "Oslo", "2024-06": ""}),
    ("ended, then back", "Oslo@2022 | 1..2023 | Oslo@2024", "Oslo", {"2022-06": "Oslo", "2023-06": "", "2024-06": "Oslo"}),
    ("the end corrected", "Oslo@2022..2023 | 1..2024", "", {"2023-06": "Oslo", "2024-06": ""}),
    ("taken back", "Oslo@2024 | 1-", "", {"2024-06": ""}),
    ("taken back, the older holds", "Oslo@2022 | Rome@2023 | 2-", "Oslo", {"2023-06": "Oslo"}),
    ("the older taken back", "Oslo@2022 | Rome@2023 | 1-", "Rome", {"2022-06": "", "2023-06": "Rome"}),
    ("the middle taken back", "Oslo@2022 | Rome@2023 | Lima@2024 | 2-", "Lima", {"2023-06": "Oslo", "2024-06": "Lima"}),
    ("all taken back", "Oslo@2022 | Rome@2023 | 1- | 2-", "", {"2022-06": "", "2023-06": ""}),
    ("taken back and told again", "Oslo@2022 | 1- | Oslo@2022", "Oslo", {"2022-06": "Oslo"}),
    ("the correction taken back", "Olso@2022 | 1=Oslo | 2-", "", {"2022-06": ""}),
    ("two sources, one day", "Oslo@2024 | Rome@2024 crm", "Rome Oslo", {Y: "Rome Oslo"}),
    ("three sources, one day", "Oslo@2024 | Rome@2024 crm | Lima@2024 mail", "Lima Rome Oslo", {Y: "Lima Rome Oslo"}),
    ("two sources agree", "Oslo@2024 | Oslo@2024 crm", "Oslo", {Y: "Oslo"}),
    ("two sources, later wins", "Oslo@2024 | Rome@2025 crm", "Rome", {"2024-06": "Oslo", Y: "Rome"}),
    ("a conflict settled by a later fact", "Oslo@2023 | Rome@2023 crm | Lima@2024", "Lima", {"2023-06": "Rome Oslo", "2024-06": "Lima"}),
    ("a conflict settled by taking one back", "Oslo@2023 | Rome@2023 crm | 2-", "Oslo", {"2023-06": "Oslo"}),
    ("a conflict settled by a correction", "Oslo@2023 | Rome@2023 crm | 2=Oslo", "Oslo", {"2023-06": "Oslo"}),
    ("a conflict settled by its source", "Oslo@2023 | Rome@2023 crm | Oslo@2023 crm", "Oslo", {"2023-06": "Oslo"}),
    ("each source repeats itself", "Oslo@2023 | Rome@2023 crm | Oslo@2023 | Rome@2023 crm", "Rome Oslo", {"2023-06": "Rome Oslo"}),
    ("a conflict for a while", "Oslo@2023 | Rome@2023..2024 crm", "Oslo", {"2023-06": "Rome Oslo", "2024-06": "Oslo"}),
    ("less trusted and newer", "Oslo@2023 | Rome@2024 web !.5", "Rome Oslo", {"2023-06": "Oslo", "2024-06": "Rome Oslo"}),
    ("less trusted, same day", "Oslo@2023 | Rome@2023 web !.5", "Oslo Rome", {"2023-06": "Oslo Rome"}),
    ("more trusted and newer", "Oslo@2023 web !.5 | Rome@2024", "Rome", {"2023-06": "Oslo", "2024-06": "Rome"}),
    ("more trusted and older", "Rome@2024 web !.5 | Oslo@2023", "Rome Oslo", {"2023-06": "Oslo", "2024-06": "Rome Oslo"}),
    ("doubt, then certainty", "Oslo@2022 | Rome@2023 web !.5 | Lima@2024", "Lima", {"2023-06": "Rome Oslo", "2024-06": "Lima"}),
    ("two doubts", "Oslo@2022 | Rome@2023 web !.5 | Lima@2024 web !.5", "Lima Oslo", {"2023-06": "Rome Oslo", "2024-06": "Lima Oslo"}),
    ("doubt confirmed", "Oslo@2022 | Rome@2023 web !.5 | Rome@2023", "Rome", {"2022-06": "Oslo", "2023-06": "Rome"}),
    ("doubt taken back", "Oslo@2022 | Rome@2023 web !.5 | 2-", "Oslo", {"2023-06": "Oslo"}),
    ("a doubtful end", "Oslo@2022..2023 | Rome@2022-06 web !.5", "Rome", {"2022-03": "Oslo", "2022-09": "Rome Oslo", "2023-06": "Rome"}),
    ("a conditional plan", "Oslo@2022 | Rome@2100..2101", "Oslo", {"2100-06": "Rome", "2101-06": "Oslo"}),
    ("an hour matters", "Oslo@2024-01-01T10:00 | Rome@2024-01-01T11:00", "Rome", {"2024-01-01T10:30": "Oslo", "2024-01-01T11:00": "Rome"}),
    ("a zone matters", "Oslo@2024-01-01T10:00+02:00 | Rome@2024-01-01T09:00Z", "Rome", {"2024-01-01T08:30Z": "Oslo", "2024-01-01T08:00Z": "Oslo"}),
    ("case and marks do not matter", "Oslo@2024 | OSLO.@2024 crm", "Oslo", {Y: "Oslo"}),
    ("long history", " | ".join(f"{c}@20{10 + i}" for i, c in enumerate("ABCDEFGHIJ")), "J", {f"20{10 + i}-06": c for i, c in enumerate("ABCDEFGHIJ")}),
]  # fmt: skip

STEP = re.compile(
    r"(?P<value>[\w.]+)@(?P<begin>[\w:+-]+?)(?:\.\.(?P<end>[\w:+-]+))?(?: (?P<platform>[a-z]+))?(?: !(?P<trust>[\d.]+))?"
)
CHANGE = re.compile(r"(?P<n>\d)(?:=(?P<text>\w+)|(?P<back>-)|@(?P<begin>[\w-]+)|\.\.(?P<end>[\w-]+))")


def play(store, steps):
    """Takes the steps; gives the moments that they were recorded at, and the ids."""
    made, moments = [], []
    for step in steps.split(" | "):
        change = CHANGE.fullmatch(step)
        if change is not None:
            old = made[int(change["n"]) - 1].id
            if change["back"]:
                store.retract(old)
                moments.append(store.get(old).superseded_at)
                continue
            made.append(store.correct(old, change["text"], valid_from=change["begin"], valid_to=change["end"]))
        else:
            told = STEP.fullmatch(step)
            assert told is not None, step
            source = {"platform": told["platform"]} if told["platform"] else None
            made.append(
                store.remember(
                    told["value"],
                    scope=SCOPE,
                    key=KEY,
                    valid_from=told["begin"],
                    valid_to=told["end"],
                    trust=float(told["trust"] or 1),
                    source=source,
                )
            )
        moments.append(made[-1].recorded_at)
    return moments


def values(store, **when):
    return [m for m in store.recall("which city?", scope=SCOPE, **when) if m.key == KEY]


def comparable(text):
    return text.lower().strip(".")


@pytest.mark.parametrize(("name", "steps", "now", "then"), SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_update_scripts(opened, name, steps, now, then):
    store = opened()
    play(store, steps)
    for again in (False, True):
        if again:
            store.close()
            store = opened()
        for when, wanted in [(None, now), *then.items()]:
            found = values(store, as_of=when)
            assert [comparable(m.text) for m in found] == wanted.lower().split(), (name, when)
            ids = {m.id for m in found}
            assert all(set(m.conflicts) == ids - {m.id} for m in found), "each names the others"


def test_there_are_enough_scripts():
    assert len(SCRIPTS) >= 60
    assert len({s[1] for s in SCRIPTS}) == len(SCRIPTS)


@pytest.mark.parametrize(("name", "steps", "now", "then"), SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_what_was_known_then_is_what_a_store_knew_that_had_only_heard_so_much(opened, tmp_path, name, steps, now, then):
    """`known_at` the moment of step n equals a memory that has taken n steps, for every moment of the world."""
    store = opened(tmp_path / "all" if (tmp_path / "all").mkdir() is None else None)
    moments = play(store, steps)
    parts = steps.split(" | ")
    for n in range(1, len(parts) + 1):
        folder = tmp_path / str(n)
        folder.mkdir()
        shorter = opened(folder)
        play(shorter, " | ".join(parts[:n]))
        for when in then:
            past = [m.text for m in values(store, as_of=when, known_at=moments[n - 1])]
            assert past == [m.text for m in values(shorter, as_of=when)], (name, n, when)


def test_history_keeps_everything(store):
    play(store, "Olso@2023 | 1=Oslo | Rome@2024")
    told = store.history(key="ann/city")
    assert [(m.text, str(m.status)) for m in told] == [("Olso", "superseded"), ("Oslo", "superseded"), ("Rome", "active")]
    assert told[1].lineage == (told[0].id,)
    assert all(m.superseded_at is not None for m in told[:2])
    assert [m.text for m in store.history(id=told[1].id)] == ["Olso", "Oslo"]


def test_another_person_is_another_key(store):
    play(store, "Oslo@2024")
    store.remember("Bob lives in Rome", scope=SCOPE, key=("bob", "city"), valid_from="2025-01-01")
    assert [m.text for m in values(store)] == ["Oslo"]
    assert store.history(key=("bob", "city"))[0].text == "Bob lives in Rome"


def test_a_clock_that_goes_backwards_does_not_reorder(store, monkeypatch):
    from contextkit.memory import times

    first = store.remember("Oslo", scope=SCOPE, key=KEY, valid_from="2024-01-01")
    real = times.now()
    monkeypatch.setattr(times, "now", lambda: real - 3600 * 1_000_000)
    second = store.remember("Rome", scope=SCOPE, key=KEY, valid_from="2024-01-01")
    assert second.recorded_at > first.recorded_at
    assert [m.text for m in values(store)] == ["Rome"]


@pytest.mark.parametrize(("name", "steps", "now", "then"), SCRIPTS, ids=[s[0] for s in SCRIPTS])
def test_every_script_is_right_after_a_crash(tmp_path, name, steps, now, then):
    """The files as they lie there while the writer still runs, its log not yet folded in: what a dead machine leaves."""
    (tmp_path / "life").mkdir()
    store = MemoryStore(tmp_path / "life", TinyEmbedder())
    play(store, steps)
    shutil.copytree(tmp_path / "life", tmp_path / "after")
    store.close()
    left = MemoryStore(tmp_path / "after", TinyEmbedder())
    for when, wanted in [(None, now), *then.items()]:
        assert [comparable(m.text) for m in values(left, as_of=when)] == wanted.lower().split(), (name, when)
    left.close()


def test_a_condition_is_no_fact_and_a_plan_begins_when_it_is_told_to(store):
    said = "If the deal closes I will move to Rome. I'm moving to Lima next year."
    store.observe([{"role": "user", "name": "Ann", "content": said, "time": "2024-05-01"}], scope={**SCOPE, "session": "s"})
    store.remember("Oslo", scope=SCOPE, key=KEY, valid_from="2020-01-01")
    told = {when: [m.text for m in values(store, as_of=when)] for when in ("2024-06-01", "2025-06-01")}
    assert told == {"2024-06-01": ["Oslo"], "2025-06-01": ["Ann lives in Lima"]}


def test_a_price_is_corrected_back_dated(store):
    key = ("pump", "price")
    first = store.remember("the pump costs 40 EUR", scope=SCOPE, key=key, valid_from="2024-01-01")
    store.remember("the pump costs 50 EUR", scope=SCOPE, key=key, valid_from="2024-07-01")
    before = store.get(first.id).recorded_at
    store.correct(first.id, "the pump costs 44 EUR")
    store.remember("the pump costs 47 EUR", scope=SCOPE, key=key, valid_from="2024-04-01")

    def price(**when):
        return [m.text.split()[3] for m in store.recall("what does the pump cost?", scope=SCOPE, **when)]

    assert [price(as_of=f"2024-{month}-15") for month in ("02", "05", "09")] == [["44"], ["47"], ["50"]]
    assert price(as_of="2024-02-15", known_at=before) == ["40"]
    assert price() == ["50"]
