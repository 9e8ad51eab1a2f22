"""Sentence boundaries with exact offsets, by rules, for any language that marks them with punctuation.

Here lives the splitting of running text. Lines of tables, lists, code and dialogues are units by structure: `structure.py`.
"""

from __future__ import annotations

import re

from contextkit.types import Span

# Marks that end a sentence by themselves, white space after them or not: of Chinese and Japanese, Hindi and its kin, Arabic,
# Urdu, Armenian, Ethiopic, Burmese, Khmer, Tibetan, Santali, and the doubled ones of any script.
_OWN_END = "。！？｡।॥؟۔։።፧፨။។៕།᱾‼⁇⁈⁉‽"
# A mark that may end a sentence, closing quotes and brackets after it, then white space. A run of marks is tried once, from its
# start, and never given back: a line of a million dots takes no longer than one of letters.
_END = re.compile(
    r"(?:(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?:\s*\[\d+(?:[,\-– ]+\d+)*\])?(?=\s)"
    rf"|[{_OWN_END}]++[\"'”’»)\]」』）]*+|\n[ \t]*\n)"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“])(?:[A-Za-z]|(?i:mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|e\.g|i\.e|al|fig|figs|eq|eqs|ref|refs|sec|no|nos|vol|pp|p|ed|eds|inc|ltd|co|corp|dept|est"
    r"|approx|resp|cf|viz|ca|gen|col|sgt|capt|lt|rev|hon|gov|sen|rep|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|mt|ave|blvd|rd|u\.s|u\.k|u\.n|a\.m|p\.m"
    r"|z\.b|bzw|usw|nr|str|tel|abs|art|ggf|inkl|d\.h|u\.a|sra|srta|ud|uds|pág|núm|av|ph\.d|b\.a|m\.a|d\.c|e\.u"
    r"|abb|vgl|sog|evtl|bspw|mio|mrd|hrsg|zzgl))\.$"
)
_LETTERS_APART = re.compile(r"(?:^|[\s(])(?:[a-z]\.){1,5}[a-z]\.$")  # "q.d.", "b.i.d."
_LOWER_NEXT = re.compile(r"\s*[\"'“‘«(\[]*[a-zß-öø-ÿа-яё,;:%]")
_JOINED_NEXT = re.compile(r"\s*[,;:%]")
_ALWAYS_END = frozenset("!?…" + _OWN_END)
# Abbreviations that do end a sentence when a capital follows ("at 5 p.m. The office ...").
_MAY_END = re.compile(r"(?i:etc|a\.m|p\.m|inc|ltd|co|corp|al|ph\.d|usw)\.$")
_NUMBERED = re.compile(r"(?:^|\n)\s*\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)]$")
# "am 3. Mai", "im 2. Quartal", "den 4. juni": a number with a full stop is an ordinal after an article or a preposition of German
# and the Scandinavian languages, and before a month's name.
_ORDINAL = re.compile(
    r"(?i:(?:^|[\s(])(?:am|im|vom|zum|beim|der|die|das|den|dem|des|seit|bis|ab|jede[mnrs]?|ihre[mnrs]?|seine[mnrs]?|eine[mnrs]?|det|dei)"
    r"\s\d{1,2}\.$)"
)
_DAY = re.compile(r"(?:^|[\s(–-])[0-3]?\d\.$")
_MONTH_NEXT = re.compile(
    r"\s*(?i:jan(?:uar|uari|uary)?|jänner|feb(?:ruar|ruari)?|märz|mar(?:s|ts)|apr(?:il)?|mai|maj|jun[ei]|jul[ei]|aug(?:ust|usti)?|sept?(?:ember)?"
    r"|o[ck]t(?:ober)?|nov(?:ember)?|de[czs](?:ember)?)\b"
)
# A text without capitalised words: there a small letter says nothing of whether a sentence goes on.
_CAPITALISED = re.compile(r"[A-ZÀ-ÖØ-ÞА-ЯЁ][a-zß-öø-ÿа-яё]")
_SMALL_LETTERS = re.compile(r"[a-zß-öø-ÿа-яё]{2}")


def _ends(text: str, start: int, mark: re.Match[str], *, small: bool) -> bool:
    """Whether a sentence that began at `start` ends with this mark; `small` says that the text has no capitalised words."""
    found = mark.group()
    if found.startswith("\n"):
        return True
    lower = (_JOINED_NEXT if small else _LOWER_NEXT).match(text, mark.end()) is not None
    if any(c in _ALWAYS_END for c in found):
        return not (lower and (found[-1] in "\"'”’»)]" or _is_a_name(text, mark)))
    if lower:
        return False
    head = text[max(start, mark.start() - 12) : mark.start() + 1]
    if mark.start() - start < 8 and _NUMBERED.search(text[start : mark.start() + 1]):
        return False  # "1." at the start of a list item belongs to what follows
    if found == "." and (_ORDINAL.search(head) or (_DAY.search(head) and _MONTH_NEXT.match(text, mark.end()))):
        return False
    if small and _LETTERS_APART.search(head):
        return False
    if _ABBREVIATION.search(head):
        following = text[mark.end() : mark.end() + 40].lstrip()[:2]
        return bool(_MAY_END.search(head)) and following[:1].isupper() and following[1:2].islower() and "et al" not in head
    return True


def _is_a_name(text: str, mark: re.Match[str]) -> bool:
    """Whether a mark before a small letter is spoken of or belongs to a word: "the ? operator", "Yahoo! announced"."""
    found = mark.group()
    return found == "!" or (found == "?" and mark.start() > 0 and text[mark.start() - 1].isspace())


def sentences(text: str, start: int = 0, end: int | None = None, longest: int = 600) -> list[Span]:
    """The spans of the sentences of `text[start:end]`, in order.

    White space at both ends of a sentence is left out; together the spans hold all other characters. A sentence of more than
    `longest` characters is cut at clause marks, else at white space, else hard. White space alone gives [].
    """
    end = len(text) if end is None else end
    out: list[Span] = []
    begin = start
    small = _CAPITALISED.search(text, start, end) is None and _SMALL_LETTERS.search(text, start, end) is not None
    for mark in _END.finditer(text, start, end):
        if mark.end() < end and not _ends(text, begin, mark, small=small):
            continue
        _append(text, begin, mark.end(), longest, out)
        begin = mark.end()
    _append(text, begin, end, longest, out)
    return out


def strip(text: str, start: int, end: int) -> Span | None:
    """The span without white space at its ends; None where nothing is left."""
    while start < end and text[start].isspace():  # no slice: what is left of a long line is looked at after each of its pieces
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return Span(start, end) if start < end else None


def _append(text: str, start: int, end: int, longest: int, out: list[Span]) -> None:
    span = strip(text, start, end)
    while span is not None and len(span) > longest:
        cut = _cut(text, span.start, longest)
        piece = strip(text, span.start, cut)
        if piece is not None:
            out.append(piece)
        span = strip(text, cut, span.end)
    if span is not None:
        out.append(span)


def _cut(text: str, start: int, longest: int) -> int:
    """Where to cut a text that is too long: after the last clause mark, else white space, in the window's second half."""
    half, limit = start + longest // 2, start + longest
    for marks in (";\n", ":,"):
        at = max(text.rfind(mark, half, limit) for mark in marks)
        if at >= half and (at + 1 >= len(text) or text[at + 1].isspace() or text[at].isspace()):
            return at + 1
    at = max(text.rfind(" ", half, limit), text.rfind("\t", half, limit))
    return at + 1 if at >= half else limit
