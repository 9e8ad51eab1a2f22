"""Counting tokens the way a model will: exactly where its encoding is public, by a cautious bound where it is not.

Which model has which counter is in `models.py`, the vocabularies are in `vocabulary.py`, messages and tools in `framing.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.errors import InputError
from contextkit.tokens.vocabulary import encoding

if TYPE_CHECKING:
    from tiktoken import Encoding
    from tokenizers import Tokenizer

_CACHED_TEXTS = 4096  # per counter
_CACHED_LENGTH = 2048  # characters; with the line above at most some 8 MB of ASCII
_FROM_NUMPY = 1000  # characters from which an array is quicker than a list
_LONGEST_RUN = 50_000  # tiktoken's pattern matcher overflows on a run of white space or letters of about a million
_RUNS = re.compile(rf"\s{{{_LONGEST_RUN}}}|\S{{{_LONGEST_RUN}}}|\s++|\S++")
_ALIKE = bytes(97 if chr(code).isalnum() and code < 128 else code for code in range(256))  # letters and digits: "a"
_SURROGATES = re.compile(r"[\ud800-\udfff]")


class TiktokenCounter:
    """Exact counts of one of tiktoken's encodings; the vocabulary is loaded at the first count.

    The text of special tokens ("<|endoftext|>") counts as the ordinary text that it is. A run of more than 50,000 characters
    without a change between white space and other characters is counted in parts of that length, which may give a few tokens
    more than the whole. Recently counted short texts are remembered.

    Args:
        name: an encoding of `vocabulary.encoding_names()`.
    """

    exact = True

    def __init__(self, name: str) -> None:
        self.name = name
        self._cached = lru_cache(maxsize=_CACHED_TEXTS)(self._count)

    def __repr__(self) -> str:
        return f"TiktokenCounter({self.name!r})"

    def count(self, text: str) -> int:
        """The number of tokens of a text; 0 for ""."""
        if len(text) <= _CACHED_LENGTH:
            return self._cached(text)
        return self._count(text)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """`count` of each text, in order."""
        return [self.count(text) for text in texts]

    def at_least(self, text: str) -> int:
        """A number that `count` is never below, many times quicker: no token has the beginnings of two words in it."""
        return text.encode("utf-8", "surrogatepass").translate(_ALIKE).count(b" a")

    def _count(self, text: str) -> int:
        found = encoding(self.name)
        if len(text) < _FROM_NUMPY:
            return len(found.encode_ordinary(text))
        if len(text) > _LONGEST_RUN:
            return sum(_length(found, part) for part in _without_long_runs(text))
        return _length(found, text)


class TokenizerCounter:
    """Exact counts of a Hugging Face `tokenizer.json`; special tokens are neither added nor recognised.

    Args:
        path: the file, or a folder that holds it.

    Raises:
        InputError: there is no such file, or it does not load.
    """

    exact = True

    def __init__(self, path: str | Path) -> None:
        given = Path(path).expanduser()
        self._path = given / "tokenizer.json" if given.is_dir() else given
        self.name = f"{self._path.parent.name}/{self._path.name}"
        self._tokenizer: Tokenizer = _read_tokenizer(self._path)

    def __repr__(self) -> str:
        return f"TokenizerCounter({str(self._path)!r})"

    def count(self, text: str) -> int:
        """The number of tokens of a text; 0 for ""."""
        return self.count_many([text])[0]

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """`count` of each text, in order."""
        sound = [_SURROGATES.sub("\ufffd", text) for text in texts]  # the library refuses half characters
        return [len(found) for found in self._tokenizer.encode_batch_fast(sound, add_special_tokens=False)]


class BoundCounter:
    """An upper bound for a model whose encoding is not public or not at hand: `exact` is False, and it says so in its name.

    The bound of a text is `factor` times its tokens in o200k_base plus one for every character beyond ASCII, but never more
    than one token a byte of UTF-8, which no byte-level encoding exceeds. The reasoning:

    * For English prose, other vocabularies of 32,000 to 256,000 tokens give 0.95 to 1.3 times the tokens of o200k_base; for
      code, tables and numbers up to 1.6 times, because o200k_base joins digits by threes and runs of spaces. The factor of each
      family lies above what is publicly reported for it.
    * o200k_base is unusually dense beyond Latin script (two to four characters a token in most languages), where others are
      near one a character; a factor cannot cover that, the added character does.

    So it tends to be 10 to 50 % too high. Use an exact counter where the tokenizer is at hand: a path to its `tokenizer.json`.

    Args:
        family: what the bound is for, for the name.
        factor: tokens per token of o200k_base, at least 1.
    """

    exact = False

    def __init__(self, family: str, factor: float) -> None:
        if not (math.isfinite(factor) and factor >= 1):
            raise InputError(f"a bound's factor must be at least 1, not {factor}")
        self.name = f"{family}-bound(o200k_base*{factor:g})"
        self._factor = factor
        self._base = TiktokenCounter("o200k_base")

    def __repr__(self) -> str:
        return f"BoundCounter({self.name!r})"

    def count(self, text: str) -> int:
        """An upper bound of the number of tokens of a text; 0 for ""."""
        size = len(text.encode("utf-8", "surrogatepass"))
        if not size:
            return 0
        beyond = 0 if size == len(text) else sum(1 for character in text if character > "\x7f")
        # one more than the bytes: some tokenizers put a space before the first word
        return min(math.ceil(self._factor * self._base.count(text)) + beyond, size + 1)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """`count` of each text, in order."""
        return [self.count(text) for text in texts]


def _length(found: Encoding, text: str) -> int:
    """Tokens of a long text; into an array, which is quicker than the list of numbers that nobody looks at."""
    try:
        return int(found.encode_to_numpy(text, disallowed_special=()).size)
    except UnicodeEncodeError:  # half characters: counted as tiktoken's own functions do
        return len(found.encode_ordinary(text))


def _without_long_runs(text: str) -> Iterator[str]:
    """The text in order, cut inside runs of more than `_LONGEST_RUN` characters and nowhere else."""
    start = 0
    for run in _RUNS.finditer(text):
        if run.end() - run.start() == _LONGEST_RUN and run.end() < len(text):
            yield text[start : run.end()]
            start = run.end()
    yield text[start:]


def _read_tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise InputError(f"no tokenizer file {str(path)!r}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{str(path)!r} is not a Hugging Face tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
