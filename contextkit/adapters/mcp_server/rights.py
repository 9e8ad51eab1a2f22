"""Who calls: bearer tokens of principals, and what a principal's memory is called. What one may see is the catalogue's.

A token file is a JSON object: each key is a token, or "sha256:" and the token's SHA-256 in hex so that the file holds no secret;
each value is {"principal": "ann", "groups": ["sales"]}. In memory there are only digests.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import warnings
from pathlib import Path

from mcp.server.auth.provider import AccessToken
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contextkit.errors import InputError
from contextkit.types import Principal

SHORTEST = 16
"""Characters of a token; what is shorter can be guessed."""
NOBODY = {"agent": "mcp"}
"""Whose memory it is where the caller is nobody in particular."""
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class _Holder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    principal: str = Field(min_length=1, max_length=512, pattern=r"\S")
    groups: tuple[str, ...] = ()


class Tokens:
    """Principals by the digest of their token; the SDK's token verifier.

    Args:
        holders: principals by token, or by "sha256:" and the token's digest.

    Raises:
        InputError: a token is too short, or there is none.
    """

    def __init__(self, holders: dict[str, Principal]) -> None:
        if not holders:
            raise InputError('there is no token: give at least one, like {"TOKEN": {"principal": "ann", "groups": ["sales"]}}')
        self._by_digest: dict[str, Principal] = {}
        for number, (token, principal) in enumerate(holders.items(), 1):
            digest = _digest_of(token, number)
            if digest in self._by_digest:
                raise InputError(f"token {number} stands there twice, once by its digest: keep one of them")
            self._by_digest[digest] = principal

    @classmethod
    def from_file(cls, path: str | Path) -> Tokens:
        """The tokens of a file; warns where others than its owner can read it.

        Raises:
            InputError: it cannot be read, is not the JSON object that it should be, or a token is too short. No message repeats
                a token.
        """
        file = Path(path)
        try:
            raw = json.loads(file.read_text("utf-8"))
            mode = file.stat().st_mode
        except (OSError, UnicodeError) as error:
            raise InputError(f"the token file {str(file)!r} cannot be read: {error}") from None
        except ValueError as error:
            raise InputError(f"the token file {str(file)!r} is not JSON: {error}") from None
        if not isinstance(raw, dict):
            raise InputError(f"the token file {str(file)!r} must be a JSON object of tokens, not {type(raw).__name__}")
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            warnings.warn(f"the token file {str(file)!r} can be read by others: chmod 600 it", stacklevel=2)
        return cls({token: _principal(file, number, holder) for number, (token, holder) in enumerate(raw.items(), 1)})

    async def verify_token(self, token: str) -> AccessToken | None:
        """The access of a token's principal; None for a token that is not known."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
        found = self._by_digest.get(digest)
        if found is None:
            return None
        return AccessToken(token=digest, client_id=found.id, subject=found.id, scopes=[], claims={"groups": list(found.groups)})


def principal_of(access: AccessToken) -> Principal:
    """The principal whose access it is."""
    return Principal(access.client_id, tuple((access.claims or {}).get("groups", ())))


def memory_scope(caller: Principal | None, session: str | None = None) -> dict[str, str]:
    """Whose memory a caller reads and writes, narrowed to one session where it names one."""
    scope = dict(NOBODY) if caller is None else {"user": caller.id}
    return scope if session is None else {**scope, "session": session}


def _digest_of(token: str, number: int) -> str:
    if token.startswith("sha256:"):
        found = _DIGEST.fullmatch(token)
        if found is None:
            raise InputError(f"token {number}: after 'sha256:' must come 64 hex digits in lower case")
        return found[1]
    if len(token) < SHORTEST or not token.isascii() or any(c.isspace() for c in token):
        raise InputError(
            f"token {number} has {len(token)} characters: it needs at least {SHORTEST}, all ASCII and none white space; "
            "`openssl rand -hex 32` makes one"
        )
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def _principal(file: Path, number: int, holder: object) -> Principal:
    try:
        found = _Holder.model_validate(holder)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the value"
        raise InputError(
            f"the token file {str(file)!r}, token {number}: {where}: {first['msg']}; "
            'write {"principal": "ann", "groups": ["sales"]}'
        ) from None
    return Principal(found.principal, found.groups)
