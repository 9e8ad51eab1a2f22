"""Documents from a folder or a single file of this machine.

Ids are "files:" + the root's name + a mark of its absolute path + the path below it ("files:docs-1f3a9c/guide/start.md"), so
that two folders in one index do not collide and a file keeps its id whatever the working directory. Bytes of a path that are no
valid Unicode appear as %XX, and % itself as %25.
"""

from __future__ import annotations

import builtins
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from pathspec import GitIgnoreSpec

from contextkit.errors import InputError, SourceError
from contextkit.types import Blob, DocumentRef, ListingPage

JUNK = (
    ".*",
    "~$*",
    "*~",
    "#*#",
    "*.tmp",
    "*.swp",
    "*.part",
    "*.crdownload",
    "*.pyc",
    "Thumbs.db",
    "desktop.ini",
    "__pycache__/",
    "__MACOSX/",
    "node_modules/",
    "$RECYCLE.BIN/",
    "System Volume Information/",
)
"""What is never listed, as gitignore patterns: hidden files, caches, and the lock and scratch files of programs. A single file
that is named as the root is always listed."""

_PART = 1_000


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    relative: str
    stat: os.stat_result


class FilesConnector:
    """The files below a folder, or one file (protocol `Connector`).

    Args:
        path: the folder or file.
        glob: gitignore patterns, one of which a file must match ("*.md", "handbook/**"); None: every file.
        exclude: gitignore patterns of what is left out, folders included ("drafts/", "!drafts/final.md").
        follow_links: follow symbolic links out of and within the folder; a loop is entered once. Otherwise links are left out.

    Raises:
        SourceError: there is nothing at that path.
        InputError: a pattern that cannot be understood.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        glob: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] = (),
        follow_links: bool = False,
    ) -> None:
        self.root = Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100 - resolve() would follow links
        if not os.path.lexists(self.root):
            raise SourceError(f"no such file or folder: {path}")
        if not self.root.is_dir() and not self.root.is_file():
            raise SourceError(
                f"{path} is neither a folder nor a file that can be read (a link into nowhere, a device or a socket)"
            )
        self._glob = None if glob is None else _patterns([glob] if isinstance(glob, str) else glob, "glob")
        self._exclude = _patterns([*JUNK, *([exclude] if isinstance(exclude, str) else exclude)], "exclude")
        self._follow = follow_links
        mark = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:6]
        self._stem = f"files:{_readable(self.root.name)}-{mark}"

    def __repr__(self) -> str:
        return f"FilesConnector({str(self.root)!r})"

    @property
    def source(self) -> str:
        """The absolute path of the root, after "files:"."""
        return f"files:{_readable(self.root.as_posix())}"

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:
        """The files in the order of their paths, in parts; folders that cannot be read are problems, and the listing is then not
        complete.

        Args:
            cursor: the relative path after which to go on; such a listing is never complete.

        Raises:
            SourceError: the root is gone.
        """
        refs: list[DocumentRef] = []
        problems: builtins.list[tuple[str, str]] = []
        last: str | None = None if cursor is None else _raw(cursor)
        for entry in self._entries(problems):
            if cursor is not None and _order(entry.relative) <= _order(_raw(cursor)):
                continue
            refs.append(self._ref(entry))
            last = entry.relative
            if len(refs) >= _PART:
                yield ListingPage(tuple(refs), _readable(last))
                refs = []
        complete = not problems and cursor is None
        yield ListingPage(tuple(refs), None if last is None else _readable(last), complete=complete, problems=tuple(problems))

    def fetch(self, ref: DocumentRef) -> Blob:
        """The file of a ref, to be read where it is.

        Raises:
            SourceError: the file is gone, or cannot be read.
        """
        relative = ref.metadata.get("path")
        if not isinstance(relative, str) or ref.id != self._id(relative):
            raise SourceError(f"{ref.id!r} is no document of {self.root}")
        path = self.root if self.root.is_file() else self.root / _raw(relative)
        if not path.is_file():
            raise SourceError(f"{_readable(str(path))} is gone since it was listed")
        if not os.access(path, os.R_OK):
            raise SourceError(f"{_readable(str(path))} cannot be read: permission denied")
        return Blob(ref.id, name=ref.name, uri=ref.uri, path=path)

    def _id(self, relative: str) -> str:
        return self._stem if relative == self.root.name and self.root.is_file() else f"{self._stem}/{relative}"

    def _ref(self, entry: _Entry) -> DocumentRef:
        relative = _readable(entry.relative)
        found = entry.stat
        return DocumentRef(
            id=self._id(relative),
            version=f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}",
            name=relative.rpartition("/")[2],
            uri="file://" + quote(os.fsencode(entry.path)),
            size=found.st_size,
            metadata={"path": relative},
        )

    def _entries(self, problems: builtins.list[tuple[str, str]]) -> Iterator[_Entry]:
        if self.root.is_file():
            yield _Entry(str(self.root), self.root.name, self.root.stat())
            return
        if not self.root.is_dir():
            raise SourceError(f"the folder {self.root} is gone")
        seen: set[tuple[int, int]] = set()
        stack = [self._folder(str(self.root), "", seen, problems)]  # no recursion: folders may be nested as deep as they like
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, _Entry):
                yield found
            else:
                stack.append(self._folder(*found, seen, problems))

    def _folder(
        self, folder: str, prefix: str, seen: set[tuple[int, int]], problems: builtins.list[tuple[str, str]]
    ) -> Iterator[_Entry | tuple[str, str]]:
        try:
            own = os.stat(folder)  # noqa: PTH116 - paths here may be no valid Unicode; os keeps their bytes
            if (own.st_dev, own.st_ino) in seen:
                return
            seen.add((own.st_dev, own.st_ino))
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda e: _order(e.name + ("/" if e.is_dir() else "")))
        except OSError as error:
            problems.append(_problem(folder, error))
            return
        for entry in found:
            relative = prefix + entry.name
            try:
                if entry.is_symlink() and not self._follow:
                    continue
                if entry.is_dir():
                    if not self._exclude.match_file(relative + "/"):
                        yield entry.path, relative + "/"
                elif self._wanted(relative) and entry.is_file():
                    yield _Entry(entry.path, relative, entry.stat())
                elif entry.is_symlink() and self._wanted(relative):
                    problems.append((_readable(entry.path), "a link into nowhere"))
            except OSError as error:
                problems.append(_problem(entry.path, error))

    def _wanted(self, relative: str) -> bool:
        if self._exclude.match_file(relative):
            return False
        return self._glob is None or self._glob.match_file(relative)


def _patterns(patterns: Sequence[str], what: str) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except (ValueError, TypeError) as error:
        raise InputError(f"{what} holds a pattern that is no gitignore pattern ({error}): {list(patterns)!r}") from error


def _order(relative: str) -> bytes:
    return os.fsencode(relative)


def _readable(path: str) -> str:
    """The path as valid Unicode, from which `_raw` makes it again."""
    if path.isascii() and "%" not in path:
        return path
    return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in path.replace("%", "%25"))


def _raw(readable: str) -> str:
    return os.fsdecode(unquote_to_bytes(readable))


def _problem(path: str, error: OSError) -> tuple[str, str]:
    return _readable(path), error.strerror or str(error)
