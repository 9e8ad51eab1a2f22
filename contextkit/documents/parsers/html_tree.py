"""What the HTML parser asks of a page's tree: which elements hold others, and the text inside one; in linear time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_BREAKS_WORDS = "br p div li tr td th dd dt h1 h2 h3 h4 h5 h6 ul ol pre table img hr "
_BREAKS = frozenset(_BREAKS_WORDS.split())


@dataclass(frozen=True, slots=True)
class Holding:
    """Says of an element whether something inside it matches a selector.

    The whole page is asked once a selector, not each element for all that is inside it: elements nest.

    Attributes:
        tree: the page, which is not changed meanwhile.
    """

    tree: LexborHTMLParser
    _holders: dict[str, set[int]] = field(default_factory=dict)

    def __call__(self, selector: str, node: LexborNode) -> bool:
        """Whether something inside the node matches; the node itself does not count."""
        if selector not in self._holders:
            self._holders[selector] = self._find(selector)
        return node.mem_id in self._holders[selector]

    def _find(self, selector: str) -> set[int]:
        found: set[int] = set()
        for match in self.tree.css(selector):
            above = match.parent
            while above is not None and above.mem_id not in found:
                found.add(above.mem_id)
                above = above.parent
        return found


def children(node: LexborNode, tags: tuple[str, ...]) -> Iterator[LexborNode]:
    """The children of a node that have one of the tags, in order."""
    child = node.child
    while child is not None:
        if child.tag in tags:
            yield child
        child = child.next


def inner_text(node: LexborNode, unseen: Callable[[LexborNode], bool]) -> str:
    """The text inside a node without what is unseen, pictures by what stands for them, a space where a block begins or ends."""
    return "".join(_pieces(node, unseen))


def _pieces(root: LexborNode, unseen: Callable[[LexborNode], bool]) -> Iterator[str]:
    around: list[LexborNode] = []
    node = root.child
    while node is not None or around:
        if node is None:
            node = around.pop()
            yield " " if node.tag in _BREAKS else ""
            node = node.next
            continue
        tag = node.tag or ""
        if tag == "-text":
            yield node.text(deep=False)
        elif not tag.startswith(("-", "!")) and not unseen(node):
            yield " " if tag in _BREAKS else ""
            if tag == "img":
                yield node.attributes.get("alt") or ""
            around.append(node)
            node = node.child
            continue
        node = node.next
