"""What a large memory does in another way than a small one gives the same answers; and many turns written at once keep their places."""

from __future__ import annotations

import random

import numpy as np
import pytest

from contextkit.memory import Kind, ranking, times
from contextkit.memory.rows import Draft

ANN = (("user", "ann"),)
WORDS = (
    "amber basin cedar delta ember fjord grove heron inlet jetty knoll larch marsh north osier pier quay reed shore tarn".split()
)


@pytest.fixture
def drafts():
    chance = random.Random(11)
    made = []
    for i in range(240):
        thread = f"talk {i % 3}" if i % 2 else None
        text = f"{' '.join(chance.choices(WORDS, k=8))} {i}"
        made.append(Draft(text, Kind.EPISODIC if thread else Kind.SEMANTIC, ANN, times.now() - 10**6, thread=thread))
    return made


def test_scanning_many_finds_what_scoring_each_finds(store, drafts, monkeypatch):
    kept = store.write(drafts)
    store.correct(kept[0].id, "amber basin cedar, corrected")
    store.remember("a secret of the quay", scope={"user": "bob"})
    questions = [" ".join(random.Random(n).choices(WORDS, k=3)) for n in range(12)]

    def answers():
        return [[(m.id, round(m.score, 3)) for m in store.recall(q, scope={"user": "ann"}, k=10)] for q in questions]

    exact = answers()
    monkeypatch.setattr(ranking, "_MANY", 0)
    assert answers() == exact, "where all are candidates, scores are the same"
    store.remember("written after the index was made: tarn", scope={"user": "ann"})
    assert store.recall("written after the index was made", scope={"user": "ann"})[0].id == "m243"
    monkeypatch.setattr(ranking, "_LEAST", 120)
    few = answers()
    same = sum(len({i for i, _ in a} & {i for i, _ in b}) for a, b in zip(few, exact, strict=True))
    assert same >= 0.9 * sum(map(len, exact))
    store.forget(id=exact[0][0][0])
    assert exact[0][0][0] not in {i for i, _ in answers()[0]}


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_the_nearest_are_only_of_those_seen(store, drafts, share):
    store.write(drafts)
    with store.reading() as rows:
        columns = store.columns(rows)
        seen = np.random.default_rng(3).random(columns.size) < share
        seen[0] = False
        query = columns.vectors[7]
        found = columns.nearest(query, 20, seen)
        scores = np.where(seen, columns.vectors[: columns.size] @ query, -2)
    best = set(np.argsort(-scores)[:20].tolist())
    assert seen[found].all()
    assert len(best & set(found.tolist())) >= 17


def test_turns_written_together_stand_in_their_order(store, drafts):
    store.write(drafts[:100])
    store.write(drafts[100:])
    with store.reading() as rows:
        found = rows.execute(
            "SELECT t.name, r.place, r.text FROM records r JOIN threads t ON t.id = r.thread_id ORDER BY t.name, r.place"
        ).fetchall()
        turns = dict(rows.execute("SELECT name, turns FROM threads").fetchall())
    for name in ("talk 0", "talk 1", "talk 2"):
        assert [text for thread, _, text in found if thread == name] == [d.text for d in drafts if d.thread == name]
        assert [place for thread, place, _ in found if thread == name] == list(range(1, turns[name] + 1))
