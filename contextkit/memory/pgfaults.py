"""PostgreSQL's errors in our words, and the address of a memory, neither of which ever repeats a password."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from contextkit.errors import (
    ContextkitError,
    IndexDamaged,
    IndexLocked,
    InputError,
    MissingExtra,
    ReadOnlyIndex,
    ServerUnreachable,
)

if TYPE_CHECKING:
    import psycopg

_DEFAULT_SCHEMA = "contextkit"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_CONNECT_SECONDS = 10


class Address(NamedTuple):
    """Where a memory is: what to connect with, the schema, and how both are shown."""

    conninfo: dict[str, Any]
    schema: str
    shown: str


def address(url: str) -> Address:
    """The parts of a URL. Raises InputError where it cannot be read, MissingExtra without psycopg."""
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MissingExtra("psycopg", "postgres", "a memory in PostgreSQL") from error

    try:
        base, _, asked = url.partition("?")
        query = parse_qsl(asked, keep_blank_values=True)
        schema = next((value for key, value in reversed(query) if key == "schema"), _DEFAULT_SCHEMA)
        rest = urlencode([(key, value) for key, value in query if key != "schema"], quote_via=quote)
        found: dict[str, Any] = dict(conninfo_to_dict(f"{base}?{rest}" if rest else base))
        if not set(str(found.get("port", ""))) <= set("0123456789,") or "@" in f"{found.get('host')}{found.get('dbname')}":
            raise ValueError  # a password whose marks are not escaped falls apart into these
    except (ValueError, ProgrammingError):
        raise InputError(
            "the address of the memory cannot be read: it looks like postgresql://USER@HOST:5432/DATABASE?schema=NAME, "
            "with marks such as @ / : in names and passwords written as %40 %2F %3A"
        ) from None  # the driver's error repeats the whole address
    if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
        raise InputError(f"schema={schema!r} must be 1 to 63 of a-z, 0-9 and _, not beginning with a digit or pg_")
    user, port = (f"{found['user']}@" if "user" in found else ""), (f":{found['port']}" if "port" in found else "")
    shown = f"postgresql://{user}{found.get('host', '')}{port}/{found.get('dbname', '')}?schema={schema}"
    found.setdefault("connect_timeout", _CONNECT_SECONDS)
    found.setdefault("application_name", "contextkit")
    return Address(found, schema, shown)


def unreachable(error: psycopg.Error, at: Address) -> ServerUnreachable:
    """What to say where no connection came about."""
    reason, password = " ".join(str(error).split()), at.conninfo.get("password")
    return ServerUnreachable(
        f"cannot connect to {at.shown}: {reason.replace(password, '***') if password else reason}; check that the server runs "
        "there, and the user and password (PGPASSWORD or ~/.pgpass)"
    )


def translated(error: psycopg.Error, name: str, wait: float) -> ContextkitError:
    """The server's error in our words; its first line alone, since details may repeat what is stored."""
    from psycopg import errors

    said = first_line(error)
    gone = (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName)
    if isinstance(error, (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)):
        return IndexLocked(f"{name} stayed locked by another writer for {wait:g} s ({said}): nothing was written, try again")
    if isinstance(error, (errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege)):
        return ReadOnlyIndex(f"{name} may not be written by this user or on this server ({said}): ask for the right")
    if isinstance(error, (*gone, errors.DataCorrupted, errors.IndexCorrupted)):
        return IndexDamaged(f"the memory {name} is damaged ({said}): restore a backup, or import an export into another schema")
    if isinstance(error, (errors.ProgramLimitExceeded, errors.DataError)):
        return InputError(f"PostgreSQL cannot keep this ({said}): nothing was written; shorten it, and leave out NUL characters")
    if isinstance(error, errors.DiskFull):
        return ContextkitError(f"the disk of {name} is full: nothing was written; free space and try again")
    if isinstance(error, (errors.OperationalError, errors.InterfaceError)):
        return ServerUnreachable(f"the connection to {name} broke ({said}): nothing was written, try again")
    return ContextkitError(f"{name} failed ({said}): nothing was written")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its name."""
    return (str(error).splitlines() or [type(error).__name__])[0].strip()
