"""Financial reports as XBRL instances: who and when, the text blocks as HTML, and the numbers as a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contextkit.documents.building import Builder, clean, iso_date, one_line
from contextkit.documents.parsers.html import add_html
from contextkit.documents.parsers.ooxml import attribute, child, children, find_all, local

if TYPE_CHECKING:
    from lxml.etree import _Element

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ROWS = 5_000


def add(builder: Builder, root: _Element) -> None:
    """Append the report: its text blocks in their order, then each number with its name and period."""
    facts = [e for e in root if attribute(e, "contextRef")]
    stated = {local(e): one_line(e.text or "") for e in facts if _is_fact_about_report(e)}
    words = (stated.get("DocumentType", ""), stated.get("EntityRegistrantName", ""), stated.get("DocumentPeriodEndDate", ""))
    builder.title = " ".join(word for word in words if word)
    builder.metadata.update(author=words[1], created=iso_date(words[2]), document_type=words[0])
    builder.heading(builder.title, 1)
    seen: set[str] = set()
    for fact in facts:
        text = fact.text or ""
        if local(fact).endswith("TextBlock") and text.strip() and text not in seen:
            seen.add(text)
            inner = Builder(title="-", language="-")
            add_html(inner, clean(text))
            for kind, part, level in inner.parts():
                builder.add(kind, part, level + 1 if kind.value == "heading" else level)
    builder.table(_numbers(root, facts))


def _is_fact_about_report(element: _Element) -> bool:
    return "/dei/" in str(element.tag)


def _numbers(root: _Element, facts: list[_Element]) -> list[list[str]]:
    """A row a number: what it is, the period, of whom (the dimensions), the value with its unit."""
    contexts = {attribute(c, "id"): c for c in children(root, "context")}
    rows = [["Fact", "Period", "Of", "Value"]]
    for fact in facts:
        value = one_line(fact.text or "")
        if not attribute(fact, "unitRef") or not value or len(rows) > _ROWS:
            continue
        context = contexts.get(attribute(fact, "contextRef"))
        of = ", ".join(_spoken(m.text or "") for m in find_all(context, "explicitMember")) if context is not None else ""
        unit = attribute(fact, "unitRef")
        rows.append([_spoken(local(fact)), _period(context), of, value if unit.lower() == "pure" else f"{value} {unit}"])
    return rows if len(rows) > 1 else []


def _spoken(name: str) -> str:
    return _WORDS.sub(" ", name.rpartition(":")[2].removesuffix("Member"))


def _period(context: _Element | None) -> str:
    period = child(context, "period")
    if period is None:
        return ""
    return " to ".join(one_line(e.text or "") for e in period if (e.text or "").strip())
