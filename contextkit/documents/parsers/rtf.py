"""RTF: its text by paragraphs, without fonts, pictures and hidden text; title, author and subject from its info group."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from contextkit.documents.building import Builder, Source, clean, one_line
from contextkit.errors import ParseError
from contextkit.types import Document

_TOKEN = re.compile(
    rb"\\(?P<word>[a-z]{1,32})(?P<number>-?\d{1,10})? ?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<symbol>[^a-z])"
    rb"|(?P<brace>[{}])|[\r\n]+|(?P<plain>[^\\{}\r\n]+)",
    re.DOTALL,
)
_DROPPED_WORDS = (
    "fonttbl colortbl stylesheet listtable listoverridetable pict object header footer headerl headerr headerf footerl footerr "
    "footerf themedata colorschememapping datastore latentstyles rsidtbl generator xmlnstbl filetbl revtbl nonshppict shppict"
)
_DROPPED = frozenset(_DROPPED_WORDS.split())
_INFO = frozenset({"title", "author", "subject", "keywords"})
_CHARS = {
    **dict.fromkeys(("par", "sect", "page", "row"), "\0"),
    **dict.fromkeys(("tab", "emspace", "enspace"), " "),
    "line": "\n",
    "emdash": "—",
    "endash": "–",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "cell": " | ",
}
_SYMBOLS = {"~": " ", "_": "-", "\n": "\0", "\r": "\0", "\\": "\\", "{": "{", "}": "}"}
_DEPTH = 2_000


def read(source: Source) -> Document:
    """The document. Raises ParseError where the groups nest beyond reason."""
    reader = _Reader(source.blob.name or source.blob.id)
    for match in _TOKEN.finditer(source.data):
        reader.token(match)
    info = {name: one_line(_paired(value)) for name, value in reader.info.items()}
    builder = Builder(title=info.pop("title", ""))
    builder.metadata.update(info)
    for paragraph in _paired("".join(reader.out)).split("\0"):
        cells = [cell.strip() for cell in paragraph.split(" | ")]
        builder.paragraph(clean(" | ".join(cells[:-1] if not cells[-1] else cells)))
    return builder.build(source)


def _paired(text: str) -> str:
    """Surrogate pairs joined, single ones replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(slots=True)
class _Group:
    """What holds until a group ends: whether its text is shown, to which fact it belongs, how Unicode falls back."""

    dropped: bool = False
    hidden: bool = False
    info: str = ""
    fallback: int = 1


@dataclass(slots=True)
class _Reader:
    """Reads token by token; paragraphs end with U+0000."""

    name: str
    out: list[str] = field(default_factory=list)
    info: dict[str, str] = field(default_factory=dict)
    stack: list[_Group] = field(default_factory=list)
    group: _Group = field(default_factory=_Group)
    codepage: str = "cp1252"
    starred: bool = False
    skip: int = 0

    def token(self, match: re.Match[bytes]) -> None:
        kind = match.lastgroup if match.lastgroup != "number" else "word"
        if kind == "symbol" and match["symbol"] == b"*":
            self.starred = True
            return
        if kind == "brace":
            self.brace(opening=match["brace"] == b"{")
        elif kind == "word":
            self.word(match["word"].decode("ascii"), int(match["number"]) if match["number"] else None)
        elif kind is not None:
            self.emit(self.decoded(kind, match[kind]))
        self.starred = False

    def brace(self, *, opening: bool) -> None:
        if opening:
            self.stack.append(self.group)
            if len(self.stack) > _DEPTH:
                raise ParseError(f"{self.name!r} nests more than {_DEPTH:,} RTF groups; it is refused")
            now = self.group
            self.group = _Group(now.dropped, now.hidden, now.info, now.fallback)
        else:
            self.group = self.stack.pop() if self.stack else _Group()

    def word(self, word: str, number: int | None) -> None:
        group = self.group
        if word == "u" and number is not None:
            self.emit(chr(number % 65536))
            self.skip = group.fallback
        elif word in _CHARS:
            self.emit(_CHARS[word])
        elif word in _INFO and group.dropped:
            group.info = word
        elif word == "info" or self.starred or word in _DROPPED:
            group.dropped = True
        elif word in ("v", "plain"):
            group.hidden = word == "v" and number != 0
        elif word == "uc" and number is not None:
            group.fallback = max(0, min(number, 8))
        elif word == "ansicpg" and number:
            self.codepage = f"cp{number}"

    def decoded(self, kind: str, value: bytes) -> str:
        """The text of bytes, less what only stands in for a Unicode character before."""
        if kind == "symbol":
            return _SYMBOLS.get(value.decode("latin-1"), "")
        raw = bytes([int(value, 16)]) if kind == "byte" else value
        dropped = min(self.skip, len(raw))
        self.skip -= dropped
        try:
            return raw[dropped:].decode(self.codepage, "replace")
        except LookupError:
            return raw[dropped:].decode("cp1252", "replace")

    def emit(self, text: str) -> None:
        group = self.group
        if group.info:
            self.info[group.info] = self.info.get(group.info, "") + text
        elif not (group.dropped or group.hidden):
            self.out.append(text)
