from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.documents.chunking import StructureChunker
from contextkit.embedding import pieces as module
from contextkit.embedding.folder import find_model
from contextkit.embedding.pieces import Pieces
from contextkit.types import Chunk, Document, Span

pytestmark = pytest.mark.usefixtures("socket_disabled")

PARTS = [
    "Refunds take thirty days.",
    "naïve café",
    "東京 pays",
    "x",
    "don't-stop",
    "e\u0301a",
    "[SEP]",
    "12.5%",
    "\u200b",
    "ﬁt",
    "a\x1cb",
    "See [#12](https://example.org/pull/12) there.",
    "[a](/b/c) (d/e)",
    "## **a** `b`",
    "///",
    "{!a/b.py!}",
    "</b>",
]
GAPS = [" ", "\n", "\r\n\t", "\u3000", "\x1c", "", " \u2028", "\u00a0"]


@pytest.fixture(scope="module")
def loaded(packaged: Path) -> Pieces:
    return Pieces(find_model(packaged), "")


def same(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == np.int32


@given(
    st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from(GAPS)), min_size=1, max_size=6),
    st.sampled_from(["", "Title > 東京", "x."]),
)
def test_counted_parts_give_the_ids_of_the_whole(loaded: Pieces, parts: list[tuple[str, str]], header: str) -> None:
    text, spans = "", []
    for part, gap in parts:
        spans.append(Span(100 + len(text), 100 + len(text) + len(part)))
        text += part + gap
    chunk = Chunk(100, 100 + len(text), text, header, tuple(spans))
    loaded._kept.clear()
    expected = loaded.chunks([chunk])  # nothing was counted: tokenised as a whole
    loaded.count([header, *(part for part, _ in parts)])
    same(loaded.chunks([chunk]), expected)


def test_what_the_chunker_counted_is_not_tokenised_again(loaded: Pieces, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    chunks = StructureChunker(loaded.count).chunk(Document(id="a", text=text, media_type="text/markdown", title="Read me"))
    assert len(chunks) > 5
    whole: list[int] = []
    plain = Pieces._whole

    def counting(self: Pieces, given: list[Chunk]):
        whole.append(len(given))
        return plain(self, given)

    monkeypatch.setattr(Pieces, "_whole", counting)
    ids, owners = loaded.chunks(chunks)
    assert sum(whole) <= len(chunks) // 10  # a table's header is put together after counting
    loaded._kept.clear()
    same((ids, owners), loaded.chunks(chunks))
    for chunk, owner in zip(chunks, owners, strict=True):
        assert owner.max() == len(chunk.sentences) - 1


def test_kept_pieces_are_bounded(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 50)
    loaded = Pieces(find_model(packaged), "")
    loaded.count([f"some words {n}" for n in range(200)])
    assert 0 < len(loaded._kept) <= 15
    assert sum(len(ids) + 1 for ids in loaded._kept.values()) == loaded._size <= 50
    assert loaded.count(["some words 199"] * 3) == [3, 3, 3] or loaded._size <= 50
    assert sum(len(ids) + 1 for ids in loaded._kept.values()) == loaded._size


def test_a_prefix_is_never_put_together(packaged: Path) -> None:
    prefixed = Pieces(find_model(packaged), "passage: ")
    prefixed.count(["One."])
    assert prefixed._kept == {}
    (ids,), (owner,) = prefixed.chunks([Chunk(0, 4, "One.", sentences=(Span(0, 4),))])
    assert len(ids) == len(owner) == 6
    assert owner.tolist() == [-1, -1, -1, 0, 0, -1]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("See [the form](https://example.org/forms/7) first.", "See the form first."),
        ('[Terms](/legal/terms.html "In force") apply.', 'Terms "In force") apply.'),
        ("![a pump](../img/pump.png), [here](#part)", "!a pump, here"),
        ("Call handlers[name](request) and f(a/b).", None),  # no address
        ("[](https://example.org/only/this)", None),  # nothing else says what it is
        ("https://example.org/plain is read (see /a/b).", None),
        ("[open](https://example.org/never", None),
        ("[the [pump]](../pumps.html) runs", "[the [pump] runs"),
        ("## Refunds\n#hash #7", "Refunds\n#hash #7"),
        ("**Refunds** take ***30*** days (**net**).", "Refunds take 30 days (net)."),
        ("2**8, a ** b, f(x) * y, **", None),
        ("the `fee` is", "the fee is"),
        ("``quoted''", None),
        ("```python\nx = 1\n```", "python\nx = 1"),
        ("/// note | Beware\n:::tip a:::b //c", "note | Beware\ntip a:::b //c"),
        ("a <b>firm</b> offer </p>", "a <b>firm offer"),
        ("Say {!../src/hello.py!} or {% include 'a/b.html' %}.", "Say or."),
        ("{% for x in y %} {*args*} {a/b}", None),
        ("///", "/"),  # a line of its own keeps a vector of its own
        ("  </div>\n", "<"),
    ],
)
def test_what_is_for_the_typesetter_alone_is_not_read(loaded: Pieces, text: str, read: str | None) -> None:
    assert loaded.count([text]) == loaded.count([text if read is None else read])
    found, _ = loaded.windows([text], 254)
    expected, _ = loaded.windows([text if read is None else read], 254)
    np.testing.assert_array_equal(found[0], expected[0])


def test_sentences_keep_their_pieces_behind_an_address(loaded: Pieces) -> None:
    text = "See [a](https://example.org/b/c) now. Then rest."
    chunk = Chunk(5, 5 + len(text), text, "", (Span(5, 42), Span(43, 5 + len(text))))
    for counted in ([], ["See [a](https://example.org/b/c) now.", "Then rest."]):
        loaded._kept.clear()
        loaded.count(counted)
        (ids,), (owner,) = loaded.chunks([chunk])
        assert owner.tolist() == [-1, *[0] * 4, *[1] * 3, -1]
        assert len(ids) == 9


@pytest.mark.parametrize("part", ["](a(", "[a](/", "[a", "**a", "{*/", "{!a/", "</a", "/#[", "```~"])
def test_a_long_line_of_marks_takes_linear_time(part: str) -> None:
    line = part * (200_000 // len(part))
    begin = time.process_time()
    assert len(module._read(line)) == len(line)
    assert time.process_time() - begin < 2  # some 20 ms; a square of it would be minutes


def test_a_long_line_of_brackets_is_counted(loaded: Pieces) -> None:
    assert loaded.count(["](a(" * 50_000]) == [200_000]
