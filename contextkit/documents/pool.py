"""Parsing in worker processes with a time and a memory limit a document: one broken file never stops or hangs a build.

Workers are interpreters of their own that import nothing but the parsers: no fork of a process that runs torch's threads, no
second run of the user's main script, and a crash in a C library costs one document.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import IO, Self

from contextkit.documents.parsing import MAX_BYTES
from contextkit.documents.worker import LENGTH, memory_error
from contextkit.errors import InputError, ParseError, ParseLimit
from contextkit.types import Blob, Document

Result = Document | ParseError

_MOST_WORKERS = 8
_START = "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); from contextkit.documents.worker import main; main()"
_QUIET_ENVIRONMENT = {  # of the workers alone: no calls home, and no threads or their stacks where processes share the cores
    "DO_NOT_TRACK": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}
_START_LIMIT = 60.0  # seconds for a worker to start, on a machine that is busy
_BYTES_AHEAD = 32 * 2**20  # of blobs that are parsed or waiting to be; a larger one goes alone
_LAST_WORDS = 2.0  # seconds for a worker that closed its pipe to be gone
_OUT_OF_MEMORY = -getattr(signal, "SIGKILL", 9)


class ParsePool:
    """Worker processes that parse; a context manager.

    Workers start when there is work for them (about a fifth of a second each) and end with the pool, with the process that made
    it, or by themselves when that process died. `run` may be called from any thread, and from several at once.

    Args:
        workers: processes at most; None: one a core that this process may use, at most 8.
        timeout: seconds that one document may take.
        memory: bytes of address space that a worker may have.
        max_bytes: larger documents are refused unread.

    Raises:
        InputError: a limit that cannot work.
    """

    def __init__(
        self, workers: int | None = None, timeout: float = 60.0, memory: int = 2 * 2**30, *, max_bytes: int = MAX_BYTES
    ) -> None:
        if workers is not None and workers < 1:
            raise InputError(f"a pool needs at least one worker, not {workers}")
        if timeout <= 0:
            raise InputError(f"the time limit a document must be above 0 seconds, not {timeout}")
        if memory < 256 * 2**20:
            raise InputError(f"the memory limit a document must be at least {256 * 2**20:,} bytes, not {memory:,}")
        self._workers = workers or min(_MOST_WORKERS, _cores())
        self._limits = (timeout, memory, max_bytes)
        self._tasks: queue.SimpleQueue[tuple[Blob, Future[Result]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._running: set[_Worker] = set()
        self._finalizer = weakref.finalize(self, _abandon, self._tasks, self._threads, self._running)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all workers at once, also those in the middle of a document; results still awaited become errors."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._finalizer()

    def run(self, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, Result]]:
        """Each blob with its document, or with the error that kept it from being read, in the order of the input.

        The input is read as results are taken: at most four blobs a worker, and 32 MB of them (or one larger one), are ahead of
        the one yielded. Parsing goes on while the caller works on a result. Leaving the iteration early drops what is ahead.

        Raises:
            InputError: the pool was closed.
        """
        if self._closed:
            raise InputError("this ParsePool was closed; make a new one")
        ahead = 4 * self._workers
        pending: deque[tuple[Blob, int, Future[Result]]] = deque()
        held = 0
        source = iter(blobs)
        try:
            more = True
            while True:
                while more and len(pending) < ahead and (held < _BYTES_AHEAD or not pending):
                    blob = next(source, None)
                    if blob is None:
                        more = False
                    else:
                        size = _size(blob)
                        held += size
                        pending.append((blob, size, self._submit(blob)))
                if not pending:
                    return
                blob, size, future = pending.popleft()
                yield blob, future.result()
                held -= size
                del blob, future  # the document must not outlive the caller's use of it while the next ones are waited for
        finally:
            for _, _, future in pending:
                future.cancel()

    def _submit(self, blob: Blob) -> Future[Result]:
        future: Future[Result] = Future()
        with self._lock:
            if self._closed:
                raise InputError("this ParsePool was closed; make a new one")
            self._tasks.put((blob, future))
            if self._idle < self._tasks.qsize() and len(self._threads) < self._workers:
                thread = threading.Thread(target=_serve, args=(weakref.ref(self), self._tasks, self._limits), daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def _waiting(self, change: int) -> None:
        with self._lock:
            self._idle += change

    def _register(self, worker: _Worker) -> bool:
        """Take note of a new worker; False where the pool was closed meanwhile."""
        with self._lock:
            if not self._closed:
                self._running.add(worker)
            return not self._closed

    def _forget(self, worker: _Worker) -> None:
        with self._lock:
            self._running.discard(worker)


class _Worker:
    """One worker process and the pipes to it. Used by one thread, killed from any."""

    def __init__(self, limits: tuple[float, int, int]) -> None:
        arguments = [str(limit) for limit in limits]
        self.process = subprocess.Popen(  # noqa: S603 our own interpreter and code
            [sys.executable, "-I", "-c", _START, *arguments, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_QUIET_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C in the terminal reaches the parent alone
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._requests: IO[bytes] = self.process.stdin
        self._replies: IO[bytes] = self.process.stdout
        self._ready = False
        os.set_blocking(self._replies.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._replies, selectors.EVENT_READ)

    def ask(self, blob: Blob, timeout: float) -> Result | None:
        """The result, or None where the worker died. Raises TimeoutError."""
        if not self._ready and self._read(1, time.monotonic() + _START_LIMIT) is None:
            return None
        self._ready = True  # only from here on is it the document's time
        frame = pickle.dumps(blob, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            self._requests.write(LENGTH.pack(len(frame)))
            self._requests.write(frame)
            self._requests.flush()
        except (OSError, ValueError):
            return None
        deadline = time.monotonic() + timeout
        head = self._read(LENGTH.size, deadline)
        body = self._read(LENGTH.unpack(head)[0], deadline) if head is not None else None
        if body is None:
            return None
        result: Result = pickle.loads(body)  # noqa: S301 written by our own worker
        return result

    def _read(self, size: int, deadline: float) -> bytearray | None:
        """Exactly `size` bytes; None where the worker died. Raises TimeoutError."""
        got = bytearray()
        while len(got) < size:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                if time.monotonic() >= deadline:
                    raise TimeoutError
                continue
            part = os.read(self._replies.fileno(), min(size - len(got), 1 << 20))
            if not part:
                return None
            got += part
        return got

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End the process at once; safe from any thread."""
        with contextlib.suppress(OSError):
            self.process.kill()

    def close(self) -> int:
        """End the process, wait for it, and let go of the pipes; its exit status."""
        self.kill()
        status = self.process.wait()
        self._selector.close()
        for stream in (self._requests, self._replies):
            with contextlib.suppress(OSError, ValueError):  # what was still unsent to a dead worker
                stream.close()
        return status


def _serve(
    reference: weakref.ref[ParsePool],
    tasks: queue.SimpleQueue[tuple[Blob, Future[Result]] | None],
    limits: tuple[float, int, int],
) -> None:
    """The life of one thread: takes blobs, has its worker parse them, and replaces a worker that died."""
    worker: _Worker | None = None
    try:
        while True:
            _note(reference, 1)
            task = tasks.get()
            _note(reference, -1)
            if task is None:
                return
            blob, future = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                worker, result = _worked(reference, worker, blob, limits)
            except BaseException as error:  # noqa: BLE001 whoever waits for the future must hear of it
                future.set_exception(error)
                continue
            future.set_result(result)
            del task, blob, future, result
    finally:
        _dismiss(reference, worker)


def _worked(
    reference: weakref.ref[ParsePool], worker: _Worker | None, blob: Blob, limits: tuple[float, int, int]
) -> tuple[_Worker | None, Result]:
    """The result, and the worker to go on with."""
    timeout, memory, _ = limits
    for attempt in (1, 2):
        fresh = worker is None or not worker.alive()
        if worker is None or fresh:
            _dismiss(reference, worker)
            worker = _hired(reference, limits)
        if worker is None:
            return None, _closed(blob)
        try:
            result = worker.ask(blob, timeout)
        except TimeoutError:
            _dismiss(reference, worker)
            return None, ParseLimit(
                f"{blob.name or blob.id!r} takes longer to read than the limit of {timeout:g} seconds a document; "
                "raise the limit (timeout), or split the document"
            )
        if result is not None:
            return worker, result
        status = _dismiss(reference, worker, gently=True)
        worker = None
        pool = reference()
        if pool is None or pool._closed:  # noqa: SLF001 the pool's own thread
            return None, _closed(blob)
        if fresh or attempt == 2 or status != 0:  # status 0: it retired after the document before, just as this one was sent
            return None, _crash(blob, status, memory)
    raise AssertionError("unreachable")


def _crash(blob: Blob, status: int, memory: int) -> ParseError:
    if status == _OUT_OF_MEMORY:
        return memory_error(blob, memory)
    try:
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    except ValueError:
        how = f"signal {-status}"
    return ParseError(f"{blob.name or blob.id!r} crashes the parser ({how}); the file is damaged, or the library has a bug")


def _hired(reference: weakref.ref[ParsePool], limits: tuple[float, int, int]) -> _Worker | None:
    worker = _Worker(limits)
    pool = reference()
    if pool is not None and pool._register(worker):  # noqa: SLF001 the pool's own thread
        return worker
    worker.close()
    return None


def _dismiss(reference: weakref.ref[ParsePool], worker: _Worker | None, *, gently: bool = False) -> int:
    """End a worker and give its exit status, 0 for none; `gently` lets one that is about to exit do so by itself."""
    if worker is None:
        return 0
    if gently:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(_LAST_WORDS)
    status = worker.close()
    pool = reference()
    if pool is not None:
        pool._forget(worker)  # noqa: SLF001 the pool's own thread
    return status


def _note(reference: weakref.ref[ParsePool], change: int) -> None:
    pool = reference()
    if pool is not None:
        pool._waiting(change)  # noqa: SLF001 the pool's own thread


def _abandon(
    tasks: queue.SimpleQueue[tuple[Blob, Future[Result]] | None], threads: list[threading.Thread], workers: set[_Worker]
) -> None:
    """End all workers and wait for the threads that look after them; on close, when the pool is collected, and at exit."""
    with contextlib.suppress(queue.Empty):
        while True:
            task = tasks.get_nowait()
            if task is not None and task[1].set_running_or_notify_cancel():
                task[1].set_result(_closed(task[0]))
    for _ in threads:
        tasks.put(None)
    for worker in list(workers):
        worker.kill()
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join()


def _size(blob: Blob) -> int:
    """The bytes of a blob, without reading it; 0 where there is no file, which the worker will say."""
    if blob.data is not None:
        return len(blob.data)
    try:
        return blob.path.stat().st_size if blob.path is not None else 0
    except OSError:
        return 0


def _closed(blob: Blob) -> ParseError:
    return ParseError(f"{blob.name or blob.id!r} was not read: the ParsePool was closed")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
