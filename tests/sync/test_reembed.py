"""Another embedder for an index: one new generation, the old one serving until then, and back again."""

from __future__ import annotations

import pytest
from tests_pipeline import make_pipeline

import contextkit as ck
from contextkit.catalog import Catalog, Vectors
from contextkit.connectors.files import FilesConnector
from contextkit.errors import IndexMismatch
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.retrieval.terms import terms
from contextkit.sync import add, reembed, sync
from contextkit.testing import TinyEmbedder
from contextkit.types import Document


def second():
    return TinyEmbedder("second", 48)


def found(catalog, embedder, question="beta"):
    vectors = Vectors(catalog, FaissIndex, FaissIndex.load)
    ids, scores = vectors.search(embedder.embed_queries([question]), 5, catalog.visible())
    return [c.text for c in catalog.chunks(ids[0][ids[0] >= 0])], scores[0]


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for i in range(9):
        (folder / f"d{i}.txt").write_text(f"alpha {i}\nbeta {i % 3}\ngamma\ndelta {i}\n")
    (folder / "twin.txt").write_text((folder / "d1.txt").read_text())
    return folder


def test_a_new_generation_with_the_new_vectors(catalog, pipeline, docs):
    sync(catalog, FilesConnector(docs), pipeline, retire=True)
    add(catalog, [Document("k", "kit text\n", access=["user:ann"], metadata={"a": 1})], pipeline)
    before = {d.id: (catalog.content_text(d.content_id), d.metadata, d.access) for d in catalog.everything()}
    new = second()
    report = reembed(catalog, make_pipeline(new))
    assert (report.changed, report.unchanged, report.generation) == (11, 0, 3)
    assert report.embedded == new.embedded > 0
    assert catalog.identity.embedder == new.info
    assert {d.id: (catalog.content_text(d.content_id), d.metadata, d.access) for d in catalog.everything()} == before
    texts, scores = found(catalog, new)
    assert "beta" in texts[0]
    assert scores[0] == pytest.approx(max(scores))
    assert catalog.examine(terms, Vectors(catalog, FaissIndex, FaissIndex.load)).sound
    with pytest.raises(IndexMismatch, match="reembed --embedder tiny"):
        sync(catalog, FilesConnector(docs), pipeline, retire=True)
    again = reembed(catalog, make_pipeline(new))
    assert (again.changed, again.embedded, again.generation) == (0, 0, 3)


def test_the_next_sync_embeds_nothing(catalog, pipeline, docs):
    sync(catalog, FilesConnector(docs), pipeline, retire=True)
    new = second()
    reembed(catalog, make_pipeline(new))
    done = new.embedded
    report = sync(catalog, FilesConnector(docs), make_pipeline(new), retire=True)
    assert (report.unchanged, report.changed, new.embedded - done) == (10, 0, 0)
    (docs / "d4.txt").write_text("alpha 4\nbeta 1\ngamma\nanother line\n")
    report = sync(catalog, FilesConnector(docs), make_pipeline(new), retire=True)
    assert (report.changed, report.unchanged) == (1, 9)
    assert new.embedded - done == 1


def test_rollback_brings_the_old_embedder_back_and_gc_drops_the_other(catalog, pipeline, embedder, docs):
    sync(catalog, FilesConnector(docs), pipeline, retire=True)
    old = found(catalog, embedder)
    reembed(catalog, make_pipeline(second()))
    embedded = embedder.embedded
    catalog.rollback(1)
    assert catalog.identity.embedder == embedder.info
    assert found(catalog, embedder)[0] == old[0]
    assert sync(catalog, FilesConnector(docs), pipeline, retire=True).unchanged == 10
    assert embedder.embedded == embedded
    catalog.rollback(2)
    assert catalog.identity.embedder == second().info
    catalog.gc(1)
    with catalog._db.reading() as c:
        assert {row[0] for row in c.execute("SELECT length(passage) FROM vectors")} == {48}
        assert [row[0] for row in c.execute("SELECT DISTINCT embedder_id FROM contents")] == [2]
    assert "beta" in found(catalog, second())[0][0]
    assert catalog.examine(terms, Vectors(catalog, FaissIndex, FaissIndex.load)).sound


def test_the_old_generation_serves_until_the_new_one_is_made(catalog, pipeline, embedder, docs):
    sync(catalog, FilesConnector(docs), pipeline, retire=True)
    expected = found(catalog, embedder)[0]
    seen = []

    class Slow(TinyEmbedder):
        def embed(self, chunks):
            with Catalog.open(catalog.folder, read_only=True) as other:
                seen.append(found(other, embedder)[0])
            return super().embed(chunks)

    with Catalog.open(catalog.folder, read_only=True) as reader:
        vectors = Vectors(reader, FaissIndex, FaissIndex.load)
        reader.visible()
        reembed(catalog, make_pipeline(Slow("second", 48)))
        assert seen == [expected]
        with pytest.raises(IndexMismatch, match="open it again"):
            vectors.search(embedder.embed_queries(["beta"]), 3, reader.visible())


def test_a_run_that_dies_goes_on_where_it_was(catalog, pipeline, embedder, docs, monkeypatch):
    monkeypatch.setattr("contextkit.sync.reembedding._BATCH", 4)
    sync(catalog, FilesConnector(docs), pipeline, retire=True)

    class Dies(TinyEmbedder):
        def embed(self, chunks):
            if self.embedded > 5:
                raise RuntimeError("the model is gone")
            return super().embed(chunks)

    dying = Dies("second", 48)
    with pytest.raises(RuntimeError):
        reembed(catalog, make_pipeline(dying))
    assert catalog.identity.embedder == embedder.info
    assert found(catalog, embedder)[0]
    new = second()
    report = reembed(catalog, make_pipeline(new))
    assert report.changed == 10
    total = second()
    with Catalog.create(catalog.folder.parent / "other", total.info) as fresh:
        sync(fresh, FilesConnector(docs), make_pipeline(total), retire=True)
    assert new.embedded + dying.embedded == total.embedded


def test_a_kit_learns_of_it(tmp_path):
    folder = tmp_path / "index"
    with ck.open(folder, embedder=TinyEmbedder()) as kit:
        kit.add([Document("a", "The pump runs.")])
        with ck.open(folder, embedder=TinyEmbedder()) as other:
            assert other.search("pump")[0].document_id == "a"
            report = kit.reembed(second())
            assert report.changed == 1
            assert kit.search("pump")[0].document_id == "a"
            with pytest.raises(IndexMismatch, match="'second'.*'tiny'.*reembed"):
                other.search("pump")
            other.rollback(1)
            assert other.search("pump")[0].document_id == "a"
        with pytest.raises(IndexMismatch):
            kit.search("pump")
