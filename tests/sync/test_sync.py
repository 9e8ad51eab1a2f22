from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from tests_pipeline import make_pipeline, parse

from contextkit.connectors.files import FilesConnector
from contextkit.errors import EmbedderError, IndexMismatch, InputError, SourceError
from contextkit.sync import add, remove, sync
from contextkit.testing import TinyChunker, TinyEmbedder
from contextkit.types import Blob, Document, DocumentRef, ListingPage


@pytest.fixture
def docs(tmp_path):
    root = tmp_path / "docs"
    root.mkdir()
    for i in range(6):
        (root / f"d{i}.txt").write_text(f"document {i}\nsecond line\nthird line\nfourth line {i}\n")
    return root


@dataclass
class Listed:
    """A source in memory that counts what is fetched of it."""

    refs: list[DocumentRef]
    texts: dict[str, str | Document | OSError]
    complete: bool = True
    source: str = "memory:a"
    fetched: list[str] = field(default_factory=list)
    removed: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:
        yield ListingPage(tuple(self.refs), complete=self.complete, removed=self.removed, problems=self.problems)

    def fetch(self, ref: DocumentRef) -> Blob | Document:
        self.fetched.append(ref.id)
        found = self.texts[ref.id]
        if isinstance(found, OSError):
            raise found
        return found if isinstance(found, Document) else Blob(ref.id, ref.name, ref.uri, data=found.encode())


def listed(*ids: str, **changes: object) -> Listed:
    return Listed([DocumentRef(i, version="1", name=f"{i}.txt") for i in ids], {i: f"text of {i}\n" for i in ids}, **changes)


def numbers(report):
    return (report.added, report.changed, report.unchanged, report.removed, report.failed)


def texts(catalog):
    return {d.id.rsplit("/", 1)[-1]: catalog.content_text(d.content_id) for d in catalog.documents()}


def test_the_life_of_a_folder(catalog, pipeline, docs, embedder):
    def run(**settings):
        return sync(catalog, FilesConnector(docs), pipeline, retire=True, **settings)

    first = run()
    assert numbers(first) == (6, 0, 0, 0, 0)
    assert (first.embedded, first.complete, first.generation) == (12, True, 1)
    assert embedder.embedded == 12
    again = run()
    assert numbers(again) == (0, 0, 6, 0, 0)
    assert again.generation == 1
    (docs / "d0.txt").write_text("document 0\nsecond line\nthird line\nanother line\n")
    changed = run()
    assert numbers(changed) == (0, 1, 5, 0, 0)
    assert (changed.embedded, changed.reused) == (1, 1)
    (docs / "d1.txt").rename(docs / "moved.txt")
    moved = run()
    assert numbers(moved) == (1, 0, 5, 1, 0)
    assert (moved.moved, moved.embedded) == (1, 0)
    assert [old.rsplit("/", 1)[-1] + new.rsplit("/", 1)[-1] for old, new in moved.moves] == ["d1.txtmoved.txt"]
    os.utime(docs / "d2.txt")
    assert numbers(run()) == (0, 0, 6, 0, 0)
    (docs / "d3.txt").unlink()
    assert numbers(run()) == (0, 0, 5, 1, 0)
    assert texts(catalog) == {p.name: p.read_text() for p in docs.iterdir()}


def test_build_retires_nothing(catalog, pipeline, docs):
    sync(catalog, FilesConnector(docs), pipeline, retire=False)
    (docs / "d3.txt").unlink()
    report = sync(catalog, FilesConnector(docs), pipeline, retire=False)
    assert report.removed == 0
    assert len(texts(catalog)) == 6


def test_unchanged_is_not_fetched(catalog, pipeline):
    source = listed("a", "b")
    sync(catalog, source, pipeline, retire=True)
    assert sorted(source.fetched) == ["a", "b"]
    source.fetched.clear()
    sync(catalog, source, pipeline, retire=True)
    assert source.fetched == []
    source.refs[0] = replace(source.refs[0], metadata={"team": "x"}, access=("group:x",), uri="u")
    report = sync(catalog, source, pipeline, retire=True)
    assert (report.changed, source.fetched, report.embedded) == (1, [], 0)
    stored = catalog.document("a")
    assert (stored.metadata, stored.access, stored.uri) == ({"team": "x", "words": 3}, ("group:x",), "u")


def test_without_a_version_everything_is_read_but_not_parsed_again(catalog, embedder):
    parsed: list[str] = []

    def counting(blobs):
        for blob, outcome in parse(blobs):
            parsed.append(blob.id)
            yield blob, outcome

    pipeline = replace(make_pipeline(embedder), parse=counting)
    source = listed("a", "b")
    source.refs = [replace(ref, version="") for ref in source.refs]
    sync(catalog, source, pipeline, retire=True)
    report = sync(catalog, source, pipeline, retire=True)
    assert numbers(report) == (0, 0, 2, 0, 0)
    assert sorted(source.fetched) == ["a", "a", "b", "b"]
    assert sorted(parsed) == ["a", "b"]
    source.texts["b"] = "new"
    assert numbers(sync(catalog, source, pipeline, retire=True)) == (0, 1, 1, 0, 0)


def test_a_failed_document_keeps_its_last_good_version(catalog, pipeline):
    source = listed("a", "b")
    sync(catalog, source, pipeline, retire=True)
    source.refs = [replace(ref, version="2") for ref in source.refs] + [DocumentRef("c", version="1")]
    source.texts = {"a": "BROKEN", "b": OSError("the line is dead"), "c": "fine \ud800".replace("\ud800", "") + "text"}
    report = sync(catalog, source, pipeline, retire=True)
    assert numbers(report) == (1, 0, 0, 0, 2)
    assert {(f.id, f.reason) for f in report.failures} == {("a", "a is broken"), ("b", "the line is dead")}
    assert texts(catalog) == {"a": "text of a\n", "b": "text of b\n", "c": "fine text"}
    source.fetched.clear()
    source.texts |= {"a": "good again", "b": "too"}
    assert numbers(sync(catalog, source, pipeline, retire=True)) == (0, 2, 1, 0, 0)
    assert sorted(source.fetched) == ["a", "b"]


def test_a_document_that_cannot_be_stored_is_a_failure(catalog, pipeline):
    source = listed("a", "b")
    source.texts["a"] = Document("a", "bad \udcff text")
    source.texts["b"] = Document("b", "fine", metadata={"k": object()})
    report = sync(catalog, source, pipeline, retire=True)
    assert sorted(f.id for f in report.failures) == ["a", "b"]
    assert "surrogate" in report.failures[0].reason


def test_documents_with_text_of_their_own(catalog, pipeline):
    source = listed("a")
    source.texts["a"] = Document("a", "own text", title="T", metadata={"by": "ann", "team": "wrong"}, access=["user:ann"])
    source.refs = [DocumentRef("a", version="1", metadata={"team": "right"})]
    sync(catalog, source, pipeline, retire=True)
    stored = catalog.document("a")
    assert stored.metadata == {"by": "ann", "team": "right"}, "a text must not choose its own team"
    assert stored.access == ("user:ann",)
    source.fetched.clear()
    sync(catalog, source, pipeline, retire=True)
    assert source.fetched == []
    source.refs = [replace(source.refs[0], metadata={"team": "new"})]
    sync(catalog, source, pipeline, retire=True)
    stored = catalog.document("a")
    assert (stored.metadata["team"], stored.access) == ("new", ("user:ann",)), "rights that the text brought are not lost"


@pytest.mark.parametrize("how", ["incomplete", "problems"])
def test_only_a_complete_listing_retires(catalog, pipeline, how):
    source = listed("a", "b", "c")
    sync(catalog, source, pipeline, retire=True)
    source.refs = source.refs[:1]
    if how == "incomplete":
        source.complete = False
    else:
        source.problems = (("b", "unreadable"),)
    report = sync(catalog, source, pipeline, retire=True)
    assert (report.removed, report.complete) == (0, False)
    assert len(texts(catalog)) == 3
    source.complete, source.removed = False, ("b", "never known")
    report = sync(catalog, source, pipeline, retire=True)
    assert report.removed_ids == ("b",)


def test_the_brake(catalog, pipeline):
    source = listed(*(f"d{i:02}" for i in range(45)))
    sync(catalog, source, pipeline, retire=True)
    everything = list(source.refs)
    source.refs = everything[:20]
    with pytest.raises(InputError, match=r"25 of the 45 .*--allow-mass-delete"):
        sync(catalog, source, pipeline, retire=True)
    assert len(texts(catalog)) == 45
    source.refs = everything[:25]
    assert sync(catalog, source, pipeline, retire=True).removed == 20
    source.refs = []
    with pytest.raises(InputError, match="25 of the 25"):
        sync(catalog, source, pipeline, retire=True)
    assert sync(catalog, source, pipeline, retire=True, allow_mass_delete=True).removed == 25
    catalog.rollback(1)
    assert len(texts(catalog)) == 45


def test_a_source_that_fails_changes_nothing(catalog, pipeline):
    source = listed("a", "b")
    sync(catalog, source, pipeline, retire=True)

    class Failing(Listed):
        def list(self, cursor=None):
            yield ListingPage((self.refs[0],))
            raise OSError("connection reset")

    failing = Failing(source.refs, source.texts)
    with pytest.raises(SourceError, match="connection reset"):
        sync(catalog, failing, pipeline, retire=True)
    assert len(texts(catalog)) == 2
    assert catalog.generation() == 1


def test_sources_do_not_touch_each_other(catalog, pipeline):
    first, second = listed("a", "b"), listed("b", "c", source="memory:b")
    sync(catalog, first, pipeline, retire=True)
    report = sync(catalog, second, pipeline, retire=True)
    assert (report.added, report.failed) == (1, 1)
    assert "memory:a" in report.failures[0].reason
    add(catalog, [Document("k", "kit")], pipeline)
    with pytest.raises(InputError, match="memory:a"):
        add(catalog, [Document("a", "mine")], pipeline)
    sync(catalog, first, pipeline, retire=True)
    assert catalog.sources() == {"kit": 1, "memory:a": 2, "memory:b": 1}
    assert sorted(texts(catalog)) == ["a", "b", "c", "k"]


def test_a_listing_that_names_an_id_twice_is_not_complete(catalog, pipeline):
    source = listed("a", "b", "a")
    report = sync(catalog, source, pipeline, retire=True)
    assert (report.added, report.failed, report.complete) == (2, 1, False)


def test_another_pipeline_makes_everything_new_and_keeps_what_it_can(catalog, embedder, docs):
    pipeline = make_pipeline(embedder)
    sync(catalog, FilesConnector(docs), pipeline, retire=True)
    before = embedder.embedded
    newer = replace(pipeline, parser_version="test 2")
    report = sync(catalog, FilesConnector(docs), newer, retire=True)
    assert (report.unchanged, report.embedded, embedder.embedded) == (6, 0, before), "the same text by another parser"
    assert catalog.identity.parser == "test 2"
    wider = replace(newer, chunker=TinyChunker(2))
    report = sync(catalog, FilesConnector(docs), wider, retire=True)
    assert (report.changed, report.embedded) == (6, 12)
    with pytest.raises(IndexMismatch, match="other"):
        sync(catalog, FilesConnector(docs), make_pipeline(TinyEmbedder("other")), retire=True)


def test_a_run_that_dies_goes_on(catalog, embedder):
    source = listed(*(f"d{i}" for i in range(8)))
    source.texts = {i: "".join(f"{i} line {j}\n" for j in range(3 * 600)) for i in source.texts}

    class Dying(TinyEmbedder):
        def embed(self, chunks):
            if self.embedded > 2_000:
                raise EmbedderError("the endpoint is gone")
            return super().embed(chunks)

    dying = Dying()
    with pytest.raises(EmbedderError):
        sync(catalog, source, make_pipeline(dying), retire=True)
    assert catalog.visible().n_documents == 0, "nothing shows before the commit"
    staged = len(catalog.staged("memory:a"))
    assert staged > 0
    source.fetched.clear()
    report = sync(catalog, source, make_pipeline(embedder), retire=True)
    assert report.added == 8
    assert len(source.fetched) == 8 - staged
    assert embedder.embedded <= 8 * 600 - 2_000, "what was embedded is not embedded again"
    assert texts(catalog) == source.texts
    assert catalog.staged("memory:a") == {}


def test_what_was_staged_and_then_deleted_never_shows(catalog, embedder):
    source = listed("a", "b")

    class Dying(TinyEmbedder):
        calls = 0

        def embed(self, chunks):
            raise EmbedderError("dead")

    sync(catalog, listed("x", source="memory:a"), make_pipeline(embedder), retire=False)
    source.refs[0] = replace(source.refs[0], version="1")
    with pytest.raises(EmbedderError):
        sync(catalog, source, make_pipeline(Dying()), retire=True)
    catalog.stage("memory:a", [], [], [], lambda text: [])
    source.refs = source.refs[1:]
    report = sync(catalog, source, make_pipeline(embedder), retire=True)
    assert sorted(texts(catalog)) == ["b"]
    assert (report.added, report.removed) == (1, 1)


def test_a_removed_document_comes_back_with_its_source(catalog, pipeline):
    source = listed("a", "b")
    sync(catalog, source, pipeline, retire=True)
    remove(catalog, ["a"])
    assert sorted(texts(catalog)) == ["b"]
    report = sync(catalog, source, pipeline, retire=True)
    assert (report.added_ids, report.embedded) == (("a",), 0)


def test_after_a_rollback_the_source_wins_again(catalog, pipeline):
    source = listed("a")
    sync(catalog, source, pipeline, retire=True)
    source.refs, source.texts = [replace(source.refs[0], version="2")], {"a": "newer"}
    sync(catalog, source, pipeline, retire=True)
    catalog.rollback(1)
    assert texts(catalog) == {"a": "text of a\n"}
    report = sync(catalog, source, pipeline, retire=True)
    assert (report.changed, report.embedded) == (1, 0)
    assert texts(catalog) == {"a": "newer"}


def test_progress_is_told(catalog, pipeline, docs):
    told: list[tuple[str, int, int | None]] = []
    sync(catalog, FilesConnector(docs), pipeline, retire=True, progress=lambda *step: told.append(step))
    assert [s for s in told if s[0] == "read"] == [("read", i, 6) for i in range(1, 7)]
    assert ("list", 6, None) in told
    assert ("embed", 12, None) in told
    assert told[-1] == ("commit", 1, 1)


def test_a_file_that_changes_while_it_is_read_is_not_remembered_wrongly(catalog, embedder, docs):
    def racing(blobs):
        for blob in blobs:
            if blob.name == "d0.txt":
                (docs / "d0.txt").write_text("written while it was read\n")
            yield from parse([blob])

    sync(catalog, FilesConnector(docs), replace(make_pipeline(embedder), parse=racing), retire=True)
    (docs / "copy.txt").write_text("document 0\nsecond line\nthird line\nfourth line 0\n")  # the bytes that d0 had
    sync(catalog, FilesConnector(docs), make_pipeline(embedder), retire=True)
    assert texts(catalog) == {p.name: p.read_text() for p in docs.iterdir()}


def test_an_empty_folder_and_empty_files(catalog, pipeline, tmp_path):
    (tmp_path / "none").mkdir()
    assert numbers(sync(catalog, FilesConnector(tmp_path / "none"), pipeline, retire=True)) == (0, 0, 0, 0, 0)
    (tmp_path / "none" / "empty.txt").write_text("")
    (tmp_path / "none" / "blank.txt").write_text(" \n\n ")
    report = sync(catalog, FilesConnector(tmp_path / "none"), pipeline, retire=True)
    assert (report.added, report.embedded) == (2, 0)
    assert texts(catalog) == {"empty.txt": "", "blank.txt": " \n\n "}


def test_an_interrupt_leaves_the_index_whole_and_a_second_run_finishes(catalog, embedder):
    source = listed(*(f"d{i}" for i in range(6)))
    source.texts = {i: "".join(f"{i} line {j}\n" for j in range(3 * 700)) for i in source.texts}

    def interrupt(stage, done, total):
        if stage == "embed" and done >= 2_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync(catalog, source, make_pipeline(embedder), retire=True, progress=interrupt)
    assert catalog.visible().n_documents == 0
    assert catalog._db._writing().execute("SELECT outcome FROM runs").fetchall() == [("interrupted",)]
    before = embedder.embedded
    assert sync(catalog, source, make_pipeline(embedder), retire=True).added == 6
    assert texts(catalog) == source.texts
    assert embedder.embedded - before <= 6 * 700 - 2_000
