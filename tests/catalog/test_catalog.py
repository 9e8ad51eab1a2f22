from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.catalog import Catalog, exists, read_manifest
from contextkit.catalog.staging import NewDocument, check_chunks, digest
from contextkit.errors import (
    ContextkitError,
    IndexDamaged,
    IndexLocked,
    IndexMismatch,
    IndexNotFound,
    InputError,
    KitClosed,
    ReadOnlyIndex,
)
from contextkit.retrieval.terms import terms
from contextkit.sync import add, remove
from contextkit.testing import TinyChunker, TinyEmbedder
from contextkit.types import Block, BlockKind, Chunk, Document, Principal, Span

TEXT = "The pump runs.\nIt is loud.\n\n  Ann owns it.\nMay 2024.\n\n\n"


def test_every_character_comes_back(catalog, pipeline):
    blocks = (Block(BlockKind.PARAGRAPH, 0, 26), Block(BlockKind.LIST_ITEM, 30, 42, 1))
    document = Document(
        "a",
        TEXT,
        "Pumps",
        "file:///a",
        {"n": 1, "deep": {"x": [1, None]}},
        ["group:eng"],
        "text/markdown",
        "en",
        blocks,
        (Span(0, 27), Span(28, 54)),
    )
    add(catalog, [document], pipeline)
    ann = Principal("ann", ["eng"])
    stored = catalog.document("a")
    assert catalog.load(stored) == replace(document, access=("group:eng",))
    chunks = catalog.chunks_of(stored.content_id)
    assert [(c.start, c.end, c.text) for c in chunks] == [(0, 42, TEXT[:42]), (43, 52, TEXT[43:52])]
    assert [c.ordinal for c in chunks] == [0, 1]
    assert [c.pages for c in chunks] == [(1, 2), (2, 2)]
    assert [c.header for c in chunks] == ["Pumps", "Pumps"]
    assert [[TEXT[a:b] for a, b in c.sentences] for c in chunks] == [
        ["The pump runs.", "It is loud.", "Ann owns it."],
        ["May 2024."],
    ]
    assert catalog.neighbours(chunks[0], 1, 1) == chunks
    assert catalog.neighbours(chunks[1], 0, 5) == chunks[1:]
    assert catalog.documents(catalog.visible(principal=ann)) == [stored]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=1, max_size=4))
def test_any_text_is_stored_exactly(tmp_path_factory, texts):
    from tests_pipeline import make_pipeline

    embedder = TinyEmbedder()
    with Catalog.create(tmp_path_factory.mktemp("index") / "i", embedder.info) as catalog:
        documents = [Document(str(i), text) for i, text in enumerate(texts)]
        add(catalog, documents, make_pipeline(embedder))
        for document in documents:
            assert catalog.text(document.id) == document.text


def test_vectors_come_back(catalog, pipeline, embedder):
    add(catalog, [Document("a", TEXT), Document("b", "Another text.")], pipeline)
    chunks = TinyChunker().chunk(Document("a", TEXT))
    made = embedder.embed(chunks)
    ids = [c.id for c in catalog.chunks_of(catalog.document("a").content_id)]
    assert np.all((catalog.passage_vectors(ids) * made.passages).sum(axis=1) > 0.999)
    first, second = catalog.sentence_vectors(ids)
    assert first.shape == (3, 32)
    assert second.shape == (1, 32)
    assert np.all((np.concatenate([first, second]) * made.sentences).sum(axis=1) > 0.96)
    assert np.array_equal(catalog.passage_vectors(ids[::-1]), catalog.passage_vectors(ids)[::-1])
    assert catalog.passage_vectors([]).shape == (0, 32)


def test_twins_share_chunks_and_stay_two_documents(catalog, pipeline, embedder):
    report = add(catalog, [Document("a", TEXT), Document("b", TEXT, metadata={"x": 1})], pipeline)
    assert (report.added, report.embedded) == (2, 2)
    seen = catalog.visible()
    assert (seen.n_documents, seen.n_chunks) == (2, 2)
    content = catalog.document("a").content_id
    assert [d.id for d in catalog.documents_of([content], seen)[content]] == ["a", "b"]
    only = catalog.visible({"x": 1})
    assert [d.id for d in catalog.documents_of([content], only)[content]] == ["b"]
    remove(catalog, ["a"])
    assert catalog.visible().n_chunks == 2
    remove(catalog, ["b"])
    assert catalog.visible().n_chunks == 0


def test_metadata_and_rights_change_without_embedding(catalog, pipeline, embedder):
    add(catalog, [Document(str(i), f"text {i}\n") for i in range(30)], pipeline)
    before = embedder.embedded
    report = add(catalog, [Document(str(i), f"text {i}\n", metadata={"n": i}, access=["group:x"]) for i in range(30)], pipeline)
    assert (report.changed, report.embedded, embedder.embedded) == (30, 0, before)
    assert catalog.visible().n_documents == 0
    assert catalog.visible({"n": 3}, Principal("u", ["x"])).n_documents == 1


def test_rights(catalog, pipeline):
    rights = {"all": None, "nobody": [], "ann": ["user:ann"], "eng": ["group:eng"], "both": ["user:bob", "group:eng"]}
    add(catalog, [Document(i, f"text {i}", access=access) for i, access in rights.items()], pipeline)

    def seen(principal):
        return {d.id for d in catalog.documents(catalog.visible(principal=principal))}

    assert seen(None) == {"all"}
    assert seen(Principal("ann")) == {"all", "ann"}
    assert seen(Principal("eve", ["eng"])) == {"all", "eng", "both"}
    assert seen(Principal("bob")) == {"all", "both"}
    assert seen(Principal("group:eng")) == {"all"}
    visible = catalog.visible(principal=Principal("ann"))
    assert catalog.document("eng", visible) is None
    with pytest.raises(InputError, match="eng"):
        catalog.text("eng", visible)
    secret = catalog.document("nobody")
    assert catalog.documents_of([secret.content_id], visible) == {}
    assert not visible.allowed[secret.first_chunk]


def test_filters_reach_documents_and_chunks(catalog, pipeline):
    add(
        catalog,
        [Document(str(i), f"line {i}\n" * 7, title=f"t{i % 2}", metadata={"n": i, "tags": ["x", f"y{i}"]}) for i in range(10)],
        pipeline,
    )
    for where, expected in [
        ({"n": {"$gte": 7}}, {"7", "8", "9"}),
        ({"tags": "y3"}, {"3"}),
        ({"title": "t1", "n": {"$lt": 4}}, {"1", "3"}),
        ({"id": {"$in": ["2", "5", "x"]}}, {"2", "5"}),
        ({"source": "kit", "$not": {"n": {"$gt": 0}}}, {"0"}),
        ({"n": 77}, set()),
    ]:
        seen = catalog.visible(where)
        assert {d.id for d in catalog.documents(seen)} == expected
        assert seen.allowed.sum() == seen.n_chunks == 3 * len(expected)
        ids, _ = catalog.lexical(terms("line"), 100, seen.allowed)
        assert {int(i) for i in ids} == set(np.flatnonzero(seen.allowed).tolist())


def test_recent_answers_are_kept_and_booleans_are_no_numbers(catalog, pipeline):
    add(catalog, [Document("a", "x", metadata={"n": 1}), Document("b", "y", metadata={"n": True})], pipeline)
    assert catalog.visible() is catalog.visible()
    assert [d.id for d in catalog.documents(catalog.visible({"n": 1}))] == ["a"]
    assert [d.id for d in catalog.documents(catalog.visible({"n": True}))] == ["b"]
    old = catalog.visible()
    add(catalog, [Document("c", "z")], pipeline)
    assert catalog.visible() is not old


# -------------------------------------------------------------------------------------------------------------- generations


def state(catalog, generation=None):
    return {
        d.id: (catalog.content_text(d.content_id), d.metadata) for d in catalog.documents(catalog.visible(generation=generation))
    }


def test_generations_rollback_and_diff(catalog, pipeline):
    assert catalog.generation() == 0
    add(catalog, [Document("a", "one"), Document("b", "two")], pipeline)
    one = state(catalog)
    add(catalog, [Document("a", "one changed"), Document("c", "three")], pipeline)
    two = state(catalog)
    remove(catalog, ["b"])
    assert [(g.added, g.changed, g.removed) for g in catalog.generations()] == [(2, 0, 0), (1, 1, 0), (0, 0, 1)]
    assert state(catalog, 1) == one
    assert state(catalog, 2) == two
    assert state(catalog, 0) == {}
    done = catalog.rollback(1)
    assert (done.generation, done.added, done.changed, done.removed) == (4, ("b",), ("a",), ("c",))
    assert state(catalog) == one
    change = catalog.difference(1, 3)
    assert (change.added, change.changed, change.removed) == (("c",), ("a",), ("b",))
    catalog.rollback(2)
    assert state(catalog) == two
    catalog.rollback(0)
    assert state(catalog) == {}
    catalog.rollback(2)
    assert state(catalog) == two
    assert catalog.rollback(2).generation == catalog.generation() == 7
    with pytest.raises(InputError, match=r"no generation 99; kept are 1-7"):
        catalog.rollback(99)
    with pytest.raises(InputError, match="99"):
        catalog.visible(generation=99)


def test_the_same_again_makes_no_generation(catalog, pipeline):
    add(catalog, [Document("a", "one")], pipeline)
    report = add(catalog, [Document("a", "one")], pipeline)
    assert (report.generation, report.unchanged, report.changed) == (1, 1, 0)


def test_gc_drops_what_no_kept_generation_shows(catalog, pipeline, embedder):
    for i in range(6):
        add(catalog, [Document("a", f"version {i}\n" * 9), Document(f"d{i}", f"own {i}")], pipeline)
    catalog.pin(2, "release")
    pinned = state(catalog, 2)
    now = state(catalog)
    collected = catalog.gc(keep=2)
    assert collected.generations == 3
    assert (collected.contents, collected.chunks) == (3, 9)
    assert [g.id for g in catalog.generations()] == [2, 5, 6]
    assert state(catalog, 2) == pinned
    assert state(catalog) == now
    with pytest.raises(InputError, match=r"kept are 2, 5-6"):
        catalog.visible(generation=3)
    seen = catalog.visible(generation=2)
    assert len(catalog.lexical(terms("version 1"), 9, seen.allowed)[0]) == 4
    catalog.pin(2, None)
    catalog.gc(keep=1)
    assert state(catalog) == now
    seen = catalog.visible()
    assert seen.whole
    assert catalog.document_frequencies(["version"], seen.allowed) == {"version": 3}
    last = catalog.last_chunk()
    add(catalog, [Document("n", "new")], pipeline)
    assert catalog.document("n").first_chunk == last + 1
    with pytest.raises(InputError, match="at least 1"):
        catalog.gc(0)


def test_gc_gives_space_back(catalog, pipeline):
    for i in range(12):
        add(catalog, [Document("a", f"round {i} " + "\n".join(f"line {i} {j} words here" for j in range(3000)))], pipeline)
    catalog.gc(1)
    small = catalog.size()
    add(catalog, [Document("a", "short")], pipeline)
    catalog.gc(1)
    assert catalog.size() < small / 2


# ------------------------------------------------------------------------------------------------------------ open and close


def test_create_and_open(tmp_path, embedder):
    folder = tmp_path / "deep" / "index"
    assert not exists(folder)
    Catalog.create(folder, embedder.info, chunker="c1", parser="p1").close()
    assert exists(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["format"], manifest["embedder"]["name"], manifest["chunker"]) == (1, "tiny", "c1")
    with Catalog.open(folder) as catalog:
        assert catalog.identity == read_manifest(folder)
        catalog.require(embedder.info)
        catalog.require(replace(embedder.info, backend="other"))
        with pytest.raises(IndexMismatch, match=r"'tiny'.*'other'.*digest"):
            catalog.require(TinyEmbedder("other").info)
    with pytest.raises(InputError, match="already"):
        Catalog.create(folder, embedder.info)
    catalog.close()
    with pytest.raises(KitClosed):
        catalog.generation()


def test_a_lost_manifest_comes_back(tmp_path, embedder):
    folder = tmp_path / "index"
    Catalog.create(folder, embedder.info).close()
    (folder / "manifest.json").write_text("{broken")
    with pytest.raises(IndexDamaged, match=r"manifest\.json"):
        read_manifest(folder)
    with Catalog.open(folder) as catalog:
        assert read_manifest(folder) == catalog.identity


def test_wrong_folders(tmp_path, embedder):
    with pytest.raises(IndexNotFound, match="does not exist"):
        Catalog.open(tmp_path / "no")
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexNotFound, match="file"):
        Catalog.open(tmp_path / "file")
    with pytest.raises(InputError, match="file"):
        Catalog.create(tmp_path / "file", embedder.info)
    with pytest.raises(InputError, match=r"other files \(file\)"):
        Catalog.create(tmp_path, embedder.info)
    (tmp_path / "empty").mkdir()
    with pytest.raises(IndexNotFound, match="contextkit index build"):
        Catalog.open(tmp_path / "empty")
    with pytest.raises(IndexNotFound):
        read_manifest(tmp_path / "empty")


def damage(folder: Path, kind: str) -> None:
    path = folder / "catalog.sqlite"
    data = path.read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "half":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "garbage":
        path.write_bytes(os.urandom(len(data)))
    elif kind == "foreign":
        path.unlink()
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
        connection.close()
    elif kind == "lost":
        path.unlink()


@pytest.mark.parametrize("kind", ["empty", "half", "garbage", "foreign", "lost"])
@pytest.mark.parametrize("read_only", [False, True])
def test_damage_is_named(tmp_path, embedder, kind, read_only):
    folder = tmp_path / "index"
    Catalog.create(folder, embedder.info).close()
    damage(folder, kind)
    before = sorted((p.name, p.read_bytes()) for p in folder.iterdir())
    with pytest.raises(IndexDamaged) as caught:
        Catalog.open(folder, read_only=read_only)
    assert "catalog.sqlite" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted((p.name, p.read_bytes()) for p in folder.iterdir()) == before, "nothing was made good in silence"


def test_a_damaged_page_is_found_when_read(tmp_path, embedder, pipeline):
    folder = tmp_path / "index"
    with Catalog.create(folder, embedder.info) as catalog:
        add(catalog, [Document(str(i), f"text {i} " * 200) for i in range(50)], pipeline)
    path = folder / "catalog.sqlite"
    data = bytearray(path.read_bytes())
    for page in range(4096 * 2, len(data), 4096):
        data[page : page + 200] = b"\xff" * 200
    path.write_bytes(bytes(data))

    def read_all() -> None:
        with Catalog.open(folder) as catalog:
            for i in range(50):
                catalog.text(str(i))

    with pytest.raises(ContextkitError, match=r"damaged|contradicts|index doctor|does not say"):
        read_all()


def test_a_newer_format_is_refused(tmp_path, embedder):
    folder = tmp_path / "index"
    Catalog.create(folder, embedder.info).close()
    connection = sqlite3.connect(folder / "catalog.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(IndexMismatch, match="format 99"):
        Catalog.open(folder)


def test_reading_only(catalog, pipeline):
    add(catalog, [Document("a", "one")], pipeline)
    with Catalog.open(catalog.folder, read_only=True) as reader:
        assert reader.text("a") == "one"
        with pytest.raises(ReadOnlyIndex):
            add(reader, [Document("b", "two")], pipeline)
        add(catalog, [Document("b", "two")], pipeline)
        assert reader.text("b") == "two", "a commit by others is seen without opening again"


NOBODY = """
import os, sys
from contextkit.catalog import Catalog, Vectors
from contextkit.errors import ContextkitError
import filelock, numpy, zstandard
os.setuid(65534)
with Catalog.open(sys.argv[1], read_only=True) as catalog:
    print(catalog.text("a"), "|", catalog.note)
try:
    Catalog.open(sys.argv[1])
except ContextkitError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_read_only_folder(embedder, pipeline):
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "index"
        with Catalog.create(folder, embedder.info) as catalog:
            add(catalog, [Document("a", "one")], pipeline)
        for path in (Path(name), folder, *folder.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        done = subprocess.run([sys.executable, "-c", NOBODY, str(folder)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("one | opened as immutable"), done.stderr
    assert lines[1] in ("ReadOnlyIndex", "ContextkitError"), done.stderr


# ------------------------------------------------------------------------------------------------------------------ writers


def test_a_second_writer_is_told_who_writes(catalog, pipeline):
    other = Catalog.open(catalog.folder)
    with catalog.writing("sync"):
        with pytest.raises(IndexLocked, match=rf"process {os.getpid()} on .*sync since"):
            add(other, [Document("a", "one")], pipeline, wait=0.05)
        with catalog.writing("nested"):
            pass
    add(other, [Document("a", "one")], pipeline, wait=0.05)
    other.close()


def test_a_second_writer_waits(catalog, pipeline):
    other = Catalog.open(catalog.folder)
    entered = threading.Event()

    def hold():
        with catalog.writing("slow"):
            entered.set()
            threading.Event().wait(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    add(other, [Document("a", "one")], pipeline, wait=10)
    thread.join()
    assert catalog.text("a") == "one"
    other.close()


def test_readers_in_many_threads_beside_a_writer(catalog, pipeline):
    add(catalog, [Document("a", "x 0"), Document("b", "x 0")], pipeline)
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            seen = catalog.visible()
            texts = {catalog.content_text(d.content_id) for d in catalog.documents(seen)}
            if len(texts) != 1:
                wrong.append(texts)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(1, 15):
        add(catalog, [Document("a", f"x {i}"), Document("b", f"x {i}")], pipeline)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == [], "a reader saw half a commit"


def test_wrong_documents_change_nothing(catalog, pipeline):
    add(catalog, [Document("a", "one")], pipeline)
    for wrong, words in [
        ([Document("b", "x"), Document("b", "y")], "'b'"),
        ([Document("b", "x"), Document("c", "\ud800")], "surrogate"),
        ([Document("b", "x"), Document("c", "y", metadata={"k": object()})], "JSON"),
        ([Document("b", "x"), Document("c", "y", metadata={"k": float("nan")})], "JSON"),
        ([Document("b", "x"), Document("c\ud800", "y")], "Unicode"),
    ]:
        with pytest.raises(InputError, match=words):
            add(catalog, wrong, pipeline)
        assert state(catalog) == {"a": ("one", {})}
        assert catalog.generation() == 1
    with pytest.raises(InputError, match=r"'x', 'y'"):
        remove(catalog, ["a", "x", "y"])
    assert state(catalog) == {"a": ("one", {})}


def test_a_chunker_that_loses_text_is_refused():
    document = Document("a", "one two")
    check_chunks(document, [Chunk(0, 3, "one"), Chunk(4, 7, "two")])
    for chunks in ([Chunk(0, 3, "One")], [Chunk(4, 7, "two"), Chunk(0, 3, "one")], [Chunk(0, 5, "one t"), Chunk(4, 7, "two")]):
        with pytest.raises(InputError, match="chunker"):
            check_chunks(document, chunks)


def test_a_stage_shows_nothing_and_comes_whole_or_not_at_all(catalog):
    with pytest.raises(KeyError):
        catalog.stage("s", [], [], [NewDocument("a", digest("no such content"), b"")], terms)
    assert catalog.staged("s") == {}
    assert catalog.sources() == {}


def test_journal(catalog, pipeline):
    add(catalog, [Document("a", "one")], pipeline)
    remove(catalog, ["a"])
    assert [(e["event"], e["document_id"]) for e in catalog.journal()] == [("removed", "a"), ("added", "a")]


def test_a_full_disk_is_one_clear_error(catalog, pipeline):
    add(catalog, [Document("a", "one")], pipeline)
    pages = catalog._db._writing().execute("PRAGMA page_count").fetchone()[0]
    catalog._db._writing().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(ContextkitError, match=r"disk .* full"):
        add(catalog, [Document("b", "long text\n" * 20_000)], pipeline)
    catalog._db._writing().execute("PRAGMA max_page_count = 1073741823")
    assert state(catalog) == {"a": ("one", {})}
    add(catalog, [Document("b", "long text\n" * 2_000)], pipeline)
    assert catalog.visible().n_documents == 2
