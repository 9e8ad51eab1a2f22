"""Faults at a chosen point of a process's writing: a kill, a kill in the middle of a write, or a disk that is full or fails.

Points are counted over everything that reaches the disk: SQLite's own writes, syncs, truncations and deletions (through a VFS that
wraps the system's one), each SQL statement, and what Python and FAISS write (open, write, fsync, rename, unlink).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import pathlib
import signal
import sqlite3
from dataclasses import dataclass, field

FULL, FSYNC, TRUNCATE, DELETE = 13, 1034, 1546, 2570  # SQLITE_FULL, SQLITE_IOERR_FSYNC, _TRUNCATE, _DELETE
WRITES = {"sqlite write", "file write", "faiss write"}
FAILING = WRITES | {"sqlite sync", "sqlite truncate", "file open", "file sync", "file rename"}


@dataclass
class Fault:
    """What happens at the n-th point: nothing (n 0: points are only counted), "kill", "torn" (half of the write, then a kill) or
    "fail" (a full disk for this and all later writes; a sync or rename fails once).
    """

    n: int = 0
    mode: str = "kill"
    kinds: list[str] = field(default_factory=list)
    _broken: bool = False

    def reached(self, kind: str) -> str:
        """Counts a point; gives "torn" or "fail" where the caller has to do that, else ""."""
        self.kinds.append(kind)
        if len(self.kinds) == self.n:
            if self.mode == "kill" or (self.mode == "torn" and kind not in WRITES):
                os.kill(os.getpid(), signal.SIGKILL)
            self._broken = self.mode == "fail" and (kind in WRITES or kind == "file open")
            return self.mode
        return "fail" if self._broken and (kind in WRITES or kind == "file open") else ""


def install(fault: Fault) -> None:
    """Puts the fault into this process, for good: call it in a child."""
    _files(fault)
    _faiss(fault)
    _statements(fault)
    _sqlite(fault)


# ---------------------------------------------------------------------------------------------------------------- Python's files


class _Written:
    """A file opened for writing, whose writes are points."""

    def __init__(self, file, fault):
        self._file, self._fault = file, fault

    def write(self, data):
        what = self._fault.reached("file write")
        if what == "torn":
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "fail":
            self._file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def _files(fault: Fault) -> None:
    opened, fsync, replace, unlink = pathlib.Path.open, os.fsync, os.replace, os.unlink

    def open_(self, mode="r", *args, **kwargs):
        if not set(mode) & set("wax+"):
            return opened(self, mode, *args, **kwargs)
        if fault.reached("file open") == "fail":
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return _Written(opened(self, mode, *args, **kwargs), fault)

    def fsync_(handle):
        if fault.reached("file sync") == "fail":
            raise OSError(errno.EIO, "Input/output error")
        fsync(handle)

    def replace_(a, b, **kwargs):
        if fault.reached("file rename") == "fail":
            raise OSError(errno.EIO, "Input/output error", str(b))
        replace(a, b, **kwargs)

    def unlink_(path, **kwargs):
        fault.reached("file unlink")
        unlink(path, **kwargs)

    pathlib.Path.open, os.fsync, os.replace, os.unlink = open_, fsync_, replace_, unlink_


def _faiss(fault: Fault) -> None:
    import faiss

    write = faiss.write_index

    def write_(index, path, *how):
        if not isinstance(path, str):  # into memory
            return write(index, path, *how)
        what = fault.reached("faiss write")
        write(index, path)
        if what:
            os.truncate(path, pathlib.Path(path).stat().st_size // 2)
        if what == "torn":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "fail":
            raise RuntimeError(f"Error in fwrite: could not write to {path}: No space left on device")
        return None

    faiss.write_index = write_


# ------------------------------------------------------------------------------------------------------------------------ SQLite


def _statements(fault: Fault) -> None:
    from contextkit.catalog import database

    connect = database.Database._connect

    def traced(self) -> sqlite3.Connection:
        connection = connect(self)
        connection.set_trace_callback(lambda _: fault.reached("statement") and None)
        return connection

    database.Database._connect = traced


_METHODS = ("xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock", "xUnlock", "xCheckReservedLock",
            "xFileControl", "xSectorSize", "xDeviceCharacteristics", "xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap",
            "xFetch", "xUnfetch")  # fmt: skip


class _Methods(ctypes.Structure):
    _fields_ = [("iVersion", ctypes.c_int), *((name, ctypes.c_void_p) for name in _METHODS)]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym",
            "xDlClose", "xRandomness", "xSleep", "xCurrentTime", "xGetLastError", "xCurrentTimeInt64", "xSetSystemCall",
            "xGetSystemCall", "xNextSystemCall")),
    ]  # fmt: skip


_INT, _PTR = ctypes.c_int, ctypes.c_void_p
_OPEN = ctypes.CFUNCTYPE(_INT, _PTR, _PTR, ctypes.POINTER(_File), _INT, _PTR)
_DELETE = ctypes.CFUNCTYPE(_INT, _PTR, _PTR, _INT)
_WRITE = ctypes.CFUNCTYPE(_INT, _PTR, _PTR, _INT, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _PTR, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(_INT, _PTR, _INT)
_kept: list[object] = []  # what C code points to must not be collected


def available() -> bool:
    """Whether SQLite's library can be reached, so that its own writes are points too."""
    return _library() is not None


def _library() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("sqlite3") or "libsqlite3.so.0"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    library.sqlite3_libversion.restype = ctypes.c_char_p
    return library if library.sqlite3_libversion().decode() == sqlite3.sqlite_version else None


def _sqlite(fault: Fault) -> None:
    library = _library()
    if library is None:
        return
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    system = library.sqlite3_vfs_find(None)
    own = _Vfs.from_buffer_copy(system.contents)
    opened, deleted = _OPEN(system.contents.xOpen), _DELETE(system.contents.xDelete)
    patched: dict[int, _Methods] = {}

    @_OPEN
    def x_open(_, name, file, flags, out):
        code = opened(ctypes.addressof(system.contents), name, file, flags, out)
        if code == 0 and file.contents.methods:
            address = ctypes.addressof(file.contents.methods.contents)
            if address not in patched:
                patched[address] = _wrapped(file.contents.methods.contents, fault)
            file.contents.methods = ctypes.pointer(patched[address])
        return code

    @_DELETE
    def x_delete(_, name, folder):
        if fault.reached("sqlite delete") == "fail":
            return DELETE
        return deleted(ctypes.addressof(system.contents), name, folder)

    own.zName, own.pNext = b"faulty", None
    own.xOpen, own.xDelete = (ctypes.cast(f, _PTR).value for f in (x_open, x_delete))
    _kept.extend([own, opened, deleted, x_open, x_delete, patched, system])
    if library.sqlite3_vfs_register(ctypes.byref(own), 1):
        raise RuntimeError("SQLite did not take the VFS")


def _wrapped(methods: _Methods, fault: Fault) -> _Methods:
    write, truncate, sync = _WRITE(methods.xWrite), _TRUNCATE(methods.xTruncate), _SYNC(methods.xSync)

    @_WRITE
    def x_write(file, data, amount, offset):
        what = fault.reached("sqlite write")
        if what == "torn":
            write(file, data, amount // 2, offset)
            os.kill(os.getpid(), signal.SIGKILL)
        return FULL if what == "fail" else write(file, data, amount, offset)

    @_TRUNCATE
    def x_truncate(file, size):
        return TRUNCATE if fault.reached("sqlite truncate") == "fail" else truncate(file, size)

    @_SYNC
    def x_sync(file, flags):
        return FSYNC if fault.reached("sqlite sync") == "fail" else sync(file, flags)

    out = _Methods.from_buffer_copy(methods)
    out.xWrite, out.xTruncate, out.xSync = (ctypes.cast(f, _PTR).value for f in (x_write, x_truncate, x_sync))
    _kept.extend([write, truncate, sync, x_write, x_truncate, x_sync])
    return out
