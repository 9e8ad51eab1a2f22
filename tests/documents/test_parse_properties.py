from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contextkit.documents import parse
from contextkit.errors import ParseError
from contextkit.types import Blob, Document

Check = Callable[[Document], Document]
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

_MARKDOWN = [
    "# H",
    "## ",
    "===",
    "---",
    "- a",
    "  - b",
    "1. x",
    "> q",
    "> > r",
    "```",
    "~~~py",
    "    code",
    "| a | b |",
    "|---|---|",
    "",
    "",
    "text",
]
_MARKDOWN += [
    "<div>",
    "</div>",
    "<!-- c",
    "-->",
    "[r]: http://x",
    "<script>",
    "*e* `c`",
    "\t\ttab",
    "\u2028",
    "\x00",
    "\r",
    "\ufeff",
    "***",
    "- # h",
]
_HTML = [
    "<p>",
    "</p>",
    "<table>",
    "<tr>",
    "<td rowspan=3>",
    "<th colspan=9999>",
    "</table>",
    "<ul>",
    "<li>",
    "</ul>",
    "<h2>",
    "</h2>",
    "<pre>",
    "\n a",
    "b ",
]
_HTML += [
    "<br>",
    "<div hidden>",
    "</div>",
    "<nav>",
    "<blockquote>",
    "&nbsp;",
    "&#0;",
    "<!-- x",
    "-->",
    "<script>",
    "</script>",
    "<svg>",
    "<template>",
    "<dl><dt>",
]


def keeps(check: Check, name: str, text: str) -> None:
    """The document passes the checker, or an error of the tree says why there is none."""
    try:
        check(parse(Blob("x", name=name, data=text.encode("utf-8", "surrogatepass"))))
    except ParseError:
        return  # bytes that nobody can read may be refused, in no other way


@relaxed
@given(lines=st.lists(st.sampled_from(_MARKDOWN) | st.text(max_size=12), max_size=25))
def test_markdown_of_any_lines_keeps_the_promises(lines: list[str], check: Check) -> None:
    keeps(check, "m.md", "\n".join(lines))


@relaxed
@given(parts=st.lists(st.sampled_from(_HTML) | st.text(max_size=8), max_size=40))
def test_html_of_any_parts_keeps_the_promises(parts: list[str], check: Check) -> None:
    keeps(check, "h.html", "<html><body>" + "".join(parts))


@relaxed
@given(
    data=st.binary(max_size=300),
    name=st.sampled_from(["", "a.txt", "a.csv", "a.json", "a.xml", "a.rtf", "a.eml", "a.vtt", "a.pdf", "a.rst", "a.py"]),
)
def test_any_bytes_give_a_document_or_a_parse_error(data: bytes, name: str, check: Check) -> None:
    try:
        check(parse(Blob("b", name=name, data=data)))
    except ParseError:
        return  # bytes that nobody can read may be refused, in no other way


@relaxed
@given(
    text=st.text(alphabet="ab,;\t\"'|\n{}[]:<>/&-.#=* \u05d0\u0627\u4e00", max_size=120),
    name=st.sampled_from(["a.txt", "a.csv", "a.rst", "a.srt", "a.go", "a.rtf"]),
)
def test_text_formats_of_any_text_keep_the_promises(text: str, name: str, check: Check) -> None:
    keeps(check, name, text)


@relaxed
@given(
    text=st.text(
        alphabet=st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"], exclude_characters="\u2028\u2029\ufeff\ufffd\xad"),
        max_size=200,
    )
)
def test_plain_text_survives_as_it_is(text: str) -> None:
    document = parse(Blob("p", name="p.log", data=("a note; " + text).encode()))
    assert document.media_type == "text/plain"
    assert document.text == "a note; " + text
