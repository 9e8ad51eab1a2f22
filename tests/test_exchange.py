"""Parquet out and in: the imported index finds what the exported one found; damaged and foreign files are refused."""

from __future__ import annotations

import json
import shutil
import tracemalloc

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

import contextkit as ck
from contextkit import exchange
from contextkit.catalog import Catalog
from contextkit.errors import IndexDamaged, IndexMismatch, InputError, MissingExtra, ReadOnlyIndex
from contextkit.exchange import FILES, MANIFEST, export_index, import_index
from contextkit.retrieval.weights import Provenance, Weights, adopt, file_name
from contextkit.testing import TinyEmbedder
from contextkit.types import Embedded, EmbedderInfo

QUESTIONS = ["hotel cap in Berlin", "days of leave", "who is on call", "nothing of the kind"]


@pytest.fixture
def source(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for i in range(40):
        (docs / f"d{i:02}.md").write_text(
            f"# Chapter {i}\n\nThe hotel cap in city {i} is {100 + i} euros. Day {i} of leave.\n\n## On call\n\n"
            + f"Engineer {i} is on call. " * (i % 7 * 20)
        )
    (docs / "twin.md").write_text((docs / "d03.md").read_text())
    (docs / "empty.txt").write_text("  \n")
    (docs / "odd.md").write_text("\n\n  # Ünïcode – 日本 😀\n\nText.\t \n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\n")
    return docs


@pytest.fixture
def kit(tmp_path, source):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as made:
        made.sync(source)
        made.add(
            [
                ck.Document(
                    "secret", "The secret hotel cap is 900 euros.", access=["group:board"], metadata={"n": [1, {"x": None}]}
                ),
                ck.Document("paged", "One.\fTwo.", pages=(ck.Span(0, 5), ck.Span(5, 9)), language="en", uri="x:y", title="T"),
            ]
        )
        yield made


@pytest.fixture
def exported(kit, tmp_path):
    kit.export(tmp_path / "exported")
    return tmp_path / "exported"


def copy_of(exported, path):
    import_index(exported, path).close()
    return ck.open(path, embedder=TinyEmbedder())


def found(kit, principal=None):
    return [
        [(h.document_id, h.span, h.text, round(h.score, 6)) for h in kit.search(q, k=15, principal=principal)] for q in QUESTIONS
    ]


def test_the_copy_finds_what_the_original_found(kit, exported, tmp_path):
    with copy_of(exported, tmp_path / "copy") as copy:
        assert found(copy) == found(kit)
        board = ck.Principal("ann", ["board"])
        assert found(copy, board) == found(kit, board) != found(kit)
        for question in QUESTIONS:
            ours, theirs = (k.context(question, budget=300) for k in (kit, copy))
            assert (ours.text, ours.tokens) == (theirs.text, theirs.tokens)
        before, after = kit.info(), copy.info()
        for name in ("documents", "chunks", "characters", "sources", "digest", "chunker", "parser", "format"):
            assert getattr(before, name) == getattr(after, name)
        assert before.uuid != after.uuid


def test_every_byte_of_the_truth_comes_over(kit, exported, tmp_path):
    tables = {
        "documents": "SELECT d.document_id, s.name, d.observed, d.fingerprint, d.version, d.uri, d.media_type, m.value, o.value, "
        "a.names, c.key, c.n_characters, c.title, c.language, c.tail, c.structure FROM documents d JOIN sources s "
        "ON s.id = d.source_id JOIN contents c ON c.id = d.content_id JOIN metadata m ON m.id = d.metadata_id JOIN metadata o "
        "ON o.id = d.own_metadata_id LEFT JOIN access_lists a ON a.id = d.access_id WHERE d.died IS NULL ORDER BY 1",
        "chunks": "SELECT c.key, k.start, k.header, k.page_first, k.page_last, k.kind, k.sentences, k.lead, k.text, v.key, "
        "v.passage, v.sentences, v.checksum FROM chunks k JOIN contents c ON c.id = k.content_id JOIN vectors v "
        "ON v.id = k.vector_id ORDER BY k.id",
        "sources": "SELECT name, cursor FROM sources ORDER BY name",
    }
    with copy_of(exported, tmp_path / "copy") as copy:
        for name, query in tables.items():
            rows = []
            for one in (kit, copy):
                with one.catalog._db.reading() as c:
                    rows.append(c.execute(query).fetchall())
            assert rows[0] == rows[1], name
            assert rows[0]


def test_the_next_sync_of_the_copy_reads_only_what_changed(kit, exported, source, tmp_path):
    with copy_of(exported, tmp_path / "copy") as copy:
        same = copy.sync(source)
        assert (same.unchanged, same.added, same.changed, same.removed, same.embedded) == (43, 0, 0, 0, 0)
        (source / "d05.md").write_text("# New\n\nAll new.\n")
        (source / "d06.md").unlink()
        report = copy.sync(source)
        assert (report.changed, report.removed) == (1, 1)


def test_only_the_current_generation_is_exported(kit, source, tmp_path):
    (source / "d05.md").unlink()
    kit.sync(source)
    done = kit.export(tmp_path / "later")
    assert done.generation == kit.info().generation
    assert done.documents == 44
    names = pq.read_table(tmp_path / "later" / "documents.parquet").column("id").to_pylist()
    assert not any("d05" in name for name in names)
    with copy_of(tmp_path / "later", tmp_path / "copy") as copy:
        assert {h[0] for q in found(copy) for h in q} == {h[0] for q in found(kit) for h in q}


def test_what_other_tools_see(kit, exported):
    chunks, vectors = (pq.read_table(exported / name) for name in FILES[1:])
    documents = {row["id"]: row for row in pq.read_table(exported / FILES[0]).to_pylist()}
    assert documents["secret"]["access"] == ["group:board"]
    assert json.loads(documents["secret"]["metadata"]) == {"n": [1, {"x": None}]}
    for document in documents.values():
        parts = [row for row in chunks.to_pylist() if row["content"] == document["content"]]
        text = "".join(p["lead"] + p["text"] for p in parts) + document["tail"]
        assert text == kit.catalog.text(document["id"], kit.catalog.visible(None, ck.Principal("a", ["board"])))
        for part in parts:
            assert text[part["start"] : part["end"]] == part["text"]
            assert all(text[s:e].strip() for s, e in zip(part["sentence_starts"], part["sentence_ends"], strict=True))
    assert vectors.schema.field("passage").type == pa.list_(pa.float32(), 32)
    assert set(chunks.column("vector").to_pylist()) == set(vectors.column("key").to_pylist())
    card = json.loads((exported / MANIFEST).read_text())
    assert card["identity"]["embedder"]["name"] == "tiny"
    assert {n: f["rows"] for n, f in card["files"].items()} == {
        FILES[0]: len(documents), FILES[1]: len(chunks), FILES[2]: len(vectors)
    }  # fmt: skip


def test_an_empty_index(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        done = kit.export(tmp_path / "exported")
    assert (done.documents, done.chunks, done.vectors, done.generation) == (0, 0, 0, 0)
    with copy_of(tmp_path / "exported", tmp_path / "copy") as copy:
        assert copy.search("anything") == []
        copy.add([ck.Document("a", "Words.")])
        assert len(copy.search("words")) == 1


def test_an_embedder_without_sentence_vectors(tmp_path):
    class Plain(TinyEmbedder):
        @property
        def info(self):
            return EmbedderInfo("plain", "d" * 64, 32, 256, sentences=False)

        def embed(self, chunks):
            return Embedded(super().embed(chunks).passages)

    with ck.open(tmp_path / "index", embedder=Plain()) as kit:
        kit.add([ck.Document("a", "Some words. More words.")])
        kit.export(tmp_path / "exported")
    import_index(tmp_path / "exported", tmp_path / "copy").close()
    with ck.open(tmp_path / "copy", embedder=Plain()) as copy:
        assert [h.document_id for h in copy.search("words")] == ["a"]


def test_an_index_may_be_exported_while_it_is_read_only(kit, tmp_path):
    with Catalog.open(kit.catalog.folder, read_only=True) as catalog:
        assert export_index(catalog, tmp_path / "out").documents == 45
        with pytest.raises(ReadOnlyIndex):
            catalog.pin(1, "x")


def left(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


def test_folders_that_hold_something_are_left_alone(kit, exported, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    for target in (tmp_path / "full", tmp_path / "full" / "x"):
        with pytest.raises(InputError, match="exists and is not empty"):
            kit.export(target)
        with pytest.raises(InputError, match="exists and is not empty"):
            import_index(exported, target)
    assert (tmp_path / "full" / "x").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert kit.export(tmp_path / "empty").documents == 45


@pytest.mark.parametrize("name", FILES)
def test_damaged_and_missing_files(exported, tmp_path, name):
    path = exported / name
    data = path.read_bytes()
    for broken in (data[:-1], data[: len(data) // 2] + b"\0" + data[len(data) // 2 + 1 :], b""):
        path.write_bytes(broken)
        with pytest.raises(IndexDamaged, match=f"{name} is not the file that was exported"):
            import_index(exported, tmp_path / "copy")
    path.unlink()
    with pytest.raises(IndexDamaged, match=f"has no {name}"):
        import_index(exported, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert left(tmp_path) == []


def rewrite(exported, **changes):
    path = exported / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def resigned(exported, name, table):
    """Writes other rows under right checksums."""
    from contextkit.exchange import _sum

    pq.write_table(table, exported / name)
    card = json.loads((exported / MANIFEST).read_text())
    rewrite(exported, files={**card["files"], name: {"rows": len(table), **_sum(exported / name)}})


def test_other_formats(exported, tmp_path):
    target = tmp_path / "copy"
    rewrite(exported, format=3)
    with pytest.raises(IndexMismatch, match="export format 3, this contextkit reads up to 2"):
        import_index(exported, target)
    rewrite(exported, format=1, kind="something")
    with pytest.raises(InputError, match="of something else"):
        import_index(exported, target)
    (exported / MANIFEST).write_text("{")
    with pytest.raises(IndexDamaged, match="cannot be read"):
        import_index(exported, target)
    (exported / MANIFEST).unlink()
    with pytest.raises(InputError, match="holds no export"):
        import_index(exported, target)
    with pytest.raises(InputError, match="holds no export"):
        import_index(tmp_path / "nowhere", target)


def tuned(kit):
    """Gives the index weights of its own."""
    identity = kit.catalog.identity.embedder
    came = Provenance(
        of=("phrase", "confidence_base"), how="by hand", objective="", questions=40, date="2026-11-21", embedder=identity.name,
        digest=identity.digest,
    )  # fmt: skip
    path = adopt(kit.catalog.folder, Weights(phrase=0.75, confidence_base=-3.5), came)
    kit.weights = None  # read anew
    return path


def test_the_index_own_weights_come_over(kit, tmp_path):
    path = tuned(kit)
    done = kit.export(tmp_path / "out")
    card = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert (done.weights, card["format"], set(card["files"])) == (path.name, 2, {*FILES, path.name})
    assert done.bytes == sum(p.stat().st_size for p in (tmp_path / "out").iterdir())
    with copy_of(tmp_path / "out", tmp_path / "copy") as copy:
        assert (copy.weights, copy.info().weights) == (kit.weights, kit.info().weights)
        assert (copy.weights.phrase, copy.weights.confidence_base) == (0.75, -3.5)
        assert (copy.catalog.folder / path.name).read_bytes() == path.read_bytes()
        assert found(copy) == found(kit)
        assert copy.context(QUESTIONS[0], budget=300).confidence == kit.context(QUESTIONS[0], budget=300).confidence


def test_an_export_without_own_weights_is_read_by_every_version(kit, exported, tmp_path):
    card = json.loads((exported / MANIFEST).read_text())
    assert (card["format"], set(card["files"])) == (1, set(FILES))
    stranger = file_name(kit.catalog.identity.embedder.digest)
    (exported / stranger).write_text("was not exported")
    with copy_of(exported, tmp_path / "copy") as copy:
        assert copy.weights == Weights()
        assert not (copy.catalog.folder / stranger).exists()


def test_own_weights_that_are_damaged_or_not_its_own(kit, tmp_path):
    from contextkit.exchange import _sum

    path, out = tuned(kit), tmp_path / "out"
    kit.export(out)
    here, text = out / path.name, path.read_text()
    other = text.replace(kit.catalog.identity.embedder.digest, "e" * 64)
    signed = [
        (text.replace("phrase", "praise"), InputError, "unknown numbers praise"),
        (other, IndexMismatch, "were fitted with"),
    ]
    for wrong, error, message in signed:
        here.write_text(wrong)
        with pytest.raises(IndexDamaged, match=f"{path.name} is not the file that was exported"):
            import_index(out, tmp_path / "copy")
        card = json.loads((out / MANIFEST).read_text())
        keep = card["files"][path.name]
        rewrite(out, files={**card["files"], path.name: _sum(here)})
        with pytest.raises(error, match=message):
            import_index(out, tmp_path / "copy")
        rewrite(out, files={**card["files"], path.name: keep})
    here.unlink()
    with pytest.raises(IndexDamaged, match=f"has no {path.name}"):
        import_index(out, tmp_path / "copy")
    rewrite(out, files={**card["files"], "../weights.json": keep})
    with pytest.raises(IndexDamaged, match=r"weights.*export"):
        import_index(out, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    path.write_text("{")
    with pytest.raises(InputError, match="mend or remove it"):
        kit.export(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert left(tmp_path) == []


def test_an_unknown_codec_and_a_manifest_without_identity(exported, tmp_path):
    card = json.loads((exported / MANIFEST).read_text())
    rewrite(exported, identity={**card["identity"], "sentences": "r99"})
    with pytest.raises(IndexMismatch, match="r99"):
        import_index(exported, tmp_path / "copy")
    rewrite(exported, identity={"uuid": "x"})
    with pytest.raises(IndexDamaged, match="does not say what the index is"):
        import_index(exported, tmp_path / "copy")


def test_files_that_contradict_each_other(exported, tmp_path):
    keep = tmp_path / "keep"
    shutil.copytree(exported, keep)
    tables = {name: pq.read_table(exported / name) for name in FILES}
    chunks = tables[FILES[1]]
    for name, table, message in [
        (FILES[1], chunks.slice(1), "chunks: export it again"),
        (FILES[2], tables[FILES[2]].slice(1), "have no vectors"),
        (FILES[0], tables[FILES[0]].slice(0, 20), "rows, its manifest.json says"),
        (FILES[0], tables[FILES[0]].drop_columns(["uri"]), "other columns"),
        (FILES[1], chunks.set_column(chunks.schema.get_field_index("start"), chunks.schema.field("start"),
                                     pa.array([0] * len(chunks))), "cannot be imported|chunk"),
    ]:  # fmt: skip
        shutil.rmtree(exported)
        shutil.copytree(keep, exported)
        resigned(exported, name, table)
        with pytest.raises((IndexDamaged, InputError), match=message):
            import_index(exported, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        assert left(tmp_path) == []


def test_an_export_that_fails_leaves_nothing(kit, tmp_path, monkeypatch):
    from contextkit.catalog import transfer

    def broken(*_):
        yield from ()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "chunks", broken)
    with pytest.raises(ck.ContextkitError, match=r"the disk of .*out is full"):
        kit.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert left(tmp_path) == []


def test_memory_is_bounded(tmp_path, monkeypatch):
    """Four times the documents take about the same memory of Python."""
    monkeypatch.setattr(exchange, "_BATCH", 64)
    peaks = []
    for size in (500, 2_000):
        folder = tmp_path / str(size)
        with ck.open(folder / "index", embedder=TinyEmbedder()) as kit:
            kit.add([ck.Document(f"d{i:06}", f"Document {i}. " + f"Words of {i} go here. " * 20) for i in range(size)])
            kit.export(folder / "warm")
            tracemalloc.start()
            kit.export(folder / "out")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_pyarrow_is_missing(kit, exported, tmp_path, monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (lambda: kit.export(tmp_path / "out"), lambda: import_index(exported, tmp_path / "copy")):
        with pytest.raises(MissingExtra, match=r"contextkit\[parquet\]"):
            call()
