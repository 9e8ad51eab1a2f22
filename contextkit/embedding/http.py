"""One JSON request to an endpoint, until it is answered: retries, Retry-After, pace, time limits, errors that say what happened.

What is in the request and the answer is not known here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from contextkit.errors import EmbedderError, InputError

if TYPE_CHECKING:
    import httpx2

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_LONGEST_WAIT = 120.0  # seconds that a Retry-After may ask for before we give up
_QUOTA = "insufficient_quota"  # a 429 that waiting does not mend


class _AttemptError(EmbedderError):
    """An attempt that failed; `wait` is False, True (as usual) or the seconds that the endpoint asked for."""

    def __init__(self, message: str, *, wait: float | bool) -> None:
        super().__init__(message)
        self.wait = wait


class Pace:
    """Keeps to a number of units a minute over all threads; a sixth of a minute's units may go at once."""

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._room = max(1.0, per_minute / 6)
        self._level = self._room
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, units: float) -> None:
        """Takes the units and returns when they may go."""
        with self._lock:
            now = time.monotonic()
            self._level = min(self._room, self._level + (now - self._at) * self._rate) - units
            self._at = now
            pause = -self._level / self._rate
        if pause > 0:
            time.sleep(pause)


class JsonClient:
    """Posts JSON to one URL. Safe in threads; connects when first used.

    Args:
        url: where to.
        key: bearer token, or "".
        timeout: seconds for the connection and for each answer.
        retries: how often a failed request is sent again.
        requests_per_minute: pace, or None.
        units_per_minute: pace of what `post` is told that a request costs, or None.

    Raises:
        InputError: an argument that cannot work.
    """

    def __init__(
        self,
        url: str,
        key: str,
        timeout: float,
        retries: int,
        requests_per_minute: float | None = None,
        units_per_minute: float | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(f"an endpoint's address begins with http:// or https://, not {url!r}")
        if timeout <= 0 or retries < 0:
            raise InputError(f"timeout must be above 0 and retries at least 0, not {timeout} and {retries}")
        paces = (requests_per_minute, units_per_minute)
        if any(pace is not None and pace <= 0 for pace in paces):
            raise InputError(f"a rate limit must be above 0, not {paces}")
        self._url, self._timeout, self._retries = url, timeout, retries
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._requests, self._units = (None if pace is None else Pace(pace) for pace in paces)
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None

    def close(self) -> None:
        """Closes the connections; a later `post` opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def post(self, body: Mapping[str, object], units: float) -> object:
        """The JSON of the answer.

        Raises:
            EmbedderError: no good answer after all attempts; names the URL, the status and the endpoint's message.
        """
        import stamina

        attempts = stamina.retry_context(
            on=lambda error: error.wait if isinstance(error, _AttemptError) else False,
            attempts=self._retries + 1,
            timeout=None,
            wait_initial=0.2,
            wait_max=20.0,
            wait_jitter=0.5,
        )
        try:
            for attempt in attempts:
                with attempt:
                    return self._once(body, units)
        except _AttemptError as failed:
            tried = "" if failed.wait is False else f" (after {self._retries + 1} attempts)"
            raise EmbedderError(f"{failed}{tried}") from failed.__cause__
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _once(self, body: Mapping[str, object], units: float) -> object:
        import httpx2

        for pace, cost in ((self._requests, 1), (self._units, units)):
            if pace is not None:
                pace.wait(cost)
        try:
            answer = self._connected().post(self._url, json=body, headers=self._headers)
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL) as error:
            raise _AttemptError(f"{self._url} cannot be asked: {error}", wait=False) from error
        except httpx2.TimeoutException as error:
            raise _AttemptError(f"{self._url} did not answer within {self._timeout:g} seconds", wait=True) from error
        except httpx2.TransportError as error:
            raise _AttemptError(f"{self._url} does not answer: {type(error).__name__}: {error}", wait=True) from error
        except httpx2.DecodingError as error:
            raise _AttemptError(f"{self._url} answered with a body that does not decode: {error}", wait=True) from error
        if answer.status_code != 200:
            raise _refusal(self._url, answer)
        try:
            return answer.json()
        except ValueError as error:
            raise _AttemptError(
                f"{self._url} answered with something other than JSON: {answer.text[:200]!r}", wait=True
            ) from error

    def _connected(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                import httpx2

                self._client = httpx2.Client(timeout=self._timeout)
            return self._client


def _refusal(url: str, answer: httpx2.Response) -> _AttemptError:
    """What an answer other than 200 means."""
    message = _message(answer)
    hint = "; check the key (OPENAI_API_KEY or api_key=)" if answer.status_code in (401, 403) else ""
    text = f"{url} answered {answer.status_code}: {message or answer.reason_phrase or 'no message'}{hint}"
    if answer.status_code not in _AGAIN or _QUOTA in answer.text[:2000]:
        return _AttemptError(text, wait=False)
    asked = _retry_after(answer.headers.get("retry-after"))
    if asked is None:
        return _AttemptError(text, wait=True)
    if asked > _LONGEST_WAIT:
        return _AttemptError(f"{text}; it asks to wait {asked:.0f} seconds, the limit is {_LONGEST_WAIT:.0f}", wait=False)
    return _AttemptError(text, wait=max(asked, 0.001))


def _message(answer: httpx2.Response) -> str:
    """The endpoint's own words, in any of the forms in use."""
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:300].strip()
    for key in ("error", "message", "detail"):
        found = body.get(key) if isinstance(body, dict) else None
        if isinstance(found, dict):
            found = found.get("message")
        if isinstance(found, str):
            return found[:300]
    return answer.text[:300].strip()


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date; None where there is none that can be read."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
