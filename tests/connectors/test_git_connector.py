from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from contextkit.connectors import gitprogram
from contextkit.connectors.git import GitConnector
from contextkit.errors import InputError, SourceError
from contextkit.protocols import Connector
from contextkit.testing import ConnectorContract

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

DAY = 86_400


class Repository:
    """A repository to test with; each commit a day later."""

    def __init__(self, path, *options):
        self.path, self.time = path, 1_700_000_000
        path.mkdir(parents=True)
        self("init", "-q", "-b", "main", *options)

    def __call__(self, *arguments, author="Ann"):
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": f"{self.time} +0200",
            "GIT_COMMITTER_NAME": "Cid", "GIT_COMMITTER_EMAIL": "c@example.org", "GIT_COMMITTER_DATE": f"{self.time + 60} +0200",
        }  # fmt: skip
        done = subprocess.run(["git", "-C", str(self.path), *arguments], env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def commit(self, subject, files, author="Ann"):
        """Commits files (None: deletes) and gives the commit's id."""
        for name, text in files.items():
            path = self.path / os.fsdecode(name)
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.time += DAY
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", subject, author=author)
        return self("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repo")
    made.commit("first", {"a.txt": "a", "b.md": "b", "sub/c.txt": "c"})
    return made


def refs(connector, cursor=None):
    return {str(r.metadata["path"]): r for p in connector.list(cursor) for r in p.refs}


class TestGit(ConnectorContract):
    @pytest.fixture(autouse=True)
    def made(self, repository):
        self.repository = repository
        self.kept = GitConnector(repository.path)

    def connector(self):
        return GitConnector(self.repository.path)

    def edit(self):
        self.repository.commit("edit", {"b.md": "edited"})
        return refs(self.kept)["b.md"].id

    def remove(self):
        gone = refs(self.kept)["sub/c.txt"].id
        self.repository.commit("remove", {"sub/c.txt": None})
        return gone

    def vanish(self):
        self.repository.path.rename(self.repository.path.with_name("moved"))
        self.connector = lambda: self.kept  # made before, as a connector of a running service is

    def test_is_a_connector(self):
        assert isinstance(self.connector(), Connector)


class TestBare(TestGit):
    @pytest.fixture(autouse=True)
    def made(self, repository, tmp_path):
        self.repository = repository
        self.bare = tmp_path / "bare.git"
        repository("clone", "-q", "--bare", str(repository.path), str(self.bare))
        self.kept = GitConnector(self.bare)

    def connector(self):
        if self.bare.exists():
            self.repository("push", "-q", str(self.bare), "main")
        return GitConnector(self.bare)

    def edit(self):
        changed = super().edit()
        self.connector()
        return changed

    def vanish(self):
        self.bare.rename(self.bare.with_name("moved"))
        self.connector = lambda: self.kept


def test_what_the_history_says(repository):
    second = repository.commit('second: it\'s "quoted" – ü\n\nbody', {"sub/c.txt": "c2"}, author="Bo Ø")
    found = refs(GitConnector(repository.path, revision="main"))
    assert list(found) == ["a.txt", "b.md", "sub/c.txt"]
    meta = found["sub/c.txt"].metadata
    assert meta == {
        "path": "sub/c.txt",
        "revision": "main",
        "last_modified": "2023-11-16T22:14:20+00:00",
        "commit": {"id": second, "author": "Bo Ø", "date": "2023-11-16T22:13:20+00:00", "subject": 'second: it\'s "quoted" – ü'},
    }
    assert found["a.txt"].metadata["commit"]["subject"] == "first"
    assert found["a.txt"].version == repository("rev-parse", "HEAD:a.txt")
    assert found["sub/c.txt"].uri == f"git+file://{repository.path}@main#sub/c.txt"


def test_the_last_commit_is_the_one_that_gave_the_content(repository):
    """A branch's change that a merge did not take does not count; what only the merge has is the merge's."""
    kept = repository.commit("kept", {"a.txt": "kept", "both.txt": "one"})
    repository("checkout", "-q", "-b", "side", "HEAD~1")
    side = repository.commit("side", {"a.txt": "dropped", "both.txt": "two", "new.txt": "from the side"})
    repository("checkout", "-q", "main")
    repository.time += DAY
    repository("merge", "-q", "-s", "ours", "--no-commit", "side")
    (repository.path / "new.txt").write_text("from the side")
    merge = repository.commit("merge", {"both.txt": "one and two"})
    found = refs(GitConnector(repository.path))
    commits = {path: r.metadata["commit"]["id"] for path, r in found.items()}
    assert commits["a.txt"] == kept
    assert commits["new.txt"] == side
    assert commits["both.txt"] == merge


def test_history_is_bounded(repository):
    for i in range(3):
        repository.commit(f"commit {i}", {"a.txt": str(i)})
    assert "commit" not in refs(GitConnector(repository.path, history=2))["b.md"].metadata
    assert refs(GitConnector(repository.path, history=2))["a.txt"].metadata["commit"]["subject"] == "commit 2"
    assert all("commit" not in r.metadata for r in refs(GitConnector(repository.path, history=0)).values())
    with pytest.raises(InputError, match="history"):
        GitConnector(repository.path, history=-1)


def test_a_cursor_names_what_changed_since(repository):
    connector = GitConnector(repository.path)
    (first,) = connector.list()
    assert first.cursor.startswith(repository("rev-parse", "HEAD"))
    repository.commit("more", {"a.txt": "changed", "b.md": None, "new.txt": "new"})
    repository.commit("there and back", {"sub/c.txt": "x"})
    repository.commit("and back", {"sub/c.txt": "c"})
    (page,) = connector.list(first.cursor)
    assert [r.metadata["path"] for r in page.refs] == ["a.txt", "new.txt"]
    assert page.removed == (first.refs[1].id,)
    assert not page.complete
    (nothing,) = connector.list(page.cursor)
    assert (nothing.refs, nothing.removed, nothing.cursor) == ((), (), page.cursor)


def test_a_cursor_that_is_of_no_use_gives_the_whole_listing(repository):
    (first,) = GitConnector(repository.path).list()
    for connector, cursor in [
        (GitConnector(repository.path, glob="*.txt"), first.cursor),
        (GitConnector(repository.path), "0" * 40 + first.cursor[40:]),
        (GitConnector(repository.path), "nonsense"),
        (GitConnector(repository.path), "--all"),
    ]:
        (page,) = connector.list(cursor)
        assert page.complete
        assert len(page.refs) == (2 if connector._glob else 3)


def test_only_what_changed_has_another_version_and_moves_keep_it(repository):
    before = refs(GitConnector(repository.path))
    repository("mv", "a.txt", "moved.txt")
    repository.commit("move", {})
    after = refs(GitConnector(repository.path))
    assert after["moved.txt"].version == before["a.txt"].version
    assert after["b.md"] == before["b.md"]


def test_revisions_are_sources_of_their_own(repository):
    repository("tag", "v1")
    repository.commit("later", {"a.txt": "later"})
    old, new = (GitConnector(repository.path, revision=r) for r in ("v1", "main"))
    assert [c.fetch(refs(c)["a.txt"]).read() for c in (old, new)] == [b"a", b"later"]
    assert old.source != new.source
    assert refs(old)["a.txt"].id != refs(new)["a.txt"].id
    (by_id,) = GitConnector(repository.path, revision=repository("rev-parse", "v1")[:10]).list()
    assert by_id.complete


def test_patterns_and_rights(repository):
    repository.commit("more", {"drafts/x.md": "x", ".github/y.md": "y", "deep/er/z.md": "z"})
    connector = GitConnector(repository.path, glob="*.md", exclude="drafts/", access=["group:eng"])
    found = refs(connector)
    assert list(found) == ["b.md", "deep/er/z.md"]
    assert {r.access for r in found.values()} == {("group:eng",)}


def test_odd_names(repository):
    odd = [
        b"100%.txt",
        b"caf\xe9.txt",
        b"new\nline.txt",
        b" blank .txt",
        b"quote'\".txt",
        "日本.txt".encode(),
        b"-rf.txt",
        b"a:b.txt",
    ]
    repository.commit("odd", {name: name for name in odd})
    connector = GitConnector(repository.path)
    found = refs(connector)
    assert len(found) == len(odd) + 3
    assert {connector.fetch(r).read() for r in found.values()} == {*odd, b"a", b"b", b"c"}
    for ref in found.values():
        assert "commit" in ref.metadata
        ref.uri.encode("ascii")
        ref.id.encode()


def test_many_files_come_in_parts(repository):
    repository.commit("many", {f"many/{i:04}.txt": str(i) for i in range(2_100)})
    pages = list(GitConnector(repository.path, glob="many/").list())
    assert [len(p.refs) for p in pages] == [1000, 1000, 100]
    assert [p.complete for p in pages] == [False, False, True]
    assert [p.cursor is not None for p in pages] == [False, False, True]


def test_links_and_submodules_are_left_out_with_a_note(repository, tmp_path):
    (repository.path / "link.txt").symlink_to("/etc/hostname")
    repository.commit("link", {})
    blob = repository("rev-parse", "HEAD")
    repository("update-index", "--add", "--cacheinfo", f"160000,{blob},module")
    repository("commit", "-q", "-m", "module")
    connector = GitConnector(repository.path)
    (page,) = connector.list()
    assert page.complete
    assert [r.name for r in page.refs] == ["a.txt", "b.md", "c.txt"]
    assert connector.notes == ["link.txt is a symbolic link: left out", "module is a submodule: left out"]


def test_lfs_pointers(repository):
    large = b"the large file"
    digest = hashlib.sha256(large).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(large)}\n"
    repository.commit("large", {"large.pdf": pointer, "about-lfs.md": f"A pointer looks so:\n\n{pointer}"})
    connector = GitConnector(repository.path)
    found = refs(connector)
    with pytest.raises(SourceError, match="large.pdf is a Git LFS pointer and its 14 bytes are not in the clone"):
        connector.fetch(found["large.pdf"])
    assert connector.fetch(found["about-lfs.md"]).read().startswith(b"A pointer")
    kept = repository.path / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    kept.parent.mkdir(parents=True)
    kept.write_bytes(large)
    assert connector.fetch(found["large.pdf"]).read() == large


def test_large_files_are_not_read(repository):
    connector = GitConnector(repository.path, max_bytes=0)
    with pytest.raises(SourceError, match="1 bytes, over the limit of 0"):
        connector.fetch(refs(connector)["a.txt"])


def test_fetch_of_something_else(repository):
    connector = GitConnector(repository.path)
    before = refs(connector)
    repository.commit("edit", {"a.txt": "edited"})
    assert connector.fetch(before["a.txt"]).read() == b"a", "as it was when listed"
    with pytest.raises(SourceError, match="changed in HEAD"):
        GitConnector(repository.path).fetch(before["a.txt"])
    with pytest.raises(SourceError, match="no document of"):
        GitConnector(repository.path, revision="main").fetch(before["a.txt"])


def test_git_that_dies_between_two_files_is_started_again(repository):
    connector = GitConnector(repository.path)
    found = refs(connector)
    assert connector.fetch(found["a.txt"]).read() == b"a"
    connector._objects._process.kill()
    connector._objects._process.wait()
    assert connector.fetch(found["b.md"]).read() == b"b"


def test_typed_errors(repository, tmp_path):
    with pytest.raises(SourceError, match="no folder"):
        GitConnector(tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    with pytest.raises(SourceError, match="no git repository"):
        GitConnector(tmp_path / "plain")
    with pytest.raises(SourceError, match=r"inside the git repository .*repo"):
        GitConnector(repository.path / "sub")
    with pytest.raises(SourceError, match="no revision 'nope'"):
        list(GitConnector(repository.path, revision="nope").list())
    with pytest.raises(SourceError, match="no revision 'HEAD:a.txt'"):
        list(GitConnector(repository.path, revision="HEAD:a.txt").list())
    for bad in ("", "--all", "-n1", "a\nb", "a\0b"):
        with pytest.raises(InputError, match="names no revision"):
            GitConnector(repository.path, revision=bad)
    for remote in ("https://tok:en@example.org/x.git", "git@example.org:x.git", "ssh://example.org/x"):
        with pytest.raises(InputError, match="clone it first") as raised:
            GitConnector(remote)
        assert "tok" not in str(raised.value)


def test_no_commit_yet(tmp_path):
    empty = Repository(tmp_path / "empty")
    with pytest.raises(SourceError, match=r"branch main of .*empty has no commit yet"):
        list(GitConnector(empty.path).list())


def test_git_is_missing(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError, match="not installed"):
        GitConnector(repository.path)


def test_a_damaged_repository_is_an_error(repository):
    connector = GitConnector(repository.path)
    tree = repository("rev-parse", "HEAD^{tree}")
    path = repository.path / ".git" / "objects" / tree[:2] / tree[2:]
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    with pytest.raises(SourceError, match="ls-tree failed"):
        list(connector.list())
    path.unlink()
    with pytest.raises(SourceError, match="ls-tree failed"):
        list(connector.list())


def test_a_missing_blob_is_an_error(repository):
    connector = GitConnector(repository.path)
    found = refs(connector)["a.txt"]
    (repository.path / ".git" / "objects" / found.version[:2] / found.version[2:]).unlink()
    with pytest.raises(SourceError, match="is not in .*partial or damaged"):
        connector.fetch(found)
    assert connector.fetch(refs_of_tree(connector, "b.md")).read() == b"b", "the conversation goes on"


def refs_of_tree(connector, path):
    from contextkit.types import DocumentRef

    return DocumentRef(connector._id(path), connector._tree[path].blob, metadata={"path": path})


@pytest.mark.skipif(sys.platform == "win32", reason="uses a shell script")
def test_a_repository_cannot_make_git_start_anything(repository, tmp_path, monkeypatch):
    evil, told = tmp_path / "evil.sh", tmp_path / "told"
    evil.write_text(f"#!/bin/sh\ntouch {told}\n")
    evil.chmod(0o755)
    repository.commit("attributes", {".gitattributes": "*.txt diff=evil filter=evil", "e.txt": "e"})
    for name, value in {
        "core.fsmonitor": str(evil), "core.hooksPath": str(tmp_path), "core.pager": str(evil), "core.sshCommand": str(evil),
        "diff.external": str(evil), "diff.evil.textconv": str(evil), "filter.evil.smudge": str(evil), "gpg.program": str(evil),
        "log.showSignature": "true", "alias.log": f"!{evil}", "core.alternateRefsCommand": str(evil), "core.editor": str(evil),
    }.items():  # fmt: skip
        repository("config", name, value)
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_EXTERNAL_DIFF", "GIT_INDEX_FILE"):
        monkeypatch.setenv(variable, str(evil))
    connector = GitConnector(repository.path)
    found = refs(connector)
    assert connector.fetch(found["e.txt"]).read() == b"e"
    assert not told.exists()


def test_a_partial_clone_fetches_nothing(repository, tmp_path):
    repository("config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    repository("clone", "-q", "--bare", "--filter=blob:none", f"file://{repository.path}", str(clone))
    connector = GitConnector(clone)
    with pytest.raises(SourceError, match="git|partial"):
        [connector.fetch(ref) for ref in refs(connector).values()]
    assert not list((clone / "objects").glob("[0-9a-f][0-9a-f]/*")), "no object came over"


def test_urls(repository, tmp_path, monkeypatch):
    odd = Repository(tmp_path / "odd@name dir")
    odd.commit("x", {"x.txt": "x"})
    odd("branch", "feature/a@b")
    monkeypatch.chdir(tmp_path)
    for url, path, revision in [
        (f"git+file://{repository.path}@main", repository.path, "main"),
        (f"git+file://{repository.path}", repository.path, "HEAD"),
        (f"git:{repository.path}@main~0", repository.path, "main~0"),
        ("git:repo", repository.path, "HEAD"),
        ("git:odd@name dir", odd.path, "HEAD"),
        ("git:odd@name dir@feature/a@b", odd.path, "feature/a@b"),
        (f"git+file://{tmp_path}/odd@name%20dir@main", odd.path, "main"),
        (f"git:{repository.path}/.git@main", repository.path, "main"),
    ]:
        connector = GitConnector.from_url(url)
        assert (connector.repository, connector.revision) == (path, revision)
        assert list(connector.list())[-1].complete
    for url in ("git://example.org/x", "git+https://example.org/x@main", "git+ssh://git@example.org/x"):
        with pytest.raises(InputError, match="clone it first"):
            GitConnector.from_url(url)


def test_the_environment_for_git_has_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/x")
    made = gitprogram.environment()
    assert made["GIT_TERMINAL_PROMPT"] == "0"
    assert "GIT_DIR" not in made
    assert made["PATH"] == os.environ["PATH"]


def test_a_worktree_and_the_git_folder(repository, tmp_path):
    repository("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    assert len(refs(GitConnector(tmp_path / "tree"))) == 3
    assert GitConnector(Path(repository.path / ".git")).source == GitConnector(repository.path).source
