"""The `git` program, run so that a repository can only be read: no shell, no hooks, no filters, no network, no questions.

What a repository's own configuration could make git start (signature checks, external diffs, pagers, lazy fetches) is switched
off, and nothing of the caller's GIT_* environment reaches it. What the answers mean is known to `contextkit.connectors.git`.
"""

from __future__ import annotations

import os
import subprocess
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from contextkit.errors import SourceError

_SECONDS = 60  # for a question with a short answer
_BLOCK = 1 << 16
_SAFE = (
    "--no-pager",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.quotePath=false",
    "-c", "log.showSignature=false",
    "-c", "protocol.allow=never",
)  # fmt: skip
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}


def environment() -> dict[str, str]:
    """The environment that git gets: ours without GIT_*, no questions, no locks, no network, messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    safe = (
        "TERMINAL_PROMPT=0",
        "OPTIONAL_LOCKS=0",
        "NO_LAZY_FETCH=1",
        "ALLOW_PROTOCOL=none",
        "NO_REPLACE_OBJECTS=1",
        "PAGER=cat",
    )
    return {**kept, **{f"GIT_{name}": value for name, _, value in (s.partition("=") for s in safe)}, "LC_ALL": "C"}


def folder_of(path: Path) -> tuple[Path, Path]:
    """The top of the repository at `path` (the folder itself where it is bare), and its git folder.

    Raises:
        SourceError: git is missing, or there is no repository, or its top is elsewhere.
    """
    code, out, said = ask(["-C", str(path), "rev-parse", "--is-bare-repository", "--is-inside-work-tree", "--absolute-git-dir"])
    if code:
        raise SourceError(f"{path} is no git repository that can be read ({_short(said)})")
    bare, inside, folder = out.decode("utf-8", "surrogateescape").rstrip("\n").split("\n", 2)
    git = Path(folder)
    if bare == "true" or inside == "false":
        top = git
    else:
        code, out, said = ask(["-C", str(path), "rev-parse", "--show-toplevel"])
        if code:
            raise SourceError(f"{path} is no git repository that can be read ({_short(said)})")
        top = Path(out.decode("utf-8", "surrogateescape").rstrip("\n"))
    if top.resolve() != path.resolve():
        raise SourceError(f"{path} lies inside the git repository {top}: name that one, and its folder with glob")
    return top, git


def ask(arguments: Sequence[str]) -> tuple[int, bytes, str]:
    """Exit code, stdout and stderr of a short command.

    Raises:
        SourceError: git is missing, or does not answer.
    """
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no argument that the caller did not check
            ["git", *_SAFE, *arguments],  # noqa: S607 - the git of whoever runs this, as in a shell
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise SourceError("the program git is not installed (or not on the PATH): install it to read git repositories") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"git did not answer within {_SECONDS} s: git {arguments[0]}") from None
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def records(git: Path, arguments: Sequence[str]) -> Iterator[bytes]:
    """What a command prints, cut at its NULs, while it still runs; ending the iteration early ends the command.

    Raises:
        SourceError: the command failed; what came until then is not all.
    """
    process = _start(git, arguments)
    rest = b""
    ended = False
    try:
        if process.stdout is not None:
            while block := process.stdout.read(_BLOCK):
                *whole, rest = (rest + block).split(b"\0")
                yield from whole
        ended = True
    finally:
        if not ended:
            process.kill()
        said = process.stderr.read().decode("utf-8", "replace") if process.stderr is not None else ""
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        code = process.wait()
    if code:
        raise SourceError(f"git {arguments[0]} failed in {git} ({_short(said)})")
    if rest:
        yield rest


class Objects:
    """Reads objects of a repository by their id through one `git cat-file --batch`, from any thread; started when first used."""

    def __init__(self, git: Path) -> None:
        self._git = git
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, object_id: str) -> bytes:
        """The bytes of a blob.

        Raises:
            SourceError: it is not in the repository, or git broke off.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = _start(self._git, ["cat-file", "--batch"], talk=True)
                weakref.finalize(self, _end, self._process)
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None:
                raise SourceError(f"git cat-file cannot be spoken to in {self._git}")
            try:
                stdin.write(object_id.encode() + b"\n")
                stdin.flush()
                answer = stdout.readline().decode("utf-8", "replace").split()
                if answer[1:2] == ["missing"]:
                    raise SourceError(f"the object {object_id} is not in {self._git} (a partial or damaged clone)")
                size = int(answer[2]) if answer[1:2] == ["blob"] else -1
                data = stdout.read(size + 1) if size >= 0 else b""
            except (OSError, ValueError, IndexError) as error:
                if isinstance(error, SourceError):
                    raise
                size, data = 0, b""
            if len(data) != size + 1:
                _end(self._process)
                self._process = None
                raise SourceError(f"git cat-file broke off at the object {object_id} in {self._git}")
        return data[:-1]


def _start(git: Path, arguments: Sequence[str], *, talk: bool = False) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - see ask
        ["git", *_SAFE, f"--git-dir={git}", *arguments],  # noqa: S607 - see ask
        stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if talk else subprocess.PIPE,
        cwd=git,
        env=environment(),
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a conversation: git goes when nobody asks any more."""
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # it may be gone already
            if pipe is not None:
                pipe.close()
    process.wait()


def _short(said: str) -> str:
    return " ".join(said.split())[:300] or "git said nothing"
