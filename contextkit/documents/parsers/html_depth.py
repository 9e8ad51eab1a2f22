"""HTML that would take a parser quadratic time, made harmless before it is parsed; all other HTML is left as it is.

A parser by the standard walks all open elements at each tag, so elements that nest n deep cost n x n steps. Browsers stop at 512
levels, and so does this: the tags of what is deeper are taken out, their text and a block's borders stay. Attributes without end,
and those that nobody reads, go too. It follows the tags alone, with the few rules that close elements unsaid; what the text means
is for the parser behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

DEPTH = 512
_FEW, _SHORT, _LONG_TAG = 4_000, 2**20, 2**14  # tags, characters, characters of a tag: no harm is in a page below these
ATTRIBUTES = 1000  # of one tag
FORMATS = 16  # bold, fonts, links ... open at once: the parser opens all of them again in each paragraph

_SPACE = r"[ \t\n\f\r]"
_ATTRIBUTE = rf"""(?>=[^\s/>=]*+|[^\s/>=]++)(?>{_SPACE}*+={_SPACE}*+(?>"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>"'][^\s>]*+)?)?"""
_TAG = re.compile(
    rf"<(?>(?P<comment>!--)|(?P<cdata>!\[CDATA\[)|(?P<bogus>[!?][^>]*+|/[^A-Za-z>][^>]*+)"
    rf"|(?P<slash>/?)(?P<name>[A-Za-z][^\s/>]*+)(?>[\s/]++|{_ATTRIBUTE})*+)(?P<end>>|\Z)?"
)
_ONE_ATTRIBUTE = re.compile(_ATTRIBUTE)
_COMMENT_END = re.compile(r"(?<=<!--)-?>|--!?>")
_RAW_END = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_VOID = _words("area base br col embed hr img input link meta param source track wbr frame keygen html head body frameset")
_FORMATS = _words("a b big code em font i nobr s small strike strong tt u")
_BLOCKS = _words(
    "address article aside blockquote center details dialog dir div dl dt dd fieldset figcaption figure footer form h1 h2 h3 h4"
    " h5 h6 header hgroup li listing main menu nav ol p pre search section summary table ul caption tbody thead tfoot tr td th"
)
_SCOPES = _words("table td th caption object template marquee applet button")
_CELLS = _words("tr td th tbody thead tfoot caption colgroup")
_BARE = _words("head frame frameset")
_ONCE = _words("html body")
_FOREIGN = _words("svg math")
_HOSTS = _words("foreignobject desc annotation-xml")  # elements of pictures and formulas that hold HTML again
_HEADINGS = _words("h1 h2 h3 h4 h5 h6")
_PARTS = ("caption", "colgroup", "tbody", "thead", "tfoot")
# a start tag of these closes an open element of those, unless one of the last stands between them
_CLOSES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "li": (("li",), ("ul", "ol", "menu", "dir", "#scope")),
    "dt": (("dt", "dd"), ("dl", "#scope")),
    "dd": (("dt", "dd"), ("dl", "#scope")),
    "td": (("td", "th"), ("table", "template")),
    "th": (("td", "th"), ("table", "template")),
    "option": (("option",), ("select", "#scope")),
    "optgroup": (("option", "optgroup"), ("select", "#scope")),
    "button": (("button",), ("table", "template", "object", "marquee", "applet")),
    "tr": (("tr",), ("table", "template")),
    "table": (("table",), ("td", "th", "caption", "template")),
}
_CLOSES |= dict.fromkeys(_PARTS, (_PARTS, ("table", "template")))
_UNCOUNTED = _CELLS | _words("p li dt dd option optgroup")  # at most one of each in an element that is counted


@dataclass(slots=True)
class _Open:
    """The elements that are open at a place of the text.

    Attributes:
        names: their names, outermost first.
        kept: whether the parser sees each.
        at: places in `names` by name, and by "#scope" and "#block" for the kinds.
        counted: how many the parser sees, but for those of `_UNCOUNTED`.
        formats: open elements by name that only change how text looks; they close and open by rules of their own.
        roots: which of `<html>` and `<body>` were seen with attributes.
    """

    names: list[str] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    at: dict[str, list[int]] = field(default_factory=dict)
    counted: int = 0
    formats: dict[str, int] = field(default_factory=dict)
    roots: set[str] = field(default_factory=set)

    def last(self, *names: str) -> int:
        """Place of the innermost open element of these names; -1 where none is open."""
        return max((places[-1] for name in names if (places := self.at.get(name))), default=-1)

    def push(self, name: str, *, kept: bool) -> None:
        place = len(self.names)
        self.names.append(name)
        self.kept.append(kept)
        for key in _keys(name):
            self.at.setdefault(key, []).append(place)
        self.counted += kept and name not in _UNCOUNTED

    def cut(self, place: int) -> None:
        """Close the element at a place and all inside it."""
        while len(self.names) > place:
            name, kept = self.names.pop(), self.kept.pop()
            for key in _keys(name):
                self.at[key].pop()
            self.counted -= kept and name not in _UNCOUNTED

    def close(self, names: tuple[str, ...], barriers: tuple[str, ...]) -> None:
        """Close the innermost open element of these names, unless one of the barriers stands inside it."""
        place = self.last(*names)
        if place >= 0 and place > self.last(*barriers):
            self.cut(place)

    @property
    def foreign(self) -> bool:
        """Whether the tags here are a picture's or a formula's."""
        return self.last("svg", "math") > self.last(*_HOSTS)


def _keys(name: str) -> tuple[str, ...]:
    return (name, "#scope", "#block") if name in _SCOPES else (name, "#block") if name in _BLOCKS else (name,)


def shallow(text: str) -> str:
    """The text with the tags taken out that nest elements more than `DEPTH` deep; a small page, or one without such, as it is.

    Where a block began or ended a rule (`<hr>`) stands instead, so that paragraphs stay apart. Takes time linear in the text, and
    so does parsing the result.
    """
    if text.count("<") <= _FEW and len(text) <= _SHORT and max(map(len, text.split(">"))) <= _LONG_TAG:
        return text
    opened = _Open()
    out: list[str] = []
    done = at = 0
    while (tag := _TAG.search(text, at)) is not None:
        at = _after(text, tag, opened)
        if at < 0:
            break  # the rest is one comment, one script, or a tag that never ends
        instead = _instead(tag, opened)
        if instead is not None:
            out += text[done : tag.start()], instead
            done = tag.end()
    return "".join([*out, text[done:]]) if out else text


def _after(text: str, tag: re.Match[str], opened: _Open) -> int:
    """Where the search for the next tag goes on; -1 where there can be none."""
    if tag["comment"]:
        end = _COMMENT_END.search(text, tag.end("comment"))
        return end.end() if end else -1
    if tag["cdata"] and opened.foreign:
        end_of_data = text.find("]]>", tag.end("cdata"))
        return end_of_data + 3 if end_of_data >= 0 else -1
    if tag["cdata"]:
        return text.find(">", tag.end("cdata"))
    if not tag["end"]:
        return -1
    raw = _RAW_END.get((tag["name"] or "").lower()) if not tag["slash"] else None
    if raw and not opened.foreign:
        found = raw.search(text, tag.end())
        return found.start() if found else -1
    return tag.end()


def _instead(tag: re.Match[str], opened: _Open) -> str | None:
    """What the tag is replaced by, None where it stays; the open elements are brought up to date."""
    if tag["name"] is None:
        return None
    name = tag["name"].lower()
    bare = len(tag[0]) > len(name) + 3 and _unheard(name, opened, closing=bool(tag["slash"]))
    instead = None
    if name in _FORMATS:
        instead = _format(name, opened, closing=bool(tag["slash"]))
    elif name not in _VOID and name not in _RAW_END:
        instead = _ended(name, opened) if tag["slash"] else _begun(name, opened, itself=tag.string[tag.end() - 2] == "/")
    if instead is None and bare:
        return f"<{tag['slash']}{name}>"
    return _fewer_attributes(tag) if instead is None and len(tag[0]) > 4 * ATTRIBUTES else instead


def _unheard(name: str, opened: _Open, *, closing: bool) -> bool:
    """Whether nobody reads the tag's attributes; the parser still copies all text before it, each time, to make room for them."""
    if closing or name in _BARE or opened.at.get("select"):
        return True
    if name in _ONCE:
        seen = name in opened.roots
        opened.roots.add(name)
        return seen
    if name in _CELLS or name == "col":
        return opened.last("table", "template") < 0
    return name == "form" and bool(opened.at.get("form"))


def _fewer_attributes(tag: re.Match[str]) -> str | None:
    """The tag with its first attributes alone; the parser compares each one with all before it."""
    start = tag.end("name")
    for number, attribute in enumerate(_ONE_ATTRIBUTE.finditer(tag.string, start, tag.start("end"))):
        if number == ATTRIBUTES:
            return tag.string[tag.start() : attribute.start()] + ">"
    return None


def _format(name: str, opened: _Open, *, closing: bool) -> str | None:
    number = opened.formats.get(name, 0)
    if closing:
        if number:
            opened.formats[name] = number - 1
        return None
    if name in ("a", "nobr"):  # a second one ends the first
        opened.formats[name] = number = 0
    if sum(opened.formats.values()) >= FORMATS:
        return ""
    opened.formats[name] = number + 1
    return None


def _begun(name: str, opened: _Open, *, itself: bool) -> str | None:
    if (opened.at.get("svg") or opened.at.get("math")) and opened.foreign:
        if name in _BLOCKS:  # a block ends a picture
            opened.cut(max(opened.last(*_HOSTS) + 1, min(p[0] for f in _FOREIGN if (p := opened.at.get(f)))))
        elif itself:
            return None
    if name in _BLOCKS and name not in _CELLS and opened.at.get("p"):
        opened.close(("p",), ("#scope",))
    if name in _CLOSES:
        opened.close(*_CLOSES[name])
    elif name in _HEADINGS and opened.names and opened.names[-1] in _HEADINGS:
        opened.cut(len(opened.names) - 1)
    kept = name in _UNCOUNTED or opened.counted < DEPTH
    opened.push(name, kept=kept)
    return None if kept else _border(name)


def _ended(name: str, opened: _Open) -> str | None:
    places = opened.at.get(name)
    if not places:
        return None
    place = places[-1]
    barriers = ("table", "template") if name in _CELLS or name == "table" else ("#scope",) if name in _BLOCKS else ("#block",)
    if name not in _SCOPES and opened.last(*barriers) > place:
        return None  # the parser does not listen to it either
    kept = opened.kept[place]
    opened.cut(place)
    return None if kept else _border(name)


def _border(name: str) -> str:
    return "<hr>" if name in _BLOCKS else ""
