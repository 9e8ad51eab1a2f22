"""Office Math to text in LaTeX's notation, as far as formulas are searched and read; no layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from contextkit.documents.parsers.ooxml import attribute, child, children, find_all, local

if TYPE_CHECKING:
    from lxml.etree import _Element

_NARY = {
    "∑": "\\sum",
    "∏": "\\prod",
    "∫": "\\int",
    "∬": "\\iint",
    "∭": "\\iiint",
    "∮": "\\oint",
    "⋃": "\\bigcup",
    "⋂": "\\bigcap",
}
_FUNCTIONS_WORDS = "sin cos tan cot sec csc log ln exp lim max min sup inf det arcsin arccos arctan sinh cosh tanh "
_FUNCTIONS = frozenset(_FUNCTIONS_WORDS.split())


def formula(element: _Element) -> str:
    """The formula's text; "" for an empty one."""
    return " ".join(_all(element).split())


def _all(element: _Element | None) -> str:
    return "".join(_one(e) for e in element) if element is not None else ""


def _one(element: _Element) -> str:
    name = local(element)
    rule = _RULES.get(name)
    if rule is not None:
        return rule(element)
    if name == "t":
        return element.text or ""
    return "" if name.endswith("Pr") else _all(element)


def _part(element: _Element, name: str) -> str:
    return _all(child(element, name)).strip()


def _fraction(element: _Element) -> str:
    return f"\\frac{{{_part(element, 'num')}}}{{{_part(element, 'den')}}}"


def _radical(element: _Element) -> str:
    degree = _part(element, "deg")
    return f"\\sqrt{f'[{degree}]' if degree else ''}{{{_part(element, 'e')}}}"


def _delimiter(element: _Element) -> str:
    properties = child(element, "dPr")
    begin, end = child(properties, "begChr"), child(properties, "endChr")
    opening = attribute(begin, "val") if begin is not None else "("
    closing = attribute(end, "val") if end is not None else ")"
    return opening + ",".join(_all(e) for e in children(element, "e")) + closing


def _nary(element: _Element) -> str:
    char = child(element, "naryPr", "chr")
    sign = attribute(char, "val") if char is not None else "∫"
    sub, sup = _part(element, "sub"), _part(element, "sup")
    limits = (f"_{{{sub}}}" if sub else "") + (f"^{{{sup}}}" if sup else "")
    return f"{_NARY.get(sign, sign)}{limits} {_part(element, 'e')}"


def _function(element: _Element) -> str:
    name = _part(element, "fName")
    bare = name.replace(" ", "")
    return f"\\{bare}({_part(element, 'e')})" if bare in _FUNCTIONS else f"{name} {_part(element, 'e')}"


def _matrix(element: _Element) -> str:
    rows = [" & ".join(_all(e).strip() for e in children(row, "e")) for row in children(element, "mr")]
    return " \\\\ ".join(rows)


def _equations(element: _Element) -> str:
    return " \\\\ ".join(_all(e).strip() for e in children(element, "e"))


def _limit(element: _Element) -> str:
    return f"{_part(element, 'e')}_{{{_part(element, 'lim')}}}"


_RULES: dict[str, Callable[[_Element], str]] = {
    "f": _fraction,
    "rad": _radical,
    "d": _delimiter,
    "nary": _nary,
    "func": _function,
    "m": _matrix,
    "eqArr": _equations,
    "limLow": _limit,
    "limUpp": _limit,
    "sSup": lambda e: f"{_part(e, 'e')}^{{{_part(e, 'sup')}}}",
    "sSub": lambda e: f"{_part(e, 'e')}_{{{_part(e, 'sub')}}}",
    "sSubSup": lambda e: f"{_part(e, 'e')}_{{{_part(e, 'sub')}}}^{{{_part(e, 'sup')}}}",
    "sPre": lambda e: f"_{{{_part(e, 'sub')}}}^{{{_part(e, 'sup')}}}{_part(e, 'e')}",
}


def is_display(element: _Element) -> bool:
    """Whether a paragraph holds nothing but formulas."""
    return not any((t.text or "").strip() for t in find_all(element, "t") if not _in_math(t))


def _in_math(element: _Element) -> bool:
    return any(local(a) == "oMath" for a in element.iterancestors())
