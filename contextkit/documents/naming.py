"""File names as titles, for documents that state none: "house_Oslo.txt" gives "house Oslo".

Here is no look at any content; `parsing` asks for a name's words where a parser found no title.
"""

from __future__ import annotations

import re

from contextkit.types import Blob

_LONGEST = 120
_ENDING = re.compile(r"(?<=.)\.[^\W_][\w+-]{0,9}$")
_GAPS = re.compile(r"(?:\s|_)+")
# Between words, and after the date or the number that a name begins with; not in "K-40", "v1.2" or "2026-02-12".
_JOINTS = re.compile(r"(?<=[^\W\d_]{2})[-.+]+(?=[^\W\d_]{2})|(?<=\d)[-.]+(?=[^\W\d_]{3})|(?<=[^\W\d_]{3})[-.]+(?=\d{4})")
_WORD = re.compile(r"[^\W\d_][-_]\d+|[^\W_]+")  # "K-40" is a word too
_HEXADECIMAL = re.compile(r"[0-9a-f]{8,}|[0-9a-f]{4}", re.IGNORECASE)
_MACHINE_MADE = 16
"""Letters and digits in one run from which on a mix of both is no word of anybody's."""
_EVERYWHERE = frozenset(
    {"attachment", "content", "copy", "data", "default", "doc", "document", "download", "file", "image", "img", "index", "init",
     "main", "message", "new", "noname", "output", "page", "readme", "scan", "scanned", "temp", "text", "tmp", "unnamed",
     "untitled", "version"}
)  # fmt: skip


def title_from_name(blob: Blob, *, ending: bool = False) -> str:
    """What a blob's file name says of its content, as a title: its words, without path and ending; or "".

    Underscores, and hyphens and dots between words, become spaces; numbers, dates and identifiers such as "NB-1042" stay as they
    are. At most 120 characters, in whole words where there are any. A name that says nothing gives "": no letters, digests and
    other machine-made keys, "index", "untitled", "document 3".

    Args:
        blob: only its `name` is looked at: where bytes lie in a passing file, that file's name says nothing.
        ending: keeps the name as it is, its ending included, as is usual where code and settings are spoken of.
    """
    name = re.split(r"[/\\]", blob.name.strip())[-1]
    stem = _ENDING.sub("", name)
    if not _says_something(stem):
        return ""
    words = name if ending else _GAPS.sub(" ", _JOINTS.sub(" ", stem)).strip()
    return words if len(words) <= _LONGEST else words[: _LONGEST + 1].rpartition(" ")[0] or words[:_LONGEST]


def _says_something(stem: str) -> bool:
    """Whether a name without its ending holds a word that is not in everybody's names and that somebody wrote."""
    return any(_is_word(word.lower()) for word in _WORD.findall(stem))


def _is_word(word: str) -> bool:
    digits = sum(c.isdigit() for c in word)
    if digits == len(word) or word.rstrip("0123456789") in _EVERYWHERE or (len(word) == 1 and word.isascii()):
        return False
    return not digits or not (_HEXADECIMAL.fullmatch(word) or len(word) >= _MACHINE_MADE)
