"""Questions and corpora that nobody would choose: sensible packets, no error but for what says nothing, no time beyond linear.

Time is measured as processor time of n against four times n, with a generous factor, and never against a limit.
"""

from __future__ import annotations

import base64
import random
import time
import unicodedata

import pytest

import contextkit as ck
from contextkit.cli.app import run
from contextkit.context.call import AgentCall
from contextkit.documents.chunking import StructureChunker
from contextkit.documents.sentences import sentences
from contextkit.errors import BudgetExceeded, InputError
from contextkit.retrieval.candidates import find
from contextkit.retrieval.pasted import READ, TERMS, is_blank, spread, telling
from contextkit.retrieval.questions import LONG, MOST, parts
from contextkit.retrieval.terms import terms
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for
from contextkit.types import Document, Span

COUNTER = counter_for(None)
PUMP = "The pump in hall nine runs at 42 bar. It was built in Leeds."
BLANK = ["", "   ", "\n\t", "\u200b", "\ufeff\u200d", "\x00\x07", "\u3000", "\ud800"]
ODD = ["pump", "the", "?", "...", "a", "42", "🚰🔧?", "水泵的压力是多少？", "ما هو ضغط المضخة؟", "पंप का दबाव क्या है?", "ความดันปั๊ม",
       "Kreiselpumpendruckregelungsventileinstellung", "x" * 5_000, "pump\x00pump", "ｐｕｍｐ", "e\u0301" * 50]  # fmt: skip
WORDS = "valve check report invoice Berlin office part hall shift owner gauge filter motor bearing oil leave travel".split()


def words_of(n, seed=1):
    """Sentences of about n characters."""
    drawn = random.Random(seed)
    said = (" ".join(drawn.choice(WORDS) for _ in range(10)).capitalize() + "." for _ in range(n // 70))
    return " ".join(said)


class Recording(TinyEmbedder):
    """Keeps the questions that it was given."""

    def embed_queries(self, questions):
        self.asked = [*getattr(self, "asked", []), *questions]
        return super().embed_queries(questions)


@pytest.fixture
def indexed(tmp_path):
    kits = []

    def make(*texts, embedder=None):
        kit = ck.open(tmp_path / f"index{len(kits)}", embedder=embedder or TinyEmbedder())
        kits.append(kit)
        report = kit.add([ck.Document(f"d{n:03}", text) for n, text in enumerate(texts)])
        assert report.failed == 0
        return kit, {f"d{n:03}": text for n, text in enumerate(texts)}

    yield make
    for kit in kits:
        kit.close()


def sound(packet, texts, budget):
    """Within its budget as counted, every run exactly what the document says there, and sure of itself within bounds."""
    assert packet.tokens == COUNTER.count(packet.text) <= budget
    assert 0 <= packet.confidence <= 1
    for item in packet.items:
        assert item.text == texts[item.document_id][item.start : item.end] != ""
        assert item.text in packet.text
    return packet


def linear(work, small, large):
    """Whether four times the input takes no more than twelve times the processor time (and a little)."""
    took = []
    for given in (small, large):
        best = float("inf")
        for _ in range(2):
            begin = time.process_time()
            work(given)
            best = min(best, time.process_time() - begin)
        took.append(best)
    return took[1] <= 12 * took[0] + 0.1


# ----------------------------------------------------------------------------------------------------------------- questions


@pytest.mark.parametrize("question", BLANK)
def test_a_question_without_anything_to_see_is_refused_everywhere(indexed, question):
    kit, _ = indexed(PUMP)

    def remembered(query):
        return kit.memory.recall(query, scope={"user": "ann"})

    for ask in (kit.search, kit.context, lambda q: kit.build(AgentCall(question=q, budget=500)), remembered):
        with pytest.raises(InputError, match="half a character" if question == "\ud800" and ask != remembered else "is empty"):
            ask(question)
    assert is_blank(question)


def test_the_command_line_says_so_and_exits_with_2(indexed, capsys, tmp_path, monkeypatch):
    indexed(PUMP)[0].close()
    monkeypatch.chdir(tmp_path)
    for verb in ("context", "search"):
        for question in ("", " ", "\u200b"):
            assert run([verb, question, "--index", "index0"]) == 2
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err == "contextkit: the question is empty: give some words, or - to read them from stdin\n"


def test_a_question_that_is_no_text_is_refused(indexed):
    kit, _ = indexed(PUMP)
    with pytest.raises(InputError, match="must be a text, not NoneType"):
        kit.context(None)
    for ask in (kit.search, kit.context):
        with pytest.raises(InputError, match=r"the question: U\+D83D at character 0 is half a character"):
            ask("\ud83d pump")


@pytest.mark.parametrize("question", ODD)
def test_any_other_question_gets_a_packet(indexed, question):
    kit, texts = indexed(PUMP, words_of(3_000))
    packet = sound(kit.context(question, budget=200), texts, 200)
    assert packet.items
    assert kit.search(question)
    assert kit.build(AgentCall(question=question, budget=8_000)).tokens <= 8_000


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("水泵的压力是四十二巴。它建于利兹。", "水泵的压力是多少？"),
        ("تعمل المضخة بضغط 42 بار. بنيت في ليدز.", "ما هو ضغط المضخة؟"),
        ("पंप 42 बार पर चलता है। यह लीड्स में बनाया गया था।", "पंप कितने बार पर चलता है?"),
        ("ปั๊มทำงานที่ความดัน 42 บาร์ สร้างขึ้นที่ลีดส์", "ความดันปั๊มคือเท่าไร"),
        ("Die Kreiselpumpendruckregelung steht auf 42 bar.", "Worauf steht die Kreiselpumpendruckregelung?"),
        ("🚰 42 bar. 👩‍🔧 Anna checks the valve 📅.", "👩‍🔧 Anna 📅?"),
    ],
)
def test_a_question_in_any_language_finds_its_text(indexed, text, question):
    kit, texts = indexed(words_of(4_000), text, words_of(4_000, seed=2))
    packet = sound(kit.context(question, budget=120), texts, 120)
    assert packet.citations[0].document_id == "d001"
    assert kit.search(question)[0].document_id == "d001"


# ------------------------------------------------------------------------------------------------------------ long questions


def pasted(n, seed=5):
    """A text of n words of which nearly all are different."""
    drawn = random.Random(seed)
    letters = "abcdefghij"
    return " ".join("".join(drawn.choice(letters) for _ in range(6)) + ("." if i % 12 == 11 else "") for i in range(n))


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_question_beside_50_000_tokens_of_pasted_text_is_found(indexed, place):
    embedder = Recording()
    kit, texts = indexed(*(words_of(1_500, seed=n) for n in range(20)), PUMP, embedder=embedder)
    long, asked = pasted(16_000), "At what pressure does the pump in hall nine run?"
    question = f"{asked} {long}" if place == "before" else f"{long} {asked}"
    assert COUNTER.count(question) > 50_000
    packet = sound(kit.context(question, budget=300), texts, 300)
    assert packet.citations[0].document_id == "d020"
    assert packet.receipt.searched.endswith(" characters and 1 of its questions by itself")
    assert max(map(len, embedder.asked)) <= READ + 100
    assert [i.text for i in kit.context(question, budget=300).items] == [i.text for i in packet.items]


def test_a_pasted_text_is_searched_with_its_most_telling_terms(indexed):
    kit, texts = indexed(*(words_of(1_500, seed=n) for n in range(20)), "Zylonite pipes are kept in the cellar.")
    question = " ".join(f"{w}{i}" for w in WORDS for i in range(40)) + " zylonite " + words_of(6_000)
    packet = sound(kit.context(question, budget=300), texts, 300)
    assert packet.receipt.searched.startswith(f"the {len(set(terms(words_of(6_000)))) + 1} most telling of its ")
    used = find(kit.catalog, kit._reader().vectors, kit.embedder, question, kit.catalog.visible(), 5).terms
    assert "zylonit" in used
    assert "valve7" not in used  # it is in no document


def test_a_question_of_usual_length_is_searched_whole(indexed):
    kit, _ = indexed(PUMP)
    assert kit.context("At what pressure does the pump run?").receipt.searched == ""


def test_the_terms_that_tell_most_are_rare_and_repeated():
    found = [f"common{i}" for i in range(TERMS)] + ["rare", "unknown", "rarest"]
    frequency = {**dict.fromkeys(found, 50), "rare": 3, "rarest": 1, "unknown": 0}
    kept = telling(" ".join(found), found, frequency, 100)
    assert len(kept) == TERMS
    assert kept[-2:] == ["rare", "rarest"]
    assert telling("a b", ["a", "b"], {}, 0) == ["a", "b"]


def test_a_spread_holds_the_start_and_the_end():
    text = pasted(20_000)
    kept = spread(text)
    assert len(kept) <= READ + 100
    assert kept.split()[0] == text.split()[0]
    assert kept.split()[-1] == text.split()[-1]
    assert set(kept.split()) <= set(text.split())
    assert len(spread("x" * 100_000)) <= READ + 100
    assert spread(PUMP) == PUMP


def test_of_a_long_text_the_questions_at_its_ends_are_asked():
    long = "See http://x.org/y?a=1 for more. " * 100
    assert len(long) > LONG
    asked = [f"What does pump {n} weigh?" for n in range(6)]
    found = parts(f"{asked[0]} {asked[1]} {long} {asked[2]} {long} {asked[3]} {asked[4]} {asked[5]}")
    assert found == [asked[0], asked[1], asked[4], asked[5]]
    assert len(found) <= MOST
    assert parts(long) == [long]
    assert parts("????? " * 1_000) == ["????? " * 1_000]


def test_a_long_question_takes_linear_time(indexed):
    kit, _ = indexed(*(words_of(1_500, seed=n) for n in range(5)))
    for make in (pasted, lambda n: "What? " * n, lambda n: "x" * 6 * n, lambda n: "pump " * n):
        assert linear(lambda q: kit.search(q, k=3), make(3_000), make(12_000))


def test_a_memory_is_asked_with_a_long_question(tmp_path):
    embedder = Recording()
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        kit.memory.remember("Ann's office is in Leeds.", scope={"user": "ann"})
        assert kit.memory.recall(f"{pasted(16_000)} Where is Ann's office?", scope={"user": "ann"})
    assert max(map(len, embedder.asked)) <= READ + 100


def test_a_call_that_cannot_hold_its_question_says_so(indexed):
    kit, _ = indexed(PUMP)
    with pytest.raises(BudgetExceeded, match="'question' needs"):
        kit.build(AgentCall(question=pasted(16_000), budget=2_000))


# ------------------------------------------------------------------------------------------------------------------- corpora

TABLE = "| name | pressure |\n|---|---|\n" + "\n".join(f"| pump {i} | {3 * i} bar |" for i in range(60))
CODE = "```python\n" + "def f(x):\n    return x + 1\n\nclass Pump:\n    def pressure(self):\n        return 42\n" * 30 + "```"
CORPORA = {
    "one sentence": ["The pump runs at 42 bar."],
    "one word": ["pump"],
    "identical": [PUMP] * 30,
    "tables": [TABLE, TABLE.replace("pump", "valve")],
    "a wide table": ["|" + "|".join(f"c{i}" for i in range(900)) + "|\n|" + "---|" * 900 + "\n|" + "pump|" * 900],
    "code": [CODE],
    "minified code": ["".join(f"function f{i}(a){{return a*{i}}};" for i in range(900))],
    "headings": ["# Pump\n\n## Pressure\n\n# Leeds\n\n## Berlin", "# Pump\n## Pressure\n# Leeds"],
    "short lines": ["pump\n\n" * 400],
    "one line of words": [words_of(60_000)],
    "one line without marks": [words_of(60_000).replace(".", "")],
    "one line without spaces": ["".join(random.Random(2).choice("abcdefgh") for _ in range(60_000))],
    "base64": [base64.b64encode(random.Random(3).randbytes(30_000)).decode()],
    "chinese without marks": ["水泵的压力" * 3_000],
    "emoji": ["👩‍🔧🚰" * 2_000],
    "dots": ["." * 30_000 + " pump"],
    "a long turn": ["Ann: " + "a" * 40_000 + "\nBob: hi\nAnn: ok"],
    "letters and controls": ["pump\x00\x01\x02 valve\x1f"],
}  # fmt: skip


@pytest.mark.parametrize("name", CORPORA)
def test_any_corpus_gives_packets_of_exact_text(indexed, name):
    kit, texts = indexed(*CORPORA[name])
    for question in ("pressure of the pump", "水泵的压力", "x"):
        for budget in (60, 300):
            packet = sound(kit.context(question, budget=budget), texts, budget)
            assert packet.items
            assert all(hit.text == texts[hit.document_id][hit.span.start : hit.span.end] for hit in kit.search(question))


@pytest.mark.parametrize(
    "text", ["", "  \n\n\t ", "... !!! ??? --- ,,,", "\x00\x01\x7f" * 200, "\u200b\u200c\ufeff" * 200, "|---|\n" * 90]
)
def test_a_corpus_that_says_nothing_gives_an_empty_packet(indexed, text):
    kit, _ = indexed(text)
    packet = kit.context("pressure of the pump")
    assert (packet.text, packet.tokens, packet.items, packet.confidence) == ("", 0, (), 0.0)


def test_identical_documents_are_delivered_once(indexed):
    kit, _ = indexed(*CORPORA["identical"])
    packet = kit.context("At what pressure does the pump run?")
    assert len(packet.items) == len(packet.citations) == 1
    assert len(packet.citations[0].same_text) == 29
    assert packet.text.count("42 bar") == 1


def test_a_row_comes_with_the_header_of_its_table(indexed):
    packet = indexed(*CORPORA["tables"])[0].context("pressure of valve 17", budget=60)
    assert "| valve 17 | 51 bar |" in packet.text
    assert "| name | pressure |\n|---|---|" in packet.text


def test_repeated_lines_of_code_are_delivered_once(indexed):
    packet = indexed(CODE)[0].context("pressure of the pump", budget=300)
    runs = [item.text.strip() for item in packet.items]
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize("text", CORPORA["headings"])
def test_a_corpus_of_headings_is_evidence_itself(indexed, text):
    packet = indexed(text)[0].context("pump pressure", budget=100)
    assert "Pump" in packet.text
    assert "Pressure" in packet.text


def test_a_heading_is_still_no_evidence_where_something_stands_below_it(indexed):
    packet = indexed("# Pump\n\nIt runs at 42 bar.\n\n# Leeds\n\nRain on most days of the year.")[0].context(
        "rain in Leeds", budget=20
    )
    assert "Rain" in packet.text
    assert "# Pump" not in packet.text.split("Rain")[0]


@pytest.mark.parametrize(
    "text", ["水泵的压力是四十二巴而且它建于利兹安娜每天检查阀门" * 3, "ปั๊มทำงานที่ความดันสร้างขึ้นที่ลีดส์" * 3, "QUJD" * 140]
)
def test_a_text_without_spaces_is_cut_to_a_small_budget(indexed, text):
    kit, texts = indexed(text)
    packet = sound(kit.context("水泵 ปั๊ม QUJD", budget=45), texts, 45)
    [item] = packet.items
    assert packet.tokens > 20
    assert not unicodedata.combining(text[item.end]) if item.end < len(text) else True


# ------------------------------------------------------------------------------------------------------------- linear in size


def chunker():
    return StructureChunker(TinyEmbedder().count)


SHAPES = {
    "words": lambda n: "word " * (n // 5),
    "no spaces": lambda n: "abcdefgh" * (n // 8),
    "dots": lambda n: "." * n,
    "marks": lambda n: "a.b-c_" * (n // 6),
    "dots and spaces": lambda n: ". " * (n // 2),
    "line ends": lambda n: "\n" * n,
    "short lines": lambda n: "word\n" * (n // 5),
    "paragraphs": lambda n: "word\n\n" * (n // 6),
    "headings": lambda n: "# word\n" * (n // 7),
    "headings apart": lambda n: "# word\n\n" * (n // 8),
    "a fence that is never closed": lambda n: "```\n" + "x = 1\n\n" * (n // 7),
    "fences": lambda n: "```\nx = 1\n\ny\n```\n\n" * (n // 20),
    "a table's rule": lambda n: "a | b\n" + "|---" * (n // 4) + " " * (n // 4) + "x",
    "a table's wide head": lambda n: "|" + "word |" * (n // 12) + "\n|---|\n" + "| a |\n" * (n // 12),
    "a long heading": lambda n: "# " + "word " * (n // 10) + "\n\n" + "## b\n\nc\n\n" * (n // 20),
    "turns": lambda n: "Ann: word\nBob: hi\n" * (n // 18),
    "bullets": lambda n: "- word\n" * (n // 7),
    "references": lambda n: "x.[1,2,3," * (n // 9),
    "open quotes": lambda n: 'a. "((((' * (n // 8),
    "white space": lambda n: "a" + " " * n + "b",
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_chunking_takes_linear_time(shape):
    make = SHAPES[shape]
    assert linear(lambda text: chunker().chunk(Document("d", text)), make(20_000), make(80_000))


def test_pages_of_a_chunk_are_found_without_reading_all():
    pages = tuple(Span(10 * n, 10 * n + 9) for n in range(1_000))
    document = Document("d", "x" * 10_000, pages=pages)
    for start, end in [(0, 1), (9, 10), (5, 25), (9_985, 10_000), (0, 10_000), (20, 20)]:
        touched = [n for n, page in enumerate(pages, 1) if page.start < end and start < page.end]
        assert document.pages_of(Span(start, end)) == ((touched[0], touched[-1]) if touched else None)


@pytest.mark.parametrize("line", ["words of a log " * 700_000, "Zm9v" * 2_600_000], ids=["words", "no spaces"])
def test_ten_megabytes_on_one_line_are_cut_small_and_exactly(line):
    chunks = chunker().chunk(Document("d", line))
    at = 0
    for chunk in chunks:
        assert not line[at : chunk.start].strip()
        assert chunk.text == line[chunk.start : chunk.end]
        assert len(chunk.text) <= 4_000
        at = chunk.end
    assert not line[at:].strip()
    if " " in line:
        assert all(line[chunk.end - 1] != " " and line[chunk.end : chunk.end + 1] in (" ", "") for chunk in chunks)


class Counted(str):
    """A text that counts the characters that are copied out of it."""

    copied = 0

    def __getitem__(self, place):
        found = super().__getitem__(place)
        self.copied += len(found)
        return found


@pytest.mark.parametrize(
    "line", ["words of a log " * 20_000, "Zm9v" * 75_000, "One. Two! " * 30_000], ids=["words", "none", "marks"]
)
def test_what_is_left_of_a_long_line_is_not_copied_after_each_piece(line):
    text = Counted(line)
    assert len(sentences(text)) > 400
    assert text.copied < 20 * len(line)


def test_packing_takes_linear_time_in_its_sentences(indexed):
    kit, _ = indexed(words_of(120_000))
    assert linear(lambda budget: kit.context("valve in the hall", budget=budget), 2_000, 8_000)


def test_sentences_end_where_they_did(indexed):
    text = 'Wait... What?! "Yes." It is 3.5... Really? etc. and so on.'
    assert [text[s.start : s.end] for s in sentences(text)] == [
        "Wait...",
        "What?!",
        '"Yes."',
        "It is 3.5...",
        "Really?",
        "etc. and so on.",
    ]
