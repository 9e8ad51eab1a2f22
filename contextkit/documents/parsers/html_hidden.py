"""Which elements of an HTML page no reader sees: by attribute, by their style, or by a simple rule of the page's style sheet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:^|[;{\s])opacity\s*:\s*0(?:\.0+)?\s*(?:;|!|$)"
    r"|font-size\s*:\s*0(?:\.0+)?(?:px|pt|em|rem|%)?\s*(?:;|!|$)|mso-hide\s*:\s*all",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_CSS_MARK = re.compile(r"[{};]")
_SIMPLE = re.compile(r"(?:[a-z][a-z0-9]*)?([.#])(-?[A-Za-z_][\w-]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hidden:
    """Says of a node whether it is hidden; its ancestors are not looked at.

    Attributes:
        classes: class names that the page's style sheet hides.
        ids: element ids that it hides.
    """

    classes: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    def __call__(self, node: LexborNode) -> bool:
        """Whether the node itself is hidden."""
        attributes = node.attributes
        if not attributes:
            return False
        if "hidden" in attributes or (attributes.get("aria-hidden") or "").lower() == "true":
            return True
        if _STYLE.search(attributes.get("style") or ""):
            return True
        if self.ids and attributes.get("id") in self.ids:
            return True
        return bool(self.classes) and not self.classes.isdisjoint((attributes.get("class") or "").split())


def hidden_rules(tree: LexborHTMLParser) -> Hidden:
    """The names that the page's own style elements hide on every screen; rules for some media or states do not count."""
    names: dict[str, set[str]] = {".": set(), "#": set()}
    for style in tree.css("style"):
        if (style.attributes.get("media") or "all").strip().lower() not in ("all", "screen"):
            continue
        for selectors, body in _rules(_top_level(_COMMENT.sub("", style.text() or ""))):
            if _STYLE.search(body):
                for selector in selectors.split(","):
                    found = _SIMPLE.fullmatch(selector.strip())
                    if found:
                        names[found.group(1)].add(found.group(2))
    return Hidden(frozenset(names["."]), frozenset(names["#"]))


def _rules(css: str) -> Iterator[tuple[str, str]]:
    """Selectors and body of each innermost block."""
    for block in css.split("}")[:-1]:
        before, opens, body = block.rpartition("{")
        if opens:
            yield re.split(r"[{@]", before)[-1], body


def _top_level(css: str) -> str:
    """The style sheet without its @-rules' blocks (media queries, animations)."""
    out: list[str] = []
    at = 0
    while (start := css.find("@", at)) >= 0:
        out.append(css[at:start])
        at = _after_rule(css, start)
    out.append(css[at:])
    return "".join(out)


def _after_rule(css: str, start: int) -> int:
    """Where the @-rule that begins at a place ends: after its block, or after its semicolon where it has none."""
    depth = 0
    for mark in _CSS_MARK.finditer(css, start):
        char = mark.group()
        depth += (char == "{") - (char == "}")
        if (char == ";" and not depth) or (char == "}" and depth <= 0):
            return mark.end()
    return len(css)
