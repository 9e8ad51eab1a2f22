"""HTML that a parser by the standard takes quadratic time for, at sizes where that would be minutes to hours; no text is lost."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from contextkit.documents.building import Builder
from contextkit.documents.parsers import html_depth
from contextkit.documents.parsers.html import add_html
from contextkit.documents.parsers.html_depth import DEPTH, FORMATS, shallow
from contextkit.types import BlockKind

N = 6_000


def of(html: str) -> Builder:
    builder = Builder()
    add_html(builder, html)
    return builder


def text_of(html: str) -> str:
    return "\n\n".join(text for _, text, _ in of(html).parts())


def depth(html: str) -> int:
    """How deep the parser's tree of a text is."""
    node, at, deepest = LexborHTMLParser(html).root, 0, 0
    while node is not None:
        if node.child is not None:
            node, at = node.child, at + 1
            deepest = max(deepest, at)
            continue
        while node is not None and node.next is None:
            node, at = node.parent, at - 1
        node = node.next if node is not None else None
    return deepest


def words(count: int = N) -> list[str]:
    return [f"w{i}" for i in range(count)]


@pytest.mark.parametrize(
    "opening",
    [
        "<div>", "<div id={0}>", "<p>", "<li>", "<table>", "<table><tr><td>", "<table><tr><th>", "<font>", "<font size={0}>", "<td id={0}>",
        "<b><p>", "<ul><li>", "<ol><li><p>", "<dl><dd>", "<blockquote>", "<form id={0}>", "<section><h2>", "<div role=heading>", "<span>",
        "<custom-x>", "</p>", "</b x={0}>", "<body y={0}>", "<tr a={0}>", "<p><font id={0}></p>", "<span><div></span>",
    ],
)  # fmt: skip
def test_elements_that_never_end_cost_linear_time_and_lose_no_word(opening: str) -> None:
    html = "".join(f"{opening.format(i)}{word} " for i, word in enumerate(words()))
    assert depth(shallow(html)) <= 4 * (DEPTH + FORMATS)  # the parser's steps at each tag
    found = [word for word in text_of(html).replace("|", " ").split() if word.startswith("w")]
    assert found == words()


def test_a_deep_page_is_cut_where_browsers_cut_and_keeps_its_blocks_apart() -> None:
    html = "".join(f"<div>w{i}" for i in range(N)) + "</div>" * N
    assert DEPTH < depth(shallow(html)) < DEPTH + 5
    assert [text for _, text, _ in of(html).parts()] == words()


def test_a_deep_table_keeps_the_rows_of_the_tables_that_are_kept() -> None:
    wide = "<div>" * (DEPTH - 1) + "<table><tr><th>a<th>b<tr><td>1<td>2</table>" * 2_000 + "</div>" * (DEPTH - 1)
    assert [kind for kind, _, _ in of(wide).parts()] == [BlockKind.TABLE] * 2_000


def test_sloppy_pages_of_ordinary_depth_stay_as_they_are() -> None:
    rows = "<tr><td>a<td>b<p>c<p>d<ul><li>e<li>f</ul><dl><dt>g<dd>h</dl>" * 3_000
    sloppy = f"<table>{rows}</table>" + "<p>i<p>j<h2>k</h2><div><span>l</div><a href=x>m<br/><img src=y>" * 3_000
    assert shallow(sloppy) == sloppy


def test_tags_in_comments_scripts_attributes_and_data_do_not_count() -> None:
    hidden = "<!-- <div> --><script>'<div>'</script><p title='<div>'>x<style>a{b:'<div>'}</style><svg><![CDATA[<div>]]></svg>"
    html = hidden * 5_000
    assert shallow(html) == html
    closing = "<!-- </div> --><script>'</div>'</script><p title='</div>'><div>"
    assert depth(shallow(closing * 5_000)) < DEPTH + 5


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "<div> </div> <p> </p> <b> </b> <b~> <a~> <table> </table> <tr> <td> </td> <th~> <ul> <li> </ul> <span> </span> <h1> </h1>"
            " <svg> <g> </svg> <foreignObject> <math> <mi> <select> </select> <option> <button> </button> <form~> <object> <template>"
            " </template> <dl> <dt> <dd> <ruby> <rt> <caption> <!--x--> <nobr> <pre> <br/> <div/> <title>t</title>".split()
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 2**32),
)
def test_whatever_repeats_the_tree_stays_shallow(tags: list[str], seed: int) -> None:
    rng = random.Random(seed)
    html = "".join(rng.choice(tags).replace("~", f" k={i}") for i in range(html_depth._FEW * 2))
    # between two counted elements stand at most table, tbody, tr, td or list, item, paragraph
    assert depth(shallow(html)) <= 5 * (DEPTH + FORMATS)


def test_cutting_loses_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FEW", "_SHORT", "_LONG_TAG"):
        monkeypatch.setattr(html_depth, name, 0)
    tags = (
        "<div> </div> <p> </p> <b> </b> <a> <table> </table> <tr> <td> </td> <th> <ul> <li> </ul> <span> </span> <h1> </h1> <svg> <g>"
        " </svg> <foreignObject> <math> <mi> <button> </button> <form> <object> </object> <dl> <dt> <dd> <ruby> <rt> <caption> <!--x-->"
        " <nobr> <pre> <br/> <div/> <section> </section> <i> </i>"
    ).split()
    for seed in range(500):
        rng = random.Random(seed)
        monkeypatch.setattr(html_depth, "DEPTH", rng.choice([5, 10, 30]))
        monkeypatch.setattr(html_depth, "FORMATS", rng.choice([2, 5]))
        pool = rng.sample(tags, rng.randint(3, 20))
        html = "".join(f"{rng.choice(pool)}w{i} " for i in range(rng.randint(20, 200)))
        before, after = (set(LexborHTMLParser(text).body.text(separator=" ").split()) for text in (html, shallow(html)))
        assert before <= after, seed


def test_megabytes_of_attributes_are_read_once() -> None:
    many = " ".join(f'a{i}="v"' for i in range(100_000))
    assert text_of(f"<p {many}>hello") == "hello"
    assert text_of(f"<p hidden {many}>hello</p><p>seen") == "seen"
    assert text_of(f"<p title='{'x' * 3_000_000}'>hello") == "hello"
    assert "hello" in text_of("".join(f"<p {many[:2000]}>" for _ in range(2_000)) + "hello")


def test_entities_stand_for_one_character_each_whatever_their_number() -> None:
    assert text_of("<p>" + "&amp;" * 300_000) == "&" * 300_000
    assert "lol" not in text_of("<!DOCTYPE html [<!ENTITY a 'lol'><!ENTITY b '&a;&a;'>]><p>" + "&b;" * 10**5)
    assert len(text_of("<p>" + "&" * 300_000 + "x" + "&#" * 300_000)) <= 3 * 300_000 + 1


@pytest.mark.parametrize("css", ["{", "}", "/*", "@", "@media x{", "a ", "a,", "*/", "display  "])
def test_a_style_sheet_of_nothing_costs_linear_time(css: str) -> None:
    assert text_of(f"<style>{css * 200_000}</style><p>seen") == "seen"


def test_a_style_sheet_hides_as_before() -> None:
    css = "/* a */ .x, p#y {color:red; display : none} @media print {.z{display:none}} @import 'q'; .v{visibility:hidden}"
    html = f"<style>{css}</style><p class=x>1<p id=y>2<p class=z>3<p class=v>4<p>5"
    assert text_of(html).split() == ["3", "5"]


@pytest.mark.parametrize(
    "piece", ["<!--", "<", "<a ", '<a b="', "<script>", "<title>", "<textarea>", "<![CDATA[", "</", "<?", "<!"]
)
def test_what_never_ends_costs_linear_time(piece: str) -> None:
    assert text_of("<p>seen</p>" + piece * 200_000).startswith("seen")


def test_cells_that_span_do_not_multiply_a_page() -> None:
    bomb = "<table>" + "<tr>" * 200 + "".join(f"<td rowspan=200 colspan=200>w{i}" for i in range(8_000)) + "</table>"
    text = text_of(bomb)
    assert len(text) < 10 * len(bomb)
    assert set(words(8_000)) <= set(text.split())
    header = "<table><tr><th colspan=12>A long header of twelve columns<tr>" + "<td>1" * 12 + "</table>"
    assert text_of(header).count("A long header") == 12
    rows = "<table><tr><th>a<th>b<tr><td rowspan=90>kind" + "<td>1<tr>" * 90 + "</table>"
    assert text_of(rows).count("kind") == 90


def test_a_table_of_one_wide_row_and_many_short_ones_is_not_filled_up() -> None:
    html = "<table><tr>" + "".join(f"<td>w{i}" for i in range(10_000)) + "".join(f"<tr><td>v{i}" for i in range(8_000))
    text = text_of(html)
    assert len(text) < 3 * len(html)
    assert {"w0", "w9999", "v0", "v7999"} <= set(text.split())


def test_a_large_table_keeps_all_its_rows() -> None:
    html = "<table>" + "".join("<tr>" + "".join(f"<td>{row}.{n}" for n in range(250)) for row in range(900)) + "</table>"
    assert "| 899.248 | 899.249 |" in text_of(html)


def test_what_is_hidden_or_a_script_stays_out_at_any_depth() -> None:
    inner = "<script>evil()</script><div hidden>secret</div><nav>menu</nav><p>" + "core " * 61
    text = text_of("<div>" * 400 + inner + "</div>" * 400)
    assert text == "core " * 60 + "core"


def test_text_that_stands_in_a_list_outside_its_items_is_kept_and_items_count_on() -> None:
    builder = Builder()
    add_html(builder, "<ol>before<li>one<li>two<span>!</span></ol><ul>loose<ol start=5><li>five<li value=9>nine</ol></ul>")
    assert [text for _, text, _ in builder.parts()] == ["before", "1. one", "2. two!", "loose", "5. five", "9. nine"]


def test_a_heading_around_a_layout_is_no_heading() -> None:
    builder = Builder()
    add_html(builder, "<h2>Plain</h2><h1><div>intro</div><ul><li>item</ul></h1>")
    assert [(kind, text) for kind, text, _ in builder.parts()] == [
        (BlockKind.HEADING, "Plain"), (BlockKind.PARAGRAPH, "intro"), (BlockKind.LIST_ITEM, "- item"),
    ]  # fmt: skip
