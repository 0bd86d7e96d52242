"""One HTTP push, for destinations that are answered: a bounded answer and what it means."""

import asyncio
import io
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Annotated, Final, TypeVar

import aiohttp
import msgspec

from hub.compression import gzipped
from hub.destinations import Tools
from hub.net import explain
from hub.outcomes import NotConnected, Rejected, Retry
from hub.secret import Secret
from hub.tls import client_tls

T = TypeVar("T")


HttpUrl = Annotated[
    str, msgspec.Meta(max_length=2048, pattern=r"^https?://[^\s/?#@]+([/?#]\S*)?$(?!\n)")
]
"""A field of a config: an address without user and password, which would be shown."""

MAX_ANSWER: Final = 64 * 1024
LONGEST_WAIT: Final = 3600.0
LARGE_BODY: Final = 1024 * 1024
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_COME_AGAIN: Final = frozenset({408, 425, 429})


def comes_again(status: int) -> bool:
    """Say whether a status means "later": 408, 425, 429 and 5xx (RFC 9110, 15)."""
    return status in _COME_AGAIN or status >= 500


class Answer(msgspec.Struct, frozen=True):
    """What a server answered.

    Args:
        body: its first bytes, at most the limit that was asked for.
        retry_after: seconds that it asks to wait, if it does.
    """

    status: int
    body: bytes
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """The status is 2xx."""
        return 200 <= self.status < 300

    @property
    def words(self) -> str:
        """Status and the first 200 characters of the answer, for people."""
        said = " ".join(self.body.decode("utf-8", "replace").split())[:200]
        return f"answered {self.status}: {said}" if said else f"answered {self.status}"

    def decode(self, into: type[T]) -> T | None:
        """Give the JSON body as this Struct; None when it is something else."""
        try:
            return msgspec.json.decode(self.body, type=into)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def check(self, *, again: Callable[[int], bool] = comes_again) -> None:
        """Return on success (2xx); otherwise raise what the status means.

        Args:
            again: says of a status whether the same batch may be taken later; by default 408,
                425, 429 and 5xx. Every other status is final.

        Raises:
            Retry, Rejected: with the status and the first 200 characters of the answer.
        """
        if self.ok:
            return
        if again(self.status):
            raise Retry(self.words, after=self.retry_after)
        raise Rejected(self.words)


trace: Final[ContextVar[list[Answer] | None]] = ContextVar("trace", default=None)
"""Where answers are noted, when somebody wants to see them (the test of an integration)."""


async def post(
    http: aiohttp.ClientSession,
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    limit: int = MAX_ANSWER,
    method: str = "POST",
    hide: Sequence[str] = (),
) -> Answer:
    """Send one body and read the answer.

    Args:
        http: the session that the hub gave (`Tools.http`).
        tls: to use instead of the default, which trusts the system's authorities.
        limit: bytes of the answer that are read at most.
        hide: secrets that stand in the URL; they are masked where the answer repeats them, and
            where a redirect leads.

    Raises:
        Retry: no answer, in words a user understands.
        Rejected: it answered with a redirect.
    """
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    try:
        async with http.request(
            method,
            url,
            # aiohttp writes bytes at once, and warns of many; a file it writes in parts.
            data=body if len(body) < LARGE_BODY else io.BytesIO(body),
            headers=headers,
            ssl=True if tls is None else tls,
            allow_redirects=False,
        ) as response:
            answer = Answer(
                response.status,
                _masked(await _read(response.content, limit), hide),
                _retry_after(response.headers.get("Retry-After", "")),
            )
    except NotConnected as error:
        raise Retry(error.reason) from error
    except Rejected as error:  # a redirect
        raise Rejected(_masked(error.reason.encode(), hide).decode()) from None
    except aiohttp.InvalidURL:
        raise Rejected("the address is not a valid URL") from None
    except (aiohttp.ClientError, OSError) as error:
        # The cause may name the URL, and would be shown with a traceback.
        raise Retry(explain(error, host)) from (None if hide else error)
    noted = trace.get()
    if noted is not None:
        noted.append(answer)
    return answer


class HttpTarget:
    """An address that bodies are posted to, with what every request to it needs.

    Args:
        headers: of every request.
        ca: PEM text of the authorities to trust instead of the system's.
        compress: send bodies with `Content-Encoding: gzip`.
        hide: secrets that stand in the URL, as `post` takes them.
        limit: bytes of an answer that are read at most.
    """

    def __init__(
        self,
        tools: Tools,
        url: str,
        *,
        headers: Mapping[str, str],
        ca: str = "",
        compress: bool = False,
        hide: Sequence[str] = (),
        limit: int = MAX_ANSWER,
    ) -> None:
        self._http = tools.http
        self._url = url
        self._headers = dict(headers)
        self._ca = ca
        self._compress = compress
        self._hide = tuple(hide)
        self._limit = limit
        if compress:
            self._headers["Content-Encoding"] = "gzip"
        self._tls: ssl.SSLContext | None = None

    async def push(
        self,
        body: bytes,
        *,
        url: str = "",
        headers: Mapping[str, str] = _NONE,
        method: str = "POST",
    ) -> Answer:
        """Send one body and read the answer.

        Args:
            url: instead of the target's own.
            headers: besides the target's own.

        Raises:
            Retry, Rejected: as `post`.
        """
        if self._ca and self._tls is None:
            self._tls = await asyncio.to_thread(client_tls, ca=self._ca)
        return await post(
            self._http,
            url or self._url,
            gzipped(body) if self._compress else body,
            headers={**self._headers, **headers},
            tls=self._tls,
            limit=self._limit,
            method=method,
            hide=self._hide,
        )


def _masked(body: bytes, hide: Sequence[str]) -> bytes:
    for secret in hide:
        body = body.replace(secret.encode(), Secret.MASK.encode())
    return body


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
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_WAIT)
