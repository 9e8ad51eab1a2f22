"""Which elements of an HTML page no reader sees: by attribute, by their style, or by a simple rule of the page's style sheet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:^|[;{\s])opacity\s*:\s*0(?:\.0+)?\s*(?:;|!|$)"
    r"|font-size\s*:\s*0(?:\.0+)?(?:px|pt|em|rem|%)?\s*(?:;|!|$)|mso-hide\s*:\s*all",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_RULE = re.compile(r"([^{}@]+)\{([^{}]*)\}")
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
        for selectors, body in _RULE.findall(_top_level(_COMMENT.sub("", style.text() or ""))):
            if _STYLE.search(body):
                for selector in selectors.split(","):
                    found = _SIMPLE.fullmatch(selector.strip())
                    if found:
                        names[found.group(1)].add(found.group(2))
    return Hidden(frozenset(names["."]), frozenset(names["#"]))


def _top_level(css: str) -> str:
    """The style sheet without its @-rules' blocks (media queries, animations)."""
    if "@" not in css:
        return css
    out: list[str] = []
    at = 0
    while (start := css.find("@", at)) >= 0:
        out.append(css[at:start])
        depth, at = 0, start
        while at < len(css):
            char = css[at]
            at += 1
            if char == ";" and not depth:
                break
            depth += (char == "{") - (char == "}")
            if char == "}" and depth <= 0:
                break
    out.append(css[at:])
    return "".join(out)
