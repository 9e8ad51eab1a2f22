"""Which model has which token counter.

Counting itself is in `counters.py`; windows and prices are in `catalogue.py`, which is imported only for names not settled here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.errors import UnknownModel
from contextkit.tokens.counters import BoundCounter, TiktokenCounter, TokenizerCounter
from contextkit.tokens.vocabulary import encoding_names

if TYPE_CHECKING:
    from contextkit.protocols import TokenCounter

DEFAULT_ENCODING = "cl100k_base"

# Names, most specific first, whose encoding is public and carried here (a fine-tuned model has its base model's).
_EXACT: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"(ft:)?(chatgpt-4o|gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|o1|o3|o4)(?![a-z0-9])", "o200k_base"),
        (r"(ft:)?(gpt-4|gpt-3\.5|gpt-35)(?![a-z0-9.])", "cl100k_base"),
        (r"text-embedding-(3|ada-002)(?![a-z0-9])", "cl100k_base"),
        (r"(ft:)?(davinci-002|babbage-002)$", "cl100k_base"),
    )
)
_UNPUBLISHED = "openai-unpublished"
# Families without a public or carried encoding, with the factor of their bound (see BoundCounter).
_BOUNDS: tuple[tuple[re.Pattern[str], str, float], ...] = tuple(
    (re.compile(pattern), family, factor)
    for pattern, family, factor in (
        (r"claude|anthropic", "claude", 1.75),  # reported 1.16 in prose to 1.3 in code; newer ones up to 1.35 times that
        (r"gemini|gemma", "gemini", 1.35),  # 256,000 tokens
        (r"llama-?2|codellama|mistral-7b|mixtral|phi-?3", "small-vocabulary", 1.7),  # 32,000 tokens
        (r"llama|mistral|mixtral|ministral|codestral|devstral|magistral|pixtral", "llama", 1.5),  # 128,000 tokens
        (r"qwen|qwq|deepseek|kimi|glm|grok|minimax|command|nova|phi|jamba|granite|olmo|nemotron", "open", 1.5),
        (r"gpt-|chatgpt|codex|computer-use", _UNPUBLISHED, 1.35),
    )
)
_OTHER_FACTOR = 1.75


def counter_for(model: str | None = None) -> TokenCounter:
    """The token counter of a model; the same object for the same name.

    Args:
        model: a model's name, with or without a provider before it ("openai/gpt-4o"); an encoding ("o200k_base"); the path of a
            Hugging Face `tokenizer.json` or of the folder that holds one; None: the encoding cl100k_base.

    Returns:
        An exact counter for encodings, paths and OpenAI's models; for other known models an upper bound (`exact` is False).

    Raises:
        UnknownModel: no catalogue knows the name; the message offers near names.
        InputError: a tokenizer file that does not load.
    """
    if model is not None and _is_path(model):
        return _file_counter(model, _changed(model))
    return _named_counter(DEFAULT_ENCODING if model is None else model)


@lru_cache(maxsize=8)
def _file_counter(path: str, changed: int) -> TokenCounter:  # noqa: ARG001 - a file that changed is read again
    return TokenizerCounter(path)


def _changed(path: str) -> int:
    try:
        given = Path(path).expanduser()
        return (given / "tokenizer.json" if given.is_dir() else given).stat().st_mtime_ns
    except (OSError, RuntimeError):  # the counter itself says what is wrong with it
        return 0


@lru_cache(maxsize=256)
def _named_counter(name: str) -> TokenCounter:
    if name in encoding_names():
        return TiktokenCounter(name)
    base = base_name(name)
    for pattern, exact in _EXACT:
        if pattern.match(base):
            return TiktokenCounter(exact)
    for pattern, family, factor in _BOUNDS:
        # a name that only looks like OpenAI's is a slip of the pen ("gpt-40") unless the catalogue has it
        if pattern.search(base) and (family != _UNPUBLISHED or _listed(base)):
            return BoundCounter(family, factor)
    if _listed(base):
        return BoundCounter("other", _OTHER_FACTOR)
    raise _unknown(name)


def is_openai(model: str) -> str:
    """The encoding of a model of OpenAI whose chat format is published, or "" for any other."""
    if _is_path(model):
        return ""
    base = base_name(model)
    return next((exact for pattern, exact in _EXACT if pattern.match(base)), "")


def is_claude(base: str) -> bool:
    """Whether a model's own name is one of Anthropic's."""
    return _BOUNDS[0][0].search(base) is not None


def _unknown(name: str) -> UnknownModel:
    from difflib import get_close_matches

    from contextkit.tokens.catalogue import model_names

    near = get_close_matches(base_name(name), [*encoding_names(), *model_names()], n=3, cutoff=0.6)
    offer = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UnknownModel(
        f"unknown model {name!r}: {offer}give a known model, an encoding ({', '.join(encoding_names())}) "
        "or the path of a tokenizer.json"
    )


def _is_path(model: str) -> bool:
    if model.endswith(".json"):
        return True
    try:
        return (Path(model).expanduser() / "tokenizer.json").is_file()
    except (OSError, RuntimeError):  # too long for a file name; "~name" of no user
        return False


def _listed(base: str) -> bool:
    from contextkit.tokens.catalogue import priced

    return priced(base) is not None


def base_name(name: str) -> str:
    """The model's own name: in lower case, without the provider before it or the variant after it ("x/y:free")."""
    base = name.strip().lower().rsplit("/", 1)[-1]
    return base if base.startswith("ft:") else base.split(":", 1)[0]
