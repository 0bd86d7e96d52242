"""One client's connection: says when it is gone, and answers what is not HTTP with a problem."""

import asyncio
import uuid

import msgspec
import structlog
from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo
from prometheus_client import Counter

from hub.errors import IsaaxError
from hub.gateway import answers
from hub.gateway.headers import SECURITY
from hub.gateway.problems import BadHttp, HeadersTooLarge, HttpError

_log = structlog.stdlib.get_logger(__name__)


class Limits(msgspec.Struct, frozen=True):
    """What a client may send, and how slowly.

    Args:
        line, field: bytes of the request line, and of one header field.
        fields: number of header fields.
        idle: seconds that a connection may wait for a request, or a request's head may take.
        body: seconds that a body may take to arrive.
        linger: seconds for which the rest of a refused body is read, so that the client can
            read why.
        head: bytes of a request's head, all in all.
        stall: seconds in which a client that has answers to read must read `pace` bytes of them.
    """

    line: int = 8190
    field: int = 8190
    fields: int = 64
    head: int = 64 * 1024
    idle: float = 60.0
    body: float = 30.0
    linger: float = 5.0
    stall: float = 30.0
    pace: int = 16 * 1024


class Connection(web.RequestHandler):
    """aiohttp's protocol, with our errors."""

    def __init__(
        self,
        server: web.Server,
        limits: Limits,
        refused: Counter,
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle,
            lingering_time=limits.linger,
            max_line_size=limits.line,
            max_field_size=limits.field,
            max_headers=limits.fields,
            # A body that unfolds to more than it is must not be unfolded: see media.require.
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # None switches it off; ours is in shell.py
        )
        self._refused = refused
        self.limits = limits
        self.gone: asyncio.Future[None] = loop.create_future()
        """Is done when the client has closed the connection."""
        self._head = 0  # bytes of one that has not all come yet
        self._unread = 0
        self._watch: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell whoever sends events that nobody reads them any more."""
        self.lose()
        self._watch_no_more()
        super().connection_lost(exc)

    def lose(self) -> None:
        """Note that the connection is no more, or never came to be."""
        if not self.gone.done():
            self.gone.set_result(None)

    # ── a head that never ends ────────────────────────────────────────────────────────────────

    def data_received(self, data: bytes) -> None:
        """Take what came; a head is not kept without end, however it is cut."""
        super().data_received(data)
        if self._waiter is None or self._waiter.done():
            self._head = 0  # a request is at work, or about to be
            return
        self._head += len(data)
        if self._head > self.limits.head:
            # As aiohttp itself does with what it cannot parse: see `handle_error`.
            error = LineTooLong("head", self.limits.head)
            self._messages.append((_ErrInfo(400, error, error.message), EMPTY_PAYLOAD))
            self._waiter.set_result(None)

    # ── answers that nobody reads ─────────────────────────────────────────────────────────────

    def pause_writing(self) -> None:
        """Watch a client that does not take what it is sent."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Let go of the watch: it has taken most of it."""
        self._watch_no_more()
        super().resume_writing()

    def _watch_reader(self) -> None:
        if self.transport is not None:
            self._unread = self.transport.get_write_buffer_size()
            self._watch = self._loop.call_later(self.limits.stall, self._look_at_reader)

    def _look_at_reader(self) -> None:
        transport = self.transport
        if transport is None:
            return
        if transport.get_write_buffer_size() > self._unread - self.limits.pace:
            self._refused.labels("slow-reader").inc()
            transport.abort()
        else:
            self._watch_reader()

    def _watch_no_more(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    # ── what is not HTTP ──────────────────────────────────────────────────────────────────────

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed, and close."""
        error = _error_of(status, exc, message)
        self._refused.labels(error.code).inc()
        if isinstance(error, HttpError):
            _log.info("request refused", reason=error.code, remote=request.remote)
        else:
            _log.error("request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; there is no way to tell an error")
        request_id = str(uuid.uuid4())
        answer = answers.of_error(error, request_id)
        response = _Unsigned(
            status=answer.status,
            body=answer.body,
            headers={**SECURITY, **answer.headers, "X-Request-Id": request_id},
        )
        response.force_close()
        return response


class _Unsigned(web.Response):
    """An answer without the header Server; no signal reaches one that belongs to no request."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


def _error_of(status: int, exc: BaseException | None, message: str | None) -> IsaaxError:
    text = (message or "").partition("\n")[0].rstrip(": ")
    if isinstance(exc, LineTooLong) or text.startswith("Too many"):
        return HeadersTooLarge("a request has a shorter head, with fewer header fields")
    if isinstance(exc, InvalidURLError):
        return BadHttp("the request target is not well formed")
    if status < 500:
        # The first line says what is wrong; the others repeat what was sent.
        return BadHttp(text if text.isascii() and len(text) < 100 else "")
    return IsaaxError()


def connection_of(request: web.Request) -> Connection:
    """Give the connection that a request came over."""
    protocol = request.protocol
    if not isinstance(protocol, Connection):
        raise TypeError("the gateway's requests come over its own connections")
    return protocol
