"""Text to lexical terms: the one tokenisation that the full-text index, the question and the sentence scores share.

How a word is spelled is evened out in `contextkit.retrieval.spellings`, its stem is found in `contextkit.retrieval.stems`. A
change of any of the three changes every full-text index: raise `TERMS_VERSION`, and the next writer reads all words anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contextkit.retrieval.spellings import GROUPED, INVISIBLE, NAMING, beginnings, evened, pointed, spelled, uneven
from contextkit.retrieval.stems import bare, stem

TERMS_VERSION = "2"

# Accents and vowel signs that are written on the letter before, as one class of a pattern: "é" in two parts, Hindi, Thai ...;
# and what nobody sees or stands for a sign, which belong to a word too. Characters of 16 bits only: others make the class slow
_BLOCKS = ((0x300, 0x1E00), (0x20D0, 0x2100), (0x2CEF, 0x2E00), (0xA66F, 0xAC00), (0xFE20, 0xFE30))
_SIGNS = "".join(c for block in _BLOCKS for c in map(chr, range(*block)) if unicodedata.category(c)[0] == "M")
_SIGNS += "\u3099\u309a" + INVISIBLE + NAMING
_SIGN = re.compile(f"[{_SIGNS}]")


def _patterns(letters: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Finds words, with single marks inside ("NB-1042", "snake_case", "3.14", "it's") kept in one match; finds their parts.

    A number in groups ("1'250") is one part.
    """
    return re.compile(rf"{letters}(?:[_.\-'’:/+]{letters})*"), re.compile(f"{GROUPED.pattern}|{letters}")


_WORD, _PART = _patterns(r"[^\W_]+")
_SIGNED_WORD, _SIGNED_PART = _patterns(rf"(?>[^\W_]++|[{_SIGNS}]++)++")
_CAMEL = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Scripts written without spaces, and Hangul, whose particles and endings are written to the word. Half-width kana are made
# full-width before they are looked at, and letters in parts whole.
_SCRIPTS = {
    "han": "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    "hiragana": "\u3041-\u309f",
    "katakana": "\u30a0-\u30ff\u31f0-\u31ff",
    "hangul": "\uac00-\ud7a3",
    "other": "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff",  # Thai, Lao, Burmese, Khmer
}
_UNSPACED = re.compile("".join(["[", *_SCRIPTS.values(), "\u1100-\u11ff\u3131-\u318e\uff66-\uffdc]"]))
_RUN = re.compile("|".join(f"(?P<{name}>[{letters}]+)" for name, letters in _SCRIPTS.items()))
_PLURAL = re.compile("[A-Z]{2,}s")  # "APIs", "LLMs"
_CLITICS = frozenset({"s", "t", "re", "ve", "ll", "d", "m"})
_HAS_DIGIT = re.compile(r"\d")

# Function words of questions in English; of other languages only the most common, so that they do not drown the rest.
_FUNCTION_WORDS = """
a about above after again against all also am an and any are aren as at be because been before being below between both but by can
could did do does doing don down during each few for from further had has have having he her here hers herself him himself his how
i if in into is isn it its itself just me more most my myself no nor not now of off on once only or other our ours out over own s
same she should so some such t than that the their theirs them themselves then there these they this those through to too under
until up very was we were what when where which while who whom whose why will with would you your yours yourself
der die das den dem des ein eine einer eines und oder ist sind war wie wer wo warum mit von zu im am auf für
el la los las un una unos unas y o es son era de del que en por para con como quien donde
le les une et ou est sont du des dans pour avec qui où
что как где когда кто почему зачем какой какая какие сколько и в на с к по из от до для не это ли
ما من في على متى كيف أين هل إلى عن كم لماذا
क्या कैसे कब कहाँ कौन क्यों कितने है हैं का की के में से को और
어떻게 언제 어디 어디에 어디서 누가 누구 무엇 무엇을 무엇인가요 왜 몇 있나요 하나요 되나요 합니까 입니까 인가요
"""
STOPWORDS = frozenset(_FUNCTION_WORDS.split())

# What asks and binds in Chinese and Japanese: letters and pairs that never carry a question; of Hiragana whole words, which end a
# run of it anywhere, and particles at its ends.
_PARTICLES = frozenset("的了吗嗎呢吧啊呀么麼哪谁誰何")
_PAIRS = "如何 多少 怎样 怎樣 为什 為什 是什 是否 是多 可以 请问 請問 这个 這個 那个 那個 我们 我們 你们 你們 他们 他們"
_FUNCTION_PAIRS = frozenset(_PAIRS.split())
_HIRAGANA = """
ください でしょうか ましたか ませんか ますか ですか ました ません でした ます です てもよい てもいい もよい よい いい
について における によって により として とは には では のは のが のを って ても から まで より など だけ しか ほど
くらい ぐらい どのくらい どのように どんな どの どれ どこ どう なぜ なに いつ だれ する して した される されて できる
できます できません あります ありますか ある いる います いて とき こと もの ため よう なら たら れば ない これ それ あれ
"""
_BINDING = re.compile("|".join(sorted(_HIRAGANA.split(), key=len, reverse=True)))
_AT_ENDS = "はがをにでともへやのか"
_JOSA = re.compile("(?<=..)(?:에서|부터|까지|에게|으로|하고|이나|[은는이가을를의에도만와과로])$")  # particles of Korean

_LONGEST = 32  # characters of a word that is worth remembering
_MARKS = "_.-'’:/+"  # the single marks inside a word

# Kinds of characters, for looking at a text as an array: nothing of a word, lower, upper, digit, a letter beyond ASCII, a mark.
_NONE, _LOWER, _UPPER, _DIGIT, _BEYOND, _MARK = range(6)
_KIND_OF = bytes(
    _LOWER if c.islower() else _UPPER if c.isupper() else _DIGIT if c.isdigit() else _MARK if c in _MARKS else _NONE
    for c in (*map(chr, range(128)), *" " * 128)
)
_KINDS = 6
_INSIDE, _BEGINS = 1, 2


def _role(before: int, own: int, after: int) -> int:
    """What a character is by its own and its neighbours' kinds: _INSIDE a word, and perhaps where a part of it _BEGINS."""
    if own == _MARK:
        return _INSIDE if {before, after}.isdisjoint((_NONE, _MARK)) else 0
    if own == _NONE:
        return 0
    changes = before in (_NONE, _MARK, _BEYOND) or (before == _DIGIT) != (own == _DIGIT)
    hump = own == _UPPER and (before == _LOWER or after == _LOWER)  # of a CamelCase name
    return _INSIDE | _BEGINS if own != _BEYOND and (changes or hump) else _INSIDE


# by _KINDS ** 2 x the kind before + _KINDS x its own + the kind after
_ROLE_OF = bytes(_role(n // 36, n // 6 % 6, n % 6) if n < _KINDS**3 else 0 for n in range(256))


def _words(text: str) -> list[str]:
    text = evened(text)
    return (_WORD if text.isascii() or not _SIGN.search(text) else _SIGNED_WORD).findall(text)


def _parts(match: str) -> list[str]:
    return (_PART if match.isascii() or not _SIGN.search(match) else _SIGNED_PART).findall(match)


def _taken_apart(match: str) -> tuple[str, ...]:
    """The terms of one match: its parts, and the whole too where it is an identifier or a number."""
    if not match.isascii():
        match = spelled(match)
        if _UNSPACED.search(match):
            return tuple(_unspaced(match, asked=False))
    parts = _parts(match)
    out: list[str] = []
    for part in parts:
        out.extend(_of_part(part))
    if len(parts) > 1 and (_HAS_DIGIT.search(match) or "_" in match or "/" not in match):
        if parts[-1].lower() in _CLITICS:
            parts = parts[:-1]
        if len(parts) > 1:
            out.append(_whole(match, parts))
            if number := pointed(match):
                out.append(number)
    return tuple(out)


def _of_part(part: str) -> list[str]:
    """The stem of a part; of a CamelCase name its words too, of a number in groups the groups."""
    if "'" in part:
        groups = part.split("'")
        return [*groups, "".join(groups)]
    out = [stem(part)]
    if part.isascii() and not part.islower() and not part.isupper() and not part[1:].islower():
        if _PLURAL.fullmatch(part):
            return [stem(part[:-1])]
        pieces = [p.lower() for p in _CAMEL.findall(part)]
        if len(pieces) > 1:
            out.extend(stem(p) for p in pieces if len(p) > 1)
    return out


def _whole(match: str, parts: Sequence[str]) -> str:
    """The parts of a match as one term, with "_" between them, but none for a "-" between letters and digits: K-40 is K40."""
    out: list[str] = []
    last = ""
    place = 0
    for part in parts:
        place = match.index(part, place)
        word = bare(part).replace("'", "")
        if out and not (match[place - 1] == "-" and last and word and last[-1].isdigit() != word[0].isdigit()):
            out.append("_")
        out.append(word)
        last = word
        place += len(part)
    return "".join(out)


# At most some 25 MB of usual words and 80 MB of the worst: what is long, or of a script without spaces, hardly comes twice.
_remembered = lru_cache(maxsize=1 << 16)(_taken_apart)


def _expand(match: str) -> tuple[str, ...]:
    """The same as `_taken_apart`, remembered where that pays."""
    if len(match) > _LONGEST or (not match.isascii() and _UNSPACED.search(match)):
        return _taken_apart(match)
    return _remembered(match)


def _unspaced(match: str, *, asked: bool) -> Iterator[str]:
    """The terms of a match with letters of scripts without spaces; of a question (`asked`) those that can carry one.

    Nobody knows the words without a dictionary, so all pairs of neighbouring letters of one script stand for them. A Chinese
    letter may be a word: each is a term too, and of a question where it stands alone ("犬の"). A Hiragana letter alone is none.
    """
    match = unicodedata.normalize("NFKC", match)
    last = 0
    for run in _RUN.finditer(match):
        yield from (term for part in _parts(match[last : run.start()]) for term in _of_part(part))
        last = run.end()
        letters = "".join(c for c in run.group() if c.isalnum())
        pieces = [letters]
        if asked and run.lastgroup == "hiragana":
            pieces = [piece.strip(_AT_ENDS) for piece in _BINDING.split(letters)]
        elif asked and run.lastgroup == "hangul":
            pieces = [_JOSA.sub("", letters)]
        pairs = [piece[i : i + 2] for piece in pieces for i in range(len(piece) - 1)]
        if asked:
            pairs = [p for p in pairs if p not in _FUNCTION_PAIRS and _PARTICLES.isdisjoint(p)]
        if run.lastgroup == "han" and not (asked and len(letters) > 1):
            yield from (c for c in letters if not (asked and c in _PARTICLES))
        elif len(letters) == 1 and run.lastgroup != "hiragana":
            yield letters
        yield from pairs
    yield from (term for part in _parts(match[last:]) for term in _of_part(part))


def terms(text: str) -> list[str]:
    """The terms of a text in order, with repetition: lower-case stems, identifiers also as a whole.

    "NB-1042" gives nb, 1042 and nb1042; "snake_case" its words and snake_case; "HttpClient" httpclient, http and client; "1,250"
    1, 250 and 1250; "C++" cpp, "C#" csharp, ".NET" dotnet. Scripts without spaces, and Hangul, give pairs of letters. Every term
    is made of letters, digits and "_" only. "" gives [].
    """
    words = _words(text)
    usual = max(map(len, words), default=0) <= _LONGEST and (text.isascii() or not _UNSPACED.search(text))
    expand = _remembered if usual else _expand
    return [t for match in words for t in expand(match) if t]


def content_terms(text: str) -> list[str]:
    """The distinct terms of a question in order of appearance, function words left out unless nothing else remains."""
    found: dict[str, None] = {}
    for word in _words(text):
        if word.lower().split("'")[0] not in STOPWORDS:
            if GROUPED.fullmatch(word):  # a text has the groups too, a question is only of the number
                found[_whole(word, [word])] = None
            elif not word.isascii() and _UNSPACED.search(word):
                found.update(dict.fromkeys(_unspaced(spelled(word), asked=True)))
            else:
                found.update(dict.fromkeys(_expand(word)))
    kept = [t for t in found if len(t) > 1 or not t.isascii() or t.isdigit()]
    return kept or list(dict.fromkeys(terms(text)))


class Occurrences(NamedTuple):
    """Where some terms stand in texts, in the order of the text; int64 (n,) each.

    Attributes:
        text: which text.
        term: which term.
        at: character of the text where its word begins.
    """

    text: NDArray[np.int64]
    term: NDArray[np.int64]
    at: NDArray[np.int64]


def occurrences(texts: Sequence[str], wanted: Sequence[str]) -> Occurrences:
    """Where some terms stand in texts, both by their places in what is given.

    The same as looking each of `terms(text)` up in `wanted`, many times faster: only words that begin like one of the terms are
    taken apart. A term that is wanted twice is found at its last place. No texts or no terms give empty arrays.
    """
    joined = "\n".join(("", *texts, "")).replace("’", "'")  # no word reaches over a line's end
    joined, plain, kinds = _evened(joined, *_kinds(joined))
    begin, end = _likely(plain, kinds, wanted)
    words = [joined[a:b] for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
    places = {term: n for n, term in enumerate(wanted)}
    found = {word: [places[term] for term in _expand(word) if term in places] for word in set(words)}
    starts = np.cumsum([1, *(len(text) + 1 for text in texts)], dtype=np.int64)
    times = np.array([len(found[word]) for word in words], np.int64)
    text = np.searchsorted(starts, begin, side="right") - 1
    place = np.array([place for word in words for place in found[word]], np.int64)
    return Occurrences(np.repeat(text, times), place, np.repeat(begin - starts[text], times))


def _evened(text: str, plain: bytes, kinds: NDArray[np.uint8]) -> tuple[str, bytes, NDArray[np.uint8]]:
    """An evened text with its characters and kinds, from those of the text."""
    changes = uneven(text, np.frombuffer(plain, np.uint8))
    if not changes:
        return text, plain, kinds
    pieces: list[str] = []
    last = 0
    letters, kinds = np.frombuffer(plain, np.uint8).copy(), kinds.copy()
    for place, new in changes:
        pieces += [text[last:place], new]
        last = place + len(new)
        letters[place:last], kinds[place:last] = _changed(new)
    return "".join((*pieces, text[last:])), letters.tobytes(), kinds


@lru_cache(maxsize=1024)
def _changed(new: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    plain, kinds = _kinds(new)
    return np.frombuffer(plain, np.uint8), kinds


def _likely(plain: bytes, kinds: NDArray[np.uint8], wanted: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begin and end of the words of a text that may hold a wanted term; the text begins and ends with a line's end.

    Given are its characters and their kinds, by `_kinds`.

    An ASCII term begins where a word, a part of it or a hump of a CamelCase name does, by `_beginnings`. Words with letters
    beyond ASCII are all likely: their terms are without accents.
    """
    around = _KINDS**2 * kinds[:-2] + _KINDS * kinds[1:-1] + kinds[2:]
    role = np.frombuffer(b"\0" + around.tobytes().translate(_ROLE_OF) + b"\0", np.uint8)
    begins = np.flatnonzero(role == _INSIDE | _BEGINS)
    four = np.ndarray((len(plain),), "<u4", plain.lower() + b"\n\n\n", strides=(1,))[begins]  # the first letters as one number
    likely = np.zeros(len(begins), np.bool_)
    starts = {b.encode() for term in wanted for b in _beginnings(term) if b.isascii()}
    for length in {len(start) for start in starts}:
        cut = four & np.uint32((1 << 8 * length) - 1)
        for start in starts:
            if len(start) == length:
                likely |= cut == int.from_bytes(start, "little")
    inside = role > 0
    edges = 1 + np.flatnonzero(inside[1:] != inside[:-1])  # begin, end, begin, end ...
    spots = np.concatenate([begins[likely], np.flatnonzero(kinds == _BEYOND)])
    chosen = np.unique(np.searchsorted(edges[::2], spots, side="right") - 1)
    return edges[::2][chosen], edges[1::2][chosen]


def _kinds(text: str) -> tuple[bytes, NDArray[np.uint8]]:
    """A byte a character, which is the character where it is ASCII; and uint8 their kinds."""
    if text.isascii():
        plain = text.encode()
        return plain, np.frombuffer(plain.translate(_KIND_OF), np.uint8)
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    plain = np.minimum(letters, 128).astype(np.uint8).tobytes()
    beyond = np.flatnonzero(letters > 127)
    distinct, which = np.unique(letters[beyond], return_inverse=True)
    known = [_MARK if c in _MARKS else _BEYOND if c.isalnum() or c in _SIGNS else _NONE for c in map(chr, distinct.tolist())]
    kinds = np.frombuffer(bytearray(plain.translate(_KIND_OF)), np.uint8)
    kinds[beyond] = np.array(known, np.uint8)[which]
    return plain, kinds


def _beginnings(term: str) -> Iterable[str]:
    """What every word or part of a word that gives an ASCII term begins with, at most four letters."""
    first, joint, _ = term.partition("_")
    if joint or _HAS_DIGIT.search(first):
        return beginnings(first)
    # stemming changes the last letter at most ("city": "citi"), but for the likes of "dying": "die"
    start = first[: max(1, min(4, len(first) - 1))]
    return (start, f"{first[0]}yi") if len(first) == 3 and first.endswith("ie") else (start,)
