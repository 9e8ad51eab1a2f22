"""Texts to token ids, each text once: what the chunker has counted is not tokenised again when its chunk is embedded.

A tokenizer that splits at white space and punctuation before anything else (BERT's does) gives a text the pieces of its
sentences, one after the other. So the pieces that `count` found are kept until the chunk with these sentences comes. Any other
tokenizer, and any chunk whose parts are not there any more, is tokenised as a whole. Counting imports neither numpy nor torch.

What Markdown writes for the typesetter alone is not read: the address behind a link's text and the brackets around that text, the
marks of headings, code, emphasis and boxes, closing tags, the path of a file to be put in. It can be a third of a page's pieces,
and says nothing that the words do not. It stays in the chunk's text, where it is shown and found.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from contextkit.errors import EmbedderError
from contextkit.types import Chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from contextkit.embedding.folder import ModelFolder

_SURROGATES = re.compile("[\ud800-\udfff]")
_PARTING = re.compile(r"[ \t\r\n]")  # other white space may be a control character, which BERT's tokenizer drops
# Each begins with a letter that is no pattern, and so is found as fast as that letter; none looks farther than a few hundred.
_UNREAD = re.compile(
    r"""\](?<!\[\])\([^\s()/#]*+[/#][^\s()]*+(?:\)|(?=\s))  # "](there/page#part)" of "[here](there/page#part)"
    |\[(?=[^\[\]\n]{1,200}\]\([^\s()/#]{0,200}+[/#][^\s()]{0,800}+[)\s])  # and its "["
    |`(?<!``)(?!`) | ```+ | ~~~+  # of code; two are a quotation mark in some texts
    |\*(?<![\w*]\*)\*\*?(?=[^\s*]) | \*(?<=[^\s*]\*)\*\*?(?![\w*])  # around strong words, not the one in 2**8
    |\#(?<=^\#)\#{0,5}(?=\s) | /(?<=^/)//+ | :(?<=^:)::+  # of headings and boxes
    |</[A-Za-z][\w-]*>
    |\{([*!%])[^{}/\n]{0,80}/[^{}\n]{0,300}?\1\}  # "{!include/this.py!}", as site generators have it
    """,
    re.MULTILINE | re.VERBOSE,
)
_AT_ONCE = 2048  # texts; bounds the memory of what the tokenizer gives
_KEPT = 1 << 20  # pieces kept for their chunks: some 4 MB of text, 30 MB of memory

Inputs: TypeAlias = "tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]]"
"""Token ids of each text, and for each token the number of its sentence within the text, or -1."""


class Pieces:
    """A model's tokenizer, without truncation and padding. Safe in threads.

    Args:
        folder: the model.
        prefix: put before every passage.

    Raises:
        EmbedderError: the tokenizer does not load.
    """

    def __init__(self, folder: ModelFolder, prefix: str) -> None:
        self._tokenizer, self._prefix, self._framed = _load(folder), prefix, not folder.static
        self._additive = self._framed and not prefix and _splits_first(self._tokenizer)
        self._head, self._tail = self._found_frame() if self._framed else (array("i"), array("i"))
        self._kept: dict[str, array[int]] = {}
        self._size = 0
        self._lock = threading.Lock()

    @property
    def frame(self) -> tuple[Sequence[int], Sequence[int]]:
        """The ids that the model puts before and after a text."""
        return self._head, self._tail

    @property
    def vocabulary(self) -> list[str]:
        """All pieces, by id."""
        found = self._tokenizer.get_vocab()
        return sorted(found, key=found.__getitem__)

    @property
    def special(self) -> int:
        """How many ids the model puts around a text."""
        return len(self._head) + len(self._tail)

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of pieces of each text, special ones not included."""
        if len(texts) == 1 and (known := self._kept.get(texts[0])) is not None:  # a header is asked for again and again
            return [len(known)]
        out: list[int] = []
        for part, found in self._tokenised(texts):
            out += map(len, found)
            if self._additive:
                self._keep(part, found)
        return out

    def windows(self, texts: Sequence[str], room: int) -> tuple[list[NDArray[np.int32]], list[int]]:
        """The ids of each text with the special ones, cut into windows of `room` pieces, and of which text each window is."""
        ids: list[NDArray[np.int32]] = []
        owners: list[int] = []
        for number, found in enumerate(each for _, part in self._tokenised(texts) for each in part):
            for start in range(0, max(len(found), 1), room):
                ids.append(_numbers(self._head + found[start : start + room] + self._tail))
                owners.append(number)
        return ids, owners

    def chunks(self, chunks: Sequence[Chunk]) -> Inputs:
        """The ids of each chunk (header, line break and text) with the special ones, and their owners."""
        ids: list[NDArray[np.int32]] = []
        owners: list[NDArray[np.int32]] = []
        for start in range(0, len(chunks), _AT_ONCE):
            part = chunks[start : start + _AT_ONCE]
            joined = [self._joined(chunk) for chunk in part]
            rest = iter(self._whole([chunk for chunk, found in zip(part, joined, strict=True) if found is None]))
            for found in joined:
                own, owner = found or next(rest)
                ids.append(own)
                owners.append(owner)
        return ids, owners

    def _tokenised(self, texts: Sequence[str]) -> Iterator[tuple[Sequence[str], list[array[int]]]]:
        for start in range(0, len(texts), _AT_ONCE):
            part = texts[start : start + _AT_ONCE]
            read = [_read(text) for text in part]
            yield part, [array("i", e.ids) for e in self._tokenizer.encode_batch_fast(read, add_special_tokens=False)]

    def _keep(self, texts: Iterable[str], found: Iterable[array[int]]) -> None:
        with self._lock:
            for text, ids in zip(texts, found, strict=True):
                before = self._kept.pop(text, None)
                self._kept[text] = ids
                self._size += len(ids) + 1 - (0 if before is None else len(before) + 1)
            while self._size > _KEPT:
                self._size -= len(self._kept.pop(next(iter(self._kept)))) + 1

    def _joined(self, chunk: Chunk) -> tuple[NDArray[np.int32], NDArray[np.int32]] | None:
        """Ids and owners put together from what was counted; None where a part is missing or the parts do not add up."""
        if not self._kept or not chunk.sentences or not _apart(chunk):
            return None
        ids, owners = array("i", self._head), array("i", (-1,)) * len(self._head)
        texts = [chunk.header, *(chunk.text[s.start - chunk.start : s.end - chunk.start] for s in chunk.sentences)]
        for number, text in enumerate(texts, -1):
            found = self._kept.get(text)
            if found is None:
                if number >= 0 or text:
                    return None
                continue
            ids += found
            owners += array("i", (number,)) * len(found)
        ids += self._tail
        owners += array("i", (-1,)) * len(self._tail)
        return _numbers(ids), _numbers(owners)

    def _whole(self, chunks: Sequence[Chunk]) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
        import numpy as np

        texts = [self._prefix + _read_whole(chunk) for chunk in chunks]
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=self._framed)
        for chunk, encoding in zip(chunks, encodings, strict=True):
            yield np.array(encoding.ids, np.int32), _owners(chunk, encoding.offsets, self._prefix)

    def _found_frame(self) -> tuple[array[int], array[int]]:
        """The ids that the model puts before and after a text."""
        bare = self._tokenizer.encode("a", add_special_tokens=False).ids
        full = self._tokenizer.encode("a").ids
        at = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
        return array("i", full[:at]), array("i", full[at + len(bare) :])


def _numbers(values: array[int]) -> NDArray[np.int32]:
    import numpy as np

    return np.array(values, np.int32)


def _read(text: str) -> str:
    """What the tokenizer is given, all characters in their places: spaces for what is not read, no half ones, which it refuses.

    Of a line that is nothing else the first character stays: it has its own place in the passage, and so a vector of its own.
    """
    read = _UNREAD.sub(_spaces, text)
    if read.isspace() and not text.isspace():
        at = len(text) - len(text.lstrip())
        read = read[:at] + text[at] + read[at + 1 :]
    return read if read.isascii() else _SURROGATES.sub("\ufffd", read)


def _read_whole(chunk: Chunk) -> str:
    """Header and text as the tokenizer is given them, sentence by sentence, as they are counted."""
    parts = [_read(chunk.header), "\n" if chunk.header else ""]
    end = 0
    for span in chunk.sentences:
        start, stop = span.start - chunk.start, span.end - chunk.start
        parts += [_read(chunk.text[end:start]), _read(chunk.text[start:stop])]
        end = stop
    return "".join([*parts, _read(chunk.text[end:])])


def _spaces(found: re.Match[str]) -> str:
    return " " * (found.end() - found.start())


def _lead(chunk: Chunk) -> str:
    return f"{chunk.header}\n" if chunk.header else ""


def _apart(chunk: Chunk) -> bool:
    """Whether nothing but white space, and some of it, lies between the sentences of a chunk, and no more around them."""
    text, end = chunk.text, 0
    for number, span in enumerate(chunk.sentences):
        start = span.start - chunk.start
        gap = text[end:start]
        if (gap and not gap.isspace()) or (number and not _PARTING.search(gap)):
            return False
        end = span.end - chunk.start
    rest = text[end:]
    return rest.isspace() or not rest


def _owners(chunk: Chunk, offsets: Sequence[tuple[int, int]], prefix: str) -> NDArray[np.int32]:
    """For each token the number of the sentence in which its last character lies, or -1 (header, special tokens).

    The last character, because some tokenizers begin a token with the space before its word.
    """
    import numpy as np

    spans = np.asarray(offsets, np.int64).reshape(-1, 2)
    if not chunk.sentences:
        return np.full(len(spans), -1, np.int32)
    edges = np.array([(span.start, span.end) for span in chunk.sentences], np.int64)
    last = spans[:, 1] - 1 + (chunk.start - len(prefix) - len(_lead(chunk)))
    owner = np.searchsorted(edges[:, 0], last, side="right") - 1
    inside = (owner >= 0) & (last < edges[owner, 1]) & (spans[:, 1] > spans[:, 0])
    return np.where(inside, owner, -1).astype(np.int32)


def _splits_first(tokenizer: Tokenizer) -> bool:
    """Whether a text has the pieces of its parts, wherever white space parts them."""
    return type(tokenizer.pre_tokenizer).__name__ == "BertPreTokenizer" and type(tokenizer.model).__name__ == "WordPiece"


def _load(folder: ModelFolder) -> Tokenizer:
    from tokenizers import Tokenizer

    if not folder.tokenizer.is_file():
        from contextkit.embedding.general import convert_tokenizer

        tokenizer = convert_tokenizer(folder)
    else:
        try:
            tokenizer = Tokenizer.from_file(str(folder.tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise EmbedderError(f"the tokenizer {str(folder.tokenizer)!r} does not load: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
