"""Documents from a revision of a git repository on this machine, with what its history says of each.

Ids are "git:" + the repository's name + a mark of its path and the revision's name + the path in the tree
("git:handbook-1f3a9c/leave.md"). The version of a document is its blob id, so that a new commit changes only what it changed.
Nothing is checked out and nothing is fetched over the network; `contextkit.connectors.gitprogram` keeps git to reading.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

from contextkit.connectors import gitprogram
from contextkit.connectors.files import JUNK, _patterns, _raw, _readable
from contextkit.errors import InputError, SourceError
from contextkit.types import JSON, Blob, DocumentRef, ListingPage

_PART = 1_000
_MAX_BYTES = 100 * 2**20
_HISTORY = 10_000
_SPECIAL = {"120000": "a symbolic link", "160000": "a submodule"}
_LFS = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d+)\n")
_LOG = (
    "-z", "--raw", "-c", "--root", "--no-abbrev", "--no-renames", "--no-show-signature", "--no-ext-diff", "--no-textconv",
    "--encoding=UTF-8",
)  # fmt: skip
_LFS_BYTES = 1_024  # a pointer is smaller


@dataclass(frozen=True, slots=True)
class _Entry:
    blob: str
    size: int


class GitConnector:
    """The files of one revision of a repository (protocol `Connector`).

    A document's metadata are its `path`, the `revision`, `last_modified` (UTC), and `commit`: `id`, `author`, `date` (UTC) and
    `subject` of the last commit that gave the file its content. Symbolic links and submodules are left out; `notes` names them.
    A file that Git LFS keeps elsewhere is read from the clone's LFS folder, or fails with a line that says so.

    Args:
        repository: its top folder (bare ones too), or that as a "file://" url. Remote ones must be cloned first.
        revision: a branch, a tag, a commit or anything else that names one; found anew for each listing.
        glob: gitignore patterns, one of which a file must match ("*.md", "handbook/**"); None: every file.
        exclude: gitignore patterns of what is left out, folders included.
        access: who may see the documents, as "user:NAME" and "group:NAME"; None: everyone.
        history: commits that are looked through for the last one of each file; a file not changed in them has no `commit`.
        max_bytes: a larger file is not read, which fails that document.

    Raises:
        SourceError: there is no repository that git can read, or no git.
        InputError: a remote address, an impossible revision name, or a pattern that cannot be understood.
    """

    def __init__(
        self,
        repository: str | Path,
        *,
        revision: str = "HEAD",
        glob: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] = (),
        access: Sequence[str] | None = None,
        history: int = _HISTORY,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        if not revision or revision.startswith("-") or any(ord(c) < 32 for c in revision):
            raise InputError(f"{revision!r} names no revision: give a branch, a tag or a commit")
        if isinstance(history, bool) or history < 0:
            raise InputError(f"history is a number of commits from 0 up, not {history!r}")
        path = _local(repository)
        if not path.is_dir():
            raise SourceError(f"there is no folder {path}")
        top, self._git = gitprogram.folder_of(path)
        self.repository = path.parent if top.name == ".git" else path
        self.revision = revision
        self._glob = None if glob is None else _patterns([glob] if isinstance(glob, str) else glob, "glob")
        self._exclude = _patterns([*JUNK, *([exclude] if isinstance(exclude, str) else exclude)], "exclude")
        self._options = hashlib.sha256(repr((glob, exclude)).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        self._access = None if access is None else tuple(access)
        self._history = history
        self._max_bytes = max_bytes
        mark = hashlib.sha256(os.fsencode(self.repository) + b"\0" + revision.encode()).hexdigest()[:6]
        self._stem = f"git:{_readable(self.repository.name)}-{mark}"
        self._objects = gitprogram.Objects(self._git)
        self._lock = threading.Lock()
        self._tree: dict[str, _Entry] | None = None
        self.notes: builtins.list[str] = []
        """What the last listing left out on purpose, a line each."""

    def __repr__(self) -> str:
        return f"GitConnector({str(self.repository)!r}, revision={self.revision!r})"

    @classmethod
    def from_url(cls, url: str, *, glob: str | Sequence[str] | None = None, exclude: str | Sequence[str] = ()) -> GitConnector:
        """The connector for "git:PATH@REVISION" or "git+file:///PATH@REVISION"; without a revision HEAD is taken.

        Raises:
            SourceError, InputError: as the class.
        """
        if url.startswith("git+file://"):
            rest = unquote(url.removeprefix("git+file://"))
        else:
            rest = url.removeprefix("git+" if url.startswith("git+") else "git:")
            if rest.startswith("//"):
                _local(url)  # says that it is not on this machine
        whole = Path(rest).expanduser()
        marks = [i for i, c in enumerate(rest) if c == "@"]
        for i in [] if whole.exists() else reversed(marks):  # paths and revisions may both have an @
            if Path(rest[:i]).expanduser().exists():
                return cls(rest[:i], revision=rest[i + 1 :], glob=glob, exclude=exclude)
        return cls(rest, glob=glob, exclude=exclude)

    @property
    def source(self) -> str:
        """The repository's path and the revision's name: "git:/srv/handbook@main"."""
        return f"git:{_readable(self.repository.as_posix())}@{self.revision}"

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:
        """The files in the order of their paths, in parts. The cursor of the last part names the commit.

        Args:
            cursor: of an earlier listing: only files that changed since are listed, and those that are gone are named as
                `removed`; such a listing is never complete. Where that commit is gone (or the patterns are others), everything is
                listed.

        Raises:
            SourceError: the repository is gone or damaged, has no such revision, or no commit yet.
        """
        commit = self._commit()
        self.notes = []
        tree = self._read_tree(commit, self.notes)
        with self._lock:
            self._tree = tree
        before = None if cursor is None else self._earlier(cursor)
        chosen = tree if before is None else {p: e for p, e in tree.items() if before.get(p, e).blob != e.blob or p not in before}
        removed = () if before is None else tuple(self._id(p) for p in before if p not in tree)
        told = self._told(commit, chosen)
        refs = [self._ref(path, entry, told.get(path)) for path, entry in chosen.items()]
        end = f"{commit}-{self._options}"
        while len(refs) > _PART:
            yield ListingPage(tuple(refs[:_PART]))
            del refs[:_PART]
        yield ListingPage(tuple(refs), end, complete=before is None, removed=removed)

    def fetch(self, ref: DocumentRef) -> Blob:
        """The bytes of a file of the listed revision.

        Raises:
            SourceError: the revision has no such file (any more), it is too large, Git LFS keeps it elsewhere, or git failed.
        """
        path = ref.metadata.get("path")
        if not isinstance(path, str) or ref.id != self._id(path):
            raise SourceError(f"{ref.id!r} is no document of {self.repository}")
        with self._lock:
            if self._tree is None:
                self._tree = self._read_tree(self._commit(), [])
            entry = self._tree.get(path)
        if entry is None:
            raise SourceError(f"{path} is not in {self.revision} of {self.repository} any more")
        if ref.version and entry.blob != ref.version:
            raise SourceError(f"{path} changed in {self.revision} of {self.repository} since it was listed")
        if entry.size > self._max_bytes:
            raise SourceError(f"{path} has {entry.size:,} bytes, over the limit of {self._max_bytes:,} (max_bytes)")
        data = self._objects.read(entry.blob)
        found = _LFS.fullmatch(data) if len(data) < _LFS_BYTES else None
        if found is not None:
            return Blob(ref.id, name=ref.name, uri=ref.uri, path=self._large(path, found[1].decode(), int(found[2])))
        return Blob(ref.id, name=ref.name, uri=ref.uri, data=data)

    # ---------------------------------------------------------------------------------------------------------------- from git

    def _commit(self) -> str:
        """The id of the commit that the revision names now."""
        if not self._git.is_dir():
            raise SourceError(f"the repository {self.repository} is gone")
        place = [f"--git-dir={self._git}"]
        code, out, said = gitprogram.ask([*place, "rev-parse", "--verify", "--end-of-options", f"{self.revision}^{{commit}}"])
        if not code:
            return out.decode().strip()
        if "not a git repository" in said:
            raise SourceError(f"{self.repository} is no git repository any more")
        if self.revision == "HEAD":
            code, branch, _ = gitprogram.ask([*place, "symbolic-ref", "-q", "--short", "HEAD"])
            if not code:
                raise SourceError(
                    f"the branch {branch.decode('utf-8', 'replace').strip()} of {self.repository} has no commit yet"
                )
        raise SourceError(f"{self.repository} has no revision {self.revision!r}: give a branch, a tag or a commit that is in it")

    def _read_tree(self, commit: str, notes: builtins.list[str]) -> dict[str, _Entry]:
        """The wanted files of a commit by path, in order."""
        tree: dict[str, _Entry] = {}
        for record in gitprogram.records(self._git, ["ls-tree", "-r", "-l", "-z", "--full-tree", commit]):
            about, _, name = record.partition(b"\t")
            mode, _, blob, size = about.decode("ascii", "replace").split()
            path = _readable(os.fsdecode(name))
            if not self._wanted(os.fsdecode(name)):
                continue
            if mode in _SPECIAL:
                notes.append(f"{path} is {_SPECIAL[mode]}: left out")
            else:
                tree[path] = _Entry(blob, int(size) if size.isdecimal() else -1)
        return tree

    def _earlier(self, cursor: str) -> dict[str, _Entry] | None:
        """The files at a cursor; None where it is of no use any more."""
        commit, _, options = cursor.partition("-")
        if options != self._options or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
            return None
        code, _, _ = gitprogram.ask([f"--git-dir={self._git}", "cat-file", "-e", f"{commit}^{{tree}}"])
        return None if code else self._read_tree(commit, [])

    def _told(self, commit: str, wanted: Mapping[str, _Entry]) -> dict[str, dict[str, JSON]]:
        """What the history says of the wanted files; one pass, ended when every file was found.

        A commit counts only where it gave the file the very content that it has: a change on a branch that a merge did not take
        is not its last one. Of a merge only what differs from all its parents is its own.
        """
        left = {os.fsencode(_raw(path)): (path, entry.blob) for path, entry in wanted.items()}
        told: dict[str, dict[str, JSON]] = {}
        if not self._history or not left:
            return told
        form = "--format=%x00%x01%H%x00%aN%x00%at%x00%ct%x00%s%x00"
        lines = gitprogram.records(self._git, ["log", *_LOG, f"--max-count={self._history}", form, commit, "--"])
        about: dict[str, JSON] = {}
        try:
            for line in lines:
                if line.startswith(b"\x01"):
                    about = _about(line[1:].decode(), [next(lines, b"").decode("utf-8", "replace") for _ in range(4)])
                elif (change := line.lstrip(b"\n")).startswith(b":"):
                    name, new = next(lines, b""), _new_blob(change)
                    if name in left and left[name][1] == new:
                        told[left.pop(name)[0]] = about
                        if not left:
                            break
        finally:
            lines.close()  # type: ignore[attr-defined]  # a generator: closing it ends git
        return told

    # ------------------------------------------------------------------------------------------------------------------ naming

    def _id(self, path: str) -> str:
        return f"{self._stem}/{path}"

    def _ref(self, path: str, entry: _Entry, told: Mapping[str, JSON] | None) -> DocumentRef:
        metadata: dict[str, JSON] = {"path": path, "revision": self.revision}
        if told is not None:
            metadata["last_modified"] = told["committed"]
            metadata["commit"] = {name: told[name] for name in ("id", "author", "date", "subject")}
        return DocumentRef(
            id=self._id(path),
            version=entry.blob,
            name=path.rpartition("/")[2],
            uri=f"git+file://{quote(os.fsencode(self.repository))}@{quote(self.revision)}#{quote(os.fsencode(_raw(path)))}",
            size=entry.size,
            metadata=metadata,
            access=self._access,
        )

    def _wanted(self, path: str) -> bool:
        return not self._exclude.match_file(path) and (self._glob is None or self._glob.match_file(path))

    def _large(self, path: str, digest: str, size: int) -> Path:
        """Where the clone keeps a file of Git LFS."""
        kept = self._git / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
        if kept.is_file() and kept.stat().st_size == size:
            return kept
        raise SourceError(
            f"{path} is a Git LFS pointer and its {size:,} bytes are not in the clone {self.repository}: `git lfs fetch` there"
        )


def _local(repository: str | Path) -> Path:
    """The folder that was named. Raises InputError for an address of another machine."""
    text = str(repository)
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    elif re.match(r"[a-z][a-z0-9+.-]+://|[\w.-]+@[\w.-]+:", text) and not Path(text).exists():
        shown = re.sub(r"//[^/@]*@", "//", text)
        raise InputError(f"{shown} is not on this machine: clone it first and name the clone; nothing is fetched from here")
    return Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - resolve() would follow links


def _new_blob(change: bytes) -> str:
    """The blob id after a change: ":100644 100644 OLD NEW M", with one more colon, mode and id for each further parent."""
    parents = len(change) - len(change.lstrip(b":"))
    return change.split()[2 * parents + 1].decode("ascii", "replace")


def _about(commit: str, fields: Sequence[str]) -> dict[str, JSON]:
    author, written, committed, subject = fields
    return {"id": commit, "author": author, "date": _time(written), "committed": _time(committed), "subject": subject}


def _time(seconds: str) -> str | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # a history may claim any time
        return None
