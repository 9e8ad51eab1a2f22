"""Sentence boundaries and their offsets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.documents.sentences import sentences


def split(text, **kwargs):
    return [text[s.start : s.end] for s in sentences(text, **kwargs)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith et al. [3] saw 3.5 % in Fig. 2. It was low.", ["Dr. Smith et al. [3] saw 3.5 % in Fig. 2.", "It was low."]),
        ('What now? "Yes!" he said. Then left.', ["What now?", '"Yes!" he said.', "Then left."]),
        ("It closed at 5 p.m. The doors shut.", ["It closed at 5 p.m.", "The doors shut."]),
        ("The U.S. Army left. It rained.", ["The U.S. Army left.", "It rained."]),
        ("Use e.g. this one. Or not.", ["Use e.g. this one.", "Or not."]),
        ("1. First item. 2. Second.", ["1. First item.", "2. Second."]),
        ("Shown before [1] . And then [2, 3]. End", ["Shown before [1] .", "And then [2, 3].", "End"]),
        ("今日は晴れ。明日は雨！", ["今日は晴れ。", "明日は雨！"]),
        ("No mark at all", ["No mark at all"]),
        ("We use the ? operator here. It ends.", ["We use the ? operator here.", "It ends."]),
        (
            "The panic! macro stops. Yahoo! announced a loss. Really? yes.",
            ["The panic! macro stops.", "Yahoo! announced a loss.", "Really?", "yes."],
        ),
        ("Er kam am 3. Mai 2021 an. Am 4. Juni ging er.", ["Er kam am 3. Mai 2021 an.", "Am 4. Juni ging er."]),
        ("Im 2. Quartal stieg es. Der 1. Preis ging an sie.", ["Im 2. Quartal stieg es.", "Der 1. Preis ging an sie."]),
        ("Mötet den 17. maj ställdes in. Det hölls 12. Juni.", ["Mötet den 17. maj ställdes in.", "Det hölls 12. Juni."]),
        ("There were 3. Then he left in 2. It is over.", ["There were 3.", "Then he left in 2.", "It is over."]),
        ("Es hat 20 Mio. Nutzer, vgl. Abb. 3. Mehr nicht.", ["Es hat 20 Mio. Nutzer, vgl. Abb. 3.", "Mehr nicht."]),
        ("पहला वाक्य यहाँ है। दूसरा वाक्य वहाँ है।", ["पहला वाक्य यहाँ है।", "दूसरा वाक्य वहाँ है।"]),
        ("متى يبدأ؟ يبدأ الآن. انتهى", ["متى يبدأ؟", "يبدأ الآن.", "انتهى"]),
        ("یہ پہلا ہے۔ یہ دوسرا ہے۔", ["یہ پہلا ہے۔", "یہ دوسرا ہے۔"]),
        ("Այսպես։ Այնպես։", ["Այսպես։", "Այնպես։"]),
        ("ሰላም ነው። ደህና ነው።", ["ሰላም ነው።", "ደህና ነው።"]),
        ("မင်္ဂလာပါ။ နေကောင်းလား။", ["မင်္ဂလာပါ။", "နေကောင်းလား။"]),
        (
            "the reactor was shut down at NASA. nobody was hurt. they paid approx. 5 million, see fig. 3. it went on",
            ["the reactor was shut down at NASA.", "nobody was hurt.", "they paid approx. 5 million, see fig. 3.", "it went on"],
        ),
        (
            "dose: 5 mg b.i.d. for 3 days. then 10 mg q.d. until cured, e.g. here.",
            ["dose: 5 mg b.i.d. for 3 days.", "then 10 mg q.d. until cured, e.g. here."],
        ),
        ("Written with capitals. it goes on here. Then not.", ["Written with capitals. it goes on here.", "Then not."]),
        ("   ", []),
    ],
)
def test_known_boundaries(text, expected):
    assert split(text) == expected


def test_a_text_without_capitals_is_cut_whatever_stands_around_it():
    small = "the first one is here. the second one is there."
    text = f"A Heading Before. {small} And After."
    at = text.index(small)
    assert [text[s.start : s.end] for s in sentences(text, at, at + len(small))] == [small[:22], small[23:]]


@given(st.text(alphabet=st.sampled_from("ab .!?\n\t;:,([\"'1.é。।؟ABmai"), max_size=300), st.integers(16, 80))
def test_nothing_is_lost_and_nothing_is_too_long(text, longest):
    spans = sentences(text, longest=longest)
    at = 0
    for s in spans:
        assert not text[at : s.start].strip()
        assert text[s.start : s.end] == text[s.start : s.end].strip()
        assert 0 < len(s) <= longest
        at = s.end
    assert not text[at:].strip()


def test_ten_megabytes_on_one_line_take_linear_time():
    small, large = "e.g. word " * 20_000, "e.g. word " * 200_000
    took = []
    for text in (small, large):
        start = time.perf_counter()
        sentences(text)
        took.append(time.perf_counter() - start)
    assert took[1] < 40 * max(took[0], 0.01)
