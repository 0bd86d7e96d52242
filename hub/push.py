"""One HTTP push, for destinations that are answered: a bounded answer and what it means."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
import msgspec

from hub.destinations import NotConnected, Rejected, Retry
from hub.net import explain

MAX_ANSWER: Final = 64 * 1024
LONGEST_WAIT: Final = 3600.0
_COME_AGAIN: Final = frozenset({408, 425, 429})


class Answer(msgspec.Struct, frozen=True):
    """What a server answered.

    Args:
        body: its first bytes, at most the limit that was asked for.
        retry_after: seconds that it asks to wait, if it does.
    """

    status: int
    body: bytes
    retry_after: float | None = None

    def check(self) -> None:
        """Return on success; otherwise raise what the status means.

        2xx is success; 408, 425, 429 and 5xx come again; every other status is final.

        Raises:
            Retry, Rejected: with the status and the first 200 characters of the answer.
        """
        if 200 <= self.status < 300:
            return
        said = " ".join(self.body.decode("utf-8", "replace").split())[:200]
        reason = f"answered {self.status}: {said}" if said else f"answered {self.status}"
        if self.status in _COME_AGAIN or self.status >= 500:
            raise Retry(reason, after=self.retry_after)
        raise Rejected(reason)


async def post(
    http: aiohttp.ClientSession,
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    limit: int = MAX_ANSWER,
) -> Answer:
    """Send one body and read the answer.

    Args:
        http: the session that the hub gave (`Tools.http`).
        tls: to use instead of the default, which trusts the system's authorities.
        limit: bytes of the answer that are read at most.

    Raises:
        Retry: no answer, in words a user understands.
        Rejected: it answered with a redirect.
    """
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    try:
        async with http.post(
            url, data=body, headers=headers, ssl=True if tls is None else tls, allow_redirects=False
        ) as response:
            return Answer(
                response.status,
                await _read(response.content, limit),
                _retry_after(response.headers.get("Retry-After", "")),
            )
    except NotConnected as error:
        raise Retry(error.reason) from error
    except aiohttp.InvalidURL:
        raise Rejected("the address is not a valid URL") from None
    except (aiohttp.ClientError, OSError) as error:
        raise Retry(explain(error, host)) from error


async def _read(content: aiohttp.StreamReader, limit: int) -> bytes:
    taken = bytearray()
    while len(taken) < limit and (piece := await content.read(limit - len(taken))):
        taken += piece
    return bytes(taken)


def _retry_after(value: str) -> float | None:
    """Read `Retry-After` in both its forms (RFC 9110, 10.2.3); None when it has neither."""
    if value.strip().isdecimal():
        return min(float(value), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_WAIT)
