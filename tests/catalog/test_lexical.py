from __future__ import annotations

import math
import sqlite3
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.catalog import postings, schema

WORDS = st.sampled_from(["pump", "valve", "a", "b", "c", "nb_1042", "über"])
TEXTS = st.lists(WORDS, max_size=80)


def fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(connection)
    return connection


def bm25(question, texts, weight):
    """Straight from the formula; {chunk: score}. Rarity and mean length are those of `texts`."""
    lengths = {i: len(h) + len(b) for i, (h, b) in texts.items()}
    counted = [n for n in lengths.values() if n]
    mean = sum(counted) / len(counted) if counted else 1
    out: dict[int, float] = {}
    for term in set(question):
        having = [i for i, (h, b) in texts.items() if term in h or term in b]
        for i in having:
            h, b = (Counter(part)[term] for part in texts[i])
            f = min(b, 63) + weight * min(h, 3)
            idf = math.log1p((len(texts) - len(having) + 0.5) / (len(having) + 0.5))
            out[i] = out.get(i, 0) + idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * lengths[i] / mean))
    return {i: s for i, s in out.items() if s > 0}


@settings(max_examples=80, deadline=None)
@given(
    batches=st.lists(st.lists(st.tuples(st.lists(WORDS, max_size=5), TEXTS), max_size=5), max_size=14),
    question=st.lists(WORDS, min_size=1, max_size=4),
    k=st.integers(1, 8),
    weight=st.sampled_from([0.5, 1.0, 3.0]),
    forbidden=st.sets(st.integers(1, 30), max_size=10),
    dead=st.sets(st.integers(1, 30), max_size=10),
)
def test_is_bm25_through_segments_merges_and_gc(batches, question, k, weight, forbidden, dead):
    connection = fresh()
    texts, next_id = {}, 1
    for batch in batches:
        postings.add(connection, next_id, [h for h, _ in batch], [b for _, b in batch])
        for header, body in batch:
            texts[next_id] = (header, body)
            next_id += 1
    known = postings.lengths(connection, None)
    for _ in range(2):
        allowed = np.array([i not in forbidden and i in texts for i in range(next_id)])
        seen = {i: t for i, t in texts.items() if i not in forbidden}  # a filtered search ranks as an index of these alone would
        ids, scores = postings.search(connection, question, k, allowed, known, weight)
        expected = bm25(question, seen, weight)
        assert len(ids) == min(k, len(expected))
        assert np.allclose(scores, sorted(expected.values(), reverse=True)[:k], rtol=1e-4)
        assert np.allclose(scores, [expected[i] for i in ids.tolist()], rtol=1e-4)
        assert all(a < b for a, b, s, t in zip(ids, ids[1:], scores, scores[1:], strict=False) if s == t)
        frequencies = postings.document_frequencies(connection, [*question, "nowhere"], allowed)
        assert frequencies == {t: sum(t in h or t in b for h, b in seen.values()) for t in [*question, "nowhere"]}
        # and again after gc
        living = np.array([i not in dead for i in range(next_id)])
        postings.rewrite(connection, [row[0] for row in connection.execute("SELECT id FROM segments")], living)
        postings.touch(connection)
        texts = {i: t for i, t in texts.items() if i not in dead}
        known = postings.lengths(connection, known)
    connection.close()


def test_segments_stay_few():
    connection = fresh()
    for i in range(1, 1001):
        postings.add(connection, i, [["t"]], [["word", f"w{i % 7}"]])
    assert connection.execute("SELECT count(*) FROM segments").fetchone()[0] < 30
    assert postings.document_frequencies(connection, ["word"], np.ones(1001, dtype=np.bool_)) == {"word": 1000}


@pytest.mark.parametrize("gap", [200, 60_000, 200_000])
def test_rare_terms_far_apart(gap):
    connection = fresh()
    bodies = [["x"]] * gap + [["needle"]] + [["x"]] * 10 + [["needle"]]
    postings.add(connection, 1, [[]] * len(bodies), bodies)
    known = postings.lengths(connection, None)
    ids, _ = postings.search(connection, ["needle"], 5, np.ones(len(bodies) + 1, dtype=bool), known, 1.0)
    assert ids.tolist() == [gap + 1, gap + 12]


def test_unchanged_lengths_are_kept():
    connection = fresh()
    postings.add(connection, 1, [[]], [["x"]])
    known = postings.lengths(connection, None)
    assert postings.lengths(connection, known) is known
    postings.add(connection, 2, [[]], [["x"]])
    assert postings.lengths(connection, known) is not known
