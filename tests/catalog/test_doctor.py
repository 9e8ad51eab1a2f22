"""The doctor against indexes that were damaged by hand: it finds each, mends what is derived, and leaves the truth alone."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from tests_pipeline import make_pipeline

from contextkit.catalog import Catalog, Status, Vectors
from contextkit.connectors.files import FilesConnector
from contextkit.errors import IndexDamaged
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.retrieval.terms import terms
from contextkit.sync import sync
from contextkit.testing import TinyEmbedder

PARTS = [
    "database", "generations", "texts", "vectors", "counters", "filter fields", "full text", "vector index", "files",
    "free space", "growth",
]  # fmt: skip


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for i in range(12):
        (folder / f"d{i}.txt").write_text(f"document {i}\nalpha beta {i}\ngamma\n\ndelta line {i}\nepsilon\n")
    return folder


@pytest.fixture
def folder(tmp_path, docs):
    folder = tmp_path / "index"
    with Catalog.create(folder, TinyEmbedder().info) as catalog:
        sync(catalog, FilesConnector(docs), make_pipeline(TinyEmbedder()), retire=True)
        vectors(catalog).save(force=True)
    return folder


def vectors(catalog):
    return Vectors(catalog, FaissIndex, FaissIndex.load)


def examine(folder, *, repair=False, read_only=False):
    with Catalog.open(folder, read_only=read_only) as catalog:
        return catalog.examine(terms, vectors(catalog), repair=repair)


def damage(folder, *statements):
    connection = sqlite3.connect(folder / "catalog.sqlite", isolation_level=None)
    for statement in statements:
        assert connection.execute(statement).rowcount != 0, "nothing was damaged"
    connection.close()


def status(health):
    return {f.check: f.status for f in health.findings}


def snapshot(folder):
    with Catalog.open(folder, read_only=True) as catalog:
        return {d.id: catalog.content_text(d.content_id) for d in catalog.documents()}


def test_a_sound_index_is_sound_and_stays_as_it_is(folder):
    before = (folder / "catalog.sqlite").read_bytes()
    health = examine(folder)
    assert health.sound
    assert [f.check for f in health.findings] == PARTS
    assert set(status(health).values()) == {Status.OK}
    assert (folder / "catalog.sqlite").read_bytes() == before
    assert "24 chunks" in next(f for f in health.findings if f.check == "vectors").detail


@pytest.mark.parametrize(
    ("check", "statement"),
    [
        ("full text", "DELETE FROM postings WHERE term = 'alpha'"),
        ("full text", "UPDATE postings SET data = x'01ff', n = 1 WHERE term = 'gamma'"),
        ("full text", "UPDATE postings SET data = substr(data, 1, length(data) - 1) WHERE term = 'alpha'"),
        ("full text", "UPDATE segments SET lengths = zeroblob(length(lengths))"),
        ("full text", "INSERT INTO postings SELECT segment_id, 'never', n, data FROM postings WHERE term = 'alpha'"),
        ("filter fields", "DELETE FROM fields"),
        ("filter fields", "UPDATE fields SET value = value + 1"),
        ("counters", "UPDATE state SET value = 7 WHERE key = 'chunks'"),
        ("counters", "UPDATE state SET value = 2 WHERE key = 'next_chunk'"),
    ],
)
def test_what_is_derived_is_mended_at_sight(folder, check, statement):
    before = snapshot(folder)
    damage(folder, statement)
    looked = examine(folder, read_only=True)
    assert not looked.sound
    assert status(looked)[check] is Status.FAIL
    mended = examine(folder)
    assert mended.sound
    assert status(mended)[check] is Status.MENDED
    assert mended.backup == ""
    assert set(status(examine(folder)).values()) == {Status.OK}
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("check", "statement"),
    [
        ("texts", "UPDATE chunks SET text = replace(text, 'beta', 'BETA') WHERE id = 3"),
        ("texts", "UPDATE chunks SET text = text || 'x' WHERE id = 3"),
        ("texts", "UPDATE chunks SET header = 'another' WHERE id = 3"),
        ("texts", "UPDATE chunks SET start = start + 1 WHERE id = 4"),
        ("texts", "UPDATE chunks SET sentences = x'02ffff0000' WHERE id = 3"),
        ("texts", "UPDATE chunks SET sentences = x'' WHERE id = 3"),
        ("texts", "UPDATE chunks SET kind = 'poem' WHERE id = 3"),
        ("texts", "DELETE FROM chunks WHERE id = 3"),
        ("texts", "UPDATE contents SET n_characters = n_characters - 1 WHERE id = 2"),
        ("texts", "UPDATE contents SET structure = x'0102' WHERE id = 2"),
        ("vectors", "UPDATE vectors SET passage = zeroblob(32) WHERE id = 3"),
        ("vectors", "UPDATE vectors SET passage = substr(passage, 1, 31) WHERE id = 3"),
        ("vectors", "UPDATE vectors SET sentences = substr(sentences, 1, 16) WHERE id = 3"),
        ("vectors", "UPDATE vectors SET checksum = checksum + 1 WHERE id = 3"),
        ("database", "DELETE FROM vectors WHERE id = 3"),
    ],
)
def test_damage_to_the_truth_is_told_and_repaired_only_when_asked(folder, docs, check, statement):
    before = snapshot(folder)
    damage(folder, statement)
    health = examine(folder)
    assert not health.sound
    assert status(health)[check] is Status.FAIL
    finding = next(f for f in health.findings if f.check == check)
    assert "--repair" in finding.remedy
    assert not list(folder.glob("*.backup-*"))

    repaired = examine(folder, repair=True)
    assert repaired.sound, repaired
    assert len(repaired.lost) == 1
    with Catalog.open(folder) as catalog:
        assert catalog.generation() == 2
        assert {d.id for d in catalog.documents()} == before.keys() - set(repaired.lost)
        report = sync(catalog, FilesConnector(docs), make_pipeline(TinyEmbedder()), retire=True)
        assert report.added_ids == repaired.lost
    assert snapshot(folder) == before
    assert set(status(examine(folder)).values()) == {Status.OK}
    (copy,) = folder.glob("*.backup-*")
    assert str(copy) == repaired.backup
    assert sqlite3.connect(copy).execute("SELECT count(*) FROM documents").fetchone() == (12,)


def test_a_vector_of_another_length_is_found_by_its_norm(folder):
    """Also where the checksum was made of the damaged vector."""
    import zlib

    passage = np.full(32, 5, dtype=np.int8).tobytes()
    connection = sqlite3.connect(folder / "catalog.sqlite", isolation_level=None)
    own = connection.execute("SELECT sentences FROM vectors WHERE id = 1").fetchone()[0]
    connection.execute(
        "UPDATE vectors SET passage = ?, checksum = ? WHERE id = 1", (passage, zlib.crc32(own, zlib.crc32(passage)))
    )
    connection.close()
    finding = next(f for f in examine(folder).findings if f.check == "vectors")
    assert finding.status is Status.FAIL
    assert "unit length" in finding.detail


@pytest.mark.parametrize(
    "statement",
    ["UPDATE documents SET born = 9 WHERE id = 1", "UPDATE documents SET died = 1 WHERE id = 1", "UPDATE state SET value = 0 WHERE key = 'current'"],
)  # fmt: skip
def test_a_history_that_cannot_be_is_told(folder, statement):
    damage(folder, statement)
    assert status(examine(folder))["generations"] is Status.FAIL


def test_the_vector_file_is_made_again(folder, tmp_path):
    path = folder / "vectors.faiss"
    sound = path.read_bytes()
    path.write_bytes(sound[:-20])
    assert status(examine(folder, read_only=True))["vector index"] is Status.NOTE
    assert status(examine(folder))["vector index"] is Status.MENDED
    assert path.read_bytes() == sound
    other = FaissIndex(32)
    with Catalog.open(folder) as catalog:
        kept = vectors(catalog)
        kept.refresh()
        ids, own = catalog.passages_after(0, 100)
        other.add(ids, np.roll(own, 1, axis=0))
        kept._index = other
        assert any("not those of their chunks" in p for p in kept.problems())
        short = FaissIndex(32)
        short.add(ids[1:], own[1:])
        kept._index = short
        assert kept.problems() == ["it lacks 1 chunks and has 0 that are not there"]


def test_left_overs_and_a_strange_manifest_are_put_right(folder):
    draft = folder / ".vectors.faiss.999999999.new"
    draft.write_bytes(b"half")
    looked = examine(folder, read_only=True)
    assert status(looked)["files"] is Status.NOTE
    assert draft.exists()
    assert status(examine(folder))["files"] is Status.MENDED
    assert not draft.exists()
    assert status(examine(folder))["files"] is Status.OK


def test_a_broken_page_is_an_error_with_words_and_not_a_traceback(folder):
    path = folder / "catalog.sqlite"
    data = bytearray(path.read_bytes())
    for page in range(4096 * 4, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)
    try:
        health = examine(folder)
    except IndexDamaged as error:
        assert "restore a copy" in str(error)
    else:
        assert not health.sound
        assert status(health)["database"] is Status.FAIL
