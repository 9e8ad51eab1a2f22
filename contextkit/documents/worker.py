"""The worker process of a `ParsePool`: reads blobs from its standard input, writes documents or errors to its standard output.

Started by `pool` as its own interpreter, never by importing the user's main module. A frame is its length and a pickle.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import struct
import sys
import threading
import time
import warnings
from typing import BinaryIO

from contextkit.errors import ParseError, ParseLimit
from contextkit.types import Blob, Document

LENGTH = struct.Struct("<Q")
_GRACE = 5.0
"""Seconds after the time limit at which a worker that nobody killed kills itself."""


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Exactly `size` bytes. Raises EOFError where the stream ends before."""
    parts: list[bytes] = []
    while size:
        part = stream.read(min(size, 1 << 24))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def main() -> None:
    """Serve until the input ends. Arguments: time limit in seconds, memory limit in bytes, size limit in bytes."""
    timeout, memory, max_bytes = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    requests, replies = _private_streams()
    _quiet()
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    _limit_memory(memory)
    replies.write(b"+")  # started: from now on the time is a document's
    replies.flush()
    while True:
        try:
            (size,) = LENGTH.unpack(read_exactly(requests, LENGTH.size))
            blob = pickle.loads(read_exactly(requests, size))  # noqa: S301 written by our own parent process
        except EOFError:
            return
        _alarm(timeout + _GRACE)
        result = _parsed(blob, max_bytes, memory)
        frame = _frame(result, blob, memory)
        del result
        replies.write(LENGTH.pack(len(frame)))
        replies.write(frame)  # by itself: joining the two would copy it
        replies.flush()
        _alarm(0.0)
        del blob, frame
        if _resident() > memory // 3:  # memory that libraries keep for good; the parent starts another worker
            return


def _parsed(blob: Blob, max_bytes: int, memory: int) -> Document | ParseError:
    from contextkit.documents.parsing import parse

    try:
        return parse(blob, max_bytes=max_bytes)
    except ParseLimit:
        return memory_error(blob, memory)
    except ParseError as error:
        error.__cause__ = error.__context__ = None  # may hold what does not pickle
        return error.with_traceback(None)
    except MemoryError:
        return memory_error(blob, memory)


def _frame(result: Document | ParseError, blob: Blob, memory: int) -> bytes:
    try:
        return pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        return pickle.dumps(memory_error(blob, memory))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        return pickle.dumps(ParseError(f"{blob.name or blob.id!r}: the parser's document cannot leave its process ({error})"))


def memory_error(blob: Blob, memory: int) -> ParseLimit:
    """The error for a document that does not fit the memory limit."""
    return ParseLimit(
        f"{blob.name or blob.id!r} takes more memory to read than the limit of {memory / 2**20:,.0f} MiB a document; "
        "raise the limit (memory), or split the document"
    )


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes on descriptors of their own; libraries that print, print into nothing."""
    requests = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
    replies = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    return requests, replies


def _quiet() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends us by closing the pipe or killing


def _limit_memory(memory: int) -> None:
    """Bound the address space where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_parent(parent: int) -> None:
    """End this process when its parent was killed while a document is being read; the alarm is for what blocks threads too."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def _alarm(seconds: float) -> None:
    """Let the system end this process unless it is called again in time, even while a C library hangs and the parent is gone."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    try:  # not ru_maxrss on Linux: a process inherits the peak of the one that started it, through exec too
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 pathlib is not loaded in a worker otherwise
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
