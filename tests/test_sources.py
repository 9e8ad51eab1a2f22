"""Which connector the words for a source lead to, and that a kit takes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

import contextkit as ck
from contextkit import plugins
from contextkit.connectors.files import FilesConnector
from contextkit.connectors.git import GitConnector
from contextkit.connectors.objects import ObjectsConnector
from contextkit.errors import InputError, SourceError
from contextkit.sources import connector_for, is_path
from contextkit.testing import TinyEmbedder
from contextkit.types import Blob, DocumentRef, ListingPage


@pytest.fixture
def documents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("docs/a.txt", "docs/b.md", "odd:name/c.txt", "s3:/x.txt", "git:here/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")
    return tmp_path


def test_paths(documents):
    for source in ("docs", documents / "docs", "odd:name", "s3:", "s3:/x.txt", "git:here", f"file://{documents}/docs"):
        assert isinstance(connector_for(source), FilesConnector)
        assert is_path(str(source))
    (page,) = connector_for("docs", "*.md", iter(["x/"])).list()
    assert [r.name for r in page.refs] == ["b.md"]


@pytest.mark.parametrize(
    "source", ["nowhere", "notes:2024.txt", r"C:\docs", "C:/docs", "c:docs", "no such: thing", "a::b", "::", ""]
)
def test_what_is_no_address_stays_a_path(documents, source):
    assert is_path(source)
    if source:
        with pytest.raises(SourceError, match="no such file or folder"):
            connector_for(source)


def test_addresses(documents):
    assert isinstance(connector_for("memory://x"), ObjectsConnector)
    assert isinstance(connector_for("S3://bucket/x"), ObjectsConnector)
    assert connector_for("s3://bucket/x").source == "objects:s3://bucket/x"
    assert isinstance(connector_for("zip://inner::docs.zip"), ObjectsConnector)
    assert not is_path("s3://bucket/x")
    with pytest.raises(InputError, match="no storage is known by 'nosuch'"):
        connector_for("nosuch://x")


def test_a_connector_is_taken_as_it_is(documents):
    made = FilesConnector("docs")
    assert connector_for(made) is made
    with pytest.raises(InputError, match="tell the connector itself"):
        connector_for(made, glob="*.md")


class Notes:
    """A connector of somebody else."""

    def __init__(self, target, *, glob=None, exclude=()):
        self.target, self.patterns = target, (glob, exclude)

    @property
    def source(self):
        return f"notes:{self.target}"

    def list(self, cursor=None):
        yield ListingPage((DocumentRef("note-1", "1", "note.txt"),), complete=True)

    def fetch(self, ref):
        return Blob(ref.id, ref.name, data=b"A note of somebody.")


class Talks(Notes):
    @classmethod
    def from_url(cls, url, *, glob, exclude):
        return cls(f"<{url}>", glob=glob, exclude=exclude)


@pytest.fixture
def installed(monkeypatch):
    """Two connectors as if installed by another package."""
    module = ModuleType("somebodys_connectors")
    module.Notes, module.Talks = Notes, Talks
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entries = plugins._entries
    found = dict(entries("contextkit.connectors"))
    for name, target in (("notes", "Notes"), ("talks", "Talks")):
        found[name] = (EntryPoint(name, f"{module.__name__}:{target}", "contextkit.connectors"),)
    monkeypatch.setattr(plugins, "_entries", lambda group: found if group == "contextkit.connectors" else entries(group))


def test_schemes_of_other_packages(documents, installed, tmp_path):
    assert connector_for("notes:inbox", "*.md", ["x"]).__dict__ == {"target": "inbox", "patterns": ("*.md", ["x"])}
    assert connector_for("notes://host/inbox").target == "notes://host/inbox"
    assert connector_for("talks+tls://host/inbox").target == "<talks+tls://host/inbox>"
    assert connector_for("talks:inbox").target == "<talks:inbox>"
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        assert kit.sync("notes:inbox").added == 1


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_kit_syncs_from_an_address(documents, tmp_path):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-C", "docs", *words], check=True, env=env)
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        first = kit.sync("git:docs@main")
        assert (first.added, first.source) == (2, f"git:{documents}/docs@main")
        again = kit.sync(f"git+file://{documents}/docs@main")
        assert (again.added, again.unchanged) == (0, 2)
        assert isinstance(connector_for("git:docs"), GitConnector)
        hits = kit.search("text of b", where={"commit.subject": "one", "path": "b.md"})
        assert [h.document_id.rpartition("/")[2] for h in hits] == ["b.md"]
