"""Event streams (WHATWG HTML, section 9.2): heartbeats, clients that are gone, slow or too many."""

import asyncio
import random
from collections import Counter as Tally
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, Final

import structlog
from aiohttp import web

from hub.errors import IsaaxError, LimitReached
from hub.gateway import answers
from hub.gateway.connection import connection_of
from hub.gateway.media import EVENTS
from hub.gateway.problems import Malformed, problem_of
from hub.routes import EventStream, ServerEvent
from hub.telemetry import Metrics

HEARTBEAT: Final = 15.0
"""Seconds between two comments that show, to both sides, that the connection lives."""
STALL: Final = 30.0
"""Seconds that a client may leave its buffers full."""
PER_ACCOUNT: Final = 256
"""Streams that one account may have open on one hub."""
RETRY: Final = (1_000, 5_000)
"""Milliseconds, from and to, after which a client comes back: spread, so not all come at once."""

Lost = Callable[[], Coroutine[Any, Any, IsaaxError | None]]
"""Waits until a client may not follow any more, and says why; None: it is to connect again."""

_log = structlog.stdlib.get_logger(__name__)


class Streams:
    """Sends event streams, and ends them all when the gateway drains."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        heartbeat: float = HEARTBEAT,
        stall: float = STALL,
        per_account: int = PER_ACCOUNT,
    ) -> None:
        """Send streams; the arguments are as the constants of their names."""
        self._heartbeat = heartbeat
        self._stall = stall
        self._per_account = per_account
        self._open: Tally[str] = Tally()
        self._draining = asyncio.Event()
        self._gauge = metrics.gauge("isaax_http_streams", "Event streams that are open.")

    def drain(self) -> None:
        """End every stream with a hint when to come back."""
        self._draining.set()

    async def send(
        self,
        request: web.Request,
        stream: EventStream,
        *,
        account: str,
        request_id: str,
        lost: Lost,
    ) -> web.StreamResponse:
        """Send the events until they end, the client is gone or may not, or the gateway drains.

        Args:
            lost: ends when the client may not follow any more.

        Raises:
            LimitReached: the account has too many streams open.
        """
        if self._open[account] >= self._per_account:
            await _close(stream.events)
            raise LimitReached(f"an account has at most {self._per_account} event streams open")
        self._open[account] += 1
        self._gauge.inc()
        try:
            return await self._send(request, stream, request_id, lost)
        finally:
            self._gauge.dec()
            self._open[account] -= 1
            self._open += Tally()  # forgets the accounts that have none
            await _close(stream.events)

    async def _send(
        self,
        request: web.Request,
        stream: EventStream,
        request_id: str,
        lost: Lost,
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": f"{EVENTS}; charset=utf-8", "Vary": "Accept"}
        )
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        writer = _Writer(response, self._stall)
        gone = connection_of(request).gone
        tasks: set[asyncio.Task[Any]] = {
            asyncio.create_task(self._events(writer, stream.events, request_id)),
            asyncio.create_task(writer.beat(self._heartbeat)),
            asyncio.create_task(self._draining.wait()),
            (standing := asyncio.create_task(lost())),
        }
        try:
            ends: set[asyncio.Future[Any]] = {*tasks, gone}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        if gone.done() or any(isinstance(one, ClientLostError) for one in outcomes):
            _abort(request)
            return response
        try:
            if not standing.cancelled() and (error := standing.result()) is not None:
                _log.info("stream ended", reason=str(error))
                await writer.write(_problem(error, request_id))
            await writer.retry()
            await response.write_eof()
        except (ClientLostError, OSError):
            _abort(request)
        return response

    async def _events(
        self, writer: "_Writer", events: AsyncIterator[ServerEvent], request_id: str
    ) -> None:
        await writer.retry()
        try:
            async for event in events:
                await writer.write(encode(event))
        except IsaaxError as error:
            _log.info("stream failed", error=str(error))
            await writer.write(_problem(error, request_id))
        except ClientLostError:
            raise
        except Exception:  # noqa: BLE001 - a plugin's generator; the client is told, the log says why
            _log.exception("stream failed")
            await writer.write(_problem(IsaaxError(), request_id))


def _problem(error: IsaaxError, request_id: str) -> bytes:
    return encode(ServerEvent(problem_of(error, request_id), event="problem"))


class ClientLostError(Exception):
    """The client is gone, or does not take what it is sent."""


class _Writer:
    """Writes to one client, that must take what it is sent in time."""

    def __init__(self, response: web.StreamResponse, stall: float) -> None:
        self._response = response
        self._stall = stall
        self._busy = False

    async def write(self, data: bytes) -> None:
        """Send this.

        Raises:
            ClientLostError: the client is gone, or has not made room for it in time.
        """
        self._busy = True
        try:
            async with asyncio.timeout(self._stall):
                await self._response.write(data)
        except (TimeoutError, OSError) as error:
            raise ClientLostError from error
        finally:
            self._busy = False

    async def retry(self) -> None:
        """Say after how long to come back, should the connection end."""
        await self.write(b"retry: %d\n\n" % random.randint(*RETRY))

    async def beat(self, every: float) -> None:
        """Send a comment now and then; not while the client has yet to take an event."""
        while True:
            await asyncio.sleep(every)
            if not self._busy:
                await self.write(b": still here\n\n")


def encode(event: ServerEvent) -> bytes:
    """Write one event; its data is one line of JSON.

    Raises:
        ValueError: id or name hold what would end their line.
    """
    lines: list[bytes] = []
    for name, value in (("event", event.event), ("id", event.id)):
        if {"\r", "\n", "\0"} & set(value):
            raise ValueError(f"the {name} of an event is one line")
        if value:
            lines.append(f"{name}: {value}\n".encode())
    if event.data is not None:
        lines.append(b"data: %b\n" % answers.encode(event.data))
    return b"".join((*lines, b"\n"))


def last_event_id(header: Mapping[str, str]) -> str:
    """Read `Last-Event-ID`: where the client left off.

    Raises:
        Malformed: it is no id of ours.
    """
    value = header.get("Last-Event-ID", "")
    if len(value) > 256 or not value.isprintable():
        raise Malformed("Last-Event-ID is not an id that was sent from here")
    return value


def _abort(request: web.Request) -> None:
    """Let go of a client that is gone, or does not read: what is buffered for it is dropped."""
    if request.transport is not None:
        request.transport.abort()


async def _close(events: AsyncIterator[ServerEvent]) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()
