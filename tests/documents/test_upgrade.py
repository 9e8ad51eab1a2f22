"""An index made by earlier parsers and boundaries: read and cut anew by its next sync, with as little embedding as that takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from contextkit.catalog import Catalog
from contextkit.connectors.files import FilesConnector
from contextkit.documents import PARSER_VERSION, parse
from contextkit.documents.chunking import StructureChunker
from contextkit.documents.naming import title_from_name
from contextkit.retrieval.terms import terms
from contextkit.sync import Pipeline, sync
from contextkit.testing import TinyEmbedder
from contextkit.types import Blob, Chunk, Document, Span

KEY = "The caretaker has key number {n} in the blue box. Please call before you come.\n"
SMALL = "the reactor was shut down on monday. nobody was hurt in the incident.\n"


class EarlierChunker(StructureChunker):
    """As the boundaries were named "structure-4": a text without capitals is one sentence."""

    @property
    def config(self) -> str:
        return super().config.replace("structure-5", "structure-4")

    def chunk(self, document: Document) -> list[Chunk]:
        chunks = super().chunk(document)
        return [replace(c, sentences=(Span(c.start, c.end),)) if c.text.islower() else c for c in chunks]


def read(blobs: Iterable[Blob]) -> Iterator[tuple[Blob, Document]]:
    """The parsers, in this process."""
    for blob in blobs:
        yield blob, parse(blob)


def read_before(blobs: Iterable[Blob]) -> Iterator[tuple[Blob, Document]]:
    """As version 1 read: no title where the content states none."""
    for blob in blobs:
        document = parse(blob)
        yield blob, replace(document, title="") if document.title == title_from_name(blob) else document


def pipeline(embedder: TinyEmbedder) -> Pipeline:
    return Pipeline(read, PARSER_VERSION, StructureChunker(embedder.count, target=40, window=64), embedder, terms)


def test_an_older_index_is_read_anew_and_only_what_changed_is_embedded(tmp_path: Path) -> None:
    root = tmp_path / "docs"
    root.mkdir()
    (root / "house_Oslo.txt").write_text(KEY.format(n=7))
    (root / "house_rules.txt").write_text("House rules\n\nBe kind to the neighbours. The door is locked at ten.\n")
    embedder = TinyEmbedder()
    with Catalog.create(tmp_path / "index", embedder.info) as catalog:
        now = pipeline(embedder)
        sync(catalog, FilesConnector(root), replace(now, parse=read_before, parser_version="1"), retire=True)
        before = embedder.embedded
        report = sync(catalog, FilesConnector(root), now, retire=True)
        assert (report.changed, report.unchanged, report.embedded) == (1, 1, embedder.embedded - before)
        assert report.embedded == 1, "the text that states its title keeps its vectors"
        assert {d.title for d in catalog.documents()} == {"house Oslo", "House rules"}
        again = sync(catalog, FilesConnector(root), now, retire=True)
        assert (again.changed, again.unchanged, again.embedded) == (0, 2, 0)


def test_an_index_of_older_boundaries_is_cut_anew(tmp_path: Path) -> None:
    root = tmp_path / "docs"
    root.mkdir()
    (root / "report.txt").write_text(SMALL)
    (root / "house_Oslo.txt").write_text(KEY.format(n=7))
    embedder = TinyEmbedder()
    with Catalog.create(tmp_path / "index", embedder.info) as catalog:
        now = pipeline(embedder)
        earlier = EarlierChunker(embedder.count, target=40, window=64)
        sync(catalog, FilesConnector(root), replace(now, chunker=earlier), retire=True)
        report = sync(catalog, FilesConnector(root), now, retire=True)
        assert report.embedded == 1, "chunks whose sentences stayed keep their vectors"
        (one,) = [d for d in catalog.documents() if d.title == "report"]
        (chunk,) = catalog.chunks_of(one.content_id)
        assert [SMALL[a:b] for a, b in chunk.sentences.tolist()] == [SMALL[:36], SMALL[37:-1]]


def test_copies_and_renamed_files_have_their_own_titles(tmp_path: Path) -> None:
    root = tmp_path / "docs"
    root.mkdir()
    for city in ("Oslo", "Berlin"):
        (root / f"house_{city}.txt").write_text(KEY.format(n=7))
    embedder = TinyEmbedder()
    now = pipeline(embedder)
    with Catalog.create(tmp_path / "index", embedder.info) as catalog:
        sync(catalog, FilesConnector(root), now, retire=True)
        assert sorted(d.title for d in catalog.documents()) == ["house Berlin", "house Oslo"]
        (root / "house_Oslo.txt").rename(root / "house_Bergen.txt")
        sync(catalog, FilesConnector(root), now, retire=True)
        assert sorted(d.title for d in catalog.documents()) == ["house Bergen", "house Berlin"]
