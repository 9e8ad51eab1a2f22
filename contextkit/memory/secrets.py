"""Secrets in a text: keys, tokens and passwords that must never be remembered; found by form, checksum and entropy.

A small list on purpose: what it names is almost surely a secret. Personal data is another matter.
"""

from __future__ import annotations

import math
import re
from collections import Counter

_FORMS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
        ("OpenAI key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
        ("Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
        ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})"),
        ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
        ("AWS key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        ("Google key", r"\bAIza[A-Za-z0-9_-]{35}"),
        ("Slack token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
        ("Stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
        ("password in an address", r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]{3,}@[^\s/]+"),
    )
)
_NAMED = re.compile(
    r"(?i)\b(?:api[ _-]?key|secret(?:[ _-]?key)?|access[ _-]?token|auth[ _-]?token|token|pass(?:word|phrase|wd)|pin(?: code)?)\b"
    r"""\s*(?:is|are|was|=|:|->)\s*["'`]?([^\s"'`,;]{4,})"""
)
_LONG = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{32,}={0,2}(?![A-Za-z0-9+/_-])")
_CARD = re.compile(r"(?<![\d-])(?:\d[ -]?){13,19}(?![\d-])")
_HEX = re.compile(r"[0-9a-fA-F]+(?:-[0-9a-fA-F]+)*")


def find(text: str) -> str | None:
    """What sort of secret a text holds, as words for people that do not repeat it; None for none found."""
    for name, form in _FORMS:
        if form.search(text):
            return f"a {name}" if name[0] not in "AO" else f"an {name}"
    if any(_like_password(match[1]) for match in _NAMED.finditer(text)):
        return "a password or key"
    if any(_random(match.group()) for match in _LONG.finditer(text)):
        return "a long random string"
    if any(_card(match.group()) for match in _CARD.finditer(text)):
        return "a payment card number"
    return None


def _like_password(value: str) -> bool:
    """Whether a value after "password is" is one: digits or marks beside letters, or digits alone, and no plain word."""
    value = value.rstrip(".!?)")
    kinds = sum(bool(re.search(p, value)) for p in (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z0-9]"))
    return len(value) >= 4 and (value.isdigit() or (kinds >= 2 and bool(re.search(r"\d|[^A-Za-z0-9'’.-]", value))))


def entropy(text: str) -> float:
    """Bits a character, by how often each is in the text. "" gives 0."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _random(value: str) -> bool:
    """Long, of several kinds of characters, and as mixed as chance makes it; digests in hex are no secrets."""
    if _HEX.fullmatch(value) or ("/" in value.strip("/") and value.count("/") > 2):
        return False
    kinds = sum(bool(re.search(p, value)) for p in (r"[a-z]", r"[A-Z]", r"\d"))
    return kinds == 3 and entropy(value) > 4.0


def _card(value: str) -> bool:
    """Whether the digits begin and end as those of a payment card (Luhn's checksum)."""
    digits = [int(c) for c in value if c.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (3, 4, 5, 6) or len(set(digits)) < 4:
        return False
    doubled = [sum(divmod(2 * d, 10)) if i % 2 else d for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0
