"""Documents from any storage that fsspec speaks to: S3, GCS, Azure, SFTP, archives, memory.

Ids are "objects:" + the last name of the url + a mark of the whole url + the path below it ("objects:handbook-1f3a9c/leave.md").
The version of a document is what the storage says of its content: an ETag, a checksum or a generation, else time and size.
Credentials belong into the storage's own configuration or into `storage_options`; they are in no name and in no message.

A listing of S3 is streamed key by key and goes on after any key; other storages are walked folder by folder. Retries are those
of the library that speaks to the storage; all of them are bounded.
"""

from __future__ import annotations

import builtins
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contextkit.connectors import urls
from contextkit.connectors.files import JUNK, _patterns, _raw, _readable
from contextkit.errors import InputError, MissingExtra, SourceError
from contextkit.types import JSON, Blob, DocumentRef, ListingPage

_PART = 1_000
_MAX_BYTES = 100 * 2**20
_UNKNOWN_TYPES = ("", "application/octet-stream", "binary/octet-stream")  # what a storage says when nobody told it
_PACKAGES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "abfs": ("adlfs", "azure"),
    "az": ("adlfs", "azure"),
    "sftp": ("paramiko", "sftp"),
}
_CONTENT_KEYS = ("ETag", "etag", "e_tag", "md5Hash", "md5", "crc32c", "checksum", "CRC", "generation")
_TIME_KEYS = ("LastModified", "last_modified", "updated", "mtime", "modified", "created", "date_time")


@dataclass(frozen=True, slots=True)
class _Entry:
    relative: str
    info: Mapping[str, Any]


class ObjectsConnector:
    """The objects below a url (protocol `Connector`).

    A prefix of S3 without any object is an empty, complete listing, for S3 has no folders; elsewhere a missing folder is an
    error.

    Args:
        url: of a bucket, folder, archive or single object: "s3://bucket/prefix", "sftp://user@host/docs", "zip:///docs.zip",
            "zip://inner::s3://bucket/docs.zip".
        storage_options: for the library that speaks to the storage, for example {"endpoint_url": "..."}; of the further parts of
            a chained url by protocol ({"s3": {...}}).
        glob: gitignore patterns, one of which an object must match ("*.md", "handbook/**"); None: every object.
        exclude: gitignore patterns of what is left out.
        access: who may see the documents, as "user:NAME" and "group:NAME"; None: everyone.
        max_bytes: a larger object is not fetched, which fails that document.

    Raises:
        InputError: a url that fsspec does not know, or a pattern that cannot be understood.
        MissingExtra: a package for that storage is needed.
    """

    def __init__(
        self,
        url: str,
        *,
        storage_options: Mapping[str, Any] | None = None,
        glob: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] = (),
        access: Sequence[str] | None = None,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._options = dict(storage_options or {})
        self._url = urls.complete(url) if "fo" not in self._options else url
        self._place = urls.public(self._url, self._options)
        self._check()
        self._glob = None if glob is None else _patterns([glob] if isinstance(glob, str) else glob, "glob")
        self._exclude = _patterns([*JUNK, *([exclude] if isinstance(exclude, str) else exclude)], "exclude")
        self._access = None if access is None else tuple(access)
        self._max_bytes = max_bytes
        mark = hashlib.sha256(self._place.encode("utf-8", "surrogateescape")).hexdigest()[:6]
        self._stem = f"objects:{urls.last_name(self._place)}-{mark}"
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None

    def __repr__(self) -> str:
        return f"ObjectsConnector({self._place!r})"

    @property
    def source(self) -> str:
        """The url without credentials, after "objects:"; a special endpoint is part of it."""
        return f"objects:{_readable(self._place)}"

    def list(self, cursor: str | None = None) -> Iterator[ListingPage]:
        """The objects in the order of their paths, in parts; a folder that cannot be read is a problem, and the listing is then
        not complete.

        Args:
            cursor: the relative path after which to go on; such a listing is never complete.

        Raises:
            SourceError: the storage cannot be reached, does not have that place, does not let us read it, or broke off.
        """
        refs: list[DocumentRef] = []
        problems: builtins.list[tuple[str, str]] = []
        after = None if cursor is None else _raw(cursor)
        last, ordered = after or "", True
        try:
            with self._lock:
                self._opened = None  # a storage that was opened earlier may keep what it saw then
            for entry in self._entries(after, problems):
                ordered = ordered and _order(last) <= _order(entry.relative)
                last = entry.relative
                if self._wanted(entry.relative):
                    refs.append(self._ref(entry))
                if len(refs) >= _PART:
                    yield ListingPage(tuple(refs), _cursor(last, ordered=ordered))
                    refs = []
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - every library raises its own; ours goes on up
            raise self._failure(error, "cannot be listed") from self._cause(error)
        complete = not problems and cursor is None
        yield ListingPage(tuple(refs), _cursor(last, ordered=ordered), complete=complete, problems=tuple(problems))

    def fetch(self, ref: DocumentRef) -> Blob:
        """The bytes of a ref, as they were when it was listed.

        Raises:
            SourceError: the object is gone, changed since it was listed, is too large, or cannot be read.
        """
        relative = ref.metadata.get("path")
        if not isinstance(relative, str) or ref.id != f"{self._stem}/{relative}":
            raise SourceError(f"{ref.id!r} is no document of {self._place}")
        if ref.size > self._max_bytes:
            raise SourceError(f"{ref.uri} has {ref.size:,} bytes, over the limit of {self._max_bytes:,} (max_bytes)")
        try:
            fs, root = self._open()
            with self._turn(fs):
                path = self._path(fs, root, _raw(relative))
                data = fs.cat_file(path) if ref.size >= 0 else fs.cat_file(path, start=0, end=self._max_bytes + 1)
                info = fs.info(path)
        except SourceError:
            raise
        except FileNotFoundError as error:
            raise SourceError(f"{ref.uri} is gone since it was listed") from self._cause(error)
        except Exception as error:  # noqa: BLE001 - every library raises its own; ours goes on up
            raise self._failure(error, f"cannot be read at {relative!r}") from self._cause(error)
        if len(data) > self._max_bytes:
            raise SourceError(f"{ref.uri} has over {self._max_bytes:,} bytes, which is the limit (max_bytes)")
        if ref.version and _version(info) != ref.version:
            raise SourceError(f"{ref.uri} changed since it was listed: the next run takes it as it is then")
        return Blob(ref.id, name=ref.name, uri=ref.uri, media_type=_media_type(info) or ref.media_type, data=data)

    # ----------------------------------------------------------------------------------------------------------------- storage

    def _check(self) -> None:
        """Looks for the packages that the url needs, without reaching for the storage."""
        try:
            import fsspec  # type: ignore[import-untyped] # it has no types
        except ImportError:
            raise MissingExtra("fsspec", "objects", f"reading {self._place}") from None
        for scheme in urls.schemes(self._url):
            if scheme in ("http", "https"):
                raise InputError(f"{self._place}: a web server does not list what it has; name a storage, a folder or an archive")
            try:
                fsspec.get_filesystem_class(scheme)
            except ValueError:
                raise InputError(f"{self._place}: no storage is known by {scheme!r}; see fsspec.available_protocols()") from None
            except ImportError as error:
                package, extra = _PACKAGES.get(urls.alias(scheme), (getattr(error, "name", None) or scheme, "objects"))
                raise MissingExtra(package, extra, f"reading {scheme}:// addresses") from None

    def _open(self) -> tuple[Any, str]:
        """The storage, opened anew for each listing, and the path of the root in its own words."""
        with self._lock:
            if self._opened is None:
                from fsspec.core import url_to_fs  # type: ignore[import-untyped] # it has no types

                fs, root = url_to_fs(self._url, skip_instance_cache=True, **self._options)
                fs.invalidate_cache()
                self._opened = fs, str(root).rstrip("/")
            return self._opened

    def _turn(self, fs: Any) -> AbstractContextManager[Any]:  # noqa: ANN401 - a file system of fsspec, which has no types
        """One call at a time where the library does not say that it can do more."""
        return nullcontext() if fs.async_impl else self._lock

    def _path(self, fs: Any, root: str, relative: str) -> str:  # noqa: ANN401 - see above
        whole = f"{root}/{relative}" if root or _absolute(fs) else relative
        single = root.rpartition("/")[2] == relative and self._single(fs, root)
        return root if single else whole

    def _single(self, fs: Any, root: str) -> bool:  # noqa: ANN401 - see above
        try:
            return fs.info(root)["type"] == "file" and not fs.exists(f"{root}/{root.rpartition('/')[2]}")
        except FileNotFoundError:
            return False

    def _failure(self, error: Exception, what: str) -> SourceError:
        reason = urls.redacted(" ".join(str(error).split()) or type(error).__name__, self._url, self._options)
        return SourceError(f"{self._place} {what}: {_explained(error, reason)}")

    def _cause(self, error: Exception) -> Exception | None:
        """The error itself, unless its own message would give credentials away."""
        text = f"{error} {error!r}"
        return error if urls.redacted(text, self._url, self._options) == text else None

    # ----------------------------------------------------------------------------------------------------------------- listing

    def _ref(self, entry: _Entry) -> DocumentRef:
        relative, info = _readable(entry.relative), entry.info
        metadata: dict[str, JSON] = {"path": relative}
        modified, media_type = _modified(info), _media_type(info)
        if modified:
            metadata["last_modified"] = modified
        if media_type:
            metadata["content_type"] = media_type
        size = info.get("size")
        return DocumentRef(
            id=f"{self._stem}/{relative}",
            version=_version(info),
            name=relative.rpartition("/")[2],
            uri=_readable(urls.below(self._place, entry.relative)),
            media_type=media_type,
            size=size if isinstance(size, int) else -1,
            metadata=metadata,
            access=self._access,
        )

    def _wanted(self, relative: str) -> bool:
        return not self._exclude.match_file(relative) and (self._glob is None or self._glob.match_file(relative))

    def _entries(self, after: str | None, problems: builtins.list[tuple[str, str]]) -> Iterator[_Entry]:
        fs, root = self._open()
        if hasattr(fs, "call_s3") and hasattr(fs, "split_path"):
            yield from self._keys(fs, root, after)
            return
        if root.strip("/") and fs.info(root)["type"] == "file":
            name = root.rpartition("/")[2]
            if after is None or _order(name) > _order(after):
                yield _Entry(name, fs.info(root))
            return
        stack = [self._folder(fs, root, "", after)]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, _Entry):
                yield found
            else:
                try:
                    stack.append(self._folder(fs, root, found, after))
                except (PermissionError, FileNotFoundError) as error:
                    problems.append((_readable(urls.below(self._place, found)), _explained(error, type(error).__name__)))

    def _folder(self, fs: Any, root: str, prefix: str, after: str | None) -> Iterator[_Entry | str]:  # noqa: ANN401 - see above
        """The entries of one folder in order, folders as their prefix; listed before this returns."""
        path = (f"{root}/{prefix}" if root or _absolute(fs) else prefix).rstrip("/")
        with self._turn(fs):
            listed = fs.ls(path or fs.root_marker, detail=True)
        found: list[tuple[str, Mapping[str, Any]]] = []
        for info in listed:
            name = str(info["name"]).rstrip("/").rpartition("/")[2]
            own = str(info["name"]).strip("/") == path.strip("/")  # a storage may name the folder itself
            if not name or own or info.get("islink"):
                continue
            if info["type"] in ("file", "directory"):
                found.append((prefix + name + ("/" if info["type"] == "directory" else ""), info))
        found.sort(key=lambda pair: _order(pair[0]))
        return self._after(found, after)

    def _after(self, found: Sequence[tuple[str, Mapping[str, Any]]], after: str | None) -> Iterator[_Entry | str]:
        for relative, info in found:
            if relative.endswith("/"):
                passed = after is not None and _order(relative) < _order(after) and not after.startswith(relative)
                if not passed and not self._exclude.match_file(relative):
                    yield relative
            elif after is None or _order(relative) > _order(after):
                yield _Entry(relative, info)

    def _keys(self, fs: Any, root: str, after: str | None) -> Iterator[_Entry]:  # noqa: ANN401 - see above
        """The keys below a prefix of S3, part by part, in the order of their bytes."""
        bucket, key, _ = fs.split_path(root)
        if not bucket:
            raise SourceError(f"{self._place} names no bucket: s3://BUCKET/PREFIX")
        prefix = f"{key}/" if key else ""
        where: dict[str, Any] = {} if after is None else {"StartAfter": prefix + after}
        found = False
        while True:
            reply = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1_000, **where, **fs.req_kw)
            for item in reply.get("Contents", ()):
                found = True
                if not item["Key"].endswith("/"):  # the mark of an empty folder
                    yield _Entry(item["Key"][len(prefix) :], {**item, "size": item["Size"]})
            if not reply.get("IsTruncated"):
                break
            if not reply.get("NextContinuationToken"):
                raise SourceError(f"{self._place} cannot be listed: the answer is cut off and does not say where it goes on")
            where = {"ContinuationToken": reply["NextContinuationToken"]}
        if key and not found and after is None and fs.isfile(root):
            yield _Entry(key.rpartition("/")[2], fs.info(root))


def _absolute(fs: Any) -> bool:  # noqa: ANN401 - a file system of fsspec, which has no types
    return bool(fs.root_marker == "/")


def _order(relative: str) -> bytes:
    return relative.encode("utf-8", "surrogateescape")


def _cursor(last: str, *, ordered: bool) -> str | None:
    """Where to go on; None where the storage does not keep to an order, so that a later listing could miss something."""
    return _readable(last) if last and ordered else None


def _version(info: Mapping[str, Any]) -> str:
    """What changes with the content; "" where the storage says nothing of the kind."""
    for name in _CONTENT_KEYS:
        value = info.get(name)
        if value not in (None, ""):
            text = value.hex() if isinstance(value, bytes) else str(value).strip('"')
            return f"{text}-{info.get('size')}" if name == "CRC" else text
    time = _modified(info)
    if not time:
        return ""
    return "-".join(str(part) for part in (info.get("size"), time, info.get("ino")) if part is not None)


def _modified(info: Mapping[str, Any]) -> str:
    """When it was last written, ISO 8601, in UTC where the storage knows the zone; "" where it does not say."""
    value = next((info[name] for name in _TIME_KEYS if info.get(name)), None)
    try:
        if isinstance(value, (int, float)):
            return datetime.fromtimestamp(value, UTC).isoformat()
        if isinstance(value, tuple):
            return datetime(*value[:6]).isoformat()  # noqa: DTZ001 - an archive does not say in which zone
    except (ValueError, OverflowError, OSError):
        return ""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    return value if isinstance(value, str) else ""


def _media_type(info: Mapping[str, Any]) -> str:
    settings = info.get("content_settings")
    value = info.get("ContentType") or info.get("contentType") or (settings or {}).get("content_type") or ""
    kind = str(value).partition(";")[0].strip().lower()
    return "" if kind in _UNKNOWN_TYPES else kind


def _explained(error: Exception, reason: str) -> str:
    """The reason in words that say what to look at."""
    kind = type(error).__name__
    if isinstance(error, PermissionError):
        return f"access denied ({reason}); check the credentials and their rights"
    if "Credentials" in kind:
        return f"no usable credentials ({reason}); set them up for the storage, or give storage_options"
    if isinstance(error, FileNotFoundError):
        return f"there is no such place ({reason})"
    if isinstance(error, (ConnectionError, TimeoutError)) or "Connect" in kind or "Timeout" in kind:
        return f"the storage does not answer ({reason}); check the address and the network"
    return f"{reason} ({kind})"
