"""Addresses of storages as the world may see them: without credentials, the same however they were written. Opens nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_ALIASES = {"s3a": "s3", "gcs": "gs", "local": "file", "abfss": "abfs", "ssh": "sftp"}
_PLACES = ("endpoint_url", "account_name", "host", "port", "fo", "target_protocol")  # options that say where, not who
_SECRET_WORDS = re.compile(r"(?i)secret|token|pass|key|credential|sig|auth|connection_string|sas")
_SECRET_TEXT = re.compile(
    r"(?i)((?:sig|signature|token|password|passwd|secret|credential|accountkey|sas)[\w-]*\s*[=:]\s*)[^&\s,;'\"]+"
)
_ARCHIVES = ("zip", "tar", "libarchive")


def alias(scheme: str) -> str:
    """The usual name of a scheme."""
    return _ALIASES.get(scheme, scheme)


def schemes(url: str) -> tuple[str, ...]:
    """The protocols of a url, that of each part of a chain; "file" for a plain path."""
    return tuple(part.partition("://")[0] if "://" in part else "file" for part in url.split("::") if part)


def complete(url: str) -> str:
    """The url for fsspec: an archive that is named alone ("zip:///docs.zip") is opened at its top, a bare link of a chain
    ("zip::...") gets its marks.
    """
    parts = [f"{part}://" if part in _ARCHIVES else part for part in url.split("::")]
    parts = [re.sub(r"^[A-Za-z][A-Za-z0-9.+-]+://", lambda scheme: scheme[0].lower(), part) for part in parts]
    scheme, mark, rest = parts[0].partition("://")
    if len(parts) == 1 and mark and scheme in _ARCHIVES and rest:
        parts = [f"{scheme}://", rest]
    return "::".join(parts)


def public(url: str, options: Mapping[str, Any]) -> str:
    """The url without credentials, one spelling a place; an endpoint or account that the options name is put after it."""
    name = "::".join(_public_part(part) for part in url.split("::"))
    client = options.get("client_kwargs")
    places = {**(client if isinstance(client, Mapping) else {}), **options}
    named = [f"{k}={redacted(_public_part(str(places[k])) if '://' in str(places[k]) else str(places[k]), '', {})}"
             for k in _PLACES if places.get(k) is not None]  # fmt: skip
    return f"{name} ({', '.join(named)})" if named else name


def below(place: str, relative: str) -> str:
    """The public address of what lies below a public address; it does not say which endpoint."""
    address = place.partition(" (")[0] if place.endswith(")") else place
    first, mark, rest = address.partition("::")
    joined = first + relative if first.endswith("/") else f"{first}/{relative}"
    return joined + mark + rest


def last_name(place: str) -> str:
    """A short name for people: the last name of the address (of the archive, where it is the whole of one)."""
    address = place.partition(" (")[0]
    first, _, rest = address.partition("::")
    path = first.partition("://")[2] or rest
    return re.sub(r"[^\w.-]+", "_", path.rstrip("/").rpartition("/")[2]) or "root"


def redacted(text: str, url: str, options: Mapping[str, Any]) -> str:
    """The text with every credential of the url and the options, and what else looks like one, shown as ***."""
    secrets = {secret for part in url.split("::") for secret in _of_url(part)} | set(_of_options(options))
    for secret in sorted((s for s in secrets if len(s) > 2), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SECRET_TEXT.sub(r"\1***", text)


def _public_part(part: str) -> str:
    scheme, mark, rest = part.partition("://")
    if not mark:
        return f"file://{Path(part).expanduser().absolute().as_posix()}" if part else part
    scheme = alias(scheme)
    if scheme in ("file", "memory"):
        path = rest if scheme == "memory" else Path(rest).expanduser().absolute().as_posix()
        return f"{scheme}:///{path.strip('/')}"
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if at and ":" in user and scheme not in ("github", "gitlab"):  # there it is the repository
        authority = host
    return f"{scheme}://{authority}{slash}{path}".rstrip("/") if authority else f"{scheme}://{path.rstrip('/')}"


def _of_url(part: str) -> Iterator[str]:
    authority = part.partition("://")[2].partition("/")[0]
    user, at, _ = authority.rpartition("@")
    if at and ":" in user:
        yield user
        yield user.partition(":")[2]


def _of_options(options: Mapping[str, Any], *, secret: bool = False) -> Iterator[str]:
    for name, value in options.items():
        hidden = secret or bool(_SECRET_WORDS.search(str(name)))
        if isinstance(value, Mapping):
            yield from _of_options(value, secret=hidden)
        elif hidden and isinstance(value, (str, bytes)):
            yield value if isinstance(value, str) else value.decode("utf-8", "replace")
        elif isinstance(value, str) and "://" in value:
            yield from _of_url(value)
