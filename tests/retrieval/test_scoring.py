"""What words say of texts: shares of the question, phrases, BM25."""

from __future__ import annotations

import math

import numpy as np
import pytest

import contextkit as ck
from contextkit.context.build import Request, retrieve
from contextkit.retrieval.scoring import (
    ANSWER,
    Weights,
    bm25,
    covered,
    first_mentions,
    idf,
    links,
    phrased,
    share_of_best,
    with_neighbours,
)
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
    follows, scores = np.array([False, True, False]), np.array([1, 3, 5], np.float32)
    np.testing.assert_allclose(with_neighbours(scores, *links(follows, np.zeros(3, bool), 0.5), 0.5), [2.5, 3.5, 5])
    np.testing.assert_allclose(with_neighbours(scores, *links(follows, np.ones(3, bool), 0.5), 0.5), [1.75, 3.25, 5])
    none = np.zeros(0, np.float32)
    assert with_neighbours(none, *links(none > 0, none > 0, 0.5), 0.5).shape == (0,)


def test_a_blank_line_parts_neighbours(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id="log", text="Rain fell on the coast.\n\nThe wind turned north.\nThe boats stayed in. All week.")])
        found = retrieve(kit._reader(), Request("Which way did the wind turn?", 100)).sentences
    assert found.follows.tolist() == [False, True, True, True]
    np.testing.assert_allclose(found.before, [0, Weights().paragraph, 1, 1])
    np.testing.assert_allclose(found.after, [Weights().paragraph, 1, 1, 0])


def test_a_document_says_each_word_once_for_the_first_time():
    _, where = found()
    rarity = np.array([1.0, 2.0, 3.0])
    one, two = np.zeros(5, np.int64), np.array([0, 0, 1, 1, 1])
    np.testing.assert_allclose(first_mentions(where, one, rarity), [5 / 6, 1 / 6, 0, 0, 0])
    np.testing.assert_allclose(first_mentions(where, two, rarity), [5 / 6, 1 / 6, 5 / 6, 0, 0])
    assert first_mentions(occurrences(TEXTS, []), one, np.zeros(0)).tolist() == [0] * 5


def test_what_a_word_means_comes_before_where_it_is_used_most(tmp_path):
    use = "The HTS was run twice. The HTS gave HTS values. In the HTS the HTS cells were counted.\n\n"
    text = "We looked for drugs by screening at a high throughput (HTS) in two rooms.\n\n" + "Nothing else is of use here. " * 90
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id="paper", text=f"{text}\n\n{use * 3}")])
        packet = kit.context("What is HTS?", budget=60)
    assert "high throughput (HTS)" in packet.text
    assert max(item.scores.first_mention for item in packet.items) == 1


def test_an_answer_has_more_of_its_question_than_of_another_neighbour():
    follows = np.array([False, True, True])
    scores = np.array([2, 1, 1.9], np.float32)
    apart, answers = np.zeros(3, bool), np.array([False, True, False])
    np.testing.assert_allclose(with_neighbours(scores, *links(follows, apart, 1), 0.5), [2.5, 2, 2.4])
    out = with_neighbours(scores, *links(follows, apart, 1, answers), 0.5)
    np.testing.assert_allclose(out, [2.5, 1 + 0.5 * 2 * ANSWER, 2.4], rtol=1e-6)


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
    names = (
        "passage", "coverage", "document", "date", "sentence", "sentence_lexical", "phrase", "first_mention", "speaker", "negation",
    )  # fmt: skip
    for item in packet.items:
        own = sum(getattr(talks.weights, name) * getattr(item.scores, name) for name in names)
        assert own - 1e-3 <= item.scores.total <= own + ANSWER * talks.weights.neighbour * best + 1e-3
        assert item.why


def test_a_turn_is_an_answer_where_a_question_stands_before_it(tmp_path):
    text = (
        "Ann: Where was the old gearbox sent to?\nBob: Down to the school.\nAnn: Good.\nBob: It rains again today.\nAnn: It does."
    )
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id="talk", text=text)])
        found = retrieve(kit._reader(), Request("Where was the old gearbox sent to?", 200))
        score, share = found.sentences.score, kit.weights.neighbour
        own = found.found.fused(kit.weights)[found.sentences.chunk]
        own = own + sum(getattr(kit.weights, name) * values for name, values in found.sentences.signals.items())
        assert score[1] == pytest.approx(own[1] + ANSWER * share * own[0], rel=1e-4)
        assert score[2] == pytest.approx(own[2] + share * max(own[1], own[3]), rel=1e-4)
