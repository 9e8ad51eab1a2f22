"""Near duplicates without looking at every record: fingerprints that near texts share, and how near two texts are.

Each text gets a few bands, each a hash over several minimal hashes of its terms. Texts with nine tenths of their terms in common
share a band almost surely; what shares a band is then compared term by term. The work of a look-up does not grow with the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

_BANDS, _ROWS = 4, 4
_PRIME = (1 << 61) - 1
_SIGNED = 1 << 63


@lru_cache(maxsize=100_000)
def _hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "replace"), digest_size=7).digest(), "little")


_TURNS = [
    (
        int.from_bytes(hashlib.sha256(b"a%d" % i).digest()[:7], "little") | 1,
        int.from_bytes(hashlib.sha256(b"b%d" % i).digest()[:7], "little"),
    )
    for i in range(_BANDS * _ROWS)
]


def bands(owner: str, terms: Collection[str]) -> list[int]:
    """The fingerprints of a text with these terms, of one owner: signed 64-bit numbers. No terms give none."""
    hashes = [_hash(t) for t in set(terms)]
    if not hashes:
        return []
    least = [min((a * h + b) % _PRIME for h in hashes) for a, b in _TURNS]
    out = []
    for band in range(_BANDS):
        body = f"{owner}\0{band}\0{least[band * _ROWS : (band + 1) * _ROWS]}".encode()
        out.append(int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "little") - _SIGNED)
    return out


def jaccard(first: Iterable[str], second: Iterable[str]) -> float:
    """The share of the terms of two texts that both have, 0 to 1."""
    a, b = set(first), set(second)
    return len(a & b) / len(a | b) if a or b else 1.0


def shingles(words: Sequence[str], length: int = 5) -> set[tuple[str, ...]]:
    """All runs of so many words; of a shorter text the text itself."""
    if len(words) < length:
        return {tuple(words)} if words else set()
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}
