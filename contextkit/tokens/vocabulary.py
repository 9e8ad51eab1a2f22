"""tiktoken's encodings from the package's own data: nothing is downloaded, unpacked to disk, or set in the environment.

The ranks of two encodings lie compressed in `data/` (see ORIGIN.md there). They are checked by digest, read into memory when
first used, and handed to `tiktoken.Encoding`; this takes less time than reading tiktoken's own text files from a cache folder.
Counting is in `counters.py`.
"""

from __future__ import annotations

import hashlib
import threading
from importlib import resources
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from contextkit.errors import InputError

if TYPE_CHECKING:
    from tiktoken import Encoding


class _Source(NamedTuple):
    """What makes an encoding besides its ranks; the same values as in `tiktoken_ext.openai_public`."""

    tokens: int
    digest: str
    pattern: str
    special: dict[str, int]


_CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SOURCES = {
    "cl100k_base": _Source(
        tokens=100_256,
        digest="18288f996f452d44e0e65996176591a4b712a3eb1b42afd6f0511e735c099480",
        pattern=_CL100K,
        special={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": _Source(
        tokens=199_998,
        digest="440741350e7cfa1c0f4869ce742d1b043550adbda5187adcac9e787edac6fba9",
        pattern=_O200K,
        special={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}
_loaded: dict[str, Encoding] = {}
_loading = threading.Lock()


def encoding_names() -> tuple[str, ...]:
    """The encodings that the package carries, sorted."""
    return tuple(sorted(_SOURCES))


def encoding(name: str) -> Encoding:
    """The encoding of that name, loaded once a process; equal to `tiktoken.get_encoding(name)`. Safe in threads.

    Raises:
        InputError: the package does not carry it, or its file is damaged.
    """
    found = _loaded.get(name)
    if found is None:
        with _loading:
            found = _loaded.get(name) or _loaded.setdefault(name, _load(name))
    return found


def ranks(name: str) -> dict[bytes, int]:
    """The rank of every token of an encoding.

    Raises:
        InputError: the package does not carry it, or its file is damaged.
    """
    import zstandard

    source = _SOURCES.get(name)
    if source is None:
        raise InputError(f"no encoding {name!r}: the package carries {', '.join(encoding_names())}")
    packed = (resources.files("contextkit.tokens") / "data" / f"{name}.zst").read_bytes()
    try:
        plain = zstandard.decompress(packed)
    except zstandard.ZstdError as error:
        raise InputError(f"the vocabulary {name!r} of the package is damaged ({error}): install contextkit again") from error
    found = hashlib.sha256(plain).hexdigest()
    if found != source.digest:
        raise InputError(
            f"the vocabulary {name!r} of the package is damaged (SHA-256 is {found}, must be {source.digest}): "
            "install contextkit again"
        )
    ends = accumulate(plain[: source.tokens], initial=source.tokens)
    return dict(zip((plain[start:end] for start, end in pairwise(ends)), range(source.tokens), strict=True))


def _load(name: str) -> Encoding:
    import tiktoken

    mergeable = ranks(name)
    source = _SOURCES[name]
    return tiktoken.Encoding(name, pat_str=source.pattern, mergeable_ranks=mergeable, special_tokens=source.special)
