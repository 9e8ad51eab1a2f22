"""The values of Excel's cells as text: shared strings, numbers as people write them, dates and times by their number format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from contextkit.documents.parsers.ooxml import Package, attribute, child, children, find_all, local, short_number

if TYPE_CHECKING:
    from lxml.etree import _Element

_DATE_IDS = frozenset({*range(14, 18), 22, *range(27, 37), *range(50, 59)})
_TIME_IDS = frozenset({18, 19, 20, 21, 45, 46, 47})
_PERCENT_IDS = frozenset({9, 10})


@dataclass(frozen=True, slots=True)
class Formats:
    """What kind of value a cell style shows: "date", "time", "percent" or "".

    Attributes:
        kinds: by the style's number.
        epoch: the day that day number 0 stands for.
    """

    kinds: tuple[str, ...]
    epoch: datetime

    @classmethod
    def of(cls, package: Package, part: str, workbook: _Element) -> Formats:
        """The formats of a workbook; plain ones where its styles cannot be read."""
        kinds: list[str] = []
        for name in package.related(part, "styles")[:1]:
            root = package.optional(name)
            own = {attribute(f, "numFmtId"): attribute(f, "formatCode") for f in children(child(root, "numFmts"), "numFmt")}
            kinds = [_kind(attribute(x, "numFmtId"), own) for x in children(child(root, "cellXfs"), "xf")]
        mac = attribute(child(workbook, "workbookPr"), "date1904") in ("1", "true")
        return cls(tuple(kinds), datetime(1904, 1, 1) if mac else datetime(1899, 12, 30))  # noqa: DTZ001 sheets know no zones


def _kind(number: str, own: dict[str, str]) -> str:
    code = re.sub(r'"[^"]*"|\[(?!h|m|s)[^\]]*\]|\\.|_.', "", own.get(number, "")).lower()
    if code:
        if "%" in code:
            return "percent"
        if re.search(r"[yd]|mmm", code) and "general" not in code:
            return "date"
        return "time" if re.search(r"[hs]", code) and "general" not in code else ""
    value = int(number) if number.isdigit() else 0
    if value in _DATE_IDS:
        return "date"
    if value in _TIME_IDS:
        return "time"
    return "percent" if value in _PERCENT_IDS else ""


def shared_strings(package: Package, part: str) -> list[str]:
    """The workbook's strings by number, phonetic hints left out."""
    out: list[str] = []
    for name in package.related(part, "sharedStrings")[:1]:
        root = package.optional(name)
        out.extend(rich_text(item) for item in children(root, "si"))
    return out


def rich_text(item: _Element) -> str:
    """The text of a string of one or several runs."""
    return "".join(t.text or "" for t in find_all(item, "t") if local(t.getparent()) != "rPh" or t.getparent() is None)


def value_of(cell: _Element, strings: list[str], formats: Formats) -> str:
    """A cell's text; "" where it is empty or holds an error value."""
    kind = attribute(cell, "t")
    if kind == "inlineStr":
        inline = child(cell, "is")
        return rich_text(inline).strip() if inline is not None else ""
    value = child(cell, "v")
    text = (value.text or "").strip() if value is not None else ""
    if kind == "s":
        return strings[int(text)].strip() if text.isdigit() and int(text) < len(strings) else ""
    if kind == "b":
        return "TRUE" if text == "1" else "FALSE"
    if kind in ("str", "d"):
        return text
    return "" if kind == "e" or not text else _number(text, attribute(cell, "s"), formats)


def _number(text: str, style: str, formats: Formats) -> str:
    kind = formats.kinds[int(style)] if style.isdigit() and int(style) < len(formats.kinds) else ""
    if not kind:
        return short_number(text)
    try:
        number = float(text)
        if kind == "percent":
            return f"{number * 100:.6g}%"
        moment = formats.epoch + timedelta(days=number)
    except (ValueError, OverflowError):
        return text
    moment = (moment + timedelta(milliseconds=500)).replace(microsecond=0)
    if kind == "time" and number < 1:
        return moment.time().isoformat()
    return moment.date().isoformat() if (moment.hour, moment.minute, moment.second) == (0, 0, 0) else moment.isoformat(" ")
