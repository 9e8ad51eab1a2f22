"""What a run holds at once is bounded by what it weighs, not by how many documents it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import contextkit as ck
from contextkit.catalog import staging
from contextkit.sync import runs, work
from contextkit.testing import TinyChunker, TinyEmbedder
from contextkit.types import Blob, DocumentRef, ListingPage


class Sized:
    """A source of texts that say their size, or not."""

    source = "sized:texts"

    def __init__(self, sizes: list[int], *, told: bool = True) -> None:
        self.sizes, self.told, self.fetched = sizes, told, []

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:
        refs = tuple(
            DocumentRef(f"d{n}", version="1", name="a.txt", size=size if self.told else -1) for n, size in enumerate(self.sizes)
        )
        yield ListingPage(refs, complete=True)

    def fetch(self, ref: DocumentRef) -> Blob:
        self.fetched.append(ref.id)
        return Blob(ref.id, name="a.txt", data=f"text of {ref.id}".encode())


@pytest.mark.parametrize(("limit", "told", "ahead"), [(250, True, 3), (99, True, 1), (10_000, True, 32), (3 << 20, False, 3)])
def test_fetches_ahead_weigh_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch, limit: int, told: bool, ahead: int) -> None:
    monkeypatch.setattr(runs, "_BYTES_AHEAD", limit)
    connector = Sized([100] * 40, told=told)
    reader = runs._Reader(None, connector, None, None, None, None, None)  # type: ignore[arg-type] # only what fetches is used
    (page,) = connector.list()
    found = reader._fetched(page.refs)
    next(found)
    assert len(connector.fetched) <= ahead
    assert [ref.id for ref, _ in found] == [f"d{n}" for n in range(1, 40)]


def test_long_texts_are_staged_soon_and_all_of_them_arrive(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_CHARACTERS", 500)
    monkeypatch.setattr(staging, "_TERMS_AT_ONCE", 3)
    staged: list[int] = []

    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), chunker=TinyChunker(1)) as kit:
        stage = kit.catalog.stage

        def counting(source, contents, *rest, **more):
            staged.append(sum(len(c.document.text) for c in contents))
            return stage(source, contents, *rest, **more)

        monkeypatch.setattr(kit.catalog, "stage", counting)
        texts = ["\n".join(f"word{n} and place{n}x{line}" for line in range(8)) for n in range(30)]
        kit.add([ck.Document(id=f"d{n}", text=text) for n, text in enumerate(texts)])
        assert max(staged) < 500 + max(map(len, texts))
        assert len(staged) > 5
        for n in (0, 7, 29):
            assert kit.search(f"place{n}x5", k=1)[0].document_id == f"d{n}"
        assert kit.info().chunks == 240
