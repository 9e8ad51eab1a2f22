"""What moves a record up or down: repetitions, the archive, and use."""

from __future__ import annotations

from contextkit.memory import Kind, times
from contextkit.memory.ranking import Weights
from contextkit.memory.rows import Draft

ANN = {"user": "ann"}
BOILER = "the boiler in the north wing is checked by Keller every March before the heating season"


def write(store, texts, **more):
    return store.write([Draft(t, Kind.SEMANTIC, (("user", "ann"),), times.micros("2024-01-01"), **more) for t in texts])


def test_repetitions_do_not_crowd_out_what_else_is_known(store):
    write(store, [f"{BOILER}, so it is said in note {'abcdefgh'[i]}" for i in range(8)])
    other = write(store, ["Keller also has the key of the boiler room"])[0]
    found = store.recall("who checks the boiler in the north wing every March?", scope=ANN, k=3)
    assert other.id in {m.id for m in found}
    assert BOILER in found[0].text
    everything = store.recall("who checks the boiler in the north wing every March?", scope=ANN, k=20)
    assert len(everything) == 9, "none is lost"


def test_it_is_a_weight_like_any_other(opened, tmp_path):
    (tmp_path / "plain").mkdir()
    store = opened(tmp_path / "plain", weights=Weights(repeats=0.0))
    write(store, [f"{BOILER}, so it is said in note {'abcdefgh'[i]}" for i in range(8)])
    other = write(store, ["Keller also has the key of the boiler room"])[0]
    found = store.recall("who checks the boiler in the north wing every March?", scope=ANN, k=3)
    assert other.id not in {m.id for m in found}


def test_values_in_conflict_stand_together_though_they_are_near(store):
    for platform in ("mail", "crm"):
        store.remember(
            f"{BOILER}, says {platform}", scope=ANN, key="boiler/check", valid_from="2024-01-01", source={"platform": platform}
        )
    store.remember("the heating season begins in October", scope=ANN)
    found = store.recall("who checks the boiler every March?", scope=ANN, k=2)
    assert [len(m.conflicts) for m in found] == [1, 1]


def test_what_is_archived_comes_after_what_is_active(store):
    first, second = write(
        store, ["the spare key is in drawer one of the red desk", "the spare key was in the blue bowl once upon a time"]
    )
    with store.writing() as rows:
        rows.execute("UPDATE records SET status = 4, seq = seq + 1000 WHERE id = 1")
        rows.execute("UPDATE state SET value = value + 2000 WHERE key = 'seq'")
    assert [m.id for m in store.recall("where is the spare key in drawer one?", scope=ANN)] == [second.id]
    found = store.recall("spare key", scope=ANN, archived=True)
    assert [m.id for m in found] == [second.id, first.id]


def test_what_differs_in_a_word_or_number_that_matters_stays(store):
    a, b, c = write(store, ["the pump costs 40 EUR", "the pump costs 50 EUR", "the pump is blue"])
    scores = [m.score for m in store.recall("what does the pump cost in EUR?", scope=ANN, k=3)]
    assert {m.id for m in store.recall("what does the pump cost in EUR?", scope=ANN, k=2)} == {a.id, b.id}
    assert scores[0] - scores[1] < 0.5
    assert c.id


def test_use_strengthens_and_disuse_weakens(store, monkeypatch):
    a, b = (store.remember(f"the ladder is behind the {place}", scope=ANN) for place in ("shed", "barn"))
    for _ in range(5):
        store.recall("behind the shed", scope=ANN, k=1)
    store.remember("this writes the notes of use", scope=ANN)
    assert (store.get(a.id).uses, store.get(b.id).uses) == (5, 0)
    real, ahead = times.now(), [0]
    monkeypatch.setattr(times, "now", lambda: real + ahead[0] * times.DAY)

    def scores():
        return {m.id: m.score for m in store.recall("where is the ladder?", scope=ANN)}

    now = scores()
    ahead[0] = 300
    later = scores()
    assert later[a.id] < now[a.id]
    assert later[b.id] < now[b.id]
    assert now[a.id] - later[a.id] < now[b.id] - later[b.id], "what is used fades more slowly"
