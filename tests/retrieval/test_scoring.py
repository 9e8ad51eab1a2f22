"""What words say of texts: shares of the question, phrases, BM25."""

from __future__ import annotations

import math

import numpy as np
import pytest

import contextkit as ck
from contextkit.retrieval.scoring import bm25, covered, idf, phrased, share_of_best, with_neighbours
from contextkit.retrieval.terms import content_terms, occurrences, terms
from contextkit.testing import TinyEmbedder

TEXTS = [
    "The incubation period of the virus is five days.",
    "The virus has a long period of latency; incubation is rare.",
    "In this period of rest, which nobody had foreseen at the time, there was no incubation whatever.",
    "Nothing of the kind.",
    "",
]
QUESTION = "How long is the incubation period?"


def found(question=QUESTION, texts=TEXTS):
    words = content_terms(question)
    return words, occurrences(texts, words)


def test_occurrences_say_where_a_word_begins():
    words, where = found()
    assert [
        TEXTS[t][at : at + 5].lower() for t, n, at in zip(*(c.tolist() for c in where), strict=True) if words[n] == "incub"
    ] == ["incub"] * 3
    assert all(terms(TEXTS[t][at:])[0] == words[n] for t, n, at in zip(*(c.tolist() for c in where), strict=True))


def test_words_that_stand_together_in_the_question_count_where_they_do_so():
    words, where = found()
    assert words == ["long", "incub", "period"]
    out = phrased(where, len(TEXTS), np.array([1.0, 2.0, 3.0]))
    assert out.dtype == np.float32
    # two pairs, worth 1 + 2 and 2 + 3, in either order; in the third text "period" and "incubation" stand too far apart
    np.testing.assert_allclose(out, [5 / 8, 1, 0, 0, 0])
    assert phrased(occurrences(["a long incubation period"], words), 1, np.ones(3))[0] == 1
    assert phrased(occurrences(["period of incubation"], words), 1, np.ones(3))[0] == pytest.approx(0.5)
    assert phrased(occurrences(["the period ended.", "Incubation began"], words), 2, np.ones(3)).tolist() == [0, 0]


@pytest.mark.parametrize("question", ["virus", "the", "?"])
def test_a_question_of_one_word_has_no_phrase(question):
    words, where = found(question)
    assert phrased(where, len(TEXTS), np.ones(len(words))).tolist() == [0] * 5


def test_the_share_of_a_question_counts_rare_words_for_more_and_repetition_for_nothing():
    holding = np.array([[True, True], [True, False], [False, True], [False, False]])
    np.testing.assert_allclose(covered(holding, np.array([3.0, 1.0])), [1, 0.75, 0.25, 0])
    assert covered(np.zeros((2, 0), bool), np.zeros(0)).tolist() == [0, 0]


def test_bm25_is_that_of_the_formula():
    words, where = found()
    rarity = np.array([idf({w: 1}, 10)[w] for w in words])
    lengths = [len(t) for t in TEXTS]
    mean = sum(lengths) / len(lengths)
    want = []
    for text, length in zip(TEXTS, lengths, strict=True):
        have = terms(text)
        norm = 1.2 * (0.5 + 0.5 * length / mean)
        want.append(sum(r * have.count(w) * 2.2 / (have.count(w) + norm) for w, r in zip(words, rarity, strict=True)))
    np.testing.assert_allclose(bm25(where, TEXTS, rarity), want, rtol=1e-5)
    assert idf({"a": 3}, 10)["a"] == pytest.approx(math.log(1 + 7.5 / 3.5))
    assert bm25(occurrences([], words), [], rarity).shape == (0,)


def test_shares_and_neighbours():
    assert share_of_best(np.array([0, 2, 4], np.float32)).tolist() == [0, 0.5, 1]
    assert share_of_best(np.zeros(2, np.float32)).tolist() == [0, 0]
    follows = np.array([False, True, False])
    np.testing.assert_allclose(with_neighbours(np.array([1, 3, 5], np.float32), follows, 0.5), [2.5, 3.5, 5])


@pytest.fixture
def talks(tmp_path):
    text = "Ann: We went {} last week.\nBob: Ann, I had a day of my own by the sea.\nAnn: Good for you. It was {} for us."
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document(id="may", text=text.format("sailing", "fine"), metadata={"time": "9:10 am on 8 May, 2023"}),
                ck.Document(id="june", text=text.format("riding", "cold"), metadata={"time": "9:10 am on 3 June, 2023"}),
            ]
        )
        yield kit


def test_who_is_asked_about_is_believed_first(talks):
    def speakers(question):
        return [i.scores.speaker for i in talks.context(question, budget=40).items]

    assert set(speakers("What did Ann do?")) == {1.0}
    assert talks.context("What did Bob do?", budget=24).items[0].text.startswith("Bob:")
    assert set(speakers("What was done?")) == {0.0}


def test_the_document_of_the_date_comes_first(talks):
    for question, document in (("Where did they go in June?", "june"), ("Where did they go in May 2023?", "may")):
        packet = talks.context(question, budget=60)
        assert packet.items[0].document_id == document
        assert packet.items[0].scores.date == 1
        assert talks.search(question, k=1)[0].document_id == document
    assert all(i.scores.date == 0 for i in talks.context("Where did they go in July?", budget=100).items)


def test_the_score_is_the_sum_that_the_weights_say(talks):
    packet = talks.context("What did Bob do at the sea in June?", budget=300)
    best = max(item.scores.total for item in packet.items)
    names = ("passage", "coverage", "document", "date", "sentence", "sentence_lexical", "phrase", "speaker")
    for item in packet.items:
        own = sum(getattr(talks.weights, name) * getattr(item.scores, name) for name in names)
        assert own - 1e-3 <= item.scores.total <= own + talks.weights.neighbour * best + 1e-3
        assert item.why
