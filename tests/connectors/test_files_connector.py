from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from contextkit.connectors.files import FilesConnector
from contextkit.errors import InputError, SourceError
from contextkit.protocols import Connector
from contextkit.testing import ConnectorContract


class TestFilesConnector(ConnectorContract):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.root = tmp_path / "docs"
        (self.root / "sub").mkdir(parents=True)
        for name in ("a.txt", "b.md", "sub/c.txt"):
            (self.root / name).write_text(name)

    def connector(self) -> Connector:
        return FilesConnector(self.root)

    def edit(self) -> str:
        (self.root / "b.md").write_text("edited")
        return next(r.id for p in self.connector().list() for r in p.refs if r.name == "b.md")

    def remove(self) -> str:
        found = next(r.id for p in self.connector().list() for r in p.refs if r.name == "c.txt")
        (self.root / "sub" / "c.txt").unlink()
        return found

    def vanish(self) -> None:
        self.gone = self.root.with_name("moved")
        self.root.rename(self.gone)
        self.connector = lambda: self.kept  # made before, as a connector of a running service is

    @pytest.fixture(autouse=True)
    def made_before(self, folder: None) -> None:
        self.kept = FilesConnector(self.root)

    def test_is_a_connector(self) -> None:
        assert isinstance(self.connector(), Connector)


def names(connector: FilesConnector) -> list[str]:
    return [str(ref.metadata["path"]) for page in connector.list() for ref in page.refs]


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


def test_junk_is_left_out(tmp_path):
    fill(
        tmp_path,
        "a.txt",
        ".git/config",
        ".hidden",
        "x/__pycache__/y.pyc",
        "~$lock.docx",
        "b.txt~",
        "node_modules/z.js",
        "Thumbs.db",
    )
    assert names(FilesConnector(tmp_path)) == ["a.txt"]


def test_patterns(tmp_path):
    fill(tmp_path, "a.txt", "b.md", "drafts/c.md", "drafts/final.md", "deep/er/d.md")
    assert names(FilesConnector(tmp_path, glob="*.md")) == ["b.md", "deep/er/d.md", "drafts/c.md", "drafts/final.md"]
    assert names(FilesConnector(tmp_path, glob=["*.md", "!drafts/*"])) == ["b.md", "deep/er/d.md"]
    assert names(FilesConnector(tmp_path, exclude="drafts/")) == ["a.txt", "b.md", "deep/er/d.md"]
    assert names(FilesConnector(tmp_path, exclude=["drafts/*", "!drafts/final.md"])) == [
        "a.txt",
        "b.md",
        "deep/er/d.md",
        "drafts/final.md",
    ]
    assert names(FilesConnector(tmp_path, glob="/*.txt")) == ["a.txt"]


def test_one_file(tmp_path):
    fill(tmp_path, ".env.txt")
    connector = FilesConnector(tmp_path / ".env.txt")
    (page,) = connector.list()
    assert page.complete
    assert [r.name for r in page.refs] == [".env.txt"]
    assert connector.fetch(page.refs[0]).read() == b".env.txt"


def test_order_is_by_path_and_a_cursor_goes_on(tmp_path):
    fill(tmp_path, "a/x", "a-b", "a.txt", "B", "é", "a%20b")
    found = names(FilesConnector(tmp_path))
    assert found == sorted(found, key=str.encode)
    half = list(FilesConnector(tmp_path).list(cursor=found[2]))
    assert [r.metadata["path"] for p in half for r in p.refs] == found[3:]
    assert not any(p.complete for p in half)


def test_many_files_come_in_parts(tmp_path):
    for i in range(2_100):
        (tmp_path / f"{i:04}").write_text("")
    pages = list(FilesConnector(tmp_path).list())
    assert [len(p.refs) for p in pages] == [1000, 1000, 100]
    assert [p.complete for p in pages] == [False, False, True]
    assert [p.cursor for p in pages] == ["0999", "1999", "2099"]


def test_two_folders_of_one_name_do_not_collide(tmp_path):
    a, b = (FilesConnector(fill(tmp_path / part / "docs", "same.txt")) for part in ("a", "b"))
    ids = [r.id for c in (a, b) for p in c.list() for r in p.refs]
    assert len(set(ids)) == 2
    assert a.source != b.source


def test_ids_do_not_depend_on_how_the_folder_was_named(tmp_path, monkeypatch):
    fill(tmp_path / "docs", "a.txt")
    monkeypatch.chdir(tmp_path)
    ways = [FilesConnector("docs"), FilesConnector("./docs/"), FilesConnector(tmp_path / "docs" / ".." / "docs")]
    assert len({r.id for c in ways for p in c.list() for r in p.refs}) == 1


def test_odd_names(tmp_path):
    odd = [b"100%.txt", b"caf\xe9.txt", b"caf%E9.txt", b"new\nline", b" blank ", b"quote'\".txt", "日本.txt".encode()]
    for name in odd:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    connector = FilesConnector(tmp_path)
    refs = [r for p in connector.list() for r in p.refs]
    assert len({r.id for r in refs}) == len(odd)
    for ref in refs:
        ref.id.encode()
        ref.uri.encode("ascii")
    assert {connector.fetch(r).read() for r in refs} == set(odd)


def test_links(tmp_path):
    fill(tmp_path / "docs", "sub/a.txt")
    (tmp_path / "docs" / "loop").symlink_to(tmp_path / "docs")
    (tmp_path / "docs" / "link.txt").symlink_to(tmp_path / "docs" / "sub" / "a.txt")
    assert names(FilesConnector(tmp_path / "docs")) == ["sub/a.txt"]
    assert names(FilesConnector(tmp_path / "docs", follow_links=True)) == ["link.txt", "sub/a.txt"]
    (tmp_path / "docs" / "dead.txt").symlink_to(tmp_path / "nowhere")
    page = list(FilesConnector(tmp_path / "docs", follow_links=True).list())[-1]
    assert not page.complete
    assert page.problems == ((str(tmp_path / "docs" / "dead.txt"), "a link into nowhere"),)


def test_an_empty_folder_is_an_empty_complete_listing(tmp_path):
    (page,) = FilesConnector(tmp_path).list()
    assert (page.refs, page.complete, page.problems) == ((), True, ())


def test_nothing_there(tmp_path):
    with pytest.raises(SourceError, match="nowhere"):
        FilesConnector(tmp_path / "nowhere")
    with pytest.raises(InputError, match="glob"):
        FilesConnector(tmp_path, glob=[3])


def test_deep_folders(tmp_path):
    deep = tmp_path
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "x.txt").write_text("x")
    assert len(names(FilesConnector(tmp_path))) == 1


UNPRIVILEGED = """
import os, sys
from contextkit.connectors.files import FilesConnector
from contextkit.errors import SourceError
list(FilesConnector(sys.argv[1]).list())  # imports what it needs, which another user may not be able to
os.setuid(65534)
c = FilesConnector(sys.argv[1])
pages = list(c.list())
assert [r.name for p in pages for r in p.refs] == ["a.txt", "locked.txt"], pages
assert not any(p.complete for p in pages)
assert pages[-1].problems == ((sys.argv[1] + "/closed", "Permission denied"),), pages[-1].problems
try:
    c.fetch(pages[0].refs[1])
except SourceError as error:
    assert "permission" in str(error)
    print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_unreadable_entries_make_a_listing_incomplete():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        root = Path(name)
        root.chmod(0o755)
        fill(root, "a.txt", "closed/b.txt", "locked.txt")
        (root / "closed").chmod(0o700)
        (root / "locked.txt").chmod(0o600)
        done = subprocess.run([sys.executable, "-c", UNPRIVILEGED, name], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "fine", done.stderr
