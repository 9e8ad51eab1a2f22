"""An index whose words were read by other rules: who reads them anew, what is left when that is cut off, and what readers say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests_pipeline import make_pipeline

import contextkit as ck
from contextkit.catalog import Catalog, Status
from contextkit.catalog.mending import full_text
from contextkit.connectors.files import FilesConnector
from contextkit.retrieval.terms import TERMS_VERSION, terms
from contextkit.sync import add, reembed, sync
from contextkit.testing import TinyEmbedder
from contextkit.types import Document

HERE = Path(__file__).parent


def old_rules(text):
    return text.split()


def new_rules(text):
    return [word[::-1] for word in text.split()]


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for i in range(5):
        (folder / f"d{i}.txt").write_text(f"alpha{i} all\nbeta\ngamma\ndelta{i}\n")
    return folder


@pytest.fixture
def folder(tmp_path, docs, embedder):
    with Catalog.create(tmp_path / "index", embedder.info) as catalog:
        sync(catalog, FilesConnector(docs), ruled(embedder, old_rules, "old"), retire=True)
        assert catalog.identity.terms == "old"
    return tmp_path / "index"


def ruled(embedder, rules, version):
    return replace(make_pipeline(embedder), terms=rules, terms_version=version)


def found(catalog, word):
    return len(catalog.lexical([word], 10, catalog.visible().allowed)[0])


def assert_made_by(folder, rules, version):
    """The index is sound by these rules, in everybody's eyes."""
    with Catalog.open(folder, read_only=True) as catalog:
        assert catalog.identity.terms == version
        assert (found(catalog, "all"), found(catalog, "lla")) == ((5, 0) if rules is old_rules else (0, 5))
        health = catalog.examine(rules, terms_version=version)
    assert health.sound, health.findings
    assert json.loads((folder / "manifest.json").read_text())["terms"] == version


def by_sync(catalog, docs, pipeline, tell=None):
    return sync(catalog, FilesConnector(docs), pipeline, retire=True, progress=tell)


def by_add(catalog, docs, pipeline, tell=None):
    return add(catalog, [], pipeline, progress=tell)


def by_reembed(catalog, docs, pipeline, tell=None):
    return reembed(catalog, pipeline, progress=tell)


@pytest.mark.parametrize("write", [by_sync, by_add, by_reembed])
def test_every_writer_reads_the_words_anew_and_only_once(folder, docs, embedder, write):
    embedder.embedded = 0
    told = []
    with Catalog.open(folder) as catalog:
        before = catalog.generation()
        write(catalog, docs, ruled(embedder, new_rules, "new"), lambda *step: told.append(step))
        assert catalog.identity.terms == "new"
        assert (found(catalog, "lla"), found(catalog, "all")) == (5, 0)  # as an open reader sees it
        assert (catalog.generation(), embedder.embedded) == (before, 0)  # nothing else is made again
        assert [step for step in told if step[0] == "terms"] == [("terms", 0, 10), ("terms", 10, 10)]
        told.clear()
        write(catalog, docs, ruled(embedder, new_rules, "new"), lambda *step: told.append(step))
        assert not any(step[0] == "terms" for step in told)
    assert_made_by(folder, new_rules, "new")


def test_new_documents_and_old_ones_are_found_by_the_same_words(folder, docs, embedder):
    (docs / "d5.txt").write_text("alpha5 all\nbeta\n")
    with Catalog.open(folder) as catalog:
        by_sync(catalog, docs, ruled(embedder, new_rules, "new"))
        assert found(catalog, "lla") == 6


def test_rules_without_a_version_are_any(folder, docs, embedder):
    with Catalog.open(folder) as catalog:
        by_sync(catalog, docs, ruled(embedder, old_rules, ""))
    assert_made_by(folder, old_rules, "old")


@pytest.mark.parametrize("write", [by_sync, by_add, by_reembed])
def test_an_error_on_the_way_leaves_the_old_words_whole(folder, docs, embedder, write):
    calls = []

    def failing(text):
        calls.append(text)
        if len(calls) == 8:
            raise RuntimeError("in the middle")
        return new_rules(text)

    with Catalog.open(folder) as catalog, pytest.raises(RuntimeError, match="in the middle"):
        write(catalog, docs, ruled(embedder, failing, "new"))
    assert_made_by(folder, old_rules, "old")


DYING = """
import os, signal, sys
from dataclasses import replace
sys.path.insert(0, sys.argv[2])
from tests_pipeline import make_pipeline
from contextkit.catalog import Catalog, mending, postings
from contextkit.sync import add
from contextkit.testing import TinyEmbedder
mending._SEGMENT = 3
def told(stage, done, total):
    if done >= 6:
        os.kill(os.getpid(), signal.SIGKILL)
with Catalog.open(sys.argv[1]) as catalog:
    words = lambda text: [word[::-1] for word in text.split()]
    add(catalog, [], replace(make_pipeline(TinyEmbedder()), terms=words, terms_version="new"), progress=told)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL")
def test_a_kill_in_the_middle_leaves_the_old_words_whole(folder, docs, embedder):
    ended = subprocess.run([sys.executable, "-c", DYING, str(folder), str(HERE.parent / "catalog")], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert_made_by(folder, old_rules, "old")
    with Catalog.open(folder) as catalog:
        by_sync(catalog, docs, ruled(embedder, new_rules, "new"))
    assert_made_by(folder, new_rules, "new")


def test_a_reader_beside_the_writer_sees_the_old_words_or_the_new(folder, docs, embedder):
    seen = []
    with Catalog.open(folder) as catalog, Catalog.open(folder, read_only=True) as reader:

        def look(stage, done, total):
            reader.refresh()
            seen.append((reader.identity.terms, found(reader, "all"), found(reader, "lla")))

        by_add(catalog, docs, ruled(embedder, new_rules, "new"), look)
        look("", 0, 0)
    assert seen == [("old", 5, 0)] * 2 + [("new", 0, 5)]


def test_gaps_that_gc_left_are_kept(folder, docs, embedder):
    with Catalog.open(folder) as catalog:
        (docs / "d2.txt").write_text("all anew\n")
        by_sync(catalog, docs, ruled(embedder, old_rules, "old"))
        catalog.gc(keep=1)
        by_sync(catalog, docs, ruled(embedder, new_rules, "new"))
    assert_made_by(folder, new_rules, "new")


def test_the_doctor_reads_the_words_anew_where_it_may(folder):
    with Catalog.open(folder, read_only=True) as catalog:
        only_looked = catalog.examine(new_rules, terms_version="new")
    finding = next(f for f in only_looked.findings if f.check == "full text")
    assert (finding.status, only_looked.sound) == (Status.FAIL, False)
    assert "version old, now new" in finding.detail
    assert "doctor" in finding.remedy
    with Catalog.open(folder) as catalog:
        health = catalog.examine(new_rules, terms_version="new")
        assert catalog.identity.terms == "new"
    assert {f.check for f in health.findings if f.status is Status.MENDED} == {"full text"}
    assert_made_by(folder, new_rules, "new")


def aged(folder):
    """Makes the words of an index those of the version before."""
    with Catalog.open(folder) as catalog, catalog.writing("test"), catalog._db.transaction() as c:
        full_text(c, lambda text: [t for t in terms(text) if t != "pump"], "1")


@pytest.mark.parametrize("read_only", [False, True])
def test_an_older_index_still_answers_and_says_so_once(tmp_path, read_only):
    embedder = TinyEmbedder()
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        kit.add([Document("a", "The pump is oiled in May."), Document("b", "The rent is due in June.")])
        assert kit.info().note == ""
    aged(tmp_path / "index")
    with ck.open(tmp_path / "index", embedder=embedder, read_only=read_only) as kit:
        with pytest.warns(UserWarning, match=rf"^[^\n]*read by other rules \(version 1, now {TERMS_VERSION}\)[^\n]*$"):
            found = kit.search("When is the rent due?")
        assert found[0].document_id == "b"
        packet = kit.context("When is the rent due?", budget=100)  # a second warning would be an error
        assert packet.receipt.citations[0].document_id == "b"
        assert "version 1" in kit.info().note
        if not read_only:
            kit.add([Document("c", "The pump is blue.")])
            assert kit.info().note == ""
            assert kit.catalog.identity.terms == TERMS_VERSION
            assert len(kit.catalog.lexical(["pump"], 5, kit.catalog.visible().allowed)[0]) == 2
